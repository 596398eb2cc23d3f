// SPDX-License-Identifier: GPL-2.0

//! What `vfio-pci` takes: ids given as text, and the denylist.

use proptest::prelude::*;
use vfio_logic::pci_driver::{entries, is_denied, DynId, ANY_ID};

fn id(fields: &[u32]) -> DynId {
    let get = |i: usize, default| fields.get(i).copied().unwrap_or(default);
    DynId {
        vendor: fields[0],
        device: fields[1],
        subvendor: get(2, ANY_ID),
        subdevice: get(3, ANY_ID),
        class: get(4, 0),
        class_mask: get(5, 0),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(fields in prop::collection::vec(any::<u32>(), 2..=6), upper: bool, prefix: bool) {
        let text: Vec<_> = fields
            .iter()
            .map(|f| match (prefix, upper) {
                (false, false) => format!("{f:x}"),
                (false, true) => format!("{f:X}"),
                (true, false) => format!(" 0x{f:x}"),
                (true, true) => format!("\t0X{f:08X}"),
            })
            .collect();
        prop_assert_eq!(DynId::parse(text.join(":").as_bytes()), Some(id(&fields)));
    }

    #[test]
    fn junk_after_two_fields_changes_nothing(fields in prop::collection::vec(any::<u32>(), 2..=6), junk in "[g-z ,;._-][ -~]*") {
        let text: Vec<_> = fields.iter().map(|f| format!("{f:x}")).collect();
        let text = text.join(":") + &junk;
        prop_assert_eq!(DynId::parse(text.as_bytes()), Some(id(&fields)));
    }

    #[test]
    fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
        for entry in entries(&text) {
            prop_assert!(!entry.is_empty());
            prop_assert!(!entry.contains(&b',') && !entry.contains(&0));
            let _ = DynId::parse(entry);
        }
    }

    #[test]
    fn entries_are_what_is_between_commas(list in prop::collection::vec("[0-9a-f:]{0,12}", 0..6), fill in 0usize..4) {
        let mut param = list.join(",").into_bytes();
        param.resize(param.len() + fill, 0);
        let want: Vec<_> = list.iter().filter(|e| !e.is_empty()).map(|e| e.as_bytes()).collect();
        prop_assert_eq!(entries(&param).collect::<Vec<_>>(), want);
    }

    #[test]
    fn only_intel_is_denied(vendor: u16, device: u16) {
        prop_assert!(vendor == 0x8086 || !is_denied(vendor, device));
    }
}

#[test]
fn fewer_than_two_fields_is_wrong() {
    for text in [
        "",
        "8086",
        "8086:",
        ":100e",
        "8086 :100e",
        "x:y",
        "8086:g",
        "-1:2",
        "8086;100e",
    ] {
        assert_eq!(DynId::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn as_sscanf_reads_it() {
    assert_eq!(DynId::parse(b"8086: 100e"), Some(id(&[0x8086, 0x100e])));
    assert_eq!(DynId::parse(b"18086:100e:"), Some(id(&[0x18086, 0x100e])));
    assert_eq!(DynId::parse(b"100008086:100e"), Some(id(&[0x8086, 0x100e])));
    assert_eq!(DynId::parse(b"8086:100e::1"), Some(id(&[0x8086, 0x100e])));
    assert_eq!(DynId::parse(b"0x:1"), Some(id(&[0, 1])));
}

#[test]
fn the_denylist() {
    for device in [
        0x19e2, 0x19e3, 0x37c8, 0x37c9, 0x0435, 0x0443, 0x0b25, 0x0cfe,
    ] {
        assert!(is_denied(0x8086, device));
        assert!(!is_denied(0x1af4, device));
    }
    assert!(!is_denied(0x8086, 0x100e));
}
