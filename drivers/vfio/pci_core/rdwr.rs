// SPDX-License-Identifier: GPL-2.0

//! Reads from and writes to BARs, the ROM and legacy VGA ranges.
//!
//! `memory_lock` is held over a few accesses only, and never while user memory is touched: that
//! may be a mapping of the very same BAR, whose page fault takes the lock.

#[cfg(CONFIG_VFIO_PCI_VGA)]
use crate::state::Flag;
use crate::{
    config,
    power,
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
        is_register,
        step,
        Step,
        Width, //
    },
    region, //
};

/// How many bytes are accessed without leaving the device, at most: who waits for `memory_lock` waits for that.
const CHUNK: usize = 256;

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
    /// Makes accesses, if those to memory are answered.
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
            let at = pos.checked_add(done as u64).ok_or(EINVAL)?;
            match step(at, count - done, hole, max) {
                Step::Access { width, times } => {
                    // The first one alone: it says what is wrong with user memory, and lets a stack grow.
                    self.rw_one(buf.offset(done), at, width, write)?;
                    done += width.bytes();
                    let rest = (times - 1) * width.bytes();
                    if rest != 0 && self.memory {
                        let at = at.checked_add(width.bytes() as u64).ok_or(EINVAL)?;
                        let rest = rest.min(CHUNK);
                        done += self.rw_some(buf.offset(done), at, width, rest, write)?;
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
    fn rw_one(&self, user: UserArg, at: u64, width: Width, write: bool) -> Result {
        if write {
            let value = user.read_le(width)?;
            self.access(|io| io.write(at, width, value))
        } else {
            let value = self.access(|io| io.read(at, width))?;
            user.write_le(width, value)
        }
    }

    /// Makes accesses of `width` one behind the other, at most `len` bytes of them, which must not touch the hole;
    /// returns how many bytes they were: none where user memory cannot be accessed. `len` must be a multiple of
    /// `width`, and no more than [`CHUNK`].
    ///
    /// Takes `mmap_lock`, so the caller must not hold `memory_lock`.
    ///
    /// # Errors
    ///
    /// As for [`Self::rw`].
    fn rw_some(
        &self,
        user: UserArg,
        at: u64,
        width: Width,
        len: usize,
        write: bool,
    ) -> Result<usize> {
        let mut bytes = [0; CHUNK];
        let bytes = bytes.get_mut(..len).ok_or(EINVAL)?;
        if write {
            let available = user.read_available(bytes);
            let whole = available - available % width.bytes();
            let bytes = bytes.get(..whole).unwrap_or_default();
            self.access(|io| io.write_all(at, width, bytes))?;
            return Ok(whole);
        }
        // To read may have an effect on the device, so nothing is read that will hardly be told.
        if !user.is_writable(len) {
            return Ok(0);
        }
        self.access(|io| io.read_all(at, width, bytes))?;
        user.write_bytes(bytes)?;
        Ok(len)
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

/// The MSI-X table, if it is in the BAR: who could write there would tell the device where to send interrupts.
#[inline(always)]
fn msix_hole(dev: &Device, bar: u32) -> Range<u64> {
    dev.msix_table(bar).map_or(0..0, |table| table.range())
}

/// Reads or writes one register of the memory behind a BAR: what nearly all accesses to devices are. `pos` is the
/// position in the file. `None`, and nothing has happened, if this is none, or the device is not to be accessed
/// as it is now; for [`bar`] to do it or to say why not.
///
/// The device stays awake without being told to: who lends its usage count to the kernel
/// ([`power::entry`]) holds `memory_lock` for writing.
#[inline(always)]
pub(crate) fn register<const WRITE: bool>(
    dev: &Device,
    buf: UserArg,
    count: usize,
    pos: i64,
) -> Option<Result> {
    let (bar, pos) = region::split(u64::try_from(pos).ok()?);
    // A width that the compiler knows makes each of these a few instructions.
    match count {
        4 => register_of::<WRITE>(dev, buf, bar, pos, Width::Four),
        8 => register_of::<WRITE>(dev, buf, bar, pos, Width::Eight),
        2 => register_of::<WRITE>(dev, buf, bar, pos, Width::Two),
        1 => register_of::<WRITE>(dev, buf, bar, pos, Width::One),
        _ => None,
    }
}

/// [`register`], of a width.
#[inline(always)]
fn register_of<const WRITE: bool>(
    dev: &Device,
    buf: UserArg,
    bar: u32,
    pos: u64,
    width: Width,
) -> Option<Result> {
    if !pci::is_memory(dev.pdev(), bar) {
        return None;
    }
    let mmio = dev.bar(bar).ok()?;
    if !is_register(pos, width, mmio.len(), &msix_hole(dev, bar)) {
        return None;
    }
    if WRITE {
        let value = buf.read_le(width).ok()?;
        let _guard = dev.memory_lock().read();
        power::is_accessible(dev).then(|| mmio.write(pos, width, value))
    } else {
        let value = {
            let _guard = dev.memory_lock().read();
            power::is_accessible(dev).then(|| mmio.read(pos, width))?
        };
        Some(value.and_then(|value| buf.write_le(width, value)))
    }
}

/// Reads from or writes to the region of a BAR.
///
/// # Errors
///
/// `EINVAL` if `pos` is not in the BAR; those of the BAR, and of [`Io::rw`].
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
        hole: msix_hole(dev, bar),
        max_width: Width::Eight,
    };
    io.rw(buf, pos, count, write)
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
