// SPDX-License-Identifier: GPL-2.0

//! The two notices the kernel sends: an error of the device, and the wish to have it back.

use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::event::Counter;
use crate::ioctl;
use crate::story::device::Device;
use crate::transcript::Transcript;

const TRIGGER: u32 = vfio::VFIO_IRQ_SET_ACTION_TRIGGER;

/// Sets, triggers and gives up both eventfds.
pub fn error_and_request(t: &mut Transcript, device: &Device) -> Result<()> {
    t.chapter("The error and request notices");
    for (name, index) in [
        ("ERR", vfio::VFIO_PCI_ERR_IRQ_INDEX),
        ("REQ", vfio::VFIO_PCI_REQ_IRQ_INDEX),
    ] {
        let counter = Counter::new()?;
        let set = device.irq_eventfd(index, TRIGGER, counter.fd());
        // Only PCI Express devices report errors; `edu` is conventional PCI.
        if ioctl::irq_info(&device.file, index)?.count == 0 {
            t.refused(
                &format!("{name} on a device without error reporting"),
                set,
                libc::EINVAL,
            )?;
            continue;
        }
        t.succeed(&format!("{name} on an eventfd"), set)?;
        t.succeed(
            &format!("trigger {name} by ioctl"),
            device.irq(index, TRIGGER),
        )?;
        t.equal("notices", counter.count(1)?, 1)?;
        t.succeed(&format!("{name} off"), device.irq_off(index))?;
        t.refused(
            "triggering what is off",
            device.irq(index, TRIGGER),
            libc::EINVAL,
        )?;
    }
    Ok(())
}
