// SPDX-License-Identifier: GPL-2.0

//! Containers: the mappings, and the domains that they are in.
//!
//! # Locking
//!
//! [`Container::space`] (reader-writer) is outside [`Container::state`] (mutex), which is outside
//! the `mmap_lock` of any process.
//!
//! * The domains are fixed while `space` is held. Mapping and unmapping hold it for reading for as
//!   long as they work; attaching and detaching groups hold it for writing, so they find nothing in
//!   between.
//! * The tree of mappings and everything else is protected by `state`. It is not held while mappings are
//!   pinned, mapped or unmapped, nor while dirty pages are reported to user space: a mapping that is
//!   being made is in the tree, marked `filling`; one that is being unmapped is out of the tree, its
//!   addresses marked `busy`, as are those of mappings that are being reported. Who needs those
//!   addresses waits for `changed`, in the order of arrival.
//! * Drivers of emulated devices pin, unpin, read and write with `state` held. User memory is touched
//!   then: if whoever provides it lets them wait, the container waits, as in C.

use crate::{
    abi,
    dma::{
        Dma,
        Owner, //
    },
    unmap, //
};
use kernel::{
    new_mutex,
    page::PAGE_MASK,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        Arc,
        Mutex,
        MutexGuard, //
    },
};
use vfio_kapi::{
    iommu_group::IommuGroup,
    iommu_space::IoSpace,
    new_killable_condvar,
    new_rwsem,
    rwsem::RwSem,
    wait::KillableCondVar, //
};
use vfio_logic::{
    dma::page_shift,
    iova::IovaRange, //
};

/// How many may claim addresses at the same time; more wait.
const BUSY_SLOTS: usize = 8;

/// What type1 has of a container.
#[pin_data]
pub(crate) struct Container {
    /// Unmapping a part of a mapping is refused (`VFIO_TYPE1v2_IOMMU`).
    pub(crate) v2: bool,
    #[pin]
    pub(crate) space: RwSem<IoSpace>,
    #[pin]
    pub(crate) state: Mutex<State>,
    /// Something was mapped or unmapped.
    #[pin]
    changed: KillableCondVar,
}

/// A group in the container.
pub(crate) struct Group {
    pub(crate) group: ARef<IommuGroup>,
    /// Its devices do no DMA themselves.
    pub(crate) emulated: bool,
    /// It only dirties pages that its driver has pinned.
    pub(crate) pinned_scope: bool,
}

/// What the mutex protects.
pub(crate) struct State {
    /// The mappings, by the first address of the device.
    pub(crate) dmas: RBTree<u64, Dma>,
    pub(crate) groups: KVec<Group>,
    /// What may be mapped; empty if nothing restricts.
    pub(crate) usable: KVec<IovaRange>,
    /// How many mappings may still be made.
    pub(crate) available: u32,
    /// Who made the last mapping.
    pub(crate) last_owner: Option<Arc<Owner>>,
    /// The page sizes of all domains.
    pub(crate) page_sizes: u64,
    /// All domains enforce cache coherency.
    pub(crate) coherent: bool,
    /// There is a domain, so that pages are pinned when they are mapped.
    pub(crate) physical: bool,
    /// How many mappings are `filling`.
    pub(crate) filling: u32,
    /// What is being unmapped, reported, or waited for.
    busy: [Option<Busy>; BUSY_SLOTS],
    /// How many there are in [`Self::busy`].
    busy_count: u32,
    /// The next [`Busy::ticket`].
    next_ticket: u64,
    /// How many wait for [`Container::changed`].
    waiting: u32,
    /// How many pages drivers have pinned.
    pub(crate) pinned: usize,
    /// How many mappings have no valid address in the process.
    pub(crate) vaddr_invalid: usize,
    /// Dirty pages are tracked.
    pub(crate) tracking: bool,
}

/// Addresses that somebody has to himself, or will have as soon as who came before is done.
#[derive(Clone, Copy)]
struct Busy {
    range: IovaRange,
    /// Who came before has a smaller one.
    ticket: u64,
}

/// Stands for an entry of [`State::busy`].
pub(crate) struct BusySlot(usize);

