// SPDX-License-Identifier: GPL-2.0

//! core driver for VFIO based PCI devices.

#![crate_name = "vfio_pci_core"]
#![deny(unsafe_code)]

use kernel::prelude::*;

#[allow(unsafe_code)]
mod abi;
mod config;
mod debugfs;
mod device;
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
mod dma_buf;
mod hot_reset;
mod info;
mod intrs;
mod ioeventfd;
mod memory;
mod mmap;
mod open;
mod power;
mod rdwr;
mod region;
mod reset;
mod sriov;
mod state;

module! {
    type: Module,
    name: "vfio-pci-core",
    authors: ["VFIO in Rust"],
    description: "core driver for VFIO based PCI devices",
    license: "GPL v2",
}

struct Module;

impl kernel::Module for Module {
    /// Prepares the list of physical functions whose virtual functions are handed out.
    ///
    /// Context: process context of who loads the module; may sleep.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        sriov::init_module()?;
        Ok(Self)
    }
}
