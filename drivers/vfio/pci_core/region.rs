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
        // goes before they are off again, which a temporary at the end of a block would not.
        let _enabled = memory::memory_lock_and_enable(dev);
        let rom = Rom::map(pdev);
        rom.is_some()
    } else {
        true
    };
    match rdwr::rom_size(dev) {
        Some(size) if readable => (size, READ),
        _ => (0, 0),
    }
}

/// Reads from or writes to the device file. Returns the number of bytes, or a negative errno: that of `EINVAL` if
/// there is no such region, or it cannot be written; of `EIO` if the device cannot be resumed; that of the region.
// Each of the three is a function of its own: so the compiler jumps there, and what one needs of registers and stack
// costs the others nothing.
#[inline(always)]
pub(crate) fn rw<const WRITE: bool>(
    dev: &Device,
    buf: UserArg,
    count: usize,
    pos: &mut i64,
) -> isize {
    // A negative position is behind all regions as well, where it is refused.
    // CAST: So it becomes.
    match region::split(*pos as u64).0 {
        region::BAR0..=region::BAR5 => bar_rw::<WRITE>(dev, buf, count, pos),
        region::CONFIG => config_rw::<WRITE>(dev, buf, count, pos),
        _ => other_rw::<WRITE>(dev, buf, count, pos),
    }
}

/// A number of bytes or a negative errno.
pub(crate) fn size_or_errno(result: Result<usize>) -> isize {
    // CAST: The kernel limits a read or write to `MAX_RW_COUNT`; an errno is small.
    result.map_or_else(|e| e.to_errno() as isize, |n| n as isize)
}

/// One register of a BAR, and whatever else.
#[inline(never)]
fn bar_rw<const WRITE: bool>(dev: &Device, buf: UserArg, count: usize, pos: &mut i64) -> isize {
    match rdwr::register::<WRITE>(dev, buf, count, *pos) {
        Some(done) => size_or_errno(done.and_then(|()| moved(pos, count))),
        None => other_rw::<WRITE>(dev, buf, count, pos),
    }
}

/// Configuration space.
#[inline(never)]
fn config_rw<const WRITE: bool>(dev: &Device, buf: UserArg, count: usize, pos: &mut i64) -> isize {
    let rw = |pos: &mut i64| {
        let start = u64::try_from(*pos)?;
        if count == 0 {
            return Ok(0);
        }
        let _awake = power::awake(dev)?;
        let done = config::rw::<WRITE>(dev, buf, count, start)?;
        moved(pos, done)
    };
    size_or_errno(rw(pos))
}

/// Everything but configuration space.
#[inline(never)]
fn other_rw<const WRITE: bool>(dev: &Device, buf: UserArg, count: usize, pos: &mut i64) -> isize {
    let rw = |pos: &mut i64| {
        let start = u64::try_from(*pos)?;
        let (index, offset) = region::split(start);
        if count == 0 {
            return Ok(0);
        }
        if index >= region::NUM_REGIONS {
            let region = added(dev, index)?;
            let _awake = power::awake(dev)?;
            // Moves the position on itself.
            return dev.region_rw(region, buf, count, pos, WRITE);
        }
        let _awake = power::awake(dev)?;
        let done = match index {
            region::ROM if WRITE => Err(EINVAL),
            region::ROM => rdwr::rom(dev, buf, offset, count),
            #[cfg(CONFIG_VFIO_PCI_VGA)]
            region::VGA => rdwr::vga(dev, buf, offset, count, WRITE),
            #[cfg(not(CONFIG_VFIO_PCI_VGA))]
            region::VGA => Err(EINVAL),
            bar => rdwr::bar(dev, bar, buf, offset, count, WRITE),
        }?;
        moved(pos, done)
    };
    size_or_errno(rw(pos))
}

/// Moves the position behind what was read or written.
#[inline(always)]
fn moved(pos: &mut i64, done: usize) -> Result<usize> {
    *pos = pos.checked_add(i64::try_from(done)?).ok_or(EINVAL)?;
    Ok(done)
}
