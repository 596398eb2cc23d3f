// SPDX-License-Identifier: GPL-2.0

//! Where ranges of the regions of a device are, as its driver tells.

use super::PciCoreDevice;
use crate::{
    dma_buf::{
        DeviceMemory,
        PhysRange, //
    },
    vfio_device::StaysRegistered, //
};
use kernel::{
    alloc::flags::__GFP_NOWARN,
    error::to_result,
    ffi::c_int,
    prelude::*, //
};
use vfio_bindings as vb;

type GetDmabufPhys = unsafe extern "C" fn(
    *mut vb::vfio_pci_core_device,
    *mut *mut kernel::bindings::p2pdma_provider,
    kernel::ffi::c_uint,
    *mut PhysRange,
    *mut vb::vfio_region_dma_range,
    usize,
) -> c_int;

/// The driver of a device that knows where its regions are; `struct vfio_pci_device_ops`.
pub struct DmaRanges<'a, S> {
    dev: &'a PciCoreDevice<S>,
    get: GetDmabufPhys,
}

impl<'a, S> DmaRanges<'a, S> {
    /// The driver of `dev`; `None` if it has no regions for other devices to reach.
    pub fn of(dev: &'a PciCoreDevice<S>) -> Option<Self> {
        // SAFETY: The driver sets the operations when it initializes the device, if at all; they are
        // constant and stay valid as long as it is bound.
        let get = unsafe { (*dev.as_raw()).pci_ops.as_ref() }?.get_dmabuf_phys?;
        Some(Self { dev, get })
    }

    /// Where `ranges` of a region are. The result keeps the device registered.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; that of the driver; `ENODEV` if the device is being unregistered.
    #[inline]
    pub fn find(
        &self,
        region: u32,
        mut ranges: KVec<vb::vfio_region_dma_range>,
    ) -> Result<DeviceMemory<StaysRegistered>> {
        let mut found = KVec::with_capacity(ranges.len(), GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        for _ in 0..ranges.len() {
            found.push(PhysRange { paddr: 0, len: 0 }, GFP_KERNEL)?;
        }
        let mut provider = core::ptr::null_mut();
        // SAFETY: The device is valid; both arrays have as many elements as is said.
        to_result(unsafe {
            (self.get)(
                self.dev.as_raw(),
                &raw mut provider,
                region,
                found.as_mut_ptr(),
                ranges.as_mut_ptr(),
                ranges.len(),
            )
        })?;
        let owner = self.dev.vfio().stay_registered().ok_or(ENODEV)?;
        // SAFETY: The driver has found them in the memory of its device, and the provider with them,
        // which are there as long as the device is registered, and so bound to it.
        unsafe { DeviceMemory::from_raw(found, provider, owner) }
    }
}
