// SPDX-License-Identifier: GPL-2.0

//! The rules of VFIO: what decides, apart from what acts.
//!
//! Pure: no kernel, no unsafe code, no allocation that is not handed in. Runs under `cargo test`
//! and Miri on the host (`tests/host`) as well as in the modules.

#![cfg_attr(not(CONFIG_RUST), no_std)]
#![forbid(unsafe_code)]

pub mod config;
pub mod dirty;
pub mod dma;
pub mod dma_buf;
pub mod errno;
pub mod extent;
pub mod feature;
pub mod group;
pub mod igd;
pub mod info_cap;
pub mod io;
pub mod iommufd;
pub mod iova;
pub mod iova_ranges;
pub mod irq;
pub mod irq_intx;
pub mod irq_set;
pub mod lent;
pub mod migration;
pub mod pci;
pub mod pci_driver;
pub mod region;
pub mod tce;
pub mod type1_info;
pub mod vf_token;
