// SPDX-License-Identifier: GPL-2.0

//! rust-vmm's `vfio-ioctls`. (Its part for iommufd needs a compiler newer than the kernel's.)

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
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
    ensure!(second.is_err(), "opened twice");
    println!("a second opener: {}", outcome(second));
    whole(&device, container.as_ref(), known(address)?)?;
    drop(device);
    drop(container);
    closed()
}

/// Vendor and device, as the kernel found them.
fn identity(address: &str) -> Result<[u16; 2]> {
    let number = |file| {
        let text = std::fs::read_to_string(path(address).join(file))?;
        let digits = text.trim().trim_start_matches("0x");
        anyhow::Ok(u16::from_str_radix(digits, 16)?)
    };
    Ok([number("vendor")?, number("device")?])
}

/// What is known of a device's registers.
struct Known {
    identity: [u16; 2],
    /// One that a reset clears: region, offset, what can be written to it.
    cleared: Option<(u32, u64, &'static [u8])>,
    /// Those of `edu` raise INTx, and take it back.
    is_edu: bool,
}

fn known(address: &str) -> Result<Known> {
    let identity = identity(address)?;
    let cleared: Option<(u32, u64, &[u8])> = match identity {
        // Wake Up Filter Control.
        [0x8086, 0x10c9] => Some((0, 0x5808, &[0x02, 0, 0, 0])),
        // Controller Configuration: sizes of the entries of queues, while it is off.
        [0x1b36, 0x0010] => Some((0, 0x14, &[0, 0, 0x46, 0])),
        // Device status: ACKNOWLEDGE.
        [0x1af4, 0x1041] => Some((4, 0x14, &[0x01])),
        // It is reset by its power state, which clears nothing in QEMU's model.
        [0x8086, 0x10d3] => None,
        // These cannot be reset.
        [0x1234, 0x11e8] | [0x1af4, 0x1110] => None,
        _ => bail!("nothing is known of {identity:04x?}"),
    };
    Ok(Known {
        identity,
        cleared,
        is_edu: identity == [0x1234, 0x11e8],
    })
}

/// All that the crate does with a device.
fn whole(device: &VfioDevice, container: &VfioContainer, known: Known) -> Result<()> {
    regions(device, &known)?;
    mappings(container)?;
    interrupts(device)?;
    if known.is_edu {
        level(device)?;
    }
    println!("migration: {:?}", device.query_migration_support());
    reset(device, &known)?;
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

/// A reset clears the device's registers; its configuration space is as it was before. (The crate does not say whether
/// a reset failed, and does nothing if there is none.)
fn reset(device: &VfioDevice, known: &Known) -> Result<()> {
    let before = header(device, known)?;
    if let Some((region, at, value)) = known.cleared {
        let mut seen = vec![0; value.len()];
        device.region_write(region, value, at);
        device.region_read(region, &mut seen, at);
        ensure!(seen == value, "a register holds {seen:02x?}");
        device.reset();
        device.region_read(region, &mut seen, at);
        ensure!(seen != value, "a register is not reset");
        ensure!(seen.iter().all(|&byte| byte == 0), "it holds {seen:02x?}");
        println!("reset");
    } else {
        device.reset();
        println!("nothing to see of a reset");
    }
    ensure!(
        header(device, known)? == before,
        "not the same after the reset"
    );
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

fn regions(device: &VfioDevice, known: &Known) -> Result<()> {
    for index in 0..vfio::VFIO_PCI_NUM_REGIONS {
        println!(
            "region {index}: {:#x} bytes at {:#x}, flags {:#x}, {:?}",
            device.get_region_size(index),
            device.get_region_offset(index),
            device.get_region_flags(index),
            device.get_region_caps(index),
        );
    }
    header(device, known)?;
    let config = vfio::VFIO_PCI_CONFIG_REGION_INDEX;
    device.region_write(config, &COMMAND, 4);
    let mut command = [0; 2];
    device.region_read(config, &mut command, 4);
    println!("command {command:02x?}");
    ensure!(command[0] & 0x06 == 0x06, "memory and DMA are not on");
    Ok(())
}

/// The header of configuration space.
fn header(device: &VfioDevice, known: &Known) -> Result<[u8; 64]> {
    let mut header = [0; 64];
    device.region_read(vfio::VFIO_PCI_CONFIG_REGION_INDEX, &mut header, 0);
    println!("header {header:02x?}");
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    ensure!([word(0), word(2)] == known.identity, "another device");
    Ok(header)
}

fn mappings(container: &VfioContainer) -> Result<()> {
    let buffer = Buffer::new(0x40_0000)?;
    for size in [0x1000, 0x20_0000, 0x40_0000] {
        // SAFETY: nothing refers to the buffer but by pointer, and the device is not told of it.
        unsafe { container.vfio_dma_map(IOVA, size, buffer.pointer()) }.context("map")?;
        // SAFETY: as above.
        let again = unsafe { container.vfio_dma_map(IOVA, 0x1000, buffer.pointer()) };
        ensure!(again.is_err(), "mapped twice");
        println!("mapped {size:#x}, once more: {}", outcome(again));
        let locked = memory::locked()?;
        ensure!(locked == size as u64 / 1024, "{locked} kB are locked");
        println!("locked {locked} kB");
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
            ensure!(beyond.is_err(), "a vector that is not there");
            println!("  beyond: {}", outcome(beyond));
            device.disable_irq(index).context("disable")?;
            let off = device.trigger_irq(index, 0);
            ensure!(off.is_err(), "triggered while off");
            println!("  while off: {}", outcome(off));
        }
    }
    Ok(())
}

/// What the eventfd counts within that time; it returns as soon as it is more than nothing.
fn comes(counter: &EventFd, within: Duration) -> u64 {
    let end = Instant::now() + within;
    loop {
        match counter.read() {
            Ok(count) => return count,
            Err(_) if Instant::now() >= end => return 0,
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// INTx of edu, which is asserted until it is acknowledged: it comes once, then again each time that the eventfd of its
/// level, or the call, says that the handler is done, and no more when it is acknowledged.
fn level(device: &VfioDevice) -> Result<()> {
    const RAISE: u64 = 0x60;
    const ACKNOWLEDGE: u64 = 0x64;
    let index = vfio::VFIO_PCI_INTX_IRQ_INDEX;
    let long = Duration::from_secs(60);
    let short = Duration::from_millis(200);
    let one = 1u32.to_le_bytes();
    let trigger = EventFd::new(EFD_NONBLOCK)?;
    let resample = EventFd::new(EFD_NONBLOCK)?;
    device.enable_irq(index, vec![&trigger])?;
    device.set_irq_resample_fd(index, vec![&resample])?;
    device.region_write(vfio::VFIO_PCI_BAR0_REGION_INDEX, &one, RAISE);
    ensure!(comes(&trigger, long) == 1, "INTx does not come");
    ensure!(comes(&trigger, short) == 0, "it comes while it is masked");
    resample.write(1)?;
    ensure!(comes(&trigger, long) == 1, "the eventfd does not unmask it");
    device.unmask_irq(index)?;
    ensure!(comes(&trigger, long) == 1, "the call does not unmask it");
    device.region_write(vfio::VFIO_PCI_BAR0_REGION_INDEX, &one, ACKNOWLEDGE);
    resample.write(1)?;
    ensure!(comes(&trigger, short) == 0, "it comes for nothing");
    device.region_write(vfio::VFIO_PCI_BAR0_REGION_INDEX, &one, RAISE);
    ensure!(comes(&trigger, long) == 1, "it stays masked");
    device.region_write(vfio::VFIO_PCI_BAR0_REGION_INDEX, &one, ACKNOWLEDGE);
    device.disable_irq(index)?;
    println!("INTx until it is acknowledged");
    Ok(())
}
