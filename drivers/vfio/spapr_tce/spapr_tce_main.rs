// SPDX-License-Identifier: GPL-2.0

//! POWER IOMMU driver for VFIO: containers on host bridges that translate by tables of entries (TCEs).
//!
//! A [`Container`](container::Container) has groups, each a partitionable endpoint of a host bridge, and up
//! to two windows of I/O addresses that all of them share. In version 2 of the interface memory is registered
//! before it is mapped, and windows are made by user space; in version 1 there is one window, all of which is
//! accounted as locked memory when the container is enabled.

#![crate_name = "vfio_iommu_spapr_tce"]
#![deny(unsafe_code)]

use kernel::prelude::*;
use vfio_kapi::{
    debugfs::Folder,
    eeh::{
        self as endpoints,
        Watch, //
    },
    iommu_driver::Registration, //
};

mod abi;
mod container;
mod debugfs;
mod driver;
mod eeh;
mod groups;
mod info;
mod map;
mod memory;
mod windows;

module! {
    type: SpaprTceModule,
    name: "vfio_iommu_spapr_tce",
    authors: ["VFIO in Rust"],
    description: "VFIO IOMMU SPAPR TCE",
    license: "GPL v2",
}

struct SpaprTceModule {
    _debugfs: Option<Folder<()>>,
    _registration: Registration<debugfs::Listed>,
    // After the registration, by which containers are made.
    _left: memory::LeftGuard,
    _watch: Watch,
}

impl kernel::Module for SpaprTceModule {
    /// Registers the backend with `vfio.ko`, and looks at which PEs have devices of user space.
    ///
    /// Context: process context of who loads the module; may sleep.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        debugfs::init()?;
        memory::init()?;
        let watch = endpoints::init()?;
        let registration = Registration::new()?;
        Ok(Self {
            _debugfs: debugfs::add(),
            _registration: registration,
            _left: memory::LeftGuard,
            _watch: watch,
        })
    }
}
