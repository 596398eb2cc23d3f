// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_SPAPR_REGISTER_MEMORY` and `VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY`.

use crate::container::Container;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use vfio_kapi::{
    refusal::Explain,
    refuse,
    registered_memory::Registration,
    uaccess::UserArg,
    uapi::vfio_iommu_spapr_register_memory, //
};
use vfio_logic::tce::RegisterRequest;

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
        self.check(|state| state.take_user().map(|_| ()))?;
        let request = read(arg, "REGISTER_MEMORY")?;
        // Memory is pinned without the lock.
        let registered = |r: &Registration| r.request() == &request;
        if self.lock_for_user()?.memory.iter().any(registered) {
            return Err(EBUSY);
        }
        let new = Registration::new(&request);
        let mut state = self.lock_for_user()?;
        // Somebody may have been faster with just this, which is also what may have stood in the way.
        if state.memory.iter().any(registered) {
            return Err(EBUSY);
        }
        state.memory.push(new?, GFP_KERNEL_ACCOUNT)?;
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
