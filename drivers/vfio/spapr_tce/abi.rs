// SPDX-License-Identifier: GPL-2.0

//! What this module promises to the kernel.

#![expect(unsafe_code)]

use crate::container::Container;
use kernel::prelude::*;
use vfio_kapi::{
    iommu_driver::KeepsPages,
    iommu_group::IommuGroup,
    tce_group::TableGroup, //
};

// SAFETY: It pins no pages for drivers.
unsafe impl KeepsPages for Container {}

/// The windows of a group that joins a container.
///
/// # Errors
///
/// `ENODEV` if it has none.
pub(crate) fn windows_of(group: &IommuGroup) -> Result<TableGroup> {
    // SAFETY: This is called when the group joins a container, and what it returns is dropped when it leaves.
    // `vfio.ko` has claimed its DMA before, and gives it up after; and when the last of its devices loses its
    // driver, it has the group leave first.
    unsafe { TableGroup::claimed(group) }
}
