// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_DIRTY_PAGES`: which pages devices may have written to.
//!
//! A device behind an IOMMU can write to all that is mapped, so everything is dirty while there is
//! one; an emulated device only writes to pages that its driver has pinned, or through it.

use crate::{
    container::{
        Container,
        State, //
    },
    dma::Dma,
};
use kernel::{
    prelude::*,
    sync::MutexGuard,
    transmute::AsBytes, //
};
use vfio_kapi::{
    pin::cond_resched,
    refusal::Explain,
    refuse,
    uaccess::{
        is_user_range,
        UserArg, //
    },
    uapi::{
        vfio_bitmap,
        vfio_iommu_type1_dirty_bitmap_get,
        DirtyBitmap,
        DmaUnmap, //
    },
};
use vfio_logic::{
    dirty::{
        self,
        Placement, //
    },
    dma::smallest_page,
    iova::IovaRange,
};

const START: u32 = vfio_kapi::uapi::VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
const STOP: u32 = vfio_kapi::uapi::VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
const GET_BITMAP: u32 = vfio_kapi::uapi::VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;

/// How many words are copied to user space at a time, when they have to be shifted.
const COPY_WORDS: usize = 32;

/// How many are when not.
const PIECE_WORDS: usize = 8192;

/// What decides which pages are dirty.
#[derive(Clone, Copy)]
pub(crate) struct TrackingScope {
    /// All that is mapped for devices behind an IOMMU.
    all_mapped: bool,
    /// The binary logarithm of the page size.
    shift: u32,
}

/// Reads the description of a bitmap for `size` bytes.
///
/// # Errors
///
/// `EINVAL` if its size or address does not suit.
fn check_bitmap(bitmap: &vfio_bitmap, size: u64) -> Result {
    if !is_user_range(bitmap.data as usize, bitmap.size as usize) {
        return Err(EINVAL);
    }
    dirty::check_bitmap(size, bitmap.pgsize, bitmap.size).explain("dirty pages")
}

impl Container {
    /// Reads what follows a `VFIO_IOMMU_UNMAP_DMA` that wants to know the dirty pages.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is not enough of it or it does not suit the range, `EFAULT`.
    #[inline(never)]
    pub(crate) fn read_bitmap(arg: UserArg, unmap: &DmaUnmap) -> Result<vfio_bitmap> {
        let head = size_of::<DmaUnmap>();
        if (unmap.argsz as usize) < head + size_of::<vfio_bitmap>() {
            return Err(EINVAL);
        }
        let bitmap: vfio_bitmap = arg.offset(head).read()?;
        check_bitmap(&bitmap, unmap.size)?;
        Ok(bitmap)
    }

    /// Starts or stops tracking, or tells which pages in a range are dirty.
    ///
    /// # Errors
    ///
    /// `EACCES` in a version 1 container; `EFAULT`; `EINVAL` for flags, sizes and alignment, for a range
    /// that would cut a mapping, and if nothing is tracked; `EOVERFLOW` if the range wraps; `ENOMEM`.
    #[inline(never)]
    pub(crate) fn dirty_pages(&self, arg: UserArg) -> Result {
        if !self.v2 {
            return Err(EACCES);
        }
        let dirty: DirtyBitmap = arg.read_argsz(size_of::<DirtyBitmap>())?;
        match dirty.flags {
            START | STOP => {
                let state = self.state.lock();
                self.with_claim(state, IovaRange::ALL, |mut state, _| {
                    let result = if dirty.flags == START {
                        state.start_tracking()
                    } else {
                        state.stop_tracking();
                        Ok(())
                    };
                    (state, result)
                })
            }
            GET_BITMAP => self.get_dirty(arg, dirty.argsz as usize),
            _ => Err(EINVAL),
        }
    }

    fn get_dirty(&self, arg: UserArg, argsz: usize) -> Result {
        let head = size_of::<DirtyBitmap>();
        if argsz < head + size_of::<vfio_iommu_type1_dirty_bitmap_get>() {
            return Err(EINVAL);
        }
        let get: vfio_iommu_type1_dirty_bitmap_get = arg.offset(head).read()?;
        if get.size == 0 {
            return Err(EINVAL);
        }
        let range = IovaRange::new(get.iova, get.size).ok_or(EOVERFLOW)?;
        check_bitmap(&get.bitmap, get.size)?;

        // Before anything is looked at: groups may come and go meanwhile, and page sizes with them.
        self.with_claim(self.state.lock(), range, |state, _| {
            self.report(state, &range, &get)
        })
    }

