// SPDX-License-Identifier: GPL-2.0

//! The regions of a device: what there is, and reads and writes.

use crate::{
    config,
    memory,
    power,
    rdwr,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::prelude::*;
use vfio_kapi::{
    info_cap::InfoCaps,
    nospec,
    pci::{
        self,
        config as hw,
        rom::Rom, //
    },
    pci_core_device::regions::Region,
    uaccess::UserArg,
    uapi::{
        vfio_info_cap_header,
        vfio_region_info,
        vfio_region_info_cap_type, //
    }, //
};
use vfio_logic::region;

const READ: u32 = vfio_kapi::uapi::VFIO_REGION_INFO_FLAG_READ;
const WRITE: u32 = vfio_kapi::uapi::VFIO_REGION_INFO_FLAG_WRITE;
pub(crate) const MMAP: u32 = vfio_kapi::uapi::VFIO_REGION_INFO_FLAG_MMAP;
const CAP_TYPE: u16 = vfio_kapi::uapi::VFIO_REGION_INFO_CAP_TYPE as u16;
const CAP_MSIX_MAPPABLE: u16 = vfio_kapi::uapi::VFIO_REGION_INFO_CAP_MSIX_MAPPABLE as u16;

/// A region that a driver added.
///
/// # Errors
///
/// `EINVAL` if there is none of that index.
pub(crate) fn added(dev: &Device, index: u32) -> Result<&Region> {
    let regions = dev.regions();
    let i = region::added(index).ok_or(EINVAL)?;
    regions
        .get(nospec::index(i, regions.len()))
        .filter(|_| i < regions.len())
        .ok_or(EINVAL)
}

/// `VFIO_DEVICE_GET_REGION_INFO`, without what `vfio.ko` does of it.
///
/// # Errors
///
/// `EINVAL` if there is no such region; `ENOMEM`; that of a driver that added the region.
pub(crate) fn info(dev: &Device, info: &mut vfio_region_info, caps: &mut InfoCaps) -> Result {
    let (size, flags) = match info.index {
        region::CONFIG => (hw::size(dev.pdev()) as u64, READ | WRITE),
        region::BAR0..=region::BAR5 => bar_info(dev, info.index, caps)?,
        region::ROM => rom_info(dev),
        region::VGA if dev.has(Flag::HasVga) => (region::VGA_SIZE, READ | WRITE),
        region::VGA => return Err(EINVAL),
        index => {
            let region = added(dev, index)?;
            let mut cap = vfio_region_info_cap_type::default();
            cap.header.id = CAP_TYPE;
            cap.header.version = 1;
            (cap.type_, cap.subtype) = region.kind();
            caps.add(&mut cap)?;
            dev.region_add_capability(region, caps)?;
            (region.size(), region.flags())
        }
    };
    info.offset = region::offset(info.index);
    info.size = size;
    info.flags = flags;
    Ok(())
}

fn bar_info(dev: &Device, bar: u32, caps: &mut InfoCaps) -> Result<(u64, u32)> {
    let size = pci::resource_len(dev.pdev(), bar);
    if size == 0 {
        return Ok((0, 0));
    }
    if !dev.is_mappable(bar) {
        return Ok((size, READ | WRITE));
    }
    if dev.msix_table(bar).is_some() {
        // The MSI-X table is in this BAR, and may be mapped all the same.
        let mut cap = vfio_info_cap_header {
            id: CAP_MSIX_MAPPABLE,
            version: 1,
            next: 0,
        };
        caps.add(&mut cap)?;
    }
    Ok((size, READ | WRITE | MMAP))
}

fn rom_info(dev: &Device) -> (u64, u32) {
    let pdev = dev.pdev();
    let readable = if pci::resource_start(pdev, region::ROM) != 0 {
        // Whether there is something in the ROM is only seen with memory accesses on. The mapping
        // goes before they are off again.
        let _enabled = memory::memory_lock_and_enable(dev);
        Rom::map(pdev).is_some()
    } else {
        true
    };
    match rdwr::rom_size(dev) {
        Some(size) if readable => (size, READ),
        _ => (0, 0),
    }
}

/// Reads from or writes to the device file.
///
/// # Errors
///
/// `EINVAL` if there is no such region, or it cannot be written; `EIO` if the device cannot be
/// resumed; that of the region.
#[inline(always)]
pub(crate) fn rw(
    dev: &Device,
    buf: UserArg,
    count: usize,
    pos: &mut i64,
    write: bool,
) -> Result<usize> {
    let start = u64::try_from(*pos)?;
    let (index, offset) = region::split(start);
    if count == 0 {
        return Ok(0);
    }
    let added = match index {
        ..region::NUM_REGIONS => None,
        index => Some(added(dev, index)?),
    };
    let _awake = power::awake(dev)?;

    let done = match (index, added) {
        // Moves the position on itself.
        (_, Some(region)) => return dev.region_rw(region, buf, count, pos, write),
        (region::CONFIG, _) => config::rw(dev, buf, count, start, write),
        (region::ROM, _) if write => Err(EINVAL),
        (region::ROM, _) => rdwr::rom(dev, buf, offset, count),
        #[cfg(CONFIG_VFIO_PCI_VGA)]
        (region::VGA, _) => rdwr::vga(dev, buf, offset, count, write),
        #[cfg(not(CONFIG_VFIO_PCI_VGA))]
        (region::VGA, _) => Err(EINVAL),
        (bar, _) => rdwr::bar(dev, bar, buf, offset, count, write),
    }?;
    *pos = pos.checked_add(i64::try_from(done)?).ok_or(EINVAL)?;
    Ok(done)
}
