// SPDX-License-Identifier: GPL-2.0

//! Tables of translation control entries (TCEs): what is mapped in a DMA window on POWER.
//!
//! C header: [`arch/powerpc/include/asm/iommu.h`](srctree/arch/powerpc/include/asm/iommu.h)

use crate::{
    locked_vm::LockedPages,
    pin::{
        cond_resched,
        fatal_signal_pending,
        PinnedPage, //
    },
    registered_memory::{
        is_contained,
        MappedPage, //
    },
};
use core::{
    ptr::NonNull,
    sync::atomic::{
        AtomicU64,
        Ordering, //
    },
};
use kernel::{
    bindings::dma_data_direction,
    ffi::c_long,
    mm::Mm,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef, //
};
use vfio_bindings as vb;
use vfio_logic::tce::{
    Direction,
    Entries,
    PlatformCall,
    Stale,
    Window, //
};

const NONE: dma_data_direction = dma_data_direction::DMA_NONE;
const TO_DEVICE: dma_data_direction = dma_data_direction::DMA_TO_DEVICE;
const FROM_DEVICE: dma_data_direction = dma_data_direction::DMA_FROM_DEVICE;
const BIDIRECTIONAL: dma_data_direction = dma_data_direction::DMA_BIDIRECTIONAL;

/// What keeps the memory that is mapped where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Each entry has pinned its page.
    Pinned,
    /// Each entry counts as a mapping of a region that the process has registered.
    Registered,
}

/// The table of a window.
///
/// What is mapped when it is dropped stays pinned, or registered: clear it before.
///
/// # Invariants
///
/// `raw` is valid, and one of the references to it is ours. `window` is what it says of itself. With
/// [`Backing::Registered`] it has a copy of its entries for the addresses in the process. Each entry that is
/// not empty has given away a [`MappedPage`] if there is such an address or with [`Backing::Registered`], and
/// a [`PinnedPage`] else.
pub struct TceTable {
    raw: NonNull<vb::iommu_table>,
    window: Window,
    slot: usize,
    backing: Backing,
    has_user_copy: bool,
    levels: u64,
    used: u64,
    mm: ARef<Mm>,
    _locked: LockedPages,
}

// SAFETY: A table is not tied to a thread.
unsafe impl Send for TceTable {}
// SAFETY: Through a shared reference it is only asked for what does not change.
unsafe impl Sync for TceTable {}

/// What was in an entry.
#[derive(Clone, Copy)]
enum Old {
    Pinned { pfn: u64, write: bool },
    Registered { vaddr: u64 },
}

impl TceTable {
    /// Takes over a reference to an empty table, made for the window number `slot` of groups.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a table that makes no sense, `ENOMEM` if it has no copy for addresses but needs one.
    ///
    /// # Safety
    ///
    /// `raw` is a valid table, which nobody else changes, and the caller has a reference to it, which it
    /// gives up.
    pub(crate) unsafe fn from_raw(
        raw: NonNull<vb::iommu_table>,
        slot: usize,
        backing: Backing,
        mm: ARef<Mm>,
        locked: LockedPages,
    ) -> Result<Self> {
        // SAFETY: The table is valid, and these fields do not change.
        let (shift, offset, size, levels, level_size, has_user_copy) = unsafe {
            let table = raw.as_ptr();
            (
                (*table).it_page_shift,
                (*table).it_offset,
                (*table).it_size,
                (*table).it_indirect_levels,
                (*table).it_level_size,
                !(*table).it_userspace.is_null()
                    && !(*table).it_ops.is_null()
                    && (*(*table).it_ops).useraddrptr.is_some(),
            )
        };
        let level_entries = if levels == 0 { 0 } else { level_size as u64 };
        let window = u32::try_from(shift)
            .ok()
            .and_then(|shift| Window::new(shift, offset as u64, size as u64, level_entries));
        let Some(window) = window.filter(|_| has_user_copy || backing == Backing::Pinned) else {
            // SAFETY: The reference is ours.
            unsafe { vb::iommu_tce_table_put(raw.as_ptr()) };
            return Err(if window.is_some() { ENOMEM } else { EINVAL });
        };
        // INVARIANT: By the contract of this function; it is empty.
        Ok(Self {
            raw,
            window,
            slot,
            backing,
            has_user_copy,
            levels: levels as u64 + 1,
            used: 0,
            mm,
            _locked: locked,
        })
    }

    /// The C table. Valid while this exists.
    pub(crate) fn as_raw(&self) -> *mut vb::iommu_table {
        self.raw.as_ptr()
    }

    /// The number of the window that it is for.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Where the window is.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// How many levels it has.
    pub fn levels(&self) -> u64 {
        self.levels
    }