    /// Reports the dirty pages in `range`, which is claimed. They are clean from now on, but all dirty still if
    /// they do not arrive.
    ///
    /// The state is not held while user memory is written to, as that may take as long as it likes. Drivers
    /// of emulated devices may dirty pages meanwhile, for the next time; domains may come and go.
    fn report<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        range: &IovaRange,
        get: &vfio_iommu_type1_dirty_bitmap_get,
    ) -> (MutexGuard<'a, State>, Result) {
        let reports = match state.start_reports(range, get) {
            Ok(reports) => reports,
            Err(e) => return (state, Err(e)),
        };
        drop(state);
        let result = reports
            .iter()
            .try_for_each(|report| report.write(range.start, &get.bitmap));
        state = self.state.lock();
        if result.is_err() {
            for report in &reports {
                state.undo_report(report);
            }
        }
        (state, result)
    }
}

impl State {
    pub(crate) fn tracking_scope(&self) -> TrackingScope {
        TrackingScope {
            all_mapped: self.groups.iter().any(|group| !group.pinned_scope),
            shift: self.page_shift(),
        }
    }

    /// # Errors
    ///
    /// `EINVAL` if nothing is tracked, or in pages of another size.
    pub(crate) fn check_tracking(&self, bitmap: &vfio_bitmap) -> Result {
        if !self.tracking || bitmap.pgsize != smallest_page(self.page_sizes) {
            return Err(refuse!(
                EINVAL,
                "dirty pages: not tracked, or not in pages of {} bytes",
                bitmap.pgsize
            ));
        }
        Ok(())
    }

    fn start_tracking(&mut self) -> Result {
        if self.tracking {
            return Ok(());
        }
        let shift = self.page_shift();
        let mut result = Ok(());
        for dma in self.dmas.values_mut() {
            result = dma.start_tracking(shift);
            if result.is_err() {
                break;
            }
        }
        self.tracking = true;
        if result.is_err() {
            self.stop_tracking();
        }
        result
    }

    /// Tracks pages of another size than until now, if that is done at all.
    pub(crate) fn restart_tracking(&mut self) {
        if !self.tracking {
            return;
        }
        let shift = self.page_shift();
        for dma in self.dmas.values_mut() {
            dma.track_all_dirty(shift);
        }
    }

    fn stop_tracking(&mut self) {
        if self.tracking {
            self.tracking = false;
            for dma in self.dmas.values_mut() {
                dma.dirty = None;
            }
        }
    }

    /// The dirty pages of all mappings in `range`; they are clean from now on, except for those that drivers may
    /// still write to.
    ///
    /// # Errors
    ///
    /// `EINVAL` if nothing is tracked, in pages of another size, or the range would cut a mapping; `ENOMEM`.
    /// Nothing has changed then.
    fn start_reports(
        &mut self,
        range: &IovaRange,
        get: &vfio_iommu_type1_dirty_bitmap_get,
    ) -> Result<KVVec<DirtyReport>> {
        // If it is the one of the bitmap it is not zero.
        let page = smallest_page(self.page_sizes);
        if get.bitmap.pgsize != page || (get.iova | get.size) & (page - 1) != 0 {
            return Err(refuse!(
                EINVAL,
                "dirty pages: range and bitmap have to be in pages of {page} bytes"
            ));
        }
        if !self.tracking {
            return Err(EINVAL);
        }
        self.check_bisection(range)?;

        // All that can fail comes first.
        let scope = self.tracking_scope();
        let mut reports = KVVec::new();
        self.for_each_from(range.start, range.last, |iova, dma| {
            if dma.dirty.is_none() {
                // See `Dma::track_all_dirty`.
                return Err(ENOMEM);
            }
            let bits = dma.clean_bits(scope.shift)?;
            reports.push(dma.report(iova, &scope, bits), GFP_KERNEL_ACCOUNT)?;
            Ok(())
        })?;
        for report in &mut reports {
            if let Some(dma) = self.dmas.get_mut(&report.range.start) {
                dma.exchange_dirty(report, &scope);
            }
        }
        Ok(reports)
    }

    /// What was reported did not arrive, and is dirty still, if anybody looks.
    fn undo_report(&mut self, report: &DirtyReport) {
        // Everything is, if pages have another size since.
        if report.shift != self.page_shift() {
            return;
        }
        let Some(dma) = self.dmas.get_mut(&report.range.start) else {
            return;
        };
        let same = dma.range(report.range.start) == report.range;
        if let Some(bits) = dma.dirty.as_mut().filter(|_| same) {
            for (word, reported) in bits.iter_mut().zip(&report.bits) {
                *word |= *reported;
            }
        }
    }

    /// Marks everything as dirty, as a device that was not watched is gone.
    pub(crate) fn mark_all_dirty(&mut self) {
        if !self.tracking {
            return;
        }
        let shift = self.page_shift();
        for dma in self.dmas.values_mut() {
            let pages = dma.size() >> shift;
            if let Some(bits) = &mut dma.dirty {
                dirty::set_bits(bits, 0, pages);
            }
        }
    }
}

impl Dma {
    /// Tracks dirty pages, of `1 << shift` bytes, from now on; those pinned by drivers are.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are too many pages, `ENOMEM`.
    pub(crate) fn start_tracking(&mut self, shift: u32) -> Result {
        self.dirty = Some(self.clean_bits(shift)?);
        self.mark_pins_dirty(shift);
        Ok(())
    }