impl Container {
    pub(crate) fn new(v2: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            v2,
            space <- new_rwsem!(IoSpace::new(), "vfio_type1_space"),
            state <- new_mutex!(
                State {
                    dmas: RBTree::new(),
                    groups: KVec::new(),
                    usable: KVec::new(),
                    available: abi::vfio_type1_dma_entry_limit.get(),
                    last_owner: None,
                    page_sizes: PAGE_MASK as u64,
                    coherent: true,
                    physical: false,
                    filling: 0,
                    busy: [None; BUSY_SLOTS],
                    busy_count: 0,
                    next_ticket: 0,
                    waiting: 0,
                    pinned: 0,
                    vaddr_invalid: 0,
                    tracking: false,
                },
                "vfio_type1_state"
            ),
            changed <- new_killable_condvar!("vfio_type1_changed"),
        }? Error)
    }

    /// Takes everything away, at the end of the container. The domains go with the space, which
    /// detaches the groups that are still there.
    pub(crate) fn empty(&self) {
        let space = self.space.read();
        let mut state = self.state.lock();
        unmap::remove_all(&space, &mut state);
    }

    /// Waits until something was mapped or unmapped.
    ///
    /// # Errors
    ///
    /// `EINTR` if the current task is being killed.
    pub(crate) fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
    ) -> (MutexGuard<'a, State>, Result) {
        state.waiting += 1;
        let (mut state, result) = self.changed.wait(state);
        state.waiting -= 1;
        (state, result)
    }

    /// As [`Self::wait`], where nothing has to be undone. Others may always come first.
    pub(crate) fn wait_or_leave<'a>(
        &self,
        state: MutexGuard<'a, State>,
    ) -> Result<MutexGuard<'a, State>> {
        let (state, result) = self.wait(state);
        result.map(|()| state)
    }

    /// Calls `f` while nobody else maps, unmaps or reports anything in `range`, or has claimed a part of it. Who
    /// came before, and what is being mapped, is waited for. Drivers of emulated devices go on.
    ///
    /// # Errors
    ///
    /// `EINTR` if the current task is being killed, and what `f` returns.
    #[inline(always)]
    pub(crate) fn with_claim<'a, R>(
        &'a self,
        state: MutexGuard<'a, State>,
        range: IovaRange,
        f: impl FnOnce(MutexGuard<'a, State>, &BusySlot) -> (MutexGuard<'a, State>, Result<R>),
    ) -> Result<R> {
        let (state, slot) = self.claim(state, range)?;
        let (mut state, result) = f(state, &slot);
        state.clear_busy(slot);
        self.unlock_changed(state);
        result
    }

    #[inline(always)]
    fn claim<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        range: IovaRange,
    ) -> Result<(MutexGuard<'a, State>, BusySlot)> {
        let slot = loop {
            if let Some(slot) = state.set_busy(range) {
                break slot;
            }
            state = self.wait_or_leave(state)?;
        };
        while state.has_predecessor(&slot) || state.is_filling(&range) {
            let result;
            (state, result) = self.wait(state);
            if result.is_err() {
                state.clear_busy(slot);
                self.unlock_changed(state);
                return Err(EINTR);
            }
        }
        Ok((state, slot))
    }

    /// Lets go of the state, in which something was mapped or unmapped.
    pub(crate) fn unlock_changed(&self, state: MutexGuard<'_, State>) {
        // Who waits began to with the lock held.
        let waiting = state.waiting != 0;
        drop(state);
        if waiting {
            self.changed.notify_all();
        }
    }

    /// Whether there are emulated groups.
    #[inline(never)]
    pub(crate) fn has_emulated(&self) -> bool {
        self.state.lock().has_emulated()
    }

    /// Whether all domains enforce cache coherency.
    #[inline(never)]
    pub(crate) fn is_coherent(&self) -> bool {
        self.state.lock().coherent
    }
}

impl State {
    pub(crate) fn has_emulated(&self) -> bool {
        self.groups.iter().any(|group| group.emulated)
    }

    /// The binary logarithm of the smallest page.
    pub(crate) fn page_shift(&self) -> u32 {
        page_shift(self.page_sizes)
    }

