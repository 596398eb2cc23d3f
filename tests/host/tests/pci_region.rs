// SPDX-License-Identifier: GPL-2.0

//! Where regions are, how accesses are split, what may be mapped.

use proptest::prelude::*;
use std::ops::Range;
use vfio_logic::{
    errno::EINVAL,
    io::{
        is_outside,
        is_register,
        step,
        Step,
        Width, //
    },
    region::*, //
};

const WIDTHS: [Width; 4] = [Width::One, Width::Two, Width::Four, Width::Eight];

fn width() -> impl Strategy<Value = Width> {
    prop::sample::select(&WIDTHS[..])
}

/// A hole: anywhere, also empty or the wrong way round.
fn hole() -> impl Strategy<Value = Range<u64>> {
    (0u64..300, 0u64..300).prop_map(|(a, b)| a..b)
}

/// The first access of a step; `None` for the hole, with how much of it.
fn first(step: Step) -> (Option<Width>, usize) {
    match step {
        Step::Access { width, .. } => (Some(width), width.bytes()),
        Step::Hole(len) => (None, len),
    }
}

/// The first access, or the hole, as the C function decides it.
fn c_step(off: u64, count: usize, x: &Range<u64>, max: usize) -> (Option<Width>, usize) {
    let fillable = if off < x.start {
        count.min((x.start - off) as usize)
    } else if off >= x.end {
        count
    } else {
        0
    };
    for n in [8, 4, 2] {
        if fillable >= n && off % n as u64 == 0 && max >= n {
            return (Width::exactly(n as u32), n);
        }
    }
    if fillable > 0 {
        (Some(Width::One), 1)
    } else {
        (None, count.min((x.end - off) as usize))
    }
}

