// SPDX-License-Identifier: GPL-2.0

//! What a device does to move with its virtual machine: its migration, and the logging of what it writes by DMA.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_migration_ops`,
//! `struct vfio_log_ops`

use crate::{
    device_lifecycle::CoreDevice,
    device_open::{
        DeviceGroup,
        Opened, //
    },
    interval_tree::IntervalTree,
    vfio_device::VfioDevice, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::File,
    prelude::*,
    sync::aref::ARef, //
};
use vfio_bindings as vb;

impl<G: DeviceGroup> Opened<G> {
    /// The migration of the device, if it can.
    pub fn migration(&self) -> Option<Migration<'_>> {
        // SAFETY: The operations are set before registration, and constant.
        let ops = unsafe { (*self.as_raw()).mig_ops.as_ref() }?;
        Some(Migration { device: self, ops })
    }

    /// The logging of what the device writes by DMA, if it can.
    pub fn dma_log(&self) -> Option<DmaLog<'_>> {
        // SAFETY: The operations are set before registration, and constant.
        let ops = unsafe { (*self.as_raw()).log_ops.as_ref() }?;
        Some(DmaLog { device: self, ops })
    }
}

impl<G> CoreDevice<G> {
    /// What the device supports of migration, as `VFIO_MIGRATION_*`.
    pub fn migration_flags(&self) -> u32 {
        // SAFETY: Set before registration, and constant.
        unsafe { (*self.as_raw()).migration_flags }
    }

    /// Whether the driver has operations for migration.
    pub fn can_migrate(&self) -> bool {
        // SAFETY: Set before registration, and constant.
        unsafe { !(*self.as_raw()).mig_ops.is_null() }
    }

    /// Whether the driver can log what the device writes by DMA.
    pub fn can_log_dma(&self) -> bool {
        // SAFETY: Set before registration, and constant.
        unsafe { !(*self.as_raw()).log_ops.is_null() }
    }

    /// The state of migration that the device is in.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it does not migrate; those of the driver.
    pub fn migration_state(&self) -> Result<u32> {
        // SAFETY: The operations are set before registration, and constant.
        let ops = unsafe { (*self.as_raw()).mig_ops.as_ref() }.ok_or(EINVAL)?;
        let get = ops.migration_get_state.ok_or(EINVAL)?;
        let mut state = 0;
        // SAFETY: The device is registered: drivers answer this from then on.
        to_result(unsafe { get(self.as_raw(), &mut state) })?;
        Ok(state)
    }
}

/// The migration of an open device.
pub struct Migration<'a> {
    device: &'a VfioDevice,
    ops: &'a vb::vfio_migration_ops,
}

impl Migration<'_> {
    /// Takes the device to another state; answers with the file of a data transfer, if there is one.
    pub fn set_state(&self, state: u32) -> Result<Option<ARef<File>>> {
        let set = self.ops.migration_set_state.ok_or(EINVAL)?;
        // SAFETY: The device is open; the driver checks the state.
        let file = from_err_ptr(unsafe { set(self.device.as_raw(), state) })?;
        // SAFETY: The driver answers with a reference to a new file, that is ours.
        Ok(NonNull::new(file).map(|file| unsafe { ARef::from_raw(file.cast()) }))
    }

    /// How much a stop-and-copy would transfer, in bytes.
    pub fn data_size(&self) -> Result<usize> {
        let get = self.ops.migration_get_data_size.ok_or(EINVAL)?;
        let mut size = 0;
        // SAFETY: The device is open.
        to_result(unsafe { get(self.device.as_raw(), &mut size) })?;
        Ok(size)
    }
}

/// The DMA logging of an open device.
pub struct DmaLog<'a> {
    device: &'a VfioDevice,
    ops: &'a vb::vfio_log_ops,
}

impl DmaLog<'_> {
    /// Starts to log what the device writes into `ranges`, in pages of about `page_size` bytes;
    /// the driver may change that.
    pub fn start(&self, ranges: &mut IntervalTree, page_size: &mut u64) -> Result {
        let start = self.ops.log_start.ok_or(EINVAL)?;
        let count = u32::try_from(ranges.len())?;
        // SAFETY: The device is open, and the tree is valid and ours.
        to_result(unsafe { start(self.device.as_raw(), ranges.as_raw(), count, page_size) })
    }

    /// Stops to log.
    pub fn stop(&self) -> Result {
        let stop = self.ops.log_stop.ok_or(EINVAL)?;
        // SAFETY: The device is open.
        to_result(unsafe { stop(self.device.as_raw()) })
    }

    /// Has the driver set the bits of the pages in a range that the device wrote to, and forget them.
    ///
    /// # Safety
    ///
    /// `bitmap` must be valid.
    #[cfg_attr(not(CONFIG_IOMMUFD_DRIVER), allow(dead_code))]
    pub(crate) unsafe fn read(
        &self,
        iova: usize,
        len: usize,
        bitmap: *mut bindings::iova_bitmap,
    ) -> Result {
        let read = self.ops.log_read_and_clear.ok_or(EINVAL)?;
        // SAFETY: The device is open, and the bitmap valid by the contract of this function.
        to_result(unsafe { read(self.device.as_raw(), iova, len, bitmap) })
    }
}
