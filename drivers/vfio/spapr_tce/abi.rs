// SPDX-License-Identifier: GPL-2.0

//! What this module promises to the kernel.

#![expect(unsafe_code)]

use crate::debugfs::Listed;
use kernel::{
    prelude::*,
    str::CStr, //
};
use vfio_kapi::{
    debugfs::Folder,
    iommu_driver::KeepsPages,
    iommu_group::IommuGroup,
    tce_group::TableGroup, //
};

// SAFETY: It pins no pages for drivers.
unsafe impl KeepsPages for Listed {}

/// A folder in debugfs for this module: in that of `vfio.ko`; or, as that of C may have none, in one that
/// stands for it.
pub(crate) fn debugfs_folder(name: &CStr) -> Result<Folder<()>> {
    // SAFETY: `vfio.ko` made the folder, and removes it when it is unloaded. This module uses it, so it is
    // unloaded first.
    if let Some(folder) = unsafe { Folder::beside(&[c"vfio"], name, ()) }? {
        return Ok(folder);
    }
    let root = kernel::sync::Arc::new(Folder::new(c"vfio", ())?, GFP_KERNEL)?;
    Folder::inside(&root, name, ())
}

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
