// SPDX-License-Identifier: GPL-2.0

//! Interrupts. (Placeholder of the `pci` branch: see `pciirq`.)

use crate::state::Device;
use kernel::{ffi::c_int, prelude::*};

#[pin_data]
pub(crate) struct Intrs {}

impl Intrs {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {})
    }
}

pub(crate) fn set_irqs(
    _dev: &Device,
    _flags: u32,
    _index: u32,
    _start: u32,
    _count: u32,
    _data: &[u8],
) -> Result<c_int> {
    Err(ENOTTY)
}
pub(crate) fn disable(_dev: &Device) {}
pub(crate) fn intx_mask(_dev: &Device) -> bool {
    false
}
pub(crate) fn intx_unmask(_dev: &Device) {}
pub(crate) fn signal_err(_dev: &Device) {}
pub(crate) fn signal_req(_dev: &Device, _count: u32) {}
pub(crate) fn close_device(_dev: &Device) {}
/// Whether MSI is what the user gets interrupts by.
pub(crate) fn msi_is_active(_dev: &Device) -> bool {
    false
}
/// Log 2 of the number of MSI vectors when MSI was last enabled, rounded up.
pub(crate) fn msi_queue_max(_dev: &Device) -> u8 {
    0
}
