// SPDX-License-Identifier: GPL-2.0

//! What the kernel knows about a PCI function.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h), `struct pci_dev`

use super::raw;
use kernel::{
    bindings,
    pci, //
};
use vfio_logic::config::bars::Resource;

/// The function is virtual (SR-IOV).
#[inline]
pub fn is_virtfn(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid; the bit is set before the device is added.
    unsafe { bindings::pci_dev::is_virtfn_raw(raw(pdev)) != 0 }
}

/// The function has no memory enable bit in its command register.
#[inline]
pub fn no_command_memory(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid; the bit is set before the device is added.
    unsafe { bindings::pci_dev::no_command_memory_raw(raw(pdev)) != 0 }
}

/// The kernel's vendor and device ID of the function, which configuration space of a VF lacks.
#[inline]
pub fn ids(pdev: &pci::Device) -> (u16, u16) {
    let raw = raw(pdev);
    // SAFETY: The device is valid; the fields are set before the device is added.
    unsafe { ((*raw).vendor, (*raw).device) }
}

/// Whether there is an interrupt line for INTx that can be requested.
#[inline]
pub fn has_irq(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid. The kernel writes the field in one store.
    let irq = unsafe { (&raw const (*raw(pdev)).irq).read_volatile() };
    irq != 0 && irq != bindings::IRQ_NOTCONNECTED
}

/// Whether the function is in a power state in which it answers accesses to its memory (D0 to D2).
#[inline]
pub fn is_awake(pdev: &pci::Device) -> bool {
    super::power_state(pdev) < super::D3HOT
}

/// What is behind BAR number `index`; 6 is the expansion ROM. Nothing beyond.
pub fn resource(pdev: &pci::Device, index: usize) -> Resource {
    let found = u32::try_from(index).ok();
    let Some((start, len, flags)) = found.and_then(|index| super::resource(pdev, index)) else {
        return Resource::default();
    };
    let has = |flag: u32| flags & flag != 0;
    Resource {
        start,
        len,
        io: has(bindings::IORESOURCE_IO),
        prefetch: has(bindings::IORESOURCE_PREFETCH),
        is_64bit: has(bindings::IORESOURCE_MEM_64),
    }
}

/// The size of the copy of the expansion ROM that firmware left in memory, or 0.
pub fn shadow_rom_len(pdev: &pci::Device) -> usize {
    super::rom::shadow_len(pdev).unwrap_or(0)
}
