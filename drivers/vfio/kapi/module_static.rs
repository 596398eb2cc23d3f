// SPDX-License-Identifier: GPL-2.0

//! Statics of a module that have to be initialized in place, such as locks.

use crate::versions::raw_init;
use core::{
    cell::UnsafeCell,
    mem::MaybeUninit, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    }, //
};

const UNSET: u32 = 0;
const BUSY: u32 = 1;
const SET: u32 = 2;

/// A `static` that is initialized in place when the module is loaded.
///
/// What C writes as `static DEFINE_MUTEX(...)`. It is part of the module's memory and goes with it:
/// it is never dropped, so it must be empty of what owns memory when the module is unloaded.
pub struct ModuleStatic<T> {
    state: Atomic<u32>,
    // INVARIANT: Initialized, pinned and only shared once `state` is `SET`.
    slot: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: Apart from `init`, which runs once, there are only shared references to the value.
unsafe impl<T: Send + Sync> Sync for ModuleStatic<T> {}

impl<T: Send + Sync> ModuleStatic<T> {
    /// A static without a value.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            state: Atomic::new(UNSET),
            slot: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Gives it its value; the first thing that a module does.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is a value already.
    pub fn init(&'static self, value: impl PinInit<T>) -> Result {
        self.state
            .cmpxchg(UNSET, BUSY, Relaxed)
            .map_err(|_| EBUSY)?;
        // SAFETY: Nobody else gets here, and nobody reads the slot before `SET`. It is in a static,
        // hence pinned.
        unsafe { raw_init(self.slot.get().cast(), value) };
        self.state.store(SET, Release);
        Ok(())
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// If [`Self::init`] was not called: a bug of the module.
    #[inline]
    pub fn get(&'static self) -> &'static T {
        assert!(self.state.load(Acquire) == SET);
        // SAFETY: The slot is initialized by the check, and never written to again.
        unsafe { (*self.slot.get()).assume_init_ref() }
    }
}
