// SPDX-License-Identifier: GPL-2.0

//! Pages of a process that stay where they are, for as long as a device uses them.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`Documentation/core-api/pin_user_pages.rst`](srctree/Documentation/core-api/pin_user_pages.rst)

use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::to_result,
    mm::MmWithUser,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
};
use vfio_bindings as vb;
use vfio_logic::extent::Extent;

/// Whether the kernel does not manage the page with this frame number: there is none, such as for
/// device memory, or it is reserved.
pub(crate) fn is_unmanaged(pfn: u64) -> bool {
    // SAFETY: Any number may be asked for; only a valid one has a page.
    unsafe {
        !vb::vfio_helper_pfn_valid(pfn as usize)
            || vb::vfio_helper_page_reserved(vb::vfio_helper_pfn_to_page(pfn as usize))
    }
}

/// The most pages that are unpinned without looking whether somebody else needs the processor.
const UNPIN_STEP: u64 = 1 << 18;

/// Unpins `pages` pages from `pfn` on. May sleep.
///
/// # Safety
///
/// Each of them must be pinned, and the caller gives up one pin of each.
#[inline]
pub(crate) unsafe fn unpin(pfn: u64, pages: u64, dirty: bool) {
    let (mut pfn, mut pages) = (pfn, pages);
    while pages > UNPIN_STEP {
        // SAFETY: By the contract of this function.
        unsafe { unpin_step(pfn, UNPIN_STEP, dirty) };
        pfn += UNPIN_STEP;
        pages -= UNPIN_STEP;
        cond_resched();
    }
    // SAFETY: By the contract of this function.
    unsafe { unpin_step(pfn, pages, dirty) };
}

/// # Safety
///
/// As for [`unpin`].
#[inline]
unsafe fn unpin_step(pfn: u64, pages: u64, dirty: bool) {
    // SAFETY: The pages are pinned, so they exist; for the rest by the contract of this function.
    unsafe {
        bindings::unpin_user_page_range_dirty_lock(
            vb::vfio_helper_pfn_to_page(pfn as usize),
            pages as usize,
            dirty,
        )
    };
}

/// Gives the CPU to who needs it more. May sleep.
pub fn cond_resched() {
    // SAFETY: Called where sleeping is allowed.
    unsafe { vb::vfio_helper_cond_resched() };
}

/// Whether the current task is being killed.
pub fn fatal_signal_pending() -> bool {
    // SAFETY: Looks at the current task only.
    unsafe { vb::vfio_helper_fatal_signal_pending() }
}

/// What is at an address of a process.
pub(crate) enum Found {
    /// So many pages, at least one, which are now pinned, and whose pointers are at the start of the
    /// array.
    Pages(usize),
    /// Memory that has no pages, or that only the device driver manages; not pinned.
    Frames(Extent),
}

/// The most pages that are looked for at a time with interrupts disabled.
const FAST_BATCH: usize = 512;

/// Pins the pages from `vaddr` on up to the first that is not present, or not so that it could be pinned
/// without more ado; answers how many. None if `mm` is not that of the current task.
///
/// Unlike `pin_user_pages_remote` this needs no lock in most cases, and works on whole huge pages.
fn find_present(
    mm: &MmWithUser,
    vaddr: usize,
    write: bool,
    pages: &mut [MaybeUninit<*mut bindings::page>],
) -> usize {
    // SAFETY: `current` is always valid.
    let own = unsafe { (*kernel::task::Task::current_raw()).mm };
    if own != mm.as_raw() {
        return 0;
    }
    // What would fault is for who calls us: the fault would wait for a user fault handler, say.
    let mut flags = bindings::FOLL_LONGTERM | bindings::FOLL_NOFAULT;
    if write {
        flags |= bindings::FOLL_WRITE;
    }
    let mut done = 0;
    for part in pages.chunks_mut(FAST_BATCH) {
        // SAFETY: There is room for that many pointers.
        let ret = unsafe {
            bindings::pin_user_pages_fast(
                vaddr + (done << PAGE_SHIFT),
                part.len() as i32,
                flags,
                part.as_mut_ptr().cast(),
            )
        };
        let count = usize::try_from(ret).unwrap_or(0).min(part.len());
        done += count;
        if count < part.len() {
            break;
        }
    }
    done
}

