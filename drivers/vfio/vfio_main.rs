// SPDX-License-Identifier: GPL-2.0

//! VFIO - User Level meta-driver.

#![crate_name = "vfio"]
#![deny(unsafe_code)]

use kernel::prelude::*;

module! {
    type: Vfio,
    name: "vfio",
    authors: ["VFIO in Rust"],
    description: "VFIO - User Level meta-driver",
    license: "GPL",
    alias: ["devname:vfio/vfio", "char-major-10-196"],
}

struct Vfio;

impl kernel::Module for Vfio {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("VFIO - User Level meta-driver version: 0.3\n");
        Ok(Self)
    }
}
