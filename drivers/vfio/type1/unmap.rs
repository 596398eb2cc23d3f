// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_UNMAP_DMA`, and whatever else takes mappings away.

use crate::{
    container::{
        Container,
        State, //
    },
    dma::{
        Dma,
        Owner, //
    },
};
use kernel::{
    prelude::*,
    rbtree::RBTree, //
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

/// Mappings that are out of the container, but still mapped.
struct Taken {
    dmas: RBTree<u64, Dma>,
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
    /// made invalid but there are emulated devices.
    pub(crate) fn unmap_dma(&self, devices: &DeviceList, arg: UserArg) -> Result {
        let mut unmap: DmaUnmap = arg.read_argsz(size_of::<DmaUnmap>())?;
        let flags = UnmapFlags::parse(unmap.flags).explain("UNMAP_DMA")?;
        let bitmap = if flags.dirty_bitmap {
            Some(Self::read_bitmap(arg, &unmap)?)
        } else {
            None
        };

        let space = self.space.read();
        unmap.size = if flags.vaddr {
            self.invalidate_vaddr(flags, unmap.iova, unmap.size)?
        } else {
            self.unmap(&space, devices, flags, unmap.iova, unmap.size, bitmap)?
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
        bitmap: Option<vfio_bitmap>,
    ) -> Result<u64> {
        let mut state = self.state.lock();
        let range = flags
            .range(iova, size, state.page_sizes)
            .explain(fmt!("UNMAP_DMA of {size:#x} bytes at {iova:#x}"))?;
        if let Some(bitmap) = &bitmap {
            state.check_tracking(bitmap)?;
        }

        let slot = loop {
            if let Some(slot) = state.set_busy(range) {
                break slot;
            }
            self.changed.wait(&mut state);
        };
        while state.has_predecessor(&slot) {
            self.changed.wait(&mut state);
        }

        let mut taken = Taken {
            dmas: RBTree::new(),
            count: 0,
            bytes: 0,
        };
        let mut retries = 0;
        let mut last_pinned = None;
        let result = loop {
            while state.is_filling(&range) {
                self.changed.wait(&mut state);
            }
            if self.v2 && !flags.all {
                if let Err(e) = state.check_bisection(&range) {
                    break Err(e);
                }
            }
            match state.take(&range, self.v2, &slot, &mut taken, bitmap.as_ref()) {
                Ok(None) => break Ok(()),
                Err(e) => break Err(e),
                Ok(Some((iova, size))) => {
                    // A driver has to unpin pages first, for which it needs the lock.
                    if last_pinned != Some(iova) {
                        last_pinned = Some(iova);
                        retries = 0;
                    }
                    retries += 1;
                    if kernel::warn_on!(retries > NOTIFY_RETRIES) {
                        break Err(EBUSY);
                    }
                    drop(state);
                    devices.notify_unmap(iova, size);
                    state = self.state.lock();
                }
            }
        };
        drop(state);

        let Taken { dmas, count, bytes } = taken;
        release(space, dmas);

        let mut state = self.state.lock();
        state.available += count;
        state.clear_busy(slot);
        drop(state);
        self.changed.notify_all();
        result.map(|()| bytes)
    }

    /// Marks the addresses in the process of all mappings in a range as invalid; all or none.
    fn invalidate_vaddr(&self, flags: UnmapFlags, iova: u64, size: u64) -> Result<u64> {
        let mut state = self.state.lock();
        if state.has_emulated() {
            return Err(refuse!(
                EBUSY,
                "UNMAP_DMA: there are emulated devices, so addresses cannot be taken away"
            ));
        }
        let range = flags
            .range(iova, size, state.page_sizes)
            .explain(fmt!("UNMAP_DMA of {size:#x} bytes at {iova:#x}"))?;
        while state.is_busy(&range) || state.is_filling(&range) {
            self.changed.wait(&mut state);
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
            if let Some(start) = self.first_overlap(&at) {
                let cut = self
                    .dmas
                    .get(&start)
                    .is_some_and(|dma| bisects(range, &dma.range(start)));
                if cut {
                    return Err(refuse!(
                        EINVAL,
                        "the range ends inside of the mapping at {start:#x}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Takes the mappings in `range` out, with their dirty pages reported, up to one of which a driver
    /// has pinned pages: its address and size are returned then.
    ///
    /// In a container that is not `v2`, a mapping that starts before the range ends it, and one that
    /// starts in it is taken whole.
    fn take(
        &mut self,
        range: &IovaRange,
        v2: bool,
        slot: &crate::container::BusySlot,
        taken: &mut Taken,
        bitmap: Option<&vfio_bitmap>,
    ) -> Result<Option<(u64, u64)>> {
        let Some(mut pos) = self.first_overlap(range) else {
            return Ok(None);
        };
        if !v2 && pos < range.start {
            return Ok(None);
        }
        let tracking = self.tracking_scope();
        while let Some(mut cursor) = self.dmas.cursor_lower_bound_mut(&pos) {
            let (iova, dma) = cursor.current_mut();
            let iova = *iova;
            if iova > range.last {
                break;
            }
            if !dma.pins.is_empty() {
                return Ok(Some((iova, dma.size())));
            }
            if let Some(bitmap) = bitmap {
                dma.report_dirty(iova, range.start, bitmap, &tracking)?;
            }
            let whole = dma.range(iova);
            if dma.vaddr_invalid {
                self.vaddr_invalid -= 1;
            }
            taken.bytes = taken.bytes.saturating_add(dma.size());
            taken.count += 1;
            let (_, node) = cursor.remove_current();
            taken.dmas.insert(node);
            self.extend_busy(slot, &whole);
            match whole.last.checked_add(1) {
                Some(next) => pos = next,
                None => break,
            }
        }
        Ok(None)
    }
}

/// Unmaps and unpins all of `dmas`, and takes the accounting back.
fn release(space: &IoSpace, mut dmas: RBTree<u64, Dma>) {
    // Neighbours mostly have the same owner, whose address space is then locked once.
    let mut pending: Option<(&Owner, u64)> = None;
    for dma in dmas.values_mut() {
        space.unmap(&mut dma.io);
        let locked = core::mem::take(&mut dma.locked);
        pending = match pending {
            Some((owner, pages)) if owner.is_same(&dma.owner) => Some((owner, pages + locked)),
            other => {
                if let Some((owner, pages)) = other {
                    owner.unaccount(pages);
                }
                Some((&dma.owner, locked))
            }
        };
    }
    if let Some((owner, pages)) = pending {
        owner.unaccount(pages);
    }
}

/// Removes all mappings. The caller makes sure that none is on its way.
pub(crate) fn remove_all(space: &IoSpace, state: &mut State) {
    let dmas = core::mem::take(&mut state.dmas);
    let count = dmas.keys().count() as u32;
    release(space, dmas);
    state.available += count;
    state.vaddr_invalid = 0;
}
