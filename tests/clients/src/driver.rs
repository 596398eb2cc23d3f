// SPDX-License-Identifier: GPL-2.0

//! The crate `pci-driver`, for drivers in user space.

use std::os::fd::AsRawFd;

use anyhow::ensure;
use anyhow::Context;
use anyhow::Result;
use pci_driver::backends::vfio::VfioPciDevice;
use pci_driver::device::PciDevice;
use pci_driver::regions::structured::PciRegisterRw;
use pci_driver::regions::AsPciSubregion;
use pci_driver::regions::PciRegion;
use pci_driver::regions::Permissions;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::eventfd::EFD_NONBLOCK;

use crate::memory;
use crate::memory::Buffer;

/// All that the crate does with a device.
pub fn run(address: &str) -> Result<()> {
    let path = format!("/sys/bus/pci/devices/{address}");
    let device = VfioPciDevice::open(&path)?;
    println!("groups {}", device.container().groups().len());
    ensure!(VfioPciDevice::open(&path).is_err(), "opened twice");
    for _ in 0..2 {
        registers(&device)?;
        regions(&device)?;
        mappings(&device)?;
        interrupts(&device)?;
        println!("reset: {:?}", device.reset().map_err(|e| e.raw_os_error()));
    }
    drop(device);
    let locked = memory::locked()?;
    ensure!(locked == 0, "{locked} kB stay locked");
    println!("closed");
    Ok(())
}

fn registers(device: &VfioPciDevice) -> Result<()> {
    let config = device.config();
    println!(
        "{:04x}:{:04x} revision {:x}, subsystem {:04x}:{:04x}, pin {}",
        config.vendor_id().read()?,
        config.device_id().read()?,
        config.revision_id().read()?,
        config.subsystem_vendor_id().read()?,
        config.subsystem_id().read()?,
        config.interrupt_pin().read()?,
    );
    config.command().memory_space_enable().write(true)?;
    config.command().bus_master_enable().write(true)?;
    ensure!(
        config.command().memory_space_enable().read()?,
        "memory stays off"
    );
    let line: PciRegisterRw<'_, u8> = config.interrupt_line();
    line.write(line.read()? ^ 0xff)?;
    println!("capabilities {}", config.capabilities()?.iter().count());
    let extended = config.extended_capabilities();
    println!(
        "extended {:?}",
        extended.map(|e| e.iter().count()).map_err(|e| e.kind())
    );
    let mut space = [0; 64];
    config.as_subregion().read_bytes(0, &mut space)?;
    println!("header {space:02x?}");
    Ok(())
}

fn regions(device: &VfioPciDevice) -> Result<()> {
    for index in 0..6 {
        let Some(bar) = device.bar(index) else {
            println!("BAR {index}: none");
            continue;
        };
        println!(
            "BAR {index}: {:#x} bytes, {:?}, mappable {}",
            bar.len(),
            bar.permissions(),
            bar.is_mappable()
        );
        if bar.is_mappable() {
            let mapped = bar.map(.., Permissions::ReadWrite).context("map a BAR")?;
            // The registers of most devices do not like to be read, so their memory is only there.
            println!("  mapped {:#x} bytes", mapped.len());
        }
    }
    println!("ROM {:?}", device.rom().map(|rom| rom.len()));
    Ok(())
}

fn mappings(device: &VfioPciDevice) -> Result<()> {
    let iommu = device.iommu();
    println!(
        "pages of {:#x}, ranges {:x?}, {} mappings left",
        iommu.alignment(),
        iommu.valid_iova_ranges(),
        iommu.max_num_mappings()
    );
    let start = iommu.valid_iova_ranges().first().context("no range")?.start;
    let buffer = Buffer::new(0x8000)?;
    for permissions in [
        Permissions::Read,
        Permissions::Write,
        Permissions::ReadWrite,
    ] {
        // SAFETY: nothing refers to the buffer but by pointer, and the device is not told of it.
        unsafe { iommu.map(start, buffer.size(), buffer.pointer(), permissions) }.context("map")?;
        println!("locked {} kB", memory::locked()?);
        iommu.unmap(start, buffer.size()).context("unmap")?;
    }
    Ok(())
}

fn interrupts(device: &VfioPciDevice) -> Result<()> {
    let interrupts = device.interrupts();
    let kinds = [
        ("INTx", interrupts.intx()),
        ("MSI", interrupts.msi()),
        ("MSI-X", interrupts.msi_x()),
    ];
    for (name, kind) in kinds {
        println!("{name}: {}", kind.max());
        let counters: Vec<_> = (0..kind.max())
            .map(|_| EventFd::new(EFD_NONBLOCK))
            .collect::<std::io::Result<_>>()?;
        if counters.is_empty() {
            continue;
        }
        let numbers: Vec<_> = counters.iter().map(AsRawFd::as_raw_fd).collect();
        kind.enable(&numbers).context("enable")?;
        kind.enable(&numbers).context("enable anew")?;
        kind.disable().context("disable")?;
        println!(
            "  off twice: {:?}",
            kind.disable().map_err(|e| e.raw_os_error())
        );
    }
    Ok(())
}