    /// Tracks pages of `1 << shift` bytes, of which nothing is known: all are dirty. Without the memory for that nothing is
    /// tracked any more, and who asks is told so.
    fn track_all_dirty(&mut self, shift: u32) {
        let pages = self.size() >> shift;
        self.dirty = self.clean_bits(shift).ok();
        if let Some(bits) = &mut self.dirty {
            dirty::set_bits(bits, 0, pages);
        }
    }

    /// A bit for each page, all clear.
    fn clean_bits(&self, shift: u32) -> Result<KVVec<u64>> {
        let pages = self.size() >> shift;
        if pages > dirty::PAGES_MAX {
            return Err(EINVAL);
        }
        let words = (dirty::bitmap_bytes(pages) / 8) as usize;
        let mut bits = KVVec::new();
        bits.resize(words, 0u64, GFP_KERNEL_ACCOUNT)?;
        Ok(bits)
    }

    /// Marks the pages of `len` bytes from `offset` on as dirty, if that is tracked.
    pub(crate) fn mark_dirty(&mut self, offset: u64, len: u64, scope: &TrackingScope) {
        if let Some(bits) = &mut self.dirty {
            let first = offset >> scope.shift;
            let last = (offset + len.saturating_sub(1)) >> scope.shift;
            dirty::set_bits(bits, first, last - first + 1);
        }
    }

    fn mark_pins_dirty(&mut self, shift: u32) {
        let Self {
            pins, dirty, io, ..
        } = self;
        if let Some(bits) = dirty {
            for at in pins.keys() {
                dirty::set_bits(bits, at.wrapping_sub(io.iova()) >> shift, 1);
            }
        }
    }

    /// Takes out which pages are dirty, to be reported; they are not tracked any more.
    ///
    /// # Errors
    ///
    /// `EINVAL` if nothing is tracked.
    pub(crate) fn take_dirty(&mut self, iova: u64, scope: &TrackingScope) -> Result<DirtyReport> {
        let bits = self.dirty.take().ok_or(EINVAL)?;
        let mut report = self.report(iova, scope, bits);
        self.complete_report(&mut report, scope);
        Ok(report)
    }

    /// Puts which pages are dirty into a report of clean ones; from now on those are that drivers may write to.
    fn exchange_dirty(&mut self, report: &mut DirtyReport, scope: &TrackingScope) {
        if let Some(bits) = &mut self.dirty {
            core::mem::swap(bits, &mut report.bits);
        }
        self.complete_report(report, scope);
        self.mark_pins_dirty(scope.shift);
    }

    fn report(&self, iova: u64, scope: &TrackingScope, bits: KVVec<u64>) -> DirtyReport {
        DirtyReport {
            range: self.range(iova),
            pages: self.size() >> scope.shift,
            shift: scope.shift,
            bits,
        }
    }

    /// Adds what nobody watches.
    fn complete_report(&self, report: &mut DirtyReport, scope: &TrackingScope) {
        if scope.all_mapped && self.io.is_mapped() {
            dirty::set_bits(&mut report.bits, 0, report.pages);
        }
    }
}

/// The dirty pages of a mapping, on their way to user space.
pub(crate) struct DirtyReport {
    /// The addresses of the mapping.
    range: IovaRange,
    pages: u64,
    /// The binary logarithm of the page size.
    shift: u32,
    pub(crate) bits: KVVec<u64>,
}

impl DirtyReport {
    /// Writes them into a bitmap of user space whose first page is at `base`. May take as long as whoever
    /// provides that memory likes.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn write(&self, base: u64, bitmap: &vfio_bitmap) -> Result {
        let place = Placement::new(
            self.range.start.saturating_sub(base) >> self.shift,
            self.pages,
        );
        let target = UserArg::new(bitmap.data as usize).offset((place.word * 8) as usize);
        if place.shift == 0 {
            for (index, words) in self.bits.chunks(PIECE_WORDS).enumerate() {
                target
                    .offset(index * PIECE_WORDS * size_of::<u64>())
                    .write_bytes(AsBytes::as_bytes(words))?;
                cond_resched();
            }
            return Ok(());
        }

        // The whole word, as ever: user space may count on its bits staying.
        let kept = target.reader(size_of::<u64>()).read::<u64>()?;
        let mut writer = target.writer((place.words * 8) as usize);
        let mut buffer = [0u64; COPY_WORDS];
        let mut index = 0;
        while index < place.words {
            let count = (place.words - index).min(COPY_WORDS as u64);
            for (slot, word) in buffer.iter_mut().zip(index..index + count) {
                *slot = place.get(&self.bits, word) | if word == 0 { kept } else { 0 };
            }
            let words = buffer.get(..count as usize).unwrap_or(&[]);
            writer.write_slice(AsBytes::as_bytes(words))?;
            index += count;
            cond_resched();
        }
        Ok(())
    }
}
