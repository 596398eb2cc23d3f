// SPDX-License-Identifier: GPL-2.0

//! The argument of a VFIO ioctl.
//!
//! Nearly every VFIO ioctl takes a pointer to a structure that starts with `argsz`, the size that
//! user space gave it. The kernel reads the part that has always been there (*minsz*), and answers
//! into no more than `argsz` bytes.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::{
    refuse,
    uapi::Uapi, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::{
        c_char,
        c_long, //
    },
    prelude::*,
    str::CStr,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
};
use vfio_bindings as vb;
use vfio_logic::io::Width;

/// The address that an ioctl got as its argument.
///
/// Each read fetches from user memory anew, and another thread may have written to it since: read
/// a field once and decide on the copy.
#[derive(Clone, Copy)]
pub struct UserArg(UserPtr);

impl UserArg {
    /// The argument of an ioctl, or any other address in user space.
    #[inline]
    pub fn new(addr: usize) -> Self {
        Self(UserPtr::from_addr(addr))
    }

    /// The address itself, as a number.
    #[inline]
    pub fn addr(self) -> usize {
        self.0.as_const_ptr() as usize
    }

    /// The address `offset` bytes on. Wraps; an address outside user space then faults.
    #[inline]
    pub fn offset(self, offset: usize) -> Self {
        Self(self.0.wrapping_byte_add(offset))
    }

    /// Reads from here on, at most `len` bytes.
    #[inline]
    pub fn reader(self, len: usize) -> UserSliceReader {
        UserSlice::new(self.0, len).reader()
    }

    /// Writes from here on, at most `len` bytes.
    #[inline]
    pub fn writer(self, len: usize) -> UserSliceWriter {
        UserSlice::new(self.0, len).writer()
    }

    /// Reads a whole `T`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read.
    #[inline]
    pub fn read<T: Uapi>(self) -> Result<T> {
        self.read_prefix(size_of::<T>())
    }

    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read; there may be anything in `bytes` then.
    #[inline]
    pub fn read_bytes(self, bytes: &mut [u8]) -> Result {
        let (to, from) = (bytes.as_mut_ptr().cast(), self.0.as_const_ptr());
        // SAFETY: `bytes` is valid for writes of its length. As that is known to be in one object, there
        // is nothing to check at runtime, as `copy_from_user` does.
        let failed = unsafe {
            match bytes.len() {
                16 => vb::vfio_helper_copy16_from_user(to, from) != 0,
                20 => vb::vfio_helper_copy20_from_user(to, from) != 0,
                32 => vb::vfio_helper_copy32_from_user(to, from) != 0,
                len => bindings::_copy_from_user(to, from, len) != 0,
            }
        };
        if failed {
            return Err(EFAULT);
        }
        Ok(())
    }

    /// Fills the start of `bytes`, as far as the memory can be read. Returns how many bytes that are; behind them
    /// there may be anything.
    pub fn read_available(self, bytes: &mut [u8]) -> usize {
        let (to, from) = (bytes.as_mut_ptr().cast(), self.0.as_const_ptr());
        // SAFETY: As in `read_bytes`.
        let left = unsafe { bindings::_copy_from_user(to, from, bytes.len()) };
        bytes.len().saturating_sub(left)
    }

    /// Whether `len` bytes can be written: all page faults are taken now, and they nearly always still can be when
    /// that is done. Takes `mmap_lock`, so no lock may be held that is taken in a page fault. Does not let a stack grow.
    pub fn is_writable(self, len: usize) -> bool {
        // SAFETY: May be called with any address; it does not change the memory.
        unsafe { vb::fault_in_safe_writeable(self.0.as_mut_ptr().cast(), len) == 0 }
    }

    /// Reads a little-endian number of `width` bytes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read.
    #[inline]
    pub fn read_le(self, width: Width) -> Result<u64> {
        macro_rules! get {
            ($type:ty, $get_user:ident) => {{
                let mut value: $type = 0;
                // SAFETY: May be called with any address; `value` is for the function to write to.
                let ret = unsafe { vb::$get_user(&mut value, self.0.as_const_ptr().cast()) };
                (ret, u64::from(<$type>::from_le(value)))
            }};
        }
        let (ret, value) = match width {
            Width::One => get!(u8, vfio_helper_get_user8),
            Width::Two => get!(u16, vfio_helper_get_user16),
            Width::Four => get!(u32, vfio_helper_get_user32),
            Width::Eight => get!(u64, vfio_helper_get_user64),
        };
        if ret != 0 {
            return Err(EFAULT);
        }
        Ok(value)
    }

    /// Reads the first `len` bytes of a `T`; the rest is zero.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read.
    #[inline]
    pub fn read_prefix<T: Uapi>(self, len: usize) -> Result<T> {
        let mut value = T::zeroed();
        self.read_bytes(value.as_bytes_mut().get_mut(..len).ok_or(EINVAL)?)?;
        Ok(value)
    }

    /// Reads the first `minsz` bytes of a `T` that starts with `argsz`; the rest is zero.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read, `EINVAL` if user space says it gave fewer bytes than
    /// `minsz`.
    #[inline]
    pub fn read_argsz<T: UapiArgsz>(self, minsz: usize) -> Result<T> {
        let mut value = T::zeroed();
        self.fill_argsz(&mut value, minsz)?;
        Ok(value)
    }

