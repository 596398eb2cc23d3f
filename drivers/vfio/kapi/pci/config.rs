// SPDX-License-Identifier: GPL-2.0

//! The kernel's own accesses to configuration space.
//!
//! Not for what a user asked for: those accesses have to wait while the function is being reset.

use super::raw;
use kernel::{
    bindings,
    error::Result,
    pci, //
};

/// `PCI_COMMAND`: the offset of the command register.
pub const COMMAND: u16 = bindings::PCI_COMMAND as u16;

/// Turns what a configuration access returned into a result: `PCIBIOS_*` codes are positive.
fn check(ret: kernel::ffi::c_int) -> Result {
    if ret == 0 {
        Ok(())
    } else {
        Err(kernel::error::code::EIO)
    }
}

/// Reads the 16-bit register at `offset`.
///
/// # Errors
///
/// `EIO` if the function cannot be reached.
pub fn read_word(pdev: &pci::Device, offset: u16) -> Result<u16> {
    let mut value = 0;
    // SAFETY: The device is valid, and `value` is for the function to write to.
    check(unsafe { bindings::pci_read_config_word(raw(pdev), offset.into(), &mut value) })?;
    Ok(value)
}

/// Reads the 32-bit register at `offset`.
///
/// # Errors
///
/// `EIO` if the function cannot be reached.
pub fn read_dword(pdev: &pci::Device, offset: u16) -> Result<u32> {
    let mut value = 0;
    // SAFETY: As in `read_word`.
    check(unsafe { bindings::pci_read_config_dword(raw(pdev), offset.into(), &mut value) })?;
    Ok(value)
}

/// Writes the 16-bit register at `offset`.
///
/// # Errors
///
/// `EIO` if the function cannot be reached.
pub fn write_word(pdev: &pci::Device, offset: u16, value: u16) -> Result {
    // SAFETY: The device is valid.
    check(unsafe { bindings::pci_write_config_word(raw(pdev), offset.into(), value) })
}
