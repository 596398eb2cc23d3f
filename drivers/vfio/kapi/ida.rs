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
