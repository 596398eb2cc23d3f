// SPDX-License-Identifier: GPL-2.0

//! What PCI itself fixes: the configuration header's registers and the chain of capabilities.
//!
//! C header: `include/uapi/linux/pci_regs.h`.

/// The bytes of the configuration space a conventional PCI device has.
pub const CONFIG_SIZE: usize = 256;

/// Vendor ID, 16 bits.
pub const VENDOR_ID: u64 = 0x00;
/// Command register, 16 bits.
pub const COMMAND: u64 = 0x04;
/// Status register, 16 bits.
pub const STATUS: u64 = 0x06;
/// The first base address register, 32 bits.
pub const BASE_ADDRESS_0: u64 = 0x10;

/// Command: the device answers at its memory BARs.
pub const COMMAND_MEMORY: u16 = 0x2;
/// Command: the device may start DMA.
pub const COMMAND_MASTER: u16 = 0x4;
/// Status: the device holds its INTx pin asserted.
pub const STATUS_INTERRUPT: u16 = 0x8;

/// Status: there is a capability list.
const STATUS_CAP_LIST: u16 = 0x10;
/// Where the first capability's offset is.
const CAPABILITY_LIST: usize = 0x34;
/// The header's end: no capability starts below.
const HEADER_SIZE: usize = 0x40;

/// The identifier of the MSI capability.
pub const CAP_ID_MSI: u8 = 0x05;

/// One link of the capability chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Which capability it is.
    pub id: u8,
    /// Its offset in the configuration space, in bytes.
    pub offset: usize,
}

impl Capability {
    /// The capability's name, where it is one a reader may know.
    pub fn name(&self) -> &'static str {
        match self.id {
            0x01 => "power management",
            CAP_ID_MSI => "MSI",
            0x09 => "vendor specific",
            0x10 => "PCI Express",
            0x11 => "MSI-X",
            0x13 => "advanced features",
            _ => "other",
        }
    }
}

/// Walks the capability chain of a configuration space.
///
/// A chain that leaves the space, points into the header or bites its own tail is an error.
pub fn capabilities(config: &[u8]) -> Result<Vec<Capability>, String> {
    let byte = |at: usize| config.get(at).copied().ok_or(format!("no byte {at:#x}"));
    let status = u16::from_le_bytes([byte(STATUS as usize)?, byte(STATUS as usize + 1)?]);
    let mut found: Vec<Capability> = Vec::new();
    if status & STATUS_CAP_LIST == 0 {
        return Ok(found);
    }
    // The two lowest bits of a link are reserved.
    let mut next = usize::from(byte(CAPABILITY_LIST)? & !3);
    while next != 0 {
        if next < HEADER_SIZE {
            return Err(format!("a capability at {next:#x}, inside the header"));
        }
        if found.iter().any(|cap| cap.offset == next) {
            return Err(format!("the chain comes back to {next:#x}"));
        }
        found.push(Capability {
            id: byte(next)?,
            offset: next,
        });
        next = usize::from(byte(next + 1)? & !3);
    }
    Ok(found)
}

/// The size of a 32-bit memory BAR, from what it reads after all ones were written.
pub fn bar_size(sized: u32) -> u64 {
    u64::from(!(sized & !0xf)) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration space with these (offset, id, next) links.
    fn config(first: u8, links: &[(usize, u8, u8)]) -> [u8; CONFIG_SIZE] {
        let mut config = [0; CONFIG_SIZE];
        config[STATUS as usize] = 0x10;
        config[CAPABILITY_LIST] = first;
        for &(offset, id, next) in links {
            config[offset] = id;
            config[offset + 1] = next;
        }
        config
    }

    #[test]
    fn a_chain_is_walked_in_its_order() {
        let config = config(0x50, &[(0x50, 0x05, 0x43), (0x40, 0x01, 0)]);
        let walked = capabilities(&config).unwrap();
        let expected = [(0x05, 0x50), (0x01, 0x40)];
        let expected = expected.map(|(id, offset)| Capability { id, offset });
        assert_eq!(walked, expected);
        assert_eq!(walked[0].name(), "MSI");
    }

    #[test]
    fn no_list_is_an_empty_chain() {
        assert_eq!(capabilities(&[0; CONFIG_SIZE]), Ok(vec![]));
    }

    #[test]
    fn a_broken_chain_is_an_error() {
        assert!(capabilities(&config(0x20, &[])).is_err());
        assert!(capabilities(&config(0x40, &[(0x40, 1, 0x40)])).is_err());
        assert!(capabilities(&config(0x80, &[])[..0x60]).is_err());
        assert!(capabilities(&[]).is_err());
    }

    #[test]
    fn sizes_follow_from_the_writable_bits() {
        assert_eq!(bar_size(0xfff0_0000), 1 << 20);
        assert_eq!(bar_size(0xffff_f008), 1 << 12);
    }
}
