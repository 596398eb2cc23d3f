// SPDX-License-Identifier: GPL-2.0

//! Resets of functions, slots and buses, and the configuration that survives them.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    pci,
    prelude::*, //
};
use vfio_bindings as vb;

/// Resets the function, keeping its configuration. May sleep.
///
/// # Errors
///
/// `EAGAIN` if the device lock is held by somebody, `ENOTTY` if the function cannot be reset alone.
pub fn try_function(pdev: &pci::Device) -> Result {
    // SAFETY: The device is valid.
    to_result(unsafe { bindings::pci_try_reset_function(raw(pdev)) })
}

/// Resets the function without keeping its configuration, if the locks of the bridge above and of the
/// function are free. May sleep.
///
/// # Errors
///
/// `EAGAIN` if one of the locks is held by somebody, otherwise that of the reset.
pub fn try_function_without_state(pdev: &pci::Device) -> Result {
    // SAFETY: The device is valid, and so is the bridge above it, if any.
    let bridge = unsafe { vb::vfio_helper_pci_upstream_bridge(raw(pdev)) };
    let _bridge = match NonNull::new(bridge) {
        // SAFETY: The function keeps the bridge above it.
        Some(bridge) => Some(unsafe { DeviceLock::try_lock(bridge) }?),
        None => None,
    };
    // SAFETY: The device is valid, and borrowed for longer than the lock is held.
    let _function = unsafe { DeviceLock::try_lock(NonNull::from(pdev).cast()) }?;
    // SAFETY: The device is valid and its lock is held.
    to_result(unsafe { bindings::__pci_reset_function_locked(raw(pdev)) })
}

/// The device lock and the configuration access lock of a function, held.
///
/// # Invariants
///
/// The function is valid, and both locks are held by this.
struct DeviceLock(NonNull<bindings::pci_dev>);

impl DeviceLock {
    /// Takes both locks if they are free.
    ///
    /// # Safety
    ///
    /// `pdev` must be valid for as long as the result exists.
    unsafe fn try_lock(pdev: NonNull<bindings::pci_dev>) -> Result<Self> {
        // SAFETY: By the contract of this function.
        if unsafe { bindings::pci_dev_trylock(pdev.as_ptr()) } != 0 {
            // INVARIANT: Both were just taken.
            Ok(Self(pdev))
        } else {
            Err(EAGAIN)
        }
    }
}

impl Drop for DeviceLock {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::pci_dev_unlock(self.0.as_ptr()) };
    }
}

/// What a hot reset of a function resets with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The functions below its slot.
    Slot,
    /// The functions on its bus and below.
    Bus,
}

/// How the function can be hot reset; `None` if it cannot.
pub fn scope(pdev: &pci::Device) -> Option<Scope> {
    // SAFETY: The device is valid, and so are its bus and, if any, its slot.
    unsafe {
        if bindings::pci_probe_reset_slot((*raw(pdev)).slot) == 0 {
            Some(Scope::Slot)
        } else if bindings::pci_probe_reset_bus((*raw(pdev)).bus) == 0 {
            Some(Scope::Bus)
        } else {
            None
        }
    }
}

/// Resets the slot, or else the bus, of the function, keeping the configuration of all functions
/// that are reset. May sleep.
///
/// # Errors
///
/// `EAGAIN` if a lock of one of them is held by somebody, `ENOTTY` if there is no such reset.
pub fn bus(pdev: &pci::Device) -> Result {
    // SAFETY: The device is valid.
    to_result(unsafe { bindings::pci_reset_bus(raw(pdev)) })
}

