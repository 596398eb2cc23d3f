// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_MAP_DMA`.

use crate::{
    container::{
        Container,
        State, //
    },
    dma::{
        account,
        use_huge_pages,
        Asked,
        Dma,
        Owner, //
    },
};
use kernel::{
    prelude::*,
    rbtree::RBTreeNode, //
};
use vfio_kapi::{
    iommu_space::IoSpace,
    refusal::Explain,
    refuse,
    uaccess::UserArg,
    uapi::vfio_iommu_type1_dma_map, //
};
use vfio_logic::{
    dma::MapRequest,
    iova, //
};

const MAP: &str = "MAP_DMA";

impl Container {
    /// Maps memory of the current process, or tells where the memory of a mapping is now.
    ///
    /// # Errors
    ///
    /// `EFAULT` for an argument or memory that is not there; `EINVAL` for flags, sizes, alignment and
    /// addresses that cannot be mapped; `EOVERFLOW` if a range wraps; `EEXIST` if something is mapped
    /// there already; `ENOSPC` if there are too many mappings; `ENOMEM` over the limit of locked
    /// memory or without memory; `EINTR` when killed; others from the IOMMU driver.
    #[inline(never)]
    pub(crate) fn map_dma(&self, arg: UserArg) -> Result {
        let map: vfio_iommu_type1_dma_map = arg.read_argsz(size_of::<vfio_iommu_type1_dma_map>())?;
        let request = MapRequest::parse(map.flags, map.vaddr, map.iova, map.size)
            .explain(Asked(MAP, map.iova, map.size))?;

        // The domains stay until the end.
        let space = self.space.read_killable()?;
        if request.update_vaddr {
            return self.update_vaddr(&request);
        }
        match self.reserve(&request)? {
            Some(privileged) => self.fill(&space, &request, privileged),
            None => Ok(()),
        }
    }

    /// Puts the mapping into the tree. If its pages are to be pinned and mapped, returns whether its owner
    /// may lock more memory than the limit.
    fn reserve(&self, request: &MapRequest) -> Result<Option<bool>> {
        let mut state = self.state.lock();
        request.check_alignment(state.page_sizes).explain(Asked(
            MAP,
            request.range.start,
            request.size,
        ))?;
        loop {
            // Whether a mapping that is on its way will stay, or is gone, shows later.
            if !state.is_busy(&request.range) && !state.is_filling(&request.range) {
                if let Some(other) = state.first_overlap(&request.range) {
                    return Err(refuse!(
                        EEXIST,
                        "{}: it overlaps the mapping at {other:#x}",
                        Asked(MAP, request.range.start, request.size)
                    ));
                }
                if state.available > 0 {
                    break;
                }
                if state.filling == 0 {
                    return Err(refuse!(
                        ENOSPC,
                        "{}: the container has as many mappings as dma_entry_limit allows",
                        Asked(MAP, request.range.start, request.size)
                    ));
                }
            }
            state = self.wait_or_leave(state)?;
        }
        if !iova::is_usable(&state.usable, &request.range) {
            return Err(refuse!(
                EINVAL,
                "{}: the IOMMU cannot map all of it, or parts are reserved",
                Asked(MAP, request.range.start, request.size)
            ));
        }

        let task = current!();
        let mm = task.mm().ok_or(ENODEV)?;
        let owner = Owner::current(mm);
        let privileged = owner.is_privileged();
        let mut dma = Dma::new(request, owner, state.physical);
        if !state.physical && state.tracking {
            dma.start_tracking(state.page_shift())?;
        }
        let node = RBTreeNode::new(request.range.start, dma, GFP_KERNEL_ACCOUNT)?;
        // There is none with this key, as nothing overlaps.
        state.dmas.insert(node);
        state.available -= 1;
        if !state.physical {
            return Ok(None);
        }
        state.filling += 1;
        Ok(Some(privileged))
    }

    /// Pins and maps the pages of a mapping that was reserved, without the lock.
    fn fill(&self, space: &IoSpace, request: &MapRequest, privileged: bool) -> Result {
        let task = current!();
        let leader = task.group_leader();
        let mut io = Dma::empty_io(request);
        let mut locked = 0;
        let result = match task.mm() {
            Some(mm) => space.fill(&mut io, mm, request.vaddr, use_huge_pages(), |_, pages| {
                account(mm, leader, pages, privileged)?;
                locked += pages;
                Ok(())
            }),
            None => Err(ENODEV),
        };
        if result.is_err() {
            space.unmap(&mut io);
        }

        let mut state = self.state.lock();
        let shift = state.page_shift();
        let tracking = state.tracking;
        let mut result = result;
        if let Some(dma) = state.dmas.get_mut(&request.range.start) {
            dma.filling = false;
            dma.io = io;
            dma.locked = locked;
            if result.is_ok() && tracking {
                result = dma.start_tracking(shift);
                if result.is_err() {
                    space.unmap(&mut dma.io);
                }
            }
            if result.is_err() {
                dma.shrink_locked(0);
            }
        }
        if result.is_err() {
            state.forget(request.range.start);
        }
        state.filling -= 1;
        self.unlock_changed(state);
        result
    }

    /// Gives a mapping whose address in the process is invalid a new one, in the current process.
    #[inline(never)]
    fn update_vaddr(&self, request: &MapRequest) -> Result {
        let mut state = self.state.lock();
        request.check_alignment(state.page_sizes).explain(Asked(
            MAP,
            request.range.start,
            request.size,
        ))?;
        while state.is_busy(&request.range) || state.is_filling(&request.range) {
            state = self.wait_or_leave(state)?;
        }
        let start = state.first_overlap(&request.range).ok_or(ENOENT)?;
        let dma = state.dmas.get_mut(&start).ok_or(ENOENT)?;
        if !dma.vaddr_invalid || dma.range(start) != request.range {
            return Err(refuse!(
                EINVAL,
                "{}: no mapping of just this range waits for a new address",
                Asked(MAP, request.range.start, request.size)
            ));
        }
        dma.change_owner()?;
        dma.vaddr = request.vaddr;
        dma.vaddr_invalid = false;
        state.vaddr_invalid -= 1;
        Ok(())
    }
}

impl Dma {
    /// Makes the current process the owner, and moves the accounting.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if it would exceed its limit, `EINTR`. Nothing has changed then.
    fn change_owner(&mut self) -> Result {
        let task = current!();
        let mm = task.mm().ok_or(ENODEV)?;
        if self.owner.is_mm(mm) {
            return Ok(());
        }
        let owner = Owner::current(mm);
        owner.account(mm, self.locked)?;
        self.owner.unaccount(self.locked);
        self.owner = owner;
        Ok(())
    }
}

impl State {
    /// Takes a mapping, of which nothing is mapped any more, out of the tree.
    pub(crate) fn forget(&mut self, iova: u64) {
        if let Some(dma) = self.dmas.remove(&iova) {
            self.available += 1;
            if dma.vaddr_invalid {
                self.vaddr_invalid -= 1;
            }
        }
    }
}
