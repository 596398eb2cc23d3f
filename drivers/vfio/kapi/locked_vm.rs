// SPDX-License-Identifier: GPL-2.0

//! How much memory a process has locked, against its `RLIMIT_MEMLOCK`.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use kernel::{
    bindings,
    error::to_result,
    mm::Mm,
    prelude::*,
    sync::aref::ARef,
    task::Task, //
};
use vfio_bindings as vb;

/// Adds `pages` to what `mm` has locked, unless that exceeds the limit of `task`, which does not
/// count if `privileged`. May sleep.
///
/// # Errors
///
/// `ENOMEM` if the limit would be exceeded, `EINTR` if the current task is being killed.
pub fn account(mm: &Mm, task: &Task, pages: usize, privileged: bool) -> Result {
    if pages == 0 {
        return Ok(());
    }
    // SAFETY: The reference shows that the structure is valid.
    to_result(unsafe { vb::vfio_helper_mmap_write_lock_killable(mm.as_raw()) })?;
    // SAFETY: `mm` and `task` are valid, and the lock is held for writing.
    let ret = unsafe {
        bindings::__account_locked_vm(mm.as_raw(), pages, true, task.as_ptr(), privileged)
    };
    // SAFETY: Locked above.
    unsafe { vb::vfio_helper_mmap_write_unlock(mm.as_raw()) };
    to_result(ret)
}

/// Takes back `pages` that were accounted before. May sleep.
pub fn unaccount(mm: &Mm, task: &Task, pages: usize) {
    if pages == 0 {
        return;
    }
    // SAFETY: As in `account`. Not killable: who is being killed may hold pages of another process,
    // which would stay accounted there.
    unsafe { vb::vfio_helper_mmap_write_lock(mm.as_raw()) };
    // SAFETY: As in `account`.
    unsafe { bindings::__account_locked_vm(mm.as_raw(), pages, false, task.as_ptr(), false) };
    // SAFETY: Locked above.
    unsafe { vb::vfio_helper_mmap_write_unlock(mm.as_raw()) };
}

/// How many pages `mm` has locked, right now.
pub fn locked(mm: &Mm) -> u64 {
    // SAFETY: The structure is valid; a volatile read, as others may be writing.
    unsafe { (&raw const (*mm.as_raw()).__bindgen_anon_1.locked_vm).read_volatile() as u64 }
}

/// The `RLIMIT_MEMLOCK` of a task, in bytes.
pub fn limit(task: &Task) -> u64 {
    // SAFETY: The task is valid.
    unsafe { vb::vfio_helper_task_rlimit(task.as_ptr(), bindings::RLIMIT_MEMLOCK) as u64 }
}

/// Whether the current task may lock memory beyond its limit.
pub fn is_privileged() -> bool {
    // SAFETY: May be called from any task.
    unsafe { bindings::capable(bindings::CAP_IPC_LOCK as i32) }
}

/// Pages that a process has locked, until dropped.
pub struct LockedPages {
    mm: ARef<Mm>,
    pages: usize,
}

impl LockedPages {
    /// Accounts `pages` to `mm`, within the limits of the current task. May sleep.
    ///
    /// # Errors
    ///
    /// As of [`account`].
    pub fn new(mm: &ARef<Mm>, pages: usize) -> Result<Self> {
        account(mm, kernel::current!(), pages, is_privileged())?;
        Ok(Self {
            mm: mm.clone(),
            pages,
        })
    }
}

impl Drop for LockedPages {
    fn drop(&mut self) {
        unaccount(&self.mm, kernel::current!(), self.pages);
    }
}
