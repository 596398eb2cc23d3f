// SPDX-License-Identifier: GPL-2.0

//! `VFIO_EEH_PE_OP`.

use crate::container::Container;
use kernel::prelude::*;
use vfio_kapi::{
    refusal::Explain,
    refuse,
    uaccess::UserArg,
    uapi::{
        vfio_eeh_pe_err,
        EehHead,
        EEH_ERR_OFFSET, //
    },
};
use vfio_logic::tce::EehOp;

impl Container {
    /// Does something to the partitionable endpoints of all groups, up to the first that answers anything but
    /// zero; answers that.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process; `ENODEV` if errors are not handled for a group; `EFAULT` for an argument
    /// that is not there; `EINVAL` for flags and unknown operations; those of the platform.
    pub(crate) fn eeh_operation(&self, arg: UserArg) -> Result<isize> {
        self.check(|state| match state.groups.first() {
            Some(group) if !group.has_endpoint() => Err(ENODEV),
            _ => Ok(()),
        })?;
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
        let mut state = self.lock_for_user()?;
        for group in state.groups.iter_mut() {
            let answer = group.operate(op, error.as_ref())?;
            if answer != 0 {
                return Ok(answer);
            }
        }
        Ok(0)
    }
}