/// Calls `f` for each function that a reset of the slot or bus of `pdev` resets, until it fails.
/// The lock of the bus topology is held: no function comes or goes meanwhile. May sleep.
///
/// # Errors
///
/// That of `f`.
pub fn for_each(
    pdev: &pci::Device,
    scope: Scope,
    f: &mut dyn FnMut(&pci::Device) -> Result,
) -> Result {
    struct Walk<'a> {
        // The slot to stay below, or null.
        slot: *mut bindings::pci_slot,
        f: &'a mut dyn FnMut(&pci::Device) -> Result,
        result: Result,
    }

    /// Has the function called for one device of the bus.
    ///
    /// Called by: `pci_walk_bus()`, as the argument of `pci_walk_bus()`.
    ///
    /// Context: the caller of `pci_walk_bus()`, here, the bus locked for reading.
    ///
    /// # Safety
    ///
    /// `data` must point to a [`Walk`] that nobody else uses, `pdev` must be valid.
    unsafe extern "C" fn visit(pdev: *mut bindings::pci_dev, data: *mut c_void) -> c_int {
        // SAFETY: By the contract of this function.
        let walk = unsafe { &mut *data.cast::<Walk<'_>>() };
        // SAFETY: `pdev` is valid during the walk, and so is the slot.
        if !walk.slot.is_null() && !unsafe { is_below(pdev, walk.slot) } {
            return 0;
        }
        // SAFETY: `pdev` is valid during the walk.
        walk.result = (walk.f)(unsafe { super::from_raw(pdev) });
        walk.result.is_err().into()
    }

    let mut walk = Walk {
        slot: match scope {
            // SAFETY: The device is valid.
            Scope::Slot => unsafe { (*raw(pdev)).slot },
            Scope::Bus => core::ptr::null_mut(),
        },
        f,
        result: Ok(()),
    };
    // SAFETY: The device's bus is valid; `visit` gets what it wants.
    unsafe {
        bindings::pci_walk_bus((*raw(pdev)).bus, Some(visit), (&raw mut walk).cast());
    }
    walk.result
}

/// Whether a function is in a slot or below a bridge in it.
///
/// # Safety
///
/// Both must be valid, and the bus topology must not change meanwhile.
unsafe fn is_below(mut pdev: *mut bindings::pci_dev, slot: *mut bindings::pci_slot) -> bool {
    // SAFETY: By the contract of this function; the bridges above a valid device are valid.
    unsafe {
        while !pdev.is_null() {
            if (*pdev).bus == (*slot).bus {
                return (*pdev).slot == slot;
            }
            pdev = (*(*pdev).bus).self_;
        }
    }
    false
}

/// Notes the configuration of the function in the kernel's own place for it. May sleep.
pub fn save_state(pdev: &pci::Device) {
    // SAFETY: The device is valid. It always succeeds or warns by itself.
    unsafe { bindings::pci_save_state(raw(pdev)) };
}

/// Writes the noted configuration to the function, if one was noted. May sleep.
pub fn restore_state(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_restore_state(raw(pdev)) };
}

/// A copy of a noted configuration.
///
/// # Invariants
///
/// The pointer is to a state as `pci_store_saved_state()` returns it, and owned.
pub struct SavedState(NonNull<bindings::pci_saved_state>);

impl SavedState {
    /// Copies what [`save_state`] noted; `None` if nothing was or there is no memory.
    pub fn store(pdev: &pci::Device) -> Option<Self> {
        // SAFETY: The device is valid.
        let state = unsafe { bindings::pci_store_saved_state(raw(pdev)) };
        // INVARIANT: As the function returned it.
        NonNull::new(state).map(Self)
    }

    /// Makes this the noted configuration of the function it came from.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the function has not the capabilities that the state has.
    pub fn load(self, pdev: &pci::Device) -> Result {
        let mut state = self.0.as_ptr();
        // It is freed by the callee.
        core::mem::forget(self);
        // SAFETY: The device is valid, and the state is owned by the type invariant.
        to_result(unsafe { bindings::pci_load_and_free_saved_state(raw(pdev), &mut state) })
    }
}

impl Drop for SavedState {
    fn drop(&mut self) {
        // SAFETY: Owned by the type invariant; the kernel allocates it by `kzalloc()`.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

// SAFETY: Plain memory, owned.
unsafe impl Send for SavedState {}
// SAFETY: There is nothing that a shared reference allows.
unsafe impl Sync for SavedState {}
