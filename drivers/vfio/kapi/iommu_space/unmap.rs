// SPDX-License-Identifier: GPL-2.0

//! Unmapping, and unpinning what then no device can reach any more.

use super::{
    mapping::{
        IoMapping,
        Store, //
    },
    IoSpace, //
};
use crate::{
    iommu_domain::{
        PagingDomain,
        UnmapGather, //
    },
    pin,
};
use kernel::{
    page::PAGE_SHIFT,
    prelude::*, //
};
use vfio_logic::extent::Extent;

/// The most extents whose IOMMU caches are flushed, and whose pages are unpinned, in one go when
/// they have to be looked up.
const WALK_BATCH: usize = 512;

/// The most mappings whose IOMMU caches are flushed in one go, and extents that are unpinned without
/// looking whether somebody else needs the processor.
const UNMAP_BATCH: usize = 64;

/// The extents that a domain translates a range to, as its tables say.
pub(super) struct Walk<'a> {
    domain: &'a PagingDomain,
    pos: u64,
    end: u64,
    /// What `pos` translates to, if known.
    next: Option<u64>,
}

impl<'a> Walk<'a> {
    /// `pages` pages from `iova` on. The end may wrap to zero, hence page numbers.
    pub(super) fn new(domain: &'a PagingDomain, iova: u64, pages: u64) -> Self {
        let pos = iova >> PAGE_SHIFT;
        Self {
            domain,
            pos,
            end: pos + pages,
            next: None,
        }
    }
}

