// SPDX-License-Identifier: GPL-2.0

//! DMA windows of POWER.

use proptest::prelude::*;
use vfio_logic::{
    errno::{
        self,
        EINVAL, //
    },
    tce::{
        page_sizes,
        EehOp,
        Entries,
        GroupLimits,
        MapRequest,
        NewWindow,
        PlatformCall,
        RegisterRequest,
        Stale,
        Window, //
    },
};

/// Any window, with those at the ends of the addresses among them.
fn windows() -> impl Strategy<Value = Window> {
    (
        0u32..64,
        any::<u64>(),
        any::<u64>(),
        0u32..17,
        any::<[bool; 2]>(),
    )
        .prop_map(|(shift, first, entries, level, [low, high])| {
            let pages = u64::MAX >> shift;
            let first = if low { 0 } else { first & pages };
            // Up to `pages - first + 1`, which is one more than a number when that is all of them.
            let most = (pages - first).saturating_add(1);
            let entries = if high { most } else { 1 + entries % most };
            let level = if level == 0 { 0 } else { 1 << level };
            Window::new(shift, first, entries, level).unwrap()
        })
}

/// Numbers near the ends of a window, and any others.
fn address(window: &Window, pick: u8, near: u64) -> u64 {
    match pick % 4 {
        0 => window.start().wrapping_add(near % 5).wrapping_sub(2),
        1 => window.last().wrapping_add(near % 5).wrapping_sub(2),
        2 => window
            .start()
            .wrapping_add(near & !(window.page_size() - 1)),
        _ => near,
    }
}

