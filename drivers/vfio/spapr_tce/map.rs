// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_MAP_DMA` and `VFIO_IOMMU_UNMAP_DMA`.

use crate::container::{
    Container,
    State, //
};
use kernel::prelude::*;
use vfio_kapi::{
    pin::{
        fatal_signal_pending,
        PinnedPage, //
    },
    refusal::Explain,
    refuse,
    tce_table::Backing,
    uaccess::{
        is_user_range,
        UserArg, //
    },
    uapi::{
        vfio_iommu_type1_dma_map,
        DmaUnmap, //
    },
};
use vfio_logic::tce::{
    Direction,
    Entries,
    MapRequest, //
};

/// How many pages are pinned before they are mapped.
const BATCH: u64 = 256;

fn check_enabled(state: &mut State) -> Result {
    if state.enabled {
        Ok(())
    } else {
        Err(refuse!(EPERM, "the container is not enabled"))
    }
}

impl State {
    /// Where a mapping is to be, in the window that it is in; all of it.
    fn place(&mut self, request: &MapRequest) -> Result<(Entries, Direction)> {
        let window = *self.table_at(request.iova)?.window();
        request.place(&window).explain(fmt!(
            "MAP_DMA of {:#x} bytes at {:#x}",
            request.size,
            request.iova
        ))
    }
}

impl Container {
    /// Maps memory of the current process in a window. What was mapped there is not any more.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process, if the container is not enabled, or if the pages of the window are larger
    /// than those of the memory; `EFAULT` for an argument, or with version 1 for memory, that is not there;
    /// `ENXIO` for an address in no window; `EINVAL` for flags, what are no whole pages or not all in the
    /// window, and with version 2 for memory that is not registered; `EINTR` when killed; `ENOMEM`; those of
    /// the platform. Nothing is mapped in these entries then.
    pub(crate) fn map_dma(&self, arg: UserArg) -> Result {
        self.check(check_enabled)?;
        let map: vfio_iommu_type1_dma_map = arg.read_argsz(size_of::<vfio_iommu_type1_dma_map>())?;
        let request =
            MapRequest::parse(map.flags, map.vaddr, map.iova, map.size).explain("MAP_DMA")?;

        let mut state = self.lock_for_user()?;
        check_enabled(&mut state)?;
        state.make_default_window(self.backing())?;
        let (entries, direction) = state.place(&request)?;
        match self.backing() {
            Backing::Registered => state
                .table_at(request.iova)?
                .map_registered(entries, request.vaddr, direction)
                .map_err(|e| {
                    refuse!(
                        e,
                        "MAP_DMA of {:#x} bytes at {:#x}: the memory is not registered in pages of this size",
                        request.size,
                        request.iova
                    )
                }),
            Backing::Pinned => {
                drop(state);
                self.map_pinned(&request)
            }
        }
    }

    /// Pins the memory a part after the other without the lock, then maps it.
    fn map_pinned(&self, request: &MapRequest) -> Result {
        if request.size != 0 && !is_user_range(request.vaddr as usize, request.size as usize) {
            return Err(EFAULT);
        }
        let mut done = 0;
        let result = loop {
            match self.map_part(request, done) {
                Ok(0) => break Ok(()),
                Ok(count) => done += count,
                Err((e, count)) => {
                    done += count;
                    break Err(e);
                }
            }
        };
        if result.is_err() {
            let mut state = self.lock();
            // If the window is another one by now, or none, what was mapped went with it.
            if let Ok((entries, _)) = state.place(request) {
                if let Ok(table) = state.table_at(request.iova) {
                    table.clear(Entries {
                        first: entries.first,
                        count: done.min(entries.count),
                    });
                }
            }
        }
        result
    }

    /// Maps some pages after the first `done`; answers how many, none at the end.
    ///
    /// # Errors
    ///
    /// With the number of pages that may have been mapped.
    fn map_part(&self, request: &MapRequest, done: u64) -> core::result::Result<u64, (Error, u64)> {
        let nothing = |e: Error| (e, 0);
        let (entries, direction, shift) = {
            let mut state = self.lock_for_user().map_err(nothing)?;
            check_enabled(&mut state).map_err(nothing)?;
            let (entries, direction) = state.place(request).map_err(nothing)?;
            let table = state.table_at(request.iova).map_err(nothing)?;
            (entries, direction, table.window().page_shift())
        };
        let count = entries.count.saturating_sub(done).min(BATCH);
        if count == 0 {
            return Ok(0);
        }
        let vaddr = request.vaddr.wrapping_add(done << shift);
        let pages = pin(vaddr, count, shift, direction).map_err(nothing)?;

        let mut state = self.lock_for_user().map_err(nothing)?;
        check_enabled(&mut state).map_err(nothing)?;
        if state.place(request) != Ok((entries, direction)) {
            return Err((ENXIO, 0));
        }
        let table = state.table_at(request.iova).map_err(nothing)?;
        table
            .map_pinned(entries.first.saturating_add(done), vaddr, pages, direction)
            .map_err(|e| (e, count))?;
        Ok(count)
    }

    /// Unmaps a range of a window.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process, or if the container is not enabled; `EFAULT` for an argument that is not
    /// there; `ENXIO` for an address in no window; `EINVAL` for flags, and what are no whole pages or not all
    /// in the window.
    pub(crate) fn unmap_dma(&self, arg: UserArg) -> Result {
        self.check(check_enabled)?;
        let unmap: DmaUnmap = arg.read_argsz(size_of::<DmaUnmap>())?;
        if unmap.flags != 0 {
            return Err(refuse!(EINVAL, "UNMAP_DMA: unknown flags"));
        }
        let mut state = self.lock_for_user()?;
        check_enabled(&mut state)?;
        state.make_default_window(self.backing())?;
        let table = state.table_at(unmap.iova)?;
        let entries = table.window().range(unmap.iova, unmap.size).explain(fmt!(
            "UNMAP_DMA of {:#x} bytes at {:#x}",
            unmap.size,
            unmap.iova
        ))?;
        table.clear(entries);
        Ok(())
    }
}

/// Pins `count` pieces of `1 << shift` bytes from `vaddr` on, each in one page.
///
/// # Errors
///
/// `EFAULT` if one is not there, or cannot be written to by a device that does; `EINTR` when killed; `ENOMEM`.
fn pin(vaddr: u64, count: u64, shift: u32, direction: Direction) -> Result<KVec<PinnedPage>> {
    let task = kernel::current!();
    let mm = task.mm().ok_or(EFAULT)?;
    let mut pages = KVec::with_capacity(count as usize, GFP_KERNEL)?;
    for index in 0..count {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let at = vaddr.wrapping_add(index << shift);
        let page = PinnedPage::new(mm, at as usize, direction.write)?;
        // There is room.
        let _ = pages.push_within_capacity(page);
    }
    Ok(pages)
}
