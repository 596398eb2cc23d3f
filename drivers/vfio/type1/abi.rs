// SPDX-License-Identifier: GPL-2.0

//! What this module and its C part (`params.c`) share.

#![expect(unsafe_code)]

use vfio_kapi::param::{
    BoolParam,
    UintParam, //
};

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
