// SPDX-License-Identifier: GPL-2.0

//! PCI configuration space, as user space gets to see it.
//!
//! The user may read nearly everything and write what concerns the function only. The rest is
//! emulated: a copy ([`shadow`]) is kept for bits that tables ([`permissions`]) call virtual, and
//! writes to some registers are carried out by the host ([`emulation`]). Capabilities that a user
//! has no use for are unlinked from the list ([`chain`]). An access is cut into pieces ([`access`])
//! that lie in one capability and in one dword.
//!
//! What this needs from the host is the trait [`Function`].

pub mod access;
pub mod bars;
pub mod chain;
pub mod emulation;
pub mod length;
pub mod permissions;
pub mod range;
pub mod regs;
pub mod shadow;

use crate::errno::Errno;

/// The size of one access to configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
}

impl Width {
    /// The number of bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
        }
    }

    /// A value with all bits set that an access of this size has.
    pub const fn mask(self) -> u32 {
        match self {
            Self::Byte => 0xff,
            Self::Word => 0xffff,
            Self::Dword => 0xffff_ffff,
        }
    }

    /// The largest access that is aligned at `pos` and not larger than `count` bytes.
    pub const fn fitting(pos: usize, count: usize) -> Self {
        if count >= 4 && pos % 4 == 0 {
            Self::Dword
        } else if count >= 2 && pos % 2 == 0 {
            Self::Word
        } else {
            Self::Byte
        }
    }
}

impl From<Width> for crate::io::Width {
    #[inline]
    fn from(width: Width) -> Self {
        match width {
            Width::Byte => Self::One,
            Width::Word => Self::Two,
            Width::Dword => Self::Four,
        }
    }
}

/// A power state that a user can put a function into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PowerState {
    D0,
    D1,
    D2,
    D3Hot,
}

impl PowerState {
    /// The state that a write to the power management control register asks for.
    pub const fn from_ctrl(value: u32) -> Self {
        match value & regs::pm::CTRL_STATE {
            0 => Self::D0,
            1 => Self::D1,
            2 => Self::D2,
            _ => Self::D3Hot,
        }
    }
}

/// What does not change while a function is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Vendor ID as the kernel knows it; configuration space of a VF does not tell.
    pub vendor: u16,
    /// Device ID as the kernel knows it.
    pub device: u16,
    /// The function is virtual (SR-IOV).
    pub is_virtfn: bool,
    /// The memory enable bit of the command register does not exist, and memory is always enabled.
    pub no_command_memory: bool,
    /// There is an interrupt line for INTx that the host can use.
    pub has_intx: bool,
    /// INTx disable is broken, so the host keeps INTx off for good.
    pub nointx: bool,
    /// The PCI Express capabilities register; 0 if there is none.
    pub pcie_flags: u16,
}

/// A function of a PCI device, and what the host does to it for the emulation.
pub trait Function {
    /// Why an access fails.
    type Error: From<Errno>;

    /// Proof that the function's memory is not accessed by anybody; ends when dropped.
    type MemoryLock<'a>
    where
        Self: 'a;

    /// What is known of it.
    fn facts(&self) -> Facts;

    /// Reads hardware while the function is being opened.
    fn probe(&self, pos: usize, width: Width) -> Result<u32, Self::Error>;

    /// Reads hardware on behalf of the user: waits for the end of a reset or self-test.
    fn read(&self, pos: usize, width: Width) -> Result<u32, Self::Error>;

    /// Writes hardware on behalf of the user, likewise.
    fn write(&self, pos: usize, width: Width, value: u32) -> Result<(), Self::Error>;

    /// What the host has placed behind a BAR; 6 is the expansion ROM.
    fn resource(&self, index: usize) -> bars::Resource;

    /// The size of the copy of the expansion ROM that firmware left in memory, or 0.
    fn shadow_rom_len(&self) -> u64;

    /// Keeps others away from the function's memory. With `disabling` those who have mapped it lose
    /// it, and fault from now on.
    fn lock_memory(&self, disabling: bool) -> Self::MemoryLock<'_>;

    /// Takes the function into a power state, if it can.
    fn set_power_state(&self, state: PowerState);

    /// Resets the function, if it can be done right now.
    fn reset(&self);

    /// Whether INTx is masked at the user's wish in the command register.
    fn intx_disabled(&self) -> bool;

    /// Masks INTx, or unmasks it, as the user's INTx disable bit changed.
    fn set_intx_disabled(&self, disabled: bool);

    /// The largest payload that the function may send, in bytes.
    fn max_payload(&self) -> u32;

    /// Sets the largest request that the function may send, in bytes; bad values are ignored.
    fn set_max_read_request(&self, bytes: u32);

    /// Reads four bytes of vital product data; less if there is an end. `None` is an error.
    fn read_vpd(&self, addr: u16) -> Option<[u8; 4]>;

    /// Writes four bytes of vital product data. `None` is an error.
    fn write_vpd(&self, addr: u16, data: [u8; 4]) -> Option<()>;

    /// Whether MSI is what the user gets interrupts by.
    fn msi_is_active(&self) -> bool;

    /// Log 2 of the number of vectors of MSI when it was last enabled.
    fn msi_queue_max(&self) -> u8;

    /// Tells about hardware that deserves a look.
    fn report(&self, event: Event);
}

/// Something worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A capability overlaps another one.
    Conflict {
        /// Where, in configuration space.
        pos: usize,
        /// The ID of the capability found before.
        was: u8,
        /// The ID of the capability found now.
        now: u16,
        /// Whether the new one is an extended capability.
        extended: bool,
    },
    /// A VF says that it has an INTx pin, which it cannot.
    BogusPin {
        /// The pin, from 1.
        pin: u8,
    },
    /// The function was reset behind our back, and its BARs are written again.
    RestoringBars,
}
