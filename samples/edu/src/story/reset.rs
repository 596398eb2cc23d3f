// SPDX-License-Identifier: GPL-2.0

//! Resetting the device.

use anyhow::Result;

use crate::edu;
use crate::edu::Done;
use crate::edu::Edu;
use crate::event::Counter;
use crate::ioctl;
use crate::pci;
use crate::story::device::Device;
use crate::story::intx;
use crate::story::intx::INTX;
use crate::story::intx::TRIGGER;
use crate::story::intx::UNMASK;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// Resets the device with its pin asserted: the reset releases the pin, and the kernel puts the
/// configuration space back to what the program had made of it.
pub fn reset(t: &mut Transcript, device: &Device, edu: &Edu) -> Result<()> {
    t.chapter("Reset");
    if !device.resettable {
        t.note("the kernel has no way to reset it here: put it behind a root port");
        return t.refused("reset", ioctl::reset(&device.file), libc::EINVAL);
    }
    let counter = Counter::new()?;
    device.irq_eventfd(INTX, TRIGGER, counter.fd())?;
    let marked = edu.liveness(0x0bad_cafe);
    intx::raise_pin(t, device, edu, &counter)?;
    let bar = device.config32(pci::BASE_ADDRESS_0)?;
    let command = device.config16(pci::COMMAND)?;

    t.succeed("reset", ioctl::reset(&device.file))?;

    let pin = device.config16(pci::STATUS)? & pci::STATUS_INTERRUPT;
    t.equal(
        "the pin in the PCI status: released by the reset",
        Hex(pin),
        Hex(0),
    )?;
    let now = device.config16(pci::COMMAND)?;
    t.equal("the command register is as before", Hex(now), Hex(command))?;
    let now = device.config32(pci::BASE_ADDRESS_0)?;
    t.equal("BAR 0 is as before", Hex(now), Hex(bar))?;
    let id = edu.identification() & 0xffff;
    t.equal(
        "the mapping works as before",
        Hex(id),
        Hex(edu::IDENTIFICATION),
    )?;
    t.note(match edu.liveness_now() == marked {
        true => "(QEMU's edu keeps its own registers over a bus reset: only its PCI side is reset)",
        false => "(the device's own registers are reset as well)",
    });
    t.succeed("unmask INTx", device.irq(INTX, UNMASK))?;
    t.equal("interrupts from the released pin", counter.count(0)?, 0)?;
    edu.acknowledge(u32::MAX);
    edu.raise(2);
    t.equal(
        "interrupts after the device raised its pin",
        counter.count(1)?,
        1,
    )?;
    edu.acknowledge(2);
    device.irq_off(INTX)?;
    let answer = edu.factorial(7, Done::Quietly)?;
    t.equal("the device computes 7!", answer, edu::factorial(7))
}
