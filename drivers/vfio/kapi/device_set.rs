// SPDX-License-Identifier: GPL-2.0

//! Sets of VFIO devices that are opened, closed and reset together.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device_set`.
//! Drivers take the set's lock and walk its list.

use crate::{
    device_lifecycle::OwnedDevice,
    vfio_device::VfioDevice, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    container_of,
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        Mutex,
        MutexGuard, //
    },
    types::Opaque, //
};
use vfio_bindings as vb;

/// One set, at an address that does not change.
#[pin_data]
struct DeviceSet {
    #[pin]
    inner: Opaque<vb::vfio_device_set>,
}

// SAFETY: The set has its own lock.
unsafe impl Send for DeviceSet {}
// SAFETY: As above.
unsafe impl Sync for DeviceSet {}

impl DeviceSet {
    fn new(id: usize) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                inner <- Opaque::ffi_init(|slot: *mut vb::vfio_device_set| {
                    // SAFETY: The slot is valid for writes and pinned.
                    unsafe {
                        slot.write(pin_init::zeroed());
                        (*slot).set_id = core::ptr::without_provenance_mut(id);
                        bindings::__mutex_init(
                            &raw mut (*slot).lock,
                            c"vfio_device_set::lock".as_char_ptr(),
                            kernel::static_lock_class!().as_ptr(),
                        );
                        bindings::INIT_LIST_HEAD(&raw mut (*slot).device_list);
                    }
                }),
            }),
            GFP_KERNEL,
        )
    }
}

/// All sets, by their ids.
///
/// The lock protects the tree and how many devices each set counts. It is not held while waiting for
/// the lock of a set, which somebody may have for as long as a reset takes: the other sets go on.
#[pin_data]
pub struct DeviceSets {
    #[pin]
    sets: Mutex<RBTree<usize, Pin<KBox<DeviceSet>>>>,
}

impl DeviceSets {
    /// No sets.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            sets <- new_mutex!(RBTree::new(), "DeviceSets::sets"),
        })
    }

    /// Puts a device that is being set up into the set with this id, the address of what they share.
    ///
    /// # Safety
    ///
    /// The device must not be registered, and nobody else may assign it meanwhile. It must go through
    /// [`Self::leave`] of the same object, and of no other, before it is freed.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the id is 0 or the device is in a set, `ENOMEM`.
    pub unsafe fn assign(&self, device: NonNull<vb::vfio_device>, id: usize) -> Result {
        let device = device.as_ptr();
        // SAFETY: The device is allocated, and ours to set up.
        if id == 0 || unsafe { !(*device).dev_set.is_null() } {
            return Err(EINVAL);
        }
        let set = {
            let mut sets = self.sets.lock();
            let set = match sets.get(&id) {
                Some(set) => set.inner.get(),
                None => {
                    let set = DeviceSet::new(id)?;
                    let raw = set.inner.get();
                    sets.try_create_and_insert(id, set, GFP_KERNEL)?;
                    raw
                }
            };
            // SAFETY: Sets stay while they are in the tree, whose lock protects the count.
            unsafe { (*set).device_count += 1 };
            set
        };
        // SAFETY: A set stays while it counts devices; its lock protects the list.
        unsafe {
            let lock = Mutex::<()>::from_raw(&raw mut (*set).lock);
            let _guard = lock.lock();
            (*device).dev_set = set;
            bindings::list_add_tail(&raw mut (*device).dev_set_list, &raw mut (*set).device_list);
        }
        Ok(())
    }

    /// Takes a device that nobody uses any more out of its set, if it is in one.
    pub fn leave(&self, device: &mut OwnedDevice) {
        let device = device.as_raw();
        // SAFETY: The device is ours; the set stays while the device counts.
        let Some(set) = NonNull::new(unsafe { (*device).dev_set }) else {
            return;
        };
        let set = set.as_ptr();
        // SAFETY: As above; the set's lock protects the list.
        unsafe {
            let lock = Mutex::<()>::from_raw(&raw mut (*set).lock);
            let _guard = lock.lock();
            vb::vfio_helper_list_del(&raw mut (*device).dev_set_list);
            (*device).dev_set = core::ptr::null_mut();
        }
        let mut sets = self.sets.lock();
        // SAFETY: The device counts until here; the lock protects the count. Nobody holds the lock of a
        // set that counts no devices.
        let unused = unsafe {
            (*set).device_count -= 1;
            ((*set).device_count == 0).then(|| (*set).set_id.addr())
        };
        if let Some(id) = unused {
            sets.remove(&id);
        }
    }
}

/// A set whose lock is held by the caller.
pub struct LockedSet(NonNull<vb::vfio_device_set>);

impl LockedSet {
    /// Borrows a set from C.
    ///
    /// # Safety
    ///
    /// `set` must be valid and locked while the object exists.
    pub unsafe fn from_raw(set: NonNull<vb::vfio_device_set>) -> Self {
        Self(set)
    }

    /// The devices in the set.
    pub fn devices(&self) -> impl Iterator<Item = &VfioDevice> {
        // SAFETY: The set is valid, and its list does not change as it is locked.
        let head = unsafe { &raw mut (*self.0.as_ptr()).device_list };
        // SAFETY: As above.
        let mut next = unsafe { (*head).next };
        core::iter::from_fn(move || {
            if next == head {
                return None;
            }
            // SAFETY: The entries of the list are devices, which leave it before they are freed.
            let device = unsafe { container_of!(next, vb::vfio_device, dev_set_list) };
            // SAFETY: As above.
            unsafe {
                next = (*next).next;
                Some(VfioDevice::from_raw(device))
            }
        })
    }

    /// How many times the devices of the set are open.
    pub fn open_count(&self) -> u32 {
        self.devices()
            // SAFETY: The field is protected by the set's lock.
            .map(|device| unsafe { (*device.as_raw()).open_count })
            .fold(0, u32::wrapping_add)
    }
}

impl VfioDevice {
    /// Takes the lock of the device's set.
    ///
    /// # Safety
    ///
    /// The device must be in a set, and not leave it while the lock is held.
    pub(crate) unsafe fn lock_set(&self) -> MutexGuard<'_, ()> {
        // SAFETY: The set is valid by the contract of this function.
        unsafe { Mutex::<()>::from_raw(&raw mut (*(*self.as_raw()).dev_set).lock).lock() }
    }
}
