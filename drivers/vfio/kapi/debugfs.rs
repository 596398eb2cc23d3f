// SPDX-License-Identifier: GPL-2.0

//! Files of debugfs that show something to the administrator.
//!
//! The kernel crate has such files too, but theirs do not hold the module that they belong to: one
//! that is open while its module goes has its operations freed. These do.
//!
//! Removing a file waits for those who read it, so nobody may hold a lock while dropping a
//! [`Folder`] that a [`DebugFile::show`] of it waits for. Failing to make a file is no error, as
//! everywhere with debugfs: it is just not there.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)

use crate::versions::{
    this_module,
    ModuleMetadata, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi,
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    sync::Arc, //
};
use vfio_bindings as vb;

/// What one file shows.
pub trait DebugFile {
    /// What it is about.
    type Data: Send + Sync + 'static;

    /// The module that the code is in.
    type OwnerModule: ModuleMetadata;

    /// Who may read it. Not for everybody if it names processes.
    const MODE: u16 = 0o400;

    /// Writes it. May sleep, and may be called again if there was not enough room.
    ///
    /// # Errors
    ///
    /// What the reader gets then instead.
    fn show(data: &Self::Data, out: &SeqFile) -> Result;
}

/// A folder whose files are about a `T`; it goes with all that is in it when dropped.
///
/// # Invariants
///
/// `dentry` is null, an error, or a folder of debugfs that exists until this is dropped. What the
/// files in it that this made have as their data is `data`.
pub struct Folder<T: Send + Sync + 'static> {
    dentry: *mut bindings::dentry,
    data: Arc<T>,
    // Goes later than the folder in it.
    _parent: Option<Arc<Folder<()>>>,
}

// SAFETY: The kernel's functions may be called from any thread, and the data is shared.
unsafe impl<T: Send + Sync + 'static> Send for Folder<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for Folder<T> {}

impl<T: Send + Sync + 'static> Folder<T> {
    /// A folder at the top of debugfs.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(name: &CStr, data: T) -> Result<Self> {
        // SAFETY: No parent is the top.
        unsafe { Self::create(name, core::ptr::null_mut(), None, data) }
    }

    /// A folder in another one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn inside(parent: &Arc<Folder<()>>, name: &CStr, data: T) -> Result<Self> {
        // SAFETY: The parent exists while there is a reference to it.
        unsafe { Self::create(name, parent.dentry, Some(parent.clone()), data) }
    }

    /// A folder in one that another module made, which is found by its path from the top; `None` if
    /// there is none.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// Whoever made the folder that is named must not remove it while the result exists.
    pub unsafe fn beside(path: &[&CStr], name: &CStr, data: T) -> Result<Option<Self>> {
        let Some(parent) = Found::new(path) else {
            return Ok(None);
        };
        // SAFETY: The reference keeps the parent during the call, and afterwards it exists by the
        // contract of this function.
        unsafe { Self::create(name, parent.0, None, data) }.map(Some)
    }

    /// # Safety
    ///
    /// `parent` must be null, an error, or a folder of debugfs that is not removed before the result
    /// is dropped; `keep` may see to that.
    unsafe fn create(
        name: &CStr,
        parent: *mut bindings::dentry,
        keep: Option<Arc<Folder<()>>>,
        data: T,
    ) -> Result<Self> {
        let data = Arc::new(data, GFP_KERNEL)?;
        // SAFETY: By the contract of this function; the name is copied.
        let dentry = unsafe { vb::vfio_helper_debugfs_create_dir(name.as_char_ptr(), parent) };
        // INVARIANT: It is removed with the parent or when this is dropped, whichever comes first,
        // and the parent stays.
        Ok(Self {
            dentry,
            data,
            _parent: keep,
        })
    }

    /// Adds a file.
    pub fn file<F: DebugFile<Data = T>>(&self, name: &CStr) {
        self.at(self.dentry).file::<F>(name);
    }

    /// Adds a folder, which goes with this one.
    pub fn subfolder(&self, name: &CStr) -> Subfolder<'_, T> {
        // SAFETY: The parent is a folder, or an error, by the type invariant.
        self.at(unsafe { vb::vfio_helper_debugfs_create_dir(name.as_char_ptr(), self.dentry) })
    }

    fn at(&self, dentry: *mut bindings::dentry) -> Subfolder<'_, T> {
        Subfolder {
            dentry,
            folder: self,
        }
    }

    /// The folder for C, which may put files into it; null or an error if there is none.
    #[cfg(CONFIG_VFIO_DEBUGFS)]
    pub(crate) fn as_raw(&self) -> *mut bindings::dentry {
        self.dentry
    }
}

