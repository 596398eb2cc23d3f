// SPDX-License-Identifier: GPL-2.0

//! PCI: drivers, and functions as VFIO handles them.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

pub mod core_driver;
pub mod driver;
