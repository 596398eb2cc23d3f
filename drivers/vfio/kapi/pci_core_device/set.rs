// SPDX-License-Identifier: GPL-2.0

//! The devices that a hot reset resets together: one *device set*.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device_set`

use super::PciCoreDevice;
use crate::pci::{
    raw,
    reset, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref, //
};
use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*,
    types::NotThreadSafe, //
};
use vfio_bindings as vb;
use vfio_logic::iommufd::Ownership;

impl<S> PciCoreDevice<S> {
    /// Puts the device into the set of those that are hot reset with it; alone if `alone`.
    ///
    /// # Safety
    ///
    /// The device must be in no set.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    #[inline]
    pub unsafe fn assign_set(&self, alone: bool) -> Result {
        let pdev = self.pdev_raw();
        // SAFETY: The function is valid, and so are its bus and slot.
        let id = unsafe {
            match reset::scope(self.pdev()) {
                _ if alone => self.as_raw().cast(),
                Some(reset::Scope::Slot) => (*pdev).slot.cast(),
                _ => (*pdev).bus.cast(),
            }
        };
        // SAFETY: The device is valid and in no set by the contract of this function.
        to_result(unsafe { vb::vfio_assign_device_set(self.vfio().as_raw(), id) })
    }

    /// Takes the lock of the set that the device is in.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is in none: it was never registered.
    #[inline]
    pub fn lock_set(&self) -> Result<SetGuard<'_, S>> {
        // SAFETY: The field is set once, before the device is registered.
        let set = unsafe { (*self.vfio().as_raw()).dev_set };
        if set.is_null() {
            return Err(ENODEV);
        }
        // SAFETY: The set lives as long as devices are in it.
        unsafe { bindings::mutex_lock(&raw mut (*set).lock) };
        // INVARIANT: The lock was just taken.
        Ok(SetGuard(LockedSet {
            set,
            _not_send: NotThreadSafe,
            _devices: PhantomData,
        }))
    }

    /// The set that the device is in, for one who is called with its lock held.
    ///
    /// # Safety
    ///
    /// The device must be in a set, whose lock this thread holds for as long as the result exists.
    #[inline]
    pub unsafe fn locked_set(&self) -> HeldSet<'_, S> {
        // SAFETY: As in `lock_set`.
        let set = unsafe { (*self.vfio().as_raw()).dev_set };
        HeldSet(ManuallyDrop::new(SetGuard(LockedSet {
            set,
            _not_send: NotThreadSafe,
            _devices: PhantomData,
        })))
    }
}

/// A device set whose lock is held.
///
/// # Invariants
///
/// The lock is held by this thread. All devices of the set are `PciCoreDevice<S>`: it is keyed by a
/// slot, a bus or one such device, which only [`PciCoreDevice::assign_set`] does.
pub struct LockedSet<'a, S> {
    set: *mut vb::vfio_device_set,
    _not_send: NotThreadSafe,
    _devices: PhantomData<&'a PciCoreDevice<S>>,
}

/// Shows that the lock of a device set is held; releases it when dropped.
pub struct SetGuard<'a, S>(LockedSet<'a, S>);

/// Shows that the caller holds the lock of a device set.
pub struct HeldSet<'a, S>(ManuallyDrop<SetGuard<'a, S>>);

impl<'a, S> Deref for SetGuard<'a, S> {
    type Target = LockedSet<'a, S>;

    #[inline]
    fn deref(&self) -> &LockedSet<'a, S> {
        &self.0
    }
}

impl<'a, S> Deref for HeldSet<'a, S> {
    type Target = LockedSet<'a, S>;

    #[inline]
    fn deref(&self) -> &LockedSet<'a, S> {
        &self.0 .0
    }
}

impl<S> Drop for SetGuard<'_, S> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The lock was taken by `lock_set`.
        unsafe { bindings::mutex_unlock(&raw mut (*self.0.set).lock) };
    }
}

impl<S> LockedSet<'_, S> {
    /// The devices in the set, in the order of registration.
    pub fn devices(&self) -> Devices<'_, S> {
        // SAFETY: The lock is held, so the list does not change.
        let head = unsafe { &raw mut (*self.set).device_list };
        Devices {
            head,
            // SAFETY: As above.
            next: unsafe { (*head).next },
            _devices: PhantomData,
        }
    }

    /// Whether the device is in this set.
    #[inline]
    pub fn is_set_of(&self, device: &PciCoreDevice<S>) -> bool {
        // SAFETY: The device is valid; the field is set once, before the device is registered.
        core::ptr::eq(unsafe { (*device.vfio().as_raw()).dev_set }, self.set)
    }

    /// How often devices of the set are open, all together.
    #[inline]
    pub fn open_count(&self) -> u32 {
        // SAFETY: The lock is held.
        unsafe { vb::vfio_device_set_open_count(self.set) }
    }

    /// The device of the set that a function is behind, if there is one.
    #[inline]
    pub fn find(&self, pdev: &pci::Device) -> Option<&PciCoreDevice<S>> {
        // SAFETY: The lock is held; the function is valid and only compared.
        let found = unsafe { vb::vfio_find_device_in_devset(self.set, &raw mut (*raw(pdev)).dev) };
        // SAFETY: As in `Devices::next`.
        (!found.is_null()).then(|| unsafe { PciCoreDevice::from_vfio_raw(found) })
    }

    /// What the user of the iommufd that `user` is bound to has to do with `device`; both have to be in
    /// this set.
    #[inline]
    pub fn ownership(&self, user: &PciCoreDevice<S>, device: &PciCoreDevice<S>) -> Ownership {
        if !self.is_set_of(user) || !self.is_set_of(device) {
            return Ownership::None;
        }
        #[cfg(CONFIG_IOMMUFD)]
        // SAFETY: The lock is held, so `user` stays bound, and keeps the iommufd.
        return Ownership::from_answer(unsafe {
            let ctx = vb::vfio_iommufd_device_ictx(user.vfio().as_raw());
            vb::vfio_iommufd_get_dev_id(device.vfio().as_raw(), ctx)
        });
        #[cfg(not(CONFIG_IOMMUFD))]
        Ownership::None
    }
}

/// The devices of a set.
pub struct Devices<'a, S> {
    head: *mut bindings::list_head,
    next: *mut bindings::list_head,
    _devices: PhantomData<&'a PciCoreDevice<S>>,
}

impl<'a, S: 'a> Iterator for Devices<'a, S> {
    type Item = &'a PciCoreDevice<S>;

    fn next(&mut self) -> Option<Self::Item> {
        if core::ptr::eq(self.next, self.head) {
            return None;
        }
        let entry = self.next;
        // SAFETY: The lock is held for `'a`, so the list does not change and its devices stay. They are
        // `PciCoreDevice<S>` by the invariant of `LockedSet`, and leave the set before they lose
        // their state.
        unsafe {
            self.next = (*entry).next;
            let vdev = kernel::container_of!(entry, vb::vfio_device, dev_set_list);
            Some(PciCoreDevice::from_vfio_raw(vdev))
        }
    }
}
