// SPDX-License-Identifier: GPL-2.0

//! The legacy ranges of VGA, mapped and routed to one function.
//!
//! C header: [`include/linux/vgaarb.h`](srctree/include/linux/vgaarb.h)

use super::raw;
use crate::mmio::Mmio;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_void,
    pci,
    prelude::*, //
};
use vfio_bindings as vb;
use vfio_logic::region::{
    vga_range,
    VgaRange, //
};

/// A legacy range, mapped and routed to one function until dropped.
///
/// # Invariants
///
/// The range is mapped: by `ioport_map()` if it is one of ports, else by `ioremap()`. Once it is
/// `routed`, the arbiter's lock for it is held.
pub struct Legacy<'a> {
    pdev: &'a pci::Device,
    io: *mut c_void,
    range: VgaRange,
    routed: bool,
}

impl<'a> Legacy<'a> {
    /// Maps the range and waits until it is routed to the function.
    ///
    /// # Errors
    ///
    /// `EINVAL` if this is no legacy range; `ENOMEM`; `ERESTARTSYS` if a signal came.
    pub fn acquire(pdev: &'a pci::Device, range: VgaRange) -> Result<Self> {
        if vga_range(range.start.into())? != range {
            return Err(EINVAL);
        }
        // SAFETY: Checked to be a legacy range; these are where they are on all machines with VGA.
        let io = unsafe {
            if range.ports {
                bindings::ioport_map(range.start as usize, range.len)
            } else {
                bindings::ioremap(range.start.into(), range.len as usize)
            }
        };
        if io.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: Just mapped, and not yet routed.
        let mut legacy = Self {
            pdev,
            io,
            range,
            routed: false,
        };
        // SAFETY: The device is valid.
        to_result(unsafe { vb::vga_get(raw(pdev), legacy.resource(), 1) })?;
        // INVARIANT: The lock was just taken.
        legacy.routed = true;
        Ok(legacy)
    }

    fn resource(&self) -> u32 {
        if self.range.ports {
            vb::VGA_RSRC_LEGACY_IO
        } else {
            vb::VGA_RSRC_LEGACY_MEM
        }
    }

    /// The range.
    pub fn mmio(&self) -> Mmio<'_> {
        // SAFETY: Mapped by the type invariant, until `self` is dropped.
        unsafe { Mmio::from_raw(self.io, self.range.len.into()) }
    }
}

impl Drop for Legacy<'_> {
    fn drop(&mut self) {
        if self.routed {
            // SAFETY: The lock is held by the type invariant.
            unsafe { vb::vga_put(raw(self.pdev), self.resource()) };
        }
        // SAFETY: Mapped so by the type invariant.
        unsafe {
            if self.range.ports {
                bindings::ioport_unmap(self.io);
            } else {
                bindings::iounmap(self.io);
            }
        }
    }
}
