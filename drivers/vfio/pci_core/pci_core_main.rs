// SPDX-License-Identifier: GPL-2.0

//! core driver for VFIO based PCI devices.

#![crate_name = "vfio_pci_core"]
#![deny(unsafe_code)]

use kernel::prelude::*;

mod config;
mod intrs;
mod memory;
mod power;
mod reset;
mod state;

module! {
    type: Module,
    name: "vfio-pci-core",
    authors: ["VFIO in Rust"],
    description: "core driver for VFIO based PCI devices",
    license: "GPL",
}

struct Module;

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
