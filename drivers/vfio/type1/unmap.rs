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
        Dma, //
    },
};
use kernel::{
    prelude::*,
    rbtree::RBTree,
    sync::MutexGuard, //
};
use vfio_kapi::{
    iommu_driver::DeviceList,
    iommu_space::{
        IoMapping,
        IoSpace, //
    },
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

/// What is to be unmapped.
struct Wanted<'a> {
    flags: UnmapFlags,
    range: IovaRange,
    bitmap: Option<&'a vfio_bitmap>,
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
        let mut state = self.state.lock();
        let range =
            flags
                .range(iova, size, state.page_sizes)
                .explain(Asked("UNMAP_DMA", iova, size))?;
        if let Some(bitmap) = bitmap {
            state.check_tracking(bitmap)?;
        }

        let slot = loop {
            if let Some(slot) = state.set_busy(range) {
                break slot;
            }
            state = self.wait_or_leave(state)?;
        };
        let mut taken = RBTree::new();
        let wanted = Wanted {
            flags,
            range,
            bitmap,
        };
        let (state, result) = self.take_all(state, devices, &wanted, &slot, &mut taken);
        drop(state);

        let Released { count, bytes } = release(space, taken);

        let mut state = self.state.lock();
        state.available += count;
        state.clear_busy(slot);
        self.unlock_changed(state);
        result.map(|()| bytes)
    }

    /// Takes the mappings in a range that is marked as `slot` out of the tree, as soon as they are there
    /// and not used otherwise.
    fn take_all<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        devices: &DeviceList,
        wanted: &Wanted<'_>,
        slot: &BusySlot,
        taken: &mut RBTree<u64, Dma>,
    ) -> (MutexGuard<'a, State>, Result) {
        let Wanted {
            flags,
            range,
            bitmap,
        } = wanted;
        let mut result;
        while state.has_predecessor(slot) {
            (state, result) = self.wait(state);
            if result.is_err() {
                return (state, result);
            }
        }
        let mut retries = 0;
        let mut last_pinned = None;
        loop {
            while state.is_filling(range) {
                (state, result) = self.wait(state);
                if result.is_err() {
                    return (state, result);
                }
            }
            let exact = self.v2 && !flags.all;
            match state.take(range, self.v2, exact, slot, taken, *bitmap) {
                Ok(None) => return (state, Ok(())),
                Err(e) => return (state, Err(e)),
                Ok(Some((iova, size))) => {
                    // A driver has to unpin pages first, for which it needs the lock.
                    if last_pinned != Some(iova) {
                        last_pinned = Some(iova);
                        retries = 0;
                    }
                    retries += 1;
                    if kernel::warn_on!(retries > NOTIFY_RETRIES) {
                        return (state, Err(EBUSY));
                    }
                    drop(state);
                    devices.notify_unmap(iova, size);
                    state = self.state.lock();
                }
            }
        }
    }

    /// Marks the addresses in the process of all mappings in a range as invalid; all or none.
    #[inline(never)]
    fn invalidate_vaddr(&self, flags: UnmapFlags, iova: u64, size: u64) -> Result<u64> {
        let mut state = self.state.lock();
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
        while state.is_busy(&range) || state.is_filling(&range) {
            state = self.wait_or_leave(state)?;
        }
        if self.v2 && !flags.all {
            state.check_bisection(&range)?;
        }
        let Some(first) = state.first_overlap(&range) else {
            return Ok(0);
        };
        if !self.v2 && first < range.start {
            return Ok(0);
        }

        let mut bytes = 0u64;
        let mut count = 0;
        state.for_each_from(first, range.last, |_, dma| {
            if dma.vaddr_invalid {
                return Err(EINVAL);
            }
            bytes = bytes.saturating_add(dma.size());
            count += 1;
            Ok(())
        })?;
        state.for_each_from(first, range.last, |_, dma| {
            dma.vaddr_invalid = true;
            Ok(())
        })?;
        state.vaddr_invalid += count;
        Ok(bytes)
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

    /// Whether all mappings are in `range`.
    fn all_in(&self, range: &IovaRange) -> bool {
        let (Some(first), Some(last)) = (self.dmas.cursor_front(), self.dmas.cursor_back()) else {
            return true;
        };
        let (iova, dma) = last.current();
        range.start <= *first.current().0 && dma.range(*iova).last <= range.last
    }

    /// Takes the mappings in `range` out, with their dirty pages reported, up to one of which a driver
    /// has pinned pages: its address and size are returned then.
    ///
    /// In a container that is not `v2`, a mapping that starts before the range ends it, and one that
    /// starts in it is taken whole.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `exact` and a mapping is partly in `range`; `EFAULT` where dirty pages are reported to.
    fn take(
        &mut self,
        range: &IovaRange,
        v2: bool,
        exact: bool,
        slot: &BusySlot,
        taken: &mut RBTree<u64, Dma>,
        bitmap: Option<&vfio_bitmap>,
    ) -> Result<Option<(u64, u64)>> {
        let report = bitmap.map(|bitmap| (bitmap, self.tracking_scope()));

        // Mostly it is one mapping.
        if let Some(mut entry) = self.dmas.find_mut(&range.start) {
            let dma = entry.get_mut();
            if dma.range(range.start) == *range {
                if !dma.pins.is_empty() {
                    return Ok(Some((range.start, dma.size())));
                }
                if let Some((bitmap, scope)) = &report {
                    dma.report_dirty(range.start, range.start, bitmap, scope)?;
                }
                if dma.vaddr_invalid {
                    self.vaddr_invalid -= 1;
                }
                taken.insert(entry.remove_node());
                return Ok(None);
            }
        }
        if self.pinned == 0 && bitmap.is_none() && taken.is_empty() && self.all_in(range) {
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
            if let Some((bitmap, scope)) = &report {
                dma.report_dirty(iova, range.start, bitmap, scope)?;
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
        return release_many(space, &mut dmas);
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
fn release_many(space: &IoSpace, dmas: &mut RBTree<u64, Dma>) -> Released {
    let mut count = 0;
    let mut bytes = 0u64;
    let mut rest = dmas.values_mut().peekable();
    while let Some(first) = rest.next() {
        // Neighbours mostly have the same owner, whose address space is then locked once.
        let mut pages = 0;
        let mut see = |io: &IoMapping, locked: &mut u64| {
            count += 1;
            bytes = bytes.saturating_add(io.bytes());
            pages += core::mem::take(locked);
        };
        see(&first.io, &mut first.locked);
        let owner = &first.owner;
        let others = core::iter::from_fn(|| {
            let next = rest.next_if(|dma| dma.owner.is_same(owner))?;
            see(&next.io, &mut next.locked);
            Some(&mut next.io)
        });
        space.unmap_each(Iterator::chain(core::iter::once(&mut first.io), others));
        owner.unaccount(pages);
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
