// SPDX-License-Identifier: GPL-2.0

//! Checks of the emulated configuration space: its pieces, and a function with it.

use super::Outcome;
use core::{
    cell::Cell,
    sync::atomic::AtomicU8, //
};
use vfio_logic::{
    config::{
        access::Access,
        bars::{
            self,
            Resource, //
        },
        emulation::{
            Emulation,
            State, //
        },
        length,
        permissions,
        range,
        regs::{
            cap,
            ecap, //
        },
        shadow::Shadow,
        Event,
        Facts,
        Function,
        PowerState,
        Width, //
    },
    errno::{
        Errno,
        EFAULT, //
    },
};

pub(crate) fn registers_overlap() -> Outcome {
    for start in 0..12u64 {
        for count in 1..8u64 {
            let shared = |i: &u64| (4..9).contains(i);
            let both = (start..start.saturating_add(count)).filter(shared);
            let answer = range::overlap(start, count, 4, 5);
            check!(
                answer.map_or(0, |o| o.count) == both.clone().count() as u64,
                "another number of bytes"
            );
            if let (Some(overlap), Some(first)) = (answer, both.min()) {
                check!(
                    overlap.buf_offset.saturating_add(start) == first
                        && overlap.reg_offset.saturating_add(4) == first,
                    "other bytes"
                );
            }
        }
    }
    Ok(())
}

pub(crate) fn bars_are_sized() -> Outcome {
    for index in 0..7 {
        check!(
            bars::index(bars::position(index)) == Some(index),
            "a BAR is elsewhere"
        );
    }
    check!(
        bars::index(0x28).is_none() && bars::index(0xf).is_none(),
        "a BAR where there is none"
    );
    let memory = Resource {
        start: 0xe000_0000,
        len: 0x2_0000_0000,
        prefetch: true,
        is_64bit: true,
        ..Resource::default()
    };
    let ports = Resource {
        start: 0xc000,
        len: 0x20,
        io: true,
        ..Resource::default()
    };
    let resource = |index| match index {
        0 => memory,
        2 => ports,
        _ => Resource::default(),
    };
    for (index, value, wanted) in [
        (0, u32::MAX, 0xc),
        (1, u32::MAX, 0xffff_fffe),
        (2, u32::MAX, 0xffff_ffe1),
        (2, 0x1234_5678, 0x1234_5661),
        (3, u32::MAX, 0),
        (5, u32::MAX, 0),
    ] {
        check!(
            bars::read(index, value, resource) == wanted,
            "a BAR of another size"
        );
    }
    let rom = Resource {
        start: 0xf000_0000,
        len: 0x1_0000,
        ..Resource::default()
    };
    for (rom, shadow, wanted) in [
        (rom, 0, 0xffff_0001),
        (Resource::default(), 0x1_8000, 0xfffe_0001),
        (Resource::default(), 0, 0),
    ] {
        check!(
            bars::read_rom(u32::MAX, rom, shadow) == wanted,
            "a ROM of another size"
        );
    }
    Ok(())
}

pub(crate) fn capabilities_have_lengths() -> Outcome {
    let standard = |id, value| length::standard::<Errno>(id, 2, |_, _| Ok(value));
    for (id, value, wanted) in [
        (cap::PM, 0, 8),
        (cap::VPD, 0, 8),
        (cap::MSI, 0, 10),
        (cap::MSI, 0x180, 24),
        (cap::MSIX, 0, 12),
        (cap::AF, 0, 6),
        (cap::VNDR, 0x14, 0x14),
        (cap::PCIX, 0, 8),
        (cap::PCIX, 0x1000, 24),
        (0, 0, 0),
        (0x7f, 0, 0),
    ] {
        check!(standard(id, value) == Ok(wanted), "another length");
    }
    let extended = |id, value| length::extended::<Errno>(id, |_, _| Ok(value));
    for (id, value, wanted) in [
        (ecap::ERR, 0, 0x2c),
        (ecap::DSN, 0, 12),
        (ecap::SRIOV, 0, 0x40),
        (ecap::VNDR, 0x0100_0000, 0x10),
        (ecap::ACS, 0, 8),
        (ecap::REBAR, 0x40, 20),
        (0x7f, 0, 0),
    ] {
        check!(extended(id, value) == Ok(wanted), "another length");
    }
    check!(
        ecap::id(0x1401_0001) == 1 && ecap::next(0x1401_0001) == 0x140,
        "the header is read otherwise"
    );
    Ok(())
}

