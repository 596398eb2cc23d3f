// SPDX-License-Identifier: GPL-2.0

//! A file system inside the kernel, for inodes that are not in any folder.
//!
//! C headers: [`include/linux/pseudo_fs.h`](srctree/include/linux/pseudo_fs.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi,
    prelude::*,
    str::CStr, //
};
use vfio_bindings as vb;

/// A file system that is mounted while it has inodes. To be put into a `static`.
///
/// `MAGIC` is its number in `statfs`.
#[repr(C)]
pub struct PseudoFs<const MAGIC: usize> {
    // First, so that a pointer to it is one to the whole.
    fs_type: UnsafeCell<bindings::file_system_type>,
    mount: UnsafeCell<*mut bindings::vfsmount>,
    users: UnsafeCell<ffi::c_int>,
}

// SAFETY: The fields are only touched by the kernel, under its lock.
unsafe impl<const MAGIC: usize> Sync for PseudoFs<MAGIC> {}

impl<const MAGIC: usize> PseudoFs<MAGIC> {
    /// A file system called `name`.
    // `as_char_ptr` cannot be called in a `const fn`.
    #[allow(clippy::disallowed_methods)]
    pub const fn new(name: &'static CStr, owner: &'static ThisModule) -> Self {
        Self {
            fs_type: UnsafeCell::new(bindings::file_system_type {
                name: name.as_ptr().cast(),
                owner: owner.as_ptr(),
                init_fs_context: Some(Self::init_fs_context),
                kill_sb: Some(bindings::kill_anon_super),
                ..pin_init::zeroed()
            }),
            mount: UnsafeCell::new(core::ptr::null_mut()),
            users: UnsafeCell::new(0),
        }
    }

    /// Sets up a mount of the file system that only the kernel sees.
    ///
    /// Called by: `alloc_fs_context()`, as `file_system_type.init_fs_context`.
    ///
    /// Context: the mount of the pseudo file system; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, with a valid context.
    unsafe extern "C" fn init_fs_context(fc: *mut bindings::fs_context) -> ffi::c_int {
        // SAFETY: Called with a valid context.
        match unsafe { vb::init_pseudo(fc, MAGIC as ffi::c_ulong) }.is_null() {
            true => ENOMEM.to_errno(),
            false => 0,
        }
    }

    /// Makes an inode. It keeps the file system mounted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or those of mounting.
    pub fn new_inode(&'static self) -> Result<PseudoInode> {
        let (mount, users) = (self.mount.get(), self.users.get());
        // SAFETY: All three are static and used by `simple_pin_fs` and `simple_release_fs` only,
        // which lock them.
        to_result(unsafe { bindings::simple_pin_fs(self.fs_type.get(), mount, users) })?;
        // SAFETY: The mount is there while it is pinned.
        let inode = from_err_ptr(unsafe { bindings::alloc_anon_inode((**mount).mnt_sb) });
        match inode.map(NonNull::new) {
            // INVARIANT: A new inode, and the file system is pinned.
            Ok(Some(inode)) => Ok(PseudoInode(inode)),
            other => {
                // SAFETY: Undoes the `simple_pin_fs` above.
                unsafe { bindings::simple_release_fs(mount, users) };
                Err(other.err().unwrap_or(ENOMEM))
            }
        }
    }
}

/// An inode of a [`PseudoFs`].
///
/// # Invariants
///
/// Owns a reference to an inode of a `PseudoFs`, and a pin of that.
pub struct PseudoInode(NonNull<bindings::inode>);

impl PseudoInode {
    /// The C inode, for calls into the kernel.
    pub fn as_raw(&self) -> *mut bindings::inode {
        self.0.as_ptr()
    }

    /// Hands the inode over to C.
    pub(crate) fn into_raw(self) -> *mut bindings::inode {
        let inode = self.as_raw();
        core::mem::forget(self);
        inode
    }

    /// Takes an inode back from C.
    ///
    /// # Safety
    ///
    /// `inode` must come from [`Self::into_raw`], and passes to the new object.
    pub(crate) unsafe fn from_raw(inode: NonNull<bindings::inode>) -> Self {
        // INVARIANT: By the contract of this function.
        Self(inode)
    }
}

impl Drop for PseudoInode {
    fn drop(&mut self) {
        let inode = self.as_raw();
        // SAFETY: The inode is of a `PseudoFs` by the type invariant, in which the type comes first.
        // The layout does not depend on the number.
        let fs = unsafe { &*(*(*inode).i_sb).s_type.cast::<PseudoFs<0>>() };
        // SAFETY: The reference and the pin are ours by the type invariant; the reference goes first.
        unsafe {
            bindings::iput(inode);
            bindings::simple_release_fs(fs.mount.get(), fs.users.get());
        }
    }
}

// SAFETY: Inodes are reference-counted and have their own locks.
unsafe impl Send for PseudoInode {}
// SAFETY: As above.
unsafe impl Sync for PseudoInode {}
