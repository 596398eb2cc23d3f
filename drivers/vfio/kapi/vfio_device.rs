// SPDX-License-Identifier: GPL-2.0

//! A VFIO device as C drivers, the core and IOMMU backends share it.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device`

use crate::{
    uuid::Uuid,
    versions, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    device::Device,
    error::to_result,
    prelude::*,
    str::CStr,
    types::Opaque, //
};
use vfio_bindings as vb;

/// A device registered, or to be registered, with VFIO; `struct vfio_device` of the kernel.
///
/// Allocated by `_vfio_alloc_device()` of `vfio.ko` and embedded at the start of each driver's own
/// structure. What each side may do with it is in the `impl` blocks of the files that need it.
///
/// # Invariants
///
/// Instances are valid for as long as references to them, and `dev` and `ops` do not change.
#[repr(transparent)]
pub struct VfioDevice(Opaque<vb::vfio_device>);

impl VfioDevice {
    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an initialized device that stays allocated for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut vb::vfio_device) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast() }
    }

    /// The C device, for calls into the kernel.
    #[inline]
    pub fn as_raw(&self) -> *mut vb::vfio_device {
        self.0.get()
    }

    /// The device that the bus driver is bound to, such as a PCI function.
    #[inline]
    pub fn parent(&self) -> &Device {
        // SAFETY: `dev` is set once, by `_vfio_alloc_device()`, to a device that outlives this one
        // (it is its parent in the device model).
        unsafe { Device::from_raw((*self.as_raw()).dev) }
    }

    /// Whether the device is to be used past its group though there is no IOMMU behind it.
    #[inline]
    pub fn has_no_iommu(&self) -> bool {
        // SAFETY: Set before the device is registered.
        unsafe { versions::has_no_iommu(self.as_raw()) }
    }

    /// Whether the device is open by its own node, which only changes with the lock of its set held.
    #[inline]
    pub fn is_opened_by_node(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { vb::vfio_device::cdev_opened_raw(self.as_raw()) != 0 }
    }

    /// Whether opening the device may take a token.
    #[inline]
    pub fn takes_token(&self) -> bool {
        // SAFETY: The operations are valid as long as the device.
        unsafe { (*(*self.as_raw()).ops).match_token_uuid.is_some() }
    }

    /// The name of the bus driver; `None` if it gave none.
    pub fn driver_name(&self) -> Option<&CStr> {
        // SAFETY: The operations are valid as long as the device, and the name is static.
        unsafe {
            let name = (*(*self.as_raw()).ops).name;
            (!name.is_null()).then(|| CStr::from_char_ptr(name))
        }
    }

    /// Whether the migration and dirty logging operations of the driver, if any, are complete.
    pub fn has_complete_ops(&self) -> bool {
        // SAFETY: The operations are valid as long as the device, and set before it is registered.
        unsafe {
            let vdev = self.as_raw();
            let migration = (*vdev).mig_ops.as_ref().is_none_or(|ops| {
                ops.migration_get_state.is_some()
                    && ops.migration_set_state.is_some()
                    && ops.migration_get_data_size.is_some()
                    && (*vdev).migration_flags & vb::VFIO_MIGRATION_STOP_COPY != 0
            });
            let logging = (*vdev).log_ops.as_ref().is_none_or(|ops| {
                ops.log_start.is_some()
                    && ops.log_stop.is_some()
                    && ops.log_read_and_clear.is_some()
            });
            migration && logging
        }
    }

    /// Asks the bus driver whether the token, or having none, lets the user open the device.
    ///
    /// # Errors
    ///
    /// That of the driver.
    pub fn match_token(&self, token: Option<&Uuid>) -> Result {
        // SAFETY: The operations are valid as long as the device.
        let Some(match_token) = (unsafe { (*(*self.as_raw()).ops).match_token_uuid }) else {
            return Ok(());
        };
        let token = token.map(|b| bindings::uuid_t { b: *b });
        let token = token
            .as_ref()
            .map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: The device is valid, and the token is null or valid for the call.
        to_result(unsafe { match_token(self.as_raw(), token) })
    }

    /// Makes the device known to user space.
    ///
    /// # Safety
    ///
    /// The device must be ready to be opened, and not registered.
    ///
    /// # Errors
    ///
    /// That of `vfio_register_group_dev()`.
    #[inline]
    pub unsafe fn register(&self) -> Result {
        // SAFETY: By the contract of this function.
        to_result(unsafe { vb::vfio_register_group_dev(self.as_raw()) })
    }

    /// Ends a registration, and waits until nobody has the device open.
    ///
    /// # Safety
    ///
    /// The device must be registered.
    #[inline]
    pub unsafe fn unregister(&self) {
        // SAFETY: By the contract of this function.
        unsafe { vb::vfio_unregister_group_dev(self.as_raw()) };
    }

    /// Makes unregistration wait until the result is dropped; `None` if it has begun.
    #[cfg(CONFIG_VFIO_PCI_DMABUF)]
    #[inline]
    pub(crate) fn stay_registered(&self) -> Option<StaysRegistered> {
        // SAFETY: The device is valid.
        let stays = unsafe { vb::vfio_device_try_get_registration(self.as_raw()) };
        // INVARIANT: The count was just taken. It keeps the device allocated.
        stays.then(|| StaysRegistered(NonNull::from(self)))
    }

    /// Removes what user space has mapped of the range `start..start + len` of the device's files,
    /// private copies included. The next access faults. May sleep.
    pub fn unmap_range(&self, start: u64, len: u64) {
        // SAFETY: `inode` is set by `_vfio_alloc_device()` and lives as long as the device; so does
        // its mapping. Any range will do: it is only compared with those of mappings.
        unsafe {
            bindings::unmap_mapping_range(
                (*(*self.as_raw()).inode).i_mapping,
                start as bindings::loff_t,
                len as bindings::loff_t,
                1,
            )
        };
    }
}

// SAFETY: The fields are protected as the C header says; the methods here keep to it.
unsafe impl Send for VfioDevice {}
// SAFETY: As above.
unsafe impl Sync for VfioDevice {}

/// Keeps a device registered, and so bound to its driver.
///
/// # Invariants
///
/// We own a count of the registration of the device.
pub struct StaysRegistered(NonNull<VfioDevice>);

// SAFETY: The count may be given back on any thread.
unsafe impl Send for StaysRegistered {}
// SAFETY: There is nothing to be done with a shared reference.
unsafe impl Sync for StaysRegistered {}

impl Drop for StaysRegistered {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { vb::vfio_device_put_registration(self.0.as_ptr().cast()) };
    }
}
