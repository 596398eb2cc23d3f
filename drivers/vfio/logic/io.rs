// SPDX-License-Identifier: GPL-2.0

//! How a read or write of many bytes becomes accesses to device memory or ports.

use core::ops::Range;

/// The number of bytes of one access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// One byte.
    One = 1,
    /// Two bytes.
    Two = 2,
    /// Four bytes.
    Four = 4,
    /// Eight bytes.
    Eight = 8,
}

impl Width {
    /// The number of bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        self as usize
    }

    /// The largest width of no more than `bytes`.
    #[inline]
    pub const fn at_most(bytes: u64) -> Self {
        match bytes {
            8.. => Self::Eight,
            4.. => Self::Four,
            2.. => Self::Two,
            _ => Self::One,
        }
    }

    /// The width of exactly `bytes`.
    pub const fn exactly(bytes: u32) -> Option<Self> {
        Some(match bytes {
            1 => Self::One,
            2 => Self::Two,
            4 => Self::Four,
            8 => Self::Eight,
            _ => return None,
        })
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Accesses of this width, one behind the other.
    Access {
        /// The width of each.
        width: Width,
        /// How many, at least one.
        times: usize,
    },
    /// So many bytes are not accessible: reads give ones, writes are dropped.
    Hole(usize),
}

/// The first step of `count` bytes (at least one) from `pos` on. An access is naturally aligned, no
/// wider than `max`, and does not touch `hole`.
#[inline]
pub fn step(pos: u64, count: usize, hole: &Range<u64>, max: Width) -> Step {
    let limit = |n: u64| usize::try_from(n).map_or(count, |n| count.min(n));
    let accessible = if pos < hole.start {
        limit(hole.start - pos)
    } else if pos >= hole.end {
        count
    } else {
        return Step::Hole(limit(hole.end - pos));
    };
    let width = [Width::Eight, Width::Four, Width::Two]
        .into_iter()
        .find(|w| *w <= max && accessible >= w.bytes() && is_aligned(pos, *w))
        .unwrap_or(Width::One);
    // Behind one that is narrower than it might be, the next may be wider.
    let times = if width < max {
        1
    } else {
        accessible / width.bytes()
    };
    Step::Access { width, times }
}

/// Whether `pos` is a multiple of `width`.
#[inline]
pub const fn is_aligned(pos: u64, width: Width) -> bool {
    pos % width.bytes() as u64 == 0
}

/// Whether `width` bytes at `pos` of a region of `size` bytes are one register: what [`step`] makes one access of.
#[inline(always)]
pub fn is_register(pos: u64, width: Width, size: u64, hole: &Range<u64>) -> bool {
    is_aligned(pos, width) && !is_outside(pos, width, size, hole)
}

/// Whether an access of `width` at `pos` touches `hole`, or does not fit into `size` bytes.
#[inline]
pub fn is_outside(pos: u64, width: Width, size: u64, hole: &Range<u64>) -> bool {
    match pos.checked_add(width.bytes() as u64) {
        Some(end) => end > size || (!hole.is_empty() && pos < hole.end && hole.start < end),
        None => true,
    }
}
