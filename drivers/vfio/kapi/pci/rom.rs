// SPDX-License-Identifier: GPL-2.0

//! The expansion ROM of a function.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use crate::mmio::Mmio;
use kernel::{
    bindings,
    ffi::c_void,
    pci, //
};

/// The length of the copy that the firmware made of the ROM, if it did.
pub fn shadow_len(pdev: &pci::Device) -> Option<usize> {
    // SAFETY: The device is valid; both fields are set when the device is found.
    let (rom, len) = unsafe { ((*raw(pdev)).rom, (*raw(pdev)).romlen) };
    (rom != 0 && len != 0).then_some(len)
}

/// A ROM mapped for reading.
///
/// # Invariants
///
/// `io` is mapped for `len` bytes: by `pci_map_rom()` if `own`, else by `ioremap()`.
pub struct Rom<'a> {
    pdev: &'a pci::Device,
    io: *mut c_void,
    len: usize,
    own: bool,
}

impl<'a> Rom<'a> {
    /// Maps the function's own ROM, and turns its decoder on. The length is that of the images in it.
    ///
    /// Memory decoding must be on, or no image is found. `None` if there is nothing to map.
    pub fn map(pdev: &'a pci::Device) -> Option<Self> {
        let mut len = 0;
        // SAFETY: The device is valid, `len` is for the function to write to.
        let io = unsafe { bindings::pci_map_rom(raw(pdev), &mut len) };
        // INVARIANT: Just mapped by `pci_map_rom()`.
        (!io.is_null()).then(|| Self {
            pdev,
            io,
            len,
            own: true,
        })
    }

    /// Maps the copy that the firmware made. `None` if there is none or it cannot be mapped.
    pub fn map_shadow(pdev: &'a pci::Device) -> Option<Self> {
        let len = shadow_len(pdev)?;
        // SAFETY: The firmware told that the ROM is at this address.
        let io = unsafe { bindings::ioremap((*raw(pdev)).rom, len) };
        // INVARIANT: Just mapped by `ioremap()`.
        (!io.is_null()).then(|| Self {
            pdev,
            io,
            len,
            own: false,
        })
    }

    /// The ROM, to be read.
    pub fn mmio(&self) -> Mmio<'_> {
        // SAFETY: Mapped for `len` bytes by the type invariant, until `self` is dropped.
        unsafe { Mmio::from_raw(self.io, self.len as u64) }
    }
}

impl Drop for Rom<'_> {
    fn drop(&mut self) {
        if self.own {
            // SAFETY: By the type invariant this is what `pci_map_rom()` returned.
            unsafe { bindings::pci_unmap_rom(raw(self.pdev), self.io) };
        } else {
            // SAFETY: By the type invariant this is what `ioremap()` returned.
            unsafe { bindings::iounmap(self.io) };
        }
    }
}
