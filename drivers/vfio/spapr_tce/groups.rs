// SPDX-License-Identifier: GPL-2.0

//! Groups that join and leave a container.

use crate::{
    abi,
    container::Container,
    eeh::end_reset, //
};
use kernel::prelude::*;
use vfio_kapi::{
    eeh::Operation,
    group_kind::GroupKind,
    iommu_group::IommuGroup,
    refuse,
    tce_group::MAX_WINDOWS, //
};

impl Container {
    /// A group joins, and gets all windows.
    ///
    /// # Errors
    ///
    /// `EINVAL` for emulated devices, and with version 2 for a group that can have no windows of user space;
    /// `ENODEV` if it has no windows at all; `EBUSY` for a second group of version 1, and for one that is
    /// there; `EPERM` if its windows are of another kind; those of the platform.
    pub(crate) fn attach(&self, group: &IommuGroup, kind: GroupKind) -> Result {
        if kind == GroupKind::Emulated {
            return Err(EINVAL);
        }
        let mut state = self.lock();
        if state
            .groups
            .iter()
            .any(|g| g.group().as_raw() == group.as_raw())
        {
            pr_warn!("tce_vfio: Group {} is already attached\n", group.id());
            return Err(EBUSY);
        }
        let mut new = abi::windows_of(group)?;
        if self.v2 && new.info().max_windows == 0 {
            return Err(refuse!(
                EINVAL,
                "group {} joins: user space cannot make windows for it",
                group.id()
            ));
        }
        if !self.v2 && !state.groups.is_empty() {
            return Err(refuse!(
                EBUSY,
                "group {} joins: a container of version 1 has one group",
                group.id()
            ));
        }
        if let Some(other) = state.groups.iter().find(|other| !other.is_compatible(&new)) {
            pr_warn!(
                "tce_vfio: Group {} is incompatible with group {}\n",
                group.id(),
                other.group().id()
            );
            return Err(EPERM);
        }
        state.groups.reserve(1, GFP_KERNEL_ACCOUNT)?;
        for table in state.windows.iter().flatten() {
            // What it has got so far goes with it.
            new.set_window(table)?;
        }
        if state.groups.is_empty() && state.windows.iter().all(Option::is_none) {
            state.default_pending = true;
        }
        // There is room.
        let _ = state.groups.push_within_capacity(new);
        Ok(())
    }

    /// A group leaves, and loses its windows. With the last one everything is unmapped, and they end.
    pub(crate) fn detach(&self, group: &IommuGroup) {
        let mut state = self.lock();
        let found = state
            .groups
            .iter()
            .position(|g| g.group().as_raw() == group.as_raw());
        let Some(index) = found else {
            pr_warn!("tce_vfio: detaching unattached group #{}\n", group.id());
            return;
        };
        let last = state.groups.len() == 1;
        if last {
            state.clear_windows();
        }
        let Ok(mut left) = state.groups.remove(index) else {
            return;
        };
        left.unset_all();
        if last {
            state.windows = [const { None }; MAX_WINDOWS];
        }
        drop(state);
        // What the next owner of the group does should not be disturbed.
        match Operation::begin_soon(|| Operation::begin(&left)) {
            Ok(mut operation) => end_reset(&mut operation),
            Err(e) => pr_warn!(
                "tce_vfio: Group {} leaves while something is done to its PE: {}\n",
                group.id(),
                e.to_errno()
            ),
        }
    }
}
