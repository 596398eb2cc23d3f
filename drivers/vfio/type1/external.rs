// SPDX-License-Identifier: GPL-2.0

//! Emulated devices: their drivers pin, read and write memory by the addresses of the device.

use crate::{
    container::{
        Container,
        State, //
    },
    dma::{
        Dma,
        ExternalPin, //
    },
};
use kernel::{
    mm::MmWithUser,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    rbtree::RBTreeNode, //
};
use vfio_kapi::{
    iommu_driver::{
        read_from_mm,
        write_to_mm,
        Access,
        DeviceList,
        DmaData,
        PageSlots, //
    },
    iommu_group::IommuGroup,
    iommu_space::IoSpace,
    pin::PinnedPage,
};
use vfio_logic::iova::IovaRange;

const PAGE_BYTES: u64 = PAGE_SIZE as u64;

/// The addresses of `pages` pages from `iova` on.
///
/// # Errors
///
/// `EOVERFLOW` if they wrap.
fn page_range(iova: u64, pages: u64) -> Result<IovaRange> {
    let size = pages.checked_mul(PAGE_BYTES).ok_or(EOVERFLOW)?;
    IovaRange::new(iova, size).ok_or(EOVERFLOW)
}

impl Container {
    /// Pins pages for a driver, or takes further references to what it has pinned already.
    ///
    /// # Errors
    ///
    /// `EACCES` in a version 1 container, `EOVERFLOW` if the range wraps, `EBUSY` while the memory of a
    /// mapping is elsewhere, `EINVAL` if there is nobody to be told of unmaps or nothing is mapped,
    /// `EPERM` if it is not mapped for this access, `ENODEV` if the process is gone, `ENOMEM`,
    /// `EFAULT`, `EINTR`. No page is pinned then.
    pub(crate) fn pin_external(
        &self,
        devices: &DeviceList,
        group: &IommuGroup,
        iova: u64,
        access: Access,
        pages: &mut PageSlots<'_>,
    ) -> Result {
        if !self.v2 {
            return Err(EACCES);
        }
        let range = page_range(iova, pages.len() as u64)?;

        let mut state = self.state.lock();
        while state.is_filling(&range) {
            state = self.wait_or_leave(state)?;
        }
        if kernel::warn_on!(state.vaddr_invalid != 0) {
            return Err(EBUSY);
        }
        if devices.is_empty() {
            return Err(EINVAL);
        }
        for index in 0..pages.len() {
            let at = iova + index as u64 * PAGE_BYTES;
            if let Err(e) = state.pin_one(at, access, index, pages) {
                pages.clear();
                state.unpin_range(iova, index as u64);
                return Err(e);
            }
        }
        if let Some(g) = state
            .groups
            .iter_mut()
            .find(|g| g.group.as_raw() == group.as_raw())
        {
            g.pinned_scope = true;
        }
        Ok(())
    }

    /// Takes back one reference to each of `pages` pages that a driver has pinned.
    pub(crate) fn unpin_external(&self, iova: u64, pages: u64) {
        if kernel::warn_on!(!self.v2) || kernel::warn_on!(page_range(iova, pages).is_err()) {
            return;
        }
        let found = self.state.lock().unpin_range(iova, pages);
        kernel::warn_on!(!found);
    }

    /// Copies from or to the memory at the addresses from `iova` on.
    ///
    /// # Errors
    ///
    /// `EBUSY` while the memory of a mapping is elsewhere, `EINVAL` if nothing is mapped, `EPERM` if it
    /// is not mapped for this access or the process is gone, `EFAULT`, `EINTR`.
    pub(crate) fn read_write(&self, iova: u64, mut data: DmaData<'_>) -> Result {
        let mut state = self.state.lock();
        if kernel::warn_on!(state.vaddr_invalid != 0) {
            return Err(EBUSY);
        }
        let len = match &data {
            DmaData::Read(data) => data.len(),
            DmaData::Write(data) => data.len(),
        };
        let mut done = 0;
        while done < len {
            let at = iova.checked_add(done as u64).ok_or(EINVAL)?;
            let here = IovaRange {
                start: at,
                last: at,
            };
            while state.is_filling(&here) {
                state = self.wait_or_leave(state)?;
            }
            let tracking = state.tracking_scope();
            let (start, dma) = state.dma_at(at).ok_or(EINVAL)?;
            let offset = at - start;
            let count = (dma.size() - offset).min((len - done) as u64) as usize;
            let vaddr = (dma.vaddr + offset) as usize;
            if !dma.io.readable() {
                return Err(EPERM);
            }
            match &mut data {
                DmaData::Read(data) => {
                    let part = data.get_mut(done..done + count).ok_or(EFAULT)?;
                    let mm = dma.owner.mm().ok_or(EPERM)?;
                    read_from_mm(&mm, vaddr, part)?;
                }
                DmaData::Write(data) => {
                    if !dma.io.writable() {
                        return Err(EPERM);
                    }
                    let part = data.get(done..done + count).ok_or(EFAULT)?;
                    let mm = dma.owner.mm().ok_or(EPERM)?;
                    write_to_mm(&mm, vaddr, part)?;
                    dma.mark_dirty(offset, count as u64, &tracking);
                }
            }
            done += count;
        }
        Ok(())
    }
}

