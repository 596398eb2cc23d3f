// SPDX-License-Identifier: GPL-2.0

//! Base address registers: what the user wrote into them, as the hardware would answer.
//!
//! The user's values go nowhere, but sizing (write ones, read back the size) works.

use super::regs::header::{
    BAR0,
    BAR_COUNT,
    ROM, //
};

const SPACE_IO: u32 = 1 << 0;
const TYPE_64: u32 = 1 << 2;
const PREFETCH: u32 = 1 << 3;
const ROM_ENABLE: u32 = 1 << 0;

/// What the host has placed behind a BAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// Address on the host; 0 if there is nothing.
    pub start: u64,
    /// Size in bytes.
    pub len: u64,
    /// It is in I/O space.
    pub io: bool,
    /// It is in memory that can be prefetched.
    pub prefetch: bool,
    /// Its address takes 64 bits: this BAR and the next.
    pub is_64bit: bool,
}

impl Resource {
    /// The bits of a BAR that tell about the resource.
    fn flags(&self) -> u32 {
        if self.io {
            return SPACE_IO;
        }
        let prefetch = if self.prefetch { PREFETCH } else { 0 };
        let is_64bit = if self.is_64bit { TYPE_64 } else { 0 };
        prefetch | is_64bit
    }
}

/// The bits of an address that a region of `len` bytes leaves to whoever places it.
fn address_mask(len: u64) -> u64 {
    !len.wrapping_sub(1)
}

/// The register with a BAR in it: its number, 6 for that of the ROM. `None` if `pos` is elsewhere.
#[inline]
pub fn index(pos: usize) -> Option<usize> {
    if (ROM..ROM + 4).contains(&pos) {
        return Some(BAR_COUNT);
    }
    let index = pos.checked_sub(BAR0)? / 4;
    (index < BAR_COUNT).then_some(index)
}

/// The position of the register with BAR number `index`.
pub fn position(index: usize) -> usize {
    if index < BAR_COUNT {
        BAR0 + index * 4
    } else {
        ROM
    }
}

/// What BAR number `index` reads as, after the user wrote `value`.
///
/// `resource` tells what is behind each BAR.
pub fn read(index: usize, value: u32, resource: impl Fn(usize) -> Resource) -> u32 {
    let mut i = 0;
    while i <= index {
        let here = resource(i);
        // Not placed by the host: not there for the user.
        if here.start != 0 {
            let mask = address_mask(here.len);
            if i == index {
                // CAST: The lower half of the address.
                return value & mask as u32 | here.flags();
            }
            if !here.io && here.is_64bit {
                if i + 1 == index {
                    // CAST: The upper half.
                    return value & (mask >> 32) as u32;
                }
                i += 1;
            }
        }
        i += 1;
    }
    0
}

/// What the BAR of the expansion ROM reads as, after the user wrote `value`.
///
/// Without one on the device, that which firmware left in memory takes its place.
pub fn read_rom(value: u32, rom: Resource, shadow_len: u64) -> u32 {
    let len = if rom.start != 0 {
        rom.len
    } else if let Some(len) = shadow_len
        .checked_next_power_of_two()
        .filter(|_| shadow_len != 0)
    {
        len
    } else {
        return 0;
    };
    // CAST: A ROM's address has 32 bits.
    value & (address_mask(len) as u32 | ROM_ENABLE)
}
