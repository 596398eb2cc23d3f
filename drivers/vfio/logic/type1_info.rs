// SPDX-License-Identifier: GPL-2.0

//! The capability chain of `VFIO_IOMMU_GET_INFO` for type1.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::{
    dma::smallest_page,
    errno::{
        self,
        Result, //
    },
    iova::IovaRange,
};

/// `sizeof(struct vfio_iommu_type1_info)`: where the chain starts.
pub const INFO_BYTES: u32 = 24;

/// The largest dirty bitmap: one bit for each of `INT_MAX` pages, in whole 64-bit words.
pub const DIRTY_BITMAP_BYTES_MAX: u64 = 1 << 28;

const CAP_IOVA_RANGE: u16 = 1;
const CAP_MIGRATION: u16 = 2;
const CAP_DMA_AVAIL: u16 = 3;

const MIGRATION_BYTES: usize = 32;
const DMA_AVAIL_BYTES: usize = 16;
const IOVA_HEADER_BYTES: usize = 16;
const IOVA_RANGE_BYTES: usize = 16;

/// The length of the chain when there are `ranges` usable ranges; a multiple of eight.
pub fn chain_len(ranges: usize) -> Result<usize> {
    let fixed = MIGRATION_BYTES + DMA_AVAIL_BYTES;
    if ranges == 0 {
        return Ok(fixed);
    }
    ranges
        .checked_mul(IOVA_RANGE_BYTES)
        .and_then(|n| n.checked_add(fixed + IOVA_HEADER_BYTES))
        .ok_or(errno::ENOMEM)
}

struct Writer<'a> {
    out: &'a mut [u8],
    pos: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result {
        let end = self.pos.checked_add(bytes.len()).ok_or(errno::EINVAL)?;
        let room = self.out.get_mut(self.pos..end).ok_or(errno::EINVAL)?;
        room.copy_from_slice(bytes);
        self.pos = end;
        Ok(())
    }

    /// A header; `next_in` is how far on the next one is, if there is one.
    fn header(&mut self, id: u16, next_in: Option<usize>) -> Result {
        let next = match next_in {
            Some(len) => self
                .pos
                .checked_add(len)
                .and_then(|n| u32::try_from(n).ok())
                .and_then(|n| n.checked_add(INFO_BYTES))
                .ok_or(errno::EINVAL)?,
            None => 0,
        };
        self.put(&id.to_ne_bytes())?;
        self.put(&1u16.to_ne_bytes())?;
        self.put(&next.to_ne_bytes())
    }
}

/// Writes the chain into `out`, which is [`chain_len`] bytes long: migration, the number of
/// mappings that may still be made, and the usable ranges if there are any.
///
/// # Errors
///
/// `EINVAL` if `out` is too short.
pub fn write_chain(out: &mut [u8], pgsizes: u64, avail: u32, ranges: &[IovaRange]) -> Result {
    let mut w = Writer { out, pos: 0 };

    w.header(CAP_MIGRATION, Some(MIGRATION_BYTES))?;
    w.put(&0u64.to_ne_bytes())?; // Flags and padding.
    w.put(&smallest_page(pgsizes).to_ne_bytes())?;
    w.put(&DIRTY_BITMAP_BYTES_MAX.to_ne_bytes())?;

    w.header(
        CAP_DMA_AVAIL,
        (!ranges.is_empty()).then_some(DMA_AVAIL_BYTES),
    )?;
    w.put(&avail.to_ne_bytes())?;
    w.put(&0u32.to_ne_bytes())?;

    if !ranges.is_empty() {
        let count = u32::try_from(ranges.len()).map_err(|_| errno::EINVAL)?;
        w.header(CAP_IOVA_RANGE, None)?;
        w.put(&count.to_ne_bytes())?;
        w.put(&0u32.to_ne_bytes())?;
        for range in ranges {
            w.put(&range.start.to_ne_bytes())?;
            w.put(&range.last.to_ne_bytes())?;
        }
    }
    Ok(())
}
