// SPDX-License-Identifier: GPL-2.0

//! What a PCI device is and can do: interrupts, MSI-X table, AtomicOps, quirks.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::{
    errno::{
        Result,
        EINVAL, //
    },
    irq, //
};
use core::ops::Range;

/// Whether the function cannot be trusted to tell that it asserts INTx, so that INTx is not offered.
pub fn has_broken_intx(vendor: u16, device: u16) -> bool {
    const INTEL: u16 = 0x8086;
    vendor == INTEL
        && matches!(
            device,
            // XL710, X710, XXV710
            0x1572 | 0x1574 | 0x1580..=0x1581 | 0x1583..=0x158b | 0x37d0..=0x37d2
            // X550
            | 0x1563
        )
}

/// Where the MSI-X table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixTable {
    /// The BAR it is in; may be none that exists.
    pub bar: u32,
    /// Where in the BAR it starts.
    pub offset: u32,
    /// The number of vectors, 1 to 2048.
    pub vectors: u16,
}

impl MsixTable {
    /// Decodes the Message Control and Table Offset registers of the MSI-X capability (PCI Express
    /// Base Specification, 7.7.2).
    pub const fn decode(control: u16, table: u32) -> Self {
        Self {
            bar: table & 0x7,
            offset: table & !0x7,
            vectors: (control & 0x7ff) + 1,
        }
    }

    /// The bytes of the BAR that the table is in.
    #[inline]
    pub const fn range(&self) -> Range<u64> {
        let start = self.offset as u64;
        start..start + self.vectors as u64 * 16
    }
}

/// The number of MSI vectors that a function can have, from its Message Control register (7.7.1).
/// The two reserved encodings of it are taken as they come.
pub const fn msi_vectors(control: u16) -> u32 {
    1 << (control >> 1 & 0x7)
}

/// `VFIO_IRQ_INFO_EVENTFD`
pub const IRQ_EVENTFD: u32 = 1 << 0;
/// `VFIO_IRQ_INFO_MASKABLE`
pub const IRQ_MASKABLE: u32 = 1 << 1;
/// `VFIO_IRQ_INFO_AUTOMASKED`
pub const IRQ_AUTOMASKED: u32 = 1 << 2;
/// `VFIO_IRQ_INFO_NORESIZE`
pub const IRQ_NORESIZE: u32 = 1 << 3;

/// The flags of `struct vfio_irq_info`.
///
/// # Errors
///
/// `EINVAL` if there is no such interrupt.
pub fn irq_flags(index: u32, dynamic_msix: bool) -> Result<u32> {
    match index {
        irq::INTX => Ok(IRQ_EVENTFD | IRQ_MASKABLE | IRQ_AUTOMASKED),
        irq::MSIX if dynamic_msix => Ok(IRQ_EVENTFD),
        irq::MSI | irq::MSIX | irq::ERR | irq::REQ => Ok(IRQ_EVENTFD | IRQ_NORESIZE),
        _ => Err(EINVAL),
    }
}

/// The sizes of AtomicOps that a function can complete: the bits of Device Capabilities 2 (7.5.3.15)
/// and of `struct vfio_device_info_cap_pci_atomic_comp`.
pub const ATOMIC_COMPLETERS: [(u32, u32); 3] =
    [(1 << 7, 1 << 0), (1 << 8, 1 << 1), (1 << 9, 1 << 2)];

/// Whether a BAR can be mapped by user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mappable {
    /// No.
    No,
    /// Yes.
    Yes,
    /// If the rest of the page it starts can be had.
    WithRestOfPage,
}

/// Whether a BAR at `start` of `len` bytes can be mapped by user space. A page that something else
/// may be in cannot.
pub const fn mappable(memory: bool, start: u64, len: u64, page_size: u64) -> Mappable {
    if !memory || len == 0 {
        Mappable::No
    } else if len >= page_size {
        Mappable::Yes
    } else if start % page_size == 0 {
        Mappable::WithRestOfPage
    } else {
        Mappable::No
    }
}

/// `struct phys_vec` and `struct vfio_region_dma_range`: where a range of a BAR is.
///
/// # Errors
///
/// `EINVAL` if it is empty or not in the BAR, `EOVERFLOW` if it cannot be anywhere.
pub fn dma_range(bar_start: u64, bar_len: u64, offset: u64, len: u64) -> Result<u64> {
    use crate::errno::EOVERFLOW;

    if len == 0 {
        return Err(EINVAL);
    }
    let start = bar_start.checked_add(offset).ok_or(EOVERFLOW)?;
    let end = start.checked_add(len).ok_or(EOVERFLOW)?;
    // What would have a BAR go on behind the last address has nothing in it.
    match bar_start.checked_add(bar_len) {
        Some(bar_end) if end <= bar_end => Ok(start),
        _ => Err(EINVAL),
    }
}

/// Which legacy ranges a VGA function is said to decode: none only if the user gets none, and a
/// bridge above can keep them away.
pub const fn hides_legacy_vga(
    single: bool,
    user_gets_vga: bool,
    on_root_bus: bool,
    has_neighbour: bool,
) -> bool {
    !single && !user_gets_vga && !on_root_bus && !has_neighbour
}
