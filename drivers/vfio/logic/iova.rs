// SPDX-License-Identifier: GPL-2.0

//! Ranges of I/O virtual addresses, and which of them a container may map.

use crate::errno::{
    self,
    Errno,
    Result, //
};

/// A range of addresses, both ends included, so that one up to the last address can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IovaRange {
    /// The first address.
    pub start: u64,
    /// The last address, not below `start`.
    pub last: u64,
}

impl IovaRange {
    /// All addresses.
    pub const ALL: Self = Self {
        start: 0,
        last: u64::MAX,
    };

    /// The range of `size` bytes from `start`; `None` if it is empty or wraps.
    #[inline]
    pub const fn new(start: u64, size: u64) -> Option<Self> {
        if size == 0 {
            return None;
        }
        match start.checked_add(size - 1) {
            Some(last) => Some(Self { start, last }),
            None => None,
        }
    }

    /// The range from `start` to `last`; `None` if it is empty.
    pub const fn from_ends(start: u64, last: u64) -> Option<Self> {
        if start <= last {
            Some(Self { start, last })
        } else {
            None
        }
    }

    /// Whether the two have an address in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// Whether all of `other` is in here.
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.last <= self.last
    }
}

/// What an IOMMU domain or an existing list allows, cut down by another one.
fn intersect(a: IovaRange, b: IovaRange) -> Option<IovaRange> {
    IovaRange::from_ends(a.start.max(b.start), a.last.min(b.last))
}

/// Tells `emit` the ranges that may be mapped, ascending and disjoint: what all `apertures` have in
/// common, without what is `reserved`.
///
/// # Errors
///
/// `EINVAL` if nothing is left, and what `emit` returns.
pub fn usable<E: From<Errno>>(
    apertures: impl Iterator<Item = IovaRange>,
    reserved: impl Iterator<Item = IovaRange> + Clone,
    mut emit: impl FnMut(IovaRange) -> core::result::Result<(), E>,
) -> core::result::Result<(), E> {
    let mut window = IovaRange::ALL;
    for aperture in apertures {
        window = intersect(window, aperture).ok_or(errno::EINVAL)?;
    }

    let mut found = false;
    let mut pos = Some(window.start);
    while let Some(start) = pos {
        // Whatever covers `start` moves it on; then the next region above bounds the range.
        let covering = reserved
            .clone()
            .find(|r| r.start <= start && start <= r.last);
        if let Some(region) = covering {
            pos = region
                .last
                .checked_add(1)
                .filter(|next| *next <= window.last);
            continue;
        }
        let next = reserved
            .clone()
            .filter(|r| r.start > start && r.start <= window.last)
            .map(|r| r.start)
            .min();
        let last = match next {
            // `next` is above `start`, so not zero.
            Some(next) => next.saturating_sub(1),
            None => window.last,
        };
        emit(IovaRange { start, last })?;
        found = true;
        pos = next;
    }

    if found {
        Ok(())
    } else {
        Err(errno::EINVAL.into())
    }
}

const OUTSIDE: &str = "something is mapped where its IOMMU cannot";

/// Whether the aperture of a further domain can be added to a container whose usable ranges are
/// `ranges`, sorted; `mapped` says whether something is mapped in a range.
///
/// # Errors
///
/// `EINVAL` if the two have nothing in common or if a mapping would be outside.
pub fn check_aperture(
    ranges: &[IovaRange],
    aperture: IovaRange,
    mut mapped: impl FnMut(IovaRange) -> bool,
) -> Result {
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return Ok(());
    };
    if aperture.start > last.last || aperture.last < first.start {
        return Err(errno::EINVAL.because("its IOMMU has no address in common with the others"));
    }
    if aperture.start > first.start {
        let below = IovaRange {
            start: first.start,
            last: aperture.start.saturating_sub(1),
        };
        if mapped(below) {
            return Err(errno::EINVAL.because(OUTSIDE));
        }
    }
    if aperture.last < last.last {
        let above = IovaRange {
            start: aperture.last.saturating_add(1),
            last: last.last,
        };
        if mapped(above) {
            return Err(errno::EINVAL.because(OUTSIDE));
        }
    }
    Ok(())
}

/// Whether `range` may be mapped. No ranges at all means that nothing restricts: there are only
/// emulated devices.
pub fn is_usable(ranges: &[IovaRange], range: &IovaRange) -> bool {
    ranges.is_empty() || ranges.iter().any(|r| r.contains(range))
}
