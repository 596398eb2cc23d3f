// SPDX-License-Identifier: GPL-2.0

//! DMA: allowed where memory is mapped, blocked by the IOMMU everywhere else.

use anyhow::Context;
use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::edu;
use crate::edu::Direction;
use crate::edu::Done;
use crate::edu::Edu;
use crate::host;
use crate::ioctl;
use crate::iommu_info::IommuCapabilities;
use crate::memory::DmaBuffer;
use crate::memory::PAGE;
use crate::story::open::Opened;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// Mapped so that the device may read and write.
pub const READ_WRITE: u32 = vfio::VFIO_DMA_MAP_FLAG_READ | vfio::VFIO_DMA_MAP_FLAG_WRITE;

/// How many pages the chapters map.
const PAGES: usize = 4;
/// The pages' use: what the device reads, a page it must not touch, what it writes, another guard.
const SOURCE: usize = 0;
const TARGET: usize = 2 * PAGE;

/// One page of a pattern that differs from byte to byte and from `seed` to `seed`.
pub fn pattern(seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        // A xorshift generator: cheap, and no byte follows from the one before.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..PAGE).map(next).collect()
}

/// Finds IOVAs which may be mapped and which the device can reach.
pub fn place(t: &mut Transcript, capabilities: &IommuCapabilities) -> Result<u64> {
    t.chapter("DMA: RAM to the device and back to RAM");
    let size = (PAGES * PAGE) as u64;
    let place = capabilities.place(1 << 20, size, size, edu::DMA_LAST);
    let iova = place.context("no IOVA range that a 28-bit device can reach")?;
    t.note(format!(
        "the device will see {PAGES} pages at IOVA {iova:#x}"
    ));
    Ok(iova)
}

/// How many mappings may still be made.
fn mappings_left(opened: &Opened) -> Result<u32> {
    let size = ioctl::iommu_info(&opened.container)?.argsz;
    let bytes = ioctl::iommu_info_bytes(&opened.container, size)?;
    let parsed = IommuCapabilities::parse(&bytes).map_err(anyhow::Error::msg)?;
    parsed.mappings.context("no count of mappings")
}

/// Copies RAM to the device and back with the memory mapped.
pub fn transfers(t: &mut Transcript, opened: &Opened, edu: &Edu, iova: u64) -> Result<()> {
    let container = &opened.container;
    let buffer = DmaBuffer::new(PAGES)?;
    let size = buffer.size();
    let sent = pattern(1);
    let before: Vec<Vec<u8>> = (0..PAGES as u32).map(|page| pattern(page + 1)).collect();
    buffer.write(0, &before.concat());

    let locked = host::locked_kb()?;
    let left = mappings_left(opened)?;
    t.succeed(
        "map the pages for the device to read and write",
        ioctl::map_dma(container, &buffer, 0, size, iova, READ_WRITE),
    )?;
    t.equal(
        "mappings left",
        mappings_left(opened)?,
        left.saturating_sub(1),
    )?;
    let now = host::locked_kb()?;
    t.equal(
        "locked memory has grown by, in kB",
        now - locked,
        size as u64 / 1024,
    )?;
    t.refused(
        "a second mapping over the first",
        ioctl::map_dma(container, &buffer, 0, PAGE, iova + PAGE as u64, READ_WRITE),
        libc::EEXIST,
    )?;
    t.refused(
        "a mapping that is not whole pages",
        ioctl::map_dma(
            container,
            &buffer,
            0,
            PAGE / 2,
            iova + size as u64,
            READ_WRITE,
        ),
        libc::EINVAL,
    )?;

    edu.dma(iova + SOURCE as u64, Direction::FromRam, Done::Quietly)?;
    edu.dma(iova + TARGET as u64, Direction::ToRam, Done::Quietly)?;
    t.same_bytes(
        "page 0 to the device, the device to page 2: the same bytes",
        &buffer.read(TARGET, PAGE),
        &sent,
    )?;
    let mut expected = before.clone();
    expected[TARGET / PAGE].clone_from(&sent);
    t.same_bytes(
        "nothing else has changed",
        &buffer.read(0, size),
        &expected.concat(),
    )?;

    t.refused(
        "unmapping a part of a mapping",
        ioctl::unmap_dma(container, iova, PAGE as u64, 0),
        libc::EINVAL,
    )?;
    let unmapped = ioctl::unmap_dma(container, iova, size as u64, 0)?;
    t.equal("bytes unmapped", unmapped, size as u64)?;
    let again = ioctl::unmap_dma(container, iova, size as u64, 0)?;
    t.equal("bytes unmapped the second time", again, 0)?;
    t.equal(
        "locked memory is back at, in kB",
        host::locked_kb()?,
        locked,
    )?;
    t.equal("mappings left", mappings_left(opened)?, left)
}

