// SPDX-License-Identifier: GPL-2.0

//! Closing everything, with as much as possible still in use, and looking for what is left over.

use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::edu::Edu;
use crate::event::Counter;
use crate::host;
use crate::ioctl;
use crate::memory::DmaBuffer;
use crate::story::device::Device;
use crate::story::dma::READ_WRITE;
use crate::story::open;
use crate::story::open::Opened;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// Closes the device, the group and the container; `locked` is what the process had locked, in kB,
/// before any was opened. If there is an IOMMU, a page is left mapped at `iova`.
pub fn everything(
    t: &mut Transcript,
    opened: Opened,
    device: Device,
    edu: Edu,
    iova: Option<u64>,
    locked: u64,
) -> Result<()> {
    t.chapter("Everything closed");
    let Opened {
        container,
        group,
        group_path,
    } = opened;
    let buffer = DmaBuffer::new(1)?;
    let size = buffer.size();
    if let Some(iova) = iova {
        t.succeed(
            "leave a mapping behind",
            ioctl::map_dma(&container, &buffer, 0, size, iova, READ_WRITE),
        )?;
    }
    let counter = Counter::new()?;
    t.succeed(
        "leave MSI on",
        device.irq_eventfd(
            vfio::VFIO_PCI_MSI_IRQ_INDEX,
            vfio::VFIO_IRQ_SET_ACTION_TRIGGER,
            counter.fd(),
        ),
    )?;
    t.refused(
        "taking the group out of the container while its device is open",
        ioctl::unset_container(&group),
        libc::EBUSY,
    )?;
    drop(device);
    t.refused(
        "the same with the device's file closed, but its BAR still mapped",
        ioctl::unset_container(&group),
        libc::EBUSY,
    )?;
    drop(edu);
    t.succeed(
        "take the group out once the BAR is unmapped as well",
        ioctl::unset_container(&group),
    )?;
    let now = host::locked_kb()?;
    t.equal("locked memory, in kB, as before it all", now, locked)?;
    t.equal(
        "group flags: viable, in no container",
        Hex(ioctl::group_flags(&group)?),
        Hex(vfio::VFIO_GROUP_FLAGS_VIABLE),
    )?;
    drop(group);
    let again = t.succeed("close the group, open it again", open::open(&group_path))?;
    drop(again);
    drop(container);
    t.equal("interrupts nobody asked for", counter.count(0)?, 0)
}
