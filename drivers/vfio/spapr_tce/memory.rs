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

/// Ends these registrations, and what the process with `mm` has left that could not be ended before.
///
/// One that the kernel is not asked to end keeps its memory pinned for good: nothing does that when the
/// process ends. Who unmaps the last of it calls this afterwards.
///
/// May wait for a process to let go of its `mmap_lock`; for others' than that of `mm` nobody waits.
pub(crate) fn end_all(mm: &Mm, memory: impl IntoIterator<Item = Registration>) {
    let left = LEFT.get();
    let mut calls = {
        let mut left = left.lock();
        left.calls += 1;
        left.calls
    };
    let mut more = memory.into_iter().fuse();
    let mut next = more.next();
    loop {
        if let Some(registration) = next {
            if let Err((registration, _)) = registration.end() {
                let entry = LeftRegistration {
                    registration,
                    tried: calls,
                };
                // Not accounted: no limit may keep it from being remembered.
                let _ = left.lock().list.push(entry, GFP_KERNEL);
            }
        }
        next = more.next();
        if next.is_none() {
            let mut left = left.lock();
            calls = left.calls;
            // Others may have unmapped it while we tried in vain, and found it not in the list.
            let again =
                |entry: &LeftRegistration| entry.tried < calls && entry.registration.is_of(mm);
            let Some(index) = left.list.iter().position(again) else {
                return;
            };
            next = left.list.remove(index).ok().map(|entry| entry.registration);
        }
    }
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
        // What is left of another container may stand in the way.
        end_all(&mm, []);
        let new = Registration::new(&request);
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
