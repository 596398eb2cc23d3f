// SPDX-License-Identifier: GPL-2.0

//! Type1 IOMMU driver for VFIO: containers on IOMMUs that have page tables.
//!
//! A [`Container`](container::Container) holds mappings of process memory, made by user space, and
//! the IOMMU domains of its groups, in all of which every mapping is.

#![crate_name = "vfio_iommu_type1"]
#![deny(unsafe_code)]

use kernel::prelude::*;
use vfio_kapi::{
    debugfs::Folder,
    iommu_driver::Registration, //
};

mod abi;
mod container;
mod debugfs;
mod dirty;
mod dma;
mod driver;
mod external;
mod groups;
mod info;
mod map;
mod unmap;

module! {
    type: Type1Module,
    name: "vfio_iommu_type1",
    authors: ["VFIO in Rust"],
    description: "Type1 IOMMU driver for VFIO",
    license: "GPL v2",
}

struct Type1Module {
    _debugfs: Option<Folder<()>>,
    _registration: Registration<debugfs::Listed>,
}

impl kernel::Module for Type1Module {
    /// Registers the backend with `vfio.ko`.
    ///
    /// Context: process context of who loads the module; may sleep.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        debugfs::init()?;
        let registration = Registration::new()?;
        Ok(Self {
            _debugfs: debugfs::add(),
            _registration: registration,
        })
    }
}
