// SPDX-License-Identifier: GPL-2.0

//! `VFIO_EEH_PE_OP`.
//!
//! The platform may wait for locks of the group's devices, which who takes a driver away holds when the group
//! has to leave its container. So what is done to an endpoint is done without the container's lock.

use crate::container::{
    Container,
    State, //
};
use kernel::prelude::*;
use vfio_kapi::{
    eeh::Operation,
    refusal::Explain,
    refuse,
    tce_group::TableGroup,
    uaccess::UserArg,
    uapi::{
        vfio_eeh_pe_err,
        EehHead,
        EEH_ERR_OFFSET, //
    },
};
use vfio_logic::tce::EehOp;

/// Where a group is.
type GroupAddress = usize;

fn address(group: &TableGroup) -> GroupAddress {
    group.group().as_raw().addr()
}

impl Container {
    /// Does something to the partitionable endpoints of all groups, up to the first that answers anything but
    /// zero; answers that.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process; `ENODEV` if errors are not handled for a group, or it has left; `EFAULT` for
    /// an argument that is not there; `EINVAL` for flags and unknown operations; those of [`Self::begin`] and
    /// [`Operation::operate`].
    pub(crate) fn eeh_operation(&self, arg: UserArg) -> Result<isize> {
        let groups = self.group_list()?;
        if let Some(&group) = groups.first() {
            if !self.begin(group, false)?.has_endpoint() {
                return Err(ENODEV);
            }
        }
        let head: EehHead = arg.read_argsz(size_of::<EehHead>())?;
        if head.flags != 0 {
            return Err(refuse!(EINVAL, "EEH_PE_OP: unknown flags"));
        }
        let op = EehOp::from_raw(head.op).explain("EEH_PE_OP")?;
        let error = if op == EehOp::InjectError {
            if (head.argsz as usize) < EEH_ERR_OFFSET + size_of::<vfio_eeh_pe_err>() {
                return Err(refuse!(
                    EINVAL,
                    "EEH_PE_OP: argsz leaves no room for the error"
                ));
            }
            Some(arg.offset(EEH_ERR_OFFSET).read::<vfio_eeh_pe_err>()?)
        } else {
            None
        };
        for group in groups {
            let mut operation = self.begin(group, op.may_reset())?;
            let answer = operation.operate(op, error.as_ref());
            // Who takes it away waits for this only so long.
            if self.lock().group_at(group).is_none() {
                end_reset(&mut operation);
            }
            let answer = answer?;
            if answer != 0 {
                return Ok(answer);
            }
        }
        Ok(0)
    }

    /// The groups that are there now. One that leaves may be freed while somebody waits, so what is remembered
    /// of it is only where it is.
    fn group_list(&self) -> Result<KVec<GroupAddress>> {
        let state = self.lock_for_user()?;
        let mut list = KVec::with_capacity(state.groups.len(), GFP_KERNEL)?;
        for group in &state.groups {
            list.push(address(group), GFP_KERNEL)?;
        }
        Ok(list)
    }

    /// Waits until an operation on a group can begin.
    ///
    /// One that needs `locks` begins when nobody has the lock of a device. Who takes its driver away waits with
    /// that for user space to close the device, which this very thread may be to do.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process; `ENODEV` if the group has left; `EINTR` for a signal; `EBUSY` if it cannot
    /// begin for so long; `ENOMEM`.
    fn begin(&self, group: GroupAddress, locks: bool) -> Result<Operation> {
        Operation::begin_soon(|| {
            let state = self.lock_for_user()?;
            let group = state.group_at(group).ok_or(ENODEV)?;
            if !locks || !group.group().has_locked_device() {
                if let Some(operation) = Operation::begin(group)? {
                    return Ok(Some(operation));
                }
            }
            if kernel::current!().signal_pending() {
                return Err(EINTR);
            }
            Ok(None)
        })
    }
}

impl State {
    fn group_at(&self, place: GroupAddress) -> Option<&TableGroup> {
        self.groups.iter().find(|&group| address(group) == place)
    }
}

/// Ends the reset of a group that has left, if there is one: its next owner should find it as usual.
pub(crate) fn end_reset(operation: &mut Operation) {
    match operation.end_reset() {
        Ok(()) | Err(ENODEV) => {}
        Err(e) => pr_warn!(
            "tce_vfio: Group {} has left, and its PE stays in reset: {}\n",
            operation.group().id(),
            e.to_errno()
        ),
    }
}
