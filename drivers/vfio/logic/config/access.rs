// SPDX-License-Identifier: GPL-2.0

//! Cutting an access into pieces that concern one register of one capability each.

use super::{
    permissions::{
        self,
        Permissions, //
    },
    regs::{
        cap,
        ecap,
        header,
        CFG_SPACE_SIZE, //
    },
    shadow::{
        Shadow,
        OWNER_HEADER,
        OWNER_RAW,
        OWNER_VIRTUAL, //
    },
    Width, //
};
use crate::errno::{
    Errno,
    EFAULT, //
};

/// How the bytes of a capability are accessed.
#[derive(Clone, Copy)]
pub enum Policy {
    /// The hardware's.
    Raw,
    /// The emulation's.
    Virtual,
    /// Read from hardware but for the link to the next capability; read-only.
    ReadOnly,
    /// Read as above; writes go to hardware.
    Vendor,
    /// By a table, and nothing more to it.
    Table(&'static Permissions),
    /// The header.
    Header,
    /// Power management.
    Pm,
    /// Vital product data.
    Vpd,
    /// Message signalled interrupts.
    Msi,
    /// PCI Express.
    Express,
    /// Advanced features.
    Af,
}

impl Policy {
    /// That of a standard capability.
    fn standard(id: u8) -> Self {
        match id {
            OWNER_HEADER => Self::Header,
            cap::PM => Self::Pm,
            cap::VPD => Self::Vpd,
            cap::MSI => Self::Msi,
            cap::PCIX => Self::Table(&permissions::PCIX),
            cap::VNDR => Self::Vendor,
            cap::EXP => Self::Express,
            cap::AF => Self::Af,
            _ => Self::ReadOnly,
        }
    }

    /// That of an extended capability.
    fn extended(id: u8) -> Self {
        match id.into() {
            ecap::ERR => Self::Table(&permissions::ERR),
            ecap::PWR => Self::Table(&permissions::PWR),
            ecap::VNDR | ecap::DVSEC => Self::Vendor,
            _ => Self::ReadOnly,
        }
    }
}

/// A piece of an access: at most a dword, aligned, and in one capability.
#[derive(Clone, Copy)]
pub struct Access {
    /// Where, in configuration space.
    pub pos: usize,
    /// Where, in the capability.
    pub offset: usize,
    /// How much.
    pub width: Width,
    /// How.
    pub policy: Policy,
}

impl Access {
    /// The first piece of an access to `count` bytes at `pos`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of it is in configuration space.
    // What it answers would go through memory twice.
    #[inline(always)]
    pub fn first(shadow: &Shadow<'_>, pos: usize, count: usize) -> Result<Self, Errno> {
        let end = pos.checked_add(count.max(1)).ok_or(EFAULT)?;
        if end > shadow.size() {
            return Err(EFAULT);
        }

        let owner = shadow.owner(pos);
        let same = |n: usize| (1..n).all(|i| shadow.owner(pos + i) == owner);
        let width = match Width::fitting(pos, count) {
            Width::Dword if same(4) => Width::Dword,
            Width::Dword | Width::Word if same(2) => Width::Word,
            _ => Width::Byte,
        };

        let (policy, start) = match owner {
            OWNER_RAW => (Policy::Raw, pos),
            OWNER_VIRTUAL => (Policy::Virtual, pos),
            _ if pos >= CFG_SPACE_SIZE => (
                Policy::extended(owner),
                capability_start(shadow, pos, owner, CFG_SPACE_SIZE),
            ),
            OWNER_HEADER => (Policy::Header, 0),
            _ => (
                Policy::standard(owner),
                capability_start(shadow, pos, owner, header::SIZE),
            ),
        };
        Ok(Self {
            pos,
            offset: pos - start,
            width,
            policy,
        })
    }

    /// Whether a write does nothing, whatever is written.
    #[inline]
    pub fn drops_writes(&self) -> bool {
        matches!(self.policy, Policy::ReadOnly)
    }

    /// Where the capability starts.
    #[inline]
    pub fn start(&self) -> usize {
        self.pos - self.offset
    }

    /// Whether the access touches the byte at `offset` of the capability.
    #[inline]
    pub fn touches(&self, offset: usize) -> bool {
        (self.offset..self.offset + self.width.bytes()).contains(&offset)
    }
}

/// Where the capability of `owner` with a byte at `pos` starts. It does not start below `base`. Two
/// of the same ID next to each other count as one.
fn capability_start(shadow: &Shadow<'_>, pos: usize, owner: u8, base: usize) -> usize {
    let mut start = pos;
    while start > base && shadow.owner(start - 1) == owner {
        start -= 1;
    }
    start
}
