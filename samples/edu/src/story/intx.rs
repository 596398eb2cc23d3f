// SPDX-License-Identifier: GPL-2.0

//! INTx: a level, masked by the kernel each time it fires until the program has served it.

use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::edu::Edu;
use crate::event::Counter;
use crate::pci;
use crate::story::device::Device;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// The index of INTx.
pub const INTX: u32 = vfio::VFIO_PCI_INTX_IRQ_INDEX;
/// To set the eventfd of the interrupt.
pub const TRIGGER: u32 = vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
/// To unmask it, or to set the eventfd that unmasks it.
pub const UNMASK: u32 = vfio::VFIO_IRQ_SET_ACTION_UNMASK;
const MASK: u32 = vfio::VFIO_IRQ_SET_ACTION_MASK;

/// Has the device assert its pin, and sees that it arrives and shows in the PCI status.
pub fn raise_pin(t: &mut Transcript, device: &Device, edu: &Edu, counter: &Counter) -> Result<()> {
    edu.raise(1);
    t.equal(
        "interrupts after the device raised its pin",
        counter.count(1)?,
        1,
    )?;
    let pin = device.config16(pci::STATUS)? & pci::STATUS_INTERRUPT;
    t.equal(
        "the pin in the PCI status: asserted",
        Hex(pin),
        Hex(pci::STATUS_INTERRUPT),
    )
}

/// Masking and unmasking, by ioctl and by eventfd.
pub fn interrupts(t: &mut Transcript, device: &Device, edu: &Edu) -> Result<()> {
    t.chapter("INTx");
    let counter = Counter::new()?;
    t.succeed(
        "INTx on an eventfd",
        device.irq_eventfd(INTX, TRIGGER, counter.fd()),
    )?;
    t.equal("interrupts before any was raised", counter.count(0)?, 0)?;
    raise_pin(t, device, edu, &counter)?;
    edu.raise(2);
    t.equal(
        "the kernel has masked it: more interrupts",
        counter.count(0)?,
        0,
    )?;

    t.succeed(
        "unmask by ioctl, the pin still asserted",
        device.irq(INTX, UNMASK),
    )?;
    t.equal("interrupts: it fires once more", counter.count(1)?, 1)?;
    edu.acknowledge(3);
    let pin = device.config16(pci::STATUS)? & pci::STATUS_INTERRUPT;
    t.equal(
        "acknowledged, the pin in the PCI status: released",
        Hex(pin),
        Hex(0),
    )?;
    t.succeed("unmask by ioctl", device.irq(INTX, UNMASK))?;
    t.equal("interrupts from a released pin", counter.count(0)?, 0)?;
    edu.raise(4);
    t.equal(
        "interrupts after the device raised it again",
        counter.count(1)?,
        1,
    )?;
    edu.acknowledge(4);
    t.succeed("unmask by ioctl", device.irq(INTX, UNMASK))?;

    t.succeed("mask by ioctl", device.irq(INTX, MASK))?;
    edu.raise(8);
    t.equal("interrupts while masked", counter.count(0)?, 0)?;
    t.succeed("unmask by ioctl", device.irq(INTX, UNMASK))?;
    t.equal(
        "interrupts: the one that was held back",
        counter.count(1)?,
        1,
    )?;
    edu.acknowledge(8);
    device.irq(INTX, UNMASK)?;

    by_eventfd(t, device, edu, &counter)?;

    t.succeed("trigger the eventfd by ioctl", device.irq(INTX, TRIGGER))?;
    t.equal("interrupts", counter.count(1)?, 1)?;
    t.succeed("INTx off", device.irq_off(INTX))?;
    t.refused(
        "unmasking what is off",
        device.irq(INTX, UNMASK),
        libc::EINVAL,
    )
}

/// Unmasking by an eventfd, as a virtual machine monitor does when its guest has served it.
fn by_eventfd(t: &mut Transcript, device: &Device, edu: &Edu, counter: &Counter) -> Result<()> {
    let unmask = Counter::new()?;
    t.succeed(
        "an eventfd that unmasks",
        device.irq_eventfd(INTX, UNMASK, unmask.fd()),
    )?;
    edu.raise(16);
    t.equal("interrupts", counter.count(1)?, 1)?;
    edu.raise(32);
    t.equal("masked again: more interrupts", counter.count(0)?, 0)?;
    t.succeed("signal it, the pin still asserted", unmask.signal())?;
    t.equal("interrupts: it fires once more", counter.count(1)?, 1)?;
    edu.acknowledge(48);
    t.succeed("signal it, the pin released", unmask.signal())?;
    t.equal("interrupts from a released pin", counter.count(0)?, 0)?;
    edu.raise(64);
    t.equal(
        "interrupts after the device raised it again",
        counter.count(1)?,
        1,
    )?;
    edu.acknowledge(64);
    unmask.signal()?;
    t.equal(
        "signals left in the eventfd that unmasks",
        unmask.count(0)?,
        0,
    )?;
    t.succeed(
        "take the eventfd away",
        device.irq_eventfd(INTX, UNMASK, -1),
    )
}
