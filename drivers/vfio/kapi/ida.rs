// SPDX-License-Identifier: GPL-2.0

//! Small numbers that are not in use.
//!
//! C header: [`include/linux/idr.h`](srctree/include/linux/idr.h)

use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    types::Opaque, //
};
use vfio_bindings as vb;

/// A set of numbers in use.
#[pin_data(PinnedDrop)]
#[repr(transparent)]
pub struct Ida {
    #[pin]
    inner: Opaque<bindings::ida>,
}

// SAFETY: An IDA has its own lock.
unsafe impl Send for Ida {}
// SAFETY: As above.
unsafe impl Sync for Ida {}

impl Ida {
    /// An empty set.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid for writes and pinned.
            inner <- Opaque::ffi_init(|slot| unsafe { vb::vfio_helper_ida_init(slot) }),
        })
    }

    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ida` must point to an initialized IDA that stays so for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ida: *mut bindings::ida) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*ida.cast() }
    }

    /// Takes a number. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if it is in use or larger than `i32::MAX`, `ENOMEM`.
    pub fn alloc(&self, id: u32) -> Result {
        // SAFETY: The IDA is initialized.
        to_result(unsafe {
            bindings::ida_alloc_range(self.inner.get(), id, id, bindings::GFP_KERNEL)
        })
    }

    /// Whether a number is in use.
    pub fn contains(&self, id: u32) -> bool {
        // Errors are negative numbers.
        i32::try_from(id).is_ok_and(|wanted| self.first_in(id, id) == wanted)
    }

    /// The smallest number in use, if there is one.
    pub fn first(&self) -> Option<u32> {
        u32::try_from(self.first_in(0, u32::MAX)).ok()
    }

    fn first_in(&self, min: u32, max: u32) -> i32 {
        // SAFETY: The IDA is initialized.
        unsafe { bindings::ida_find_first_range(self.inner.get(), min, max) }
    }

    /// Takes the smallest number that is free, at most `max`. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is none, `ENOMEM`.
    pub fn alloc_max(&self, max: u32) -> Result<u32> {
        // SAFETY: The IDA is initialized.
        let id =
            unsafe { bindings::ida_alloc_range(self.inner.get(), 0, max, bindings::GFP_KERNEL) };
        to_result(id)?;
        Ok(id.unsigned_abs())
    }

    /// Gives a number back. Warns if it was not in use.
    pub fn free(&self, id: u32) {
        // SAFETY: The IDA is initialized; it checks the number.
        unsafe { bindings::ida_free(self.inner.get(), id) };
    }
}

#[pinned_drop]
impl PinnedDrop for Ida {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The IDA is initialized, and not used any more.
        unsafe { bindings::ida_destroy(self.inner.get()) };
    }
}
