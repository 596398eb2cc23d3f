// SPDX-License-Identifier: GPL-2.0

//! The regions of a PCI device and where they are in the device file.
//!
//! C headers: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h),
//! [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

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

/// How far a region index is shifted to make a file offset.
const OFFSET_SHIFT: u32 = 40;

/// The offset in the device file where region `index` starts.
pub const fn offset(index: u32) -> u64 {
    (index as u64) << OFFSET_SHIFT
}
