// SPDX-License-Identifier: GPL-2.0

//! Enhanced error handling (EEH) of POWER: a host bridge stops a partitionable endpoint (PE) that errs.
//!
//! C header: [`arch/powerpc/include/asm/eeh.h`](srctree/arch/powerpc/include/asm/eeh.h)

use crate::{
    tce_group::TableGroup,
    uapi::vfio_eeh_pe_err, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};
use vfio_bindings as vb;
use vfio_logic::tce::EehOp;

/// Whether the platform has it, and it is not turned off.
pub fn is_enabled() -> bool {
    // SAFETY: Has no requirements.
    unsafe { vb::vfio_helper_eeh_enabled() }
}

impl TableGroup {
    /// The PE. It is there as long as one of its devices is, and one is as long as this group is claimed.
    fn endpoint(&self) -> Result<NonNull<vb::eeh_pe>> {
        // SAFETY: The group is valid.
        NonNull::new(unsafe { vb::eeh_iommu_group_to_pe(self.group().as_raw()) }).ok_or(ENODEV)
    }

    /// Whether the group has a PE that errors are handled for.
    pub fn has_endpoint(&self) -> bool {
        self.endpoint().is_ok()
    }

    /// The number of the PE in its host bridge.
    pub fn endpoint_number(&self) -> Option<u32> {
        let pe = self.endpoint().ok()?;
        // SAFETY: The PE is valid, see above, and its number does not change.
        Some(unsafe { (*pe.as_ptr()).addr } as u32)
    }

    /// Does `op` to the PE; `error` is what to pretend. May sleep for seconds.
    ///
    /// # Errors
    ///
    /// `ENODEV` without a PE, `EINVAL` for an error that cannot be pretended or none; those of the platform.
    pub fn operate(&mut self, op: EehOp, error: Option<&vfio_eeh_pe_err>) -> Result<isize> {
        let pe = self.endpoint()?.as_ptr();
        // SAFETY: The PE is valid, see above.
        let option = |option: u32| unsafe { vb::eeh_pe_set_option(pe, option as c_int) };
        // SAFETY: As above. The devices of the PE are passed through, which is what they are all to be reset
        // for.
        let reset = |option: u32| unsafe { vb::eeh_pe_reset(pe, option as c_int, true) };
        let ret = match op {
            EehOp::Disable => option(vb::EEH_OPT_DISABLE),
            EehOp::Enable => option(vb::EEH_OPT_ENABLE),
            EehOp::UnfreezeIo => option(vb::EEH_OPT_THAW_MMIO),
            EehOp::UnfreezeDma => option(vb::EEH_OPT_THAW_DMA),
            // SAFETY: As above.
            EehOp::GetState => unsafe { vb::eeh_pe_get_state(pe) },
            EehOp::ResetDeactivate => reset(vb::EEH_RESET_DEACTIVATE),
            EehOp::ResetHot => reset(vb::EEH_RESET_HOT),
            EehOp::ResetFundamental => reset(vb::EEH_RESET_FUNDAMENTAL),
            // SAFETY: As above.
            EehOp::Configure => unsafe { vb::eeh_pe_configure(pe) },
            EehOp::InjectError => {
                let error = error.ok_or(EINVAL)?;
                // SAFETY: As above; what can be pretended the platform checks.
                unsafe {
                    vb::eeh_pe_inject_err(
                        pe,
                        error.type_ as c_int,
                        error.func as c_int,
                        error.addr as usize,
                        error.mask as usize,
                    )
                }
            }
        };
        to_result(ret)?;
        Ok(ret as isize)
    }
}
