// SPDX-License-Identifier: GPL-2.0

//! What user space mapped for an emulated device, whose driver accesses it in place of the device: in a
//! container, or in an iommufd.

use crate::{
    device_lifecycle::CoreDevice,
    iommu_backend::Translation, //
};
use core::{
    ffi::c_void,
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    ffi,
    prelude::*, //
};

#[cfg(CONFIG_IOMMUFD)]
use crate::iommufd_device::Access;

/// The memory of an open device.
pub enum Memory {
    /// That of a container.
    Container(Translation),
    /// That of an iommufd.
    #[cfg(CONFIG_IOMMUFD)]
    Iommufd(Access),
}

impl Memory {
    /// That of a device, if there is any.
    ///
    /// # Safety
    ///
    /// The device must be open while the result exists.
    #[inline]
    pub unsafe fn of<G>(device: &CoreDevice<G>) -> Option<Self> {
        if let Some(translation) = device.translation() {
            return Some(Self::Container(translation));
        }
        #[cfg(CONFIG_IOMMUFD)]
        // SAFETY: By the contract of this function.
        return unsafe { Access::of(device) }.map(Self::Iommufd);
        #[cfg(not(CONFIG_IOMMUFD))]
        None
    }

    /// How many pages a driver wants to have pinned or unpinned at once, as it said so.
    ///
    /// # Errors
    ///
    /// In a container `E2BIG` for too many and for less than none; in an iommufd `EOVERFLOW` for less than none.
    #[inline]
    pub fn count(&self, npage: ffi::c_int) -> Result<usize> {
        let count = usize::try_from(npage);
        match self {
            Self::Container(_) => count
                .ok()
                .filter(|count| *count <= vfio_logic::group::max_pinned(kernel::page::PAGE_SIZE))
                .ok_or(E2BIG),
            #[cfg(CONFIG_IOMMUFD)]
            Self::Iommufd(_) => count.map_err(|_| EOVERFLOW),
        }
    }

    /// Pins what is mapped at `iova`, one page for each entry of `pages`; answers how many it pinned.
    ///
    /// # Errors
    ///
    /// Those of the backend or of iommufd.
    #[inline]
    pub fn pin_pages(
        &self,
        iova: bindings::dma_addr_t,
        prot: ffi::c_int,
        pages: &mut [MaybeUninit<*mut bindings::page>],
    ) -> Result<ffi::c_int> {
        match self {
            Self::Container(translation) => translation.pin_pages(iova, prot, pages),
            #[cfg(CONFIG_IOMMUFD)]
            Self::Iommufd(access) => {
                let count = ffi::c_int::try_from(pages.len()).map_err(|_| E2BIG)?;
                access.pin_pages(iova, prot & bindings::IOMMU_WRITE as ffi::c_int != 0, pages)?;
                Ok(count)
            }
        }
    }

    /// Undoes [`Self::pin_pages`], for `npage` pages.
    ///
    /// # Safety
    ///
    /// They must be pinned by it, and nobody use them any more who counts on that.
    #[inline]
    pub unsafe fn unpin_pages(&self, iova: bindings::dma_addr_t, npage: ffi::c_int) {
        match self {
            // SAFETY: By the contract of this function.
            Self::Container(translation) => unsafe { translation.unpin_pages(iova, npage) },
            #[cfg(CONFIG_IOMMUFD)]
            // SAFETY: As above.
            Self::Iommufd(access) => unsafe {
                access.unpin_pages(iova, usize::try_from(npage).unwrap_or(0));
            },
        }
    }

    /// Copies between kernel memory and what is mapped at `iova`.
    ///
    /// # Safety
    ///
    /// `data` must be valid for `len` bytes: for reads if `write`, else for writes.
    ///
    /// # Errors
    ///
    /// Those of the backend or of iommufd.
    #[inline]
    pub unsafe fn rw(
        &self,
        iova: bindings::dma_addr_t,
        data: NonNull<c_void>,
        len: usize,
        write: bool,
    ) -> Result {
        match self {
            // SAFETY: By the contract of this function.
            Self::Container(translation) => unsafe { translation.dma_rw(iova, data, len, write) },
            #[cfg(CONFIG_IOMMUFD)]
            // SAFETY: As above.
            Self::Iommufd(access) => unsafe { access.rw(iova, data, len, write) },
        }
    }
}
