// SPDX-License-Identifier: GPL-2.0

//! Capabilities that the host acts for: what is done to the device, and what is read then.

use crate::board::{Action, Board};
use proptest::prelude::*;
use vfio_logic::config::{PowerState, Width};

const AT: usize = 0x50;

/// A board with one capability at [`AT`], all bits of which hardware lets anybody write.
fn with(id: u8, body: &[u8]) -> Board {
    let mut board = Board::new(256);
    board.facts.pcie_flags = 2;
    board.add_cap(AT, id, body);
    board.allow(AT, 0x40);
    board.init();
    board
}

#[test]
fn power_states() {
    use PowerState::{D3Hot, D0, D1, D2};
    let board = with(1, &[3, 0xfe, 0x08, 0x81, 0, 0]);
    // No PME support, enable or status.
    assert_eq!(board.user_read(AT + 2, 4).unwrap(), [3, 0x06, 8, 0]);
    for (value, state) in [(3, D3Hot), (1, D1), (2, D2), (4, D0)] {
        board.user_write(AT + 4, &[value]).unwrap();
        let log = board.actions();
        assert_eq!(*log.last().unwrap(), Action::Power(state));
        assert_eq!(board.hw.borrow()[AT + 4] & 3, 0, "the host sets the state");
    }
    // Without the byte of the state nothing happens to it.
    board.user_write(AT + 5, &[0xff]).unwrap();
    assert_eq!(board.user_read(AT + 5, 1).unwrap(), [0x7e]);
    assert!(!board
        .actions()
        .iter()
        .any(|a| matches!(a, Action::Power(_))));
}

#[test]
fn express_reset() {
    for (cap, resets) in [(0x10, 1), (0, 0)] {
        let board = with(0x10, &[2, 0, 0, 0, 0, cap]);
        board.user_write(AT + 9, &[0x80]).unwrap();
        let log = board.actions();
        assert_eq!(log.iter().filter(|a| **a == Action::Reset).count(), resets);
        assert_eq!(board.read16(AT + 8), 0, "reads as zero");
        assert_eq!(board.get16(AT + 8) & 0x8000, 0);
    }
}

#[test]
fn express_request_size() {
    let board = with(0x10, &[2, 0]);
    let write = |value: u16| {
        board.user_write(AT + 8, &value.to_le_bytes()).unwrap();
        board
            .actions()
            .into_iter()
            .find(|a| matches!(a, Action::ReadRequest(_)))
    };
    assert_eq!(write(0x5000), Some(Action::ReadRequest(4096)));
    assert_eq!(write(0x5000), None);
    // Not below what one packet takes.
    assert_eq!(write(0x0000), Some(Action::ReadRequest(256)));
    assert_eq!(write(0x7000), Some(Action::ReadRequest(16384)));
    // The payload is the user's own idea, phantom functions are not had.
    assert_eq!(write(0x72e0), None);
    assert_eq!(board.read16(AT + 8), 0x70e0);
    assert_eq!(board.get16(AT + 8), 0);
    // Device control 2 has no ARI.
    board.user_write(AT + 0x28, &[0xff, 0xff]).unwrap();
    assert_eq!(board.get16(AT + 0x28), 0xffdf);
    // The rest is read-only.
    board.user_write(AT + 0x10, &[0xff; 4]).unwrap();
    assert_eq!(board.read32(AT + 0x10), 0);
}

#[test]
fn advanced_features_reset() {
    for (cap, resets) in [(3, 1), (1, 0), (2, 0)] {
        let board = with(0x13, &[6, cap, 0, 0]);
        board.user_write(AT + 4, &[0xff]).unwrap();
        assert_eq!(
            board
                .actions()
                .iter()
                .filter(|a| **a == Action::Reset)
                .count(),
            resets
        );
        assert_eq!(board.user_read(AT + 4, 1).unwrap(), [0]);
        assert_eq!(board.hw.borrow()[AT + 4], 0);
    }
}

