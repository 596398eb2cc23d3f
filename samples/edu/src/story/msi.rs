// SPDX-License-Identifier: GPL-2.0

//! MSI: messages counted on an eventfd.

use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::edu;
use crate::edu::Direction;
use crate::edu::Done;
use crate::edu::Edu;
use crate::event::Counter;
use crate::story::device::Device;
use crate::transcript::Hex;
use crate::transcript::Transcript;

const MSI: u32 = vfio::VFIO_PCI_MSI_IRQ_INDEX;
const TRIGGER: u32 = vfio::VFIO_IRQ_SET_ACTION_TRIGGER;

/// Interrupts from each of the device's sources. The device can read a page at `address`.
pub fn interrupts(t: &mut Transcript, device: &Device, edu: &Edu, address: u64) -> Result<()> {
    t.chapter("MSI");
    let counter = Counter::new()?;
    t.succeed(
        "MSI on an eventfd",
        device.irq_eventfd(MSI, TRIGGER, counter.fd()),
    )?;
    t.equal("interrupts before any was raised", counter.count(0)?, 0)?;
    // One by one: messages that come while the first is still being handled become one interrupt.
    let mut seen = 0;
    for bit in [1, 2, 4] {
        edu.raise(bit);
        seen += counter.count(1)?;
    }
    t.equal("interrupts after the device raised 3", seen, 3)?;
    t.equal(
        "the device's interrupt status",
        Hex(edu.irq_status()),
        Hex(7),
    )?;
    edu.acknowledge(7);

    let answer = edu.factorial(6, Done::WithInterrupt)?;
    t.equal("the device computes 6! and interrupts", answer, 720)?;
    t.equal("interrupts", counter.count(1)?, 1)?;
    let status = edu.irq_status();
    t.equal(
        "the device's interrupt status",
        Hex(status),
        Hex(edu::IRQ_FACTORIAL),
    )?;
    edu.acknowledge(edu::IRQ_FACTORIAL);

    edu.dma(address, Direction::FromRam, Done::WithInterrupt)?;
    t.equal(
        "interrupts after a DMA that ends with one",
        counter.count(1)?,
        1,
    )?;
    t.equal(
        "the device's interrupt status",
        Hex(edu.irq_status()),
        Hex(edu::IRQ_DMA),
    )?;
    edu.acknowledge(edu::IRQ_DMA);

    t.succeed("trigger the eventfd by ioctl", device.irq(MSI, TRIGGER))?;
    t.equal("interrupts", counter.count(1)?, 1)?;
    t.refused(
        "INTx while MSI is in use",
        device.irq_eventfd(vfio::VFIO_PCI_INTX_IRQ_INDEX, TRIGGER, counter.fd()),
        libc::EINVAL,
    )?;

    t.succeed("MSI off", device.irq_off(MSI))?;
    t.equal(
        "the device's interrupt status",
        Hex(edu.irq_status()),
        Hex(0),
    )?;
    t.equal("interrupts since", counter.count(0)?, 0)
}
