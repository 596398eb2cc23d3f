// SPDX-License-Identifier: GPL-2.0

//! Type1 IOMMU driver for VFIO.

#![crate_name = "vfio_iommu_type1"]
#![deny(unsafe_code)]

use kernel::prelude::*;

module! {
    type: Module,
    name: "vfio_iommu_type1",
    authors: ["VFIO in Rust"],
    description: "Type1 IOMMU driver for VFIO",
    license: "GPL",
}

struct Module;

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
