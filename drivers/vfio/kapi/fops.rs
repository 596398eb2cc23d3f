// SPDX-License-Identifier: GPL-2.0

//! The operations of a kind of file.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h), `struct file_operations`

use crate::{
    device_file::DeviceFile,
    device_lifecycle::Registered,
    device_open::DeviceGroup,
    uaccess::UserArg,
    versions::{
        this_module,
        ModuleMetadata, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        VTABLE_DEFAULT_ERROR, //
    },
    ffi,
    fs::{
        File,
        LocalFile, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    sync::aref::ARef,
    types::ForeignOwnable, //
};
use vfio_bindings as vb;

/// What a kind of file does.
#[vtable]
pub trait FileOps: Sized + Send + Sync + 'static {
    /// The module that the code is in.
    type OwnerModule: ModuleMetadata;

    /// What an open file owns.
    type Ptr: ForeignOwnable + Send + Sync;

    /// What the node has that is opened: the data of the [`CharDevice`](crate::chrdev::CharDevice),
    /// or `()`.
    type Node: Send + Sync + 'static;

    /// Opens a node.
    fn open(_node: &Self::Node) -> Result<Self::Ptr> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The last reference to the file is gone.
    fn release(data: Self::Ptr) {
        drop(data);
    }

    /// Reads `count` bytes at `pos` into user memory and moves `pos`; answers how many it read.
    fn read(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _to: UserArg,
        _count: usize,
        _pos: &mut i64,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes `count` bytes of user memory at `pos` and moves `pos`; answers how many it wrote.
    fn write(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _from: UserArg,
        _count: usize,
        _pos: &mut i64,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// An ioctl. 32-bit user space has its argument widened like a pointer.
    fn ioctl(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Maps a part of the file.
    fn mmap(_data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, _vma: &VmaNew) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Adds lines to `/proc/<pid>/fdinfo/<fd>`.
    fn show_fdinfo(_data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, _m: &SeqFile) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// How files of a kind come to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opens {
    /// By opening a misc device.
    Misc,
    /// By opening a character device with data.
    Char,
    /// By opening the node of a VFIO device.
    Device,
    /// By the kernel.
    Anon,
}

/// The operations of files of kind `T`, to be put into a `static`: its address is what tells the
/// files apart from others.
///
/// # Invariants
///
/// The files that have these operations have null or a foreign `T::Ptr` as private data.
#[repr(C)]
pub struct FileOperations<T: FileOps> {
    fops: bindings::file_operations,
    opens: Opens,
    _kind: PhantomData<T>,
}

// SAFETY: The table is constant.
unsafe impl<T: FileOps> Sync for FileOperations<T> {}

impl<T: FileOps<Node = ()>> FileOperations<T> {
    /// For files that are opened by a misc device.
    pub const fn misc() -> Self {
        Self::new(Opens::Misc, Some(Self::open_misc))
    }

    /// Opens the node of a misc device.
    ///
    /// Called by: `misc_open()`, as `file_operations.open`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, to open a file with these operations.
    unsafe extern "C" fn open_misc(
        _inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: `file` is being opened, so nobody else uses it.
        unsafe { Self::finish_open(file, T::open(&())) }
    }
}

impl<T: FileOps> FileOperations<T> {
    /// For files that are opened by a [`CharDevice`](crate::chrdev::CharDevice).
    pub const fn char_device() -> Self {
        Self::new(Opens::Char, Some(Self::open_char))
    }

    /// For files without a node, see [`Self::open_anon`].
    pub const fn anon() -> Self {
        Self::new(Opens::Anon, None)
    }

    /// Opens a file that has no node. `O_RDWR`, and may be read and written at an offset.
    ///
    /// # Errors
    ///
    /// `ENFILE` or `ENOMEM`; `data` is dropped.
    pub(crate) fn open_anon(&'static self, name: &'static CStr, data: T::Ptr) -> Result<NewFile> {
        if self.opens != Opens::Anon {
            return Err(EINVAL);
        }
        let data = data.into_foreign();
        // SAFETY: The operations are static, and go with private data of this type.
        let file = from_err_ptr(unsafe {
            vb::anon_inode_getfile_fmode(
                name.as_char_ptr(),
                &self.fops,
                data,
                bindings::O_RDWR as ffi::c_int,
                vb::VFIO_CONST_FMODE_PREAD_PWRITE,
            )
        })
        .inspect_err(|_| {
            // SAFETY: No file took the data over.
            drop(unsafe { T::Ptr::from_foreign(data) });
        })?;
        // SAFETY: A new file: the reference is ours, and there is no `fdget_pos` on it.
        Ok(NewFile(unsafe {
            ARef::from_raw(NonNull::new(file).ok_or(EINVAL)?.cast())
        }))
    }

    const fn new(
        opens: Opens,
        open: Option<unsafe extern "C" fn(*mut bindings::inode, *mut bindings::file) -> ffi::c_int>,
    ) -> Self {
        Self {
            fops: bindings::file_operations {
                owner: this_module::<T::OwnerModule>().as_ptr(),
                open,
                release: Some(Self::release),
                read: if T::HAS_READ { Some(Self::read) } else { None },
                write: if T::HAS_WRITE {
                    Some(Self::write)
                } else {
                    None
                },
                unlocked_ioctl: if T::HAS_IOCTL {
                    Some(Self::ioctl)
                } else {
                    None
                },
                compat_ioctl: if T::HAS_IOCTL {
                    bindings::compat_ptr_ioctl
                } else {
                    None
                },
                mmap: if T::HAS_MMAP { Some(Self::mmap) } else { None },
                show_fdinfo: if T::HAS_SHOW_FDINFO {
                    Some(Self::show_fdinfo)
                } else {
                    None
                },
                ..pin_init::zeroed()
            },
            opens,
            _kind: PhantomData,
        }
    }

    pub(crate) fn as_raw(&'static self) -> *const bindings::file_operations {
        &self.fops
    }

    pub(crate) fn opens(&self) -> Opens {
        self.opens
    }

    /// What `file` owns, if it is of this kind.
    #[inline]
    pub fn data_of<'a>(
        &'static self,
        file: &'a LocalFile,
    ) -> Option<<T::Ptr as ForeignOwnable>::Borrowed<'a>> {
        // SAFETY: Neither field changes after the file was opened, and before that there is no
        // reference to the file but the one inside `open`.
        let (f_op, data) = unsafe { ((*file.as_ptr()).f_op, (*file.as_ptr()).private_data) };
        if !core::ptr::eq(f_op, self.as_raw()) || data.is_null() {
            return None;
        }
        // SAFETY: By the type invariant it is a foreign `T::Ptr`. It goes when the last reference to
        // the file does, and only shared references to it are given out before.
        Some(unsafe { T::Ptr::borrow(data) })
    }

    /// # Safety
    ///
    /// `file` must be a file under construction with these operations.
    unsafe fn finish_open(file: *mut bindings::file, data: Result<T::Ptr>) -> ffi::c_int {
        match data {
            Ok(data) => {
                // SAFETY: By the contract of this function.
                unsafe { (*file).private_data = data.into_foreign() };
                0
            }
            Err(err) => err.to_errno(),
        }
    }

    /// Opens the node of a character device.
    ///
    /// Called by: `chrdev_open()`, as `file_operations.open`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, to open a file with these operations.
    unsafe extern "C" fn open_char(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: A character device is being opened, so the inode refers to its `cdev`, which the
        // kernel holds a reference to during this call. Only `CharDevice<T::Node>` takes operations
        // of this kind.
        let node =
            unsafe { crate::chrdev::node_of_cdev::<T::Node>((*inode).__bindgen_anon_5.i_cdev) };
        // SAFETY: `file` is being opened, so nobody else uses it.
        unsafe { Self::finish_open(file, T::open(node)) }
    }

    /// Drops what the file owns.
    ///
    /// Called by: `__fput()`, as `file_operations.release`.
    ///
    /// Context: the last use of the file; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, on the last use of an open file with these operations.
    unsafe extern "C" fn release(
        _inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: The file was opened with success, and there is no reference to it any more.
        T::release(unsafe { T::Ptr::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// `file` must be an open file of this kind, for `'a`.
    unsafe fn borrow<'a>(file: *mut bindings::file) -> <T::Ptr as ForeignOwnable>::Borrowed<'a> {
        // SAFETY: By the type invariant and the contract of this function.
        unsafe { T::Ptr::borrow((*file).private_data) }
    }

    /// Reads from the file.
    ///
    /// Called by: `vfs_read()`, as `file_operations.read`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, on an open file with these operations.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        buf: *mut ffi::c_char,
        count: usize,
        pos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: Called for an open file of this kind; `pos` is the kernel's and exclusive.
        let (data, pos) = unsafe { (Self::borrow(file), &mut *pos) };
        from_result(|| Ok(T::read(data, UserArg::new(buf as usize), count, pos)? as isize))
    }

    /// Writes to the file.
    ///
    /// Called by: `vfs_write()`, as `file_operations.write`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// As for [`Self::read`].
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        buf: *const ffi::c_char,
        count: usize,
        pos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: As in `read`.
        let (data, pos) = unsafe { (Self::borrow(file), &mut *pos) };
        from_result(|| Ok(T::write(data, UserArg::new(buf as usize), count, pos)? as isize))
    }

    /// An ioctl.
    ///
    /// Called by: `vfs_ioctl()`, `compat_ptr_ioctl()`, as `file_operations.unlocked_ioctl`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// As for [`Self::read`].
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        cmd: ffi::c_uint,
        arg: ffi::c_ulong,
    ) -> ffi::c_long {
        // SAFETY: Called for an open file of this kind; ioctls do not use `fdget_pos`.
        let (data, file) = unsafe { (Self::borrow(file), File::from_raw_file(file)) };
        from_result(|| T::ioctl(data, file, cmd, arg))
    }

    /// Maps part of the file.
    ///
    /// Called by: `vfs_mmap()`, as `file_operations.mmap`.
    ///
    /// Context: process context of the user, `mmap_lock` held for writing; may sleep.
    ///
    /// # Safety
    ///
    /// As for [`Self::read`].
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> ffi::c_int {
        // SAFETY: Called for an open file of this kind, with a new VMA that is ours to set up.
        let (data, vma) = unsafe { (Self::borrow(file), VmaNew::from_raw(vma)) };
        from_result(|| T::mmap(data, vma).map(|()| 0))
    }

    /// What `/proc/<pid>/fdinfo` shows of the file.
    ///
    /// Called by: `seq_show()`, as `file_operations.show_fdinfo`.
    ///
    /// Context: a reader of `/proc/<pid>/fdinfo`; may sleep.
    ///
    /// # Safety
    ///
    /// As for [`Self::read`].
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: Called for an open file of this kind, with a valid `seq_file`.
        let (data, m) = unsafe { (Self::borrow(file), SeqFile::from_raw(m)) };
        T::show_fdinfo(data, m);
    }
}

