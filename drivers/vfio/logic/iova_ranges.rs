// SPDX-License-Identifier: GPL-2.0

//! Fewer ranges for a device that cannot log DMA in so many.

/// Which two neighbours are closest: the index of the first of them, and of the first such pair.
/// `None` if there are fewer than two ranges.
///
/// `ranges` are first and last addresses, ordered and without overlaps.
pub fn closest(ranges: impl Iterator<Item = (usize, usize)>) -> Option<usize> {
    let mut best = None;
    let mut before: Option<usize> = None;
    for (index, (start, last)) in ranges.enumerate() {
        if let (Some(end), Some(pair)) = (before, index.checked_sub(1)) {
            let gap = start.saturating_sub(end);
            if best.is_none_or(|(least, _)| gap < least) {
                best = Some((gap, pair));
            }
        }
        before = Some(last);
    }
    best.map(|(_, pair)| pair)
}

/// How many times two neighbours have to become one, so that of `count` ranges `wanted` are left.
/// Where one is wanted, it is as many times as there are neighbours.
pub fn merges(count: u32, wanted: u32) -> u32 {
    if wanted == 1 {
        u32::MAX
    } else {
        count.saturating_sub(wanted)
    }
}
