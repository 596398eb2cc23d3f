// SPDX-License-Identifier: GPL-2.0

//! Configuration space of any contents, with any capabilities, read and written anywhere.

use super::Input;
#[path = "../tests/config/board.rs"]
#[allow(dead_code)]
pub mod board;
use board::{
    Action,
    Board, //
};
use vfio_logic::{
    config::{
        bars::Resource,
        Event,
        Facts, //
    },
    errno::EFAULT,
};

const BARS: std::ops::Range<usize> = 0x10..0x28;

fn facts(input: &mut Input<'_>) -> Facts {
    let bits = input.u8();
    Facts {
        vendor: input.u16(),
        device: input.u16(),
        is_virtfn: bits & 1 != 0,
        no_command_memory: bits & 2 != 0,
        has_intx: bits & 4 != 0,
        nointx: bits & 8 != 0,
        pcie_flags: input.u16(),
    }
}

/// Hardware of pieces, at places of their own.
fn hardware(input: &mut Input<'_>) -> Board {
    let mut board = Board::new(if input.bool() { 4096 } else { 256 });
    board.facts = facts(input);
    let size = board.hw.borrow().len();
    let header = input.bytes(64);
    board.put(0, header);
    for _ in 0..input.u8() % 24 {
        let at = usize::from(input.u16()) % size;
        let len = usize::from(input.u8() % 64).min(size - at);
        let bytes = input.bytes(len);
        board.put(at, bytes);
        if input.bool() {
            board.allow(at, len);
        }
    }
    if input.bool() {
        board.allow(0, size);
    }
    for i in 0..7 {
        let (start, len) = (input.u64(), input.u64());
        board.resources[i] = Resource {
            start,
            len,
            ..Resource::default()
        };
    }
    board.rom_len = input.edge();
    board.mps = 128 << (input.u8() % 6);
    if input.bool() {
        *board.vpd.borrow_mut() = Some([0x5a; 256]);
    }
    board
}

/// What must hold of what was done to the hardware.
fn check(board: &Board, before: &[u8], hosts: &[u8]) {
    let mut locked = 0;
    let mut restoring = false;
    for action in board.actions() {
        match action {
            Action::Lock { .. } => locked += 1,
            Action::Unlock => locked -= 1,
            // A function that was reset behind our back gets the host's addresses again, and no others.
            Action::Report(Event::RestoringBars) => restoring = true,
            Action::Write(pos, width, value)
                if BARS.contains(&pos) || (0x30..0x34).contains(&pos) =>
            {
                assert!(restoring, "a BAR was written: {pos:x} {width:?}");
                assert_eq!(
                    value.to_le_bytes()[..width.bytes()],
                    hosts[pos..pos + width.bytes()]
                );
            }
            _ => (),
        }
    }
    assert_eq!(locked, 0);
    if !restoring {
        assert_eq!(board.hw.borrow()[BARS], before[BARS]);
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let board = hardware(&mut input);
    if board.emulation().init().is_err() {
        return;
    }
    board.actions();
    let hosts = board.hw.borrow().clone();
    let size = board.hw.borrow().len();

    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        let kind = input.u8();
        let pos = usize::from(input.u16()) % (size + 8);
        let len = usize::from(kind >> 4 & 7);
        let before = board.hw.borrow().clone();
        board.msi.set((kind & 8 != 0, kind >> 4 & 7));
        if kind & 1 != 0 {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&input.u64().to_le_bytes());
            let done = board.user_write(pos, &bytes[..len]);
            if len > 0 {
                assert_eq!(
                    done == Err(EFAULT),
                    pos + len > size,
                    "write of {len} at {pos:x}"
                );
            }
        } else {
            let done = board.user_read(pos, len);
            match done {
                Ok(bytes) => assert_eq!(bytes.len(), len),
                Err(error) => {
                    assert_eq!(error, EFAULT);
                    assert!(pos + len > size, "read of {len} at {pos:x}");
                }
            }
        }
        check(&board, &before, &hosts);
        if kind & 0x84 == 0x84 {
            // The device is reset behind our back.
            board.hw.borrow_mut()[BARS].fill(0);
        }
    }
}
