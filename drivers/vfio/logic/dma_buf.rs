// SPDX-License-Identifier: GPL-2.0

//! Which ranges of a region can be exported as a dma-buf.

use crate::errno::{
    Result,
    EINVAL, //
};

/// The kernel's DMA mapping code keeps a mark in this bit of a size (`DMA_IOVA_USE_SWIOTLB`).
const MARK: u64 = 1 << 63;

/// `struct vfio_region_dma_range` of `VFIO_DEVICE_FEATURE_DMA_BUF`: the bytes of all ranges together,
/// each given by offset and length.
///
/// # Errors
///
/// `EINVAL` if a range is empty or not of whole pages, or all are too large together.
pub fn size(ranges: impl IntoIterator<Item = (u64, u64)>, page_size: u64) -> Result<u64> {
    let size = ranges.into_iter().try_fold(0u64, |sum, (offset, len)| {
        if len == 0 || offset % page_size != 0 || len % page_size != 0 {
            return Err(EINVAL);
        }
        sum.checked_add(len).ok_or(EINVAL)
    })?;
    if size & MARK != 0 {
        return Err(EINVAL);
    }
    Ok(size)
}