impl State {
    /// Pins the page at `iova` and tells the driver.
    fn pin_one(
        &mut self,
        iova: u64,
        access: Access,
        index: usize,
        pages: &mut PageSlots<'_>,
    ) -> Result {
        let physical = self.physical;
        let tracking = self.tracking_scope();
        let (start, dma) = self.dma_at(iova).ok_or(EINVAL)?;
        let allowed = (dma.io.readable() || !access.read) && (dma.io.writable() || !access.write);
        if !allowed || access.other {
            return Err(EPERM);
        }
        if let Some(pin) = dma.pins.get_mut(&iova) {
            pin.refs = pin.refs.checked_add(1).ok_or(EOVERFLOW)?;
            pages.set(index, &pin.page);
            return Ok(());
        }

        let offset = iova - start;
        let mm = dma.owner.mm().ok_or(ENODEV)?;
        let page = PinnedPage::new(&mm, (dma.vaddr + offset) as usize, dma.io.writable())?;
        // With an IOMMU the whole mapping is accounted already.
        let accountable = u64::from(!physical && page.is_accountable());
        pages.set(index, &page);
        let node = RBTreeNode::new(iova, ExternalPin { page, refs: 1 }, GFP_KERNEL_ACCOUNT)?;
        dma.owner.account(&mm, accountable)?;
        dma.locked += accountable;
        dma.pins.insert(node);
        dma.mark_dirty(offset, PAGE_BYTES, &tracking);
        self.pinned += 1;
        Ok(())
    }

    /// Takes back one reference to each page; tells whether everything was mapped.
    fn unpin_range(&mut self, iova: u64, pages: u64) -> bool {
        let physical = self.physical;
        for index in 0..pages {
            let at = iova + index * PAGE_BYTES;
            let Some((_, dma)) = self.dma_at(at) else {
                return false;
            };
            let Some(pin) = dma.pins.get_mut(&at) else {
                continue;
            };
            pin.refs -= 1;
            if pin.refs == 0 {
                let accounted = !physical && pin.page.is_accountable();
                dma.pins.remove(&at);
                if accounted {
                    let locked = dma.locked.saturating_sub(1);
                    dma.shrink_locked(locked);
                }
                self.pinned -= 1;
            }
        }
        true
    }
}

impl Dma {
    /// Pins and maps all pages, for a container that has got its first domain.
    ///
    /// # Errors
    ///
    /// As for [`IoSpace::fill`]; a part may be mapped and accounted then.
    pub(crate) fn pin_all(&mut self, space: &IoSpace, mm: &MmWithUser, huge: bool) -> Result {
        let Self {
            io,
            owner,
            locked,
            pins,
            vaddr,
            ..
        } = self;
        space.fill(io, mm, *vaddr, huge, |iova, pages| {
            // What drivers have pinned is accounted already.
            let last = iova + ((pages << PAGE_SHIFT) - 1);
            let mut already = 0;
            let mut next = pins.cursor_lower_bound_mut(&iova);
            while let Some(cursor) = next {
                let (at, pin) = cursor.current();
                if *at > last {
                    break;
                }
                already += u64::from(pin.page.is_accountable());
                next = cursor.move_next();
            }
            let more = pages.saturating_sub(already);
            owner.account(mm, more)?;
            *locked += more;
            Ok(())
        })
    }
}