    /// How many entries are in use, not counting what KVM does with them.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Where the address in the process is kept for an entry. If `make`, the level it is in is made; else
    /// there may be none.
    fn user_entry(&self, index: u64, make: bool) -> Option<&AtomicU64> {
        if !self.has_user_copy {
            return None;
        }
        let page = self.window.bus_page(index)?;
        // SAFETY: The table and its operations are valid, it has a copy, and the entry is in it.
        let entry = unsafe {
            let find = (*(*self.as_raw()).it_ops).useraddrptr?;
            find(self.as_raw(), page as c_long, make)
        };
        // SAFETY: It is valid as long as the table, an aligned number, and only used as an atomic one by us.
        // KVM, which writes to it for the same process, does so with whole numbers.
        Some(unsafe { NonNull::new(entry)?.cast::<AtomicU64>().as_ref() })
    }

    /// Exchanges an entry; answers the physical address and the direction that were in it.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the end, `EPERM` for an address that is no multiple of the page, `ENOMEM`, and those
    /// of the platform.
    ///
    /// # Safety
    ///
    /// The device may use that memory for as long as the entry is there.
    unsafe fn exchange(
        &mut self,
        index: u64,
        physical: u64,
        direction: dma_data_direction,
    ) -> Result<(u64, dma_data_direction)> {
        let page = self.window.bus_page(index).ok_or(EINVAL)?;
        if !self.window.is_aligned(physical) {
            return Err(EPERM);
        }
        let mut physical = physical as usize;
        let mapped = direction != NONE;
        let mut direction = direction;
        // SAFETY: The table is valid, the entry in it and the address a multiple of its page; for the rest
        // by the contract of this function.
        let ret = unsafe {
            vb::iommu_tce_xchg_no_kill(
                self.mm.as_raw(),
                self.as_raw(),
                page as usize,
                &raw mut physical,
                &raw mut direction,
            )
        };
        PlatformCall::Exchange.check(ret as i64)?;
        self.used = self.used.saturating_add(u64::from(mapped));
        self.used = self.used.saturating_sub(u64::from(direction != NONE));
        Ok((physical as u64, direction))
    }

    /// Maps registered memory from `vaddr` on in these entries. What was mapped there is not any more.
    ///
    /// # Errors
    ///
    /// `EINVAL` for memory that is not registered in pages of this size or more, `EPERM` if a page of the
    /// IOMMU is larger than one of memory, `ENXIO` if it is being unregistered, `EINTR` when killed,
    /// `ENOMEM`, and those of the platform. Nothing is mapped in these entries then that was asked for.
    pub fn map_registered(&mut self, entries: Entries, vaddr: u64, direction: Direction) -> Result {
        if self.backing != Backing::Registered {
            return Err(EINVAL);
        }
        let shift = self.window.page_shift();
        let mut change = Change::new(self);
        let failed = (0..entries.count).find_map(|done| {
            let page = vaddr.wrapping_add(done << shift);
            let result = change.map_registered(entries.first + done, page, direction);
            result.err().map(|e| (e, done))
        });
        drop(change);
        let Some((e, done)) = failed else {
            return Ok(());
        };
        self.clear(Entries {
            first: entries.first,
            count: done,
        });
        Err(e)
    }

    /// Maps pages of the current process that were pinned for it, those from `vaddr` on, in entries from
    /// `first` on. What was mapped there is not any more.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the end of the table or if the pages were not pinned for this, `EFAULT` for memory
    /// that cannot be pinned, `EPERM` if a page of the IOMMU is larger than one of memory, `ENOMEM`, and
    /// those of the platform. Some of the pages may be mapped then: the caller clears all entries.
    pub fn map_pinned(
        &mut self,
        first: u64,
        vaddr: u64,
        pages: KVec<PinnedPage>,
        direction: Direction,
    ) -> Result {
        if self.backing != Backing::Pinned {
            return Err(EINVAL);
        }
        let shift = self.window.page_shift();
        let mut change = Change::new(self);
        for (done, page) in (0u64..).zip(pages) {
            let vaddr = vaddr.wrapping_add(done << shift);
            change.map_pinned(first.saturating_add(done), vaddr, page, direction)?;
        }
        Ok(())
    }

    /// Empties these entries; beyond the end of the table there are none.
    pub fn clear(&mut self, entries: Entries) {
        let end = entries.end().min(self.window.entries());
        let mut index = entries.first;
        let mut change = Change::new(self);
        while index < end {
            cond_resched();
            // Where a level of the copy is missing, so is that of the table.
            if change.table.levels > 1
                && change.table.has_user_copy
                && change.table.user_entry(index, false).is_none()
            {
                index = change.table.window.behind_part(index);
                continue;
            }
            change.clear(index);
            index += 1;
        }
    }
}

impl Drop for TceTable {
    fn drop(&mut self) {
        // SAFETY: The reference is ours. Groups that have the window have their own.
        unsafe { vb::iommu_tce_table_put(self.as_raw()) };
    }
}

/// How many pages are kept until the IOMMU has forgotten them.
const BATCH: usize = 64;

/// A change of entries one after the other. What was in them is let go of when the IOMMU, which caches
/// entries, has forgotten it: a device must not reach memory that is somebody else's by then.
struct Change<'a> {
    table: &'a mut TceTable,
    /// What the IOMMU may know as it was.
    stale: Stale,
    old: [Option<Old>; BATCH],
    count: usize,
}

