// SPDX-License-Identifier: GPL-2.0

//! A VFIO device as iommufd has it: what is behind the standard operations `vfio_iommufd_physical_*` and
//! `vfio_iommufd_emulated_*`.
//!
//! A *physical* device does DMA, through the page tables that are attached to it; an *emulated* one has
//! its driver access the memory of an address space. All functions that change something are called with
//! the lock of the device's set held, which protects the fields that iommufd's part of the device is in.
//!
//! C headers: [`include/linux/vfio.h`](srctree/include/linux/vfio.h),
//! [`include/linux/iommufd.h`](srctree/include/linux/iommufd.h)

use crate::{
    ida::Ida,
    vfio_device::VfioDevice, //
};
use core::{
    ffi::c_void,
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi,
    page::PAGE_SIZE,
    prelude::*, //
};
use vfio_bindings as vb;

const NO_PASID: u32 = bindings::IOMMU_NO_PASID;

/// Whether the page tables of the whole device (not those of a PASID) are attached.
///
/// # Safety
///
/// The lock of the device's set must be held.
#[inline]
unsafe fn attached(device: &VfioDevice) -> bool {
    // SAFETY: The device is valid, and the lock protects the field.
    unsafe { (*device.as_raw()).iommufd_attached() != 0 }
}

/// # Safety
///
/// As for [`attached`].
#[inline]
unsafe fn set_attached(device: &VfioDevice, attached: bool) {
    // SAFETY: The device is valid, and the lock protects the field and those in the same byte.
    unsafe { vb::vfio_device::set_iommufd_attached_raw(device.as_raw(), attached.into()) };
}

/// A device that does DMA.
///
/// # Invariants
///
/// The lock of the device's set is held. The field `iommufd_device` is null, or bound by
/// [`Self::bind`]; then `pasids` is initialized, and has the PASIDs that are attached.
pub struct Physical<'a>(&'a VfioDevice);