pub(crate) fn permissions_are_those_of_registers() -> Outcome {
    // Table, offset, width; what is emulated, and what may be written.
    for (table, offset, width, virt, write) in [
        (&permissions::HEADER, 0x00, Width::Dword, !0, 0),
        (&permissions::HEADER, 0x10, Width::Dword, !0, !0),
        (&permissions::HEADER, 0x3d, Width::Byte, 0xff, 0),
        (&permissions::PM, 0, Width::Word, 0xff00, 0),
        (&permissions::PM, 4, Width::Word, 0x8100, 0x7efc),
        (&permissions::VPD, 2, Width::Word, 0xffff, 0xffff),
        (&permissions::PM, 0x100, Width::Dword, 0, 0),
    ] {
        let bits = table.bits(offset, width);
        check!(bits.virt == virt, "other bits are emulated");
        check!(bits.write == write, "other bits may be written");
    }
    Ok(())
}

const SIZE: usize = 256;
const PM: usize = 0x40;
const HIDDEN: usize = 0x50;
const MSI: usize = 0x60;

/// A function with two capabilities that are shown, and one in between that is not.
struct Board {
    bytes: [Cell<u8>; SIZE],
    power: Cell<Option<PowerState>>,
    locks: Cell<u32>,
}

impl Board {
    fn new() -> Self {
        let board = Self {
            bytes: [const { Cell::new(0) }; SIZE],
            power: Cell::new(None),
            locks: Cell::new(0),
        };
        for (pos, bytes) in [
            (0, [0x86, 0x80, 0xc9, 0x10]),
            (4, [0, 0, 0x10, 0]),
            (0x10, [0, 0, 0, 0xe0]),
            (0x34, [PM as u8, 0, 0, 0]),
            (PM, [cap::PM, HIDDEN as u8, 3, 0]),
            (HIDDEN, [0x7f, MSI as u8, 0, 0]),
            (MSI, [cap::MSI, 0, 0x0a, 0]),
        ] {
            board.put(pos, &bytes);
        }
        board
    }

    fn put(&self, pos: usize, bytes: &[u8]) {
        for (cell, byte) in self.bytes.iter().skip(pos).zip(bytes) {
            cell.set(*byte);
        }
    }

    fn get(&self, pos: usize) -> u8 {
        self.bytes.get(pos).map_or(0xff, Cell::get)
    }
}

impl<'b> Function for &'b Board {
    type Error = Errno;
    type MemoryLock<'a>
        = ()
    where
        Self: 'a;

    fn facts(&self) -> Facts {
        Facts {
            vendor: 0x8086,
            device: 0x10c9,
            has_intx: true,
            ..Facts::default()
        }
    }

    fn probe(&self, pos: usize, width: Width) -> Result<u32, Errno> {
        self.read(pos, width)
    }

    fn read(&self, pos: usize, width: Width) -> Result<u32, Errno> {
        let bytes = self.bytes.get(pos..).ok_or(EFAULT)?;
        let mut value = [0; 4];
        for (to, from) in value.iter_mut().zip(bytes).take(width.bytes()) {
            *to = from.get();
        }
        Ok(u32::from_le_bytes(value))
    }

    fn write(&self, pos: usize, width: Width, value: u32) -> Result<(), Errno> {
        self.put(pos, value.to_le_bytes().get(..width.bytes()).unwrap_or(&[]));
        Ok(())
    }

