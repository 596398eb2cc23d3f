// SPDX-License-Identifier: GPL-2.0

//! What this module promises to C.

#![expect(unsafe_code)]

use crate::Logged;
use vfio_kapi::iommu_driver::KeepsPages;

// SAFETY: It hands no pages to drivers: `pin_pages` is not implemented.
unsafe impl KeepsPages for Logged {}
