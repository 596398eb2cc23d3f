// SPDX-License-Identifier: GPL-2.0

//! Virtual functions.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use kernel::{
    bindings,
    device::Core,
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

/// Makes `count` virtual functions of a function whose device lock is held. May sleep.
///
/// # Errors
///
/// That of `pci_enable_sriov()`.
pub fn enable(pdev: &pci::Device<Core<'_>>, count: c_int) -> Result {
    // SAFETY: The device is valid, and its lock is held, as its type says.
    to_result(unsafe { bindings::pci_enable_sriov(raw(pdev), count) })
}

/// Removes all virtual functions of a function whose device lock is held. May sleep, and waits until their
/// drivers let go of them.
pub fn disable(pdev: &pci::Device<Core<'_>>) {
    // SAFETY: The device is valid, and its lock is held, as its type says.
    unsafe { bindings::pci_disable_sriov(raw(pdev)) };
}
