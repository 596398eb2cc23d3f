// SPDX-License-Identifier: GPL-2.0

//! What the kernel offers for PCI functions and the `kernel` crate's `pci` module lacks.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use kernel::{
    bindings,
    pci, //
};

pub mod config;
pub mod config_shadow;
pub mod core_driver;
pub mod driver;
pub mod facts;
pub mod intx;
pub mod msi;
pub mod pcie;
pub mod vpd;

/// The C structure of a PCI function, for calls into the kernel.
#[inline]
pub(crate) fn raw(pdev: &pci::Device) -> *mut bindings::pci_dev {
    // `pci::Device` is transparent over the C structure, whatever its context.
    core::ptr::from_ref(pdev).cast_mut().cast()
}
