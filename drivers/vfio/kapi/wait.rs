// SPDX-License-Identifier: GPL-2.0

//! Waiting for what a mutex protects to change, for as long as one is not killed.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use crate::pin::fatal_signal_pending;
use core::pin::Pin;
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::{
        LockClassKey,
        MutexGuard, //
    },
    types::Opaque,
};

/// Those who wait for a change. As the kernel crate's `CondVar`, but that who waits can be killed.
#[pin_data]
pub struct KillableCondVar {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue is not tied to a thread.
unsafe impl Send for KillableCondVar {}
// SAFETY: It has a lock of its own.
unsafe impl Sync for KillableCondVar {}

impl KillableCondVar {
    /// Nobody waits; `name` and `key` are the lockdep class of the queue's own lock.
    pub fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid for writes and pinned; name and key are static.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// Gives the mutex up, sleeps until somebody calls [`Self::notify_all`] and takes it again. May also
    /// return for no reason.
    ///
    /// # Errors
    ///
    /// `EINTR` if the current task is being killed. The mutex is held then as well.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> (MutexGuard<'a, T>, Result) {
        let mutex = guard.lock_ref();
        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // SAFETY: The entry is initialized before it is queued. It is taken out before it goes.
        unsafe {
            bindings::init_wait(entry.get());
            bindings::prepare_to_wait(self.head.get(), entry.get(), bindings::TASK_KILLABLE as i32);
        }
        drop(guard);
        // SAFETY: No lock of ours is held. A fatal signal that came before the state was set keeps the
        // task from sleeping.
        unsafe { bindings::schedule() };
        // SAFETY: Both are initialized.
        unsafe { bindings::finish_wait(self.head.get(), entry.get()) };
        let guard = mutex.lock();
        let result = if fatal_signal_pending() {
            Err(EINTR)
        } else {
            Ok(())
        };
        (guard, result)
    }

    /// Wakes all who wait. To be called after the change was made under the mutex.
    pub fn notify_all(&self) {
        // SAFETY: The queue is initialized.
        unsafe {
            bindings::__wake_up(
                self.head.get(),
                bindings::TASK_NORMAL,
                0,
                core::ptr::null_mut(),
            )
        };
    }
}

/// Makes a [`KillableCondVar`] with a lockdep class of its own.
#[macro_export]
macro_rules! new_killable_condvar {
    ($name:literal) => {
        $crate::wait::KillableCondVar::new(
            ::kernel::optional_name!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