impl Physical<'_> {
    /// Borrows a device from C.
    ///
    /// # Safety
    ///
    /// The device must stay allocated and the lock of its set be held while this exists; its driver must
    /// use the physical operations only.
    #[inline]
    pub unsafe fn from_raw(device: *mut vb::vfio_device) -> Self {
        // INVARIANT: By the contract of this function.
        // SAFETY: As above.
        Self(unsafe { VfioDevice::from_raw(device) })
    }

    #[inline]
    fn idev(&self) -> Option<NonNull<vb::iommufd_device>> {
        // SAFETY: The lock is held by the type invariant.
        NonNull::new(unsafe { (*self.0.as_raw()).iommufd_device })
    }

    #[inline]
    fn pasids(&self) -> &Ida {
        // SAFETY: Only called when the device is bound, so it is initialized by the type invariant.
        unsafe { Ida::from_raw(&raw mut (*self.0.as_raw()).pasids) }
    }

    /// Gives the DMA of the device to an iommufd; answers with the number that it has there.
    ///
    /// # Safety
    ///
    /// `ctx` must be valid.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is bound; those of iommufd, such as `EPERM` if somebody else has the group.
    #[inline]
    pub unsafe fn bind(&self, ctx: *mut vb::iommufd_ctx) -> Result<u32> {
        if self.idev().is_some() {
            return Err(EBUSY);
        }
        let mut id = 0;
        let device = self.0.as_raw();
        // SAFETY: All are valid.
        let idev = from_err_ptr(unsafe { vb::iommufd_device_bind(ctx, (*device).dev, &mut id) })?;
        // INVARIANT: Bound, and there are no PASIDs yet.
        // SAFETY: The lock is held by the type invariant.
        unsafe {
            vb::vfio_helper_ida_init(&raw mut (*device).pasids);
            (*device).iommufd_device = idev;
        }
        Ok(id)
    }

    /// Takes it back, with all that is attached.
    #[inline]
    pub fn unbind(&self) {
        let Some(idev) = self.idev() else {
            return;
        };
        while let Some(pasid) = self.pasids().first() {
            self.detach_pasid(pasid);
        }
        self.detach();
        // SAFETY: Bound by the type invariant, and nothing is attached.
        unsafe {
            vb::iommufd_device_unbind(idev.as_ptr());
            (*self.0.as_raw()).iommufd_device = core::ptr::null_mut();
        }
    }

    /// # Safety
    ///
    /// `replace` must tell whether something is attached to this PASID.
    #[inline]
    unsafe fn change(&self, pasid: u32, replace: bool, pt: &mut u32) -> Result {
        let idev = self.idev().ok_or(EINVAL)?.as_ptr();
        // SAFETY: Bound by the type invariant.
        to_result(unsafe {
            if replace {
                vb::iommufd_device_replace(idev, pasid, pt)
            } else {
                vb::iommufd_device_attach(idev, pasid, pt)
            }
        })
    }

    /// Attaches an address space or page tables, in place of those that are there. `pt` is their number,
    /// and becomes that of the page tables that are used.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device is not bound; those of iommufd. What was attached stays so.
    #[inline]
    pub fn attach(&self, pt: &mut u32) -> Result {
        // SAFETY: The lock is held, and the field says what is attached.
        unsafe {
            self.change(NO_PASID, attached(self.0), pt)?;
            set_attached(self.0, true);
        }
        Ok(())
    }

    /// Undoes [`Self::attach`], if something is attached.
    #[inline]
    pub fn detach(&self) {
        let Some(idev) = self.idev() else {
            return;
        };
        // SAFETY: Bound by the type invariant, and the field says whether something is attached.
        unsafe {
            if attached(self.0) {
                vb::iommufd_device_detach(idev.as_ptr(), NO_PASID);
                set_attached(self.0, false);
            }
        }
    }

    /// As [`Self::attach`], for one PASID.
    ///
    /// # Errors
    ///
    /// Also `ENOSPC` for a PASID that cannot be, `ENOMEM`.
    #[inline]
    pub fn attach_pasid(&self, pasid: u32, pt: &mut u32) -> Result {
        if self.idev().is_none() {
            return Err(EINVAL);
        }
        let replace = self.pasids().contains(pasid);
        if !replace {
            self.pasids().alloc(pasid)?;
        }
        // SAFETY: The set has the PASIDs to which something is attached.
        unsafe { self.change(pasid, replace, pt) }.inspect_err(|_| {
            if !replace {
                self.pasids().free(pasid);
            }
        })
    }

    /// As [`Self::detach`], for one PASID.
    #[inline]
    pub fn detach_pasid(&self, pasid: u32) {
        let Some(idev) = self.idev() else {
            return;
        };
        if self.pasids().contains(pasid) {
            // SAFETY: Bound by the type invariant, and something is attached to the PASID.
            unsafe { vb::iommufd_device_detach(idev.as_ptr(), pasid) };
            self.pasids().free(pasid);
        }
    }
}

/// The iommufd that a device that does DMA is bound to; null if it is to none.
///
/// # Safety
///
/// `device` must be valid; the answer is only good as long as the lock of its set is held, or the device
/// open.
#[inline]
pub unsafe fn ctx_of(device: *mut vb::vfio_device) -> *mut vb::iommufd_ctx {
    // SAFETY: By the contract of this function.
    unsafe {
        NonNull::new((*device).iommufd_device).map_or(core::ptr::null_mut(), |idev| {
            vb::iommufd_device_to_ictx(idev.as_ptr())
        })
    }
}

/// The number that the device has in `ctx`.
///
/// # Safety
///
/// `device` must be valid, and `ctx` null or valid; the lock of the device's set must be held.
///
/// # Errors
///
/// `ENOENT` if another device of its group is bound there, `ENODEV` if none is; `EINVAL` if neither the
/// device nor `ctx` is there.
#[inline]
pub unsafe fn id_in(device: *mut vb::vfio_device, ctx: *mut vb::iommufd_ctx) -> Result<u32> {
    // SAFETY: By the contract of this function.
    let (bound, device) = unsafe { (ctx_of(device), VfioDevice::from_raw(device)) };
    if core::ptr::eq(bound, ctx) {
        // SAFETY: The lock is held.
        let idev = NonNull::new(unsafe { (*device.as_raw()).iommufd_device }).ok_or(EINVAL)?;
        // SAFETY: The device is bound.
        return Ok(unsafe { vb::iommufd_device_to_id(idev.as_ptr()) });
    }
    let group = crate::iommu_group::IommuGroup::of(device.parent()).ok_or(ENODEV)?;
    // SAFETY: The group is valid, and the context null or valid, which are both allowed.
    if unsafe { vb::iommufd_ctx_has_group(ctx, group.as_raw()) } {
        Err(ENOENT)
    } else {
        Err(ENODEV)
    }
}

