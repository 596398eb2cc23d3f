// SPDX-License-Identifier: GPL-2.0

//! Ranges of BARs as dma-bufs, by which other devices reach them.
//!
//! A buffer is revoked whenever the memory of the device is not to be accessed; [`crate::memory`]
//! sees to that. It is so for good once the device is closed.
//!
//! Order: `memory_lock`, [`DmaBufs`].

use crate::{
    memory,
    state::Device, //
};
use kernel::{
    alloc::flags::__GFP_NOWARN,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};
use vfio_kapi::{
    dma_buf::{
        self,
        Operations, //
    },
    pci_core_device::dma_ranges::DmaRanges,
    uaccess::UserArg,
    uapi::{
        vfio_region_dma_range,
        DmaBufHead, //
    },
    versions::eopnotsupp,
    vfio_device::StaysRegistered, //
};
use vfio_logic::{
    dma_buf as rules,
    feature::{
        request,
        Request,
        GET, //
    },
    region, //
};

/// The buffers of a device.
pub(crate) type DmaBufs = dma_buf::DmaBufs<StaysRegistered>;

/// By these the buffers of all devices are told from others.
pub(crate) static OPERATIONS: Operations<StaysRegistered> = Operations::new(c"vfio_pci_core");

/// No buffers yet.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn none() -> Result<Arc<DmaBufs>> {
    DmaBufs::new(&OPERATIONS)
}

/// `VFIO_DEVICE_FEATURE_DMA_BUF`: makes a dma-buf of ranges of a BAR; answers its file descriptor.
///
/// # Errors
///
/// `EOPNOTSUPP` if the driver of the device does not export any; `EINVAL` for unknown flags, and ranges
/// that are none, empty, not of whole pages or outside the BAR; `ENODEV` if there is no such BAR;
/// `EOVERFLOW` for ranges that cannot be anywhere; `ENOMEM`; those of the feature ioctl and of a new file.
pub(crate) fn feature(dev: &Device, flags: u32, arg: UserArg, len: usize) -> Result<i32> {
    let driver = DmaRanges::of(dev).ok_or_else(eopnotsupp)?;
    if request(flags, len, GET, size_of::<DmaBufHead>())? == Request::Probe {
        return Ok(0);
    }
    let head: DmaBufHead = arg.read()?;
    if head.nr_ranges == 0 || head.flags != 0 {
        return Err(EINVAL);
    }
    if head.region_index >= region::ROM || dev.bar(head.region_index).is_err() {
        return Err(ENODEV);
    }
    let ranges = read_ranges(arg.offset(size_of::<DmaBufHead>()), head.nr_ranges as usize)?;
    rules::size(
        ranges.iter().map(|range| (range.offset, range.length)),
        PAGE_SIZE as u64,
    )?;
    let memory = driver.find(head.region_index, ranges)?;

    let bufs = &dev.state().get_ref().dma_bufs;
    let buf = bufs.export::<crate::Module>(memory, head.open_flags)?;
    // It can be used from here on, if the memory is accessible.
    drop(memory::lock(dev));
    buf.into_fd(head.open_flags)
}

/// Reads what follows the head.
fn read_ranges(arg: UserArg, len: usize) -> Result<KVec<vfio_region_dma_range>> {
    let size = len
        .checked_mul(size_of::<vfio_region_dma_range>())
        .ok_or(EOVERFLOW)?;
    // The user says how many: too many are no reason for a warning.
    let mut ranges = KVec::with_capacity(len, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
    let mut reader = arg.reader(size);
    for _ in 0..len {
        let (offset, length) = (reader.read()?, reader.read()?);
        ranges.push(vfio_region_dma_range { offset, length }, GFP_KERNEL)?;
    }
    Ok(ranges)
}

/// The user is done with the device: the buffers that are still there are of no use any more.
pub(crate) fn close(dev: &Device) {
    let _guard = memory::lock(dev);
    dev.state().dma_bufs.clear();
}
