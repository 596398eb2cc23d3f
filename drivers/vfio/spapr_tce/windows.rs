// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_SPAPR_TCE_CREATE` and `VFIO_IOMMU_SPAPR_TCE_REMOVE`, and the window that is there by itself.

use crate::container::{
    Container,
    State, //
};
use kernel::prelude::*;
use vfio_kapi::{
    refuse,
    tce_table::{
        Backing,
        TceTable, //
    },
    uaccess::UserArg,
    uapi::{
        vfio_iommu_spapr_tce_create,
        vfio_iommu_spapr_tce_remove, //
    },
};
use vfio_logic::tce::{
    NewWindow,
    DEFAULT_PAGE_SHIFT, //
};

impl State {
    /// Makes a window, which all groups get; answers its number.
    fn add_window(&mut self, window: &NewWindow, backing: Backing) -> Result<usize> {
        let mm = self.take_user()?;
        let slot = self
            .windows
            .iter()
            .position(Option::is_none)
            .ok_or_else(|| refuse!(ENOSPC, "there are as many windows as there can be"))?;
        let first = self.groups.first_mut().ok_or(ENXIO)?;
        let table = first.create_table(slot, window, &mm, backing)?;
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(index) else {
                break;
            };
            if let Err(e) = group.set_window(&table) {
                self.unset(slot);
                return Err(e);
            }
        }
        *self.windows.get_mut(slot).ok_or(ENOSPC)? = Some(table);
        Ok(slot)
    }

    /// Takes a window away from all groups.
    fn unset(&mut self, slot: usize) {
        for group in self.groups.iter_mut() {
            group.unset_window(slot);
        }
    }

    /// Unmaps all that is in a window, and takes it away.
    fn remove_slot(&mut self, slot: usize) {
        let Some(mut table) = self.windows.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let all = table.window().all();
        table.clear(all);
        self.unset(slot);
    }

    /// Makes the window that is there by itself, if it is still to be made.
    ///
    /// # Errors
    ///
    /// `ENODEV` without a group, `ENOMEM`, and those of the platform.
    pub(crate) fn make_default_window(&mut self, backing: Backing) -> Result {
        if !self.default_pending {
            return Ok(());
        }
        let info = self.groups.first().ok_or(ENODEV)?.info();
        let window = NewWindow {
            page_shift: DEFAULT_PAGE_SHIFT,
            size: info.dma32_size.into(),
            levels: 1,
        };
        self.add_window(&window, backing)?;
        self.default_pending = false;
        Ok(())
    }

    /// The number of the window that an I/O address is in.
    fn slot_of(&self, iova: u64) -> Option<usize> {
        let contains = |table: &Option<TceTable>| {
            table
                .as_ref()
                .is_some_and(|table| table.window().contains(iova))
        };
        self.windows.iter().position(contains)
    }

    /// The window that an I/O address is in.
    ///
    /// # Errors
    ///
    /// `ENXIO` if it is in none.
    pub(crate) fn table_at(&mut self, iova: u64) -> Result<&mut TceTable> {
        let slot = self
            .slot_of(iova)
            .ok_or_else(|| refuse!(ENXIO, "the address {iova:#x} is in no window"))?;
        self.windows
            .get_mut(slot)
            .and_then(Option::as_mut)
            .ok_or(ENXIO)
    }
}

impl Container {
    /// What keeps the memory that is mapped where it is.
    pub(crate) fn backing(&self) -> Backing {
        if self.v2 {
            Backing::Registered
        } else {
            Backing::Pinned
        }
    }

    /// For user space that wants to make or remove a window.
    fn check_windows(state: &mut State) -> Result {
        state.take_user()?;
        if state.groups.is_empty() {
            return Err(ENXIO);
        }
        Ok(())
    }

    /// Makes a window, and tells where it is.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process, or if the platform has no windows to make; `ENXIO` without a group;
    /// `EFAULT` for an argument that is not there; `EINVAL` for flags, and what no window can be like;
    /// `ENOSPC` if there are all; `ENOMEM` without memory or beyond the limit of locked memory; those of the
    /// platform.
    pub(crate) fn create_window(&self, arg: UserArg) -> Result {
        self.check(Self::check_windows)?;
        let mut create: vfio_iommu_spapr_tce_create =
            arg.read_argsz(size_of::<vfio_iommu_spapr_tce_create>())?;
        if create.flags != 0 {
            return Err(refuse!(EINVAL, "TCE_CREATE: unknown flags"));
        }
        let window = NewWindow {
            page_shift: create.page_shift,
            size: create.window_size,
            levels: create.levels,
        };

        let mut state = self.lock_for_user()?;
        Self::check_windows(&mut state)?;
        state.make_default_window(self.backing())?;
        let slot = state.add_window(&window, self.backing()).map_err(|e| {
            refuse!(
                e,
                "TCE_CREATE: {:#x} bytes in pages of 2^{} with {} levels",
                window.size,
                window.page_shift,
                window.levels
            )
        })?;
        let Some(Some(table)) = state.windows.get(slot) else {
            return Err(ENOSPC);
        };
        create.start_addr = table.window().start();
        drop(state);
        // What user space is not told of it cannot remove. If another thread has removed it meanwhile, and made
        // one in its place, that goes: it is the same process.
        arg.write(&create)
            .inspect_err(|_| self.lock().remove_slot(slot))
    }

    /// Removes the window that an address is in, with all that is mapped in it.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process; `ENXIO` without a group; `EFAULT` for an argument that is not there;
    /// `EINVAL` for flags, and if there is no such window.
    pub(crate) fn remove_window(&self, arg: UserArg) -> Result {
        self.check(Self::check_windows)?;
        let remove: vfio_iommu_spapr_tce_remove =
            arg.read_argsz(size_of::<vfio_iommu_spapr_tce_remove>())?;
        if remove.flags != 0 {
            return Err(refuse!(EINVAL, "TCE_REMOVE: unknown flags"));
        }
        let mut state = self.lock_for_user()?;
        Self::check_windows(&mut state)?;
        if state.default_pending && remove.start_addr == 0 {
            state.default_pending = false;
            return Ok(());
        }
        let slot = state.slot_of(remove.start_addr).ok_or_else(|| {
            refuse!(
                EINVAL,
                "TCE_REMOVE: {:#x} is in no window",
                remove.start_addr
            )
        })?;
        state.remove_slot(slot);
        Ok(())
    }
}
