// SPDX-License-Identifier: GPL-2.0

//! The lists of capabilities as the user walks them.

use crate::board::{Action, Board};
use proptest::prelude::*;
use vfio_logic::config::Event;

const KNOWN: [u8; 8] = [1, 2, 3, 5, 9, 0x11, 0x12, 0x13];
const EXTENDED: [u16; 8] = [1, 3, 4, 0xe, 0x10, 0x18, 0x0d, 0x12];

/// The IDs that the user finds.
fn walk(board: &Board) -> Vec<u8> {
    let mut found = Vec::new();
    if board.read16(6) & 0x10 == 0 {
        return found;
    }
    let mut pos = board.user_read(0x34, 1).unwrap()[0];
    while pos != 0 && found.len() < 100 {
        found.push(board.user_read(pos.into(), 1).unwrap()[0]);
        pos = board.user_read(usize::from(pos) + 1, 1).unwrap()[0];
    }
    found
}

fn walk_extended(board: &Board) -> Vec<u16> {
    let mut found = Vec::new();
    let mut pos = 0x100;
    while pos != 0 && found.len() < 2000 {
        let header = board.read32(pos);
        found.push(header as u16);
        pos = (header >> 20 & 0xffc) as usize;
    }
    found
}

/// Puts capabilities 24 bytes apart, in that order.
fn standard(ids: &[u8]) -> Board {
    let board = Board::new(256);
    for (i, id) in ids.iter().enumerate().rev() {
        board.add_cap(0x40 + i * 24, *id, &[8, 0]);
    }
    board
}

fn extended(ids: &[u16]) -> Board {
    let mut board = Board::new(4096);
    board.add_cap(0x40, 0x10, &[2, 0]);
    board.facts.pcie_flags = 2;
    for (i, id) in ids.iter().enumerate() {
        let next = if i + 1 < ids.len() {
            0x100 + (i + 1) * 0x50
        } else {
            0
        };
        let header = u32::from(*id) | 1 << 16 | (next as u32) << 20;
        board.put(0x100 + i * 0x50, &header.to_le_bytes());
    }
    board
}

proptest! {
    #[test]
    fn hidden_ones_are_unlinked(ids in proptest::collection::vec(0u8..0x20, 0..8)) {
        let ids: Vec<u8> = ids.into_iter().filter(|id| KNOWN.contains(id) || [4, 6, 0, 0x14, 0x1f].contains(id)).collect();
        let board = standard(&ids);
        board.init();
        let want: Vec<u8> = ids.iter().copied().filter(|id| KNOWN.contains(id)).collect();
        prop_assert_eq!(walk(&board), want.clone());
        prop_assert_eq!(board.read16(6) & 0x10 != 0, !want.is_empty());
    }

    #[test]
    fn hidden_extended_ones_are_unlinked(ids in proptest::collection::vec(
            prop_oneof![(0usize..8).prop_map(|i| EXTENDED[i]), 0x19u16..0x22, Just(0x1234), Just(0)], 1..40)) {
        let board = extended(&ids);
        board.init();
        let mut want: Vec<u16> = ids.iter().copied().filter(|id| EXTENDED.contains(id)).collect();
        // Something has to be where the list starts.
        if want.is_empty() || !EXTENDED.contains(&ids[0]) {
            want.insert(0, 0);
        }
        prop_assert_eq!(walk_extended(&board), want);
    }

    /// Whatever hardware says: it ends, nothing is out of bounds, and each byte can be accessed.
    #[test]
    fn garbage(bytes in proptest::collection::vec(any::<u8>(), 4096), big in any::<bool>(), pcie in any::<u16>()) {
        let mut board = Board::new(if big { 4096 } else { 256 });
        board.facts.pcie_flags = pcie;
        let size = board.hw.borrow().len();
        board.put(0, &bytes[..size]);
        board.allow(0, size);
        board.hw.borrow_mut()[6] |= 0x10;
        if board.emulation().init().is_ok() {
            for pos in 0..size {
                let _ = board.user_write(pos, &bytes[pos..pos + 1]);
                let _ = board.user_read(pos, (size - pos).min(7));
            }
        }
    }
}

#[test]
fn no_capability_is_in_the_header() {
    // One of a vendor's own would have the user write to hardware whatever is there.
    // Where it does not overwrite what leads there.
    for pos in (0x08..0x32u8).chain(0x35..0x3e) {
        let board = standard(&[1]);
        board.put(0x41, &[pos]);
        board.allow(0x10, 24);
        board.put(pos.into(), &[9, 0, 0x30]);
        let bars = board.hw.borrow()[0x10..0x28].to_vec();
        board.emulation().init().unwrap();
        assert_eq!(walk(&board), [1]);
        board.user_write(0x10, &[0xa5; 24]).unwrap();
        assert_eq!(board.hw.borrow()[0x10..0x28], bars);
    }
}

/// How often capabilities that overlap were told.
fn conflicts(board: &Board) -> usize {
    board
        .actions()
        .iter()
        .filter(|a| matches!(a, Action::Report(Event::Conflict { .. })))
        .count()
}

#[test]
fn a_list_that_bites_its_tail() {
    let board = standard(&[1, 9]);
    board.put(0x40 + 24 + 1, &[0x40]);
    board.emulation().init().unwrap();
    // 48 capabilities of 8 bytes, the first two of which are new.
    assert_eq!(conflicts(&board), 46 * 8);
}