impl<T, G> FileOperations<T>
where
    T: FileOps<Ptr = Pin<KBox<DeviceFile<G>>>, Node = Registered<G>>,
    G: DeviceGroup,
{
    /// For files that are opened by the node of a VFIO device.
    pub const fn device() -> Self {
        Self::new(Opens::Device, Some(Self::open_device))
    }

    /// Opens the node of a VFIO device.
    ///
    /// Called by: `chrdev_open()`, as `file_operations.open`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, to open a file with these operations.
    #[cfg(CONFIG_VFIO_DEVICE_CDEV)]
    unsafe extern "C" fn open_device(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: A character device is being opened, so the inode refers to its `cdev`, which the
            // kernel holds a reference to during this call, and with it to the device. Only
            // `DeviceNode` takes operations of this kind, and puts them into devices registered with
            // this `G`.
            let device = unsafe {
                let cdev = (*inode).__bindgen_anon_5.i_cdev;
                let raw = kernel::container_of!(cdev, vb::vfio_device, cdev);
                Registered::try_from_raw(NonNull::new(raw).ok_or(ENODEV)?).ok_or(ENODEV)?
            };
            let data = T::open(&device)?;
            // SAFETY: `file` is being opened, so nobody else uses it. What it owns keeps the device, and
            // so the inode that its mappings are to be found by.
            unsafe {
                (*file).f_mapping = (*data.inode()).i_mapping;
                Ok(Self::finish_open(file, Ok(data)))
            }
        })
    }

    /// Opens the node of a VFIO device.
    ///
    /// Called by: nobody, as `file_operations.open`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// Never called: devices have no nodes.
    #[cfg(not(CONFIG_VFIO_DEVICE_CDEV))]
    unsafe extern "C" fn open_device(
        _inode: *mut bindings::inode,
        _file: *mut bindings::file,
    ) -> ffi::c_int {
        ENODEV.to_errno()
    }
}

/// A file that nobody but its maker knows of yet.
pub struct NewFile(ARef<File>);

impl NewFile {
    /// Makes mappings of the file part of another inode's mapping, so that they are found there.
    ///
    /// # Safety
    ///
    /// `inode` must be valid for as long as the file is open.
    pub(crate) unsafe fn set_mapping(&self, inode: *mut bindings::inode) {
        // SAFETY: Nobody else uses the file, and the inode is valid.
        unsafe { (*self.0.as_ptr()).f_mapping = (*inode).i_mapping };
    }

    /// The finished file.
    pub fn finish(self) -> ARef<File> {
        self.0
    }
}
