// SPDX-License-Identifier: GPL-2.0

//! The same device through rust-vmm's `vfio-ioctls`, the client in virtual machine monitors.

#![allow(unsafe_code)]

use std::sync::Arc;

use anyhow::Result;
use vfio_bindings::bindings::vfio;
use vfio_ioctls::VfioContainer;
use vfio_ioctls::VfioDevice;

use crate::edu;
use crate::event::Counter;
use crate::host;
use crate::host::PciDevice;
use crate::memory::DmaBuffer;
use crate::pci;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// Opens the device anew and uses it as a virtual machine monitor does.
pub fn client(t: &mut Transcript, host: &PciDevice, iova: u64, locked: u64) -> Result<()> {
    t.chapter("Another client: rust-vmm's vfio-ioctls");
    let container = Arc::new(t.succeed("open a container", VfioContainer::new(None))?);
    let device = VfioDevice::new(&host.path(), container.clone(), false);
    let device = t.succeed("open the group and the device", device)?;
    t.equal(
        "size of BAR 0",
        Hex(device.get_region_size(vfio::VFIO_PCI_BAR0_REGION_INDEX)),
        Hex(edu::BAR_SIZE),
    )?;
    let config = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
    let mut id = [0; 4];
    device.region_read(config, &mut id, pci::VENDOR_ID);
    t.equal(
        "vendor and device ID",
        Hex(u32::from_le_bytes(id)),
        Hex(edu::VENDOR_DEVICE),
    )?;
    let on = pci::COMMAND_MEMORY.to_le_bytes();
    device.region_write(config, &on, pci::COMMAND);
    let mut id = [0; 4];
    device.region_read(vfio::VFIO_PCI_BAR0_REGION_INDEX, &mut id, edu::ID as u64);
    let id = u32::from_le_bytes(id) & 0xffff;
    t.equal(
        "identification, by read(2)",
        Hex(id),
        Hex(edu::IDENTIFICATION),
    )?;

    let buffer = DmaBuffer::new(2)?;
    // SAFETY: the buffer is unmapped below before it is dropped, and all accesses are volatile.
    let mapped = unsafe { container.vfio_dma_map(iova, buffer.size(), buffer.pointer()) };
    t.succeed("map memory", mapped)?;
    t.succeed("unmap it", container.vfio_dma_unmap(iova, buffer.size()))?;

    let counter = Counter::new()?;
    t.succeed(
        "MSI on an eventfd",
        device.enable_msi(vec![counter.eventfd()]),
    )?;
    let triggered = device.trigger_irq(vfio::VFIO_PCI_MSI_IRQ_INDEX, 0);
    t.succeed("trigger it", triggered)?;
    t.equal("interrupts", counter.count(1)?, 1)?;
    t.succeed("MSI off", device.disable_msi())?;
    device.reset();

    drop(device);
    drop(container);
    t.equal(
        "closed; locked memory, in kB, as before",
        host::locked_kb()?,
        locked,
    )
}
