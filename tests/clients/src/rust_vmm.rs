// SPDX-License-Identifier: GPL-2.0

//! rust-vmm's `vfio-ioctls`. (Its part for iommufd needs a compiler newer than the kernel's.)

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use vfio_bindings::bindings::vfio;
use vfio_ioctls::VfioContainer;
use vfio_ioctls::VfioDevice;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use crate::memory;
use crate::memory::Buffer;

const IOVA: u64 = 0x1000_0000;
/// Bits of the command register: accesses to ports and memory, and DMA.
const COMMAND: [u8; 2] = [0x07, 0x00];

fn path(address: &str) -> PathBuf {
    PathBuf::from("/sys/bus/pci/devices").join(address)
}

/// Takes the device by its group and a container.
pub fn run(address: &str) -> Result<()> {
    let container = Arc::new(VfioContainer::new(None)?);
    let device = VfioDevice::new(&path(address), container.clone(), true)?;
    // Its group is held: nobody else gets it.
    let other = Arc::new(VfioContainer::new(None)?);
    let second = VfioDevice::new(&path(address), other, true);
    println!("a second opener: {}", outcome(second));
    whole(&device, container.as_ref())?;
    drop(device);
    drop(container);
    closed()
}

/// All that the crate does with a device.
fn whole(device: &VfioDevice, container: &VfioContainer) -> Result<()> {
    regions(device)?;
    mappings(container)?;
    interrupts(device)?;
    println!("migration: {:?}", device.query_migration_support());
    device.reset();
    registers(device);
    // Left as it is: closing has to tidy up.
    let buffer = Buffer::new(0x10_0000)?;
    // SAFETY: nothing refers to the buffer but by pointer, and the device is not told of it.
    unsafe { container.vfio_dma_map(IOVA, buffer.size(), buffer.pointer()) }?;
    let counters = counters(1)?;
    if count(device, vfio::VFIO_PCI_MSI_IRQ_INDEX) > 0 {
        device.enable_msi(counters.iter().collect())?;
    }
    Ok(())
}

/// Nothing stays locked when all is closed.
fn closed() -> Result<()> {
    let locked = memory::locked()?;
    ensure!(locked == 0, "{locked} kB stay locked");
    println!("closed");
    Ok(())
}

fn outcome<T, E: std::fmt::Display>(result: std::result::Result<T, E>) -> String {
    match result {
        Ok(_) => "done".into(),
        Err(error) => error.to_string(),
    }
}

fn regions(device: &VfioDevice) -> Result<()> {
    for index in 0..vfio::VFIO_PCI_NUM_REGIONS {
        println!(
            "region {index}: {:#x} bytes at {:#x}, flags {:#x}, {:?}",
            device.get_region_size(index),
            device.get_region_offset(index),
            device.get_region_flags(index),
            device.get_region_caps(index),
        );
    }
    registers(device);
    let config = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
    device.region_write(config, &COMMAND, 4);
    let mut command = [0; 2];
    device.region_read(config, &mut command, 4);
    println!("command {command:02x?}");
    ensure!(command[0] & 0x06 == 0x06, "memory and DMA are not on");
    Ok(())
}

/// The header of configuration space, and what the first BARs of memory begin with.
fn registers(device: &VfioDevice) {
    let mut header = [0; 64];
    device.region_read(vfio::VFIO_PCI_CONFIG_REGION_INDEX, &mut header, 0);
    println!("header {header:02x?}");
}

fn mappings(container: &VfioContainer) -> Result<()> {
    let buffer = Buffer::new(0x40_0000)?;
    for size in [0x1000, 0x20_0000, 0x40_0000] {
        // SAFETY: nothing refers to the buffer but by pointer, and the device is not told of it.
        unsafe { container.vfio_dma_map(IOVA, size, buffer.pointer()) }.context("map")?;
        // SAFETY: as above.
        let again = unsafe { container.vfio_dma_map(IOVA, 0x1000, buffer.pointer()) };
        println!("mapped {size:#x}, once more: {}", outcome(again));
        println!("locked {} kB", memory::locked()?);
        container.vfio_dma_unmap(IOVA, size).context("unmap")?;
    }
    // SAFETY: as above.
    let odd = unsafe { container.vfio_dma_map(IOVA + 1, 0x1000, buffer.pointer()) };
    println!("at an odd address: {}", outcome(odd));
    // SAFETY: what is not there cannot be mapped, let alone be used.
    let nothing = unsafe { container.vfio_dma_map(IOVA, 0x1000, std::ptr::null_mut()) };
    println!("of no memory: {}", outcome(nothing));
    println!(
        "unmap nothing: {}",
        outcome(container.vfio_dma_unmap(IOVA, 0x1000))
    );
    println!("locked {} kB", memory::locked()?);
    Ok(())
}

fn count(device: &VfioDevice, index: u32) -> u32 {
    device.get_irq_info(index).map_or(0, |info| info.count)
}

fn counters(number: u32) -> Result<Vec<EventFd>> {
    Ok((0..number)
        .map(|_| EventFd::new(EFD_NONBLOCK))
        .collect::<std::io::Result<_>>()?)
}

fn interrupts(device: &VfioDevice) -> Result<()> {
    println!("at most {} interrupts", device.max_interrupts());
    for index in 0..vfio::VFIO_PCI_NUM_IRQS {
        match device.get_irq_info(index) {
            Some(info) => println!(
                "interrupt {index}: {} of them, flags {:#x}",
                info.count, info.flags
            ),
            None => println!("interrupt {index}: none"),
        }
        let number = count(device, index).min(5);
        if number == 0 {
            println!("  enable: {}", outcome(device.enable_irq(index, vec![])));
            continue;
        }
        let counters = counters(number)?;
        for _ in 0..2 {
            device
                .enable_irq(index, counters.iter().collect())
                .context("enable")?;
            for vector in 0..number {
                device.trigger_irq(index, vector).context("trigger")?;
            }
            let seen: Vec<_> = counters.iter().map(|c| c.read().unwrap_or(0)).collect();
            println!("  triggered: {seen:?}");
            ensure!(seen.iter().all(|&n| n == 1), "interrupts are lost");
            if index == vfio::VFIO_PCI_INTX_IRQ_INDEX {
                let resample = EventFd::new(EFD_NONBLOCK)?;
                device
                    .set_irq_resample_fd(index, vec![&resample])
                    .context("resample")?;
                resample.write(1)?;
                device.unmask_irq(index).context("unmask")?;
            }
            let beyond = device.trigger_irq(index, count(device, index));
            println!("  beyond: {}", outcome(beyond));
            device.disable_irq(index).context("disable")?;
            println!("  while off: {}", outcome(device.trigger_irq(index, 0)));
        }
    }
    Ok(())
}
