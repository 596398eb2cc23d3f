// SPDX-License-Identifier: GPL-2.0

//! Memory that is none of the kernel's own, such as what the firmware put aside.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*, //
};

/// A cached mapping of physical memory, to be read.
///
/// Nothing but copies of single bytes comes out of it: there may be anything, and it may change at
/// any time.
///
/// # Invariants
///
/// `start` is what `memremap()` returned for `len` bytes.
pub struct Memremap {
    start: NonNull<u8>,
    len: usize,
}

impl Memremap {
    /// Maps `len` bytes from the physical address `address` on.
    ///
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if they cannot be mapped.
    pub fn new(address: u64, len: usize) -> Result<Self> {
        // SAFETY: May be called with any address; the kernel refuses what cannot be mapped.
        let start = unsafe { bindings::memremap(address, len, bindings::MEMREMAP_WB as usize) };
        // INVARIANT: A new mapping of that length.
        let start = NonNull::new(start.cast()).ok_or(ENOMEM)?;
        Ok(Self { start, len })
    }

    /// Copies what is at `offset`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if not all of that is mapped.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result {
        if offset
            .checked_add(to.len())
            .is_none_or(|end| end > self.len)
        {
            return Err(EINVAL);
        }
        for (at, byte) in (offset..).zip(to) {
            // SAFETY: The position is in the mapping. The access is volatile, as others may write to
            // the memory meanwhile.
            *byte = unsafe { self.start.add(at).read_volatile() };
        }
        Ok(())
    }

    /// The bytes at `offset`.
    ///
    /// # Errors
    ///
    /// As for [`Self::read`].
    pub fn bytes<const N: usize>(&self, offset: usize) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }
}

impl Drop for Memremap {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours by the type invariant.
        unsafe { bindings::memunmap(self.start.as_ptr().cast()) };
    }
}

// SAFETY: The mapping belongs to no thread.
unsafe impl Send for Memremap {}

// SAFETY: It is only read, byte by byte.
unsafe impl Sync for Memremap {}
