// SPDX-License-Identifier: GPL-2.0

//! Registers of PCI configuration space that the emulation knows by name.
//!
//! Offsets in capabilities are relative to the capability. PCI Local Bus Specification 3.0,
//! chapter 6 and appendices; PCI Express Base Specification 6.0, chapter 7.
//!
//! C header: [`include/uapi/linux/pci_regs.h`](srctree/include/uapi/linux/pci_regs.h)

#![allow(missing_docs)] // The names are the specification's.

/// Size of the conventional configuration space; extended space starts here.
pub const CFG_SPACE_SIZE: usize = 0x100;
/// Size of the configuration space of PCI Express and PCI-X mode 2.
pub const CFG_SPACE_EXP_SIZE: usize = 0x1000;

/// The header that each function has.
pub mod header {
    pub const SIZE: usize = 0x40;
    pub const VENDOR_ID: usize = 0x00;
    pub const DEVICE_ID: usize = 0x02;
    pub const COMMAND: usize = 0x04;
    pub const COMMAND_IO: u16 = 1 << 0;
    pub const COMMAND_MEMORY: u16 = 1 << 1;
    pub const COMMAND_INTX_DISABLE: u16 = 1 << 10;
    pub const STATUS: usize = 0x06;
    pub const STATUS_CAP_LIST: u16 = 1 << 4;
    pub const CACHE_LINE_SIZE: usize = 0x0c;
    pub const LATENCY_TIMER: usize = 0x0d;
    pub const BIST: usize = 0x0f;
    pub const BAR0: usize = 0x10;
    pub const BAR_COUNT: usize = 6;
    pub const ROM: usize = 0x30;
    pub const CAPABILITY_LIST: usize = 0x34;
    pub const INTERRUPT_LINE: usize = 0x3c;
    pub const INTERRUPT_PIN: usize = 0x3d;
}

/// Standard capabilities.
pub mod cap {
    pub const PM: u8 = 0x01;
    pub const AGP: u8 = 0x02;
    pub const VPD: u8 = 0x03;
    pub const MSI: u8 = 0x05;
    pub const PCIX: u8 = 0x07;
    pub const HT: u8 = 0x08;
    pub const VNDR: u8 = 0x09;
    pub const EXP: u8 = 0x10;
    pub const MSIX: u8 = 0x11;
    pub const SATA: u8 = 0x12;
    pub const AF: u8 = 0x13;

    /// Where each capability has its ID, the next pointer, and the first register of its own.
    pub const LIST_ID: usize = 0;
    pub const LIST_NEXT: usize = 1;
    pub const FLAGS: usize = 2;
    /// The least size of a capability; as many fit into configuration space.
    pub const MIN_SIZE: usize = 4;
}

/// Power management.
pub mod pm {
    pub const PMC: usize = 2;
    pub const PMC_PME_SUPPORT: u16 = 0xf800;
    pub const CTRL: usize = 4;
    pub const CTRL_STATE: u32 = 0x0003;
    pub const CTRL_PME_ENABLE: u32 = 0x0100;
    pub const CTRL_PME_STATUS: u32 = 0x8000;
}

/// Vital product data.
pub mod vpd {
    pub const ADDR: usize = 2;
    pub const ADDR_F: u16 = 0x8000;
    pub const DATA: usize = 4;
}

/// Message signalled interrupts.
pub mod msi {
    pub const FLAGS: usize = 2;
    pub const FLAGS_ENABLE: u16 = 0x0001;
    pub const FLAGS_QSIZE: u16 = 0x0070;
    pub const FLAGS_QSIZE_SHIFT: u32 = 4;
    pub const FLAGS_64BIT: u16 = 0x0080;
    pub const FLAGS_MASKBIT: u16 = 0x0100;
    pub const ADDRESS_LO: usize = 0x04;
    pub const ADDRESS_HI: usize = 0x08;
    pub const DATA_32: usize = 0x08;
    pub const MASK_32: usize = 0x0c;
    pub const PENDING_32: usize = 0x10;
    pub const DATA_64: usize = 0x0c;
    pub const MASK_64: usize = 0x10;
    pub const PENDING_64: usize = 0x14;
}

/// PCI-X.
pub mod pcix {
    pub const CMD: usize = 2;
    pub const CMD_VERSION: u32 = 0x3000;
    pub const ECC_CSR: usize = 8;
}

/// PCI Express.
pub mod exp {
    pub const FLAGS_VERSION: u16 = 0x000f;
    pub const FLAGS_TYPE: u16 = 0x00f0;
    pub const FLAGS_TYPE_RC_ENDPOINT: u16 = 0x0090;
    pub const DEVCAP: usize = 0x04;
    pub const DEVCAP_FLR: u32 = 1 << 28;
    pub const DEVCTL: usize = 0x08;
    pub const DEVCTL_PAYLOAD: u16 = 0x00e0;
    pub const DEVCTL_PHANTOM: u16 = 0x0200;
    pub const DEVCTL_READRQ: u16 = 0x7000;
    pub const DEVCTL_READRQ_SHIFT: u32 = 12;
    pub const DEVCTL_FLR: u16 = 0x8000;
    pub const DEVCTL2: usize = 0x28;
    pub const DEVCTL2_ARI: u16 = 0x0020;
}

