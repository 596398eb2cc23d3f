// SPDX-License-Identifier: GPL-2.0

//! The header: IDs, command, BARs, interrupt pin.

use crate::board::{Action, Board};
use proptest::prelude::*;
use vfio_logic::config::{bars::Resource, Event, Facts, Width};

const COMMAND: usize = 4;

fn memory(len: u64) -> Resource {
    Resource {
        start: 0xfe00_0000,
        len,
        ..Resource::default()
    }
}

/// BARs as the C code keeps them: put right in place before each read.
fn fix_up(bars: &mut [u32; 7], res: &[Resource; 7], rom_len: u64) {
    let mut i = 0;
    while i < 6 {
        if res[i].start == 0 {
            bars[i] = 0;
        } else {
            let mask = !(res[i].len - 1);
            bars[i] &= mask as u32;
            if res[i].io {
                bars[i] |= 1;
            } else {
                bars[i] |= u32::from(res[i].prefetch) << 3 | u32::from(res[i].is_64bit) << 2;
                if res[i].is_64bit && i < 5 {
                    i += 1;
                    bars[i] &= (mask >> 32) as u32;
                }
            }
        }
        i += 1;
    }
    let len = if res[6].start != 0 {
        res[6].len
    } else {
        rom_len.next_power_of_two()
    };
    if res[6].start != 0 || rom_len != 0 {
        bars[6] &= (!(len - 1)) as u32 | 1;
    } else {
        bars[6] = 0;
    }
}

fn resource() -> impl Strategy<Value = Resource> {
    prop_oneof![
        2 => Just(Resource::default()),
        1 => (2u32..16).prop_map(|n| Resource { start: 0xc000, len: 1 << n, io: true, ..Resource::default() }),
        3 => (4u32..40, any::<bool>(), any::<bool>()).prop_map(|(n, prefetch, is_64bit)| Resource {
            start: 1 << 40,
            len: 1 << if is_64bit { n } else { n.min(31) },
            io: false,
            prefetch,
            is_64bit,
        }),
    ]
}

proptest! {
    /// Any sequence of reads and writes of any size answers as registers put right in place would.
    #[test]
    fn bars(res in any::<[u8; 7]>().prop_flat_map(|_| [resource(), resource(), resource(), resource(), resource(), resource(), resource()]),
            rom_len in prop_oneof![Just(0u64), 1u64..1 << 20], hw in any::<[u32; 7]>(),
            writes in proptest::collection::vec((0usize..7, 0usize..4, 1usize..5, any::<u32>(), any::<bool>()), 0..20)) {
        let mut board = Board::new(256);
        board.resources = res;
        board.rom_len = rom_len;
        let mut model = hw;
        let at = |i: usize| if i < 6 { 0x10 + i * 4 } else { 0x30 };
        for (i, bar) in hw.iter().enumerate() {
            board.put(at(i), &bar.to_le_bytes());
        }
        board.init();
        for (i, offset, len, value, read_between) in writes {
            let len = len.min(4 - offset);
            board.user_write(at(i) + offset, &value.to_le_bytes()[..len]).unwrap();
            let mut bytes = model[i].to_le_bytes();
            bytes[offset..offset + len].copy_from_slice(&value.to_le_bytes()[..len]);
            model[i] = u32::from_le_bytes(bytes);
            if read_between {
                fix_up(&mut model, &res, rom_len);
            }
        }
        fix_up(&mut model, &res, rom_len);
        for (i, want) in model.iter().enumerate() {
            prop_assert_eq!(board.read32(at(i)), *want, "BAR {}", i);
            let upper = board.read16(at(i) + 2);
            prop_assert_eq!(upper, (*want >> 16) as u16);
        }
        prop_assert!(board.actions().is_empty(), "BARs are not the hardware's");
    }

    /// Every bit of the command register goes to hardware but INTx disable.
    #[test]
    fn command(old in any::<u16>(), new in any::<u16>()) {
        let board = Board::new(256);
        board.put(COMMAND, &old.to_le_bytes());
        board.allow(COMMAND, 2);
        board.init();
        board.user_write(COMMAND, &new.to_le_bytes()).unwrap();
        prop_assert_eq!(board.get16(COMMAND), new & !0x400 | old & 0x400);
        prop_assert_eq!(board.read16(COMMAND), new);
        let told = board.actions();
        prop_assert_eq!(told[0], Action::Lock { disabling: new & 2 == 0 });
        // INTx follows after the lock is given up.
        let follow = (new & 0x400 != 0).then_some(Action::IntxDisabled(true));
        prop_assert_eq!(told.iter().rev().find(|a| matches!(a, Action::IntxDisabled(_))).copied(), follow);
        prop_assert!(told.contains(&Action::Unlock));
        prop_assert_eq!(board.intx_disabled.get(), new & 0x400 != 0);
    }
}

#[test]
fn sizing() {
    let mut board = Board::new(256);
    board.resources[0] = memory(0x10_0000);
    board.resources[2] = Resource {
        prefetch: true,
        is_64bit: true,
        ..memory(1 << 33)
    };
    board.resources[4] = Resource {
        io: true,
        ..memory(0x20)
    };
    board.resources[6] = memory(0x8000);
    board.init();
    for pos in [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30] {
        board.user_write(pos, &[0xff; 4]).unwrap();
    }
    let bars: Vec<u32> = (0..6).map(|i| board.read32(0x10 + i * 4)).collect();
    assert_eq!(
        bars,
        [0xfff0_0000, 0, 0x0000_000c, 0xffff_fffe, 0xffff_ffe1, 0]
    );
    assert_eq!(board.read32(0x30), 0xffff_8001);
}

