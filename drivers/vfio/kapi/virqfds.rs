// SPDX-License-Identifier: GPL-2.0

//! Handlers that run when user space, or KVM, signals an eventfd.
//!
//! Lock order: the wait queue's lock of an eventfd, then [`Virqfds::lock`].
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct virqfd`

use crate::{
    eventfd::EventFd,
    versions::{
        new_spinlock_irq,
        SpinLockIrq, //
    },
};
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    container_of,
    error::from_err_ptr,
    ffi,
    fs::LocalFile,
    prelude::*,
    static_lock_class,
    str::CStr,
    sync::{
        Arc,
        LockClassKey, //
    }, //
};
use vfio_bindings as vb;

/// Prepares a work that is not on a stack.
///
/// # Safety
///
/// `work` must be valid for writes; `func` callable with it, whenever it is queued.
unsafe fn init_work(
    work: *mut bindings::work_struct,
    func: bindings::work_func_t,
    name: &'static CStr,
    key: Pin<&'static LockClassKey>,
) {
    // SAFETY: By the contract of this function; name and key stay.
    unsafe {
        bindings::init_work_with_key(work, func, false, name.as_char_ptr(), key.as_ptr());
    }
}

/// A work queue that does one work at a time; waits for what is queued when dropped.
///
/// # Invariants
///
/// The queue is valid.
pub struct SerialQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Work queues have their own locks.
unsafe impl Send for SerialQueue {}
// SAFETY: As above.
unsafe impl Sync for SerialQueue {}

impl SerialQueue {
    /// A queue called `name`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is a string.
        let queue = unsafe { vb::vfio_helper_create_singlethread_workqueue(name.as_char_ptr()) };
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    /// # Safety
    ///
    /// `work` must be initialized and stay valid until it ran.
    unsafe fn queue(&self, work: *mut bindings::work_struct) {
        // SAFETY: By the contract of this function.
        unsafe { vb::vfio_helper_queue_work(self.0.as_ptr(), work) };
    }

    fn flush(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::__flush_workqueue(self.0.as_ptr()) };
    }
}

impl Drop for SerialQueue {
    fn drop(&mut self) {
        // SAFETY: Valid by the type invariant, and not used any more.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

/// The function that decides, in the context of who signals: `opaque`, `data`; whether the thread
/// is to run.
pub type Handler = unsafe extern "C" fn(*mut c_void, *mut c_void) -> ffi::c_int;
/// The function that runs later, in a context that may sleep: `opaque`, `data`.
pub type Thread = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// All handlers there are.
#[pin_data]
pub struct Virqfds {
    /// Protects the pointers that users keep to their handlers, and has the queue that ends them.
    #[pin]
    lock: SpinLockIrq<Option<Arc<SerialQueue>>>,
}

/// What a user gives to [`Virqfds::enable`].
pub struct NewVirqfd {
    /// Passed to both functions.
    pub opaque: *mut c_void,
    /// What runs at once, if anything.
    pub handler: Option<Handler>,
    /// What runs later, if anything.
    pub thread: Option<Thread>,
    /// Passed to both functions.
    pub data: *mut c_void,
}

impl Virqfds {
    /// No handlers, and no queue.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            lock <- new_spinlock_irq!(None, "Virqfds::lock"),
        })
    }

    /// Sets the queue that ends handlers.
    pub fn start(&self, queue: Arc<SerialQueue>) {
        let old = self.lock.lock().replace(queue);
        drop(old);
    }

    /// Takes the queue away; no handler may be there.
    pub fn stop(&self) {
        let old = self.lock.lock().take();
        drop(old);
    }

    /// Runs the functions of `new` whenever the eventfd `fd` is signalled, from now on.
    ///
    /// # Safety
    ///
    /// The functions must be callable with their arguments, until [`Self::disable`] returns;
    /// `slot` must be valid until then, and is only to be changed by the functions here. Those that get the same slot
    /// must not run at the same time: the entry is in the slot before the eventfd has it.
    ///
    /// # Errors
    ///
    /// `EBADF` if `fd` is not open, `EINVAL` if it is no eventfd, `EBUSY` if `slot` is in use,
    /// `ENOMEM`.
    pub unsafe fn enable(
        &'static self,
        new: &NewVirqfd,
        slot: NonNull<*mut vb::virqfd>,
        fd: i32,
    ) -> Result {
        let mut virqfd = KBox::new(
            State {
                virqfd: vb::virqfd {
                    opaque: new.opaque,
                    handler: new.handler,
                    thread: new.thread,
                    data: new.data,
                    pvirqfd: slot.as_ptr(),
                    ..pin_init::zeroed()
                },
                all: self,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let file = LocalFile::fget(u32::try_from(fd).map_err(|_| EBADF)?)?;
        // SAFETY: The file is valid.
        let ctx = from_err_ptr(unsafe { bindings::eventfd_ctx_fileget(file.as_ptr()) })?;
        // SAFETY: The function answers with a reference, which is ours.
        let ctx = unsafe { EventFd::from_raw(NonNull::new(ctx).ok_or(EINVAL)?) };
        virqfd.virqfd.eventfd = ctx.as_raw();

        let raw = KBox::into_raw(virqfd);
        // SAFETY: The memory is valid and ours; its address does not change any more.
        let inner = unsafe { &raw mut (*raw).virqfd };
        // SAFETY: As above.
        unsafe {
            // The first one waits for the second one, and lockdep has to tell them apart.
            init_work(
                &raw mut (*inner).shutdown,
                Some(State::shutdown),
                c"virqfd::shutdown",
                static_lock_class!(),
            );
            init_work(
                &raw mut (*inner).inject,
                Some(State::inject),
                c"virqfd::inject",
                static_lock_class!(),
            );
            init_work(
                &raw mut (*inner).flush_inject,
                Some(State::flush_inject),
                c"virqfd::flush_inject",
                static_lock_class!(),
            );
            vb::vfio_helper_init_waitqueue_func_entry(&raw mut (*inner).wait, Some(State::wake_up));
            vb::vfio_helper_init_poll_funcptr(&raw mut (*inner).pt, Some(State::queue_proc));
        }
        {
            let _guard = self.lock.lock();
            // SAFETY: The slot is valid, and protected by the lock.
            unsafe {
                if !(*slot.as_ptr()).is_null() {
                    drop(_guard);
                    drop(KBox::from_raw(raw));
                    return Err(EBUSY);
                }
                *slot.as_ptr() = inner;
            }
        }
        // The reference is given up by `shutdown` from now on.
        let _ = ctx.into_raw();

        // SAFETY: The file is an eventfd. Polling puts `wait` into its queue, by `queue_proc`. From
        // here on the eventfd may be closed, but `file` keeps it.
        unsafe {
            let events = vb::vfio_helper_vfs_poll(file.as_ptr(), &raw mut (*inner).pt);
            // It may have been signalled before.
            if events & bindings::POLLIN != 0 {
                State::signal(inner);
            }
        }
        Ok(())
    }

    /// Ends the handler in `slot`, if there is one, and waits until none that is ending runs.
    ///
    /// # Safety
    ///
    /// `slot` must be one that [`Self::enable`] is used with.
    pub unsafe fn disable(&self, slot: NonNull<*mut vb::virqfd>) {
        let queue = {
            let guard = self.lock.lock();
            // SAFETY: The slot is protected by the lock.
            unsafe { State::deactivate(&guard, slot.as_ptr()) };
            guard.clone()
        };
        if let Some(queue) = queue {
            queue.flush();
        }
    }

    /// Waits until the thread function of the handler in `slot` ran, if it is to.
    ///
    /// # Safety
    ///
    /// As for [`Self::disable`].
    pub unsafe fn flush(&self, slot: NonNull<*mut vb::virqfd>) {
        let queue = {
            let guard = self.lock.lock();
            // SAFETY: What is in the slot is valid while the lock is held. The work ends before
            // `shutdown` on the same queue.
            unsafe {
                let virqfd = *slot.as_ptr();
                if !virqfd.is_null() && (*virqfd).thread.is_some() {
                    if let Some(queue) = &*guard {
                        queue.queue(&raw mut (*virqfd).flush_inject);
                    }
                }
            }
            guard.clone()
        };
        if let Some(queue) = queue {
            queue.flush();
        }
    }
}

/// A handler.
#[repr(C)]
struct State {
    virqfd: vb::virqfd,
    all: &'static Virqfds,
}

impl State {
    /// # Safety
    ///
    /// `slot` must be valid, and the lock that `queue` is of must be held.
    unsafe fn deactivate(queue: &Option<Arc<SerialQueue>>, slot: *mut *mut vb::virqfd) {
        // SAFETY: By the contract of this function. Whoever empties the slot queues the work, so it
        // is queued once; it frees the handler.
        unsafe {
            let virqfd = core::mem::replace(&mut *slot, core::ptr::null_mut());
            if !virqfd.is_null() {
                if let Some(queue) = queue {
                    queue.queue(&raw mut (*virqfd).shutdown);
                }
            }
        }
    }

    /// # Safety
    ///
    /// `virqfd` must be valid.
    unsafe fn signal(virqfd: *mut vb::virqfd) {
        // SAFETY: The functions are callable while the handler is there.
        unsafe {
            let run = (*virqfd)
                .handler
                .is_none_or(|handler| handler((*virqfd).opaque, (*virqfd).data) != 0);
            if run && (*virqfd).thread.is_some() {
                vb::vfio_helper_schedule_work(&raw mut (*virqfd).inject);
            }
        }
    }

    /// The eventfd was signalled, or is going.
    ///
    /// Called by: `__wake_up_common()`, as `wait_queue_entry.func`.
    ///
    /// Context: whoever signals or closes the eventfd: the lock of its queue held, interrupts off.
    ///
    /// # Safety
    ///
    /// `wait` must be in a [`State`] and in the queue of its eventfd.
    unsafe extern "C" fn wake_up(
        wait: *mut bindings::wait_queue_entry,
        _mode: ffi::c_uint,
        _sync: ffi::c_int,
        key: *mut c_void,
    ) -> ffi::c_int {
        // SAFETY: `wait` is in a handler, which is there while `wait` is in a queue.
        let virqfd = unsafe { container_of!(wait, vb::virqfd, wait) };
        let events = key.addr() as u32;

        if events & bindings::POLLIN != 0 {
            let mut count = 0;
            // SAFETY: The queue's lock is held, as this needs.
            unsafe {
                bindings::eventfd_ctx_do_read((*virqfd).eventfd, &mut count);
                Self::signal(virqfd);
            }
        }
        if events & bindings::POLLHUP != 0 {
            // SAFETY: Handlers are in a `State`.
            let all = unsafe { (*virqfd.cast::<Self>()).all };
            let guard = all.lock.lock();
            // The eventfd is closed. If the slot is not ours any more, `shutdown` is on its way, but
            // has to wait for the queue's lock; else it starts now.
            // SAFETY: The slot is protected by the lock.
            unsafe {
                let slot = (*virqfd).pvirqfd;
                if *slot == virqfd {
                    Self::deactivate(&guard, slot);
                }
            }
        }
        0
    }

    /// Puts the entry into the queue of the eventfd.
    ///
    /// Called by: `poll_wait()`, as `poll_table.qproc`.
    ///
    /// Context: `vfs_poll()`, here; may sleep.
    ///
    /// # Safety
    ///
    /// `pt` must be in a [`State`].
    unsafe extern "C" fn queue_proc(
        _file: *mut bindings::file,
        queue: *mut bindings::wait_queue_head,
        pt: *mut bindings::poll_table_struct,
    ) {
        // SAFETY: `pt` is in a handler; the entry stays in the queue until `shutdown`.
        unsafe {
            let virqfd = container_of!(pt, vb::virqfd, pt);
            bindings::add_wait_queue(queue, &raw mut (*virqfd).wait);
        }
    }

    /// Takes a handler out of service that is in no slot any more.
    ///
    /// Called by: `process_one_work()`, as `work_struct.func`.
    ///
    /// Context: the cleanup workqueue; may sleep.
    ///
    /// # Safety
    ///
    /// `work` must be in a [`State`] that is in no slot.
    unsafe extern "C" fn shutdown(work: *mut bindings::work_struct) {
        // SAFETY: `work` is in a handler that is in no slot, so this is the only use of it once the
        // entry is out of the queue and `inject` ran.
        unsafe {
            let virqfd = container_of!(work, vb::virqfd, shutdown);
            let mut count = 0;
            bindings::eventfd_ctx_remove_wait_queue(
                (*virqfd).eventfd,
                &raw mut (*virqfd).wait,
                &mut count,
            );
            bindings::flush_work(&raw mut (*virqfd).inject);
            bindings::eventfd_ctx_put((*virqfd).eventfd);
            drop(KBox::from_raw(virqfd.cast::<Self>()));
        }
    }

    /// Runs what the handler left for a context that may sleep.
    ///
    /// Called by: `process_one_work()`, as `work_struct.func`.
    ///
    /// Context: a workqueue; may sleep.
    ///
    /// # Safety
    ///
    /// `work` must be in a [`State`].
    unsafe extern "C" fn inject(work: *mut bindings::work_struct) {
        // SAFETY: `work` is in a handler, which waits for this before it goes.
        unsafe {
            let virqfd = container_of!(work, vb::virqfd, inject);
            if let Some(thread) = (*virqfd).thread {
                thread((*virqfd).opaque, (*virqfd).data);
            }
        }
    }

    /// Runs it once more, and waits until it ran.
    ///
    /// Called by: `process_one_work()`, as `work_struct.func`.
    ///
    /// Context: a workqueue; may sleep.
    ///
    /// # Safety
    ///
    /// `work` must be in a [`State`].
    unsafe extern "C" fn flush_inject(work: *mut bindings::work_struct) {
        // SAFETY: As in `inject`.
        unsafe {
            let virqfd = container_of!(work, vb::virqfd, flush_inject);
            bindings::flush_work(&raw mut (*virqfd).inject);
        }
    }
}