proptest! {
    #[test]
    fn a_step_is_that_of_c(off in 0u64..400, count in 1usize..100, hole in hole(), max in width()) {
        prop_assert_eq!(first(step(off, count, &hole, max)), c_step(off, count, &hole, max.bytes()));
    }

    #[test]
    fn steps_cover_all_and_spare_the_hole(
        start in any::<u64>(), count in 1usize..200, hole in (any::<u64>(), any::<u64>()), max in width(),
    ) {
        let start = start.min(u64::MAX - 300);
        let hole = hole.0..hole.1;
        let (mut at, mut left) = (start, count);
        while left > 0 {
            let len = match step(at, left, &hole, max) {
                Step::Access { width, times } => {
                    let len = times * width.bytes();
                    prop_assert!(times > 0 && width <= max);
                    prop_assert_eq!(at % width.bytes() as u64, 0);
                    prop_assert!(hole.is_empty() || at + len as u64 <= hole.start || at >= hole.end);
                    len
                }
                Step::Hole(len) => {
                    prop_assert!(len > 0 && at >= hole.start && at + len as u64 <= hole.end);
                    len
                }
            };
            prop_assert!(len <= left);
            at += len as u64;
            left -= len;
        }
        prop_assert_eq!(at, start + count as u64);
    }

    #[test]
    fn a_step_is_as_many_as_c_would_make(off in 0u64..400, count in 1usize..100, hole in hole(), max in width()) {
        if let Step::Access { width, times } = step(off, count, &hole, max) {
            for i in 0..times {
                let done = i * width.bytes();
                let c = c_step(off + done as u64, count - done, &hole, max.bytes());
                prop_assert_eq!(c, (Some(width), width.bytes()));
            }
        }
    }

    #[test]
    fn a_register_is_one_step(off in 0u64..400, width in width(), size in 0u64..420, hole in hole()) {
        // One that is the wrong way round is none; a step ends at its beginning, as in C.
        let hole = if hole.is_empty() { 0..0 } else { hole };
        let one = match clip(off, width.bytes(), size) {
            Ok(count) if count == width.bytes() => {
                step(off, count, &hole, Width::Eight) == Step::Access { width, times: 1 }
            }
            _ => false,
        };
        prop_assert_eq!(is_register(off, width, size, &hole), one);
    }

    #[test]
    fn outside_is_what_does_not_fit(pos in any::<u64>(), width in width(), size in 0u64..300, hole in hole()) {
        let pos = if pos % 2 == 0 { pos % 400 } else { pos };
        let bytes: Vec<u128> = (0..width.bytes() as u128).map(|i| u128::from(pos) + i).collect();
        let bad = bytes.iter().any(|b| {
            *b >= u128::from(size) || (u128::from(hole.start) <= *b && *b < u128::from(hole.end))
        });
        prop_assert_eq!(is_outside(pos, width, size, &hole), bad);
    }

    #[test]
    fn split_undoes_offset(index in 0u32..1 << 23, pos in 0u64..1 << OFFSET_SHIFT) {
        prop_assert_eq!(split(offset(index) + pos), (index, pos));
    }

    #[test]
    fn added_regions_follow_the_others(index in any::<u32>()) {
        prop_assert_eq!(added(index), index.checked_sub(NUM_REGIONS).map(|i| i as usize));
    }

    #[test]
    fn clip_keeps_what_is_there(pos in any::<u64>(), count in any::<usize>(), size in any::<u64>()) {
        match clip(pos, count, size) {
            Ok(n) => {
                prop_assert!(pos < size && n <= count);
                prop_assert!(pos.checked_add(n as u64).is_some_and(|end| end <= size));
                prop_assert!(n == count || pos + n as u64 == size);
            }
            Err(e) => prop_assert!(e == EINVAL && pos >= size),
        }
    }

    #[test]
    fn mappings_are_all_in_the_bar(
        index in 0u32..12, page in 0u64..20, pages in 1u64..20, size in 1u64..80_000, mappable: bool,
    ) {
        let page_offset = (offset(index) >> 12) + page;
        let fits = page + pages <= size.div_ceil(4096);
        let expected = if index <= BAR5 && mappable && fits { Ok(index) } else { Err(EINVAL) };
        prop_assert_eq!(mmap(page_offset, pages << 12, 4096, |_| mappable.then_some(size)), expected);
    }

    #[test]
    fn mappings_of_anything_do_not_overflow(page: u64, len: u64, size: u64) {
        if let Ok(bar) = mmap(page, len, 4096, |_| Some(size)) {
            let (index, start) = split(page << 12);
            prop_assert_eq!(index, bar);
            prop_assert!(u128::from(start) + u128::from(len) <= u128::from(size).next_multiple_of(4096));
        }
    }

    #[test]
    fn vga_ranges_hold_the_position(pos in prop_oneof![0u64..0x500, 0x9_fff0u64..0xc_0010, any::<u64>()]) {
        let legacy = (0xa_0000..0xc_0000).contains(&pos)
            || (0x3b0..0x3bc).contains(&pos)
            || (0x3c0..0x3e0).contains(&pos);
        match vga_range(pos) {
            Ok(r) => {
                prop_assert!(legacy);
                prop_assert!(u64::from(r.start) <= pos && pos < u64::from(r.start + r.len));
                prop_assert_eq!(r.ports, pos < 0x1000);
            }
            Err(e) => prop_assert!(!legacy && e == EINVAL),
        }
    }
}

#[test]
fn widths() {
    for bytes in 0..20u32 {
        let exact = WIDTHS.into_iter().find(|w| w.bytes() == bytes as usize);
        assert_eq!(Width::exactly(bytes), exact);
        let most = WIDTHS
            .into_iter()
            .rev()
            .find(|w| w.bytes() <= bytes as usize);
        assert_eq!(Width::at_most(bytes.into()), most.unwrap_or(Width::One));
    }
}

#[test]
fn dma_buf_ranges_are_whole_pages() {
    use vfio_logic::dma_buf::size;

    assert_eq!(size([(0, 4096), (8192, 8192)], 4096), Ok(12288));
    for bad in [(0, 0), (1, 4096), (4096, 1), (0, 4097), (2048, 4096)] {
        assert_eq!(size([(0, 4096), bad], 4096), Err(EINVAL), "{bad:?}");
    }
    assert_eq!(size([(0, 4096)], 65536), Err(EINVAL));
    // The uppermost bit of a size is the kernel's.
    let half = 1 << 62;
    assert_eq!(
        size([(0, half), (half, half - 4096)], 4096),
        Ok((1 << 63) - 4096)
    );
    assert_eq!(size([(0, half), (0, half)], 4096), Err(EINVAL));
    assert_eq!(size([(0, u64::MAX - 4095), (0, 4096)], 4096), Err(EINVAL));
}
