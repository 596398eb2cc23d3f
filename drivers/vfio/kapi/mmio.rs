// SPDX-License-Identifier: GPL-2.0

//! Device memory and I/O ports, mapped for the CPU.
//!
//! C header: [`include/linux/io.h`](srctree/include/linux/io.h)

use core::marker::PhantomData;
use kernel::{
    ffi::c_void,
    prelude::*, //
};
use vfio_bindings as vb;

/// A mapping of `len` bytes of device memory or ports, borrowed for `'a`.
///
/// Values go through as the bytes that are on the bus, lowest address first.
///
/// # Invariants
///
/// The cookie is valid for `ioread*()` and `iowrite*()` for `len` bytes during `'a`.
#[derive(Clone, Copy)]
pub struct Mmio<'a> {
    io: *mut c_void,
    len: u64,
    _borrow: PhantomData<&'a ()>,
}

macro_rules! accessors {
    ($($read:ident, $write:ident: $ty:ty, $n:literal, $ioread:ident, $iowrite:ident;)*) => {$(
        #[doc = concat!("Reads ", $n, " bytes at `offset`, in one access.")]
        ///
        /// # Errors
        ///
        /// `EINVAL` if they are not all in the mapping.
        #[inline]
        pub fn $read(self, offset: u64) -> Result<[u8; $n]> {
            let io = self.at(offset, $n)?;
            // SAFETY: `at` made sure that the access is in the mapping, which is valid by the type
            // invariant.
            Ok(unsafe { vb::$ioread(io) }.to_le_bytes())
        }

        #[doc = concat!("Writes ", $n, " bytes at `offset`, in one access.")]
        ///
        /// # Errors
        ///
        /// `EINVAL` if they are not all in the mapping.
        #[inline]
        pub fn $write(self, offset: u64, bytes: [u8; $n]) -> Result {
            let io = self.at(offset, $n)?;
            // SAFETY: As above.
            unsafe { vb::$iowrite(<$ty>::from_le_bytes(bytes), io) };
            Ok(())
        }
    )*};
}

impl Mmio<'_> {
    /// Makes a mapping from what C mapped.
    ///
    /// # Safety
    ///
    /// `io` must be a cookie as from `ioremap()` or `pci_iomap()`, valid for `len` bytes for the
    /// lifetime of the result.
    #[inline]
    pub unsafe fn from_raw(io: *mut c_void, len: u64) -> Self {
        // INVARIANT: By the contract of this function.
        Self {
            io,
            len,
            _borrow: PhantomData,
        }
    }

    /// The length of the mapping in bytes.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in the mapping.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of `n` bytes at `offset`.
    #[inline]
    fn at(&self, offset: u64, n: u64) -> Result<*mut c_void> {
        if offset.checked_add(n).is_none_or(|end| end > self.len) {
            return Err(EINVAL);
        }
        Ok(self.io.wrapping_byte_add(usize::try_from(offset)?))
    }

    accessors! {
        read8, write8: u8, 1, vfio_helper_ioread8, vfio_helper_iowrite8;
        read16, write16: u16, 2, vfio_helper_ioread16, vfio_helper_iowrite16;
        read32, write32: u32, 4, vfio_helper_ioread32, vfio_helper_iowrite32;
        read64, write64: u64, 8, vfio_helper_ioread64, vfio_helper_iowrite64;
    }
}

// SAFETY: A cookie is good on every CPU; the hardware orders accesses.
unsafe impl Send for Mmio<'_> {}
// SAFETY: As above.
unsafe impl Sync for Mmio<'_> {}