impl<T: Send + Sync + 'static> Drop for Folder<T> {
    fn drop(&mut self) {
        // SAFETY: The folder exists by the type invariant. This waits for who reads a file in it; only
        // then does the data go.
        unsafe { vb::vfio_helper_debugfs_remove(self.dentry) };
    }
}

/// A folder inside of a [`Folder`], with the same data.
pub struct Subfolder<'a, T: Send + Sync + 'static> {
    dentry: *mut bindings::dentry,
    folder: &'a Folder<T>,
}

impl<T: Send + Sync + 'static> Subfolder<'_, T> {
    /// Adds a file.
    pub fn file<F: DebugFile<Data = T>>(&self, name: &CStr) {
        // SAFETY: The folder exists as long as the one it is in. The data outlives the file, and is what
        // the operations expect; they are static.
        unsafe {
            vb::vfio_helper_debugfs_create_file(
                name.as_char_ptr(),
                F::MODE,
                self.dentry,
                core::ptr::from_ref(&*self.folder.data).cast_mut().cast(),
                &Adapter::<F>::ops().0,
            )
        };
    }
}

/// A folder that somebody else made.
///
/// # Invariants
///
/// Owns a reference to the dentry.
struct Found(*mut bindings::dentry);

impl Found {
    fn new(path: &[&CStr]) -> Option<Self> {
        let mut found: Option<Self> = None;
        for name in path {
            let parent = found
                .as_ref()
                .map_or(core::ptr::null_mut(), |found| found.0);
            // SAFETY: The parent is the top, or a folder that there is a reference to.
            let dentry = unsafe { vb::vfio_helper_debugfs_lookup(name.as_char_ptr(), parent) };
            // An error if the kernel has no debugfs.
            let dentry = from_err_ptr(dentry)
                .ok()
                .filter(|dentry| !dentry.is_null())?;
            // INVARIANT: The function returned a reference.
            found = Some(Self(dentry));
        }
        found
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant.
        unsafe { bindings::dput(self.0) };
    }
}

/// The C operations of a file.
struct Adapter<F: DebugFile>(PhantomData<F>);

/// A static table of operations.
struct Ops(bindings::file_operations);

// SAFETY: The table is never written to.
unsafe impl Sync for Ops {}

trait StaticOps {
    const OPS: &'static Ops;
}

impl<F: DebugFile> StaticOps for Adapter<F> {
    const OPS: &'static Ops = &Adapter::<F>::OPS;
}

impl<F: DebugFile> Adapter<F> {
    const OPS: Ops = Ops(bindings::file_operations {
        // An open file holds the module, whose code `release` of debugfs looks up here.
        owner: this_module::<F::OwnerModule>().as_ptr(),
        open: Some(Self::open),
        read: Some(bindings::seq_read),
        llseek: Some(bindings::seq_lseek),
        release: Some(bindings::single_release),
        ..pin_init::zeroed()
    });

    const fn ops() -> &'static Ops {
        <Self as StaticOps>::OPS
    }

    /// Opens a file that shows something.
    ///
    /// Called by: `full_proxy_open_regular()`, as `file_operations.open`.
    ///
    /// Context: process context of the administrator; may sleep.
    ///
    /// # Safety
    ///
    /// Only for debugfs to call: `inode` is that of a file made by [`Subfolder::file`], and `file`
    /// is being opened.
    unsafe extern "C" fn open(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: By the contract of this function; `show` gets what the file was made with.
        unsafe { bindings::single_open(file, Some(Self::show), (*inode).i_private) }
    }

    /// Writes what the file shows.
    ///
    /// Called by: `seq_read_iter()`, as `seq_operations.show`, of `single_open()`.
    ///
    /// Context: process context of the administrator; may sleep.
    ///
    /// # Safety
    ///
    /// Only for `seq_read` to call, with what `open` gave to it, while the file is not removed.
    unsafe extern "C" fn show(seq: *mut bindings::seq_file, _: *mut ffi::c_void) -> ffi::c_int {
        // SAFETY: The private data is that of the file, which outlives it; removal waits for us. Nobody
        // else uses the seq file meanwhile.
        let (data, out) = unsafe { (&*(*seq).private.cast::<F::Data>(), SeqFile::from_raw(seq)) };
        match F::show(data, out) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }
}