#[test]
fn vital_product_data() {
    let board = with(3, &[0; 6]);
    let addr = |value: u16| {
        board.user_write(AT + 2, &value.to_le_bytes()).unwrap();
        board.read16(AT + 2)
    };
    assert_eq!(addr(8), 8, "there is none: the flag does not flip");
    let mut data = [0; 256];
    data[8..12].copy_from_slice(&[1, 2, 3, 4]);
    *board.vpd.borrow_mut() = Some(data);
    assert_eq!(addr(8), 0x8008);
    assert_eq!(board.user_read(AT + 4, 4).unwrap(), [1, 2, 3, 4]);
    board.user_write(AT + 4, &[9, 8, 7, 6]).unwrap();
    assert_eq!(addr(0x8010), 0x10);
    assert_eq!(board.vpd.borrow().unwrap()[0x10..0x14], [9, 8, 7, 6]);
    // The low byte alone starts nothing.
    board.user_write(AT + 2, &[0x08]).unwrap();
    assert_eq!(board.read16(AT + 2), 8);
    assert_eq!(board.user_read(AT + 4, 4).unwrap(), [9, 8, 7, 6]);
    assert!(board.actions().is_empty(), "hardware is not touched");
}

proptest! {
    #[test]
    fn msi_flags(hw in any::<u16>(), value in any::<u8>(), active in any::<bool>(), queue_max in 0u8..6) {
        let board = with(5, &hw.to_le_bytes());
        board.msi.set((active, queue_max));
        board.user_write(AT + 2, &[value]).unwrap();
        let queue = (value >> 4 & 7).min(queue_max);
        let enable = if active { value & 1 } else { 0 };
        let want = value & 0x8e | queue << 4 | enable;
        prop_assert_eq!(board.user_read(AT + 2, 1).unwrap()[0], want);
        let flags = hw & 0xff00 | u16::from(want);
        prop_assert_eq!(board.actions(), vec![Action::Write(AT + 2, Width::Word, flags.into())]);

        // Others than the flags do not touch hardware.
        board.user_write(AT, &[0xff, 0xff]).unwrap();
        board.user_write(AT + 4, &[0xff; 4]).unwrap();
        prop_assert!(board.actions().is_empty());
        prop_assert_eq!(board.read32(AT + 4), !0);
    }
}

#[test]
fn msi_mask_is_the_hardwares() {
    for (flags, mask) in [(0x0100u16, 12), (0x0180, 16)] {
        let board = with(5, &flags.to_le_bytes());
        board.user_write(AT + mask, &[1, 2, 3, 4]).unwrap();
        assert_eq!(board.hw.borrow()[AT + mask..AT + mask + 4], [1, 2, 3, 4]);
        assert_eq!(board.user_read(AT + mask, 4).unwrap(), [1, 2, 3, 4]);
    }
}

#[test]
fn vendor_specific_is_raw_but_for_the_link() {
    let board = with(9, &[16, 0]);
    board.user_write(AT, &[0xaa; 16]).unwrap();
    assert_eq!(board.hw.borrow()[AT..AT + 16], [0xaa; 16]);
    // The link as one byte, and with the ID as a word or a dword.
    assert_eq!(board.user_read(AT + 1, 1).unwrap(), [0]);
    assert_eq!(board.user_read(AT, 2).unwrap(), [9, 0]);
    assert_eq!(board.user_read(AT, 4).unwrap(), [9, 0, 0xaa, 0xaa]);
    assert_eq!(board.user_read(AT, 1).unwrap(), [0xaa]);
}

#[test]
fn read_only_capabilities() {
    for id in [2, 0x11, 0x12] {
        let board = with(id, &[0x40, 0x11]);
        board.user_write(AT, &[0xff; 8]).unwrap();
        assert!(board.actions().is_empty());
        assert_eq!(board.user_read(AT, 4).unwrap(), [id, 0, 0x40, 0x11]);
    }
}

#[test]
fn bytes_of_the_emulation_only() {
    let board = Board::new(256);
    board.init();
    for pos in 0xfc..0x100 {
        board.shadow().set_owner(pos, 0xfe);
    }
    board.user_write(0xfc, &[1, 2, 3, 4]).unwrap();
    assert_eq!(board.user_read(0xfc, 4).unwrap(), [1, 2, 3, 4]);
    assert!(board.actions().is_empty());
}

#[test]
fn a_device_that_is_gone() {
    let board = with(1, &[3, 0, 0, 0, 0, 0]);
    board.dead.set(true);
    assert!(board.user_write(AT + 4, &[3]).is_err());
    assert!(board.user_write(4, &[3, 0]).is_err());
    assert!(board.user_read(6, 2).is_err());
    // What is emulated is there nevertheless, and nothing was done to the device or left locked.
    assert_eq!(board.read32(0), 0);
    assert!(board.actions().is_empty());
}
