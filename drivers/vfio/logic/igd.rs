// SPDX-License-Identifier: GPL-2.0

//! Intel graphics: what the firmware left for its driver, and how a region shows it.
//!
//! The OpRegion is memory that the firmware set up. A Video BIOS Table (VBT) that is too large for it
//! is elsewhere, and the OpRegion says where. The region shows both in one piece, and an OpRegion
//! that says so.
//!
//! All of it comes from the firmware, so nothing is taken for granted: not the sizes, not the
//! addresses.

use crate::{
    errno::{
        Result,
        EINVAL, //
    },
    region, //
};

/// The vendor of such graphics, and of the bridges that its driver looks at.
pub const VENDOR: u16 = 0x8086;

/// The register of configuration space that has the address of the OpRegion.
pub const ADDRESS_REGISTER: u16 = 0xfc;

/// The length of the OpRegion in bytes.
pub const OPREGION_LEN: usize = 8 << 10;

/// Where the fields are in the OpRegion. All are little-endian.
pub mod field {
    /// What it starts with.
    pub const SIGNATURE: usize = 0;
    /// The length in KiB; 32 bits.
    pub const SIZE: usize = 0x10;
    /// The version, major in the upper byte; 16 bits.
    pub const VERSION: usize = 0x16;
    /// The address of the VBT; 64 bits.
    pub const RVDA: usize = 0x3ba;
    /// The length of the VBT in bytes; 32 bits.
    pub const RVDS: usize = 0x3c2;
}

const SIGNATURE: [u8; 16] = *b"IntelGraphicsMem";

/// From this version on there is an address of a VBT; in this one it is a physical address, in later
/// ones it counts from the OpRegion.
const VERSION_ABSOLUTE: u16 = 0x0200;
/// The first version in which the address counts from the OpRegion.
const VERSION_RELATIVE: u16 = 0x0201;

/// The fields that decide.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// [`field::SIGNATURE`].
    pub signature: [u8; 16],
    /// [`field::SIZE`].
    pub size: u32,
    /// [`field::VERSION`].
    pub version: u16,
    /// [`field::RVDA`].
    pub rvda: u64,
    /// [`field::RVDS`].
    pub rvds: u32,
}

/// A VBT outside the OpRegion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vbt {
    /// The physical address.
    pub address: u64,
    /// The length in bytes.
    pub len: usize,
}

/// What a position of the region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// In the OpRegion, so many bytes from its start.
    OpRegion(usize),
    /// In the VBT, so many bytes from its start.
    Vbt(usize),
}

/// What the region shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How much of the OpRegion.
    opregion: usize,
    /// What follows it.
    vbt: Option<Vbt>,
    /// The version to show, if it is not the real one.
    version: Option<u16>,
}

impl Header {
    /// What a region shows of an OpRegion at that physical address.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is no OpRegion, or its VBT is at no possible address.
    pub fn layout(&self, address: u32) -> Result<Layout> {
        if self.signature != SIGNATURE || self.size == 0 {
            return Err(EINVAL);
        }
        let vbt = self.vbt(address)?;
        Ok(Layout {
            opregion: match vbt {
                // The VBT is shown at this distance whatever the firmware says.
                Some(_) => OPREGION_LEN,
                None => usize::try_from(self.size)
                    .ok()
                    .and_then(|kib| kib.checked_mul(1 << 10))
                    .map_or(OPREGION_LEN, |len| len.min(OPREGION_LEN)),
            },
            vbt,
            version: vbt
                .filter(|_| self.version == VERSION_ABSOLUTE)
                .map(|_| VERSION_RELATIVE),
        })
    }

    fn vbt(&self, opregion: u32) -> Result<Option<Vbt>> {
        if self.version < VERSION_ABSOLUTE || self.rvda == 0 || self.rvds == 0 {
            return Ok(None);
        }
        let base = if self.version == VERSION_ABSOLUTE {
            0
        } else {
            u64::from(opregion)
        };
        let address = base.checked_add(self.rvda).ok_or(EINVAL)?;
        address.checked_add(self.rvds.into()).ok_or(EINVAL)?;
        let len = usize::try_from(self.rvds).map_err(|_| EINVAL)?;
        len.checked_add(OPREGION_LEN).ok_or(EINVAL)?;
        Ok(Some(Vbt { address, len }))
    }
}

impl Layout {
    /// The VBT that is to be mapped.
    pub fn vbt(&self) -> Option<Vbt> {
        self.vbt
    }

    /// The length of the region in bytes.
    pub fn len(&self) -> usize {
        // OVERFLOW: `vbt` has checked it.
        self.opregion
            .saturating_add(self.vbt.map_or(0, |vbt| vbt.len))
    }

    /// Whether the region is empty. It never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is at `pos`, and how many of `count` bytes from there on are of the same part.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the position is not in the region.
    pub fn part(&self, pos: u64, count: usize) -> Result<(Part, usize)> {
        let count = region::clip(pos, count, self.len() as u64)?;
        let at = usize::try_from(pos).map_err(|_| EINVAL)?;
        Ok(match at.checked_sub(self.opregion) {
            None => (Part::OpRegion(at), count.min(self.opregion - at)),
            Some(at) => (Part::Vbt(at), count),
        })
    }

    /// Makes of what the OpRegion has from `start` on what the region shows.
    pub fn patch(&self, start: usize, bytes: &mut [u8]) {
        if let Some(version) = self.version {
            put(bytes, start, field::VERSION, &version.to_le_bytes());
        }
        let vbt = match self.vbt {
            Some(_) => OPREGION_LEN as u64,
            None => 0,
        };
        put(bytes, start, field::RVDA, &vbt.to_le_bytes());
    }
}

/// Puts a value at position `at` into the bytes from position `start` on, as far as it is in there.
fn put(bytes: &mut [u8], start: usize, at: usize, value: &[u8]) {
    for (at, byte) in (at..).zip(value) {
        if let Some(to) = at.checked_sub(start).and_then(|at| bytes.get_mut(at)) {
            *to = *byte;
        }
    }
}
