// SPDX-License-Identifier: GPL-2.0

//! Enhanced error handling (EEH) of POWER: a host bridge stops a partitionable endpoint (PE) that errs.
//!
//! The kernel frees a PE when the last of its devices is removed, and counts no references to it. Who does
//! something to one therefore notes that, an [`Operation`], and who removes a device waits for it
//! ([`Watch`]). An operation may wait for locks of the devices, which who takes a driver away holds: nothing
//! that is called then may wait for the operation's end, only the removal that comes behind.
//!
//! C header: [`arch/powerpc/include/asm/eeh.h`](srctree/arch/powerpc/include/asm/eeh.h)

use crate::{
    iommu_group::IommuGroup,
    module_static::ModuleStatic,
    pci::removal::{
        RemovalEvents,
        RemovalNotifier, //
    },
    tce_group::TableGroup,
    uapi::vfio_eeh_pe_err, //
};
use core::{
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    ffi::c_int,
    new_condvar, new_mutex, pci,
    prelude::*,
    sync::{
        aref::ARef,
        CondVar,
        Mutex, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};
use vfio_bindings as vb;
use vfio_logic::tce::{
    EehOp,
    PlatformCall, //
};

/// Whether the platform has it, and it is not turned off.
pub fn is_enabled() -> bool {
    // SAFETY: Has no requirements.
    unsafe { vb::vfio_helper_eeh_enabled() }
}

/// What is done to PEs by this module.
#[pin_data]
struct Operations {
    #[pin]
    state: Mutex<State>,
    /// An operation has ended.
    #[pin]
    ended: CondVar,
}

struct State {
    /// The groups that have an operation; each is there once.
    running: KVec<ARef<IommuGroup>>,
    /// How many devices are being removed, if that is watched.
    removals: Option<usize>,
}

impl State {
    fn runs_for(&self, group: &IommuGroup) -> bool {
        self.running.iter().any(|g| g.as_raw() == group.as_raw())
    }
}

static OPERATIONS: ModuleStatic<Operations> = ModuleStatic::new();

/// Prepares for operations; the first thing that a module does.
///
/// # Errors
///
/// `EBUSY` if it was done.
pub fn init() -> Result {
    OPERATIONS.init(pin_init!(Operations {
        state <- new_mutex!(
            State {
                running: KVec::new(),
                removals: None,
            },
            "vfio_eeh_operations"
        ),
        ended <- new_condvar!("vfio_eeh_ended"),
    }))
}

struct Removals;

impl RemovalEvents for Removals {
    fn removing(&self, pdev: &pci::Device) {
        let operations = OPERATIONS.get();
        let mut state = operations.state.lock();
        state.removals = state.removals.map(|count| count.saturating_add(1));
        if let Some(group) = IommuGroup::of(pdev.as_ref()) {
            while state.runs_for(&group) {
                operations.ended.wait(&mut state);
            }
        }
    }

    fn removed(&self, _pdev: &pci::Device) {
        let mut state = OPERATIONS.get().state.lock();
        // One that had begun before it was watched was not counted.
        state.removals = state.removals.map(|count| count.saturating_sub(1));
    }
}

/// Has removals of devices wait for operations, until dropped. Only meanwhile are there any.
pub struct Watch(Option<Pin<KBox<RemovalNotifier<Removals>>>>);

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        let notifier = RemovalNotifier::register(Removals)?;
        OPERATIONS.get().state.lock().removals = Some(0);
        Ok(Self(Some(notifier)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let operations = OPERATIONS.get();
        let mut state = operations.state.lock();
        state.removals = None;
        while !state.running.is_empty() {
            operations.ended.wait(&mut state);
        }
        // Nothing that owns memory may be left in a static.
        let running = core::mem::take(&mut state.running);
        drop(state);
        drop(running);
        self.0 = None;
    }
}

/// The right to do something to the PE of a group, which exists meanwhile. No other operation does anything to
/// it.
///
/// # Invariants
///
/// `group` is in [`State::running`], for this, which has the reference. When it was put there the group was
/// claimed, so that a driver was bound to one of its devices, and no device was being removed. Since then none
/// was, as that waits.
pub struct Operation {
    group: NonNull<IommuGroup>,
}

impl Operation {
    /// Begins an operation, unless there is one for this group, or a device is being removed just now.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn begin(group: &TableGroup) -> Result<Option<Self>> {
        let group = group.group();
        let mut state = OPERATIONS.get().state.lock();
        if state.removals != Some(0) || state.runs_for(group) {
            return Ok(None);
        }
        state.running.push(group.into(), GFP_KERNEL)?;
        // INVARIANT: Put there just now, under the lock that a removal begins with.
        Ok(Some(Self {
            group: NonNull::from(group),
        }))
    }

    /// As [`Self::begin`], but waits until it can; not for longer than [`Self::PATIENCE`], as an operation
    /// may be waiting for a lock that the caller holds.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it could not for so long, `ENOMEM`.
    pub fn begin_soon(group: &TableGroup) -> Result<Self> {
        for _ in 0..Self::PATIENCE / Self::PAUSE {
            if let Some(operation) = Self::begin(group)? {
                return Ok(operation);
            }
            fsleep(Delta::from_millis(Self::PAUSE));
        }
        Err(EBUSY)
    }

    /// How often what [`Self::begin`] depends on is looked at again, in milliseconds.
    pub const PAUSE: i64 = 10;

    /// In milliseconds; a reset takes a second or two.
    pub const PATIENCE: i64 = 10_000;

    /// The PE.
    fn endpoint(&self) -> Result<NonNull<vb::eeh_pe>> {
        // SAFETY: The group is valid, and what this looks at, devices of it and the PE, stays by the invariant.
        let pe = unsafe { vb::eeh_iommu_group_to_pe(self.group.as_ref().as_raw()) };
        NonNull::new(pe).ok_or(ENODEV)
    }

    /// Whether the group has a PE that errors are handled for.
    pub fn has_endpoint(&self) -> bool {
        self.endpoint().is_ok()
    }

    /// The number of the PE in its host bridge.
    pub fn endpoint_number(&self) -> Option<u32> {
        let pe = self.endpoint().ok()?;
        // SAFETY: The PE is valid by the invariant, and its number does not change.
        Some(unsafe { (*pe.as_ptr()).addr } as u32)
    }

    /// Does `op` to the PE; `error` is what to pretend. May sleep for seconds; and wait for the locks of the
    /// group's devices, and that of adding and removing PCI devices.
    ///
    /// # Errors
    ///
    /// `ENODEV` without a PE, `EINVAL` for an error that cannot be pretended or none; those of the platform.
    pub fn operate(&mut self, op: EehOp, error: Option<&vfio_eeh_pe_err>) -> Result<isize> {
        let pe = self.endpoint()?.as_ptr();
        // SAFETY: The PE is valid by the invariant.
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
        if op == EehOp::GetState && ret >= 0 {
            return Ok(ret as isize);
        }
        PlatformCall::Endpoint.check(ret.into())?;
        Ok(0)
    }

    /// Ends a reset that was begun and not ended: till then nobody can use the devices. Waits for no locks of
    /// devices, nor for that of adding and removing them; where that is needed, nothing is done.
    ///
    /// # Errors
    ///
    /// `ENODEV` without a PE; those of the platform.
    pub fn end_reset(&mut self) -> Result {
        let pe = self.endpoint()?.as_ptr();
        // SAFETY: The PE is valid by the invariant. Its state is changed by plain assignments.
        let state = unsafe { (&raw const (*pe).state).read_volatile() } as u32;
        // The host's recovery resets it as well, and ends that. The bus is looked for if it is not known.
        const LOOKED_AT: u32 =
            bindings::EEH_PE_CFG_BLOCKED | bindings::EEH_PE_RECOVERING | bindings::EEH_PE_PRI_BUS;
        if state & LOOKED_AT != bindings::EEH_PE_CFG_BLOCKED | bindings::EEH_PE_PRI_BUS {
            return Ok(());
        }
        // SAFETY: As above. The devices of the PE are passed through.
        let ret = unsafe { vb::eeh_pe_reset(pe, vb::EEH_RESET_DEACTIVATE as c_int, true) };
        Ok(PlatformCall::Endpoint.check(ret.into())?)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let operations = OPERATIONS.get();
        let mut state = operations.state.lock();
        let is_it = |g: &ARef<IommuGroup>| core::ptr::eq(&**g, self.group.as_ptr());
        if let Some(index) = state.running.iter().position(is_it) {
            // The reference is given back before a removal goes on: the platform expects that nobody has one
            // when the device is freed. It is not the last one, devices of the group have theirs.
            drop(state.running.remove(index));
        }
        drop(state);
        operations.ended.notify_all();
    }
}
