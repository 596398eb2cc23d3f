// SPDX-License-Identifier: GPL-2.0

//! Misc devices with a number and a node of their own.
//!
//! The `kernel` crate's registration has neither a fixed minor nor a node name nor a mode.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use crate::fops::{
    FileOperations,
    FileOps,
    Opens, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    str::CStr,
    types::Opaque, //
};

/// What the device is called, and who may open it.
pub struct MiscNode {
    /// The number.
    pub minor: u8,
    /// The name in `/sys/class/misc`.
    pub name: &'static CStr,
    /// The path below `/dev`.
    pub node: &'static CStr,
    /// The permissions of the node.
    pub mode: u16,
}

/// A registered misc device; goes when dropped.
///
/// # Invariants
///
/// The device is registered.
pub struct MiscDevice(Pin<KBox<Opaque<bindings::miscdevice>>>);

// SAFETY: The kernel takes care of its own locking.
unsafe impl Send for MiscDevice {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for MiscDevice {}

impl MiscDevice {
    /// Registers a device; it may be opened at once.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the number is taken, `ENOMEM`, or `EINVAL` if `fops` is not for misc devices.
    pub fn register<T: FileOps>(fops: &'static FileOperations<T>, node: &MiscNode) -> Result<Self> {
        if fops.opens() != Opens::Misc {
            return Err(EINVAL);
        }
        let misc = KBox::pin_init(
            Opaque::ffi_init(|slot: *mut bindings::miscdevice| {
                // SAFETY: The slot is valid for writes.
                unsafe {
                    slot.write(bindings::miscdevice {
                        minor: node.minor.into(),
                        name: node.name.as_char_ptr(),
                        nodename: node.node.as_char_ptr(),
                        fops: fops.as_raw(),
                        mode: node.mode,
                        ..pin_init::zeroed()
                    })
                };
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: The structure is filled in, pinned, and stays until `drop`; names and operations
        // are static.
        to_result(unsafe { bindings::misc_register(misc.get()) })?;
        // INVARIANT: Registered just now.
        Ok(Self(misc))
    }
}

impl Drop for MiscDevice {
    fn drop(&mut self) {
        // SAFETY: Registered, by the type invariant.
        unsafe { bindings::misc_deregister(self.0.get()) };
    }
}
