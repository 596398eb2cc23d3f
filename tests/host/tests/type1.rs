// SPDX-License-Identifier: GPL-2.0

//! The rules of type1 against naive models.

use proptest::prelude::*;
use vfio_logic::{
    dirty,
    dma::{
        self,
        MapRequest,
        UnmapFlags, //
    },
    errno,
    extent::{
        self,
        Extent, //
    },
    iova::{
        self,
        IovaRange, //
    },
    type1_info, //
};

/// Addresses near the places where arithmetic goes wrong.
fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0..0x10_0000u64,
        (0..64u64).prop_map(|n| u64::MAX - n * 0x800),
        (0..64u32, 0..3u64).prop_map(|(s, d)| (1u64 << s).wrapping_add(d).wrapping_sub(1)),
        (0..1000u64).prop_map(|n| n << 12),
    ]
}

/// Ranges in a small space, so that they meet.
fn small_range() -> impl Strategy<Value = IovaRange> {
    (0..64u64, 0..64u64).prop_map(|(a, b)| IovaRange {
        start: a.min(b),
        last: a.max(b),
    })
}

proptest! {
    #[test]
    fn range_is_like_wide_arithmetic(start in edge(), size in edge()) {
        let end = u128::from(start) + u128::from(size);
        let expected = (size != 0 && end <= 1 << 64)
            .then(|| IovaRange { start, last: (end - 1) as u64 });
        prop_assert_eq!(IovaRange::new(start, size), expected);
    }

    #[test]
    fn overlap_and_containment(a in small_range(), b in small_range()) {
        let common = (a.start..=a.last).any(|x| (b.start..=b.last).contains(&x));
        prop_assert_eq!(a.overlaps(&b), common);
        let inside = (b.start..=b.last).all(|x| (a.start..=a.last).contains(&x));
        prop_assert_eq!(a.contains(&b), inside);
        prop_assert_eq!(dma::bisects(&a, &b), common && !inside);
    }

    #[test]
    fn usable_is_set_subtraction(
        apertures in prop::collection::vec(small_range(), 1..4),
        reserved in prop::collection::vec(small_range(), 0..6),
    ) {
        let model: Vec<u64> = (0..64)
            .filter(|x| apertures.iter().all(|r| r.start <= *x && *x <= r.last))
            .filter(|x| !reserved.iter().any(|r| r.start <= *x && *x <= r.last))
            .collect();
        let mut got = Vec::new();
        let result = iova::usable::<errno::Errno>(
            apertures.iter().copied(),
            reserved.iter().copied(),
            |r| { got.push(r); Ok(()) },
        );
        prop_assert_eq!(result.is_ok(), !model.is_empty());
        if result.is_ok() {
            let flat: Vec<u64> = got.iter().flat_map(|r| r.start..=r.last).collect();
            prop_assert_eq!(&flat, &model);
            // As few ranges as possible.
            prop_assert!(got.windows(2).all(|w| w[0].last + 1 < w[1].start));
            // What may be mapped lies in one of them.
            for a in 0..64u64 {
                for b in a..64 {
                    let range = IovaRange { start: a, last: b };
                    let all = (a..=b).all(|x| model.contains(&x));
                    prop_assert_eq!(iova::is_usable(&got, &range), all);
                }
            }
        }
    }

    #[test]
    fn usable_reaches_the_last_address(last in edge()) {
        let mut got = Vec::new();
        let reserved = IovaRange { start: 0, last };
        let result = iova::usable::<errno::Errno>(
            core::iter::empty(), core::iter::once(reserved), |r| { got.push(r); Ok(()) });
        prop_assert_eq!(result.is_ok(), last != u64::MAX);
        if last != u64::MAX {
            prop_assert_eq!(got, vec![IovaRange { start: last + 1, last: u64::MAX }]);
        }
    }

    #[test]
    fn aperture_must_hold_what_is_mapped(
        window in small_range(), aperture in small_range(), part in small_range(),
    ) {
        let mapped = IovaRange {
            start: part.start.clamp(window.start, window.last),
            last: part.last.clamp(window.start, window.last),
        };
        let ask = |r: IovaRange| {
            // It is asked of what is to go, and only of that.
            assert!(r.start <= r.last && window.contains(&r) && !aperture.overlaps(&r));
            r.overlaps(&mapped)
        };
        let ok = iova::check_aperture(&[window], aperture, ask).is_ok();
        prop_assert_eq!(ok, aperture.overlaps(&window) && aperture.contains(&mapped));
        let ok = iova::check_aperture(&[window], aperture, |_| false).is_ok();
        prop_assert_eq!(ok, aperture.overlaps(&window));
    }

    #[test]
    fn map_request(
        flags in prop_oneof![0..16u32, any::<u32>()],
        vaddr in edge(), iova in edge(), size in edge(), shift in 12..22u32,
    ) {
        let wraps = |base: u64| u128::from(base) + u128::from(size) > 1 << 64;
        let access = flags & 3 != 0;
        let expected = if flags > 7 || size == 0 {
            Err(errno::EINVAL)
        } else if wraps(iova) || wraps(vaddr) {
            Err(errno::EOVERFLOW)
        } else if access == (flags & 4 != 0) {
            Err(errno::EINVAL)
        } else {
            Ok(())
        };
        let got = MapRequest::parse(flags, vaddr, iova, size);
        prop_assert_eq!(got.map(|_| ()), expected);
        if let Ok(request) = got {
            prop_assert_eq!(request.read, flags & 1 != 0);
            prop_assert_eq!(request.write, flags & 2 != 0);
            prop_assert_eq!(request.update_vaddr, flags & 4 != 0);
            let page = 1u64 << shift;
            let aligned = [vaddr, iova, size].iter().all(|x| x % page == 0);
            let sizes = page | 1 << 30;
            prop_assert_eq!(request.check_alignment(sizes).is_ok(), aligned);
        }
    }

    #[test]
    fn each_address_has_to_be_aligned(vaddr in 0..4u64, iova in 0..4u64, size in 1..4u64) {
        let request = MapRequest::parse(3, vaddr * 0x800, iova * 0x800, size * 0x800).unwrap();
        let aligned = [vaddr, iova, size].iter().all(|x| x % 2 == 0);
        prop_assert_eq!(request.check_alignment(0x1000).is_ok(), aligned);
    }

    #[test]
    fn unmap_request(flags in 0..16u32, iova in edge(), size in edge()) {
        let valid = flags < 8 && !(flags & 1 != 0 && flags & 6 != 0);
        let parsed = UnmapFlags::parse(flags);
        prop_assert_eq!(parsed.is_ok(), valid);
        if let Ok(parsed) = parsed {
            let aligned = iova % 4096 == 0 && size % 4096 == 0;
            let expected = if parsed.all {
                if iova == 0 && size == 0 { Ok(IovaRange::ALL) } else { Err(errno::EINVAL) }
            } else if !aligned || size == 0 {
                Err(errno::EINVAL)
            } else {
                IovaRange::new(iova, size).ok_or(errno::EOVERFLOW)
            };
            prop_assert_eq!(parsed.range(iova, size, !0xfff), expected);
        }
    }

    #[test]
    fn page_sizes(sizes in any::<u64>(), bit in 12..64u32, large in any::<bool>()) {
        let sizes = if large { sizes & !0xfff } else { sizes } | 1 << bit;
        let seen = dma::visible_page_sizes(sizes, 4096);
        prop_assert_eq!(seen & 0xfff, 0);
        let above = sizes & !0xfff;
        let small = if sizes & 0xfff != 0 { 4096 } else { 0 };
        prop_assert_eq!(seen, above | small);
        prop_assert_eq!(dma::smallest_page(sizes), 1 << sizes.trailing_zeros());
        prop_assert_eq!(1 << dma::page_shift(sizes), dma::smallest_page(sizes));
    }

    #[test]
    fn no_page_size_at_all_can_be_shifted_by(value in any::<u64>()) {
        prop_assert!(value.checked_shr(dma::page_shift(0)).is_some());
    }

    #[test]
    fn extents_merge_to_the_same_pages(runs in prop::collection::vec((0..40u64, 1..5u64, any::<bool>()), 1..40)) {
        let mut list: Vec<Extent> = Vec::new();
        let mut model = Vec::new();
        for (pfn, pages, pinned) in runs {
            model.extend((pfn..pfn + pages).map(|p| (p, pinned)));
            let next = Extent::new(pfn, pages, pinned);
            if !list.last_mut().is_some_and(|last| last.merge(&next)) {
                list.push(next);
            }
        }
        let flat: Vec<(u64, bool)> = list
            .iter()
            .flat_map(|e| (e.pfn()..e.pfn() + e.pages()).map(|p| (p, e.is_pinned())))
            .collect();
        prop_assert_eq!(flat, model);
        prop_assert!(list.windows(2).all(|w|
            w[0].is_pinned() != w[1].is_pinned() || w[0].pfn() + w[0].pages() != w[1].pfn()));
    }

    #[test]
    fn bookkeeping_stays_small(pages in 1..u64::MAX >> 12) {
        let bytes = pages << 12;
        // Twice, as the allocator may round up.
        let cost = u128::from(extent::NODE_BYTES) + u128::from(extent::budget(bytes)) * 32;
        let small = u128::from(extent::NODE_BYTES) + u128::from(extent::budget(bytes)) * 16;
        prop_assert!(cost * 1000 <= u128::from(bytes) || small <= 256);
    }

    #[test]
    fn chain(
        shift in 12..31u32, avail in any::<u32>(),
        ranges in prop::collection::vec((edge(), edge()), 0..5),
    ) {
        let ranges: Vec<IovaRange> =
            ranges.into_iter().map(|(start, last)| IovaRange { start, last }).collect();
        let mut out = vec![0xffu8; type1_info::chain_len(ranges.len()).unwrap()];
        type1_info::write_chain(&mut out, 1 << shift | 1 << 30 | 1 << 40, avail, &ranges).unwrap();
        prop_assert!(type1_info::write_chain(&mut vec![0; out.len() - 1], 1, 0, &ranges).is_err());

        let u16_at = |at: usize| u16::from_ne_bytes(out[at..at + 2].try_into().unwrap());
        let u32_at = |at: usize| u32::from_ne_bytes(out[at..at + 4].try_into().unwrap());
        let u64_at = |at: usize| u64::from_ne_bytes(out[at..at + 8].try_into().unwrap());
        let mut ids = Vec::new();
        let mut at = 0;
        loop {
            prop_assert_eq!(at % 8, 0);
            prop_assert_eq!(u16_at(at + 2), 1);
            ids.push((u16_at(at), at));
            let next = u32_at(at + 4) as usize;
            if next == 0 {
                break;
            }
            at = next - 24;
        }
        let expected = if ranges.is_empty() { vec![2, 3] } else { vec![2, 3, 1] };
        prop_assert_eq!(ids.iter().map(|(id, _)| *id).collect::<Vec<_>>(), expected);
        prop_assert_eq!(u64_at(16), 1 << shift.min(30));
        prop_assert_eq!(u64_at(24), 256 << 20);
        prop_assert_eq!(u32_at(32 + 8), avail);
        if !ranges.is_empty() {
            prop_assert_eq!(u32_at(48 + 8) as usize, ranges.len());
            for (i, r) in ranges.iter().enumerate() {
                prop_assert_eq!((u64_at(64 + 16 * i), u64_at(72 + 16 * i)), (r.start, r.last));
            }
        }
    }

    #[test]
    fn bits(len in 0..5usize, start in 0..400u64, count in prop_oneof![0..400u64, any::<u64>()]) {
        let mut words = vec![0u64; len];
        dirty::set_bits(&mut words, start, count);
        // What is set already stays.
        dirty::set_bits(&mut words, start, count);
        for bit in 0..len as u64 * 64 {
            let set = words[bit as usize / 64] >> (bit % 64) & 1 != 0;
            prop_assert_eq!(set, bit >= start && bit - start < count);
        }
    }

    #[test]
    fn placement(set in prop::collection::vec(any::<bool>(), 1..300), first in 0..300u64, old in any::<bool>()) {
        let pages = set.len() as u64;
        let mut bits = vec![0u64; set.len().div_ceil(64)];
        for (i, _) in set.iter().enumerate().filter(|(_, s)| **s) {
            dirty::set_bits(&mut bits, i as u64, 1);
        }
        let old_word = if old { u64::MAX } else { 0 };
        let mut user = vec![old_word; (first + pages).div_ceil(64) as usize + 2];
        let place = dirty::Placement::new(first, pages);
        for i in 0..place.words {
            let at = (place.word + i) as usize;
            let kept = if i == 0 && place.shift != 0 { user[at] } else { 0 };
            user[at] = place.get(&bits, i) | kept;
        }
        for (bit, word) in (0..user.len() as u64 * 64).map(|b| (b, user[b as usize / 64])) {
            let got = word >> (bit % 64) & 1 != 0;
            let end = (first + pages).next_multiple_of(64);
            let own = bit.checked_sub(first).and_then(|i| set.get(i as usize)).copied().unwrap_or(false);
            let merged = first % 64 != 0 && bit / 64 == first / 64;
            let expected = if bit / 64 < first / 64 || bit >= end {
                old
            } else {
                own || (merged && old)
            };
            prop_assert_eq!(got, expected, "bit {}", bit);
        }
    }

    #[test]
    fn bitmap_size(size in edge(), shift in 0..63u32, bitmap in edge()) {
        let pages = size >> shift;
        let needed = u128::from(pages).div_ceil(64) * 8;
        let ok = pages != 0 && bitmap != 0 && bitmap <= 256 << 20 && u128::from(bitmap) >= needed;
        prop_assert_eq!(dirty::check_bitmap(size, 1 << shift, bitmap).is_ok(), ok);
        prop_assert!(dirty::check_bitmap(size, 0, bitmap).is_err());
        // No larger than need be is enough, and as large as may be is not too much.
        if (1..=dirty::PAGES_MAX).contains(&pages) {
            let needed = dirty::bitmap_bytes(pages);
            prop_assert!(dirty::check_bitmap(size, 1 << shift, needed).is_ok());
            prop_assert!(dirty::check_bitmap(size, 1 << shift, needed - 1).is_err());
            prop_assert!(dirty::check_bitmap(size, 1 << shift, 256 << 20).is_ok());
        }
    }
}
