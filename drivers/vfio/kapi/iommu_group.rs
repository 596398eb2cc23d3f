// SPDX-License-Identifier: GPL-2.0

//! IOMMU groups: the sets of devices that an IOMMU can tell apart from others.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)

use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    container_of,
    device::Device,
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        rcu, //
    },
    types::Opaque, //
};

/// A group of devices that the IOMMU cannot isolate from one another.
///
/// # Invariants
///
/// Instances are valid and reference-counted by the kernel.
#[repr(transparent)]
pub struct IommuGroup(Opaque<bindings::iommu_group>);

impl IommuGroup {
    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a group whose reference count stays above zero for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::iommu_group) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast() }
    }

    /// The group that a device is in, if it is in one.
    pub fn of(dev: &Device) -> Option<ARef<Self>> {
        // SAFETY: The device is valid.
        let group = unsafe { bindings::iommu_group_get(dev_raw(dev)) };
        // SAFETY: The function returned a reference, if any, which passes to the result.
        Some(unsafe { ARef::from_raw(NonNull::new(group)?.cast()) })
    }

    /// The C group, for calls into the kernel.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::iommu_group {
        self.0.get()
    }

    /// The number of the group, as in `/sys/kernel/iommu_groups/` and `/dev/vfio/`.
    pub fn id(&self) -> i32 {
        // SAFETY: The group is valid by the type invariant.
        unsafe { bindings::iommu_group_id(self.as_raw()) }
    }

    /// Makes a group of no IOMMU, for devices that need one only for user space to find them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(name: &'static CStr) -> Result<ARef<Self>> {
        // SAFETY: Has no requirements.
        let group = from_err_ptr(unsafe { bindings::iommu_group_alloc() })?;
        // SAFETY: The reference is ours.
        let group: ARef<Self> =
            unsafe { ARef::from_raw(NonNull::new(group).ok_or(ENOMEM)?.cast()) };
        // SAFETY: Both are valid.
        to_result(unsafe { bindings::iommu_group_set_name(group.as_raw(), name.as_char_ptr()) })?;
        Ok(group)
    }

    /// Puts a device that is in no group into this one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or those of sysfs.
    pub fn add_device(&self, dev: &Device) -> Result {
        // SAFETY: Both are valid.
        to_result(unsafe { bindings::iommu_group_add_device(self.as_raw(), dev_raw(dev)) })
    }

    /// Takes a device out of its group, if it is in one.
    pub fn remove_device(dev: &Device) {
        // SAFETY: The device is valid.
        unsafe { bindings::iommu_group_remove_device(dev_raw(dev)) };
    }

    /// Whether somebody owns the DMA of the group's devices, be it a driver of one of them.
    pub fn dma_owner_claimed(&self) -> bool {
        // SAFETY: The group is valid.
        unsafe { bindings::iommu_group_dma_owner_claimed(self.as_raw()) }
    }

    /// Calls `f` for each device, until it answers something.
    pub fn find_device<R>(&self, mut f: impl FnMut(&Device) -> Option<R>) -> Option<R> {
        struct Search<'a, R>(&'a mut dyn FnMut(&Device) -> Option<R>, Option<R>);

        /// Has the function called for one device.
        ///
        /// Called by: `iommu_group_for_each_dev()`, as the argument of
        /// `iommu_group_for_each_dev()`.
        ///
        /// Context: the caller of `iommu_group_for_each_dev()`, here; the group's mutex held.
        ///
        /// # Safety
        ///
        /// `data` must point to a `Search<R>` that nobody else uses.
        unsafe extern "C" fn visit<R>(dev: *mut bindings::device, data: *mut c_void) -> i32 {
            // SAFETY: `dev` is a device of the group, which stays during the call; `data` is the
            // `Search` below, which nobody else uses meanwhile.
            let (dev, search) =
                unsafe { (Device::from_raw(dev), &mut *data.cast::<Search<'_, R>>()) };
            search.1 = (search.0)(dev);
            search.1.is_some().into()
        }

        let mut search = Search(&mut f, None);
        // SAFETY: The group is valid, and `visit` gets what it expects.
        unsafe {
            bindings::iommu_group_for_each_dev(
                self.as_raw(),
                (&raw mut search).cast(),
                Some(visit::<R>),
            )
        };
        search.1
    }

    /// Whether somebody holds the lock of a device, as who binds a driver to it, takes one away or resets it
    /// does. It may be otherwise by the time that this returns.
    #[cfg(CONFIG_SPAPR_TCE_IOMMU)]
    pub fn has_locked_device(&self) -> bool {
        let is_locked = |dev: &Device| {
            // SAFETY: The device is valid; its lock is only looked at.
            let locked = unsafe { bindings::mutex_is_locked(&raw mut (*dev_raw(dev)).mutex) };
            locked.then_some(())
        };
        self.find_device(is_locked).is_some()
    }
}

