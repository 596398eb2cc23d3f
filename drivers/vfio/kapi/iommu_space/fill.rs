// SPDX-License-Identifier: GPL-2.0

//! Pinning pages and mapping them, in batches.

use super::{
    mapping::{
        IoMapping,
        Store, //
    },
    unmap::{
        warn_short,
        Walk, //
    },
    IoSpace, //
};
use crate::{
    iommu_domain::PagingDomain,
    pin::{
        self,
        Found, //
    },
};
use core::sync::atomic::{
    AtomicPtr,
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

/// The most pages that are pinned and accounted in one go.
const PIN_BATCH: u64 = 512;

/// The most extents that are handed to the IOMMU in one go.
const MAP_BATCH: usize = 128;

const PAGE_BYTES: u64 = PAGE_SIZE as u64;

/// Where bytes are mapped page by page, others get the processor, and signals are seen, at multiples of this.
const LOOK_UP_MASK: u64 = (1 << 21) - 1;

/// What one filling works with.
pub(super) struct Batch {
    /// Room for pointers to pages, in its spare capacity.
    pages: KVec<*mut bindings::page>,
    /// Found but not mapped yet.
    runs: KVec<Extent>,
    /// The sum of `runs`.
    pending: u64,
    table: ScatterTable,
}

impl Batch {
    /// Makes room for a mapping of `pages` pages.
    fn reserve(&mut self, pages: u64) -> Result {
        self.pages
            .reserve(pages.min(PIN_BATCH) as usize, GFP_KERNEL_ACCOUNT)?;
        let runs = (pages as usize).min(MAP_BATCH);
        if self.runs.capacity() < runs {
            self.runs.reserve(runs, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }
}

/// A [`Batch`] that is kept for the next filling, so that not each has to allocate one. Those that run at
/// the same time do.
///
/// # Invariants
///
/// The pointer is null or owned.
pub(super) struct Spare(AtomicPtr<Batch>);

impl Spare {
    pub(super) const fn new() -> Self {
        // INVARIANT: Null.
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// A batch with nothing in it.
    fn take(&self) -> Result<KBox<Batch>> {
        let raw = self.0.swap(core::ptr::null_mut(), Ordering::Acquire);
        if raw.is_null() {
            let batch = Batch {
                pages: KVec::new(),
                runs: KVec::new(),
                pending: 0,
                table: ScatterTable(KVec::new()),
            };
            return Ok(KBox::new(batch, GFP_KERNEL_ACCOUNT)?);
        }
        // SAFETY: The pointer was owned by the invariant, and was taken out.
        Ok(unsafe { KBox::from_raw(raw) })
    }

    /// Keeps a batch with nothing in it, unless there is one already.
    fn put(&self, batch: KBox<Batch>) {
        let raw = KBox::into_raw(batch);
        // INVARIANT: What is put in is owned.
        let kept = self.0.compare_exchange(
            core::ptr::null_mut(),
            raw,
            Ordering::Release,
            Ordering::Relaxed,
        );
        if kept.is_err() {
            // SAFETY: The pointer is that of the box above, and was not handed on.
            drop(unsafe { KBox::from_raw(raw) });
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        let raw = *self.0.get_mut();
        if !raw.is_null() {
            // SAFETY: The pointer is owned by the invariant.
            drop(unsafe { KBox::from_raw(raw) });
        }
    }
}

/// A scatter list that is allocated when first needed.
///
/// # Invariants
///
/// It is empty, or has [`MAP_BATCH`] entries that `sg_init_table` has initialized.
struct ScatterTable(KVec<bindings::scatterlist>);

impl ScatterTable {
    /// Whether `run` can be an entry: it has pages and is not too long.
    fn takes(run: &Extent) -> bool {
        run.is_pinned() && run.pages() <= u64::from(u32::MAX) >> PAGE_SHIFT
    }

    /// Makes `runs` the first entries; `None` if there is no memory, or if there are more than
    /// [`MAP_BATCH`].
    fn fill(&mut self, runs: &[Extent]) -> Option<&mut [bindings::scatterlist]> {
        if self.0.is_empty() {
            let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
            let mut table = KVec::with_capacity(MAP_BATCH, flags).ok()?;
            // SAFETY: There is room for that many entries, which are initialized by the call.
            unsafe {
                bindings::sg_init_table(table.as_mut_ptr(), MAP_BATCH as u32);
                table.inc_len(MAP_BATCH);
            }
            // INVARIANT: Initialized just now.
            self.0 = table;
        }
        let entries = self.0.get_mut(..runs.len())?;
        for (entry, run) in entries.iter_mut().zip(runs) {
            let bytes = (run.pages() << PAGE_SHIFT) as u32;
            // SAFETY: The entry is initialized by the invariant. The pages are pinned, so they exist,
            // and the length fits by `takes`.
            unsafe { vb::vfio_helper_sg_set_pfn(entry, run.pfn() as usize, bytes) };
        }
        Some(entries)
    }
}

/// Why something is not mapped.
struct Failed {
    error: Error,
    /// What was mapped before that is unmapped again; if not, devices may still reach it.
    unwound: bool,
}

/// Maps `runs` in `domain` from `iova` on: all or, if the IOMMU driver can unmap what it has mapped, nothing.
/// Unless `huge`, page by page, so that the IOMMU uses its smallest pages.
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
) -> core::result::Result<(), Failed> {
    let mut done: u64 = 0;
    let mut rest = runs;
    let mut result = Ok(());
    while let Some(run) = rest.first() {
        let stretch = rest
            .iter()
            .take_while(|run| ScatterTable::takes(run))
            .count();
        let entries = match rest.get(..stretch) {
            Some(stretch) if huge && stretch.len() > 1 => table.fill(stretch),
            _ => None,
        };
        if let Some(entries) = entries {
            // SAFETY: The domain is valid and the entries are initialized. The pages stay, by the
            // contract of this function.
            let ret = unsafe {
                bindings::iommu_map_sg(
                    domain.as_raw(),
                    (iova + done) as usize,
                    entries.as_mut_ptr(),
                    entries.len() as u32,
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
            let bytes = run.pages() << PAGE_SHIFT;
            let mut offset = 0;
            while offset < bytes {
                let step = if huge {
                    domain.step(iova + done, bytes - offset)
                } else {
                    PAGE_BYTES
                };
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
                if offset < bytes && (huge || offset & LOOK_UP_MASK == 0) {
                    pin::cond_resched();
                    if pin::fatal_signal_pending() {
                        result = Err(EINTR);
                        break;
                    }
                }
            }
            if result.is_err() {
                break;
            }
            rest = rest.get(1..).unwrap_or(&[]);
        }
    }
    result.map_err(|error| Failed {
        error,
        unwound: domain.unmap(iova, done) == done,
    })
}

impl IoSpace {
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

        let mut batch = self.spare.take()?;
        let result = batch
            .reserve(mapping.pages)
            .and_then(|()| self.fill_batches(mapping, mm, vaddr, huge, &mut account, &mut batch));
        if result.is_err() {
            for run in batch.runs.iter().filter(|run| run.is_pinned()) {
                // SAFETY: What is pending is pinned and belongs to the batch. It is not mapped any more;
                // it may have been, in one domain until another failed, and written to then.
                unsafe { pin::unpin(run.pfn(), run.pages(), mapping.write) };
            }
            batch.runs.clear();
            batch.pending = 0;
        }
        self.spare.put(batch);
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
                return self.flush(mapping, batch, huge);
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
    #[inline]
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
            if batch.runs.len() >= MAP_BATCH {
                self.flush(mapping, batch, huge)?;
            }
            // Within the capacity, so it neither fails nor allocates.
            batch
                .runs
                .push_within_capacity(extent)
                .map_err(|_| ENOMEM)?;
        }
        batch.pending += extent.pages();
        Ok(())
    }

    /// Maps what is pending.
    fn flush(&self, mapping: &mut IoMapping, batch: &mut Batch, huge: bool) -> Result {
        // May wrap to zero if there is nothing to map.
        let iova = mapping.iova.wrapping_add(mapping.done << PAGE_SHIFT);
        let pages = batch.pending;

        for (index, domain) in self.domains.iter().enumerate() {
            // SAFETY: The pages are pinned or device memory, and the pins go to `mapping` below, which
            // keeps them until it is unmapped.
            let result = unsafe {
                map_runs(
                    domain,
                    iova,
                    &batch.runs,
                    mapping.prot(),
                    huge,
                    &mut batch.table,
                )
            };
            if let Err(Failed { error, mut unwound }) = result {
                let bytes = pages << PAGE_SHIFT;
                for domain in self.domains.get(..index).unwrap_or(&[]) {
                    unwound &= domain.unmap(iova, bytes) == bytes;
                }
                if !unwound {
                    // A device may still reach them, so they stay pinned.
                    warn_short();
                    batch.runs.clear();
                    batch.pending = 0;
                }
                return Err(error);
            }
        }

        mapping
            .store
            .extend(&batch.runs, extent::budget(mapping.bytes()));
        // INVARIANT: The pages are mapped in all domains, and their pins are in the store.
        mapping.done += pages;
        batch.pending = 0;
        batch.runs.clear();
        Ok(())
    }

    /// Maps `mapping`, which is mapped in the other domains, in the newest one as well.
    ///
    /// # Errors
    ///
    /// `EINTR` if the task is being killed, `ENOMEM`, and others from the IOMMU driver. Nothing of it is in that
    /// domain then.
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
        let mut table = ScatterTable(KVec::new());
        let prot = mapping.prot();
        let first_page = mapping.iova >> PAGE_SHIFT;
        // Behind the last page that was mapped. Page numbers, as the address may be zero.
        let mut end = first_page;
        let mut add = |page: u64, runs: &[Extent]| {
            pin::cond_resched();
            if pin::fatal_signal_pending() {
                return Err(EINTR);
            }
            // SAFETY: The pages belong to `mapping`, which keeps them until it is unmapped.
            unsafe { map_runs(last, page << PAGE_SHIFT, runs, prot, huge, &mut table) }
                .map_err(|failed| failed.error)?;
            end = page + runs.iter().map(Extent::pages).sum::<u64>();
            Ok(end)
        };
        let result = if let Store::Walk { .. } = mapping.store {
            Walk::new(first, mapping.iova, mapping.done).try_for_each(|(page, pfn, pages)| {
                add(page, &[Extent::new(pfn, pages, true)]).map(|_| ())
            })
        } else {
            let mut extents = mapping.store.extents().chunks(MAP_BATCH);
            extents.try_fold(first_page, add).map(|_| ())
        };
        if result.is_err() {
            last.unmap(mapping.iova, (end - first_page) << PAGE_SHIFT);
        }
        result
    }
}
