// SPDX-License-Identifier: GPL-2.0

//! Reads from and writes to BARs, the ROM and legacy VGA ranges.
//!
//! `memory_lock` is held over each single access only, and never while user memory is touched: that
//! may be a mapping of the very same BAR, whose page fault takes the lock.

#[cfg(CONFIG_VFIO_PCI_VGA)]
use crate::state::Flag;
use crate::{
    config,
    state::Device, //
};
use core::ops::Range;
use kernel::prelude::*;
#[cfg(CONFIG_VFIO_PCI_VGA)]
use vfio_kapi::pci::legacy_vga;
use vfio_kapi::{
    mmio::Mmio,
    pci::{
        self,
        rom::{
            self,
            Rom, //
        }, //
    },
    uaccess::UserArg, //
};
use vfio_logic::{
    io::{
        single,
        step,
        Step,
        Width, //
    },
    region, //
};

/// Device memory or ports, and how to access them.
pub(crate) struct Io<'a> {
    /// The device.
    pub(crate) dev: &'a Device,
    /// What is accessed.
    pub(crate) mmio: Mmio<'a>,
    /// It is memory of the device, that answers only if it is enabled.
    pub(crate) memory: bool,
    /// The bytes that are not to be accessed.
    pub(crate) hole: Range<u64>,
    /// The widest access.
    pub(crate) max_width: Width,
}

impl Io<'_> {
    /// Makes one access, if memory accesses are answered.
    ///
    /// # Errors
    ///
    /// `EIO` if they are not.
    #[inline(always)]
    pub(crate) fn access<T>(&self, f: impl FnOnce(Mmio<'_>) -> Result<T>) -> Result<T> {
        let _guard = if self.memory {
            let guard = self.dev.memory_lock().read();
            if !config::memory_enabled(self.dev) {
                return Err(EIO);
            }
            Some(guard)
        } else {
            None
        };
        f(self.mmio)
    }

    /// Reads or writes `count` bytes from `pos` on; returns `count`.
    ///
    /// # Errors
    ///
    /// `EFAULT`, `EIO`. What came before has been done.
    pub(crate) fn rw(&self, buf: UserArg, pos: u64, count: usize, write: bool) -> Result<usize> {
        let mut done = 0;
        while done < count {
            let (hole, max) = (&self.hole, self.max_width);
            let mut at = pos.checked_add(done as u64).ok_or(EINVAL)?;
            match step(at, count - done, hole, max) {
                Step::Access { width, times } => {
                    for _ in 0..times {
                        self.rw_one(buf.offset(done), at, width, write)?;
                        done += width.bytes();
                        at = at.checked_add(width.bytes() as u64).ok_or(EINVAL)?;
                    }
                }
                Step::Hole(len) => {
                    if !write {
                        fill(buf.offset(done), len)?;
                    }
                    done += len;
                }
            }
        }
        Ok(done)
    }

    /// Reads or writes at `at`, in one access, which must not touch the hole.
    #[inline(always)]
    fn rw_one(&self, user: UserArg, at: u64, width: Width, write: bool) -> Result {
        if write {
            let value = user.read_le(width)?;
            self.access(|io| io.write(at, width, value))
        } else {
            let value = self.access(|io| io.read(at, width))?;
            user.write_le(width, value)
        }
    }
}

/// Writes ones to user memory.
fn fill(user: UserArg, len: usize) -> Result {
    const ONES: [u8; 256] = [0xff; 256];

    let mut user = user.writer(len);
    while !user.is_empty() {
        let part = ONES.get(..user.len()).unwrap_or(&ONES);
        user.write_slice(part)?;
    }
    Ok(())
}

/// Reads from or writes to the region of a BAR.
///
/// # Errors
///
/// `EINVAL` if `pos` is not in the BAR; those of the BAR, and of [`Io::rw`].
#[inline(always)]
pub(crate) fn bar(
    dev: &Device,
    bar: u32,
    buf: UserArg,
    pos: u64,
    count: usize,
    write: bool,
) -> Result<usize> {
    let pdev = dev.pdev();
    if pci::resource_start(pdev, bar) == 0 {
        return Err(EINVAL);
    }
    let count = region::clip(pos, count, pci::resource_len(pdev, bar))?;
    let io = Io {
        dev,
        mmio: dev.bar(bar)?,
        memory: pci::is_memory(pdev, bar),
        // Who could write to the table would tell the device where to send interrupts.
        hole: dev.msix_table(bar).map_or(0..0, |table| table.range()),
        max_width: Width::Eight,
    };
    // Nearly always it is one register.
    match single(pos, count, &io.hole, io.max_width) {
        Some(width) => io.rw_one(buf, pos, width, write).map(|()| count),
        None => io.rw(buf, pos, count, write),
    }
}

/// The size of the ROM region: that of the BAR, or of the firmware's copy as a BAR would have it.
pub(crate) fn rom_size(dev: &Device) -> Option<u64> {
    let pdev = dev.pdev();
    if pci::resource_start(pdev, region::ROM) != 0 {
        Some(pci::resource_len(pdev, region::ROM))
    } else {
        (rom::shadow_len(pdev)? as u64).checked_next_power_of_two()
    }
}

/// Reads from the region of the ROM.
///
/// # Errors
///
/// `EINVAL` if there is no ROM or `pos` is not in it, `ENOMEM` if it cannot be mapped; those of
/// [`Io::rw`].
pub(crate) fn rom(dev: &Device, buf: UserArg, pos: u64, count: usize) -> Result<usize> {
    let pdev = dev.pdev();
    let size = rom_size(dev).ok_or(EINVAL)?;
    let count = region::clip(pos, count, size)?;
    let rom = if pci::resource_start(pdev, region::ROM) != 0 {
        Rom::map(pdev)
    } else {
        Rom::map_shadow(pdev)
    };
    let rom = rom.ok_or(ENOMEM)?;
    let mmio = rom.mmio();
    let io = Io {
        dev,
        mmio,
        memory: pci::is_memory(pdev, region::ROM),
        // What is in the BAR beyond the images is not worth to be read.
        hole: mmio.len()..size,
        // There are devices that answer wider reads of the ROM with an error.
        max_width: Width::Four,
    };
    io.rw(buf, pos, count, false)
}

/// Reads from or writes to the region of the legacy VGA ranges.
///
/// # Errors
///
/// `EINVAL` if the device has none or `pos` is not in one; `ENOMEM` if it cannot be mapped;
/// `ERESTARTSYS` if a signal came while waiting for the arbiter; those of [`Io::rw`].
#[cfg(CONFIG_VFIO_PCI_VGA)]
pub(crate) fn vga(
    dev: &Device,
    buf: UserArg,
    pos: u64,
    count: usize,
    write: bool,
) -> Result<usize> {
    if !dev.has(Flag::HasVga) {
        return Err(EINVAL);
    }
    let range = region::vga_range(pos)?;
    let pos = pos - u64::from(range.start);
    let count = region::clip(pos, count, range.len.into())?;
    let legacy = legacy_vga::Legacy::acquire(dev.pdev(), range)?;
    let io = Io {
        dev,
        mmio: legacy.mmio(),
        // These are no BARs, and are meant to be there for all to find.
        memory: false,
        hole: 0..0,
        max_width: Width::Four,
    };
    io.rw(buf, pos, count, write)
}
