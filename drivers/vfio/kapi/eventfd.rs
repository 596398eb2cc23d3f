// SPDX-License-Identifier: GPL-2.0

//! Event file descriptors: how the kernel wakes user space, or KVM.
//!
//! C header: [`include/linux/eventfd.h`](srctree/include/linux/eventfd.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
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
