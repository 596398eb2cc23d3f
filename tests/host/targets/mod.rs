// SPDX-License-Identifier: GPL-2.0

//! What is tried with bytes that a fuzzer makes up: each function takes any bytes, has the rules decide what they mean, and
//! panics if something is wrong. Used by `tests/host/tests/corpus.rs` and by `tests/fuzz-logic`.

pub mod config;
pub mod decisions;
pub mod states;
pub mod texts;

/// A target, by name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("config", config::run),
    ("decisions", decisions::run),
    ("states", states::run),
    ("texts", texts::run),
];

/// Takes numbers from the bytes; zeroes behind their end.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub fn u64(&mut self) -> u64 {
        let mut value = [0; 8];
        let bytes = self.bytes(8);
        value[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(value)
    }

    pub fn u32(&mut self) -> u32 {
        let mut value = [0; 4];
        let bytes = self.bytes(4);
        value[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(value)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from(self.u8()) | u16::from(self.u8()) << 8
    }

    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    pub fn bool(&mut self) -> bool {
        self.u8() & 1 != 0
    }

    /// A number near an edge more often than not.
    pub fn edge(&mut self) -> u64 {
        let near = u64::from(self.u8());
        match self.u8() % 6 {
            0 => self.u64(),
            1 => near << 12,
            2 => (1u64 << (near % 64))
                .wrapping_add(u64::from(self.u8() % 3))
                .wrapping_sub(1),
            3 => u64::MAX - near,
            4 => (1 << 63) + near - 128,
            _ => near,
        }
    }
}