/// Lets the device try what it may not.
pub fn blocked(t: &mut Transcript, opened: &Opened, edu: &Edu, iova: u64) -> Result<()> {
    t.chapter("DMA: what is not mapped is blocked");
    t.note("(the kernel log will show the IOMMU's faults: they are what is asked for here)");
    let container = &opened.container;
    let buffer = DmaBuffer::new(PAGES)?;
    let page = PAGE as u64;
    let secret = pattern(0x5ec3e7);
    let known = pattern(0x600d);
    let kept = pattern(0x1ee7);

    // Fill the device's buffer with something known, then take the page away.
    buffer.write(SOURCE, &known);
    ioctl::map_dma(container, &buffer, 0, PAGE, iova, READ_WRITE)?;
    edu.dma(iova, Direction::FromRam, Done::Quietly)?;
    let unmapped = ioctl::unmap_dma(container, iova, page, 0)?;
    t.equal(
        "bytes unmapped after the device has read them",
        unmapped,
        page,
    )?;

    buffer.write(SOURCE, &kept);
    edu.dma(iova, Direction::ToRam, Done::Quietly)?;
    t.same_bytes(
        "the device writes to the unmapped page: it is unchanged",
        &buffer.read(SOURCE, PAGE),
        &kept,
    )?;

    buffer.write(SOURCE, &secret);
    edu.dma(iova, Direction::FromRam, Done::Quietly)?;
    ioctl::map_dma(container, &buffer, TARGET, PAGE, iova + page, READ_WRITE)?;
    edu.dma(iova + page, Direction::ToRam, Done::Quietly)?;
    let got = buffer.read(TARGET, PAGE);
    let leaked = got.iter().zip(&secret).filter(|(a, b)| a == b).count();
    // Whatever the device holds now, by chance one byte in 256 is the same.
    t.require(
        "the device reads the unmapped page: bytes of it that it got",
        leaked < PAGE / 16,
        "no more than by chance",
        format!("{leaked} of {PAGE}, by chance"),
    )?;

    buffer.write(SOURCE, &known);
    let read_only = vfio::VFIO_DMA_MAP_FLAG_READ;
    t.succeed(
        "map the page again, for the device to read only",
        ioctl::map_dma(container, &buffer, 0, PAGE, iova, read_only),
    )?;
    edu.dma(iova, Direction::FromRam, Done::Quietly)?;
    edu.dma(iova + page, Direction::ToRam, Done::Quietly)?;
    t.same_bytes("it can read it", &buffer.read(TARGET, PAGE), &known)?;
    buffer.write(SOURCE, &kept);
    edu.dma(iova, Direction::ToRam, Done::Quietly)?;
    t.same_bytes(
        "it cannot write it: the page is unchanged",
        &buffer.read(SOURCE, PAGE),
        &kept,
    )?;
    let all = vfio::VFIO_DMA_UNMAP_FLAG_ALL;
    let unmapped = ioctl::unmap_dma(container, 0, 0, all)?;
    t.equal(
        "bytes unmapped by unmapping all",
        Hex(unmapped),
        Hex(2 * page),
    )
}

/// A page mapped for the device.
pub struct MappedPage<'a> {
    opened: &'a Opened,
    iova: u64,
    /// Goes when it is unmapped.
    _buffer: DmaBuffer,
}

impl<'a> MappedPage<'a> {
    /// Maps one at `iova`.
    pub fn new(opened: &'a Opened, iova: u64) -> Result<Self> {
        let buffer = DmaBuffer::new(1)?;
        ioctl::map_dma(&opened.container, &buffer, 0, PAGE, iova, READ_WRITE)?;
        Ok(Self {
            opened,
            iova,
            _buffer: buffer,
        })
    }

    /// Unmaps it.
    pub fn unmap(self) -> Result<()> {
        ioctl::unmap_dma(&self.opened.container, self.iova, PAGE as u64, 0)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_differ() {
        let (one, other) = (pattern(1), pattern(3));
        assert_eq!(one.len(), PAGE);
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < PAGE / 16, "{same}");
    }
}
