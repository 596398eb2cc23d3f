// SPDX-License-Identifier: GPL-2.0

//! PCI Express: what the kernel has set up, and may change.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*, //
};

/// The PCI Express capabilities register, or 0 if the function has none.
#[inline]
pub fn flags(pdev: &pci::Device) -> u16 {
    // SAFETY: The device is valid; the field is set when the device is found.
    unsafe { (*raw(pdev)).pcie_flags_reg }
}

/// The largest payload that the function may send, in bytes.
pub fn max_payload(pdev: &pci::Device) -> u32 {
    // SAFETY: The device is valid.
    let bytes = unsafe { bindings::pcie_get_mps(raw(pdev)) };
    bytes.try_into().unwrap_or(128)
}

/// Sets the largest read request that the function may send, in bytes.
///
/// # Errors
///
/// `EINVAL` if `bytes` is not a power of two between 128 and 4096, otherwise that of the access.
pub fn set_max_read_request(pdev: &pci::Device, bytes: u32) -> Result {
    // SAFETY: The device is valid; the function checks the value.
    to_result(unsafe { bindings::pcie_set_readrq(raw(pdev), bytes.try_into()?) })
}
