// SPDX-License-Identifier: GPL-2.0

//! The interrupt pin of a PCI function (PCI Local Bus 3.0, 2.2.6).
//!
//! All functions here may be called in any context.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use super::raw;
use crate::irq::Line;
use kernel::{
    bindings,
    pci, //
};

/// The interrupt that the pin is wired to, if any.
#[inline]
pub fn line(pdev: &pci::Device) -> Option<Line> {
    // SAFETY: The function is valid.
    let irq = unsafe { (*raw(pdev)).irq };
    (irq != 0 && irq != bindings::IRQ_NOTCONNECTED).then(|| Line::fixed(irq))
}

/// Allows or, by Interrupt Disable of the command register, forbids the function to assert the pin.
#[inline]
pub fn set_enabled(pdev: &pci::Device, enabled: bool) {
    // SAFETY: The function is valid.
    unsafe { bindings::pci_intx(raw(pdev), enabled.into()) };
}

/// Forbids the function to assert the pin if it does so right now; returns whether it did.
#[inline]
pub fn check_and_mask(pdev: &pci::Device) -> bool {
    // SAFETY: The function is valid.
    unsafe { bindings::pci_check_and_mask_intx(raw(pdev)) }
}

/// Allows the function to assert the pin, unless it would do so at once; returns whether it did not.
#[inline]
pub fn check_and_unmask(pdev: &pci::Device) -> bool {
    // SAFETY: The function is valid.
    unsafe { bindings::pci_check_and_unmask_intx(raw(pdev)) }
}
