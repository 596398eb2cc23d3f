// SPDX-License-Identifier: GPL-2.0

//! What this module and its C part (`params.c`) share, and what it promises to drivers.

#![expect(unsafe_code)]

use crate::debugfs::Listed;
use kernel::{
    prelude::*,
    str::CStr, //
};
use vfio_kapi::{
    debugfs::Folder,
    iommu_driver::KeepsPages,
    param::{
        BoolParam,
        UintParam, //
    },
};

// SAFETY: A pinned page is kept in the tree of its mapping, with the number of times that it was
// pinned. It leaves the tree when the last of these is unpinned, or goes with the mapping, which is
// removed only after drivers were told to unpin, or with the container.
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

unsafe extern "C" {
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Devices whose message interrupts are not isolated may be used.
    pub(crate) safe static vfio_type1_allow_unsafe_interrupts: BoolParam;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Only the smallest pages of the IOMMU are used.
    pub(crate) safe static vfio_type1_disable_hugepages: BoolParam;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// How many mappings a container that is opened from now on may have.
    pub(crate) safe static vfio_type1_dma_entry_limit: UintParam;
}