/// Advanced features.
pub mod af {
    pub const CAP: usize = 3;
    pub const CAP_TP: u32 = 1 << 0;
    pub const CAP_FLR: u32 = 1 << 1;
    pub const CTRL: usize = 4;
    pub const CTRL_FLR: u8 = 1 << 0;
}

/// HyperTransport.
pub mod ht {
    /// The byte that tells the type of the capability.
    pub const TYPE: usize = 3;
    pub const TYPE_3BIT: u32 = 0xe0;
}

/// Serial ATA.
pub mod sata {
    pub const REGS: usize = 4;
    pub const REGS_LOCATION: u32 = 0xf;
    pub const REGS_INLINE: u32 = 0xf;
}

/// Extended capabilities.
pub mod ecap {
    pub const ERR: u16 = 0x01;
    pub const VC: u16 = 0x02;
    pub const DSN: u16 = 0x03;
    pub const PWR: u16 = 0x04;
    pub const MFVC: u16 = 0x08;
    pub const VC9: u16 = 0x09;
    pub const VNDR: u16 = 0x0b;
    pub const ACS: u16 = 0x0d;
    pub const ARI: u16 = 0x0e;
    pub const ATS: u16 = 0x0f;
    pub const SRIOV: u16 = 0x10;
    pub const MCAST: u16 = 0x12;
    pub const PRI: u16 = 0x13;
    pub const REBAR: u16 = 0x15;
    pub const DPA: u16 = 0x16;
    pub const TPH: u16 = 0x17;
    pub const LTR: u16 = 0x18;
    pub const DVSEC: u16 = 0x23;

    /// Size of the header: ID, version and next pointer.
    pub const HEADER_SIZE: usize = 4;
    /// The next pointer in the header.
    pub const NEXT: u32 = 0xffc0_0000;

    /// The capability ID in a header.
    pub const fn id(header: u32) -> u16 {
        // CAST: Bits 15:0.
        header as u16
    }

    /// The position of the next capability that a header tells of; 0 if there is none.
    pub const fn next(header: u32) -> u16 {
        // CAST: Bits 31:20; the lowest two are reserved.
        (header >> 20) as u16 & 0xffc
    }
}

/// Advanced error reporting.
pub mod err {
    pub const SIZE: u16 = 0x2c;
    pub const UNCOR_STATUS: usize = 0x04;
    pub const UNCOR_MASK: usize = 0x08;
    pub const UNCOR_SEVER: usize = 0x0c;
    /// Undefined (0), data link protocol (4), surprise down (5), poisoned TLP (12) through TLP prefix
    /// blocked (25). What came later is not for the user to write.
    pub const UNCOR_BITS: u32 = 0x03ff_f031;
    pub const COR_STATUS: usize = 0x10;
    pub const COR_MASK: usize = 0x14;
    /// Receiver error (0), bad TLP (6), bad DLLP (7), replay rollover (8), replay timeout (12) through
    /// header log overflow (15).
    pub const COR_BITS: u32 = 0x0000_f1c1;
    pub const CAP: usize = 0x18;
    /// ECRC generation (6) and checking (8) enabled.
    pub const CAP_BITS: u32 = 0x0000_0140;
}

/// Power budgeting.
pub mod pwr {
    pub const DATA_SELECT: usize = 4;
}

/// Virtual channels.
pub mod vc {
    pub const BASE_SIZE: usize = 0x10;
    pub const PER_VC_SIZE: usize = 0x0c;
    pub const PORT_CAP1: usize = 0x04;
    pub const PORT_CAP1_EXT_COUNT: u32 = 0x7;
    pub const PORT_CAP2: usize = 0x08;
    pub const PORT_CAP2_32_PHASE: u32 = 1 << 1;
    pub const PORT_CAP2_64_PHASE: u32 = 1 << 2;
    pub const PORT_CAP2_128_PHASE: u32 = 1 << 3;
}

/// Access control services.
pub mod acs {
    pub const CAP: usize = 4;
    pub const CAP_EGRESS_CONTROL: u32 = 0x20;
    pub const EGRESS_BITS: usize = 5;
}

/// Resizable BARs.
pub mod rebar {
    pub const CTRL: usize = 8;
    pub const CTRL_COUNT: u32 = 0xe0;
    pub const CTRL_COUNT_SHIFT: u32 = 5;
}

/// Dynamic power allocation.
pub mod dpa {
    pub const BASE_SIZE: usize = 16;
    pub const CAP: usize = 4;
    pub const CAP_SUBSTATES: u32 = 0x1f;
}

/// Transaction processing hints.
pub mod tph {
    pub const BASE_SIZE: usize = 12;
    pub const CAP: usize = 4;
    pub const CAP_LOCATION: u32 = 0x600;
    pub const CAP_LOCATION_HERE: u32 = 0x200;
    pub const CAP_SIZE: u32 = 0x07ff_0000;
    pub const CAP_SIZE_SHIFT: u32 = 16;
}

/// Vendor-specific extended capabilities, and the designated ones (DVSEC): both tell their length in
/// bits 31:20 of the first dword after the header.
pub mod vsec {
    pub const HEADER: usize = 4;
    pub const HEADER_LENGTH_SHIFT: u32 = 20;
}
