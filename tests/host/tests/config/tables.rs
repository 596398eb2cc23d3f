// SPDX-License-Identifier: GPL-2.0

//! The permission tables and the lengths, against the specification as numbers; merging against a
//! model of single bits; cutting accesses into pieces.

use crate::board::Board;
use proptest::prelude::*;
use vfio_logic::config::{
    access::Access,
    length,
    permissions::{self, Permissions},
    range::overlap,
    Width,
};

/// (offset, virtual, writable) of each byte that has either.
type Golden = &'static [(usize, u8, u8)];

fn check(name: &str, table: &Permissions, golden: Golden) {
    for offset in 0..0x60 {
        let bits = table.bits(offset, Width::Byte);
        let want = golden
            .iter()
            .find(|entry| entry.0 == offset)
            .map_or((0, 0), |e| (e.1, e.2));
        assert_eq!(
            (bits.virt as u8, bits.write as u8),
            want,
            "{name} byte {offset:#x}"
        );
    }
}

const X: u8 = 0xff;

#[test]
fn permissions_of_each_byte() {
    let mut header = vec![
        (0, X, 0),
        (1, X, 0),
        (2, X, 0),
        (3, X, 0),
        (4, 0, X),
        (5, 0x04, X),
        (6, 0x10, 0),
        (0x0c, 0, X),
        (0x0d, 0, X),
        (0x0f, 0, X),
        (0x34, X, 0),
        (0x3c, X, X),
        (0x3d, X, 0),
    ];
    header.extend((0x10..0x28).chain(0x30..0x34).map(|offset| (offset, X, X)));
    check("header", &permissions::HEADER, header.leak());

    check(
        "PM",
        &permissions::PM,
        &[
            (1, X, 0),
            (3, 0xf8, 0),
            (4, 0, 0xfc),
            (5, 0x81, 0x7e),
            (6, 0, X),
            (7, 0, X),
        ],
    );
    check(
        "VPD",
        &permissions::VPD,
        &[
            (1, X, 0),
            (2, X, X),
            (3, X, X),
            (4, X, X),
            (5, X, X),
            (6, X, X),
            (7, X, X),
        ],
    );
    check(
        "PCI-X",
        &permissions::PCIX,
        &[
            (1, X, 0),
            (2, 0, X),
            (3, 0, X),
            (8, 0, X),
            (9, 0, X),
            (10, 0, X),
            (11, 0, X),
        ],
    );
    check(
        "EXP",
        &permissions::EXP,
        &[
            (1, X, 0),
            (8, 0xe0, X),
            (9, 0xf0, 0xfd),
            (0x28, 0, 0xdf),
            (0x29, 0, X),
        ],
    );
    check("AF", &permissions::AF, &[(1, X, 0), (4, 1, 1)]);

    let common = [
        (1, X, 0),
        (2, X, X),
        (4, X, X),
        (5, X, X),
        (6, X, X),
        (7, X, X),
        (8, X, X),
        (9, X, X),
    ];
    let msi = |more: &[(usize, u8, u8)]| -> Golden { [&common, more].concat().leak() };
    let hw = |range: std::ops::Range<usize>| range.map(|o| (o, 0, X)).collect::<Vec<_>>();
    let wide = [(10, X, X), (11, X, X), (12, X, X), (13, X, X)];
    check("MSI 32", permissions::msi(0), msi(&[]));
    check("MSI 64", permissions::msi(0x80), msi(&wide));
    check("MSI 32 mask", permissions::msi(0x100), msi(&hw(12..20)));
    check(
        "MSI 64 mask",
        permissions::msi(0x180),
        msi(&[&wide[..], &hw(16..24)].concat()),
    );

    let head = [(0, X, 0), (1, X, 0), (2, X, 0), (3, X, 0)];
    let uncor = |at: usize| {
        vec![
            (at, 0, 0x31),
            (at + 1, 0, 0xf0),
            (at + 2, 0, X),
            (at + 3, 0, 0x03),
        ]
    };
    let cor = |at: usize| vec![(at, 0, 0xc1), (at + 1, 0, 0xf1)];
    let mut aer = head.to_vec();
    for part in [
        uncor(4),
        uncor(8),
        uncor(12),
        cor(16),
        cor(20),
        vec![(0x18, 0, 0x40), (0x19, 0, 0x01)],
    ] {
        aer.extend(part);
    }
    check("AER", &permissions::ERR, aer.leak());
    check(
        "PWR",
        &permissions::PWR,
        [&head[..], &[(4, 0, X)]].concat().leak(),
    );
}