/// Pins as many pages as fit into `pages`, at most `want`, from `vaddr` on.
///
/// # Errors
///
/// `EFAULT` if nothing is mapped there, or not writable although `write` is set; `EINTR` if the
/// current task is being killed; `ENOMEM`.
pub(crate) fn find(
    mm: &MmWithUser,
    vaddr: usize,
    want: u64,
    write: bool,
    pages: &mut [MaybeUninit<*mut bindings::page>],
) -> Result<Found> {
    let count = want.min(pages.len() as u64) as usize;
    let present = find_present(mm, vaddr, write, pages.get_mut(..count).unwrap_or_default());
    if present > 0 {
        return Ok(Found::Pages(present));
    }

    let mut flags = bindings::FOLL_LONGTERM;
    if write {
        flags |= bindings::FOLL_WRITE;
    }

    let guard = mm.mmap_read_lock();
    // SAFETY: `mm` is valid and its lock held for reading, and there is room for `count` pointers.
    let ret = unsafe {
        bindings::pin_user_pages_remote(
            mm.as_raw(),
            vaddr,
            count,
            flags,
            pages.as_mut_ptr().cast(),
            core::ptr::null_mut(),
        )
    };
    if ret > 0 {
        return Ok(Found::Pages((ret as usize).min(count)));
    }
    let no_pages = if ret == 0 {
        EFAULT
    } else {
        Error::from_errno(ret as i32)
    };

    // SAFETY: `mm` is valid and its lock is held.
    let vaddr = unsafe { vb::vfio_helper_untagged_addr_remote(mm.as_raw(), vaddr) };
    loop {
        let Some(vma) = guard.vma_lookup(vaddr) else {
            return Err(no_pages);
        };
        if vma.flags() & bindings::VM_PFNMAP == 0 {
            return Err(no_pages);
        }
        // SAFETY: The area is valid and contains the address, and the lock of `mm` is held. When the
        // lock was dropped in between, the area is not used again but looked up anew.
        let (frame, mask) = match unsafe { follow_frame(mm, vma.as_ptr(), vaddr, write) } {
            Err(e) if e == EAGAIN => continue,
            other => other?,
        };
        if !is_unmanaged(frame) {
            return Err(EFAULT);
        }
        // The entry maps a naturally aligned block: up to its end the frames follow each other.
        let rest = (!mask >> PAGE_SHIFT)
            .wrapping_sub(frame & (!mask >> PAGE_SHIFT))
            .wrapping_add(1);
        return Ok(Found::Frames(Extent::new(frame, want.min(rest), false)));
    }
}

/// Finds the frame that `vaddr` maps to, and the mask of the addresses within the mapped block.
///
/// # Errors
///
/// `EAGAIN` if the lock was dropped, so that `vma` must not be used again; `EFAULT` if there is
/// nothing, or not writable although `write` is set.
///
/// # Safety
///
/// `vma` must contain `vaddr`, and belong to `mm`, whose lock must be held for reading.
unsafe fn follow_frame(
    mm: &MmWithUser,
    vma: *mut bindings::vm_area_struct,
    vaddr: usize,
    write: bool,
) -> Result<(u64, u64)> {
    let mut args = bindings::follow_pfnmap_args {
        vma,
        address: vaddr,
        ..Default::default()
    };
    // SAFETY: By the contract of this function.
    let mut ret = unsafe { bindings::follow_pfnmap_start(&raw mut args) };
    if ret != 0 {
        let mut flags = bindings::fault_flag_FAULT_FLAG_REMOTE;
        if write {
            flags |= bindings::fault_flag_FAULT_FLAG_WRITE;
        }
        let mut unlocked = false;
        // SAFETY: By the contract of this function. The lock is held again on return.
        ret = unsafe { bindings::fixup_user_fault(mm.as_raw(), vaddr, flags, &raw mut unlocked) };
        if unlocked {
            return Err(EAGAIN);
        }
        to_result(ret)?;
        // SAFETY: The lock was not dropped, so the area is still valid.
        to_result(unsafe { bindings::follow_pfnmap_start(&raw mut args) })?;
    }
    let result = if write && !args.writable {
        Err(EFAULT)
    } else {
        Ok((args.pfn as u64, args.addr_mask as u64))
    };
    // SAFETY: Started successfully above.
    unsafe { bindings::follow_pfnmap_end(&raw mut args) };
    result
}

