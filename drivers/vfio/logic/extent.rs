// SPDX-License-Identifier: GPL-2.0

//! Physically contiguous runs of pages, and how many of them are worth remembering.

/// A run of pages whose frame numbers follow each other.
///
/// Two words: the number of pages and, in the topmost bit of the frame number, whether they are
/// pinned. Device memory that a process has mapped is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    frame: u64,
    pages: u64,
}

const PINNED: u64 = 1 << 63;

impl Extent {
    /// The `pages` pages from frame number `pfn` on. Addresses have 64 bits, so both are far below 2^63.
    pub const fn new(pfn: u64, pages: u64, pinned: bool) -> Self {
        let pinned = if pinned { PINNED } else { 0 };
        Self {
            frame: (pfn & !PINNED) | pinned,
            pages,
        }
    }

    /// The frame number of the first page.
    pub const fn pfn(&self) -> u64 {
        self.frame & !PINNED
    }

    /// The number of pages.
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether the pages are pinned.
    pub const fn is_pinned(&self) -> bool {
        self.frame & PINNED != 0
    }

    /// Takes `next` in if it follows on directly and is of the same kind; tells whether it did.
    #[inline]
    pub fn merge(&mut self, next: &Extent) -> bool {
        if self.frame.checked_add(self.pages) != Some(next.frame) {
            return false;
        }
        match self.pages.checked_add(next.pages) {
            Some(pages) => {
                self.pages = pages;
                true
            }
            None => false,
        }
    }
}

/// How much one mapping costs apart from its extents: the tree node as the allocator rounds it.
pub const NODE_BYTES: u64 = 192;

/// How many extents a mapping of `bytes` may remember.
///
/// Bookkeeping is to be at most a thousandth of what is mapped, where the allocator may round the
/// list of extents up to twice its size; a small mapping may have 256 bytes in all.
pub const fn budget(bytes: u64) -> u64 {
    let extent = size_of::<Extent>() as u64;
    let rest = (bytes / 1000).saturating_sub(NODE_BYTES) / (2 * extent);
    let small = (256 - NODE_BYTES) / extent;
    if rest > small {
        rest
    } else {
        small
    }
}