proptest! {
    #[test]
    fn windows_end_where_numbers_do(shift in 0u32..70, first in any::<u64>(), entries in any::<u64>(), level in any::<u64>()) {
        let window = Window::new(shift, first, entries, level);
        let fits = shift < 64
            && entries > 0
            && (u128::from(first) + u128::from(entries)) << shift <= 1 << 64
            && (level == 0 || level.is_power_of_two());
        prop_assert_eq!(window.is_some(), fits);
    }

    #[test]
    fn a_window_contains_its_addresses(window in windows(), pick in any::<u8>(), near in any::<u64>()) {
        let iova = address(&window, pick, near);
        prop_assert_eq!(window.contains(iova), iova >= window.start() && iova <= window.last());
        let size = u128::from(window.last()) + 1 - u128::from(window.start());
        prop_assert_eq!(size, u128::from(window.entries()) << window.page_shift());
    }

    #[test]
    fn a_range_is_in_the_window_or_refused(window in windows(), pick in any::<u8>(), near in any::<u64>(), size in any::<u64>(), small in any::<bool>(), align in any::<bool>()) {
        let page = window.page_size();
        let mut iova = address(&window, pick, near);
        let mut size = if small { (size % 4) * page.min(1 << 60) } else { size };
        if align {
            iova &= !(page - 1);
            size &= !(page - 1);
        }
        let aligned = iova % page == 0 && size % page == 0;
        let end = u128::from(iova) + u128::from(size);
        let inside = iova >= window.start() && end <= u128::from(window.last()) + 1;
        match window.range(iova, size) {
            Ok(Entries { first, count }) => {
                prop_assert!(aligned && inside);
                prop_assert!(u128::from(first) + u128::from(count) <= u128::from(window.entries()));
                prop_assert_eq!(count, size >> window.page_shift());
                if let Some(page_number) = window.bus_page(first) {
                    prop_assert_eq!(page_number << window.page_shift(), iova);
                }
            }
            Err(e) => {
                prop_assert_eq!(e, EINVAL);
                // An empty range right behind the last address of all has no number.
                prop_assert!(!aligned || !inside);
            }
        }
    }

    #[test]
    fn a_map_is_placed_as_a_whole(window in windows(), flags in 0u32..6, vaddr in any::<u64>(), pick in any::<u8>(), near in any::<u64>(), pages in 0u64..5) {
        let iova = address(&window, pick, near);
        let size = pages.checked_mul(window.page_size()).unwrap_or(1);
        let request = MapRequest::parse(flags, vaddr, iova, size);
        prop_assert_eq!(request.is_ok(), flags & !3 == 0);
        let Ok(request) = request else { return Ok(()) };
        let placed = request.place(&window);
        let range = window.range(iova, size);
        prop_assert_eq!(placed.is_ok(), flags != 0 && window.is_aligned(vaddr) && range.is_ok());
        if let Ok((entries, direction)) = placed {
            prop_assert_eq!(Ok(entries), range);
            prop_assert_eq!((direction.read, direction.write), (flags & 1 != 0, flags & 2 != 0));
        }
    }

    /// Walking over a table of parts that may be missing meets each entry of those that are there.
    #[test]
    fn a_walk_leaves_out_missing_parts_only(level in 0u32..4, entries in 1u64..200, first in 0u64..200, count in 0u64..200, missing in any::<u64>()) {
        let level = if level == 0 { 0 } else { 1u64 << level };
        let window = Window::new(12, 0, entries, level).unwrap();
        let part = |index: u64| if level == 0 { index } else { index / level };
        let is_missing = |index: u64| missing >> (part(index) % 64) & 1 != 0;
        let first = first % entries;
        let range = Entries { first, count: count % (entries - first + 1) };
        let mut met = Vec::new();
        let mut index = range.first;
        while index < range.end() {
            if is_missing(index) {
                let next = window.behind_part(index);
                prop_assert!(next > index);
                index = next;
                continue;
            }
            met.push(index);
            index += 1;
        }
        let expected: Vec<u64> = (range.first..range.end()).filter(|i| !is_missing(*i)).collect();
        prop_assert_eq!(met, expected);
    }

    /// What is changed is forgotten, in this order, with few others and never an entry that comes later.
    #[test]
    fn what_changed_is_forgotten(steps in proptest::collection::vec(prop_oneof![4 => 0u64..4, 1 => 0u64..100, 1 => any::<u32>().prop_map(u64::from)], 1..100), start in any::<u32>(), breaks in any::<u64>()) {
        let mut stale = Stale::new();
        let (mut forgotten, mut changed) = (Vec::new(), Vec::new());
        let mut index = u64::from(start);
        for (number, step) in steps.iter().enumerate() {
            index += step;
            if let Some(entries) = stale.add(index) {
                // The one that was just added is not among them: it is settled later.
                prop_assert!(entries.end() <= index);
                forgotten.push(entries);
            }
            changed.push(index);
            if breaks >> (number % 64) & 1 != 0 {
                forgotten.extend(stale.take());
                prop_assert_eq!(forgotten.last().map(Entries::end), Some(index + 1));
            }
            index += 1;
        }
        forgotten.extend(stale.take());
        prop_assert_eq!(stale.take(), None);
        for index in &changed {
            prop_assert!(forgotten.iter().any(|e| (e.first..e.end()).contains(index)));
        }
        let cost: u64 = forgotten.iter().map(|e| e.count).sum();
        prop_assert!(cost <= changed.len() as u64 * (Stale::GAP + 1));
    }

    #[test]
    fn new_windows_have_pages_of_the_group(page_shift in 0u32..300, size_shift in 0u32..64, size in any::<u64>(), levels in 0u32..8, page_sizes in any::<u64>(), max_levels in 0u32..8, power in any::<bool>()) {
        let limits = GroupLimits { page_sizes, max_levels };
        let size = if power { 1 << size_shift } else { size };
        let ok = NewWindow { page_shift, size, levels }.check(&limits).is_ok();
        let expected = page_shift < 64
            && page_sizes >> page_shift & 1 != 0
            && size.is_power_of_two()
            && size >= 1 << page_shift
            && levels <= max_levels.max(1);
        prop_assert_eq!(ok, expected);
    }

    #[test]
    fn registered_memory_is_whole_pages(vaddr in any::<u64>(), size in any::<u64>(), align in any::<[bool; 2]>(), shift in 12u32..17) {
        let page = 1u64 << shift;
        let vaddr = if align[0] { vaddr & !(page - 1) } else { vaddr };
        let size = if align[1] { size & !(page - 1) } else { size };
        let request = RegisterRequest::parse(vaddr, size, page);
        let ok = vaddr % page == 0 && size % page == 0 && size != 0 && vaddr.checked_add(size).is_some();
        prop_assert_eq!(request.is_ok(), ok);
        if let Ok(request) = request {
            prop_assert_eq!(request.pages * page, size);
        }
    }

    #[test]
    fn numbers_of_the_firmware_are_no_errnos(answer in prop_oneof![-4200i64..4200, any::<i64>()]) {
        for call in [PlatformCall::CreateTable, PlatformCall::SetWindow, PlatformCall::Exchange, PlatformCall::Endpoint] {
            match call.check(answer) {
                Ok(()) => prop_assert_eq!(answer, 0),
                // Only what the kernel itself answers there is passed on.
                Err(e) => prop_assert!(e == errno::EIO || i64::from(e.get()) == -answer),
            }
            prop_assert!(answer <= 0 || call.check(answer) == Err(errno::EIO));
        }
    }

    #[test]
    fn operations_have_numbers(op in any::<u32>()) {
        prop_assert_eq!(EehOp::from_raw(op).is_ok(), op < 10);
        prop_assert_eq!(EehOp::from_raw(op).is_ok_and(EehOp::may_reset), matches!(op, 1 | 5..=7));
    }
}

