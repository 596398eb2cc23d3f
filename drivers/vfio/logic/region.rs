// SPDX-License-Identifier: GPL-2.0

//! The regions of a PCI device: where they are in the device file, and what may be done with them.
//!
//! C headers: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h),
//! [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::errno::{
    Result,
    EINVAL, //
};

/// The region of the first BAR; the other five follow.
pub const BAR0: u32 = 0;
/// The region of the last BAR.
pub const BAR5: u32 = 5;
/// The region of the expansion ROM.
pub const ROM: u32 = 6;
/// The region of configuration space.
pub const CONFIG: u32 = 7;
/// The region of legacy VGA memory and ports.
pub const VGA: u32 = 8;
/// The number of regions every device has; those that a driver adds are numbered from here.
pub const NUM_REGIONS: u32 = 9;

/// The size of the VGA region: the legacy memory ends there.
pub const VGA_SIZE: u64 = 0xc_0000;

/// How far a region index is shifted to make a file offset.
pub const OFFSET_SHIFT: u32 = 40;

/// The offset in the device file where region `index` starts.
pub const fn offset(index: u32) -> u64 {
    (index as u64) << OFFSET_SHIFT
}

/// The region that `pos` of the device file is in, and where in it.
pub const fn split(pos: u64) -> (u32, u64) {
    // CAST: 24 bits are left.
    ((pos >> OFFSET_SHIFT) as u32, pos & (offset(1) - 1))
}

/// The number that a region which a driver added has among these; `None` for the others.
#[inline]
pub fn added(index: u32) -> Option<usize> {
    usize::try_from(index.checked_sub(NUM_REGIONS)?).ok()
}

/// How many of `count` bytes at `pos` of a region of `size` bytes are in it.
///
/// # Errors
///
/// `EINVAL` if `pos` is not in the region.
#[inline]
pub fn clip(pos: u64, count: usize, size: u64) -> Result<usize> {
    if pos >= size {
        return Err(EINVAL);
    }
    Ok(usize::try_from(size - pos).map_or(count, |left| count.min(left)))
}

/// The BAR that a mapping shows.
///
/// # Errors
///
/// `EINVAL` if there is a page of the mapping that is not in the BAR. `page_offset` and `len` are
/// where the mapping starts in the device file, in pages, and its length in bytes; `bar_len` gives the
/// length of a BAR that can be mapped, and is only asked for BARs.
#[inline]
pub fn mmap(
    page_offset: u64,
    len: u64,
    page_size: u64,
    bar_len: impl FnOnce(u32) -> Option<u64>,
) -> Result<u32> {
    let pos = page_offset.checked_mul(page_size).ok_or(EINVAL)?;
    let (index, start) = split(pos);
    if index > BAR5 {
        return Err(EINVAL.because("only BARs can be mapped"));
    }
    let size = bar_len(index).ok_or(EINVAL.because("this BAR cannot be mapped"))?;
    let size = size.checked_next_multiple_of(page_size).ok_or(EINVAL)?;
    match start.checked_add(len) {
        Some(end) if end <= size => Ok(index),
        _ => Err(EINVAL.because("the mapping is larger than the BAR")),
    }
}

/// What part of the legacy VGA ranges an access is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VgaRange {
    /// Ports, not memory.
    pub ports: bool,
    /// Where the range starts, as address and as position in the region.
    pub start: u32,
    /// The length of the range in bytes.
    pub len: u32,
}

/// The part of the legacy VGA ranges that `pos` of the VGA region is in.
///
/// # Errors
///
/// `EINVAL` if there is none.
pub fn vga_range(pos: u64) -> Result<VgaRange> {
    let (ports, start, len) = match pos {
        0xa_0000..=0xb_ffff => (false, 0xa_0000, 0x2_0000),
        0x3b0..=0x3bb => (true, 0x3b0, 0xc),
        0x3c0..=0x3df => (true, 0x3c0, 0x20),
        _ => return Err(EINVAL),
    };
    Ok(VgaRange { ports, start, len })
}
