// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers of the kernel's services that VFIO needs and the `kernel` crate lacks.
//!
//! A staging place: each file is written so that it could move into the `kernel` crate. No VFIO
//! policy lives here. A function that calls a symbol of a *loadable* module (`vfio.ko`,
//! `irqbypass.ko`, ...) or of a symbol namespace is `#[inline]`: it is compiled into its user only,
//! so that a module depends on no other than those it calls.

/// The prefix of messages printed by this crate itself.
const __LOG_PREFIX: &[u8] = b"vfio\0";

pub mod chrdev;
pub mod debugfs;
pub mod device_file;
pub mod device_lifecycle;
pub mod device_memory;
pub mod device_migration;
pub mod device_open;
pub mod device_set;
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
pub mod dma_buf;
#[cfg(CONFIG_SPAPR_TCE_IOMMU)]
pub mod eeh;
pub mod emulated_device;
pub mod eventfd;
pub mod fops;
pub mod group_kind;
pub mod holders;
pub mod ida;
pub mod info_cap;
pub mod interval_tree;
pub mod iommu_backend;
pub mod iommu_domain;
pub mod iommu_driver;
pub mod iommu_group;
pub mod iommu_space;
pub mod iommufd;
#[cfg(CONFIG_IOMMUFD)]
pub mod iommufd_device;
pub mod iova_bitmap;
pub mod irq;
pub mod irq_set;
pub mod irqbypass;
pub mod kvm;
pub mod locked_vm;
pub mod memremap;
pub mod misc;
pub mod mmio;
pub mod module_static;
pub mod nospec;
pub mod param;
pub mod pci;
pub mod pci_core_device;
pub mod pin;
pub mod print;
pub mod pseudo_fs;
pub mod ratelimit;
pub mod refusal;
#[cfg(CONFIG_SPAPR_TCE_IOMMU)]
pub mod registered_memory;
pub mod registry;
pub mod runtime_pm;
pub mod rwsem;
pub mod taint;
pub mod task;
#[cfg(CONFIG_SPAPR_TCE_IOMMU)]
pub mod tce_group;
#[cfg(CONFIG_SPAPR_TCE_IOMMU)]
pub mod tce_table;
pub mod uaccess;
pub mod uapi;
pub mod uuid;
pub mod versions;
pub mod vfio_device;
pub mod vfio_file;
pub mod virqfd;
pub mod virqfds;
pub mod vma;
pub mod wait;
