// SPDX-License-Identifier: GPL-2.0

//! Which bits of each capability are emulated, and which may be written.
//!
//! A bit that is *virtual* is read from and written to the emulation, any other one the hardware.
//! Writes reach bits that are *writable*; other bits of a write are dropped.

use super::{
    regs::{
        af,
        cap,
        err,
        exp,
        header,
        msi,
        pcix,
        pm,
        pwr,
        vpd, //
    },
    Width, //
};

const NONE: u32 = 0;
const ALL: u32 = !0;

/// The bits of one register, or of several next to each other, that are special.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Emulated.
    pub virt: u32,
    /// Writable.
    pub write: u32,
}

/// The special bits of one capability, or of the header; all others are the hardware's and read-only.
pub struct Permissions {
    virt: [u8; Self::PADDED],
    write: [u8; Self::PADDED],
}

impl Permissions {
    /// As many bytes as the largest structure with special bits, which is the header.
    const SIZE: usize = header::SIZE;

    /// Zeros follow, so that a dword can be taken from each place.
    const PADDED: usize = Self::SIZE + 3;

    /// Everything is read-only and the hardware's.
    const fn new() -> Self {
        Self {
            virt: [0; Self::PADDED],
            write: [0; Self::PADDED],
        }
    }

    /// A standard capability: the pointer to the next one is emulated, so that some can be hidden.
    const fn capability() -> Self {
        Self::new().with(cap::LIST_NEXT, Width::Byte, ALL, NONE)
    }

    /// An extended capability: the same for its whole header.
    const fn extended() -> Self {
        Self::new().with(0, Width::Dword, ALL, NONE)
    }

    /// Sets the special bits of one register. Only used to make the tables, at compile time.
    const fn with(mut self, offset: usize, width: Width, virt: u32, write: u32) -> Self {
        let (virt, write) = (virt.to_le_bytes(), write.to_le_bytes());
        let mut i = 0;
        while i < width.bytes() {
            self.virt[offset + i] = virt[i];
            self.write[offset + i] = write[i];
            i += 1;
        }
        self
    }

    /// The special bits of the `width` bytes at `offset`.
    #[inline]
    pub fn bits(&self, offset: usize, width: Width) -> Bits {
        let gather = |table: &[u8]| {
            let bytes = table.get(offset..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes)) & width.mask()
        };
        Bits {
            virt: gather(&self.virt),
            write: gather(&self.write),
        }
    }
}

/// The header.
///
/// Vendor and device ID are emulated because those of a VF read as ones; INTx disable because the
/// host uses it to mask; the BARs because the host has placed them; the capability list to hide
/// capabilities; the interrupt pin to hide INTx.
pub static HEADER: Permissions = Permissions::new()
    .with(header::VENDOR_ID, Width::Word, ALL, NONE)
    .with(header::DEVICE_ID, Width::Word, ALL, NONE)
    .with(
        header::COMMAND,
        Width::Word,
        header::COMMAND_INTX_DISABLE as u32,
        ALL,
    )
    .with(
        header::STATUS,
        Width::Word,
        header::STATUS_CAP_LIST as u32,
        NONE,
    )
    .with(header::CACHE_LINE_SIZE, Width::Byte, NONE, ALL)
    .with(header::LATENCY_TIMER, Width::Byte, NONE, ALL)
    .with(header::BIST, Width::Byte, NONE, ALL)
    .with(header::BAR0, Width::Dword, ALL, ALL)
    .with(header::BAR0 + 4, Width::Dword, ALL, ALL)
    .with(header::BAR0 + 8, Width::Dword, ALL, ALL)
    .with(header::BAR0 + 12, Width::Dword, ALL, ALL)
    .with(header::BAR0 + 16, Width::Dword, ALL, ALL)
    .with(header::BAR0 + 20, Width::Dword, ALL, ALL)
    .with(header::ROM, Width::Dword, ALL, ALL)
    .with(header::CAPABILITY_LIST, Width::Byte, ALL, NONE)
    .with(header::INTERRUPT_LINE, Width::Byte, ALL, ALL)
    .with(header::INTERRUPT_PIN, Width::Byte, ALL, NONE);