impl<'a> Change<'a> {
    fn new(table: &'a mut TceTable) -> Self {
        Self {
            table,
            stale: Stale::new(),
            old: [None; BATCH],
            count: 0,
        }
    }

    /// Notes that an entry was exchanged, and what was in it: `user` is the address that was kept for it.
    fn exchanged(
        &mut self,
        index: u64,
        (physical, direction): (u64, dma_data_direction),
        user: u64,
    ) {
        if let Some(far) = self.stale.add(index) {
            self.settle(far);
        }
        if direction == NONE {
            return;
        }
        let old = if self.table.backing == Backing::Registered || user != 0 {
            Old::Registered { vaddr: user }
        } else {
            Old::Pinned {
                pfn: physical >> PAGE_SHIFT,
                write: direction != TO_DEVICE,
            }
        };
        if let Some(slot) = self.old.get_mut(self.count) {
            *slot = Some(old);
        }
        self.count += 1;
        if self.count == BATCH {
            self.settle_all();
        }
    }

    /// Makes the IOMMU forget all that was exchanged, then lets go of what was in it.
    fn settle_all(&mut self) {
        if let Some(entries) = self.stale.take() {
            self.settle(entries);
        }
    }

    /// The same; `entries` are all that has been exchanged and is not settled.
    fn settle(&mut self, entries: Entries) {
        let Some(page) = self.table.window.bus_page(entries.first) else {
            return;
        };
        // SAFETY: The table is valid and has these entries.
        unsafe {
            vb::iommu_tce_kill(self.table.as_raw(), page as usize, entries.count as usize);
            vb::iommu_flush_tce(self.table.as_raw());
        }
        self.count = 0;
        for old in self.old.iter_mut().filter_map(Option::take) {
            match old {
                // SAFETY: The entry had this page by the invariant of the table, and has not any more.
                Old::Pinned { pfn, write } => unsafe {
                    drop(PinnedPage::from_pfn(pfn, write));
                },
                // SAFETY: As above.
                Old::Registered { vaddr } => unsafe {
                    drop(MappedPage::take_back(
                        &self.table.mm,
                        vaddr,
                        self.table.window.page_shift(),
                    ));
                },
            }
        }
    }

    fn map_registered(&mut self, index: u64, vaddr: u64, direction: Direction) -> Result {
        if index % BATCH as u64 == 0 {
            cond_resched();
            if fatal_signal_pending() {
                return Err(EINTR);
            }
        }
        let page = MappedPage::find(&self.table.mm, vaddr, self.table.window.page_shift())?;
        // Before the entry is exchanged, as this may fail.
        if self.table.user_entry(index, true).is_none() {
            return Err(ENOMEM);
        }
        // SAFETY: The memory is pinned for as long as the page counts as mapped, which it does until the
        // entry is exchanged again and the IOMMU has forgotten it.
        let old = unsafe {
            self.table
                .exchange(index, page.physical(), raw_direction(direction))
        }?;
        // INVARIANT: The entry has the page now.
        page.forget();
        let user = match self.table.user_entry(index, false) {
            Some(entry) => u64::from_be(entry.swap(vaddr.to_be(), Ordering::Relaxed)),
            None => 0,
        };
        self.exchanged(index, old, user);
        Ok(())
    }

    fn map_pinned(
        &mut self,
        index: u64,
        vaddr: u64,
        page: PinnedPage,
        direction: Direction,
    ) -> Result {
        if !page.is_accountable() {
            return Err(EFAULT);
        }
        if direction.write && !page.is_written() {
            return Err(EINVAL);
        }
        let physical = (page.pfn() << PAGE_SHIFT) | (vaddr & (PAGE_SIZE as u64 - 1));
        if !is_contained(physical, self.table.window.page_shift()) {
            return Err(EPERM);
        }
        // SAFETY: The memory is pinned, for writing if the device may, until the entry is exchanged again and
        // the IOMMU has forgotten it.
        let old = unsafe {
            self.table
                .exchange(index, physical, raw_direction(direction))
        }?;
        // INVARIANT: The entry has the page now.
        page.forget();
        self.exchanged(index, old, self.take_user(index));
        Ok(())
    }

    fn clear(&mut self, index: u64) {
        // SAFETY: No memory.
        let old = unsafe { self.table.exchange(index, 0, NONE) };
        // What cannot be exchanged stays, with what it has. Of an entry that was empty the IOMMU knows nothing.
        match old {
            Ok(old) if old.1 != NONE => self.exchanged(index, old, self.take_user(index)),
            _ => {}
        }
    }

    /// Forgets the address that is kept for an entry.
    fn take_user(&self, index: u64) -> u64 {
        match self.table.user_entry(index, false) {
            Some(entry) => u64::from_be(entry.swap(0, Ordering::Relaxed)),
            None => 0,
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.settle_all();
    }
}

fn raw_direction(direction: Direction) -> dma_data_direction {
    match (direction.read, direction.write) {
        (true, true) => BIDIRECTIONAL,
        (true, false) => TO_DEVICE,
        (false, true) => FROM_DEVICE,
        (false, false) => NONE,
    }
}