impl Iterator for Walk<'_> {
    /// The number of the first I/O page, of the first frame, and how many there are.
    type Item = (u64, u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        while self.pos < self.end {
            let start = self.pos;
            let phys = match self.next.take() {
                Some(phys) => phys,
                None => self.domain.translate(start << PAGE_SHIFT),
            };
            self.pos += 1;
            if phys == 0 {
                kernel::pr_warn_once!("a mapped page has no translation\n");
                continue;
            }
            let pfn = phys >> PAGE_SHIFT;
            while self.pos < self.end {
                let next = self.domain.translate(self.pos << PAGE_SHIFT);
                if next >> PAGE_SHIFT != pfn + (self.pos - start) {
                    self.next = Some(next);
                    break;
                }
                self.pos += 1;
            }
            return Some((start, pfn, self.pos - start));
        }
        None
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

impl IoSpace {
    /// Takes all translations of `mapping` out of all domains, then unpins its pages.
    pub fn unmap(&self, mapping: &mut IoMapping) {
        if !self.unmap_unless_extents(mapping) {
            return;
        }
        let bytes = mapping.done << PAGE_SHIFT;
        let mut complete = true;
        for domain in &self.domains {
            complete &= domain.unmap(mapping.iova, bytes) == bytes;
        }
        // SAFETY: As `complete` says.
        unsafe { Self::finish(mapping, complete) };
    }

    /// Does it for all `mappings`, with one flush of the IOMMU's caches for many. What follows on
    /// directly is unmapped in one go.
    pub fn unmap_each<'m>(&self, mappings: impl Iterator<Item = &'m mut IoMapping>) {
        let mut slots = [const { None }; UNMAP_BATCH];
        let mut filled = 0;
        for mapping in mappings {
            if !self.unmap_unless_extents(mapping) {
                continue;
            }
            if let Some(slot) = slots.get_mut(filled) {
                *slot = Some(mapping);
                filled += 1;
            }
            if filled == slots.len() {
                self.unmap_batch(&mut slots);
                filled = 0;
            }
        }
        self.unmap_batch(slots.get_mut(..filled).unwrap_or(&mut []));
    }

    /// Unmaps a mapping whose extents have to be looked up; tells whether they are known and it is still
    /// to be unmapped.
    #[inline]
    fn unmap_unless_extents(&self, mapping: &mut IoMapping) -> bool {
        if mapping.done == 0 {
            return false;
        }
        if mapping.space != self.id {
            pr_err!("a mapping belongs to another space\n");
            return false;
        }
        if let Store::Walk { all_pinned } = mapping.store {
            self.unmap_walk(mapping, all_pinned);
            mapping.clear();
            return false;
        }
        true
    }

    /// Unmaps and unpins mappings, all of whose extents are known, and empties the slots.
    fn unmap_batch(&self, slots: &mut [Option<&mut IoMapping>]) {
        let mut complete = true;
        for domain in &self.domains {
            UnmapGather::with(domain, |gather| {
                // What is to be unmapped next: the number of the first page and of the one behind. The
                // address behind it may be zero.
                let (mut first, mut end) = (0, 0);
                for mapping in slots.iter().flatten() {
                    let start = mapping.iova >> PAGE_SHIFT;
                    if start != end {
                        complete &= gather.unmap_pages(first, end);
                        first = start;
                    }
                    end = start + mapping.done;
                }
                complete &= gather.unmap_pages(first, end);
            });
        }
        for mapping in slots.iter_mut().filter_map(Option::take) {
            // SAFETY: As `complete` says.
            unsafe { Self::finish(mapping, complete) };
        }
        pin::cond_resched();
    }

    /// Unpins the pages of a mapping if it is `complete`ly unmapped; they stay pinned otherwise.
    ///
    /// # Safety
    ///
    /// If `complete`, no domain may translate to the pages any more.
    #[inline(always)]
    unsafe fn finish(mapping: &mut IoMapping, complete: bool) {
        match &mapping.store {
            // SAFETY: By the contract of this function. The extent is forgotten below.
            Store::One(extent) if complete => unsafe { unpin_extent(extent, mapping.write) },
            // SAFETY: As above.
            _ => unsafe { Self::finish_many(mapping, complete) },
        }
        mapping.clear();
    }

    /// # Safety
    ///
    /// As for [`Self::finish`]; and the extents have to be forgotten next.
    unsafe fn finish_many(mapping: &IoMapping, complete: bool) {
        if !complete {
            // A device may still reach them, so they stay pinned.
            kernel::pr_warn_once!("the IOMMU unmapped less than was mapped\n");
            return;
        }
        for extents in mapping.store.extents().chunks(UNMAP_BATCH) {
            for extent in extents {
                // SAFETY: By the contract of this function.
                unsafe { unpin_extent(extent, mapping.write) };
            }
            pin::cond_resched();
        }
    }

    fn unmap_walk(&self, mapping: &IoMapping, all_pinned: bool) {
        let Some((first, others)) = self.domains.split_first() else {
            pr_err!("{} pages of a mapping stay pinned\n", mapping.done);
            return;
        };
        for domain in others {
            if domain.unmap(mapping.iova, mapping.done << PAGE_SHIFT) >> PAGE_SHIFT != mapping.done
            {
                kernel::pr_warn_once!("the IOMMU unmapped less than was mapped\n");
                return;
            }
        }

        let mut spare = [Extent::new(0, 0, false); 16];
        let mut list = KVec::from_elem(
            Extent::new(0, 0, false),
            WALK_BATCH.min(mapping.done as usize),
            GFP_KERNEL | __GFP_NOWARN,
        );
        let batch: &mut [Extent] = match &mut list {
            Ok(list) => list,
            Err(_) => &mut spare,
        };

        let mut walk = Walk::new(first, mapping.iova, mapping.done);
        UnmapGather::with(first, |gather| loop {
            let mut filled = 0;
            // The translations of the batch follow each other unless one is missing.
            let mut start = None;
            let mut end = 0;
            for slot in batch.iter_mut() {
                let Some((page, pfn, pages)) = walk.next() else {
                    break;
                };
                if *start.get_or_insert(page) != page && page != end {
                    // After a hole: unmap what is before it, as an unmap stops there.
                    let from = start.replace(page).unwrap_or(page);
                    gather.unmap(from << PAGE_SHIFT, (end - from) << PAGE_SHIFT);
                }
                end = page + pages;
                *slot = Extent::new(pfn, pages, true);
                filled += 1;
            }
            let Some(start) = start else {
                return;
            };
            let unmapped = gather.unmap(start << PAGE_SHIFT, (end - start) << PAGE_SHIFT);
            gather.sync();
            if unmapped >> PAGE_SHIFT != end - start {
                kernel::pr_warn_once!("the IOMMU unmapped less than was mapped\n");
                return;
            }
            for extent in batch.iter().take(filled) {
                Self::unpin_walked(extent, all_pinned, mapping.write);
            }
            pin::cond_resched();
        });
    }

    /// Unpins those pages of `extent` that are pinned.
    fn unpin_walked(extent: &Extent, all_pinned: bool, dirty: bool) {
        if all_pinned {
            // SAFETY: The translations were made from pinned pages only, whose pins are given back
            // once; no domain translates to them any more.
            unsafe { pin::unpin(extent.pfn(), extent.pages(), dirty) };
            return;
        }
        for i in 0..extent.pages() {
            let pfn = extent.pfn() + i;
            if !pin::is_unmanaged(pfn) {
                // SAFETY: As above: frames that are not pinned are never managed by the kernel.
                unsafe { pin::unpin(pfn, 1, dirty) };
            }
        }
    }
}
