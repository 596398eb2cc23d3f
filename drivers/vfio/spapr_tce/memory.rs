// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_SPAPR_REGISTER_MEMORY` and `VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY`.

use crate::container::Container;
use kernel::{
    mm::Mm,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex, //
};
use vfio_kapi::{
    module_static::ModuleStatic,
    pin::cond_resched,
    refusal::Explain,
    refuse,
    registered_memory::Registration,
    uaccess::UserArg,
    uapi::vfio_iommu_spapr_register_memory, //
};
use vfio_logic::tce::RegisterRequest;

/// Registrations whose container is no more, but which another container of the process has mapped: memory
/// is looked up in all that the process has registered.
static LEFT: ModuleStatic<Mutex<Left>> = ModuleStatic::new();

struct Left {
    list: KVec<LeftRegistration>,
    /// How often [`end_all`] was called.
    calls: u64,
}

struct LeftRegistration {
    registration: Registration,
    /// [`Left::calls`] before it last could not be ended.
    tried: u64,
}

pub(crate) fn init() -> Result {
    let left = Left {
        list: KVec::new(),
        calls: 0,
    };
    LEFT.init(new_mutex!(left, "vfio_spapr_tce_left"))
}

/// Gives the list back when the module goes; it is empty by then, as no container is left.
pub(crate) struct LeftGuard;

impl Drop for LeftGuard {
    fn drop(&mut self) {
        LEFT.get().lock().list = KVec::new();
    }
}

/// Ends these registrations of a container that has nothing mapped any more, and what the process with `mm`
/// has left that could not be ended before.
///
/// One that the kernel is not asked to end keeps its memory pinned for good: nothing does that when the
/// process ends. Only what is mapped in containers cannot be ended, and each calls this at its end.
///
/// May wait for a process to let go of its `mmap_lock`; for others' than that of `mm` nobody waits.
pub(crate) fn end_all(mm: &Mm, memory: impl IntoIterator<Item = Registration>) {
    let calls = {
        let mut left = LEFT.get().lock();
        left.calls += 1;
        left.calls
    };
    for registration in memory {
        end_or_leave(registration, calls);
    }
    // Others may have unmapped it while we tried in vain, and found it not in the list.
    while let Some((registration, calls)) = take_left(mm, |tried, calls| tried < calls) {
        end_or_leave(registration, calls);
    }
}

/// Ends what the process with `mm` has left, as far as it is not mapped any more.
fn end_left(mm: &Mm) {
    let of_it = |entry: &&LeftRegistration| entry.registration.is_of(mm);
    let count = LEFT.get().lock().list.iter().filter(of_it).count();
    for _ in 0..count {
        // What is tried goes to the end of the list.
        if let Some((registration, calls)) = take_left(mm, |_, _| true) {
            end_or_leave(registration, calls);
        }
    }
}

/// Takes the first registration of the process with `mm` out of the list whose [`LeftRegistration::tried`] is
/// wanted, given [`Left::calls`]; answers the latter as well.
fn take_left(mm: &Mm, wanted: impl Fn(u64, u64) -> bool) -> Option<(Registration, u64)> {
    let mut left = LEFT.get().lock();
    let calls = left.calls;
    let is_wanted =
        |entry: &LeftRegistration| wanted(entry.tried, calls) && entry.registration.is_of(mm);
    let index = left.list.iter().position(is_wanted)?;
    let entry = left.list.remove(index).ok()?;
    Some((entry.registration, calls))
}

/// Ends a registration, or puts it into the list; `calls` is [`Left::calls`] of before.
fn end_or_leave(registration: Registration, calls: u64) {
    if let Err((registration, _)) = registration.end() {
        let entry = LeftRegistration {
            registration,
            tried: calls,
        };
        // Not accounted: no limit may keep it from being remembered.
        let _ = LEFT.get().lock().list.push(entry, GFP_KERNEL);
    }
    cond_resched();
}

fn read(arg: UserArg, what: &str) -> Result<RegisterRequest> {
    let param: vfio_iommu_spapr_register_memory =
        arg.read_argsz(size_of::<vfio_iommu_spapr_register_memory>())?;
    if param.flags != 0 {
        return Err(refuse!(EINVAL, "{what}: unknown flags"));
    }
    RegisterRequest::parse(param.vaddr, param.size, PAGE_SIZE as u64).explain(fmt!(
        "{what} of {:#x} bytes at {:#x}",
        param.size,
        param.vaddr
    ))
}

impl Container {
    /// Registers memory of the current process, so that it can be mapped.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process; `EFAULT` for an argument that is not there, or memory that is not there
    /// and writable; `EINVAL` for what are no whole pages, and if a part is registered in another region;
    /// `EBUSY` if just this is registered here; `ENOMEM` without memory or beyond the limit of locked memory.
    pub(crate) fn register_memory(&self, arg: UserArg) -> Result {
        let mm = self.lock_for_user()?.take_user()?;
        let request = read(arg, "REGISTER_MEMORY")?;
        // Memory is pinned without the lock.
        let registered = |r: &Registration| r.request() == &request;
        if self.lock_for_user()?.memory.iter().any(registered) {
            return Err(EBUSY);
        }
        // What is left of another container may stand in the way; or, if it is just this, has to go when ours
        // is there: with two registrations the first can be ended whatever is mapped.
        end_left(&mm);
        let new = Registration::new(&request);
        if new.is_ok() {
            end_left(&mm);
        }
        let mut state = self.lock_for_user()?;
        // Somebody may have been faster with just this, which is also what may have stood in the way.
        if state.memory.iter().any(registered) {
            // Before the lock is given up: as long as there are two registrations the first can be ended
            // whatever is mapped, and the last one, ours, could not.
            drop(new);
            return Err(EBUSY);
        }
        let new = new?;
        if let Err(e) = state.memory.reserve(1, GFP_KERNEL_ACCOUNT) {
            // Another container may have mapped it by now.
            end_all(&mm, [new]);
            return Err(e.into());
        }
        // There is room.
        let _ = state.memory.push_within_capacity(new);
        state.enabled = true;
        Ok(())
    }

    /// Ends a registration.
    ///
    /// # Errors
    ///
    /// `EPERM` before anything was registered, and in another process; `EFAULT` for an argument that is not
    /// there; `EINVAL` for what are no whole pages; `ENOENT` if just this is not registered here; `EBUSY` if
    /// a part is mapped.
    pub(crate) fn unregister_memory(&self, arg: UserArg) -> Result {
        self.check(|state| state.user().map(|_| ()).ok_or(EPERM))?;
        let request = read(arg, "UNREGISTER_MEMORY")?;
        let mut state = self.lock_for_user()?;
        let index = state
            .memory
            .iter()
            .position(|r| r.request() == &request)
            .ok_or(ENOENT)?;
        let registration = state.memory.remove(index).map_err(|_| ENOENT)?;
        match registration.end() {
            Ok(()) => Ok(()),
            Err((registration, e)) => {
                // There is room: it was there.
                let _ = state.memory.push_within_capacity(registration);
                Err(refuse!(e, "UNREGISTER_MEMORY: a part is mapped"))
            }
        }
    }
}
