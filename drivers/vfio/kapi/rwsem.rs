// SPDX-License-Identifier: GPL-2.0

//! Sleeping locks with many readers or one writer.
//!
//! C header: [`include/linux/rwsem.h`](srctree/include/linux/rwsem.h)

use core::{
    cell::UnsafeCell,
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// A reader-writer semaphore that protects a `T`.
///
/// Taking it may sleep. `RwSem<()>` is transparent over `struct rw_semaphore`, for one that lives in
/// a structure of C and protects what is in there.
#[pin_data]
#[repr(C)]
pub struct RwSem<T> {
    #[pin]
    sem: Opaque<bindings::rw_semaphore>,
    data: UnsafeCell<T>,
}

// SAFETY: Sending the semaphore sends the data.
unsafe impl<T: Send> Send for RwSem<T> {}
// SAFETY: Readers on several threads share the data, and a writer on any thread may take it.
unsafe impl<T: Send + Sync> Sync for RwSem<T> {}

impl<T> RwSem<T> {
    /// A new semaphore; `name` and `key` are its lockdep class.
    pub fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid for writes and pinned; name and key are static.
            sem <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_rwsem(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Waits until there is no writer.
    #[inline]
    pub fn read(&self) -> RwSemReadGuard<'_, T> {
        // SAFETY: The semaphore is initialized, by `new` or by the contract of `from_raw`.
        unsafe { bindings::down_read(self.sem.get()) };
        RwSemReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }

    /// Waits until there is no writer.
    ///
    /// # Errors
    ///
    /// `EINTR` if the current task is being killed.
    #[inline]
    pub fn read_killable(&self) -> Result<RwSemReadGuard<'_, T>> {
        // SAFETY: As in `read`.
        if unsafe { bindings::down_read_killable(self.sem.get()) } != 0 {
            return Err(EINTR);
        }
        Ok(RwSemReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Takes the semaphore for reading if there is no writer right now.
    #[inline]
    pub fn try_read(&self) -> Option<RwSemReadGuard<'_, T>> {
        // SAFETY: As in `read`.
        let taken = unsafe { bindings::down_read_trylock(self.sem.get()) } != 0;
        // Not `then_some`, which would make and drop a guard of what was not taken.
        taken.then(|| RwSemReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        })
    }

    /// Waits until nobody else holds the semaphore.
    #[inline]
    pub fn write(&self) -> RwSemWriteGuard<'_, T> {
        // SAFETY: As in `read`.
        unsafe { bindings::down_write(self.sem.get()) };
        RwSemWriteGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }

    /// Takes the semaphore for writing if nobody holds it right now.
    #[inline]
    pub fn try_write(&self) -> Option<RwSemWriteGuard<'_, T>> {
        // SAFETY: As in `read`.
        let taken = unsafe { bindings::down_write_trylock(self.sem.get()) } != 0;
        // As in `try_read`.
        taken.then(|| RwSemWriteGuard {
            lock: self,
            _not_send: NotThreadSafe,
        })
    }
}

impl RwSem<()> {
    /// Borrows a semaphore of a C structure.
    ///
    /// # Safety
    ///
    /// `sem` must point to an initialized semaphore that stays valid for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(sem: *mut bindings::rw_semaphore) -> &'a Self {
        // SAFETY: By the contract of this function; with `T = ()` the layout is that of the C type.
        unsafe { &*sem.cast() }
    }
}

const _: () = assert!(size_of::<RwSem<()>>() == size_of::<bindings::rw_semaphore>());

/// Shows that a [`RwSem`] is held for reading; releases it when dropped.
#[must_use = "the semaphore is released at once when the guard is unused"]
pub struct RwSemReadGuard<'a, T> {
    lock: &'a RwSem<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for RwSemReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: While the semaphore is held for reading nobody writes.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> Drop for RwSemReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The guard shows that this thread holds the semaphore for reading.
        unsafe { bindings::up_read(self.lock.sem.get()) };
    }
}

/// Shows that a [`RwSem`] is held for writing; releases it when dropped.
#[must_use = "the semaphore is released at once when the guard is unused"]
pub struct RwSemWriteGuard<'a, T> {
    lock: &'a RwSem<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for RwSemWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: While the semaphore is held for writing nobody else accesses the data.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for RwSemWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: As in `deref`.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for RwSemWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The guard shows that this thread holds the semaphore for writing.
        unsafe { bindings::up_write(self.lock.sem.get()) };
    }
}

/// Makes a [`RwSem`] with a lockdep class of its own.
#[macro_export]
macro_rules! new_rwsem {
    ($data:expr, $name:literal) => {
        $crate::rwsem::RwSem::new(
            $data,
            ::kernel::optional_name!($name),
            ::kernel::static_lock_class!(),
        )
    };
}
