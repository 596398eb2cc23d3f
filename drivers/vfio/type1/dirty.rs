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

/// How many words are copied to user space at a time.
const COPY_WORDS: usize = 32;

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
            START => self.state.lock().start_tracking(),
            STOP => {
                self.state.lock().stop_tracking();
                Ok(())
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
        let (state, slot) = self.claim(self.state.lock(), range)?;
        let (mut state, result) = self.report(state, &range, &get);
        state.clear_busy(slot);
        self.unlock_changed(state);
        result
    }

    /// Reports the dirty pages in `range`, which is marked as busy, mapping by mapping.
    ///
    /// The state is not held while user memory is written to, as that may take as long as it likes. Drivers
    /// of emulated devices may dirty pages meanwhile, for the next time; domains may come and go.
    fn report<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        range: &IovaRange,
        get: &vfio_iommu_type1_dirty_bitmap_get,
    ) -> (MutexGuard<'a, State>, Result) {
        let mut next = Some(range.start);
        while let Some(pos) = next {
            let rest = IovaRange {
                start: pos,
                last: range.last,
            };
            let report = match state.start_report(range, &rest, get) {
                Ok(Some(report)) => report,
                Ok(None) => break,
                Err(e) => return (state, Err(e)),
            };
            drop(state);
            let result = report.write(range.start, &get.bitmap);
            state = self.state.lock();
            next = report.range.last.checked_add(1);
            if result.is_err() {
                state.undo_report(report);
                return (state, result);
            }
        }
        (state, Ok(()))
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
        // What is on its way sees to it by itself.
        for dma in self.dmas.values_mut().filter(|dma| !dma.filling) {
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

    fn stop_tracking(&mut self) {
        if self.tracking {
            self.tracking = false;
            for dma in self.dmas.values_mut() {
                dma.dirty = None;
            }
        }
    }

    /// The dirty pages of the first mapping in `rest`, which is what is left of `range`; they are clean from
    /// now on, except for those that drivers may still write to. `None` if there is no mapping.
    ///
    /// # Errors
    ///
    /// `EINVAL` if nothing is tracked, in pages of another size, or the range would cut a mapping; `ENOMEM`.
    fn start_report(
        &mut self,
        range: &IovaRange,
        rest: &IovaRange,
        get: &vfio_iommu_type1_dirty_bitmap_get,
    ) -> Result<Option<DirtyReport>> {
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
        let scope = self.tracking_scope();
        let Some(iova) = self.first_overlap(rest) else {
            return Ok(None);
        };
        let dma = self.dmas.get_mut(&iova).ok_or(EINVAL)?;
        let clean = dma.clean_bits(scope.shift)?;
        let report = dma.take_dirty(iova, &scope, Some(clean))?;
        dma.mark_pins_dirty(scope.shift);
        Ok(Some(report))
    }

    /// What was reported did not arrive, and is dirty still, if anybody looks.
    fn undo_report(&mut self, report: DirtyReport) {
        if let Some(bits) = self
            .dmas
            .get_mut(&report.range.start)
            .and_then(|dma| dma.dirty.as_mut())
        {
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

    /// Takes out which pages are dirty, to be reported, and tracks them in `next`, if at all.
    ///
    /// # Errors
    ///
    /// `EINVAL` if nothing is tracked.
    pub(crate) fn take_dirty(
        &mut self,
        iova: u64,
        scope: &TrackingScope,
        next: Option<KVVec<u64>>,
    ) -> Result<DirtyReport> {
        let pages = self.size() >> scope.shift;
        let mut bits = self.dirty.take().ok_or(EINVAL)?;
        self.dirty = next;
        if scope.all_mapped && self.io.is_mapped() {
            dirty::set_bits(&mut bits, 0, pages);
        }
        Ok(DirtyReport {
            range: self.range(iova),
            pages,
            shift: scope.shift,
            bits,
        })
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
        let kept = if place.shift == 0 {
            0
        } else {
            // The whole word, as ever: user space may count on its bits staying.
            target.reader(size_of::<u64>()).read::<u64>()?
        };

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
        }
        Ok(())
    }
}