    /// The first address of the lowest mapping that overlaps `range`.
    pub(crate) fn first_overlap(&self, range: &IovaRange) -> Option<u64> {
        let overlapping =
            |(iova, dma): (&u64, &Dma)| dma.range(*iova).overlaps(range).then_some(*iova);
        match self.dmas.cursor_lower_bound(&range.start) {
            Some(cursor) => cursor
                .peek_prev()
                .and_then(overlapping)
                .or_else(|| overlapping(cursor.current())),
            None => self
                .dmas
                .cursor_back()
                .and_then(|cursor| overlapping(cursor.current())),
        }
    }

    /// Whether there is a mapping in `range`.
    pub(crate) fn is_mapped(&self, range: &IovaRange) -> bool {
        self.first_overlap(range).is_some()
    }

    /// Calls `f` for the mappings that start in `first..=last`, in order, until it fails.
    pub(crate) fn for_each_from(
        &mut self,
        first: u64,
        last: u64,
        mut f: impl FnMut(u64, &mut Dma) -> Result,
    ) -> Result {
        let mut next = self.dmas.cursor_lower_bound_mut(&first);
        while let Some(mut cursor) = next {
            let (iova, dma) = cursor.current_mut();
            if *iova > last {
                break;
            }
            f(*iova, dma)?;
            next = cursor.move_next();
        }
        Ok(())
    }

    /// The mapping that the address `iova` belongs to, and its first address.
    pub(crate) fn dma_at(&mut self, iova: u64) -> Option<(u64, &mut Dma)> {
        let start = self.first_overlap(&IovaRange {
            start: iova,
            last: iova,
        })?;
        self.dmas.get_mut(&start).map(|dma| (start, dma))
    }

    /// Whether a mapping that overlaps `range` is being made by another thread.
    pub(crate) fn is_filling(&mut self, range: &IovaRange) -> bool {
        if self.filling == 0 {
            return false;
        }
        let Some(first) = self.first_overlap(range) else {
            return false;
        };
        let idle = self.for_each_from(first, range.last, |_, dma| match dma.filling {
            true => Err(EBUSY),
            false => Ok(()),
        });
        idle.is_err()
    }

    /// Whether somebody else has claimed a part of `range`, or is mapping there.
    pub(crate) fn is_taken(&mut self, range: &IovaRange) -> bool {
        self.is_busy(range) || self.is_filling(range)
    }

    fn is_busy(&self, range: &IovaRange) -> bool {
        self.busy_count != 0
            && self
                .busy
                .iter()
                .flatten()
                .any(|busy| busy.range.overlaps(range))
    }

    /// Whether somebody who came before is busy in the range of `slot`. Who came later waits for us, so that
    /// nobody waits forever while others go on.
    fn has_predecessor(&self, slot: &BusySlot) -> bool {
        if self.busy_count < 2 {
            return false;
        }
        let Some(Some(own)) = self.busy.get(slot.0) else {
            return false;
        };
        self.busy
            .iter()
            .flatten()
            .any(|busy| busy.ticket < own.ticket && busy.range.overlaps(&own.range))
    }

    /// Marks `range` as busy; `None` if too much is going on already.
    fn set_busy(&mut self, range: IovaRange) -> Option<BusySlot> {
        let index = self.busy.iter().position(Option::is_none)?;
        let ticket = self.next_ticket;
        *self.busy.get_mut(index)? = Some(Busy { range, ticket });
        self.next_ticket = ticket.wrapping_add(1);
        self.busy_count += 1;
        Some(BusySlot(index))
    }

    /// Enlarges what was marked to contain `range` as well.
    pub(crate) fn extend_busy(&mut self, slot: &BusySlot, range: &IovaRange) {
        if let Some(Some(busy)) = self.busy.get_mut(slot.0) {
            busy.range.last = busy.range.last.max(range.last);
        }
    }

    /// Takes a mark back.
    pub(crate) fn clear_busy(&mut self, slot: BusySlot) {
        if let Some(busy) = self.busy.get_mut(slot.0) {
            *busy = None;
            self.busy_count -= 1;
        }
    }
}
