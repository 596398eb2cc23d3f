// SPDX-License-Identifier: GPL-2.0

//! Mappings: which pages they own.

use crate::pin;
use kernel::{
    bindings,
    page::PAGE_SHIFT,
    prelude::*, //
};
use vfio_logic::extent::Extent;

/// The most extents that are unpinned without looking whether somebody else needs the processor.
const UNPIN_BATCH: usize = 64;

/// The number of no space.
const NOWHERE: u64 = 0;

/// The physical pages behind a mapping, as far as they are mapped.
pub(super) enum Store {
    /// None.
    Empty,
    /// One extent.
    One(Extent),
    /// All of them, in order.
    Many(KVVec<Extent>),
    /// Too many to be remembered: the I/O page tables know them.
    Walk {
        /// Whether every page is pinned; else those are that the kernel manages.
        all_pinned: bool,
    },
}

/// Pages that are mapped at consecutive I/O addresses.
///
/// Give it to [`IoSpace::unmap`](super::IoSpace::unmap) or [`IoSpace::unmap_each`](super::IoSpace::unmap_each) in
/// the end: dropped before, its pages stay pinned forever. Dropping it may sleep.
///
/// # Invariants
///
/// The first `done` pages are described by `store`, which owns a pin of each that it says is pinned. They are
/// mapped in the domains of the space numbered `space`, or those domains are gone; if that is [`NOWHERE`], no
/// domain translates to them.
pub struct IoMapping {
    pub(super) iova: u64,
    pub(super) pages: u64,
    pub(super) done: u64,
    pub(super) space: u64,
    pub(super) store: Store,
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Store {
    /// Adds the next pages; `budget` is how many extents there may be.
    pub(super) fn extend(&mut self, next: &[Extent], budget: u64) {
        let mut rest = next.iter();
        loop {
            if let Store::Walk { all_pinned } = self {
                *all_pinned &= rest.all(Extent::is_pinned);
                return;
            }
            match rest.next() {
                Some(extent) => self.push(extent, budget),
                None => return,
            }
        }
    }

    fn push(&mut self, next: &Extent, budget: u64) {
        let grown = match self {
            Store::Empty => {
                *self = Store::One(*next);
                true
            }
            Store::One(extent) => {
                extent.merge(next) || {
                    let first = *extent;
                    match KVVec::with_capacity(4, GFP_KERNEL_ACCOUNT) {
                        Ok(mut list) => {
                            let pushed = list.push(first, GFP_KERNEL_ACCOUNT).is_ok()
                                && list.push(*next, GFP_KERNEL_ACCOUNT).is_ok();
                            if pushed {
                                *self = Store::Many(list);
                            }
                            pushed
                        }
                        Err(_) => false,
                    }
                }
            }
            Store::Many(list) => {
                list.last_mut().is_some_and(|extent| extent.merge(next))
                    || ((list.len() as u64) < budget
                        && list.push(*next, GFP_KERNEL_ACCOUNT).is_ok())
            }
            Store::Walk { all_pinned } => {
                *all_pinned &= next.is_pinned();
                true
            }
        };
        if !grown {
            let all_pinned = next.is_pinned() && self.extents().iter().all(Extent::is_pinned);
            *self = Store::Walk { all_pinned };
        }
    }

    /// The extents, if they are remembered.
    pub(super) fn extents(&self) -> &[Extent] {
        match self {
            Store::One(extent) => core::slice::from_ref(extent),
            Store::Many(list) => list,
            Store::Empty | Store::Walk { .. } => &[],
        }
    }
}

impl IoMapping {
    /// Nothing yet, of what is to be `bytes` bytes, a multiple of the page size, at `iova`.
    pub fn new(iova: u64, bytes: u64, read: bool, write: bool) -> Self {
        // INVARIANT: Nothing is mapped.
        Self {
            iova,
            pages: bytes >> PAGE_SHIFT,
            done: 0,
            space: NOWHERE,
            store: Store::Empty,
            read,
            write,
        }
    }

    /// Whether it has been filled, and was not unmapped since.
    #[inline]
    pub fn is_mapped(&self) -> bool {
        self.done != 0 && self.space != NOWHERE
    }

    /// How many extents are remembered; 0 if there are too many of them.
    pub fn extents(&self) -> usize {
        self.store.extents().len()
    }

    /// Whether the device may read.
    #[inline]
    pub fn readable(&self) -> bool {
        self.read
    }

    /// Whether the device may write.
    #[inline]
    pub fn writable(&self) -> bool {
        self.write
    }

    /// The first address.
    #[inline]
    pub fn iova(&self) -> u64 {
        self.iova
    }

    /// The number of bytes that it is to map.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.pages << PAGE_SHIFT
    }

    /// Forgets what was mapped: it is not any more, and the pins were given back, or are never to be.
    #[inline]
    pub(super) fn clear(&mut self) {
        // INVARIANT: Nothing is mapped.
        self.done = 0;
        self.store = Store::Empty;
        self.space = NOWHERE;
    }

    /// Takes note of an attempt to take all translations out of all domains: if it was `complete`, the pages
    /// are unpinned when the mapping is dropped, or by [`Self::unpin`]. Else a device may still reach them, so
    /// they stay pinned.
    ///
    /// # Safety
    ///
    /// If `complete`, no domain may translate to the pages any more when the mapping can be used next.
    #[inline]
    pub(super) unsafe fn unmapped(&mut self, complete: bool) {
        if complete {
            // INVARIANT: By the contract of this function.
            self.space = NOWHERE;
        } else {
            super::unmap::warn_short();
            self.clear();
        }
    }

    /// Unpins the pages if no domain translates to them any more.
    #[inline]
    pub(super) fn unpin(&mut self) {
        if self.is_mapped() {
            return;
        }
        if let Store::One(extent) = &self.store {
            // SAFETY: By the invariant no domain translates to it. It is forgotten below.
            unsafe { unpin_extent(extent, self.write) };
        } else {
            self.unpin_many();
        }
        self.clear();
    }

    /// The end of one that was filled.
    fn drop_filled(&mut self) {
        match &self.store {
            _ if self.is_mapped() => pr_err!("{} pages of a mapping stay pinned\n", self.done),
            // SAFETY: By the invariant no domain translates to it, and it goes.
            Store::One(extent) => unsafe { unpin_extent(extent, self.write) },
            _ => self.unpin_many(),
        }
    }

    /// Does it for any number of extents, which have to be forgotten next.
    #[inline(never)]
    fn unpin_many(&self) {
        for extents in self.store.extents().chunks(UNPIN_BATCH) {
            for extent in extents {
                // SAFETY: As in `unpin` and `drop_filled`, the only callers.
                unsafe { unpin_extent(extent, self.write) };
            }
            pin::cond_resched();
        }
    }

    pub(super) fn prot(&self) -> i32 {
        let mut prot = bindings::IOMMU_CACHE;
        if self.read {
            prot |= bindings::IOMMU_READ;
        }
        if self.write {
            prot |= bindings::IOMMU_WRITE;
        }
        prot as i32
    }
}

/// Unpins what is pinned of an extent.
///
/// # Safety
///
/// No domain may translate to it any more, and it must not be unpinned again.
#[inline]
unsafe fn unpin_extent(extent: &Extent, dirty: bool) {
    if extent.is_pinned() {
        // SAFETY: By the contract of this function.
        unsafe { pin::unpin(extent.pfn(), extent.pages(), dirty) };
    }
}

impl Drop for IoMapping {
    #[inline(always)]
    fn drop(&mut self) {
        if self.done != 0 {
            self.drop_filled();
        }
    }
}
