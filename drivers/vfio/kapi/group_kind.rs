// SPDX-License-Identifier: GPL-2.0

//! What is between the devices of a VFIO group and memory.
//!
//! C header: `drivers/vfio/vfio.h`, `enum vfio_group_type`

use vfio_bindings as vb;

/// What is behind the devices of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// An IOMMU.
    Iommu,
    /// Nothing: the driver translates by itself, and there is no DMA by the device.
    Emulated,
    /// Nothing, and the device does DMA without translation.
    NoIommu,
}

impl GroupKind {
    pub(crate) fn from_raw(kind: vb::vfio_group_type) -> Self {
        match kind {
            vb::vfio_group_type_VFIO_EMULATED_IOMMU => Self::Emulated,
            vb::vfio_group_type_VFIO_NO_IOMMU => Self::NoIommu,
            _ => Self::Iommu,
        }
    }

    pub(crate) fn as_raw(self) -> vb::vfio_group_type {
        match self {
            Self::Iommu => vb::vfio_group_type_VFIO_IOMMU,
            Self::Emulated => vb::vfio_group_type_VFIO_EMULATED_IOMMU,
            Self::NoIommu => vb::vfio_group_type_VFIO_NO_IOMMU,
        }
    }
}
