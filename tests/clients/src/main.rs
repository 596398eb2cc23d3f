// SPDX-License-Identifier: GPL-2.0

//! Takes a device through VFIO as the crates of others do it: `vfio-clients vfio-ioctls|pci-driver ADDRESS`.
//!
//! `vfio-ioctls` is rust-vmm's, as cloud-hypervisor and others use it; `pci-driver` is one for
//! drivers in user space. Prints what is answered, which has to be the same on any modules. What has to work and does not
//! ends it with status 1.

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;

mod driver;
mod memory;
mod rust_vmm;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, address] = arguments.as_slice() else {
        bail!("vfio-clients vfio-ioctls|pci-driver ADDRESS");
    };
    match client.as_str() {
        "vfio-ioctls" => rust_vmm::run(address),
        "pci-driver" => driver::run(address),
        _ => bail!("there is no client {client}"),
    }
    .with_context(|| format!("{client} on {address}"))
}
