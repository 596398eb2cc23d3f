// SPDX-License-Identifier: GPL-2.0

//! Bitmaps in user memory, with a bit for each page of a range of IOVA.
//!
//! Kernels that have no driver for iommufd have no such bitmaps.
//!
//! C header: [`include/linux/iova_bitmap.h`](srctree/include/linux/iova_bitmap.h)

use crate::{
    device_migration::DmaLog,
    uaccess::UserArg, //
};
use kernel::prelude::*;

#[cfg(CONFIG_IOMMUFD_DRIVER)]
use core::{
    ffi::c_void,
    ptr::NonNull, //
};
#[cfg(CONFIG_IOMMUFD_DRIVER)]
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    ffi,
};
#[cfg(CONFIG_IOMMUFD_DRIVER)]
use vfio_bindings as vb;

/// A range of IOVA, and the bitmap of its pages.
#[derive(Clone, Copy)]
pub struct Range {
    /// Where it begins.
    pub iova: usize,
    /// Its size, in bytes.
    pub len: usize,
    /// The size of the pages, in bytes.
    pub page_size: usize,
    /// The bitmap.
    pub bitmap: UserArg,
}

#[cfg(CONFIG_IOMMUFD_DRIVER)]
struct Bitmap(NonNull<bindings::iova_bitmap>);

#[cfg(CONFIG_IOMMUFD_DRIVER)]
impl Drop for Bitmap {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: It is ours, and not used any more.
        unsafe { vb::iova_bitmap_free(self.0.as_ptr()) };
    }
}

/// Marks what the device has written to in one piece of the bitmap.
///
/// Called by: `iova_bitmap_for_each()`, as the argument of `iova_bitmap_for_each()`.
///
/// Context: the caller of `iova_bitmap_for_each()`, here; may sleep.
///
/// # Safety
///
/// Only for `iova_bitmap_for_each`, with a `DmaLog` as `opaque`.
#[cfg(CONFIG_IOMMUFD_DRIVER)]
#[inline]
unsafe extern "C" fn read(
    bitmap: *mut bindings::iova_bitmap,
    iova: ffi::c_ulong,
    len: usize,
    opaque: *mut c_void,
) -> ffi::c_int {
    // SAFETY: `opaque` is a `DmaLog`, and the bitmap is valid during the call.
    from_result(|| unsafe { (*opaque.cast::<DmaLog<'_>>()).read(iova, len, bitmap) }.map(|()| 0))
}

/// Sets the bits of the pages that a device has written to, and clears what it remembers of them.
///
/// # Errors
///
/// `EOPNOTSUPP` if the kernel has no such bitmaps, `EINVAL` if the size of the pages is no power of two,
/// `EFAULT` if the bitmap cannot be written, `ENOMEM`, or those of the driver.
#[inline]
pub fn report(log: &DmaLog<'_>, range: Range) -> Result {
    #[cfg(not(CONFIG_IOMMUFD_DRIVER))]
    {
        let _ = (log, range);
        Err(crate::versions::eopnotsupp())
    }
    #[cfg(CONFIG_IOMMUFD_DRIVER)]
    {
        // The kernel takes the number of its lowest bit, which zero has not.
        if !range.page_size.is_power_of_two() {
            return Err(EINVAL);
        }
        // SAFETY: Any range may be passed; the address is only used as one of user space.
        let bitmap = from_err_ptr(unsafe {
            vb::iova_bitmap_alloc(
                range.iova,
                range.len,
                range.page_size,
                core::ptr::without_provenance_mut(range.bitmap.addr()),
            )
        })?;
        let bitmap = Bitmap(NonNull::new(bitmap).ok_or(ENOMEM)?);
        // SAFETY: The bitmap is valid, and the function is for a `DmaLog`.
        to_result(unsafe {
            vb::iova_bitmap_for_each(
                bitmap.0.as_ptr(),
                core::ptr::from_ref(log).cast_mut().cast(),
                Some(read),
            )
        })
    }
}
