// SPDX-License-Identifier: GPL-2.0

//! Notices about the device, which user space gets as if they were interrupts of it.

use crate::state::Device;
use kernel::prelude::*;
use vfio_logic::irq::Notice;

/// Tells the user that the device had an error.
pub(crate) fn signal_err(dev: &Device) {
    dev.signal_notice(Notice::Err);
}

/// Tells the user, for the `count`th time after the first, that the host wants the device back.
pub(crate) fn signal_req(dev: &Device, count: u32) {
    if dev.signal_notice(Notice::Req) {
        if count % 10 == 0 {
            dev_notice!(dev.pdev(), "Relaying device request to user (#{count})\n");
        }
    } else if count == 0 {
        dev_warn!(
            dev.pdev(),
            "No device request channel registered, blocked until released by user\n"
        );
    }
}