#[test]
fn lengths_of_standard_capabilities() {
    let len = |id: u8, pcie: u16, body: u32| {
        length::standard::<()>(id, pcie, |offset, width| {
            Ok(body >> ((offset - 2) * 8) & width.mask())
        })
        .unwrap()
    };
    for (id, want) in [(1, 8), (2, 12), (3, 8), (0x11, 12), (0x13, 6)] {
        assert_eq!(len(id, 0, 0), want, "capability {id:#x}");
    }
    for id in [0, 4, 6, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf]
        .into_iter()
        .chain(0x14..=0xff)
    {
        assert_eq!(len(id, 0, !0), 0, "capability {id:#x} is hidden");
    }
    for (flags, want) in [(0, 10), (0x80, 14), (0x100, 20), (0x180, 24)] {
        assert_eq!(len(5, 0, flags), want);
    }
    for (cmd, want) in [(0, 8), (0x1000, 24), (0x2000, 24), (0x0fff, 8)] {
        assert_eq!(len(7, 0, cmd), want);
    }
    assert_eq!((len(8, 0, 0x1f00), len(8, 0, 0x2000)), (28, 24));
    assert_eq!((len(9, 0, 0x14), len(9, 0, 0)), (0x14, 0));
    for (flags, want) in [
        (0x01, 20),
        (0x91, 12),
        (0x02, 0x34),
        (0x92, 0x2c),
        (0x00, 0x34),
    ] {
        assert_eq!(len(0x10, flags, 0), want);
    }
    assert_eq!((len(0x12, 0, 0xf << 16), len(0x12, 0, 0x4 << 16)), (16, 8));
}

#[test]
fn lengths_of_extended_capabilities() {
    let len = |id: u16, dwords: [u32; 2]| {
        length::extended::<()>(id, |offset, width| {
            let at = offset - 4;
            Ok(dwords[at / 4] >> (at % 4 * 8) & width.mask())
        })
        .unwrap()
    };
    let fixed = [
        (1, 0x2c),
        (3, 12),
        (4, 16),
        (0xe, 8),
        (0xf, 8),
        (0x10, 0x40),
        (0x12, 40),
        (0x13, 16),
        (0x18, 8),
    ];
    for (id, want) in fixed {
        assert_eq!(len(id, [0, 0]), want, "extended capability {id:#x}");
    }
    let hidden = [
        0, 5, 6, 7, 0xa, 0xc, 0x11, 0x14, 0x19, 0x1a, 0x1b, 0x22, 0xffff,
    ];
    for id in hidden.into_iter().chain(0x1c..=0x22).chain(0x24..=0x140) {
        assert_eq!(
            len(id, [!0, !0]),
            0,
            "extended capability {id:#x} is hidden"
        );
    }
    for id in [2, 8, 9] {
        assert_eq!(len(id, [0, 0]), 0x1c);
        assert_eq!(len(id, [7, 1]), 0x70);
        assert_eq!(len(id, [1, 2]), 0x30 + 16);
        assert_eq!(len(id, [0, 4]), 0x20 + 32);
        assert_eq!(len(id, [0, 0xe]), 0x20 + 64);
    }
    for id in [0xb, 0x23] {
        assert_eq!(len(id, [0x0240_0001, 0]), 0x24);
    }
    assert_eq!(len(0xd, [0, 0]), 8);
    assert_eq!(len(0xd, [0x0020, 0]), 8 + 32);
    assert_eq!(len(0xd, [0x0120, 0]), 8 + 4);
    assert_eq!(len(0xd, [0x2120, 0]), 8 + 8);
    assert_eq!(len(0x15, [0, 3 << 5]), 28);
    assert_eq!(len(0x16, [31, 0]), 48);
    assert_eq!(len(0x17, [0x0003_0000, 0]), 12);
    assert_eq!(len(0x17, [0x0003_0200, 0]), 12 + 8);
}

