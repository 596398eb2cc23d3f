// SPDX-License-Identifier: GPL-2.0

//! The kernel asks for the device back: unbinding it while it is open.

use std::thread;

use anyhow::Context;
use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::event::Counter;
use crate::host::PciDevice;
use crate::ioctl;
use crate::story::open::Iommu;
use crate::story::open::Opened;
use crate::transcript::Transcript;

/// Opens the device anew, gives it back when asked, and binds it again.
pub fn taken_back(t: &mut Transcript, host: &PciDevice, iommu: Iommu) -> Result<()> {
    t.chapter("The kernel asks for the device back");
    let opened = t.succeed("open container and group again", Opened::again(host, iommu))?;
    let device = t.succeed(
        &format!("open {} again", host.address),
        ioctl::device_fd(&opened.group, &host.name()?),
    )?;
    let counter = Counter::new()?;
    let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
    let index = vfio::VFIO_PCI_REQ_IRQ_INDEX;
    t.succeed(
        "REQ on an eventfd",
        ioctl::set_irqs(&device, index, flags, 1, &[counter.fd()]),
    )?;

    let unbind = host.unbind_file()?;
    let address = host.address.clone();
    t.note("somebody unbinds the device from vfio-pci");
    let unbinding = thread::spawn(move || std::fs::write(unbind, address));
    t.equal("notices", counter.count(1)?, 1)?;
    let state = |done| if done { "done" } else { "waiting" };
    t.equal(
        "unbinding, while the device is open",
        state(unbinding.is_finished()),
        "waiting",
    )?;
    drop(device);
    let unbound = unbinding.join().ok().context("the unbinding thread")?;
    t.succeed("the device closed, unbinding is done", unbound)?;
    t.require(
        "the device's driver",
        host.driver().is_err(),
        "none",
        host.driver().unwrap_or("none".to_owned()),
    )?;
    t.refused(
        "the status of a group that has lost its device",
        ioctl::group_flags(&opened.group),
        libc::ENODEV,
    )?;
    drop(opened);

    t.succeed("let the kernel find it a driver", host.probe())?;
    let driver = host.driver().context("no driver")?;
    t.equal("the device's driver", driver.as_str(), "vfio-pci")
}
