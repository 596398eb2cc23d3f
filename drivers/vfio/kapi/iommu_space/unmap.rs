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

/// How many pages are looked up without looking whether somebody else needs the processor.
const WALK_STEP: u64 = 1 << 16;

/// The most mappings that are added to one to be unmapped in one go, and unmaps without looking whether somebody
/// else needs the processor.
const STRETCH: usize = 64;

/// The extents that a domain translates a range to, as its tables say. Going on to the next may sleep.
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
                if self.pos % WALK_STEP == 0 {
                    pin::cond_resched();
                }
            }
            return Some((start, pfn, self.pos - start));
        }
        None
    }
}

/// Says, once, that an IOMMU driver did not unmap what it was told to.
pub(super) fn warn_short() {
    kernel::pr_warn_once!("the IOMMU unmapped less than was mapped\n");
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
        unsafe { mapping.unmapped(complete) };
        mapping.unpin();
    }

    /// Takes all translations of all `mappings` out of all domains, with one flush of the IOMMU's caches. What
    /// follows on directly is unmapped in one go. The pages are unpinned when the mappings are dropped. Goes to the
    /// end of the iterator in any case.
    #[inline]
    pub fn unmap_each<'m>(&self, mappings: impl Iterator<Item = &'m mut IoMapping>) {
        let Some((domain, others)) = self.domains.split_first() else {
            for mapping in mappings.filter(|mapping| mapping.space == self.id) {
                // SAFETY: There is no domain.
                unsafe { mapping.unmapped(true) };
            }
            return;
        };
        let mut mappings = mappings.filter_map(|mapping| {
            let known = self.unmap_unless_extents(mapping);
            known.then_some(mapping)
        });
        // The mappings are borrowed until the gather has flushed.
        UnmapGather::with(domain, |gather| {
            // A mapping, and those of which each follows on the one before. Mostly there are none.
            let mut head: Option<&'m mut IoMapping> = None;
            let mut more = [const { None }; STRETCH];
            let mut filled = 0;
            // The number of their first page, and of the one behind the last. The address behind may be zero.
            let (mut first, mut end) = (0, 0);
            let mut seen: usize = 0;
            loop {
                let mut next = mappings.next();
                let start = next.as_ref().map(|next| next.iova >> PAGE_SHIFT);
                if start == Some(end) && head.is_some() {
                    if let Some(slot) = more.get_mut(filled) {
                        end += next.as_ref().map_or(0, |next| next.done);
                        *slot = next.take();
                        filled += 1;
                        continue;
                    }
                }
                if let Some(head) = head {
                    let mut complete = gather.unmap_pages(first, end);
                    for domain in others {
                        let bytes = (end - first) << PAGE_SHIFT;
                        complete &= domain.unmap(first << PAGE_SHIFT, bytes) == bytes;
                    }
                    // SAFETY: As `complete` says, when the gather has flushed.
                    unsafe { head.unmapped(complete) };
                    for slot in more.iter_mut().take(filled) {
                        let mapping: Option<&'m mut IoMapping> = slot.take();
                        if let Some(mapping) = mapping {
                            // SAFETY: As above.
                            unsafe { mapping.unmapped(complete) };
                        }
                    }
                    filled = 0;
                    seen = seen.wrapping_add(1);
                    if seen % STRETCH == 0 {
                        pin::cond_resched();
                    }
                }
                let Some(next) = next else {
                    break;
                };
                first = next.iova >> PAGE_SHIFT;
                end = first + next.done;
                head = Some(next);
            }
        });
    }

    /// Unmaps a mapping whose extents have to be looked up; tells whether they are known and it is still
    /// to be unmapped.
    #[inline(always)]
    fn unmap_unless_extents(&self, mapping: &mut IoMapping) -> bool {
        if !mapping.is_mapped() {
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

    fn unmap_walk(&self, mapping: &IoMapping, all_pinned: bool) {
        let Some((first, others)) = self.domains.split_first() else {
            pr_err!("{} pages of a mapping stay pinned\n", mapping.done);
            return;
        };
        for domain in others {
            if domain.unmap(mapping.iova, mapping.done << PAGE_SHIFT) >> PAGE_SHIFT != mapping.done
            {
                warn_short();
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
            let mut complete = true;
            for slot in batch.iter_mut() {
                let Some((page, pfn, pages)) = walk.next() else {
                    break;
                };
                if *start.get_or_insert(page) != page && page != end {
                    // After a hole: unmap what is before it, as an unmap stops there.
                    let from = start.replace(page).unwrap_or(page);
                    complete &= gather.unmap_pages(from, end);
                }
                end = page + pages;
                *slot = Extent::new(pfn, pages, true);
                filled += 1;
            }
            let Some(start) = start else {
                return;
            };
            complete &= gather.unmap_pages(start, end);
            gather.sync();
            if !complete {
                warn_short();
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
