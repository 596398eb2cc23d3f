// SPDX-License-Identifier: GPL-2.0

//! Configuration space as the user sees it. (Placeholder of the `pci` branch: see `pcicfg`.)

use crate::state::Device;
use kernel::{prelude::*, uaccess::UserPtr};
use vfio_kapi::uaccess::UserArg;

#[pin_data]
pub(crate) struct Config {}

impl Config {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {})
    }
}

pub(crate) fn init(_dev: &Device) -> Result {
    Ok(())
}
pub(crate) fn free(_dev: &Device) {}
pub(crate) fn rw(_dev: &Device, _buf: UserArg, _count: usize, _pos: u64, _write: bool) -> Result<usize> {
    let _ = UserPtr::from_addr(0);
    Err(EIO)
}
pub(crate) fn memory_enabled(_dev: &Device) -> bool {
    true
}
