// SPDX-License-Identifier: GPL-2.0

//! The device's registers, through its mapped BAR.

use std::os::unix::fs::FileExt;

use anyhow::Context;
use anyhow::Result;

use crate::edu;
use crate::edu::Done;
use crate::edu::Edu;
use crate::memory::Mmio;
use crate::story::device::Device;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// Maps BAR 0 and lets the device compute.
pub fn registers(t: &mut Transcript, device: &Device) -> Result<Edu> {
    t.chapter("The registers");
    let size = usize::try_from(device.bar.size)?;
    let bar = Mmio::new(&device.file, device.bar.offset, size);
    let edu = Edu::new(t.succeed("map BAR 0 into the program", bar)?);
    let id = edu.identification();
    t.require(
        "identification",
        id & 0xffff == edu::IDENTIFICATION,
        "0x....00ed",
        Hex(id),
    )?;
    let mut bytes = [0; 4];
    let read = device
        .file
        .read_exact_at(&mut bytes, device.bar.offset + edu::ID as u64);
    read.context("read(2) of BAR 0")?;
    let read = u32::from_le_bytes(bytes);
    t.equal("the same through read(2)", Hex(read), Hex(id))?;
    for value in [0x1234_5678, 0, u32::MAX] {
        let what = format!("the device inverts {value:#x}");
        t.equal(&what, Hex(edu.liveness(value)), Hex(!value))?;
    }
    for n in [0, 1, 5, 10, 12] {
        let answer = edu.factorial(n, Done::Quietly)?;
        t.equal(
            &format!("the device computes {n}!"),
            answer,
            edu::factorial(n),
        )?;
    }
    Ok(edu)
}
