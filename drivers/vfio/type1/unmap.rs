// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_UNMAP_DMA`, and whatever else takes mappings away.

use crate::{
    container::{
        BusySlot,
        Container,
        State, //
    },
    dma::{
        Asked,
        Dma,
        Owner, //
    },
};
use kernel::{
    prelude::*,
    rbtree::RBTree,
    sync::{
        Arc,
        MutexGuard, //
    },
};
use vfio_kapi::{
    iommu_driver::DeviceList,
    iommu_space::IoSpace,
    refusal::Explain,
    refuse,
    uaccess::UserArg,
    uapi::{
        vfio_bitmap,
        DmaUnmap, //
    },
};
use vfio_logic::{
    dma::{
        bisects,
        UnmapFlags, //
    },
    iova::IovaRange,
};

/// How often drivers are asked to unpin a page before it is an error.
const NOTIFY_RETRIES: u32 = 10;

/// Asks drivers to unpin pages of mappings that are to be unmapped.
struct Asking {
    /// The first address of the mapping it was about.
    last: Option<u64>,
    /// How often that was.
    times: u32,
}

impl Asking {
    fn new() -> Self {
        Self {
            last: None,
            times: 0,
        }
    }

    /// Tells all drivers that the mapping at `iova` is to be unmapped. For that they need the lock.
    ///
    /// # Errors
    ///
    /// `EBUSY` if that was in vain too often.
    fn ask<'a>(
        &mut self,
        container: &'a Container,
        state: MutexGuard<'a, State>,
        devices: &DeviceList,
        (iova, size): (u64, u64),
    ) -> (MutexGuard<'a, State>, Result) {
        if self.last != Some(iova) {
            self.last = Some(iova);
            self.times = 0;
        }
        self.times += 1;
        if kernel::warn_on!(self.times > NOTIFY_RETRIES) {
            return (state, Err(EBUSY));
        }
        drop(state);
        devices.notify_unmap(iova, size);
        (container.state.lock(), Ok(()))
    }
}

/// What was unmapped.
struct Released {
    count: u32,
    bytes: u64,
}

impl Container {
    /// Unmaps all mappings in a range, and tells user space how many bytes that were.
    ///
    /// # Errors
    ///
    /// `EFAULT` for an argument that is not there; `EINVAL` for flags, alignment, or a range that
    /// would leave a part of a mapping; `EOVERFLOW` if the range wraps; `EBUSY` if addresses are to be
    /// made invalid but there are emulated devices; `EINTR` when killed.
    #[inline(never)]
    pub(crate) fn unmap_dma(&self, devices: &DeviceList, arg: UserArg) -> Result {
        let mut unmap: DmaUnmap = arg.read_argsz(size_of::<DmaUnmap>())?;
        let flags = UnmapFlags::parse(unmap.flags).explain("UNMAP_DMA")?;
        let bitmap = if flags.dirty_bitmap {
            Some(Self::read_bitmap(arg, &unmap)?)
        } else {
            None
        };

        let space = self.space.read_killable()?;
        unmap.size = if flags.vaddr {
            self.invalidate_vaddr(flags, unmap.iova, unmap.size)?
        } else {
            self.unmap(
                &space,
                devices,
                flags,
                unmap.iova,
                unmap.size,
                bitmap.as_ref(),
            )?
        };
        drop(space);
        arg.write(&unmap)
    }

    fn unmap(
        &self,
        space: &IoSpace,
        devices: &DeviceList,
        flags: UnmapFlags,
        iova: u64,
        size: u64,
        bitmap: Option<&vfio_bitmap>,
    ) -> Result<u64> {
        let state = self.state.lock();
        let range =
            flags
                .range(iova, size, state.page_sizes)
                .explain(Asked("UNMAP_DMA", iova, size))?;
        if let Some(bitmap) = bitmap {
            state.check_tracking(bitmap)?;
        }

        self.with_claim(state, range, |state, slot| {
            let mut taken = RBTree::new();
            let (state, result) = match bitmap {
                None => {
                    let exact = self.v2 && !flags.all;
                    self.take_all(state, devices, &range, exact, slot, &mut taken)
                }
                Some(bitmap) => self.take_reported(state, devices, &range, bitmap, &mut taken),
            };
            drop(state);

            let Released { count, bytes } = release(space, taken);

            let mut state = self.state.lock();
            state.available += count;
            (state, result.map(|()| bytes))
        })
    }

