// SPDX-License-Identifier: GPL-2.0

//! `VFIO_DEVICE_FEATURE`.

use proptest::prelude::*;
use vfio_logic::errno::{EINVAL, EOVERFLOW};
use vfio_logic::feature::*;

proptest! {
    #[test]
    fn flags(index_bits in 0u32..=0xffff, get: bool, set: bool, probe: bool, unknown in prop_oneof![Just(0u32), 19u32..32]) {
        let unknown = if unknown == 0 { 0 } else { 1 << unknown };
        let bits = index_bits | if get { GET } else { 0 } | if set { SET } else { 0 } | if probe { PROBE } else { 0 } | unknown;
        let ok = unknown == 0 && (probe || !(get && set));
        prop_assert_eq!(index(bits), if ok { Ok(index_bits) } else { Err(EINVAL) });
    }

    #[test]
    fn requests(bits in 0u32..8, len in 0usize..32, supported in 1u32..4, min in 0usize..32) {
        let (bits, supported) = (bits << 16, supported << 16);
        prop_assume!(index(bits).is_ok());
        let asked = bits & (GET | SET);
        let expected = if asked & !supported != 0 {
            Err(EINVAL)
        } else if bits & PROBE != 0 {
            Ok(Request::Probe)
        } else if asked == 0 || len < min {
            Err(EINVAL)
        } else if asked == GET {
            Ok(Request::Get)
        } else {
            Ok(Request::Set)
        };
        prop_assert_eq!(request(bits, len, supported, min), expected);
    }

    #[test]
    fn ranges_are_whole_pages(iova: u64, length: u64, shift in 0u32..64) {
        let page = 1u64 << shift;
        if let Ok((first, last)) = log_range(iova, length, page) {
            prop_assert_eq!(first as u64 % page, 0);
            prop_assert_eq!((last as u128 + 1) % u128::from(page), 0);
            prop_assert_eq!(last as u128 + 1 - first as u128, u128::from(length));
        }
    }

    #[test]
    fn aligned_ranges_are_taken(first in 0u64..1 << 40, pages in 1u64..1 << 10) {
        prop_assert_eq!(
            log_range(first << 12, pages << 12, 4096),
            Ok(((first << 12) as usize, ((first + pages) << 12) as usize - 1))
        );
    }
}

#[test]
fn ends() {
    assert_eq!(log_range(0, 0, 4096), Err(EINVAL));
    assert_eq!(log_range(u64::MAX - 4095, 4096, 4096), Err(EOVERFLOW));
    assert_eq!(log_range(4096, 4096, 0), Err(EINVAL));
    assert_eq!(log_report(0, 4096, 2048), Err(EINVAL));
    assert_eq!(log_report(0, 4096, 12288), Err(EINVAL));
    assert_eq!(log_report(u64::MAX, 2, 4096), Err(EOVERFLOW));
    assert_eq!(log_report(0, 4096, 4096), Ok(()));
}