#[test]
fn overlapping_capabilities_are_told() {
    let board = Board::new(256);
    board.add_cap(0x44, 0x11, &[]);
    board.add_cap(0x40, 3, &[]);
    // Writing the body of the first may not hurt the head of the second.
    board.put(0x44, &[0x11, 0]);
    board.emulation().init().unwrap();
    let told = board.actions();
    assert_eq!(told.len(), 4);
    assert_eq!(
        told[0],
        Action::Report(Event::Conflict {
            pos: 0x44,
            was: 3,
            now: 0x11,
            extended: false
        })
    );
    assert_eq!(board.shadow().owner(0x43), 3);
    assert_eq!(board.shadow().owner(0x44), 0x11);
}

#[test]
fn a_capability_that_does_not_fit() {
    let board = Board::new(256);
    board.add_cap(0xf0, 9, &[200]);
    board.init();
    assert_eq!(board.shadow().owner(0xff), 9);
    assert_eq!(board.user_read(0xff, 1).unwrap(), [0]);
}

#[test]
fn gaps_and_hidden_bodies_are_raw() {
    let board = standard(&[4, 1]);
    board.init();
    board.allow(0x40, 24);
    board.user_write(0x44, &[1, 2, 3]).unwrap();
    assert_eq!(board.user_read(0x43, 5).unwrap(), [0, 1, 2, 3, 0]);
    assert_eq!(board.hw.borrow()[0x44..0x47], [1, 2, 3]);
}

#[test]
fn extended_space_needs_a_reason() {
    // Neither PCI Express nor PCI-X 2: extended space is raw.
    let board = Board::new(4096);
    board.put(0x100, &[1, 0, 1, 0]);
    board.init();
    assert_eq!(board.shadow().owner(0x100), 0xff);

    // PCI-X 2 is one.
    let board = Board::new(4096);
    board.add_cap(0x40, 7, &[0, 0x10]);
    board.put(0x100, &[1, 0, 1, 0]);
    board.init();
    assert_eq!(board.shadow().owner(0x100), 1);

    // Express with nothing there.
    let board = extended(&[]);
    board.init();
    assert_eq!(board.shadow().owner(0x100), 0xff);
    assert_eq!(walk_extended(&board), [0]);
}

#[test]
fn failures_to_read_are_passed_on() {
    let board = standard(&[1]);
    board.dead.set(true);
    assert!(board.emulation().init().is_err());
    // A word at an odd position.
    let board = Board::new(256);
    board.add_cap(0x41, 5, &[]);
    assert!(board.emulation().init().is_err());
}

#[test]
fn without_the_status_bit_there_is_no_list() {
    let board = standard(&[9]);
    board.hw.borrow_mut()[6] &= !0x10;
    board.init();
    assert_eq!(board.shadow().owner(0x40), 0xff);
}

#[test]
fn wake_up_events_are_hidden_and_nothing_else() {
    let board = standard(&[1]);
    board.put(0x3c, &[0x11; 4]);
    board.put(0x42, &[0xff; 6]);
    board.init();
    assert_eq!(board.shadow().word(0x42), 0x07ff);
    assert_eq!(board.shadow().word(0x44), 0x7eff);
    assert_eq!(board.shadow().word(0x46), 0xffff);
    assert_eq!(board.user_read(0x40, 2).unwrap(), [1, 0]);
}

#[test]
fn a_copy_ends_with_its_capability() {
    // The link of the first skips a hidden one; the last ends in the word before it.
    let board = Board::new(256);
    board.add_cap(0x40, 9, &[6]);
    board.add_cap(0x60, 4, &[]);
    board.add_cap(0x46, 1, &[]);
    board.init();
    assert_eq!(walk(&board), [1, 9]);
}

#[test]
fn conventional_pci_x_has_no_extended_space() {
    let board = Board::new(4096);
    board.add_cap(0x40, 7, &[0, 0]);
    board.put(0x100, &[1, 0, 1, 0]);
    board.init();
    assert_eq!(board.shadow().owner(0x100), 0xff);
}

#[test]
fn the_first_msi_capability_counts() {
    let board = Board::new(256);
    board.add_cap(0x60, 5, &[0, 0]);
    board.add_cap(0x40, 5, &[0x80, 0]);
    board.init();
    // The upper half of an address of 64 bits.
    board.user_write(0x48, &[0xff; 4]).unwrap();
    assert_eq!(board.read32(0x48), u32::MAX);
}

#[test]
fn an_extended_list_that_bites_its_tail() {
    let board = extended(&[3, 3]);
    board.put(0x150, &(3u32 | 1 << 16 | 0x100 << 20).to_le_bytes());
    board.emulation().init().unwrap();
    // 960 of 12 bytes, the first two of which are new.
    assert_eq!(conflicts(&board), 958 * 12);
}

#[test]
fn an_extended_capability_tells_its_length() {
    let board = extended(&[0xb]);
    board.put(0x104, &(0x30u32 << 20).to_le_bytes());
    board.init();
    assert_eq!(board.shadow().owner(0x12f), 0xb);
    assert_eq!(board.shadow().owner(0x130), 0xff);
}

#[test]
fn what_is_hidden_where_the_list_starts_has_no_rules_of_another() {
    for (id, owner) in [(0x19, 0x19), (0xfd, 0xfd), (0xfe, 0), (0xff, 0), (0x101, 0)] {
        let board = extended(&[id]);
        board.init();
        assert_eq!(board.shadow().owner(0x100), owner);
        assert_eq!(board.shadow().owner(0x104), 0xff);
    }
}

#[test]
fn the_bars_of_the_host_are_remembered() {
    let board = Board::new(256);
    let bars = [0xfe00_0000, 0, 0x1_000c, 0x80, 0, 0xe001, 0xfd00_0001u32];
    for (i, bar) in bars.iter().enumerate() {
        let at = if i == 6 { 0x30 } else { 0x10 + i * 4 };
        board.put(at, &bar.to_le_bytes());
    }
    board.init();
    assert_eq!(board.emulation().state.bars(), bars);
}