// SAFETY: The kernel's group functions may be called from any thread.
unsafe impl Send for IommuGroup {}
// SAFETY: As above; the group has its own lock.
unsafe impl Sync for IommuGroup {}

// SAFETY: `iommu_group_ref_get` and `iommu_group_put` count references to the group.
unsafe impl AlwaysRefCounted for IommuGroup {
    fn inc_ref(&self) {
        // SAFETY: The shared reference shows that the count is not zero.
        unsafe { bindings::iommu_group_ref_get(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up one reference that it holds.
        unsafe { bindings::iommu_group_put(obj.cast().as_ptr()) };
    }
}

/// The C device, for calls into the kernel.
pub(crate) fn dev_raw(dev: &Device) -> *mut bindings::device {
    // `Device` is transparent over the C type.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Whether a driver is bound to `dev` that does DMA in the kernel's name, so that user space cannot
/// have the group. A guess for messages: the driver may go at any time.
pub fn uses_dma(dev: &Device) -> bool {
    let dev = dev_raw(dev);
    // A driver is part of a module, whose memory is not freed before an RCU grace period has passed
    // since it was unbound from its devices.
    let _rcu = rcu::read_lock();
    // SAFETY: The device is valid, and so is its driver, if any, in the RCU section.
    unsafe {
        let driver = (&raw const (*dev).driver).read_volatile();
        if driver.is_null() {
            return false;
        }
        if core::ptr::eq((*dev).bus, &raw const bindings::pci_bus_type) {
            return !(*container_of!(driver, bindings::pci_driver, driver)).driver_managed_dma;
        }
    }
    true
}

/// Prints as the name of the driver of a device, or `none`.
pub struct DriverName<'a>(pub &'a Device);

impl fmt::Display for DriverName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As in `uses_dma`.
        let _rcu = rcu::read_lock();
        // SAFETY: The device is valid, and so is its driver, if any, in the RCU section.
        let name = unsafe {
            let driver = (&raw const (*dev_raw(self.0)).driver).read_volatile();
            if driver.is_null() {
                c"none"
            } else {
                CStr::from_char_ptr((*driver).name)
            }
        };
        fmt::Display::fmt(name, f)
    }
}

/// What the IOMMU can do for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IommuCap {
    /// DMA can be coherent with the processors' caches.
    CacheCoherency,
    /// DMA can be forced to be coherent, whatever the device asks for.
    EnforceCacheCoherency,
}

/// Whether an IOMMU is behind a device.
pub fn has_iommu(dev: &Device) -> bool {
    // SAFETY: The device is valid.
    unsafe { !(*dev_raw(dev)).iommu.is_null() }
}

/// Whether the IOMMU in front of `dev` has `cap`.
pub fn device_iommu_capable(dev: &Device, cap: IommuCap) -> bool {
    let cap = match cap {
        IommuCap::CacheCoherency => bindings::iommu_cap_IOMMU_CAP_CACHE_COHERENCY,
        IommuCap::EnforceCacheCoherency => bindings::iommu_cap_IOMMU_CAP_ENFORCE_CACHE_COHERENCY,
    };
    // SAFETY: The device is valid.
    unsafe { bindings::device_iommu_capable(dev_raw(dev), cap) }
}

/// The right to let user space do DMA with all devices of a group; given up when dropped.
///
/// # Invariants
///
/// The group's DMA ownership is claimed, by this.
pub struct DmaOwnership(ARef<IommuGroup>);

impl DmaOwnership {
    /// Claims the DMA of a group.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is claimed, or a driver of a device in the group uses it; `ENOMEM`.
    pub fn claim(group: &ARef<IommuGroup>) -> Result<Self> {
        // Whom it is for only matters for claims of single devices, which this is not: any pointer
        // that is not null will do.
        // SAFETY: The group is valid; the cookie is not dereferenced.
        to_result(unsafe {
            bindings::iommu_group_claim_dma_owner(group.as_raw(), group.as_raw().cast())
        })?;
        // INVARIANT: Claimed just now.
        Ok(Self(group.clone()))
    }
}

impl Drop for DmaOwnership {
    fn drop(&mut self) {
        // SAFETY: Claimed by this, by the type invariant.
        unsafe { bindings::iommu_group_release_dma_owner(self.0.as_raw()) };
    }
}
