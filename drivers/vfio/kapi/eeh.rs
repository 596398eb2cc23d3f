// SPDX-License-Identifier: GPL-2.0

//! Enhanced error handling (EEH) of POWER: a host bridge stops a partitionable endpoint (PE) that errs.
//!
//! The kernel frees a PE when the last of its devices is removed, and counts no references to it. Who does
//! something to one therefore notes that, an [`Operation`], and who removes a device waits for it
//! ([`Watch`]). An operation may wait for locks of the devices, which who takes a driver away holds: nothing
//! that is called then may wait for the operation's end, only the removal that comes behind. What that has
//! locked no operation may wait for.
//!
//! C header: [`arch/powerpc/include/asm/eeh.h`](srctree/arch/powerpc/include/asm/eeh.h)

use crate::{
    iommu_group::{
        dev_raw,
        IommuGroup, //
    },
    module_static::ModuleStatic,
    pci::bus_notifier::{
        BusEvents,
        BusNotifier, //
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
    device::Device,
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

/// Whether the platform is one below a hypervisor: pseries, not powernv.
fn has_hypervisor() -> bool {
    // SAFETY: Has no requirements.
    unsafe { vb::vfio_helper_has_hypervisor() }
}

/// Whether it is an error of the devices' memory. Below a hypervisor the kernel breaks all devices of the PE for
/// that, with the lock of adding and removing PCI devices, which who waits for an operation may hold.
fn is_of_memory(func: u32) -> bool {
    matches!(
        func,
        vb::EEH_ERR_FUNC_LD_MEM_ADDR
            | vb::EEH_ERR_FUNC_LD_MEM_DATA
            | vb::EEH_ERR_FUNC_ST_MEM_ADDR
            | vb::EEH_ERR_FUNC_ST_MEM_DATA
    )
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
    /// Removals are known of. Only meanwhile do operations begin.
    watched: bool,
    /// The groups that have an operation; each is there once.
    running: KVec<ARef<IommuGroup>>,
    /// How many devices are being forgotten by EEH, or are to be, of the groups whose numbers have the same
    /// remainder.
    removals: [usize; 64],
}

impl State {
    fn runs_for(&self, group: &IommuGroup) -> bool {
        self.running.iter().any(|g| g.as_raw() == group.as_raw())
    }

    fn removals_of(&mut self, group: &IommuGroup) -> &mut usize {
        &mut self.removals[group.id() as usize % 64]
    }
}

static OPERATIONS: ModuleStatic<Operations> = ModuleStatic::new();

/// Told of removals before EEH is, which then frees endpoints.
struct Before;

impl BusEvents for Before {
    const PRIORITY: c_int = c_int::MAX;

    fn removing(&self, pdev: &pci::Device) {
        let Some(group) = IommuGroup::of(pdev.as_ref()) else {
            return;
        };
        let operations = OPERATIONS.get();
        let mut state = operations.state.lock();
        *state.removals_of(&group) += 1;
        while state.runs_for(&group) {
            operations.ended.wait(&mut state);
        }
    }
}

/// Told of removals after EEH.
struct After;

impl BusEvents for After {
    const PRIORITY: c_int = c_int::MIN;

    fn removing(&self, pdev: &pci::Device) {
        if let Some(group) = IommuGroup::of(pdev.as_ref()) {
            let mut state = OPERATIONS.get().state.lock();
            // It is 0 for who was told before `Before` was registered.
            let removals = state.removals_of(&group);
            *removals = removals.saturating_sub(1);
        }
    }
}

/// Has removals of devices wait for operations, until dropped. Only meanwhile are there any.
pub struct Watch {
    _after: Pin<KBox<BusNotifier<After>>>,
    _before: Pin<KBox<BusNotifier<Before>>>,
}

/// Makes operations possible; the first thing that a module does.
///
/// # Errors
///
/// `EBUSY` if it was done, `ENOMEM`.
pub fn init() -> Result<Watch> {
    OPERATIONS.init(pin_init!(Operations {
        state <- new_mutex!(
            State {
                watched: false,
                running: KVec::new(),
                removals: [0; 64],
            },
            "vfio_eeh_operations"
        ),
        ended <- new_condvar!("vfio_eeh_ended"),
    }))?;
    // Each call to `Before` is followed by one to `After`, as this is registered first; it also goes first, when
    // nothing begins any more.
    let watch = Watch {
        _after: BusNotifier::register(After)?,
        _before: BusNotifier::register(Before)?,
    };
    OPERATIONS.get().state.lock().watched = true;
    Ok(watch)
}

impl Drop for Watch {
    fn drop(&mut self) {
        let operations = OPERATIONS.get();
        let mut state = operations.state.lock();
        state.watched = false;
        while !state.running.is_empty() {
            operations.ended.wait(&mut state);
        }
        // Nothing that owns memory may be left in a static.
        let running = core::mem::take(&mut state.running);
        drop(state);
        drop(running);
    }
}

/// The right to do something to the PE of a group, which exists meanwhile. No other operation does anything to
/// it.
///
/// # Invariants
///
/// `group` is in [`State::running`], for this, which has the reference. When it was put there the group was
/// claimed, so that a driver was bound to one of its devices, and EEH was not forgetting any. Since then it does
/// not, as a removal waits first.
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
        if !state.watched || *state.removals_of(group) != 0 || state.runs_for(group) {
            return Ok(None);
        }
        state.running.push(group.into(), GFP_KERNEL)?;
        // INVARIANT: Put there just now, under the lock that a removal begins with.
        Ok(Some(Self {
            group: NonNull::from(group),
        }))
    }

    /// Calls `begin`, which is for [`Self::begin`], now and then until it has begun one; not for longer than ten
    /// seconds: an operation that is there may be waiting for a lock that the caller holds, or for minutes for
    /// the platform.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it has not begun by then; those of `begin`.
    pub fn begin_soon(mut begin: impl FnMut() -> Result<Option<Self>>) -> Result<Self> {
        for _ in 0..1000 {
            if let Some(operation) = begin()? {
                return Ok(operation);
            }
            fsleep(Delta::from_millis(10));
        }
        Err(EBUSY)
    }

    /// The group.
    pub fn group(&self) -> &IommuGroup {
        // SAFETY: There is a reference to it by the invariant.
        unsafe { self.group.as_ref() }
    }

    /// The PE.
    fn endpoint(&self) -> Result<NonNull<vb::eeh_pe>> {
        // Not by the kernel's function, which looks at a device when it may have left the group, and be freed.
        let of = |dev: &Device| {
            // SAFETY: Devices of groups are PCI functions here. If EEH has forgotten this one it has no PE; it does
            // not forget it meanwhile, by the invariant.
            NonNull::new(unsafe { vb::vfio_helper_eeh_pe(dev_raw(dev)) })
        };
        self.group().find_device(of).ok_or(ENODEV)
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

    /// Checks that the PE can be reset while a removal may wait for that to end.
    ///
    /// # Errors
    ///
    /// `ENODEV` without a PE; `EBUSY` if there are PEs below it, such as those of virtual functions, which are
    /// reset with it, and whose removal does not wait; `EIO` if the platform would look for its bus with the lock
    /// of adding and removing PCI devices, which who waits for this may hold.
    fn check_reset(&self) -> Result {
        let pe = self.endpoint()?.as_ptr();
        // SAFETY: The PE is valid by the invariant. What may change is read once.
        let (first_below, below, kind, state) = unsafe {
            (
                (&raw const (*pe).child_list.next).read_volatile(),
                &raw mut (*pe).child_list,
                (*pe).type_ as u32,
                (&raw const (*pe).state).read_volatile() as u32,
            )
        };
        if first_below != below {
            return Err(EBUSY);
        }
        let bus_is_needed = kind & (bindings::EEH_PE_PHB | bindings::EEH_PE_VF) == 0;
        let bus_is_known = state & bindings::EEH_PE_PRI_BUS != 0;
        if bus_is_needed && !bus_is_known && !has_hypervisor() {
            return Err(EIO);
        }
        Ok(())
    }

    /// Does `op` to the PE; `error` is what to pretend. May sleep, for minutes if the platform takes as long, and
    /// wait for the locks of the group's devices, but not for that of adding and removing PCI devices.
    ///
    /// # Errors
    ///
    /// `ENODEV` without a PE, `EINVAL` for an error that cannot be pretended or none; `EBUSY`, `EIO` or `ENXIO`
    /// for what cannot be done while a removal waits; those of the platform.
    pub fn operate(&mut self, op: EehOp, error: Option<&vfio_eeh_pe_err>) -> Result<isize> {
        // The owner thaws it so: that is refused to nobody, as it resets hardly any devices.
        if op.may_reset() && op != EehOp::Enable {
            self.check_reset()?;
        }
        let pe = self.endpoint()?.as_ptr();
        // SAFETY: The PE is valid by the invariant.
        let option = |option: u32| unsafe { vb::eeh_pe_set_option(pe, option as c_int) };
        // SAFETY: As above, and no PE is below it, by the check. The devices of the PE are passed through, which
        // is what they are all to be reset for.
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
                if has_hypervisor() && is_of_memory(error.func) {
                    return Err(ENXIO);
                }
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
    /// devices.
    ///
    /// # Errors
    ///
    /// As for [`EehOp::ResetDeactivate`].
    pub fn end_reset(&mut self) -> Result {
        let pe = self.endpoint()?.as_ptr();
        // SAFETY: The PE is valid by the invariant. Its state is changed by plain assignments.
        let state = unsafe { (&raw const (*pe).state).read_volatile() } as u32;
        // The host's recovery resets it as well, and ends that.
        let looked_at = bindings::EEH_PE_CFG_BLOCKED | bindings::EEH_PE_RECOVERING;
        if state & looked_at == bindings::EEH_PE_CFG_BLOCKED {
            self.operate(EehOp::ResetDeactivate, None)?;
        }
        Ok(())
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
