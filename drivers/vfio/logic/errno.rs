// SPDX-License-Identifier: GPL-2.0

//! Why a rule refuses: the errno that user space sees.
//!
//! C header: [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)

/// An errno, as a positive number, and which rule it stands for if that says more.
///
/// Two are equal if user space cannot tell them apart. The rules name it themselves because they are
/// compiled without the kernel; in the modules it turns into a [`kernel::error::Error`] by `?`.
#[derive(Clone, Copy, Debug)]
pub struct Errno(i32, Option<&'static str>);

impl PartialEq for Errno {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Errno {}

/// What a rule answers.
pub type Result<T = ()> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        $($(#[$doc])* pub const $name: Errno = Errno($value, None);)*
    };
}

errnos! {
    /// Operation not permitted.
    EPERM = 1,
    /// No such file or directory.
    ENOENT = 2,
    /// I/O error.
    EIO = 5,
    /// No such device or address.
    ENXIO = 6,
    /// Argument list too long.
    E2BIG = 7,
    /// Try again.
    EAGAIN = 11,
    /// Out of memory.
    ENOMEM = 12,
    /// Permission denied.
    EACCES = 13,
    /// Bad address.
    EFAULT = 14,
    /// Device or resource busy.
    EBUSY = 16,
    /// File exists.
    EEXIST = 17,
    /// No such device.
    ENODEV = 19,
    /// Invalid argument.
    EINVAL = 22,
    /// Not a typewriter: no such ioctl here.
    ENOTTY = 25,
    /// No space left on device.
    ENOSPC = 28,
    /// Result out of range.
    ERANGE = 34,
    /// No data available.
    ENODATA = 61,
    /// Value too large for defined data type.
    EOVERFLOW = 75,
    /// File descriptor in bad state.
    EBADFD = 77,
    /// Operation not supported.
    EOPNOTSUPP = 95,
    /// State not recoverable.
    ENOTRECOVERABLE = 131,
}

impl Errno {
    /// The positive errno number.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The same for a reason, a part of a sentence: what is wrong with what was asked for.
    pub const fn because(self, why: &'static str) -> Self {
        Self(self.0, Some(why))
    }

    /// The reason, if there is one.
    pub const fn why(self) -> Option<&'static str> {
        self.1
    }
}

// The one place where this crate knows of the kernel: neither type is `vfio_kapi`'s, so the
// orphan rule wants the conversion here.
#[cfg(CONFIG_RUST)]
impl From<Errno> for kernel::error::Error {
    fn from(errno: Errno) -> Self {
        kernel::error::Error::from_errno(-errno.0)
    }
}
