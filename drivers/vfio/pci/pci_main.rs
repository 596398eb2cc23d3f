// SPDX-License-Identifier: GPL-2.0

//! VFIO PCI - User Level meta-driver.

#![crate_name = "vfio_pci"]
#![deny(unsafe_code)]

use kernel::prelude::*;

module! {
    type: Module,
    name: "vfio-pci",
    authors: ["VFIO in Rust"],
    description: "VFIO PCI - User Level meta-driver",
    license: "GPL",
}

struct Module;

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
