// SPDX-License-Identifier: GPL-2.0

//! Event file descriptors: how the kernel wakes user space, or KVM.
//!
//! C header: [`include/linux/eventfd.h`](srctree/include/linux/eventfd.h)

use crate::versions::synchronize_rcu;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        rcu, //
    }, //
};

/// A reference to the context of an eventfd.
///
/// # Invariants
///
/// The pointer is valid, and this owns one reference to it.
pub struct EventFd(NonNull<bindings::eventfd_ctx>);

impl EventFd {
    /// Takes a reference to the eventfd open as `fd` in the current process.
    ///
    /// # Errors
    ///
    /// `EBADF` if `fd` is not open, `EINVAL` if it is not an eventfd.
    pub fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: May be called with any number.
        let ctx = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: The function returned a reference, now owned by the new object.
        NonNull::new(ctx).map(Self).ok_or(EINVAL)
    }

    /// Adds one to the counter and wakes who waits. May be called in any context.
    #[inline]
    pub fn signal(&self) {
        // SAFETY: The context is valid by the type invariant.
        unsafe { bindings::eventfd_signal_mask(self.as_raw(), 0) };
    }

    /// The C context, for calls into the kernel. Equal for two descriptors of one eventfd.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::eventfd_ctx {
        self.0.as_ptr()
    }

    /// Takes over a reference from C.
    ///
    /// # Safety
    ///
    /// The caller must own one reference to `ctx`, which passes to the new object.
    pub unsafe fn from_raw(ctx: NonNull<bindings::eventfd_ctx>) -> Self {
        // INVARIANT: By the contract of this function.
        Self(ctx)
    }

    /// Hands the reference over to C.
    pub fn into_raw(self) -> *mut bindings::eventfd_ctx {
        let ctx = self.as_raw();
        core::mem::forget(self);
        ctx
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this owns a reference, which ends here.
        unsafe { bindings::eventfd_ctx_put(self.as_raw()) };
    }
}

// SAFETY: Contexts are reference-counted and have their own lock.
unsafe impl Send for EventFd {}
// SAFETY: As above.
unsafe impl Sync for EventFd {}

/// A place for an eventfd that is signalled in any context while it may be replaced.
///
/// Readers are protected by RCU, so that neither side waits for a lock, and an eventfd is not given
/// up before who is signalling it is done.
///
/// # Invariants
///
/// The pointer is null or owns a reference to a context, that is given up no earlier than an RCU
/// grace period after the pointer changed.
pub struct EventFdSlot(Atomic<*mut bindings::eventfd_ctx>);

impl EventFdSlot {
    /// A place with `eventfd` in it, or an empty one.
    pub fn new(eventfd: Option<EventFd>) -> Self {
        Self(Atomic::new(Self::into_raw(eventfd)))
    }

    fn into_raw(eventfd: Option<EventFd>) -> *mut bindings::eventfd_ctx {
        eventfd.map_or(core::ptr::null_mut(), EventFd::into_raw)
    }

    /// Signals the eventfd, if there is one; returns whether there was. May be called in any context,
    /// but not under the lock of a wait queue.
    pub fn signal(&self) -> bool {
        let _rcu = rcu::read_lock();
        let ctx = self.0.load(Acquire);
        if ctx.is_null() {
            return false;
        }
        // SAFETY: By the type invariant the context lives at least until the end of the RCU section.
        unsafe { bindings::eventfd_signal_mask(ctx, 0) };
        true
    }

    /// Whether there is no eventfd right now.
    pub fn is_empty(&self) -> bool {
        self.0.load(Relaxed).is_null()
    }

    /// Puts `eventfd` in the place of what is there. Each signal reaches either the old or the new.
    ///
    /// May sleep: waits for an RCU grace period if there is one to give up.
    pub fn replace(&self, eventfd: Option<EventFd>) {
        let old = self.0.xchg(Self::into_raw(eventfd), Full);
        if let Some(old) = NonNull::new(old) {
            synchronize_rcu();
            // SAFETY: The place owned the reference, and a grace period has passed.
            drop(unsafe { EventFd::from_raw(old) });
        }
    }
}

impl Drop for EventFdSlot {
    fn drop(&mut self) {
        // Nobody is signalling: that takes a reference to `self`.
        if let Some(ctx) = NonNull::new(self.0.load(Relaxed)) {
            // SAFETY: By the type invariant the place owns a reference, which is not used again.
            drop(unsafe { EventFd::from_raw(ctx) });
        }
    }
}