proptest! {
    /// Merging, one bit at a time: PCI-X has bits of all kinds and no side effects.
    #[test]
    fn merging_is_bitwise(hw in any::<[u8; 24]>(), stored in any::<[u8; 24]>(), writable in any::<[u8; 24]>(),
                          at in 0usize..24, len in 1usize..24, value in any::<[u8; 24]>()) {
        let board = Board::new(256);
        board.add_cap(0x40, 7, &[0, 0x10]);
        board.init();
        board.put(0x40, &hw);
        board.writable.borrow_mut()[0x40..0x58].copy_from_slice(&writable);
        for (i, byte) in stored.iter().enumerate() {
            board.shadow().set_byte(0x40 + i, *byte);
        }
        let len = len.min(24 - at);
        board.user_write(0x40 + at, &value[..len]).unwrap();

        let bit = |bytes: &[u8], i: usize| bytes[i / 8] >> (i % 8) & 1 != 0;
        let read = board.user_read(0x40, 24).unwrap();
        for i in 0..24 * 8 {
            let bits = permissions::PCIX.bits(i / 8, Width::Byte);
            let (virt, write) = (bits.virt >> (i % 8) & 1 != 0, bits.write >> (i % 8) & 1 != 0);
            let touched = (at * 8..(at + len) * 8).contains(&i) && write && (virt || bit(&writable, i));
            let before = if virt { bit(&stored, i) } else { bit(&hw, i) };
            let want = if touched { bit(&value, i - at * 8) } else { before };
            prop_assert_eq!(bit(&read, i), want, "bit {}", i);
        }
    }

    /// Pieces are aligned, in one dword and of one owner, and as large as that allows.
    #[test]
    fn pieces(owners in proptest::collection::vec(prop_oneof![Just(0xffu8), Just(1), Just(9), Just(0xfe)], 256),
              pos in 0usize..256, count in 1usize..300) {
        let board = Board::new(256);
        for (pos, owner) in owners.iter().enumerate() {
            board.shadow().set_owner(pos, *owner);
        }
        let access = Access::first(&board.shadow(), pos, count);
        if pos + count > 256 {
            prop_assert!(access.is_err());
            return Ok(());
        }
        let access = access.unwrap();
        let fits = |len: usize| len <= count && pos % len == 0 && owners[pos..pos + len].iter().all(|o| *o == owners[pos]);
        let want = [4, 2, 1].into_iter().find(|len| fits(*len)).unwrap();
        prop_assert_eq!(access.width.bytes(), want);
        prop_assert_eq!(access.pos, pos);
        if matches!(owners[pos], 1 | 9) && pos >= 0x40 {
            let start = (0x40..=pos).rev().find(|p| *p == 0x40 || owners[p - 1] != owners[pos]).unwrap();
            prop_assert_eq!(access.start(), start);
        }
    }

    #[test]
    fn positions_outside(pos in prop_oneof![any::<usize>(), 200usize..300], count in prop_oneof![any::<usize>(), 0usize..100]) {
        let board = Board::new(256);
        let inside = (0..256).contains(&pos) && count <= 256 - pos;
        prop_assert_eq!(Access::first(&board.shadow(), pos, count).is_ok(), inside);
    }

    #[test]
    fn ranges(a in 0u64..20, n in 1u64..20, b in 0u64..20, m in 1u64..20) {
        let shared: Vec<u64> = (a..a + n).filter(|x| (b..b + m).contains(x)).collect();
        match overlap(a, n, b, m) {
            None => prop_assert!(shared.is_empty()),
            Some(o) => {
                prop_assert_eq!(a + o.buf_offset, shared[0]);
                prop_assert_eq!(b + o.reg_offset, shared[0]);
                prop_assert_eq!(o.count, shared.len() as u64);
            }
        }
    }
}
