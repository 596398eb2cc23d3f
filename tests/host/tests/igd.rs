// SPDX-License-Identifier: GPL-2.0

//! Intel graphics: what firmware may claim, and what the region makes of it.

use proptest::prelude::*;
use vfio_logic::{
    errno::EINVAL,
    igd::*, //
};

const ADDRESS: u32 = 0x7b00_0000;

fn header(version: u16, rvda: u64, rvds: u32) -> Header {
    Header {
        signature: *b"IntelGraphicsMem",
        size: 8,
        version,
        rvda,
        rvds,
    }
}

/// Any claims, with those that matter more often.
fn any_header() -> impl Strategy<Value = Header> {
    let size = prop_oneof![Just(8), Just(0), 1u32..16, any::<u32>()];
    let version = prop_oneof![Just(0x100u16), Just(0x200), Just(0x201), any::<u16>()];
    let rvda = prop_oneof![Just(0u64), Just(0x2000), any::<u64>(), u64::MAX - 100..];
    let rvds = prop_oneof![Just(0u32), 1u32..20000, any::<u32>()];
    (size, version, rvda, rvds).prop_map(|(size, version, rvda, rvds)| Header {
        size,
        ..header(version, rvda, rvds)
    })
}

/// The whole region, byte by byte, of an OpRegion and a VBT with these contents.
fn whole(layout: &Layout, opregion: impl Fn(usize) -> u8, vbt: impl Fn(usize) -> u8) -> Vec<u8> {
    (0..layout.len())
        .map(|pos| match layout.part(pos as u64, 1).unwrap() {
            (Part::OpRegion(at), 1) => {
                let mut byte = [opregion(at)];
                layout.patch(at, &mut byte);
                byte[0]
            }
            (Part::Vbt(at), 1) => vbt(at),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn what_is_no_opregion_is_refused() {
    let good = header(0x201, 0, 0);
    assert!(good.layout(ADDRESS).is_ok());
    assert_eq!(Header { size: 0, ..good }.layout(ADDRESS), Err(EINVAL));
    for i in 0..16 {
        let mut signature = good.signature;
        signature[i] ^= 1;
        assert_eq!(Header { signature, ..good }.layout(ADDRESS), Err(EINVAL));
    }
}

#[test]
fn the_address_of_the_vbt_is_absolute_in_one_version() {
    let vbt = |version, rvda, rvds| header(version, rvda, rvds).layout(ADDRESS).map(|l| l.vbt());
    let at = |address, len| Ok(Some(Vbt { address, len }));
    assert_eq!(vbt(0x1ff, 0x2000, 100), Ok(None));
    assert_eq!(vbt(0x200, 0x2000, 100), at(0x2000, 100));
    assert_eq!(
        vbt(0x201, 0x2000, 100),
        at(u64::from(ADDRESS) + 0x2000, 100)
    );
    assert_eq!(
        vbt(0x300, 0x2000, 100),
        at(u64::from(ADDRESS) + 0x2000, 100)
    );
    // Above 4 GiB, which C cuts off.
    assert_eq!(vbt(0x200, 0x12_3456_7000, 100), at(0x12_3456_7000, 100));
    assert_eq!(vbt(0x200, 0, 100), Ok(None));
    assert_eq!(vbt(0x200, 0x2000, 0), Ok(None));
    assert_eq!(vbt(0x200, u64::MAX, 1), Err(EINVAL));
    assert_eq!(vbt(0x201, u64::MAX - 100, 1), Err(EINVAL));
}

#[test]
fn a_region_says_where_its_vbt_is() {
    let opregion = |at: usize| (at % 251) as u8;
    let vbt = |at: usize| (at % 7) as u8 + 0x80;
    let fields = |bytes: &[u8]| {
        let version = u16::from_le_bytes(bytes[0x16..0x18].try_into().unwrap());
        let rvda = u64::from_le_bytes(bytes[0x3ba..0x3c2].try_into().unwrap());
        (version, rvda)
    };
    let real = fields(&(0..8192).map(opregion).collect::<Vec<_>>()).0;
    for (version, rvda, shown) in [
        (0x200, 0x9000, (0x201, 8192)),
        (0x201, 0x9000, (real, 8192)),
        (0x201, 0, (real, 0)),
        (0x200, 0, (real, 0)),
        (0x100, 0x9000, (real, 0)),
    ] {
        let layout = header(version, rvda, 5000).layout(ADDRESS).unwrap();
        let bytes = whole(&layout, opregion, vbt);
        assert_eq!(fields(&bytes), shown);
        let has_vbt = shown.1 != 0;
        assert_eq!(bytes.len(), 8192 + if has_vbt { 5000 } else { 0 });
        for (at, byte) in bytes.iter().enumerate() {
            match at {
                0x16..0x18 | 0x3ba..0x3c2 => (),
                ..8192 => assert_eq!(*byte, opregion(at)),
                _ => assert_eq!(*byte, vbt(at - 8192)),
            }
        }
    }
}

proptest! {
    #[test]
    fn no_claim_of_the_firmware_shows_what_is_not_mapped(header in any_header(), address: u32) {
        let Ok(layout) = header.layout(address) else { return Ok(()) };
        let vbt = layout.vbt().map_or(0, |vbt| vbt.len);
        prop_assert!(!layout.is_empty() && layout.len() - vbt <= OPREGION_LEN);
        if let Some(vbt) = layout.vbt() {
            prop_assert!(vbt.len > 0 && vbt.address.checked_add(vbt.len as u64).is_some());
            prop_assert_eq!(layout.len() - vbt.len, OPREGION_LEN);
        }
    }

    #[test]
    fn parts_cover_the_region_and_stay_in_it(
        header in any_header(), address: u32, pos in prop_oneof![0u64..20000, any::<u64>()], count in 1usize..20000,
    ) {
        let Ok(layout) = header.layout(address) else { return Ok(()) };
        match layout.part(pos, count) {
            Err(error) => {
                prop_assert_eq!(error, EINVAL);
                prop_assert!(pos >= layout.len() as u64);
            }
            Ok((part, len)) => {
                prop_assert!(len > 0 && len <= count && pos + len as u64 <= layout.len() as u64);
                let (at, end, start) = match part {
                    Part::OpRegion(at) => (at, OPREGION_LEN, 0),
                    Part::Vbt(at) => (at, layout.vbt().unwrap().len, OPREGION_LEN),
                };
                prop_assert!(at + len <= end);
                prop_assert_eq!((start + at) as u64, pos);
            }
        }
    }

    #[test]
    fn patching_pieces_is_patching_the_whole(cut in 0usize..OPREGION_LEN, version in 0x1ffu16..0x203) {
        let layout = header(version, 0x4000, 0x1000).layout(ADDRESS).unwrap();
        let mut whole = vec![0xa5; OPREGION_LEN];
        layout.patch(0, &mut whole);
        let (mut low, mut high) = (vec![0xa5; cut], vec![0xa5; OPREGION_LEN - cut]);
        layout.patch(0, &mut low);
        layout.patch(cut, &mut high);
        low.append(&mut high);
        prop_assert_eq!(low, whole);
    }
}