/// How iommufd tells the driver of an emulated device what is unmapped.
// A byte of bit-fields, which bindgen cannot set in a constant: `needs_pin_pages` is its first bit.
static ACCESS_OPS: vb::iommufd_access_ops = vb::iommufd_access_ops {
    _bitfield_align_1: [],
    _bitfield_1: vb::__BindgenBitfieldUnit::new([if cfg!(target_endian = "little") {
        1
    } else {
        0x80
    }]),
    unmap: Some(unmapped),
};

/// Tells the driver what is unmapped.
///
/// Called by: `iommufd_access_notify_unmap()`, as `iommufd_access_ops.unmap`.
///
/// Context: an unmap or the end of iommufd's access, its locks held; may sleep.
///
/// # Safety
///
/// Only for iommufd to call, with the device that [`Emulated::bind`] passed.
#[inline]
unsafe extern "C" fn unmapped(data: *mut c_void, iova: ffi::c_ulong, length: ffi::c_ulong) {
    let device: *mut vb::vfio_device = data.cast();
    // SAFETY: The device is bound, so it and its driver are there.
    unsafe {
        if let Some(unmap) = (*(*device).ops).dma_unmap {
            unmap(device, iova as u64, length as u64);
        }
    }
}

/// A device whose driver accesses memory in its place.
///
/// # Invariants
///
/// The lock of the device's set is held. The field `iommufd_access` is null, or made by
/// [`Self::bind`].
pub struct Emulated<'a>(&'a VfioDevice);

impl Emulated<'_> {
    /// Borrows a device from C.
    ///
    /// # Safety
    ///
    /// The device must stay allocated and the lock of its set be held while this exists; its driver must
    /// use the emulated operations only, and be bound while the device is bound to an iommufd.
    #[inline]
    pub unsafe fn from_raw(device: *mut vb::vfio_device) -> Self {
        // INVARIANT: By the contract of this function.
        // SAFETY: As above.
        Self(unsafe { VfioDevice::from_raw(device) })
    }

    #[inline]
    fn access(&self) -> Option<NonNull<vb::iommufd_access>> {
        // SAFETY: The lock is held by the type invariant.
        NonNull::new(unsafe { (*self.0.as_raw()).iommufd_access })
    }

    /// Lets the driver access what an iommufd has; answers with the number that the device has there.
    ///
    /// # Safety
    ///
    /// `ctx` must be valid.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is bound, `ENOMEM`.
    #[inline]
    pub unsafe fn bind(&self, ctx: *mut vb::iommufd_ctx) -> Result<u32> {
        if self.access().is_some() {
            return Err(EBUSY);
        }
        let mut id = 0;
        let device = self.0.as_raw();
        // SAFETY: All are valid, and the device stays so while it is bound.
        let access = from_err_ptr(unsafe {
            vb::iommufd_access_create(ctx, &ACCESS_OPS, device.cast(), &mut id)
        })?;
        // SAFETY: The lock is held by the type invariant.
        unsafe { (*device).iommufd_access = access };
        Ok(id)
    }

    /// Ends that. The driver is told that everything is unmapped.
    #[inline]
    pub fn unbind(&self) {
        if let Some(access) = self.access() {
            // SAFETY: Made by `bind`, and the driver does not use it any more.
            unsafe {
                vb::iommufd_access_destroy(access.as_ptr());
                set_attached(self.0, false);
                (*self.0.as_raw()).iommufd_access = core::ptr::null_mut();
            }
        }
    }

    /// Attaches the address space with the number `ioas`, in place of that which is there.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device is not bound; those of iommufd. What was attached stays so.
    #[inline]
    pub fn attach(&self, ioas: u32) -> Result {
        let access = self.access().ok_or(EINVAL)?.as_ptr();
        // SAFETY: Made by `bind`, and the field says whether something is attached.
        unsafe {
            to_result(if attached(self.0) {
                vb::iommufd_access_replace(access, ioas)
            } else {
                vb::iommufd_access_attach(access, ioas)
            })?;
            set_attached(self.0, true);
        }
        Ok(())
    }

    /// Undoes [`Self::attach`], if something is attached.
    #[inline]
    pub fn detach(&self) {
        let Some(access) = self.access() else {
            return;
        };
        // SAFETY: Made by `bind`, and the field says whether something is attached.
        unsafe {
            if attached(self.0) {
                vb::iommufd_access_detach(access.as_ptr());
                set_attached(self.0, false);
            }
        }
    }
}