    /// Takes the mappings in a range that is claimed as `slot` out of the tree.
    fn take_all<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        devices: &DeviceList,
        range: &IovaRange,
        exact: bool,
        slot: &BusySlot,
        taken: &mut RBTree<u64, Dma>,
    ) -> (MutexGuard<'a, State>, Result) {
        let mut asking = Asking::new();
        loop {
            match state.take(range, self.v2, exact, slot, taken) {
                Ok(None) => return (state, Ok(())),
                Err(e) => return (state, Err(e)),
                Ok(Some(pinned)) => {
                    let result;
                    (state, result) = asking.ask(self, state, devices, pinned);
                    if result.is_err() {
                        return (state, result);
                    }
                }
            }
        }
    }

    /// As [`Self::take_all`], with the dirty pages of each reported. While user memory is written to the state
    /// is not held; the mapping is out of the tree then, and comes back if that fails.
    #[inline(never)]
    fn take_reported<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        devices: &DeviceList,
        range: &IovaRange,
        bitmap: &vfio_bitmap,
        taken: &mut RBTree<u64, Dma>,
    ) -> (MutexGuard<'a, State>, Result) {
        let mut asking = Asking::new();
        let mut result = state.check_bisection(range);
        while let (Ok(()), Some(iova)) = (result, state.first_overlap(range)) {
            let scope = state.tracking_scope();
            let Some(mut entry) = state.dmas.find_mut(&iova) else {
                break;
            };
            let dma = entry.get_mut();
            if !dma.pins.is_empty() {
                let pinned = (iova, dma.size());
                (state, result) = asking.ask(self, state, devices, pinned);
                continue;
            }
            let report = match dma.take_dirty(iova, &scope) {
                Ok(report) => report,
                Err(e) => return (state, Err(e)),
            };
            let invalid = usize::from(dma.vaddr_invalid);
            taken.insert(entry.remove_node());
            state.vaddr_invalid -= invalid;
            drop(state);
            result = report.write(range.start, bitmap);
            state = self.state.lock();
            if result.is_err() {
                if let Some(dma) = taken.get_mut(&iova).filter(|_| state.tracking) {
                    // Who unmaps keeps groups from coming and going, so pages have the same size.
                    dma.dirty = Some(report.bits);
                }
                if let Some(node) = taken.remove_node(&iova) {
                    state.dmas.insert(node);
                    state.vaddr_invalid += invalid;
                }
            }
        }
        (state, result)
    }

    /// Marks the addresses in the process of all mappings in a range as invalid; all or none.
    #[inline(never)]
    fn invalidate_vaddr(&self, flags: UnmapFlags, iova: u64, size: u64) -> Result<u64> {
        let state = self.state.lock();
        if state.has_emulated() {
            return Err(refuse!(
                EBUSY,
                "UNMAP_DMA: there are emulated devices, so addresses cannot be taken away"
            ));
        }
        let range =
            flags
                .range(iova, size, state.page_sizes)
                .explain(Asked("UNMAP_DMA", iova, size))?;
        let exact = self.v2 && !flags.all;
        self.with_claim(state, range, |mut state, _| {
            let result = state.invalidate_vaddr(&range, self.v2, exact);
            (state, result)
        })
    }
}

