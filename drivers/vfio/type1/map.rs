// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_MAP_DMA`.

use crate::{
    container::{
        Container,
        State, //
    },
    dma::{
        use_huge_pages,
        Asked,
        Dma,
        Owner, //
    },
};
use kernel::{
    prelude::*,
    rbtree::RBTreeNode,
    sync::Arc, //
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
            Some(owner) => self.fill(&space, &request, &owner),
            None => Ok(()),
        }
    }

    /// Puts the mapping into the tree. If its pages are to be pinned and mapped, returns its owner.
    fn reserve(&self, request: &MapRequest) -> Result<Option<Arc<Owner>>> {
        let mut state = self.state.lock();
        request.check_alignment(state.page_sizes).explain(Asked(
            MAP,
            request.range.start,
            request.size,
        ))?;
        if state.available > 0 && !state.is_taken(&request.range) {
            return state.insert(request);
        }
        // Whether a mapping that is on its way will stay, or is gone, shows later.
        self.with_claim(state, request.range, |mut state, _| {
            let mut result = Ok(());
            while result.is_ok() && state.must_wait(request) {
                (state, result) = self.wait(state);
            }
            let result = result.and_then(|()| state.insert(request));
            (state, result)
        })
    }

    /// Pins and maps the pages of a mapping that was reserved, without the lock.
    fn fill(&self, space: &IoSpace, request: &MapRequest, owner: &Owner) -> Result {
        let task = current!();
        let mut io = Dma::empty_io(request);
        let mut locked = 0;
        let result = match task.mm() {
            Some(mm) => space.fill(&mut io, mm, request.vaddr, use_huge_pages(), |_, pages| {
                owner.account(mm, pages)?;
                locked += pages;
                Ok(())
            }),
            None => Err(ENODEV),
        };
        if result.is_err() {
            space.unmap(&mut io);
            owner.unaccount(locked);
        }

        let mut state = self.state.lock();
        state.filling -= 1;
        if result.is_err() {
            state.forget(request.range.start);
        } else if let Some(dma) = state.dmas.get_mut(&request.range.start) {
            dma.filling = false;
            dma.io = io;
            dma.locked = locked;
        }
        self.unlock_changed(state);
        result
    }

    /// Gives a mapping whose address in the process is invalid a new one, in the current process.
    #[inline(never)]
    fn update_vaddr(&self, request: &MapRequest) -> Result {
        let state = self.state.lock();
        request.check_alignment(state.page_sizes).explain(Asked(
            MAP,
            request.range.start,
            request.size,
        ))?;
        self.with_claim(state, request.range, |mut state, _| {
            let result = state.update_vaddr(request);
            (state, result)
        })
    }
}

impl Dma {
    /// Makes the current process the owner, and moves the accounting.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if it would exceed its limit, `EINTR`. Nothing has changed then.
    fn change_owner(&mut self, last: &mut Option<Arc<Owner>>) -> Result {
        let task = current!();
        let mm = task.mm().ok_or(ENODEV)?;
        if self.owner.is_mm(mm) {
            return Ok(());
        }
        let owner = Owner::current(mm, last)?;
        owner.account(mm, self.locked)?;
        self.owner.unaccount(self.locked);
        self.owner = owner;
        Ok(())
    }
}

impl State {
    /// Whether there is no room for one more mapping, but may be as soon as those are complete, or failed, that
    /// are on their way.
    fn must_wait(&self, request: &MapRequest) -> bool {
        self.available == 0 && self.filling != 0 && !self.is_mapped(&request.range)
    }

    /// Puts a mapping into the tree. If its pages are to be pinned and mapped, by the caller, returns its owner.
    ///
    /// # Errors
    ///
    /// `EEXIST` if something is there, `ENOSPC` if there are too many mappings, `EINVAL` where nothing can be
    /// mapped, or if it has too many pages to be tracked; `ENOMEM`.
    #[inline]
    fn insert(&mut self, request: &MapRequest) -> Result<Option<Arc<Owner>>> {
        let asked = || Asked(MAP, request.range.start, request.size);
        if let Some(other) = self.first_overlap(&request.range) {
            return Err(refuse!(
                EEXIST,
                "{}: it overlaps the mapping at {other:#x}",
                asked()
            ));
        }
        if self.available == 0 {
            return Err(refuse!(
                ENOSPC,
                "{}: the container has as many mappings as dma_entry_limit allows",
                asked()
            ));
        }
        if !iova::is_usable(&self.usable, &request.range) {
            return Err(refuse!(
                EINVAL,
                "{}: the IOMMU cannot map all of it, or parts are reserved",
                asked()
            ));
        }

        let task = current!();
        let mm = task.mm().ok_or(ENODEV)?;
        let owner = Owner::current(mm, &mut self.last_owner)?;
        let mut dma = Dma::new(request, owner.clone(), self.physical);
        if self.tracking {
            dma.start_tracking(self.page_shift())?;
        }
        let node = RBTreeNode::new(request.range.start, dma, GFP_KERNEL_ACCOUNT)?;
        // There is none with this key, as nothing overlaps.
        self.dmas.insert(node);
        self.available -= 1;
        if !self.physical {
            return Ok(None);
        }
        self.filling += 1;
        Ok(Some(owner))
    }

    /// As [`Container::update_vaddr`], when nobody is busy there.
    fn update_vaddr(&mut self, request: &MapRequest) -> Result {
        let start = self.first_overlap(&request.range).ok_or(ENOENT)?;
        let dma = self.dmas.get_mut(&start).ok_or(ENOENT)?;
        if !dma.vaddr_invalid || dma.range(start) != request.range {
            return Err(refuse!(
                EINVAL,
                "{}: no mapping of just this range waits for a new address",
                Asked(MAP, request.range.start, request.size)
            ));
        }
        dma.change_owner(&mut self.last_owner)?;
        dma.vaddr = request.vaddr;
        dma.vaddr_invalid = false;
        self.vaddr_invalid -= 1;
        Ok(())
    }

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
