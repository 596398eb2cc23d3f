// SPDX-License-Identifier: GPL-2.0

//! Virtual functions.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_int,
    pci,
    prelude::*, //
};

/// The number of virtual functions that the function has now.
pub fn num_vfs(pdev: &pci::Device) -> c_int {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_num_vf(raw(pdev)) }
}

/// Makes `count` virtual functions. The device lock of the function must be held. May sleep.
///
/// # Errors
///
/// That of `pci_enable_sriov()`.
pub fn enable(pdev: &pci::Device, count: c_int) -> Result {
    // SAFETY: The device is valid.
    to_result(unsafe { bindings::pci_enable_sriov(raw(pdev), count) })
}

/// Removes all virtual functions. The device lock of the function must be held. May sleep, and
/// waits until their drivers let go of them.
pub fn disable(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_disable_sriov(raw(pdev)) };
}
