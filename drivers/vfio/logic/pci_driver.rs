// SPDX-License-Identifier: GPL-2.0

//! Which PCI functions `vfio-pci` takes: the parameter `ids=`, and the denylist.

/// The number that matches any vendor, device, subvendor or subdevice; `PCI_ANY_ID`.
pub const ANY_ID: u32 = !0;

/// What the driver is to match, in addition to what its table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DynId {
    /// The vendor.
    pub vendor: u32,
    /// The device, in the numbering of the vendor.
    pub device: u32,
    /// The vendor of the board, or [`ANY_ID`].
    pub subvendor: u32,
    /// The board, in the numbering of its vendor, or [`ANY_ID`].
    pub subdevice: u32,
    /// The class code; the bits outside the mask do not count.
    pub class: u32,
    /// The bits of the class code that are compared.
    pub class_mask: u32,
}

impl DynId {
    /// Reads `vendor:device[:subvendor[:subdevice[:class[:class_mask]]]]`, all hexadecimal.
    ///
    /// As lenient as the C driver, which reads it by `sscanf("%x:%x:...")`: white space and `0x` may
    /// stand before a number, only the low 32 bits of a number count, and what does not fit after
    /// the first two numbers is ignored with all that follows.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = Fields { rest: Some(text) };
        Some(Self {
            vendor: fields.next()?,
            device: fields.next()?,
            subvendor: fields.next().unwrap_or(ANY_ID),
            subdevice: fields.next().unwrap_or(ANY_ID),
            class: fields.next().unwrap_or(0),
            class_mask: fields.next().unwrap_or(0),
        })
    }
}

/// The entries of the parameter `ids=`: what is between commas, without the empty ones.
///
/// `param` is the buffer of the parameter; its text ends at the first zero byte.
pub fn entries(param: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = param.iter().position(|&c| c == 0).unwrap_or(param.len());
    let text = param.get(..end).unwrap_or(param);
    text.split(|&c| c == b',').filter(|entry| !entry.is_empty())
}

/// The numbers of an entry. Ends for good at the first text that is not a number.
struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl Iterator for Fields<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mut text = self.rest.take()?;
        while let [b' ' | b'\t'..=b'\r' | 0xa0, tail @ ..] = text {
            text = tail;
        }
        hex_digit(*text.first()?)?;
        if let [b'0', b'x' | b'X', tail @ ..] = text {
            text = tail;
        }

        let mut value = 0u32;
        while let Some((digit, tail)) = text
            .split_first()
            .and_then(|(&c, tail)| Some((hex_digit(c)?, tail)))
        {
            value = value << 4 | digit;
            text = tail;
        }
        self.rest = text.strip_prefix(b":");
        Some(value)
    }
}

fn hex_digit(c: u8) -> Option<u32> {
    char::from(c).to_digit(16)
}

/// `PCI_VENDOR_ID_INTEL`.
const INTEL: u16 = 0x8086;

/// Devices of Intel with known errata that let an untrusted user harm the host
/// (`include/linux/pci_ids.h`).
const INTEL_DENIED: [u16; 8] = [
    0x19e2, // QAT C3XXX
    0x19e3, // QAT C3XXX, virtual function
    0x37c8, // QAT C62X
    0x37c9, // QAT C62X, virtual function
    0x0435, // QAT DH895XCC
    0x0443, // QAT DH895XCC, virtual function
    0x0b25, // Data Streaming Accelerator, Sapphire Rapids
    0x0cfe, // In-Memory Analytics Accelerator, Sapphire Rapids
];

/// Whether a device is not to be given to user space unless the administrator insists.
pub fn is_denied(vendor: u16, device: u16) -> bool {
    vendor == INTEL && INTEL_DENIED.contains(&device)
}
