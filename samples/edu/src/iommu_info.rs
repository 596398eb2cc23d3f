// SPDX-License-Identifier: GPL-2.0

//! The answer of `VFIO_IOMMU_GET_INFO`: the capability chain behind its fixed part.

use std::mem;

use vfio_bindings::bindings::vfio;

/// Where the answer says where its chain starts, behind argsz, flags and the page sizes.
const CAP_OFFSET: usize = mem::offset_of!(vfio::vfio_iommu_type1_info, cap_offset);

/// A stretch of IOVAs that may be mapped, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IovaRange {
    /// The first address.
    pub start: u64,
    /// The last address.
    pub end: u64,
}

/// What a container's IOMMU says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IommuCapabilities {
    /// Where mappings may be.
    pub ranges: Vec<IovaRange>,
    /// The largest dirty bitmap in bytes, if pages are tracked.
    pub dirty_bitmap: Option<u64>,
    /// How many more mappings may be made.
    pub mappings: Option<u32>,
    /// Capabilities this program does not know.
    pub unknown: Vec<u16>,
}

/// The `N` bytes at `at`.
fn bytes<const N: usize>(info: &[u8], at: usize) -> Result<[u8; N], String> {
    let field = at.checked_add(N).and_then(|end| info.get(at..end));
    let field = field.and_then(|field| field.try_into().ok());
    field.ok_or(format!("a field at {at:#x} is outside the answer"))
}

/// The 32-bit field at `at`.
fn field32(info: &[u8], at: usize) -> Result<u32, String> {
    bytes(info, at).map(u32::from_ne_bytes)
}

/// The 64-bit field at `at`.
fn field64(info: &[u8], at: usize) -> Result<u64, String> {
    bytes(info, at).map(u64::from_ne_bytes)
}

impl IommuCapabilities {
    /// Walks the chain in `info`, the whole answer.
    pub fn parse(info: &[u8]) -> Result<Self, String> {
        let mut found = Self::default();
        let mut next = field32(info, CAP_OFFSET)? as usize;
        while next != 0 {
            let id = bytes(info, next).map(u16::from_ne_bytes)?;
            found.add(id, info, next)?;
            let link = field32(info, next + 4)? as usize;
            // The kernel lays the chain out upwards, so a link down would be a loop.
            if link != 0 && link <= next {
                return Err(format!("the chain goes from {next:#x} back to {link:#x}"));
            }
            next = link;
        }
        Ok(found)
    }

    /// Takes up the capability `id`, whose header is at `at`.
    fn add(&mut self, id: u16, info: &[u8], at: usize) -> Result<(), String> {
        match u32::from(id) {
            vfio::VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => {
                let count = field32(info, at + 8)? as usize;
                for i in 0..count {
                    let range = at + 16 + i * 16;
                    self.ranges.push(IovaRange {
                        start: field64(info, range)?,
                        end: field64(info, range + 8)?,
                    });
                }
            }
            vfio::VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION => {
                self.dirty_bitmap = Some(field64(info, at + 24)?);
            }
            vfio::VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL => {
                self.mappings = Some(field32(info, at + 8)?);
            }
            _ => self.unknown.push(id),
        }
        Ok(())
    }

    /// The lowest multiple of `align` from `floor` on where `size` bytes may be mapped without
    /// passing `last`. `align` is a power of two.
    pub fn place(&self, floor: u64, size: u64, align: u64, last: u64) -> Option<u64> {
        self.ranges.iter().find_map(|range| {
            let start = range.start.max(floor).checked_next_multiple_of(align)?;
            let end = start.checked_add(size.checked_sub(1)?)?;
            (end <= range.end.min(last)).then_some(start)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with a range capability at 24 and one for the mappings at 72.
    fn answer() -> Vec<u8> {
        let mut info = vec![0; 24];
        info[CAP_OFFSET] = 24;
        info.extend(1u16.to_ne_bytes());
        info.extend(1u16.to_ne_bytes());
        info.extend(72u32.to_ne_bytes());
        info.extend(2u32.to_ne_bytes());
        info.extend(0u32.to_ne_bytes());
        for end in [0, 0xfedf_ffff, 0xfef0_0000, u64::MAX] {
            info.extend(u64::to_ne_bytes(end));
        }
        info.extend(3u16.to_ne_bytes());
        info.extend(1u16.to_ne_bytes());
        info.extend(0u32.to_ne_bytes());
        info.extend(65535u64.to_ne_bytes());
        info
    }

    #[test]
    fn a_chain_is_read() {
        let found = IommuCapabilities::parse(&answer()).unwrap();
        assert_eq!(found.mappings, Some(65535));
        assert_eq!(found.ranges.len(), 2);
        assert_eq!(found.ranges[0].end, 0xfedf_ffff);
        assert_eq!(found.dirty_bitmap, None);
        assert!(found.unknown.is_empty());
    }

    #[test]
    fn a_broken_chain_is_an_error() {
        let mut info = answer();
        assert!(IommuCapabilities::parse(&info[..40]).is_err());
        info[28] = 24;
        assert!(IommuCapabilities::parse(&info).is_err());
        info[CAP_OFFSET] = 250;
        assert!(IommuCapabilities::parse(&info).is_err());
    }

    #[test]
    fn no_chain_is_no_capability() {
        assert!(IommuCapabilities::parse(&[0; 16]).is_err());
        let none = IommuCapabilities::parse(&[0; 24]);
        assert_eq!(none, Ok(IommuCapabilities::default()));
    }

    #[test]
    fn placing_keeps_to_the_ranges() {
        let found = IommuCapabilities::parse(&answer()).unwrap();
        let mask = (1 << 28) - 1;
        assert_eq!(
            found.place(0x10_0000, 0x4000, 0x1000, mask),
            Some(0x10_0000)
        );
        assert_eq!(
            found.place(0x10_0001, 0x4000, 0x1000, mask),
            Some(0x10_1000)
        );
        assert_eq!(
            found.place(0xfedf_f000, 0x2000, 0x1000, u64::MAX),
            Some(0xfef0_0000)
        );
        assert_eq!(found.place(0x1000, 1 << 29, 0x1000, mask), None);
        assert_eq!(
            found.place(u64::MAX - 0xfff, 0x2000, 0x1000, u64::MAX),
            None
        );
    }
}