/// One page of a process, pinned until dropped.
///
/// # Invariants
///
/// `page` is valid for as long as this exists, and pinned for it if `pinned`; else it is reserved.
pub struct PinnedPage {
    page: NonNull<bindings::page>,
    pinned: bool,
    write: bool,
}

impl PinnedPage {
    /// Pins the page of `mm` at `vaddr`; it is to be written to if `write`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if nothing is mapped there, or not writable; `EINVAL` if what is there has no page;
    /// `ENOMEM`; `EINTR`.
    pub fn new(mm: &MmWithUser, vaddr: usize, write: bool) -> Result<Self> {
        let mut pages = [MaybeUninit::uninit(); 1];
        let (page, pinned) = match find(mm, vaddr, 1, write, &mut pages)? {
            // SAFETY: At least one page was found, so its pointer was written.
            Found::Pages(_) => (unsafe { pages[0].assume_init() }, true),
            Found::Frames(extent) => {
                let pfn = extent.pfn() as usize;
                // SAFETY: Any number may be asked for.
                if !unsafe { vb::vfio_helper_pfn_valid(pfn) } {
                    return Err(EINVAL);
                }
                // SAFETY: There is a page for this number.
                (unsafe { vb::vfio_helper_pfn_to_page(pfn) }, false)
            }
        };
        let page = NonNull::new(page).ok_or(EFAULT)?;
        // INVARIANT: As found. Reserved pages are not freed to the page allocator.
        Ok(Self {
            page,
            pinned,
            write,
        })
    }

    /// The C page, for drivers. Valid while this exists.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::page {
        self.page.as_ptr()
    }

    /// The number of its frame.
    #[cfg(CONFIG_SPAPR_TCE_IOMMU)]
    pub(crate) fn pfn(&self) -> u64 {
        // SAFETY: The page is valid by the type invariant.
        unsafe { vb::vfio_helper_page_to_pfn(self.as_raw()) as u64 }
    }

    /// Whether it was pinned to be written to.
    #[cfg(CONFIG_SPAPR_TCE_IOMMU)]
    pub(crate) fn is_written(&self) -> bool {
        self.write
    }

    /// Gives the pin away, for [`Self::from_pfn`]. Nothing happens if the page is not pinned, but reserved.
    #[cfg(CONFIG_SPAPR_TCE_IOMMU)]
    pub(crate) fn forget(self) {
        core::mem::forget(self);
    }

    /// Takes back what [`Self::forget`] gave away.
    ///
    /// # Safety
    ///
    /// The page was pinned, for writing if `write`, and given away, and this pin is not taken back again.
    #[cfg(CONFIG_SPAPR_TCE_IOMMU)]
    pub(crate) unsafe fn from_pfn(pfn: u64, write: bool) -> Option<Self> {
        // SAFETY: A pinned page exists.
        let page = unsafe { vb::vfio_helper_pfn_to_page(pfn as usize) };
        // INVARIANT: By the contract of this function.
        Some(Self {
            page: NonNull::new(page)?,
            pinned: true,
            write,
        })
    }

    /// Whether the page counts as locked memory of its process.
    #[inline]
    pub fn is_accountable(&self) -> bool {
        self.pinned
    }
}

impl Drop for PinnedPage {
    fn drop(&mut self) {
        if self.pinned {
            let page = self.as_raw();
            // SAFETY: By the invariant the page is pinned, which ends here.
            unsafe { bindings::unpin_user_page_range_dirty_lock(page, 1, self.write) };
        }
    }
}

// SAFETY: A pin is not tied to a thread.
unsafe impl Send for PinnedPage {}
// SAFETY: There is nothing to be changed through a shared reference.
unsafe impl Sync for PinnedPage {}

const _: () = assert!(PAGE_SIZE == 1 << PAGE_SHIFT);
