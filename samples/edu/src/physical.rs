// SPDX-License-Identifier: GPL-2.0

//! Memory by its physical address, for a device that no IOMMU translates for.
//!
//! `/proc/self/pagemap` tells where a page is, to who has `CAP_SYS_ADMIN`. See
//! `Documentation/admin-guide/mm/pagemap.rst` of the kernel.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use anyhow::bail;
use anyhow::Context;
use anyhow::Result;

use crate::host;
use crate::memory::DmaBuffer;
use crate::memory::PAGE;

/// The page is in RAM.
const PRESENT: u64 = 1 << 63;
/// The number of the physical page.
const FRAME: u64 = (1 << 55) - 1;

/// How many pages are allocated at once in search of some that the device reaches.
const CHUNK: usize = 1024;

/// Some pages, each with its own physical address.
pub struct Pages {
    /// What they are taken from.
    chunks: Vec<DmaBuffer>,
    /// Chunk, offset in it, and physical address of each.
    found: Vec<(usize, usize, u64)>,
    pagemap: File,
}

impl Pages {
    /// Allocates `count` pages below the address `last`, by looking at up to a half of what is free.
    pub fn below(last: u64, count: usize) -> Result<Self> {
        let pagemap = File::open("/proc/self/pagemap").context("open /proc/self/pagemap")?;
        let mut pages = Self {
            chunks: Vec::new(),
            found: Vec::new(),
            pagemap,
        };
        let chunks = host::available_kb()? / 2 / (CHUNK * PAGE / 1024) as u64;
        for at in 0..chunks as usize {
            let chunk = DmaBuffer::locked(CHUNK).context("lock memory")?;
            for offset in (0..CHUNK * PAGE).step_by(PAGE) {
                let address = address_of(&pages.pagemap, chunk.address(offset, PAGE))?;
                if address + (PAGE as u64 - 1) <= last && pages.found.len() < count {
                    pages.found.push((at, offset, address));
                }
            }
            // Kept until the search is over, or the kernel would hand out the same again.
            pages.chunks.push(chunk);
            if pages.found.len() == count {
                return Ok(pages);
            }
        }
        bail!("among {chunks} times {CHUNK} pages there are not {count} below {last:#x}")
    }

    /// The physical address of a page.
    pub fn address(&self, page: usize) -> u64 {
        self.found[page].2
    }

    /// Copies `bytes` into a page.
    pub fn write(&self, page: usize, bytes: &[u8]) {
        let (chunk, offset, _) = self.found[page];
        self.chunks[chunk].write(offset, bytes);
    }

    /// Copies a page out.
    pub fn read(&self, page: usize) -> Vec<u8> {
        let (chunk, offset, _) = self.found[page];
        self.chunks[chunk].read(offset, PAGE)
    }

    /// How many pages are not where they were.
    pub fn moved(&self) -> Result<usize> {
        let mut moved = 0;
        for (chunk, offset, address) in &self.found {
            let now = address_of(&self.pagemap, self.chunks[*chunk].address(*offset, PAGE))?;
            moved += usize::from(now != *address);
        }
        Ok(moved)
    }
}

/// The physical address of the page at the virtual address `start`.
fn address_of(pagemap: &File, start: u64) -> Result<u64> {
    let mut entry = [0; 8];
    let read = pagemap.read_exact_at(&mut entry, start / PAGE as u64 * 8);
    read.context("read /proc/self/pagemap")?;
    Ok(parse(u64::from_ne_bytes(entry))?)
}

/// The physical address in an entry of a pagemap.
fn parse(entry: u64) -> io::Result<u64> {
    if entry & PRESENT == 0 {
        return Err(io::Error::other("a locked page that is not in RAM"));
    }
    match entry & FRAME {
        0 => Err(io::Error::other(
            "/proc/self/pagemap tells no addresses: CAP_SYS_ADMIN is needed",
        )),
        frame => Ok(frame * PAGE as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read() {
        assert_eq!(parse(PRESENT | 0x1234).unwrap(), 0x123_4000);
        // Soft-dirty and exclusive are bits of their own.
        assert_eq!(parse(PRESENT | 3 << 55 | 1).unwrap(), 0x1000);
        assert!(parse(PRESENT).is_err());
        assert!(parse(0x1234).is_err());
    }
}