impl State {
    /// # Errors
    ///
    /// `EINVAL` if a mapping is partly in `range`.
    pub(crate) fn check_bisection(&self, range: &IovaRange) -> Result {
        for end in [range.start, range.last] {
            let at = IovaRange {
                start: end,
                last: end,
            };
            let found = self
                .first_overlap(&at)
                .and_then(|start| Some((start, self.dmas.get(&start)?)));
            if let Some((start, dma)) = found {
                if bisects(range, &dma.range(start)) {
                    return Err(refuse!(
                        EINVAL,
                        "the range ends inside of the mapping at {start:#x}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// As [`Container::invalidate_vaddr`], when nobody is busy there; `exact` if no mapping may be partly in
    /// `range`.
    fn invalidate_vaddr(&mut self, range: &IovaRange, v2: bool, exact: bool) -> Result<u64> {
        // One may have joined.
        if self.has_emulated() {
            return Err(EBUSY);
        }
        if exact {
            self.check_bisection(range)?;
        }
        let Some(first) = self.first_overlap(range) else {
            return Ok(0);
        };
        if !v2 && first < range.start {
            return Ok(0);
        }

        let mut bytes = 0u64;
        let mut count = 0;
        self.for_each_from(first, range.last, |_, dma| {
            if dma.vaddr_invalid {
                return Err(EINVAL);
            }
            bytes = bytes.saturating_add(dma.size());
            count += 1;
            Ok(())
        })?;
        self.for_each_from(first, range.last, |_, dma| {
            dma.vaddr_invalid = true;
            Ok(())
        })?;
        self.vaddr_invalid += count;
        Ok(bytes)
    }

    /// Whether all mappings are in `range`.
    fn all_in(&self, range: &IovaRange) -> bool {
        let (Some(first), Some(last)) = (self.dmas.cursor_front(), self.dmas.cursor_back()) else {
            return true;
        };
        let (iova, dma) = last.current();
        range.start <= *first.current().0 && dma.range(*iova).last <= range.last
    }

    /// Takes the mappings in `range` out, up to one of which a driver has pinned pages: its address and
    /// size are returned then.
    ///
    /// In a container that is not `v2`, a mapping that starts before the range ends it, and one that
    /// starts in it is taken whole.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `exact` and a mapping is partly in `range`.
    fn take(
        &mut self,
        range: &IovaRange,
        v2: bool,
        exact: bool,
        slot: &BusySlot,
        taken: &mut RBTree<u64, Dma>,
    ) -> Result<Option<(u64, u64)>> {
        // Mostly it is one mapping.
        if let Some(mut entry) = self.dmas.find_mut(&range.start) {
            let dma = entry.get_mut();
            if dma.range(range.start) == *range {
                if !dma.pins.is_empty() {
                    return Ok(Some((range.start, dma.size())));
                }
                if dma.vaddr_invalid {
                    self.vaddr_invalid -= 1;
                }
                taken.insert(entry.remove_node());
                return Ok(None);
            }
        }
        if self.pinned == 0 && taken.is_empty() && self.all_in(range) {
            core::mem::swap(taken, &mut self.dmas);
            self.vaddr_invalid = 0;
            return Ok(None);
        }
        if exact {
            self.check_bisection(range)?;
        }
        let Some(mut pos) = self.first_overlap(range) else {
            return Ok(None);
        };
        if !v2 && pos < range.start {
            return Ok(None);
        }
        while let Some(mut cursor) = self.dmas.cursor_lower_bound_mut(&pos) {
            let (iova, dma) = cursor.current_mut();
            let iova = *iova;
            if iova > range.last {
                break;
            }
            if !dma.pins.is_empty() {
                return Ok(Some((iova, dma.size())));
            }
            let whole = dma.range(iova);
            if dma.vaddr_invalid {
                self.vaddr_invalid -= 1;
            }
            let (_, node) = cursor.remove_current();
            taken.insert(node);
            self.extend_busy(slot, &whole);
            if whole.last >= range.last {
                break;
            }
            pos = whole.last + 1;
        }
        Ok(None)
    }
}

/// Unmaps and unpins all of `dmas`, and takes the accounting back.
fn release(space: &IoSpace, mut dmas: RBTree<u64, Dma>) -> Released {
    let mut all = dmas.iter_mut();
    let first = all.next();
    if all.next().is_some() {
        return release_many(space, dmas);
    }
    match first {
        None => Released { count: 0, bytes: 0 },
        Some((_, only)) => {
            space.unmap(&mut only.io);
            only.shrink_locked(0);
            Released {
                count: 1,
                bytes: only.size(),
            }
        }
    }
}

#[inline(never)]
fn release_many(space: &IoSpace, mut dmas: RBTree<u64, Dma>) -> Released {
    let mut count = 0;
    let mut bytes = 0u64;
    // Mostly they have the same owner, whose address space is then locked once.
    let mut owed: Option<(Arc<Owner>, u64)> = None;
    space.unmap_each(dmas.values_mut().map(|dma| {
        count += 1;
        bytes = bytes.saturating_add(dma.size());
        let pages = core::mem::take(&mut dma.locked);
        match &mut owed {
            Some((owner, sum)) if Arc::ptr_eq(owner, &dma.owner) => *sum += pages,
            _ => {
                if let Some((owner, sum)) = owed.replace((dma.owner.clone(), pages)) {
                    owner.unaccount(sum);
                }
            }
        }
        &mut dma.io
    }));
    // That is where the pages are unpinned.
    drop(dmas);
    if let Some((owner, sum)) = owed {
        owner.unaccount(sum);
    }
    Released { count, bytes }
}

/// Removes all mappings. The caller makes sure that none is on its way.
pub(crate) fn remove_all(space: &IoSpace, state: &mut State) {
    let dmas = core::mem::take(&mut state.dmas);
    state.available += release(space, dmas).count;
    state.vaddr_invalid = 0;
    // The pages go with the mappings.
    state.pinned = 0;
}
