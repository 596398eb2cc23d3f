// SPDX-License-Identifier: GPL-2.0

//! What this module and its C part (`params.c`) share, and what it promises to drivers.

#![expect(unsafe_code)]

use crate::container::Container;
use vfio_kapi::{
    iommu_driver::KeepsPages,
    param::{
        BoolParam,
        UintParam, //
    },
};

// SAFETY: A pinned page is kept in the tree of its mapping, with the number of times that it was
// pinned. It leaves the tree when the last of these is unpinned, or goes with the mapping, which is
// removed only after drivers were told to unpin, or with the container.
unsafe impl KeepsPages for Container {}

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
