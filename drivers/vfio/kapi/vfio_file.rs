// SPDX-License-Identifier: GPL-2.0

//! Files of `/dev/vfio` that user space shows to prove what it owns.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h)

use crate::pci_core_device::{
    set::LockedSet,
    PciCoreDevice, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*, //
};
use vfio_bindings as vb;

/// An open VFIO group.
///
/// # Invariants
///
/// The pointer is to a file of a VFIO group, of which this owns a reference.
pub struct GroupFile(NonNull<bindings::file>);

impl GroupFile {
    /// The group open as `fd` in the current process.
    ///
    /// # Errors
    ///
    /// `EBADF` if `fd` is not open, `EINVAL` if it is not a VFIO group.
    #[inline]
    pub fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: May be called with any number.
        let file = NonNull::new(unsafe { bindings::fget(fd as u32) }).ok_or(EBADF)?;
        // Owned from here on, whatever it is a file of.
        let file = Self(file);
        // SAFETY: The file is valid.
        if unsafe { vb::vfio_file_is_group(file.0.as_ptr()) } {
            Ok(file)
        } else {
            Err(EINVAL)
        }
    }

    /// Whether the group has the device in it. The lock of the set, which the device has to be in,
    /// keeps the device from being unregistered meanwhile; the answer is no for one of another set.
    #[inline]
    pub fn has_device<S>(&self, device: &PciCoreDevice<S>, set: &LockedSet<'_, S>) -> bool {
        set.is_set_of(device)
            // SAFETY: Both are valid, and the lock of the device's set is held.
            && unsafe { vb::vfio_file_has_dev(self.0.as_ptr(), device.vfio().as_raw()) }
    }
}

impl Drop for GroupFile {
    fn drop(&mut self) {
        // SAFETY: A reference to the file is owned by the type invariant.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}
