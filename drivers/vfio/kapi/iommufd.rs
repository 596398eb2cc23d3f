// SPDX-License-Identifier: GPL-2.0

//! Open files of `/dev/iommu`, and their use in place of a container.
//!
//! A kernel without iommufd has no such files: [`IommufdCtx`] exists, but no instance of it.
//!
//! C header: [`include/linux/iommufd.h`](srctree/include/linux/iommufd.h)

#[cfg(CONFIG_IOMMUFD)]
mod ctx {
    use crate::versions::ebadfd;
    use core::ptr::NonNull;
    use kernel::{
        error::{
            from_err_ptr,
            to_result, //
        },
        fs::LocalFile,
        prelude::*, //
    };
    use vfio_bindings as vb;

    /// A reference to what is behind an open file of `/dev/iommu`.
    ///
    /// # Invariants
    ///
    /// Owns a reference.
    pub struct IommufdCtx(NonNull<vb::iommufd_ctx>);

    // SAFETY: The context is reference-counted and has its own locks.
    unsafe impl Send for IommufdCtx {}
    // SAFETY: As above.
    unsafe impl Sync for IommufdCtx {}

    impl IommufdCtx {
        /// # Safety
        ///
        /// `ctx` must be an answer of iommufd that comes with a reference, or the pointer of an error.
        #[inline]
        unsafe fn from_answer(ctx: *mut vb::iommufd_ctx) -> Result<Self> {
            // INVARIANT: The reference that comes with it, by the contract of this function.
            NonNull::new(from_err_ptr(ctx)?)
                .map(Self)
                .ok_or_else(ebadfd)
        }

        /// That of the file open as `fd` in the current process.
        ///
        /// # Errors
        ///
        /// `EBADF` if `fd` is not open, `EBADFD` if it is another kind of file.
        #[inline]
        pub fn from_fd(fd: i32) -> Result<Self> {
            // SAFETY: May be called with any number; answers with a reference.
            unsafe { Self::from_answer(vb::iommufd_ctx_from_fd(fd)) }
        }

        /// That of a file.
        ///
        /// # Errors
        ///
        /// `EBADFD` if it is another kind of file.
        #[inline]
        pub fn from_file(file: &LocalFile) -> Result<Self> {
            // SAFETY: The file is valid; answers with a reference.
            unsafe { Self::from_answer(vb::iommufd_ctx_from_file(file.as_ptr())) }
        }

        /// The C context, for calls into the kernel.
        #[inline]
        pub(crate) fn as_raw(&self) -> *mut vb::iommufd_ctx {
            self.0.as_ptr()
        }

        /// Makes the address space that the ioctls of a container are for, unless there is one.
        ///
        /// # Errors
        ///
        /// `EINVAL` if groups without IOMMU use it, `ENOMEM`.
        #[inline]
        pub fn make_compat_ioas(&self) -> Result {
            // SAFETY: The context is valid.
            to_result(unsafe { vb::iommufd_vfio_compat_ioas_create(self.as_raw()) })
        }

        /// The number of that address space.
        ///
        /// # Errors
        ///
        /// `ENODEV` if there is none.
        #[inline]
        pub fn compat_ioas(&self) -> Result<u32> {
            let mut id = 0;
            // SAFETY: The context is valid, and `id` is for the function to write to.
            to_result(unsafe { vb::iommufd_vfio_compat_ioas_get_id(self.as_raw(), &mut id) })?;
            Ok(id)
        }

        /// Makes it the container of groups without IOMMU.
        ///
        /// # Errors
        ///
        /// `EINVAL` if others use it.
        #[inline]
        pub fn set_no_iommu(&self) -> Result {
            // SAFETY: The context is valid.
            to_result(unsafe { vb::iommufd_vfio_compat_set_no_iommu(self.as_raw()) })
        }
    }

    impl Clone for IommufdCtx {
        #[inline]
        fn clone(&self) -> Self {
            // SAFETY: The context is valid. INVARIANT: The reference taken here is for the clone.
            unsafe { vb::iommufd_ctx_get(self.as_raw()) };
            Self(self.0)
        }
    }

    impl Drop for IommufdCtx {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: The reference is ours by the type invariant.
            unsafe { vb::iommufd_ctx_put(self.as_raw()) };
        }
    }
}

#[cfg(not(CONFIG_IOMMUFD))]
mod ctx {
    use crate::versions::eopnotsupp;
    use core::convert::Infallible;
    use kernel::{
        fs::LocalFile,
        prelude::*, //
    };
    use vfio_bindings as vb;

    /// What would be behind an open file of `/dev/iommu`, which this kernel does not have.
    #[derive(Clone)]
    pub struct IommufdCtx(Infallible);

    impl IommufdCtx {
        /// There is none.
        ///
        /// # Errors
        ///
        /// `EOPNOTSUPP`.
        #[inline]
        pub fn from_fd(_fd: i32) -> Result<Self> {
            Err(eopnotsupp())
        }

        /// There is none.
        ///
        /// # Errors
        ///
        /// `EOPNOTSUPP`.
        #[inline]
        pub fn from_file(_file: &LocalFile) -> Result<Self> {
            Err(eopnotsupp())
        }

        #[inline]
        pub(crate) fn as_raw(&self) -> *mut vb::iommufd_ctx {
            match self.0 {}
        }

        /// Nobody can call it.
        #[inline]
        pub fn make_compat_ioas(&self) -> Result {
            match self.0 {}
        }

        /// Nobody can call it.
        #[inline]
        pub fn compat_ioas(&self) -> Result<u32> {
            match self.0 {}
        }

        /// Nobody can call it.
        #[inline]
        pub fn set_no_iommu(&self) -> Result {
            match self.0 {}
        }
    }
}

pub use ctx::IommufdCtx;
