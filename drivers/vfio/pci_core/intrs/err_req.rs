// SPDX-License-Identifier: GPL-2.0

//! Notices about the device, which user space gets as if they were interrupts of it.

use crate::state::Device;
use kernel::prelude::*;
use vfio_kapi::eventfd::EventFdSlot;
use vfio_logic::irq::Notice;

/// The eventfds for notices. Replaced with `igate` held, signalled at any time.
pub(crate) struct Notices {
    err: EventFdSlot,
    req: EventFdSlot,
}

impl Notices {
    /// No eventfds.
    pub(super) fn new() -> Self {
        Self {
            err: EventFdSlot::new(None),
            req: EventFdSlot::new(None),
        }
    }

    /// The place for the eventfd of a notice.
    pub(super) fn slot(&self, notice: Notice) -> &EventFdSlot {
        match notice {
            Notice::Err => &self.err,
            Notice::Req => &self.req,
        }
    }
}

/// Tells the user that the device had an error.
pub(crate) fn signal_err(dev: &Device) {
    dev.state().intrs.notices.slot(Notice::Err).signal();
}

/// Tells the user, for the `count`th time after the first, that the host wants the device back.
pub(crate) fn signal_req(dev: &Device, count: u32) {
    if dev.state().intrs.notices.slot(Notice::Req).signal() {
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
