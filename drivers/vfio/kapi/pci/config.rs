// SPDX-License-Identifier: GPL-2.0

//! Configuration space of PCI functions.
//!
//! There are the kernel's own accesses, and those on behalf of a user, which have to wait while the
//! function is being reset.

use super::raw;
use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*, //
};
use vfio_logic::config::Width;

/// `PCI_COMMAND`: the offset of the command register.
pub const COMMAND: u16 = bindings::PCI_COMMAND as u16;

/// Turns what a configuration access returned into a result: `PCIBIOS_*` codes are positive.
///
/// C function: `pcibios_err_to_errno()`.
#[inline]
fn check(ret: kernel::ffi::c_int) -> Result {
    match u32::try_from(ret) {
        Err(_) => to_result(ret),
        Ok(bindings::PCIBIOS_SUCCESSFUL) => Ok(()),
        Ok(bindings::PCIBIOS_FUNC_NOT_SUPPORTED) => Err(ENOENT),
        Ok(bindings::PCIBIOS_BAD_VENDOR_ID) => Err(ENOTTY),
        Ok(bindings::PCIBIOS_DEVICE_NOT_FOUND) => Err(ENODEV),
        Ok(bindings::PCIBIOS_BAD_REGISTER_NUMBER) => Err(EFAULT),
        Ok(bindings::PCIBIOS_SET_FAILED) => Err(EIO),
        Ok(bindings::PCIBIOS_BUFFER_TOO_SMALL) => Err(ENOSPC),
        Ok(_) => Err(ERANGE),
    }
}

/// The position of a register as C has it, if it is in the configuration space of the function.
#[inline]
fn position(pdev: &pci::Device, pos: usize, width: Width) -> Result<kernel::ffi::c_int> {
    let end = pos.checked_add(width.bytes()).ok_or(EFAULT)?;
    if end > size(pdev) {
        return Err(EFAULT);
    }
    Ok(pos.try_into()?)
}

/// The number of bytes of configuration space.
#[inline]
pub fn size(pdev: &pci::Device) -> usize {
    // SAFETY: The device is valid; the field is set when the device is found.
    unsafe { (*raw(pdev)).cfg_size }.try_into().unwrap_or(0)
}

macro_rules! accessors {
    ($(#[$doc:meta])* $read:ident: $byte:ident, $word:ident, $dword:ident) => {
        $(#[$doc])*
        #[inline]
        pub fn $read(pdev: &pci::Device, pos: usize, width: Width) -> Result<u32> {
            let pos = position(pdev, pos, width)?;
            match width {
                Width::Byte => {
                    let mut value = 0;
                    // SAFETY: The device is valid and has this register; `value` is for the function
                    // to write to.
                    check(unsafe { bindings::$byte(raw(pdev), pos, &mut value) })?;
                    Ok(value.into())
                }
                Width::Word => {
                    let mut value = 0;
                    // SAFETY: As above.
                    check(unsafe { bindings::$word(raw(pdev), pos, &mut value) })?;
                    Ok(value.into())
                }
                Width::Dword => {
                    let mut value = 0;
                    // SAFETY: As above.
                    check(unsafe { bindings::$dword(raw(pdev), pos, &mut value) })?;
                    Ok(value)
                }
            }
        }
    };
}

accessors! {
    /// Reads a register.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the function cannot be reached, `EFAULT` if there is no such register or `pos` is
    /// not aligned.
    read: pci_read_config_byte, pci_read_config_word, pci_read_config_dword
}

accessors! {
    /// Reads a register on behalf of a user: waits while the function is being reset.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `pos` is not aligned, `EFAULT` if there is no such register, otherwise that of the
    /// host bridge.
    user_read: pci_user_read_config_byte, pci_user_read_config_word, pci_user_read_config_dword
}

/// Writes a register on behalf of a user: waits while the function is being reset.
///
/// # Errors
///
/// As for [`user_read`].
#[inline]
pub fn user_write(pdev: &pci::Device, pos: usize, width: Width, value: u32) -> Result {
    let pos = position(pdev, pos, width)?;
    // SAFETY: The device is valid and has this register. What can be written to configuration space
    // is up to the caller: as for BARs and bus mastering, IOMMU and driver decide what it can do.
    // CAST: The value has as many bytes as the access.
    check(unsafe {
        match width {
            Width::Byte => bindings::pci_user_write_config_byte(raw(pdev), pos, value as u8),
            Width::Word => bindings::pci_user_write_config_word(raw(pdev), pos, value as u16),
            Width::Dword => bindings::pci_user_write_config_dword(raw(pdev), pos, value),
        }
    })
}

/// Reads the 16-bit register at `offset`.
///
/// # Errors
///
/// `ENODEV` if the function cannot be reached, `EFAULT` if there is no such register.
pub fn read_word(pdev: &pci::Device, offset: u16) -> Result<u16> {
    let pos = position(pdev, offset.into(), Width::Word)?;
    let mut value = 0;
    // SAFETY: The device is valid and has this register; `value` is for the function to write to.
    check(unsafe { bindings::pci_read_config_word(raw(pdev), pos, &mut value) })?;
    Ok(value)
}

/// Reads the 32-bit register at `offset`.
///
/// # Errors
///
/// `ENODEV` if the function cannot be reached, `EFAULT` if there is no such register.
pub fn read_dword(pdev: &pci::Device, offset: u16) -> Result<u32> {
    let pos = position(pdev, offset.into(), Width::Dword)?;
    let mut value = 0;
    // SAFETY: As in `read_word`.
    check(unsafe { bindings::pci_read_config_dword(raw(pdev), pos, &mut value) })?;
    Ok(value)
}

/// Writes the 16-bit register at `offset`.
///
/// # Errors
///
/// `ENODEV` if the function cannot be reached, `EFAULT` if there is no such register.
pub fn write_word(pdev: &pci::Device, offset: u16, value: u16) -> Result {
    let pos = position(pdev, offset.into(), Width::Word)?;
    // SAFETY: As in `user_write`.
    check(unsafe { bindings::pci_write_config_word(raw(pdev), pos, value) })
}