#[test]
fn a_small_io_bar_does_not_make_the_next_one_its_upper_half() {
    let mut board = Board::new(256);
    board.resources[0] = Resource {
        io: true,
        ..memory(4)
    };
    board.resources[1] = memory(0x1000);
    board.init();
    board.user_write(0x10, &[0xff; 8]).unwrap();
    assert_eq!(
        (board.read32(0x10), board.read32(0x14)),
        (0xffff_fffd, 0xffff_f000)
    );
}

#[test]
fn intx_disable_by_its_byte() {
    let board = Board::new(256);
    board.init();
    board.user_write(5, &[4]).unwrap();
    board.user_write(5, &[4]).unwrap();
    board.user_write(4, &[0, 0]).unwrap();
    let intx: Vec<_> = board
        .actions()
        .into_iter()
        .filter(|a| matches!(a, Action::IntxDisabled(_)))
        .collect();
    assert_eq!(
        intx,
        [Action::IntxDisabled(true), Action::IntxDisabled(false)]
    );
}

fn restores(board: &Board) -> usize {
    board
        .actions()
        .iter()
        .filter(|a| **a == Action::Report(Event::RestoringBars))
        .count()
}

#[test]
fn a_reset_behind_our_back() {
    let mut board = Board::new(256);
    board.facts.nointx = true;
    board.put(0x10, &[0, 0, 0, 0xfe]);
    board.put(0x30, &[1, 0, 0, 0xfd]);
    board.allow(0, 0x40);
    board.put(COMMAND, &[3, 0]);
    board.init();
    let enable = || board.user_write(COMMAND, &[3, 0]).unwrap();
    enable();
    assert_eq!(restores(&board), 0);

    // The command register lost its enables, which the user thinks are on.
    for lost in [0, 1, 2] {
        board.put(COMMAND, &[lost, 0]);
        enable();
        let log = board.actions();
        assert!(log.contains(&Action::Write(0x10, Width::Dword, 0xfe00_0000)));
        assert!(log.contains(&Action::Write(0x30, Width::Dword, 0xfd00_0001)));
        assert_eq!(board.get16(COMMAND) & 0x400, 0x400, "INTx stays off");
    }
    // A BAR was lost.
    board.put(0x10, &[0; 4]);
    board.user_write(COMMAND, &[0, 0]).unwrap();
    assert_eq!(restores(&board), 1);
    assert_eq!(board.hw.borrow()[0x13], 0xfe);
    // The user had them off.
    board.put(COMMAND, &[0, 0]);
    enable();
    assert_eq!(restores(&board), 0);
}

#[test]
fn virtual_functions() {
    let mut board = Board::new(256);
    board.facts = Facts {
        vendor: 0x8086,
        device: 0x10ca,
        is_virtfn: true,
        no_command_memory: true,
        has_intx: true,
        ..Facts::default()
    };
    board.put(0, &[0xff; 4]);
    board.put(0x3d, &[1]);
    board.allow(COMMAND, 1);
    board.writable.borrow_mut()[COMMAND] = 4;
    board.emulation().init().unwrap();
    assert_eq!(
        board.actions(),
        [Action::Report(Event::BogusPin { pin: 1 })]
    );
    assert_eq!(board.read32(0), 0x10ca_8086);
    assert_eq!(board.user_read(0x3c, 2).unwrap(), [0, 0]);
    // Memory looks enabled, and its enable sticks though hardware has none.
    assert_eq!(board.read16(COMMAND), 2);
    board.user_write(COMMAND, &[4]).unwrap();
    assert_eq!(board.read16(COMMAND), 4);
    board.user_write(COMMAND, &[6, 0]).unwrap();
    board.user_write(COMMAND, &[6, 0]).unwrap();
    assert_eq!(board.read16(COMMAND), 6);
    assert_eq!(restores(&board), 0);

    // Enabled is enabled. Of the one that is known to lie, nothing is told, nor if there is no pin.
    for (vendor, device, pin) in [(0x8086, 0x270c, 1), (0x8086, 0x10ca, 0)] {
        (board.facts.vendor, board.facts.device) = (vendor, device);
        board.put(0x3d, &[pin]);
        board.put(COMMAND, &[2, 0]);
        board.emulation().init().unwrap();
        assert_eq!(board.actions(), []);
        assert_eq!(board.read16(COMMAND), 2);
    }
}

#[test]
fn the_interrupt_pin() {
    for (has_intx, nointx, want) in [(true, false, 1), (true, true, 0), (false, false, 0)] {
        let mut board = Board::new(256);
        board.facts.has_intx = has_intx;
        board.facts.nointx = nointx;
        board.put(0x3c, &[11, 1]);
        board.init();
        board.user_write(0x3c, &[5, 3]).unwrap();
        assert_eq!(board.user_read(0x3c, 2).unwrap(), [5, want]);
        assert_eq!(board.hw.borrow()[0x3c], 11);
    }
}
