// SPDX-License-Identifier: GPL-2.0

//! A device that no IOMMU guards: nothing is mapped, the device is told physical addresses.

use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::edu;
use crate::edu::Direction;
use crate::edu::Done;
use crate::edu::Edu;
use crate::host::PciDevice;
use crate::ioctl;
use crate::memory::DmaBuffer;
use crate::memory::PAGE;
use crate::physical::Pages;
use crate::story::dma::pattern;
use crate::story::dma::READ_WRITE;
use crate::story::open::Iommu;
use crate::story::open::Opened;
use crate::transcript::Transcript;

/// How many pages the device copies around.
const PAGES: usize = 4;

/// Chooses to go without, and sees that nothing else is on offer.
pub fn choose(t: &mut Transcript, opened: &Opened, device: &PciDevice) -> Result<()> {
    t.chapter("No IOMMU");
    let container = &opened.container;
    let name = device.group_name()?;
    t.equal("the group's name", name.as_str(), "vfio-noiommu")?;
    for (name, number, expected) in [
        ("VFIO_TYPE1_IOMMU", vfio::VFIO_TYPE1_IOMMU, 0),
        ("VFIO_TYPE1v2_IOMMU", vfio::VFIO_TYPE1v2_IOMMU, 0),
        ("VFIO_NOIOMMU_IOMMU", vfio::VFIO_NOIOMMU_IOMMU, 1),
    ] {
        let answer = ioctl::check_extension(container, number)?;
        let what = format!("extension {name}, now that the group is in");
        t.equal(&what, answer, expected)?;
    }
    t.refused(
        "an IOMMU for a group without one",
        ioctl::set_iommu(container, Iommu::Type1v2.number()),
        libc::ENODEV,
    )?;
    t.succeed(
        "set the container's IOMMU to none",
        ioctl::set_iommu(container, Iommu::None.number()),
    )?;
    t.refused(
        "setting it a second time",
        ioctl::set_iommu(container, Iommu::None.number()),
        libc::EINVAL,
    )?;
    t.refused(
        "IOMMU information, as there is none",
        ioctl::iommu_info(container),
        libc::ENOTTY,
    )?;
    let buffer = DmaBuffer::new(1)?;
    t.refused(
        "a mapping, as nothing can be mapped",
        ioctl::map_dma(container, &buffer, 0, PAGE, 0x10_0000, READ_WRITE),
        libc::ENOTTY,
    )?;
    t.refused(
        "an unmapping",
        ioctl::unmap_dma(container, 0x10_0000, PAGE as u64, 0),
        libc::ENOTTY,
    )
}

/// Finds memory that the device reaches.
pub fn place(t: &mut Transcript) -> Result<Pages> {
    t.chapter("DMA by physical address: RAM to the device and back to RAM");
    let pages = t.succeed(
        "lock pages that a 28-bit device can reach",
        Pages::below(edu::DMA_LAST, PAGES),
    )?;
    for page in 0..PAGES {
        t.note(format!("page {page} is at {:#x}", pages.address(page)));
    }
    Ok(pages)
}

/// Copies each page to the device and back into each other one.
pub fn transfers(t: &mut Transcript, edu: &Edu, pages: &Pages) -> Result<()> {
    let mut seed = 0;
    for from in 0..PAGES {
        let to = (from + 1) % PAGES;
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for page in 0..PAGES {
            seed += 1;
            pages.write(page, &pattern(seed));
            expected.push(pattern(seed));
        }
        let sent = expected[from].clone();
        edu.dma(pages.address(from), Direction::FromRam, Done::Quietly)?;
        // What it sends back is what it has read, not what is there by then.
        seed += 1;
        pages.write(from, &pattern(seed));
        expected[from] = pattern(seed);
        edu.dma(pages.address(to), Direction::ToRam, Done::Quietly)?;
        let what = format!("page {from} to the device, the device to page {to}: the same bytes");
        t.same_bytes(&what, &pages.read(to), &sent)?;
        expected[to] = sent;
        let now: Vec<Vec<u8>> = (0..PAGES).map(|page| pages.read(page)).collect();
        t.same_bytes(
            "the other pages have not changed",
            &now.concat(),
            &expected.concat(),
        )?;
    }
    t.equal("pages that were moved meanwhile", pages.moved()?, 0)
}
