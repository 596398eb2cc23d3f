// SPDX-License-Identifier: GPL-2.0

//! Vital product data: what a board tells about itself, and may be told to remember.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*, //
};

/// Reads from `pos` on, until `data` is full or there is no more; what there is not stays as it was.
/// Sleeps.
///
/// # Errors
///
/// `ENODEV` if there is none, or that of the transfer.
pub fn read(pdev: &pci::Device, pos: u16, data: &mut [u8]) -> Result<usize> {
    // SAFETY: The device is valid; `data` is for the function to write to.
    let ret = unsafe {
        bindings::pci_read_vpd(raw(pdev), pos.into(), data.len(), data.as_mut_ptr().cast())
    };
    usize::try_from(ret).map_err(|_| errno(ret))
}

/// Writes `data` to `pos`. Sleeps. The number of bytes written is returned.
///
/// # Errors
///
/// `ENODEV` if there is none, `EINVAL` if it ends before or `pos` is not aligned, or that of the
/// transfer.
pub fn write(pdev: &pci::Device, pos: u16, data: &[u8]) -> Result<usize> {
    // SAFETY: The device is valid; `data` is for the function to read.
    let ret =
        unsafe { bindings::pci_write_vpd(raw(pdev), pos.into(), data.len(), data.as_ptr().cast()) };
    usize::try_from(ret).map_err(|_| errno(ret))
}

/// The error behind a negative return value.
fn errno(ret: isize) -> Error {
    i32::try_from(ret).map_or(EIO, |ret| to_result(ret).err().unwrap_or(EIO))
}
