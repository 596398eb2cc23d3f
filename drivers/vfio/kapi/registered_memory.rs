// SPDX-License-Identifier: GPL-2.0

//! Memory that a process has registered for DMA, on POWER: pinned and accounted once, mapped often.
//!
//! The regions belong to the address space; several users of it may have registered the same one.
//!
//! C header: [`arch/powerpc/include/asm/mmu_context.h`](srctree/arch/powerpc/include/asm/mmu_context.h)

use crate::uaccess::is_user_range;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    mm::Mm,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        rcu, //
    },
};
use vfio_bindings as vb;
use vfio_logic::tce::RegisterRequest;

/// A registration of a region, until dropped. Who cannot know that nothing of it is mapped ends it by
/// [`Self::end`].
///
/// # Invariants
///
/// `region` is valid, as one of its users is this.
pub struct Registration {
    mm: ARef<Mm>,
    region: NonNull<vb::mm_iommu_table_group_mem_t>,
    request: RegisterRequest,
}

// SAFETY: A registration is not tied to a thread.
unsafe impl Send for Registration {}
// SAFETY: The kernel's functions have their own lock.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers memory of the current process: joins who has registered just this, or pins and accounts it.
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a part of it is registered in another region, `ENOMEM` without memory or beyond the limit
    /// of locked memory, `EFAULT` if it is not all there and writable.
    pub fn new(request: &RegisterRequest) -> Result<Self> {
        let task = kernel::current!();
        let mm = task.mm().ok_or(EFAULT)?;
        let (vaddr, pages) = (request.vaddr as usize, request.pages as usize);
        if pages > usize::MAX >> PAGE_SHIFT || !is_user_range(vaddr, pages << PAGE_SHIFT) {
            return Err(EFAULT);
        }
        // SAFETY: `mm` is valid.
        let mut region = unsafe { vb::mm_iommu_get(mm.as_raw(), vaddr, pages) };
        if region.is_null() {
            // SAFETY: `mm` is that of the current task, and the range is in user space.
            let ret = unsafe { vb::mm_iommu_new(mm.as_raw(), vaddr, pages, &raw mut region) };
            // A positive number is that of the pages that could be pinned of more: an error as well.
            to_result(ret as i32)?;
            if ret != 0 {
                return Err(EFAULT);
            }
        }
        let mm: &Mm = mm;
        // INVARIANT: Either function made us a user.
        Ok(Self {
            mm: mm.into(),
            region: NonNull::new(region).ok_or(EFAULT)?,
            request: *request,
        })
    }

    /// Whether it is memory of the process with `mm`.
    pub fn is_of(&self, mm: &Mm) -> bool {
        self.mm.as_raw() == mm.as_raw()
    }

    /// The memory that is registered.
    pub fn request(&self) -> &RegisterRequest {
        &self.request
    }

    /// Ends the registration. The last one of a region unpins it.
    ///
    /// # Errors
    ///
    /// `EBUSY` if something of it is still mapped; with the registration, which stays then.
    pub fn end(self) -> core::result::Result<(), (Self, Error)> {
        // SAFETY: Valid by the invariant. If there is an error we are still a user.
        let ret = unsafe { vb::mm_iommu_put(self.mm.as_raw(), self.region.as_ptr()) };
        if ret != 0 {
            return Err((self, Error::from_errno(ret as i32)));
        }
        let mut this = core::mem::ManuallyDrop::new(self);
        // SAFETY: Nobody uses what is forgotten.
        unsafe { core::ptr::drop_in_place(&raw mut this.mm) };
        Ok(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Valid by the invariant. If somebody else, who has not registered it, has mapped a part of it,
        // it stays pinned for good: see `end`.
        unsafe { vb::mm_iommu_put(self.mm.as_raw(), self.region.as_ptr()) };
    }
}

/// A page of the IOMMU in a registered region, which stays registered until this is dropped.
///
/// # Invariants
///
/// `region` is valid, and counts this as mapped.
pub(crate) struct MappedPage {
    region: NonNull<vb::mm_iommu_table_group_mem_t>,
    physical: u64,
}

impl MappedPage {
    /// Finds the `1 << shift` bytes at `vaddr`, which is a multiple of that, in the registered memory of `mm`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are not in one region, or not in one page of it; `EPERM` if they are more than the
    /// page that is there; `ENXIO` if the region is going away.
    pub(crate) fn find(mm: &Mm, vaddr: u64, shift: u32) -> Result<Self> {
        let size = 1usize.checked_shl(shift).ok_or(EINVAL)?;
        let vaddr = vaddr as usize;
        if vaddr & (size - 1) != 0 || !is_user_range(vaddr, size) {
            return Err(EINVAL);
        }
        let mut this = {
            // A region is freed a grace period after it was taken off the list.
            let _rcu = rcu::read_lock();
            // SAFETY: `mm` is valid.
            let region = unsafe { vb::mm_iommu_lookup(mm.as_raw(), vaddr, size) };
            let region = NonNull::new(region).ok_or(EINVAL)?;
            // SAFETY: Valid in the RCU section. One that is going away cannot be counted any more.
            let ret = unsafe { vb::mm_iommu_mapped_inc(region.as_ptr()) };
            to_result(ret as i32)?;
            // INVARIANT: Counted just now, and what is counted is not freed.
            Self {
                region,
                physical: 0,
            }
        };
        let mut physical = 0;
        // SAFETY: The region is valid by the invariant.
        let ret = unsafe {
            vb::mm_iommu_ua_to_hpa(this.region.as_ptr(), vaddr, shift, &raw mut physical)
        };
        if ret != 0 {
            return Err(EINVAL);
        }
        if !is_contained(physical as u64, shift) {
            return Err(EPERM);
        }
        this.physical = physical as u64;
        Ok(this)
    }

    /// Its physical address.
    pub(crate) fn physical(&self) -> u64 {
        self.physical
    }

    /// Gives the count away, for [`Self::take_back`].
    pub(crate) fn forget(self) {
        core::mem::forget(self);
    }

    /// Takes back what [`Self::forget`] gave away.
    ///
    /// # Safety
    ///
    /// The page was found with these arguments and given away, and is not taken back again.
    pub(crate) unsafe fn take_back(mm: &Mm, vaddr: u64, shift: u32) -> Option<Self> {
        let size = 1usize.checked_shl(shift)?;
        // The region is in the list as long as it is counted, and no other may overlap it.
        let _rcu = rcu::read_lock();
        // SAFETY: `mm` is valid.
        let region = unsafe { vb::mm_iommu_lookup(mm.as_raw(), vaddr as usize, size) };
        // INVARIANT: By the contract of this function.
        Some(Self {
            region: NonNull::new(region)?,
            physical: 0,
        })
    }
}

impl Drop for MappedPage {
    fn drop(&mut self) {
        // SAFETY: Valid, and counted, by the invariant.
        unsafe { vb::mm_iommu_mapped_dec(self.region.as_ptr()) };
    }
}

/// Whether the `1 << shift` bytes at a physical address are in one page of memory, however large, so that a
/// device that reaches them reaches nothing else.
pub(crate) fn is_contained(physical: u64, shift: u32) -> bool {
    let pfn = (physical >> PAGE_SHIFT) as usize;
    // SAFETY: Any number may be asked for; only a valid one has a page.
    unsafe {
        vb::vfio_helper_pfn_valid(pfn)
            && vb::vfio_helper_compound_page_shift(vb::vfio_helper_pfn_to_page(pfn)) >= shift
    }
}
