// SPDX-License-Identifier: GPL-2.0

//! IOMMU groups: the sets of devices that an IOMMU can tell apart from others.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    device::Device,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
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
        // SAFETY: The device is valid, and transparent over the C structure.
        let group =
            unsafe { bindings::iommu_group_get(core::ptr::from_ref(dev).cast_mut().cast()) };
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
