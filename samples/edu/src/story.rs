// SPDX-License-Identifier: GPL-2.0

//! The chapters.

pub mod bar;
pub mod close;
pub mod device;
pub mod dma;
pub mod events;
pub mod intx;
pub mod msi;
pub mod noiommu;
pub mod open;
pub mod request;
pub mod reset;
pub mod rust_vmm;