    /// As [`Self::read_argsz`], into a `T` that is where it is to be.
    ///
    /// # Errors
    ///
    /// As for [`Self::read_argsz`].
    #[inline]
    pub fn fill_argsz<T: UapiArgsz>(self, value: &mut T, minsz: usize) -> Result {
        self.read_bytes(value.as_bytes_mut().get_mut(..minsz).ok_or(EINVAL)?)?;
        if (value.argsz() as usize) < minsz {
            return Err(refuse!(
                EINVAL,
                "argsz is {}, less than {minsz}",
                value.argsz()
            ));
        }
        Ok(())
    }

    /// Reads a `T` that starts with `argsz` and may become longer: user space gives at least `min` bytes,
    /// and what it does not give is zero. What it gives beyond `T` has to be zero.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read, `EINVAL` if there are fewer bytes than `min`, `E2BIG` if
    /// there is something that this kernel does not know of.
    pub fn read_extensible<T: UapiArgsz>(self, min: usize) -> Result<T> {
        let known = size_of::<T>();
        let argsz: u32 = self.reader(size_of::<u32>()).read()?;
        let argsz = argsz as usize;
        if argsz < min {
            return Err(EINVAL);
        }
        if argsz > known {
            let rest = self.offset(known).addr();
            // SAFETY: May be called with any address.
            let zero = unsafe {
                bindings::check_zeroed_user(
                    core::ptr::without_provenance(rest),
                    argsz.wrapping_sub(known),
                )
            };
            to_result(zero)?;
            if zero == 0 {
                return Err(E2BIG);
            }
        }
        self.read_prefix(argsz.min(known))
    }

    /// Writes a whole `T`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be written.
    #[inline]
    pub fn write<T: Uapi>(self, value: &T) -> Result {
        self.write_prefix(value, size_of::<T>())
    }

    /// Writes the first `len` bytes of `value`, or all of it if `len` is larger.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be written.
    #[inline]
    pub fn write_prefix<T: Uapi>(self, value: &T, len: usize) -> Result {
        let bytes = value.as_bytes();
        self.write_bytes(bytes.get(..len).unwrap_or(bytes))
    }

    /// Writes the low `width` bytes of `value`, little-endian.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be written.
    #[inline]
    pub fn write_le(self, width: Width, value: u64) -> Result {
        let to = self.0.as_mut_ptr();
        // SAFETY: May be called with any address.
        // CAST: The low bytes are meant.
        let ret = unsafe {
            match width {
                Width::One => vb::vfio_helper_put_user8(value as u8, to.cast()),
                Width::Two => vb::vfio_helper_put_user16((value as u16).to_le(), to.cast()),
                Width::Four => vb::vfio_helper_put_user32((value as u32).to_le(), to.cast()),
                Width::Eight => vb::vfio_helper_put_user64(value.to_le(), to.cast()),
            }
        };
        if ret != 0 {
            return Err(EFAULT);
        }
        Ok(())
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be written.
    #[inline]
    pub fn write_bytes(self, bytes: &[u8]) -> Result {
        let (to, from) = (self.0.as_mut_ptr(), bytes.as_ptr().cast());
        // SAFETY: `bytes` is valid for reads of its length; for the rest as in `read_bytes`.
        let failed = unsafe {
            match bytes.len() {
                16 => vb::vfio_helper_copy16_to_user(to, from) != 0,
                24 => vb::vfio_helper_copy24_to_user(to, from) != 0,
                32 => vb::vfio_helper_copy32_to_user(to, from) != 0,
                len => bindings::_copy_to_user(to, from, len) != 0,
            }
        };
        if failed {
            return Err(EFAULT);
        }
        Ok(())
    }
}

/// A string copied from user space.
///
/// # Invariants
///
/// Owns a `kmalloc`ed string that ends with a NUL.
pub struct UserString(NonNull<c_char>);

impl UserString {
    /// Copies the string at `from`, of at most `max` bytes with its NUL.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the memory cannot be read, `EINVAL` if the string is longer, `ENOMEM`.
    pub fn read(from: UserArg, max: usize) -> Result<Self> {
        let max = c_long::try_from(max)?;
        // SAFETY: May be called with any address.
        let string = from_err_ptr(unsafe {
            bindings::strndup_user(core::ptr::without_provenance(from.addr()), max)
        })?;
        // INVARIANT: A new string.
        NonNull::new(string).map(Self).ok_or(ENOMEM)
    }

    /// The string for C, which may write to what is before the NUL.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_ptr()
    }

    /// The string.
    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: By the type invariant.
        unsafe { CStr::from_char_ptr(self.0.as_ptr()) }
    }
}

impl Drop for UserString {
    fn drop(&mut self) {
        // SAFETY: The memory is ours by the type invariant.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// A structure of the VFIO uAPI that starts with the size user space gave it.
pub trait UapiArgsz: Uapi {
    /// The size of the structure, in bytes, as user space knows it.
    fn argsz(&self) -> u32;
}

/// Whether the addresses can be those of user memory. Says nothing about what is there.
pub fn is_user_range(addr: usize, size: usize) -> bool {
    // SAFETY: Any numbers may be asked for.
    unsafe { vb::vfio_helper_access_ok(addr, size) }
}
