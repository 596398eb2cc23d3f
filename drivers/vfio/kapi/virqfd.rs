// SPDX-License-Identifier: GPL-2.0

//! Eventfds that the kernel reacts to, with the service of `vfio.ko`.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct virqfd`

use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};
use vfio_bindings as vb;

/// What reacts to an eventfd.
pub trait Target: Send + Sync + 'static {
    /// Called when the eventfd is signalled, with the lock of its wait queue held and interrupts
    /// off: must not sleep or signal an eventfd. Returns whether [`Self::work`] is to be called.
    fn wake(&self) -> bool;

    /// Called on a work queue, where it may sleep.
    fn work(&self);
}

/// A place for one eventfd that a target reacts to; empty at first.
///
/// The place also becomes empty when user space closes the eventfd. When this is dropped, the
/// target is no longer called.
#[pin_data(PinnedDrop)]
pub struct Virqfd<T: Target> {
    target: Arc<T>,
    #[pin]
    virqfd: Opaque<*mut vb::virqfd>,
}

// SAFETY: The slot is only accessed by `vfio.ko`, under a lock of its own.
unsafe impl<T: Target> Send for Virqfd<T> {}
// SAFETY: As above; what must not be done by two at a time takes the place exclusively.
unsafe impl<T: Target> Sync for Virqfd<T> {}

impl<T: Target> Virqfd<T> {
    /// An empty place, with who is to react later.
    #[inline]
    pub fn new(target: Arc<T>) -> impl PinInit<Self> {
        pin_init!(Self {
            target,
            virqfd <- Opaque::ffi_init(|slot: *mut *mut vb::virqfd| {
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(core::ptr::null_mut()) };
            }),
        })
    }

    /// Reacts to the eventfd open as `fd` in the current process from now on; also to what it was
    /// signalled before.
    ///
    /// # Errors
    ///
    /// `EBADF` if `fd` is not open, `EINVAL` if it is not an eventfd, `EBUSY` if the place is
    /// taken, `ENOMEM`.
    #[inline]
    pub fn enable(self: Pin<&mut Self>, fd: i32) -> Result {
        // SAFETY: The slot is pinned, and the target lives for as long as it; both until `drop`,
        // which waits until neither is used. `wake` and `work` take a pointer to the target.
        to_result(unsafe {
            vb::vfio_virqfd_enable(
                core::ptr::from_ref(&*self.target).cast_mut().cast(),
                Some(Self::wake),
                Some(Self::work),
                core::ptr::null_mut(),
                self.virqfd.get(),
                fd,
            )
        })
    }

    /// Empties the place, and waits until the target is no longer called.
    ///
    /// Exclusive, as [`Self::enable`] is: `vfio.ko` shows a new entry to the eventfd after it has put it into the place.
    #[inline]
    pub fn disable(self: Pin<&mut Self>) {
        // SAFETY: The slot is valid, and was given to `vfio_virqfd_enable` or is null.
        unsafe { vb::vfio_virqfd_disable(self.virqfd.get()) };
    }

    /// Decides what to do, where the eventfd is signalled.
    ///
    /// Called by: `virqfd_wakeup()`, as the argument of `vfio_virqfd_enable()`.
    ///
    /// Context: `virqfds.rs`: the lock of the eventfd's queue held, interrupts off.
    ///
    /// # Safety
    ///
    /// For `vfio.ko` only, to which `enable` gave it.
    unsafe extern "C" fn wake(target: *mut c_void, _data: *mut c_void) -> c_int {
        // SAFETY: The target is valid and shared, see `enable`.
        unsafe { &*target.cast::<T>() }.wake().into()
    }

    /// Does the rest, where it may sleep.
    ///
    /// Called by: `virqfd_inject()`, as the argument of `vfio_virqfd_enable()`.
    ///
    /// Context: a workqueue; may sleep.
    ///
    /// # Safety
    ///
    /// As for `wake`.
    unsafe extern "C" fn work(target: *mut c_void, _data: *mut c_void) {
        // SAFETY: As in `wake`.
        unsafe { &*target.cast::<T>() }.work();
    }
}

#[pinned_drop]
impl<T: Target> PinnedDrop for Virqfd<T> {
    #[inline]
    fn drop(self: Pin<&mut Self>) {
        self.disable();
    }
}
