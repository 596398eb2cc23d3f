// SPDX-License-Identifier: GPL-2.0

//! Takes a device through VFIO as the crates of others do it: `vfio-clients CLIENT ADDRESS`.
//!
//! `vfio-ioctls` is rust-vmm's, as cloud-hypervisor and others use it; `pci-driver` is one for
//! drivers in user space; `nvme-driver` is a driver of NVMe disks (`nvme-driver-endless` until it is killed). Prints what is answered, which has to be the same on any modules. What has to work and does not
//! ends it with status 1.

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;

mod driver;
mod memory;
mod nvme;
mod rust_vmm;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [client, address] = arguments.as_slice() else {
        bail!("vfio-clients vfio-ioctls|pci-driver|nvme-driver|nvme-driver-endless ADDRESS");
    };
    match client.as_str() {
        "vfio-ioctls" => rust_vmm::run(address),
        "pci-driver" => driver::run(address),
        "nvme-driver" => nvme::run(address, false),
        "nvme-driver-endless" => nvme::run(address, true),
        _ => bail!("there is no client {client}"),
    }
    .with_context(|| format!("{client} on {address}"))
}