    fn resource(&self, index: usize) -> Resource {
        let here = (index == 0).then_some(0xe000_0000);
        Resource {
            start: here.unwrap_or(0),
            len: 0x10_0000,
            ..Resource::default()
        }
    }

    fn shadow_rom_len(&self) -> u64 {
        0
    }

    fn lock_memory(&self, _disabling: bool) {
        self.locks.set(self.locks.get().saturating_add(1));
    }

    fn set_power_state(&self, state: PowerState) {
        self.power.set(Some(state));
    }

    fn reset(&self) {}

    fn intx_disabled(&self) -> bool {
        false
    }

    fn set_intx_disabled(&self, _disabled: bool) {}

    fn max_payload(&self) -> u32 {
        128
    }

    fn set_max_read_request(&self, _bytes: u32) {}

    fn read_vpd(&self, _addr: u16) -> Option<[u8; 4]> {
        None
    }

    fn write_vpd(&self, _addr: u16, _data: [u8; 4]) -> Option<()> {
        None
    }

    fn msi_is_active(&self) -> bool {
        false
    }

    fn msi_queue_max(&self) -> u8 {
        0
    }

    fn report(&self, _event: Event) {}
}

pub(crate) fn configuration_is_emulated() -> Outcome {
    let board = Board::new();
    let state = State::default();
    let data = [const { AtomicU8::new(0x5a) }; SIZE];
    let owners = [const { AtomicU8::new(0x5a) }; SIZE];
    let emulation = Emulation {
        state: &state,
        shadow: Shadow::new(&data, &owners),
        function: &board,
    };
    let access = |pos, count| Access::first(&emulation.shadow, pos, count);
    let read = |pos| access(pos, 4).and_then(|access| emulation.read(&access));
    let write = |pos, value| access(pos, 4).and_then(|access| emulation.write(&access, value));

    check!(emulation.init().is_ok(), "it cannot be opened");
    check!(read(0) == Ok(0x10c9_8086), "another device");
    // The chain leads past what is hidden.
    check!(
        access(0x34, 1).and_then(|a| emulation.read(&a)) == Ok(PM as u32),
        "no capabilities"
    );
    check!(
        access(PM + 1, 1).and_then(|a| emulation.read(&a)) == Ok(MSI as u32),
        "a capability that is to be hidden, or one that is missing"
    );
    // BARs: the size is told, and the device's own is not touched.
    check!(write(0x10, u32::MAX).is_ok(), "a BAR cannot be written to");
    check!(read(0x10) == Ok(0xfff0_0000), "a BAR of another size");
    check!(board.get(0x13) == 0xe0, "the user has moved a BAR");
    check!(
        write(0x14, u32::MAX).is_ok() && read(0x14) == Ok(0),
        "a BAR that is not there"
    );
    // Memory is switched by the user, with others kept away.
    check!(
        access(4, 2).and_then(|a| emulation.write(&a, 6)).is_ok() && board.get(4) & 6 == 6,
        "the command register is not the device's"
    );
    // The power state is changed by the host.
    check!(
        access(PM + 4, 2)
            .and_then(|a| emulation.write(&a, 3))
            .is_ok()
            && board.power.get() == Some(PowerState::from_ctrl(3)),
        "the host does not hear of the power state"
    );
    check!(
        board.get(PM + 4) & 3 == 0,
        "the user changed the power state"
    );
    // MSI is switched on by the host.
    check!(
        access(MSI + 2, 2)
            .and_then(|a| emulation.write(&a, 1))
            .is_ok()
            && board.get(MSI + 2) & 1 == 0,
        "the user switched MSI on"
    );
    check!(
        read(SIZE) == Err(EFAULT),
        "there is something behind the end"
    );
    check!(
        read(SIZE - 2).is_err(),
        "an access that reaches beyond the end"
    );
    Ok(())
}
