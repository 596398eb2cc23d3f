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
use vfio_logic::io::Width;

/// A mapping of `len` bytes of device memory or ports, borrowed for `'a`.
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

/// Whether an access may be at any address. Elsewhere one to device memory has to be at a multiple of its size:
/// any other is a fault, which stops the kernel (arm64: alignment fault on Device memory).
pub const ANY_ALIGNMENT: bool = cfg!(CONFIG_X86);

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

    /// The address of an access at `offset`.
    #[inline]
    fn at(&self, offset: u64, width: Width) -> Result<*mut c_void> {
        let n = width.bytes() as u64;
        if offset.checked_add(n).is_none_or(|end| end > self.len) {
            return Err(EINVAL);
        }
        let at = self.io.wrapping_byte_add(usize::try_from(offset)?);
        if !ANY_ALIGNMENT && at.addr() % width.bytes() != 0 {
            return Err(EINVAL);
        }
        Ok(at)
    }

    /// Reads at `offset`, in one access.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not all in the mapping, or not aligned where that has to be ([`ANY_ALIGNMENT`]).
    #[inline]
    pub fn read(self, offset: u64, width: Width) -> Result<u64> {
        let io = self.at(offset, width)?;
        // SAFETY: `at` made sure that the access is in the mapping, which is valid by the type invariant, and
        // where the CPU can make it.
        Ok(unsafe {
            match width {
                Width::One => vb::vfio_helper_ioread8(io).into(),
                Width::Two => vb::vfio_helper_ioread16(io).into(),
                Width::Four => vb::vfio_helper_ioread32(io).into(),
                Width::Eight => vb::vfio_helper_ioread64(io),
            }
        })
    }

    /// Writes the low bytes of `value` at `offset`, in one access.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not all in the mapping, or not aligned where that has to be ([`ANY_ALIGNMENT`]).
    #[inline]
    pub fn write(self, offset: u64, width: Width, value: u64) -> Result {
        let io = self.at(offset, width)?;
        // SAFETY: As above.
        // CAST: The low bytes are meant.
        unsafe {
            match width {
                Width::One => vb::vfio_helper_iowrite8(value as u8, io),
                Width::Two => vb::vfio_helper_iowrite16(value as u16, io),
                Width::Four => vb::vfio_helper_iowrite32(value as u32, io),
                Width::Eight => vb::vfio_helper_iowrite64(value, io),
            }
        }
        Ok(())
    }

    /// Fills `bytes` from `offset` on, in accesses of `width`; a rest that is shorter is left alone.
    ///
    /// # Errors
    ///
    /// As for [`Self::read`]; what comes before has been read.
    pub fn read_all(self, offset: u64, width: Width, bytes: &mut [u8]) -> Result {
        let mut at = offset;
        for to in bytes.chunks_exact_mut(width.bytes()) {
            let value = self.read(at, width)?.to_le_bytes();
            to.copy_from_slice(value.get(..to.len()).ok_or(EINVAL)?);
            at = at.checked_add(width.bytes() as u64).ok_or(EINVAL)?;
        }
        Ok(())
    }

    /// Writes `bytes` from `offset` on, in accesses of `width`; a rest that is shorter is left alone.
    ///
    /// # Errors
    ///
    /// As for [`Self::write`]; what comes before has been written.
    pub fn write_all(self, offset: u64, width: Width, bytes: &[u8]) -> Result {
        let mut at = offset;
        for from in bytes.chunks_exact(width.bytes()) {
            let mut value = [0; 8];
            value
                .get_mut(..from.len())
                .ok_or(EINVAL)?
                .copy_from_slice(from);
            self.write(at, width, u64::from_le_bytes(value))?;
            at = at.checked_add(width.bytes() as u64).ok_or(EINVAL)?;
        }
        Ok(())
    }
}

// SAFETY: A cookie is good on every CPU; the hardware orders accesses.
unsafe impl Send for Mmio<'_> {}
// SAFETY: As above.
unsafe impl Sync for Mmio<'_> {}
