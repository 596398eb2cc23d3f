// SPDX-License-Identifier: GPL-2.0

//! The emulated bytes of configuration space, and who owns each of them.

use super::Width;
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};

/// Owner of bytes that belong to no capability: passed through to the hardware.
pub const OWNER_RAW: u8 = 0xff;
/// Owner of bytes that exist in the emulation only.
pub const OWNER_VIRTUAL: u8 = 0xfe;
/// Owner of the header. No capability has this ID: that of the null capability.
pub const OWNER_HEADER: u8 = 0;

/// The emulated configuration space of one function.
///
/// Two arrays of a byte for each byte of configuration space: what the emulation stores there, and
/// the ID of the capability that the byte belongs to (or one of the owners above). They are atomics
/// because several threads may access configuration space at once. As with hardware, nothing is
/// promised to threads that do so to one register.
///
/// Positions beyond the end read as zero and [`OWNER_RAW`], and writes there are dropped.
#[derive(Clone, Copy)]
pub struct Shadow<'a> {
    data: &'a [AtomicU8],
    owners: &'a [AtomicU8],
}

impl<'a> Shadow<'a> {
    /// A space over the two arrays, as large as the smaller of them.
    #[inline]
    pub fn new(data: &'a [AtomicU8], owners: &'a [AtomicU8]) -> Self {
        Self { data, owners }
    }

    /// The size of the configuration space, in bytes.
    #[inline]
    pub fn size(&self) -> usize {
        self.data.len().min(self.owners.len())
    }

    /// Makes it zeros, the first `header` of which are the header's, and the others no capability's.
    pub fn reset(&self, header: usize) {
        for slot in self.data {
            slot.store(0, Ordering::Relaxed);
        }
        let owners = self.owners.get(..self.size()).unwrap_or_default();
        let (head, rest) = owners.split_at(header.min(owners.len()));
        for slot in head {
            slot.store(OWNER_HEADER, Ordering::Relaxed);
        }
        for slot in rest {
            slot.store(OWNER_RAW, Ordering::Relaxed);
        }
    }

    /// The owner of the byte at `pos`.
    #[inline]
    pub fn owner(&self, pos: usize) -> u8 {
        self.owners
            .get(pos)
            .map_or(OWNER_RAW, |owner| owner.load(Ordering::Relaxed))
    }

    /// Gives the byte at `pos` to `owner`.
    pub fn set_owner(&self, pos: usize, owner: u8) {
        if let Some(slot) = self.owners.get(pos) {
            slot.store(owner, Ordering::Relaxed);
        }
    }

    /// The value stored at `pos`.
    #[inline]
    pub fn read(&self, pos: usize, width: Width) -> u32 {
        let byte = |slot: &AtomicU8| slot.load(Ordering::Relaxed);
        match (width, self.data.get(pos..).unwrap_or_default()) {
            (Width::Byte, [a, ..]) => byte(a).into(),
            (Width::Word, [a, b, ..]) => u16::from_le_bytes([byte(a), byte(b)]).into(),
            (Width::Dword, [a, b, c, d, ..]) => {
                u32::from_le_bytes([byte(a), byte(b), byte(c), byte(d)])
            }
            // Some of it is beyond the end.
            (_, rest) => rest
                .iter()
                .take(width.bytes())
                .rev()
                .fold(0, |value, slot| value << 8 | u32::from(byte(slot))),
        }
    }

    /// Stores the low `width` bytes of `value` at `pos`.
    #[inline]
    pub fn write(&self, pos: usize, width: Width, value: u32) {
        for (byte, slot) in value.to_le_bytes().iter().zip(self.slots(pos, width)) {
            slot.store(*byte, Ordering::Relaxed);
        }
    }

    /// The byte stored at `pos`.
    #[inline]
    pub fn byte(&self, pos: usize) -> u8 {
        // CAST: A value of one byte.
        self.read(pos, Width::Byte) as u8
    }

    /// Stores a byte.
    #[inline]
    pub fn set_byte(&self, pos: usize, value: u8) {
        self.write(pos, Width::Byte, value.into());
    }

    /// The 16 bits stored at `pos`.
    #[inline]
    pub fn word(&self, pos: usize) -> u16 {
        // CAST: A value of two bytes.
        self.read(pos, Width::Word) as u16
    }

    /// Stores 16 bits.
    #[inline]
    pub fn set_word(&self, pos: usize, value: u16) {
        self.write(pos, Width::Word, value.into());
    }

    /// The 32 bits stored at `pos`.
    #[inline]
    pub fn dword(&self, pos: usize) -> u32 {
        self.read(pos, Width::Dword)
    }

    /// Stores 32 bits.
    #[inline]
    pub fn set_dword(&self, pos: usize, value: u32) {
        self.write(pos, Width::Dword, value);
    }

    #[inline]
    fn slots(&self, pos: usize, width: Width) -> impl Iterator<Item = &'a AtomicU8> {
        self.data.iter().skip(pos).take(width.bytes())
    }
}
