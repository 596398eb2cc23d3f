// SPDX-License-Identifier: GPL-2.0

//! The registers of QEMU's `edu` device.
//!
//! Specification: `docs/specs/edu.rst` of QEMU. BAR 0 is 1 MiB; every register is read and written
//! 32 bits wide, which the device accepts everywhere.

use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use anyhow::bail;
use anyhow::Result;

use crate::memory::Mmio;

/// The device's PCI vendor and device ID, as the configuration space's first 32 bits.
pub const VENDOR_DEVICE: u32 = 0x11e8_1234;
/// The size of BAR 0 in bytes.
pub const BAR_SIZE: u64 = 1 << 20;
/// What the identification register reads, without its two version bytes.
pub const IDENTIFICATION: u32 = 0x0000_00ed;
/// The last address the device can reach: it is made with a 28-bit DMA mask.
pub const DMA_LAST: u64 = (1 << 28) - 1;
/// The size of the device's own buffer in bytes.
pub const BUFFER_SIZE: usize = 4096;

/// Offset of the identification register, for access without the mapping.
pub const ID: usize = 0x00;
const LIVENESS: usize = 0x04;
const FACTORIAL: usize = 0x08;
const STATUS: usize = 0x20;
const IRQ_STATUS: usize = 0x24;
const IRQ_RAISE: usize = 0x60;
const IRQ_ACK: usize = 0x64;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

/// Where the device's own buffer is, for its DMA engine.
const BUFFER: u32 = 0x4_0000;

const STATUS_COMPUTING: u32 = 0x01;
const STATUS_IRQ: u32 = 0x80;
const DMA_RUN: u32 = 0x1;
const DMA_TO_RAM: u32 = 0x2;
const DMA_IRQ: u32 = 0x4;

/// The interrupt status bit of a finished factorial.
pub const IRQ_FACTORIAL: u32 = 0x001;
/// The interrupt status bit of a finished DMA.
pub const IRQ_DMA: u32 = 0x100;

/// How long the device may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which way a DMA goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From RAM into the device's buffer.
    FromRam,
    /// From the device's buffer into RAM.
    ToRam,
}

/// Whether the device raises an interrupt when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It does not: the driver polls.
    Quietly,
    /// It does.
    WithInterrupt,
}

/// The device, through its mapped BAR.
pub struct Edu {
    bar: Mmio,
}

impl Edu {
    /// The device behind `bar`.
    pub fn new(bar: Mmio) -> Self {
        Self { bar }
    }

    /// The identification register: `0xRRrr00ed`, with the version in `RR` and `rr`.
    pub fn identification(&self) -> u32 {
        self.bar.read(ID)
    }

    /// Writes the liveness register and reads it back: the device inverts it.
    pub fn liveness(&self, value: u32) -> u32 {
        self.bar.write(LIVENESS, value);
        self.bar.read(LIVENESS)
    }

    /// What the liveness register holds now.
    pub fn liveness_now(&self) -> u32 {
        self.bar.read(LIVENESS)
    }

    /// Lets the device compute `n!`, modulo 2^32.
    pub fn factorial(&self, n: u32, done: Done) -> Result<u32> {
        let status = match done {
            Done::Quietly => 0,
            Done::WithInterrupt => STATUS_IRQ,
        };
        self.bar.write(STATUS, status);
        self.bar.write(FACTORIAL, n);
        self.wait("the factorial", || {
            self.bar.read(STATUS) & STATUS_COMPUTING == 0
        })?;
        Ok(self.bar.read(FACTORIAL))
    }

    /// Copies the whole device buffer from or to `iova`, and waits for the end.
    ///
    /// The device ends a DMA in the same way whether or not the IOMMU let it pass.
    pub fn dma(&self, iova: u64, direction: Direction, done: Done) -> Result<()> {
        let Ok(address) = u32::try_from(iova) else {
            bail!("the device cannot reach {iova:#x}");
        };
        let (source, destination, way) = match direction {
            Direction::FromRam => (address, BUFFER, 0),
            Direction::ToRam => (BUFFER, address, DMA_TO_RAM),
        };
        let irq = match done {
            Done::Quietly => 0,
            Done::WithInterrupt => DMA_IRQ,
        };
        self.bar.write(DMA_SOURCE, source);
        self.bar.write(DMA_DESTINATION, destination);
        self.bar.write(DMA_COUNT, BUFFER_SIZE as u32);
        self.bar.write(DMA_COMMAND, DMA_RUN | way | irq);
        self.wait("the DMA", || self.bar.read(DMA_COMMAND) & DMA_RUN == 0)
    }

    /// Makes the device raise its interrupt, with `bits` added to its interrupt status.
    pub fn raise(&self, bits: u32) {
        self.bar.write(IRQ_RAISE, bits);
    }

    /// The interrupt status: the bits raised and not yet acknowledged.
    pub fn irq_status(&self) -> u32 {
        self.bar.read(IRQ_STATUS)
    }

    /// Clears `bits` of the interrupt status; INTx falls when none is left.
    pub fn acknowledge(&self, bits: u32) {
        self.bar.write(IRQ_ACK, bits);
    }

    /// Waits until `ready` says so.
    fn wait(&self, what: &str, ready: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if start.elapsed() > PATIENCE {
                bail!("{what} was not done after {} s", PATIENCE.as_secs());
            }
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// `n!` modulo 2^32, computed here.
pub fn factorial(n: u32) -> u32 {
    (1..=n).fold(1, u32::wrapping_mul)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factorials() {
        assert_eq!([0, 1, 5, 12].map(factorial), [1, 1, 120, 479_001_600]);
        assert_eq!(factorial(13), (6_227_020_800u64 % (1 << 32)) as u32);
        assert_eq!(factorial(40), 0);
    }
}