/// Power management: PME goes to the host, so the user sees none; the power state is changed by the
/// host at the user's wish.
pub static PM: Permissions = Permissions::capability()
    .with(pm::PMC, Width::Word, pm::PMC_PME_SUPPORT as u32, NONE)
    .with(
        pm::CTRL,
        Width::Dword,
        pm::CTRL_PME_ENABLE | pm::CTRL_PME_STATUS,
        !(pm::CTRL_PME_ENABLE | pm::CTRL_PME_STATUS | pm::CTRL_STATE),
    );

/// Vital product data: the window is operated by the host, which knows of the quirks of devices.
pub static VPD: Permissions = Permissions::capability()
    .with(vpd::ADDR, Width::Word, ALL, ALL)
    .with(vpd::DATA, Width::Dword, ALL, ALL);

/// PCI-X.
pub static PCIX: Permissions = Permissions::capability()
    .with(pcix::CMD, Width::Word, NONE, ALL)
    .with(pcix::ECC_CSR, Width::Dword, NONE, ALL);

/// PCI Express: device control, but for phantom functions (they would confuse the IOMMU); reset and
/// request sizes go through the host. Of device control 2 all but ARI, which the host has set up.
pub static EXP: Permissions = Permissions::capability()
    .with(
        exp::DEVCTL,
        Width::Word,
        (exp::DEVCTL_FLR | exp::DEVCTL_PAYLOAD | exp::DEVCTL_READRQ) as u32,
        !exp::DEVCTL_PHANTOM as u32,
    )
    .with(exp::DEVCTL2, Width::Word, NONE, !exp::DEVCTL2_ARI as u32);

/// Advanced features: the reset goes through the host.
pub static AF: Permissions = Permissions::capability().with(
    af::CTRL,
    Width::Byte,
    af::CTRL_FLR as u32,
    af::CTRL_FLR as u32,
);

const MSI_COMMON: Permissions = Permissions::capability()
    .with(msi::FLAGS, Width::Byte, ALL, ALL)
    .with(msi::ADDRESS_LO, Width::Dword, ALL, ALL);

static MSI_32: Permissions = MSI_COMMON.with(msi::DATA_32, Width::Word, ALL, ALL);

static MSI_32_MASK: Permissions = MSI_COMMON
    .with(msi::DATA_32, Width::Word, ALL, ALL)
    .with(msi::MASK_32, Width::Dword, NONE, ALL)
    .with(msi::PENDING_32, Width::Dword, NONE, ALL);

static MSI_64: Permissions = MSI_COMMON
    .with(msi::ADDRESS_HI, Width::Dword, ALL, ALL)
    .with(msi::DATA_64, Width::Word, ALL, ALL);

static MSI_64_MASK: Permissions = MSI_COMMON
    .with(msi::ADDRESS_HI, Width::Dword, ALL, ALL)
    .with(msi::DATA_64, Width::Word, ALL, ALL)
    .with(msi::MASK_64, Width::Dword, NONE, ALL)
    .with(msi::PENDING_64, Width::Dword, NONE, ALL);

/// Message signalled interrupts of a function with these message control flags: address and data are
/// the host's business, so the user has registers that do nothing.
pub fn msi(flags: u16) -> &'static Permissions {
    match (
        flags & msi::FLAGS_64BIT != 0,
        flags & msi::FLAGS_MASKBIT != 0,
    ) {
        (false, false) => &MSI_32,
        (false, true) => &MSI_32_MASK,
        (true, false) => &MSI_64,
        (true, true) => &MSI_64_MASK,
    }
}

/// Advanced error reporting: what the function recorded, and which errors it reports.
pub static ERR: Permissions = Permissions::extended()
    .with(err::UNCOR_STATUS, Width::Dword, NONE, err::UNCOR_BITS)
    .with(err::UNCOR_MASK, Width::Dword, NONE, err::UNCOR_BITS)
    .with(err::UNCOR_SEVER, Width::Dword, NONE, err::UNCOR_BITS)
    .with(err::COR_STATUS, Width::Dword, NONE, err::COR_BITS)
    .with(err::COR_MASK, Width::Dword, NONE, err::COR_BITS)
    .with(err::CAP, Width::Dword, NONE, err::CAP_BITS);

/// Power budgeting: which of the values the data register shows.
pub static PWR: Permissions =
    Permissions::extended().with(pwr::DATA_SELECT, Width::Byte, NONE, ALL);