#[test]
fn what_the_kernel_itself_answers_is_passed_on() {
    let check = |call: PlatformCall, e: errno::Errno| call.check(-i64::from(e.get())) == Err(e);
    assert!(check(PlatformCall::CreateTable, errno::ENODATA));
    assert!(check(PlatformCall::Endpoint, errno::ENOTRECOVERABLE));
    assert!(!check(PlatformCall::SetWindow, errno::ENODATA));
}

#[test]
fn edges() {
    // All addresses there are, as one page more than a number could count at 4 KiB.
    let all = Window::new(12, 0, 1 << 52, 0).unwrap();
    assert_eq!((all.start(), all.last()), (0, u64::MAX));
    assert_eq!(Window::new(12, 0, (1 << 52) + 1, 0), None);
    assert_eq!(
        all.range(u64::MAX - 4095, 4096).unwrap().first,
        (1 << 52) - 1
    );
    assert!(all.range(u64::MAX - 4095, 8192).is_err());
    // The second window of a powernv host.
    let second = Window::new(16, 1 << 43, 8192, 0).unwrap();
    assert_eq!(second.start(), 1 << 59);
    assert_eq!(second.range(second.start(), 8192 << 16), Ok(second.all()));
    assert!(second.range(second.start(), 8193 << 16).is_err());
    assert!(second.range(second.start() - 0x10000, 0x10000).is_err());
    // Those of POWER9, and the ends of what there could be.
    let sizes: Vec<_> = page_sizes(0x40211000).collect();
    assert_eq!(sizes, [(4, "KiB"), (64, "KiB"), (2, "MiB"), (1, "GiB")]);
    let sizes: Vec<_> = page_sizes(1 << 63 | 1).collect();
    assert_eq!(sizes, [(1, "B"), (8, "EiB")]);
    assert_eq!(page_sizes(0).count(), 0);
    // A shift by more than there are bits is none at all on some processors.
    let limits = GroupLimits {
        page_sizes: 1 << 12,
        max_levels: 1,
    };
    assert!(NewWindow {
        page_shift: 12 + 128,
        size: 1 << 20,
        levels: 1
    }
    .check(&limits)
    .is_err());
}
