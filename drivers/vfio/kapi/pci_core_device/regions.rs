// SPDX-License-Identifier: GPL-2.0

//! The regions that drivers add to those of every PCI device.

use super::PciCoreDevice;
use crate::{
    info_cap::InfoCaps,
    uaccess::UserArg,
    vma::NewVma, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::c_void,
    prelude::*, //
};
use vfio_bindings as vb;

/// A region that a driver added to a `PciCoreDevice`.
///
/// # Invariants
///
/// `ops` is valid as long as the region.
#[repr(transparent)]
pub struct Region(vb::vfio_pci_region);

impl<S> PciCoreDevice<S> {
    /// The regions that drivers added, in the order of their numbers.
    pub fn regions(&self) -> &[Region] {
        // SAFETY: The structure is valid. The array and the number are only changed by `add_region`
        // and `release_regions`, which nothing runs beside by their contracts.
        unsafe {
            let raw = self.as_raw();
            match usize::try_from((*raw).num_regions) {
                Ok(len) if !(*raw).region.is_null() => {
                    core::slice::from_raw_parts((*raw).region.cast(), len)
                }
                _ => &[],
            }
        }
    }

    /// Adds a region.
    ///
    /// # Safety
    ///
    /// The device must be opening: there must be no result of [`Self::regions`]. `region.ops` must be
    /// valid until the device is closed, and good for this device.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub unsafe fn add_region(&self, region: vb::vfio_pci_region) -> Result {
        let raw = self.as_raw();
        // SAFETY: The structure is valid, and nobody else looks by the contract of this function.
        unsafe {
            let len = usize::try_from((*raw).num_regions)?;
            let size = len
                .checked_add(1)
                .and_then(|n| n.checked_mul(size_of::<vb::vfio_pci_region>()))
                .ok_or(ENOMEM)?;
            // C drivers do not free or move the array; the kernel's allocator is used because they
            // index it.
            let array = bindings::krealloc_node_align_noprof(
                (*raw).region.cast::<c_void>().cast_const(),
                size,
                align_of::<vb::vfio_pci_region>(),
                bindings::GFP_KERNEL_ACCOUNT,
                bindings::NUMA_NO_NODE,
            )
            .cast::<vb::vfio_pci_region>();
            if array.is_null() {
                return Err(ENOMEM);
            }
            (*raw).region = array;
            array.add(len).write(region);
            (*raw).num_regions += 1;
        }
        Ok(())
    }

    /// Lets the drivers free the regions that they added.
    ///
    /// # Safety
    ///
    /// The device must be closing: there must be no result of [`Self::regions`].
    pub unsafe fn release_regions(&self) {
        let raw = self.as_raw();
        // SAFETY: The structure is valid, and nobody else looks by the contract of this function. The
        // operations are valid by the contract of `add_region`.
        unsafe {
            for i in 0..usize::try_from((*raw).num_regions).unwrap_or(0) {
                let region = (*raw).region.add(i);
                if let Some(release) = (*(*region).ops).release {
                    release(raw, region);
                }
            }
            (*raw).num_regions = 0;
            bindings::kfree((*raw).region.cast());
            (*raw).region = core::ptr::null_mut();
        }
    }

    /// Whether a region is one of this device: its operations expect no other.
    fn check_own(&self, region: &Region) -> Result {
        if self
            .regions()
            .as_ptr_range()
            .contains(&core::ptr::from_ref(region))
        {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Reads from or writes to a region that a driver added. The position is that in the device
    /// file, and moves on.
    ///
    /// # Errors
    ///
    /// That of the driver; `EINVAL` if the region is not for that.
    pub fn region_rw(
        &self,
        region: &Region,
        buf: UserArg,
        count: usize,
        pos: &mut i64,
        write: bool,
    ) -> Result<usize> {
        self.check_own(region)?;
        // SAFETY: Valid by the type invariant.
        let rw = unsafe { (*region.0.ops).rw }.ok_or(EINVAL)?;
        // SAFETY: The operation is that of a region of this device, and gets what it wants.
        let ret = unsafe { rw(self.as_raw(), buf.addr() as *mut _, count, pos, write) };
        if ret < 0 {
            Err(Error::from_errno(ret as i32))
        } else {
            Ok(ret as usize)
        }
    }

    /// Maps a region that a driver added.
    ///
    /// # Errors
    ///
    /// That of the driver; `EINVAL` if the region is not for that.
    pub fn region_mmap(&self, region: &Region, vma: &mut NewVma) -> Result {
        self.check_own(region)?;
        // SAFETY: Valid by the type invariant.
        let mmap = unsafe { (*region.0.ops).mmap }.ok_or(EINVAL)?;
        // SAFETY: The operation is that of a region of this device, and gets what it wants.
        to_result(unsafe { mmap(self.as_raw(), region.as_raw(), vma.as_raw()) })
    }

    /// Lets the driver add to the capabilities of a region that it added.
    ///
    /// # Errors
    ///
    /// That of the driver.
    pub fn region_add_capability(&self, region: &Region, caps: &mut InfoCaps) -> Result {
        self.check_own(region)?;
        // SAFETY: Valid by the type invariant.
        match unsafe { (*region.0.ops).add_capability } {
            // SAFETY: The operation is that of a region of this device, and gets what it wants.
            Some(add) => to_result(unsafe { add(self.as_raw(), region.as_raw(), caps.as_raw()) }),
            None => Ok(()),
        }
    }
}

impl Region {
    fn as_raw(&self) -> *mut vb::vfio_pci_region {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    /// What kind of region this is, and which of that kind.
    pub fn kind(&self) -> (u32, u32) {
        (self.0.type_, self.0.subtype)
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.0.size as u64
    }

    /// The flags, as `VFIO_DEVICE_GET_REGION_INFO` gives them.
    pub fn flags(&self) -> u32 {
        self.0.flags
    }
}

// SAFETY: The descriptor does not change while there are references; drivers lock their data.
unsafe impl Sync for Region {}
