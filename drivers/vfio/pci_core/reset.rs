// SPDX-License-Identifier: GPL-2.0

//! Resets of one function.
//!
//! Order: `dev_set->lock`, `memory_lock`, the kernel's device lock (which is only tried).

use crate::{
    memory,
    power,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::error::{
    code::EINVAL,
    Result, //
};
use vfio_kapi::pci::reset;

/// Resets the function, keeping everybody from its memory meanwhile.
///
/// # Errors
///
/// `EAGAIN` if a lock that this needs is held, otherwise that of `pci_try_reset_function()`.
pub(crate) fn function(dev: &Device) -> Result {
    let _guard = memory::zap_and_lock(dev);
    // The reset itself wakes the function without restoring what it loses by that.
    let _ = power::set_state(dev, power::D0);
    reset::try_function(dev.pdev())
}

/// `VFIO_DEVICE_RESET`
///
/// # Errors
///
/// `EINVAL` if the function cannot be reset alone; otherwise as for [`function`].
pub(crate) fn ioctl(dev: &Device) -> Result {
    if !dev.has(Flag::ResetWorks) {
        return Err(EINVAL);
    }
    function(dev)
}
