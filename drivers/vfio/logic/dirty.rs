// SPDX-License-Identifier: GPL-2.0

//! Bitmaps of dirty pages, and how they are laid into those of user space.

use crate::errno::{
    self,
    Result, //
};

/// The most pages that a bitmap can tell of.
pub const PAGES_MAX: u64 = i32::MAX as u64;

const BITS: u64 = u64::BITS as u64;

/// The bytes of a bitmap of `pages` pages: whole words.
pub const fn bitmap_bytes(pages: u64) -> u64 {
    pages.div_ceil(BITS).saturating_mul(8)
}

/// Checks the size of the bitmap that user space has for `size` bytes in pages of `pgsize`.
///
/// # Errors
///
/// `EINVAL` if there is no page, or the bitmap is empty, too small or too large.
pub fn check_bitmap(size: u64, pgsize: u64, bitmap_size: u64) -> Result {
    if pgsize == 0 {
        return Err(errno::EINVAL.because("the bitmap's page size is 0"));
    }
    let pages = size >> pgsize.trailing_zeros();
    if pages == 0
        || bitmap_size == 0
        || bitmap_size > bitmap_bytes(PAGES_MAX)
        || bitmap_size < bitmap_bytes(pages)
    {
        return Err(errno::EINVAL.because("the bitmap has not the size for the range"));
    }
    Ok(())
}

/// Sets `count` bits from `start` on; ignores what is outside.
pub fn set_bits(words: &mut [u64], start: u64, count: u64) {
    let end = start
        .saturating_add(count)
        .min((words.len() as u64).saturating_mul(BITS));
    let mut bit = start;
    while bit < end {
        let offset = bit % BITS;
        let len = (BITS - offset).min(end - bit);
        let mask = (u64::MAX >> (BITS - len)) << offset;
        if let Some(word) = words.get_mut((bit / BITS) as usize) {
            *word |= mask;
        }
        bit += len;
    }
}

/// How a bitmap of `pages` pages is copied into one that starts `first` pages earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The word where it starts.
    pub word: u64,
    /// By how many bits it is moved up there. If any, those below belong to others, and the first
    /// word is added to what is there.
    pub shift: u32,
    /// How many words are written.
    pub words: u64,
}

impl Placement {
    /// Where the bits of `pages` pages go if bit zero becomes bit `first`.
    pub const fn new(first: u64, pages: u64) -> Self {
        let shift = first % BITS;
        Self {
            word: first / BITS,
            shift: shift as u32,
            words: pages.saturating_add(shift).div_ceil(BITS),
        }
    }

    /// The word number `index` of those that are written, without what was there.
    pub fn get(&self, bits: &[u64], index: u64) -> u64 {
        let at = |i: u64| bits.get(i as usize).copied().unwrap_or(0);
        if self.shift == 0 {
            return at(index);
        }
        let below = match index.checked_sub(1) {
            Some(i) => at(i) >> (u64::BITS - self.shift),
            None => 0,
        };
        (at(index) << self.shift) | below
    }
}
