// SPDX-License-Identifier: GPL-2.0

//! I/O address spaces: pages of processes, pinned and mapped for devices.
//!
//! The rule that makes this safe lives here: pages are unpinned only after no device can reach them
//! any more. An [`IoSpace`] owns its domains, and a domain leaves it only to be destroyed; an
//! [`IoMapping`] owns the pins of its pages and gives them back only in [`IoSpace::unmap`], which
//! first takes the translations out of every domain of the space.

use crate::{
    iommu_domain::{
        PagingDomain,
        UnmapGather, //
    },
    iommu_group::IommuGroup,
    pin::{
        self,
        Found, //
    },
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
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
use vfio_logic::extent::{
    self,
    Extent, //
};

/// The most pages that are pinned in one go, under the lock of the process' address space.
const PIN_BATCH: u64 = 4096;

/// The most extents that are handed to the IOMMU in one go.
const MAP_BATCH: u64 = 128;

/// The most extents whose IOMMU caches are flushed, and whose pages are unpinned, in one go when
/// they have to be looked up.
const WALK_BATCH: usize = 512;

const PAGE_BYTES: u64 = PAGE_SIZE as u64;

/// Domains that translate alike.
pub struct IoSpace {
    id: u64,
    domains: KVec<PagingDomain>,
}

/// The physical pages behind a mapping, as far as they are mapped.
enum Store {
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
/// Give it to [`IoSpace::unmap`] in the end: dropped before, its pages stay pinned forever.
///
/// # Invariants
///
/// The first `done` pages are mapped in the domains of the space numbered `space`, or those domains
/// are gone. They are described by `store`, which owns a pin of each that it says is pinned.
pub struct IoMapping {
    iova: u64,
    pages: u64,
    done: u64,
    space: u64,
    store: Store,
    read: bool,
    write: bool,
}

impl Store {
    /// Adds the next pages; `budget` is how many extents there may be.
    fn push(&mut self, next: Extent, budget: u64) {
        let grown = match self {
            Store::Empty => {
                *self = Store::One(next);
                true
            }
            Store::One(extent) => {
                extent.merge(&next) || {
                    let first = *extent;
                    match KVVec::with_capacity(4, GFP_KERNEL_ACCOUNT) {
                        Ok(mut list) => {
                            let pushed = list.push(first, GFP_KERNEL_ACCOUNT).is_ok()
                                && list.push(next, GFP_KERNEL_ACCOUNT).is_ok();
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
                list.last_mut().is_some_and(|extent| extent.merge(&next))
                    || ((list.len() as u64) < budget && list.push(next, GFP_KERNEL_ACCOUNT).is_ok())
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
    fn extents(&self) -> &[Extent] {
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
            space: 0,
            store: Store::Empty,
            read,
            write,
        }
    }

    /// Whether it has been filled.
    #[inline]
    pub fn is_mapped(&self) -> bool {
        self.done != 0
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

    fn prot(&self) -> i32 {
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

impl Drop for IoMapping {
    fn drop(&mut self) {
        if self.done != 0 {
            pr_err!("{} pages of a mapping stay pinned\n", self.done);
        }
    }
}

/// What one filling works with.
struct Batch {
    /// Room for pointers to pages, in its spare capacity.
    pages: KVVec<*mut bindings::page>,
    /// Found but not mapped yet.
    runs: KVec<Extent>,
    /// The sum of `runs`.
    pending: u64,
    table: ScatterTable,
}

/// A scatter list that is allocated when first needed.
struct ScatterTable(KVec<bindings::scatterlist>);

impl ScatterTable {
    const fn new() -> Self {
        Self(KVec::new())
    }

    /// Whether `run` can be an entry: it has pages and is not too long.
    fn takes(run: &Extent) -> bool {
        run.is_pinned() && run.pages() <= u64::from(u32::MAX) >> PAGE_SHIFT
    }

    /// Makes `runs` the contents; returns null if there is no memory. At most [`MAP_BATCH`].
    fn fill(&mut self, runs: &[Extent]) -> *mut bindings::scatterlist {
        if self.0.capacity() < runs.len() && self.0.reserve(runs.len(), GFP_KERNEL).is_err() {
            return core::ptr::null_mut();
        }
        let table = self.0.as_mut_ptr();
        // SAFETY: There is room for that many entries, which are overwritten.
        unsafe { bindings::sg_init_table(table, runs.len() as u32) };
        for (i, run) in runs.iter().enumerate() {
            // SAFETY: The entry was initialized above. The pages are pinned, so they exist, and the
            // length fits by `takes`.
            unsafe {
                vb::vfio_helper_sg_set_page(
                    table.add(i),
                    vb::vfio_helper_pfn_to_page(run.pfn() as usize),
                    (run.pages() << PAGE_SHIFT) as u32,
                )
            };
        }
        table
    }
}

/// Maps `runs` in `domain` from `iova` on: all or nothing. Unless `huge`, page by page, so that the
/// IOMMU uses its smallest pages.
///
/// # Safety
///
/// The pages stay where they are until they are unmapped from the domain.
unsafe fn map_runs(
    domain: &PagingDomain,
    iova: u64,
    runs: &[Extent],
    prot: i32,
    huge: bool,
    table: &mut ScatterTable,
) -> Result {
    let mut done: u64 = 0;
    let mut rest = runs;
    let mut result = Ok(());
    while let Some(run) = rest.first() {
        let bytes = run.pages() << PAGE_SHIFT;
        let step = if huge { bytes } else { PAGE_BYTES };
        let stretch = rest
            .iter()
            .take_while(|run| ScatterTable::takes(run))
            .count();
        let sg = match rest.get(..stretch) {
            Some(stretch) if huge && stretch.len() > 1 => table.fill(stretch),
            _ => core::ptr::null_mut(),
        };
        if !sg.is_null() {
            // SAFETY: The domain is valid and the table initialized with that many entries. The
            // pages stay, by the contract of this function.
            let ret = unsafe {
                bindings::iommu_map_sg(
                    domain.as_raw(),
                    (iova + done) as usize,
                    sg,
                    stretch as u32,
                    prot,
                    bindings::GFP_KERNEL_ACCOUNT,
                )
            };
            if ret < 0 {
                result = Err(Error::from_errno(ret as i32));
                break;
            }
            done += ret as u64;
            rest = rest.get(stretch..).unwrap_or(&[]);
        } else {
            let mut offset = 0;
            while offset < bytes {
                // SAFETY: The domain is valid. The pages stay, by the contract of this function.
                result = to_result(unsafe {
                    bindings::iommu_map(
                        domain.as_raw(),
                        (iova + done) as usize,
                        (run.pfn() << PAGE_SHIFT) + offset,
                        step as usize,
                        prot,
                        bindings::GFP_KERNEL_ACCOUNT,
                    )
                });
                if result.is_err() {
                    break;
                }
                offset += step;
                done += step;
                if !huge && offset & 0x1f_ffff == 0 {
                    pin::cond_resched();
                }
            }
            if result.is_err() {
                break;
            }
            rest = rest.get(1..).unwrap_or(&[]);
        }
    }
    if result.is_err() && done != 0 {
        domain.unmap(iova, done);
    }
    result
}

/// The extents that a domain translates a range to, as its tables say.
struct Walk<'a> {
    domain: &'a PagingDomain,
    pos: u64,
    end: u64,
    /// What `pos` translates to, if known.
    next: Option<u64>,
}

impl<'a> Walk<'a> {
    /// `pages` pages from `iova` on. The end may wrap to zero, hence page numbers.
    fn new(domain: &'a PagingDomain, iova: u64, pages: u64) -> Self {
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

impl IoSpace {
    /// A space without domains.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Numbers are not used twice: 64 bits do not run out.
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            domains: KVec::new(),
        }
    }

    /// The domains, oldest first.
    #[inline]
    pub fn domains(&self) -> &[PagingDomain] {
        &self.domains
    }

    /// Adds `domain`, in which nothing is mapped yet; see [`Self::replay`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the domain is destroyed then.
    pub fn add(&mut self, domain: PagingDomain) -> Result {
        Ok(self.domains.push(domain, GFP_KERNEL_ACCOUNT)?)
    }

    /// Destroys a domain. No device uses its translations afterwards.
    pub fn remove(&mut self, index: usize) {
        // Also when there is no such domain.
        let _ = self.domains.remove(index);
    }

    /// As [`PagingDomain::attach`], for a domain of this space.
    pub fn attach(&mut self, index: usize, group: &IommuGroup) -> Result {
        self.domains.get_mut(index).ok_or(EINVAL)?.attach(group)
    }

    /// Detaches `group` from the domain it is attached to, and tells which one that is.
    pub fn detach(&mut self, group: &IommuGroup) -> Option<usize> {
        self.domains
            .iter_mut()
            .position(|domain| domain.detach(group))
    }

    /// As [`PagingDomain::set_msi_base`], for a domain of this space.
    pub fn set_msi_base(&mut self, index: usize, base: u64) -> Result {
        self.domains
            .get_mut(index)
            .ok_or(EINVAL)?
            .set_msi_base(base)
    }

    /// Pins the pages of `mm` from `vaddr` on and maps them in all domains, in batches.
    ///
    /// `account` is told of pinned pages, by I/O address and number, before they are mapped; it may
    /// refuse. Unless `huge`, only the smallest pages of the IOMMU are used.
    ///
    /// # Errors
    ///
    /// `EFAULT` for addresses that are not mapped (or not writable), `EINTR` if the task is being
    /// killed, `ENOMEM`, what `account` returns, and others from the IOMMU driver. The caller then
    /// has to unmap what `mapping` has got so far.
    pub fn fill(
        &self,
        mapping: &mut IoMapping,
        mm: &MmWithUser,
        vaddr: u64,
        huge: bool,
        mut account: impl FnMut(u64, u64) -> Result,
    ) -> Result {
        if mapping.done != 0 || self.domains.is_empty() {
            return Err(EINVAL);
        }
        // INVARIANT: Nothing is mapped yet.
        mapping.space = self.id;
        mapping.store = Store::Empty;

        let room = mapping.pages.min(PIN_BATCH) as usize;
        let mut batch = Batch {
            pages: KVVec::with_capacity(room, GFP_KERNEL)?,
            runs: KVec::with_capacity(mapping.pages.min(MAP_BATCH) as usize, GFP_KERNEL)?,
            pending: 0,
            table: ScatterTable::new(),
        };
        let result = self.fill_batches(mapping, mm, vaddr, huge, &mut account, &mut batch);
        if result.is_err() {
            for run in batch.runs.iter().filter(|run| run.is_pinned()) {
                // SAFETY: What is pending is pinned and belongs to the batch. It is not mapped.
                unsafe { pin::unpin(run.pfn(), run.pages(), false) };
            }
        }
        result
    }

    fn fill_batches(
        &self,
        mapping: &mut IoMapping,
        mm: &MmWithUser,
        vaddr: u64,
        huge: bool,
        account: &mut dyn FnMut(u64, u64) -> Result,
        batch: &mut Batch,
    ) -> Result {
        loop {
            let have = mapping.done + batch.pending;
            if have >= mapping.pages {
                return self.flush(mapping, batch, huge, true);
            }
            pin::cond_resched();
            if pin::fatal_signal_pending() {
                return Err(EINTR);
            }

            let at = (vaddr + (have << PAGE_SHIFT)) as usize;
            match pin::find(
                mm,
                at,
                mapping.pages - have,
                mapping.write,
                batch.pages.spare_capacity_mut(),
            )? {
                Found::Frames(extent) => self.push(mapping, batch, huge, extent)?,
                Found::Pages(count) => {
                    let iova = mapping.iova + (have << PAGE_SHIFT);
                    let mut result = account(iova, count as u64);
                    let mut next = 0;
                    while next < count && result.is_ok() {
                        // SAFETY: The first `count` pointers were written, and are to pages that are
                        // pinned.
                        let (pfn, pages) = unsafe {
                            let first = batch.pages.as_mut_ptr().add(next);
                            (
                                vb::vfio_helper_page_to_pfn(*first),
                                vb::vfio_helper_num_pages_contiguous(first, count - next),
                            )
                        };
                        let extent = Extent::new(pfn as u64, pages as u64, true);
                        result = self.push(mapping, batch, huge, extent);
                        // Only what was not pushed is still ours.
                        if result.is_ok() {
                            next += pages;
                        }
                    }
                    if result.is_err() {
                        // SAFETY: From `next` on the pages are pinned, and nobody else has the pins.
                        unsafe {
                            bindings::unpin_user_pages(
                                batch.pages.as_mut_ptr().add(next),
                                count - next,
                            )
                        };
                        return result;
                    }
                }
            }
        }
    }

    /// Makes `extent` pending; maps what is pending before if there is no room. On failure the pins
    /// stay the caller's.
    fn push(
        &self,
        mapping: &mut IoMapping,
        batch: &mut Batch,
        huge: bool,
        extent: Extent,
    ) -> Result {
        let merged = batch
            .runs
            .last_mut()
            .is_some_and(|last| last.merge(&extent));
        if !merged {
            if batch.runs.len() >= MAP_BATCH as usize {
                self.flush(mapping, batch, huge, false)?;
            }
            batch.runs.push(extent, GFP_KERNEL)?;
        }
        batch.pending += extent.pages();
        Ok(())
    }

    /// Maps what is pending: everything if `all`, else without the last run, which may still grow.
    fn flush(&self, mapping: &mut IoMapping, batch: &mut Batch, huge: bool, all: bool) -> Result {
        let count = if all {
            batch.runs.len()
        } else {
            batch.runs.len().saturating_sub(1)
        };
        let runs = batch.runs.get(..count).unwrap_or(&[]);
        // May wrap to zero if there is nothing to map.
        let iova = mapping.iova.wrapping_add(mapping.done << PAGE_SHIFT);
        let pages: u64 = runs.iter().map(Extent::pages).sum();

        for (index, domain) in self.domains.iter().enumerate() {
            // SAFETY: The pages are pinned or device memory, and the pins go to `mapping` below, which
            // keeps them until it is unmapped.
            let result =
                unsafe { map_runs(domain, iova, runs, mapping.prot(), huge, &mut batch.table) };
            if let Err(e) = result {
                for domain in self.domains.get(..index).unwrap_or(&[]) {
                    domain.unmap(iova, pages << PAGE_SHIFT);
                }
                return Err(e);
            }
        }

        let budget = extent::budget(mapping.bytes());
        for run in runs {
            mapping.store.push(*run, budget);
        }
        // INVARIANT: The pages are mapped in all domains, and their pins are in the store.
        mapping.done += pages;
        batch.pending -= pages;
        let last = if all { None } else { batch.runs.pop() };
        batch.runs.clear();
        if let Some(last) = last {
            // There is room, as there was for more.
            let _ = batch.runs.push_within_capacity(last);
        }
        Ok(())
    }

    /// Maps `mapping`, which is mapped in the other domains, in the newest one as well.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and others from the IOMMU driver. The caller then has to remove the domain.
    pub fn replay(&self, mapping: &IoMapping, huge: bool) -> Result {
        let (Some(first), Some(last)) = (self.domains.first(), self.domains.last()) else {
            return Err(EINVAL);
        };
        if mapping.done == 0 {
            return Ok(());
        }
        if mapping.space != self.id {
            return Err(EINVAL);
        }
        let mut table = ScatterTable::new();
        let prot = mapping.prot();
        let mut iova = mapping.iova;
        if let Store::Walk { .. } = mapping.store {
            for (page, pfn, pages) in Walk::new(first, mapping.iova, mapping.done) {
                let run = [Extent::new(pfn, pages, true)];
                // SAFETY: The pages belong to `mapping`, which keeps them until it is unmapped.
                unsafe { map_runs(last, page << PAGE_SHIFT, &run, prot, huge, &mut table)? };
                pin::cond_resched();
            }
        } else {
            for runs in mapping.store.extents().chunks(MAP_BATCH as usize) {
                // SAFETY: As above.
                unsafe { map_runs(last, iova, runs, prot, huge, &mut table)? };
                let pages: u64 = runs.iter().map(Extent::pages).sum();
                iova = iova.wrapping_add(pages << PAGE_SHIFT);
                pin::cond_resched();
            }
        }
        Ok(())
    }

    /// Takes all translations of `mapping` out of all domains, then unpins its pages.
    pub fn unmap(&self, mapping: &mut IoMapping) {
        if mapping.done == 0 {
            return;
        }
        if mapping.space != self.id {
            pr_err!("a mapping belongs to another space\n");
            return;
        }
        match mapping.store {
            Store::Walk { all_pinned } => self.unmap_walk(mapping, all_pinned),
            _ => self.unmap_extents(mapping),
        }
        // INVARIANT: Nothing is mapped, and the pins are given back.
        mapping.done = 0;
        mapping.store = Store::Empty;
        mapping.space = 0;
    }

    fn unmap_extents(&self, mapping: &IoMapping) {
        let bytes = mapping.done << PAGE_SHIFT;
        let unmapped = self
            .domains
            .iter()
            .map(|domain| domain.unmap(mapping.iova, bytes))
            .min()
            .unwrap_or(bytes);
        if unmapped != bytes {
            kernel::pr_warn_once!("the IOMMU unmapped less than was mapped\n");
        }
        let mut left = unmapped >> PAGE_SHIFT;
        for extent in mapping.store.extents() {
            let pages = extent.pages().min(left);
            left -= pages;
            if extent.is_pinned() && pages != 0 {
                // SAFETY: The pins are those of `mapping`, given back once, and no domain translates
                // to the pages any more.
                unsafe { pin::unpin(extent.pfn(), pages, mapping.write) };
                pin::cond_resched();
            }
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

impl Default for IoSpace {
    fn default() -> Self {
        Self::new()
    }
}
