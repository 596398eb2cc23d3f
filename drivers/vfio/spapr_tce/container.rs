// SPDX-License-Identifier: GPL-2.0

//! Containers: the windows, the groups that have them, and the memory that is registered.
//!
//! # Locking
//!
//! One mutex for all. Under it nothing waits for user space: arguments are read and pages pinned without it,
//! and what was found out before is found out again. It is outside of the `mmap_lock` of any process.

use crate::memory;
use kernel::{
    mm::Mm,
    new_mutex,
    page::PAGE_SHIFT,
    prelude::*,
    sync::{
        aref::ARef,
        Mutex,
        MutexGuard, //
    },
};
use vfio_kapi::{
    locked_vm::LockedPages,
    refuse, registered_memory,
    tce_group::{
        TableGroup,
        MAX_WINDOWS, //
    },
    tce_table::TceTable,
};

/// What one container has of the backend.
#[pin_data]
pub(crate) struct Container {
    /// Memory is registered, and windows are made by user space (`VFIO_SPAPR_TCE_v2_IOMMU`).
    pub(crate) v2: bool,
    #[pin]
    state: Mutex<State>,
}

/// What the mutex protects.
pub(crate) struct State {
    /// The process that uses it, from when it first mattered. No other may.
    mm: Option<ARef<Mm>>,
    /// Something may be mapped.
    pub(crate) enabled: bool,
    /// What version 1 has accounted for its window.
    locked: Option<LockedPages>,
    /// The window below 4 GiB is there for user space, but is only made when it is used.
    pub(crate) default_pending: bool,
    /// The groups; they all have all windows.
    pub(crate) groups: KVec<TableGroup>,
    /// The windows, by their numbers.
    pub(crate) windows: [Option<TceTable>; MAX_WINDOWS],
    /// The memory that user space has registered by this container.
    pub(crate) memory: KVec<registered_memory::Registration>,
}

impl Container {
    pub(crate) fn new(v2: bool) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            v2,
            state <- new_mutex!(
                State {
                    mm: None,
                    enabled: false,
                    locked: None,
                    default_pending: false,
                    groups: KVec::new(),
                    windows: [const { None }; MAX_WINDOWS],
                    memory: KVec::new(),
                },
                "vfio_spapr_tce_state"
            ),
        }? Error)
    }

    /// The state, for whatever process.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The state, unless somebody is at it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock()
    }

    /// The state, for the process that uses the container.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process than the one that uses it.
    pub(crate) fn lock_for_user(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        state.check_user()?;
        Ok(state)
    }

    /// The state, if the answer to user space is not an error whatever its argument is.
    pub(crate) fn check(&self, check: impl FnOnce(&mut State) -> Result) -> Result {
        check(&mut *self.lock_for_user()?)
    }

    /// Accounts the whole window as locked memory, and lets it be mapped (`VFIO_IOMMU_ENABLE`).
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is enabled; `ENODEV` without a group; `EPERM` without a window, or in another process;
    /// `ENOMEM` beyond the limit of locked memory; `EINTR` when killed.
    pub(crate) fn enable(&self) -> Result {
        let mut state = self.lock_for_user()?;
        if state.enabled {
            return Err(EBUSY);
        }
        let window = state.groups.first().ok_or(ENODEV)?.info().dma32_size;
        if window == 0 {
            return Err(EPERM);
        }
        let mm = state.take_user()?;
        let pages = window as usize >> PAGE_SHIFT;
        let locked = LockedPages::new(&mm, pages).map_err(|e| {
            refuse!(
                e,
                "ENABLE: the window of {pages} pages is more than may be locked"
            )
        })?;
        state.locked = Some(locked);
        state.enabled = true;
        Ok(())
    }

    /// Takes back what was accounted, and what is mapped with it (`VFIO_IOMMU_DISABLE`).
    ///
    /// # Errors
    ///
    /// `EPERM` in another process.
    pub(crate) fn disable(&self) -> Result {
        self.lock_for_user()?.disable();
        Ok(())
    }

    /// Takes everything away, at the end of the container.
    pub(crate) fn empty(&self) {
        let mut state = self.lock();
        state.clear_windows();
        // Groups have a reference to the tables.
        state.groups.clear();
        state.windows = [const { None }; MAX_WINDOWS];
        let memory = core::mem::take(&mut state.memory);
        if let Some(mm) = state.user().cloned() {
            memory::end_all(&mm, memory);
        }
        state.locked = None;
        state.enabled = false;
    }
}

impl State {
    fn check_user(&self) -> Result {
        let Some(mm) = &self.mm else {
            return Ok(());
        };
        match kernel::current!().mm() {
            Some(current) if current.as_raw() == mm.as_raw() => Ok(()),
            _ => Err(refuse!(EPERM, "the container belongs to another process")),
        }
    }

    /// Makes the current process the one that uses the container, if there is none yet.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is another one.
    pub(crate) fn take_user(&mut self) -> Result<ARef<Mm>> {
        self.check_user()?;
        if let Some(mm) = &self.mm {
            return Ok(mm.clone());
        }
        let task = kernel::current!();
        let current: &Mm = task.mm().ok_or(EPERM)?;
        let mm: ARef<Mm> = current.into();
        self.mm = Some(mm.clone());
        Ok(mm)
    }

    /// The process that uses the container, if there is one.
    pub(crate) fn user(&self) -> Option<&ARef<Mm>> {
        self.mm.as_ref()
    }

    fn disable(&mut self) {
        if self.enabled {
            self.clear_windows();
            self.enabled = false;
            self.locked = None;
        }
    }

    /// Unmaps everything.
    pub(crate) fn clear_windows(&mut self) {
        for table in self.windows.iter_mut().flatten() {
            let all = table.window().all();
            table.clear(all);
        }
    }
}
