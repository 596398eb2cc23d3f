// SPDX-License-Identifier: GPL-2.0

//! Where an access and a register overlap.

/// The part that two ranges share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Where it starts in the buffer.
    pub buf_offset: u64,
    /// Where it starts in the register.
    pub reg_offset: u64,
    /// Its size in bytes.
    pub count: u64,
}

/// The part of a register of `reg_count` bytes at `reg_start` that an access of `buf_count` bytes at
/// `buf_start` touches.
///
/// An empty range overlaps one that it is in; nothing is shared then.
pub fn overlap(buf_start: u64, buf_count: u64, reg_start: u64, reg_count: u64) -> Option<Overlap> {
    let buf_end = buf_start.saturating_add(buf_count);
    let reg_end = reg_start.saturating_add(reg_count);
    let start = buf_start.max(reg_start);
    let inside = if buf_start <= reg_start {
        start < buf_end
    } else {
        start < reg_end
    };
    inside.then(|| Overlap {
        buf_offset: start - buf_start,
        reg_offset: start - reg_start,
        count: buf_end.min(reg_end) - start,
    })
}