/// The access of an open emulated device to the memory of an iommufd.
///
/// # Invariants
///
/// Valid while the device is open.
pub struct Access(NonNull<vb::iommufd_access>);

impl Access {
    /// That of a device, if it is bound to an iommufd.
    ///
    /// # Safety
    ///
    /// The device must be open while the result exists.
    #[inline]
    pub unsafe fn of(device: &VfioDevice) -> Option<Self> {
        // INVARIANT: By the contract of this function: it is made before the driver opens the device,
        // and destroyed after it closed it.
        // SAFETY: The device is valid.
        NonNull::new(unsafe { (*device.as_raw()).iommufd_access }).map(Self)
    }

    /// Pins what is mapped at `iova`, one page for each entry of `pages`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are too many, else those of iommufd.
    #[inline]
    pub fn pin_pages(
        &self,
        iova: u64,
        write: bool,
        pages: &mut [MaybeUninit<*mut bindings::page>],
    ) -> Result {
        let (start, length) = range(iova, pages.len()).ok_or(EINVAL)?;
        // SAFETY: The access is valid, and `pages` has an entry for each page.
        to_result(unsafe {
            vb::iommufd_access_pin_pages(
                self.0.as_ptr(),
                start,
                length,
                pages.as_mut_ptr().cast(),
                flags(write),
            )
        })
    }

    /// Undoes [`Self::pin_pages`].
    ///
    /// # Safety
    ///
    /// The pages must be pinned by it, and nobody use them any more who counts on that.
    #[inline]
    pub unsafe fn unpin_pages(&self, iova: u64, count: usize) {
        if let Some((start, length)) = range(iova, count) {
            // SAFETY: The access is valid; for the rest by the contract of this function.
            unsafe { vb::iommufd_access_unpin_pages(self.0.as_ptr(), start, length) };
        }
    }

    /// Copies between kernel memory and what is mapped at `iova`.
    ///
    /// # Safety
    ///
    /// `data` must be valid for `len` bytes: for reads if `write`, else for writes.
    ///
    /// # Errors
    ///
    /// Those of iommufd.
    #[inline]
    pub unsafe fn rw(&self, iova: u64, data: NonNull<c_void>, len: usize, write: bool) -> Result {
        let iova = ffi::c_ulong::try_from(iova).map_err(|_| EINVAL)?;
        let kthread = if crate::task::has_mm() {
            0
        } else {
            vb::IOMMUFD_ACCESS_RW_KTHREAD
        };
        // SAFETY: The access is valid, and the buffer by the contract of this function.
        to_result(unsafe {
            vb::iommufd_access_rw(
                self.0.as_ptr(),
                iova,
                data.as_ptr(),
                len,
                flags(write) | kthread,
            )
        })
    }
}

#[inline]
fn flags(write: bool) -> ffi::c_uint {
    if write {
        vb::IOMMUFD_ACCESS_RW_WRITE
    } else {
        vb::IOMMUFD_ACCESS_RW_READ
    }
}

/// The pages from the one that `iova` is in, in bytes.
#[inline]
fn range(iova: u64, pages: usize) -> Option<(ffi::c_ulong, ffi::c_ulong)> {
    let start = usize::try_from(iova).ok()? & !(PAGE_SIZE - 1);
    Some((start, pages.checked_mul(PAGE_SIZE)?))
}
