// SPDX-License-Identifier: GPL-2.0

//! Arguments of calls, each with any numbers.

use super::Input;
use vfio_logic::{
    dirty,
    dma,
    dma_buf,
    feature,
    io,
    iova::{
        self,
        IovaRange, //
    },
    irq,
    irq_set::IrqSet,
    migration,
    pci,
    region,
    tce,
    type1_info, //
};

fn interrupts(input: &mut Input<'_>) {
    let set = IrqSet {
        argsz: input.u32(),
        flags: input.u8().into(),
        index: u32::from(input.u8() % 8),
        start: input.edge() as u32,
        count: input.edge() as u32,
    };
    let num = u32::from(input.u16() % 2050);
    let state = irq::State {
        delivery: [
            irq::Delivery::None,
            irq::Delivery::Intx,
            irq::Delivery::Msi,
            irq::Delivery::MsiX,
        ][usize::from(input.u8() % 4)],
        has_err: input.bool(),
        has_req: input.bool(),
    };
    if set.check(5).is_err() {
        return;
    }
    let Ok(size) = set.data_size(num) else {
        return;
    };
    assert!(size as u64 + 20 <= u64::from(set.argsz));
    assert!(u64::from(set.start) + u64::from(set.count) <= u64::from(num));
    // No more than that is read.
    let mut data = vec![0; size];
    let given = input.bytes(size);
    data[..given.len()].copy_from_slice(given);
    let Ok(request) = irq::decide(&state, set.flags, set.index, set.start, set.count, &data) else {
        return;
    };
    match request {
        irq::Request::MsiEnable {
            start, fds, count, ..
        } => {
            let end = u64::from(start) + fds.iter().count() as u64;
            assert!(end <= u64::from(count) && count <= num);
        }
        irq::Request::MsiSet { start, fds } => {
            assert!(u64::from(start) + fds.iter().count() as u64 <= u64::from(num));
        }
        irq::Request::MsiSignal {
            start,
            count,
            which,
        } => {
            assert!(u64::from(start) + u64::from(count) <= u64::from(num));
            (0..count.min(3000)).for_each(|i| {
                which.contains(i);
            });
        }
        _ => (),
    }
}

fn mappings(input: &mut Input<'_>) {
    let (flags, vaddr, iova, size) = (
        u32::from(input.u8()),
        input.edge(),
        input.edge(),
        input.edge(),
    );
    let pgsizes = input.edge();
    if let Ok(map) = dma::MapRequest::parse(flags, vaddr, iova, size) {
        assert_eq!(
            u128::from(map.range.last),
            u128::from(iova) + u128::from(size) - 1
        );
        assert!(vaddr.checked_add(size - 1).is_some());
        assert!(map.read || map.write || map.update_vaddr);
        let _ = map.check_alignment(pgsizes);
    }
    if let Ok(flags) = dma::UnmapFlags::parse(flags) {
        if let Ok(range) = flags.range(iova, size, pgsizes) {
            assert!(range.start <= range.last);
            if !flags.all {
                assert_eq!(
                    u128::from(range.last),
                    u128::from(iova) + u128::from(size) - 1
                );
            }
        }
    }
    let pages = input.edge();
    if dirty::check_bitmap(size, pgsizes, pages).is_ok() {
        assert!(pages <= dirty::bitmap_bytes(dirty::PAGES_MAX));
        assert!(u128::from(pages) * 8 >= u128::from(size >> pgsizes.trailing_zeros()));
    }
    let mut words = [0u64; 5];
    let (start, count) = (u64::from(input.u16() % 400), u64::from(input.u16() % 400));
    dirty::set_bits(&mut words, start, count);
    for bit in 0..320 {
        let set = words[bit as usize / 64] >> (bit % 64) & 1 != 0;
        assert_eq!(set, bit >= start && bit < start + count);
    }
    let first = u64::from(input.u16());
    let placement = dirty::Placement::new(first, 320);
    let mut moved = vec![0u64; placement.words as usize];
    for (i, word) in moved.iter_mut().enumerate() {
        *word = placement.get(&words, i as u64);
    }
    for bit in 0..320usize {
        let to = bit + (first % 64) as usize;
        assert_eq!(
            moved[to / 64] >> (to % 64) & 1,
            words[bit / 64] >> (bit % 64) & 1
        );
    }
}

fn ranges(input: &mut Input<'_>) {
    let mut some = |count: u8| {
        (0..count)
            .filter_map(|_| IovaRange::from_ends(input.edge(), input.edge()))
            .collect::<Vec<_>>()
    };
    let (apertures, reserved, points) = (some(3), some(5), some(4));
    let mut usable: Vec<IovaRange> = Vec::new();
    let done = iova::usable(
        apertures.iter().copied(),
        reserved.iter().copied(),
        |range| {
            usable.push(range);
            Ok::<(), vfio_logic::errno::Errno>(())
        },
    );
    assert_eq!(done.is_ok(), !usable.is_empty());
    assert!(usable.windows(2).all(|two| two[0].last < two[1].start));
    for point in points.iter().flat_map(|range| [range.start, range.last]) {
        let at = IovaRange {
            start: point,
            last: point,
        };
        let free =
            apertures.iter().all(|a| a.contains(&at)) && !reserved.iter().any(|r| r.contains(&at));
        assert_eq!(usable.iter().any(|u| u.contains(&at)), free, "{point:x}");
    }
    if let Ok(len) = type1_info::chain_len(usable.len()) {
        let mut out = vec![0; len];
        type1_info::write_chain(&mut out, 0x1000, 5, &usable).unwrap();
        assert!(type1_info::write_chain(&mut out[..len - 1], 0x1000, 5, &usable).is_err());
    }
}

fn accesses(input: &mut Input<'_>) {
    let (pos, count) = (input.edge(), usize::from(input.u16()));
    let start = input.edge();
    let hole = start..start.saturating_add(u64::from(input.u16()));
    let max = [
        io::Width::One,
        io::Width::Two,
        io::Width::Four,
        io::Width::Eight,
    ][usize::from(input.u8() % 4)];
    let size = input.edge();
    if let Ok(clipped) = region::clip(pos, count, size) {
        assert!(u128::from(pos) + clipped as u128 <= u128::from(size) && clipped <= count);
        let (mut at, mut left) = (pos, clipped);
        while left > 0 {
            match io::step(at, left, &hole, max) {
                io::Step::Access { width, times } => {
                    assert!(width <= max && width.bytes() <= left && io::is_aligned(at, width));
                    assert!(!io::is_outside(at, width, size, &hole));
                    assert!(times > 0 && times * width.bytes() <= left);
                    let end = at + (times * width.bytes()) as u64;
                    assert!(hole.is_empty() || end <= hole.start || at >= hole.end);
                    at = end;
                    left -= times * width.bytes();
                }
                io::Step::Hole(n) => {
                    assert!(n > 0 && n <= left && at >= hole.start && at + n as u64 <= hole.end);
                    at += n as u64;
                    left -= n;
                }
            }
        }
    }
    let (index, at) = region::split(pos);
    assert_eq!(region::offset(index) + at, pos);
    let len = input.edge();
    if let Ok(bar) = region::mmap(pos >> 12, len, 4096, |_| Some(size)) {
        assert!(bar < 6);
        let at = u128::from(region::split(pos & !4095).1);
        assert!(at + u128::from(len) <= u128::from(size.next_multiple_of(4096)));
    }
    if let Ok(address) = pci::dma_range(start, size, pos, len) {
        assert_eq!(u128::from(address), u128::from(start) + u128::from(pos));
        assert!(u128::from(pos) + u128::from(len) <= u128::from(size));
    }
    let pieces = [(pos, len), (size, start)];
    if let Ok(all) = dma_buf::size(pieces, 4096) {
        assert_eq!(u128::from(all), u128::from(len) + u128::from(start));
        assert!(all < 1 << 63);
    }
    let table = pci::MsixTable::decode(count as u16, pos as u32);
    assert!(table.range().end - table.range().start == u64::from(table.vectors) * 16);
}

fn features(input: &mut Input<'_>) {
    let (flags, len) = (input.u32() & 0x000f_ffff, usize::from(input.u16()));
    if feature::index(flags).is_ok() {
        if let Ok(request) = feature::request(
            flags,
            len,
            u32::from(input.u8() & 3) << 16,
            usize::from(input.u8()),
        ) {
            assert!(flags & feature::PROBE != 0 || request != feature::Request::Probe);
        }
    }
    let (start, size, page) = (input.edge(), input.edge(), 1u64 << (input.u8() % 64));
    if let Ok((first, last)) = feature::log_range(start, size, page) {
        assert!(first <= last && last - first + 1 == size as usize);
    }
    let _ = feature::log_report(start, size, page);
    let (from, to, flags) = (
        u32::from(input.u8() % 10),
        u32::from(input.u8() % 10),
        u32::from(input.u8()),
    );
    // However far, and whatever way, it arrives.
    let mut state = from;
    for _ in 0..10 {
        match migration::next_state(state, to, flags) {
            Ok(next) if migration::State::new(to).is_some() => {
                state = (0..10)
                    .find(|n| migration::State::new(*n) == Some(next))
                    .unwrap();
            }
            _ => return,
        }
        if state == to {
            return;
        }
    }
    panic!("{from} never becomes {to}");
}

fn windows(input: &mut Input<'_>) {
    let (shift, first, entries, level) = (
        u32::from(input.u8()),
        input.edge(),
        input.edge(),
        input.edge(),
    );
    let Some(window) = tce::Window::new(shift, first, entries, level) else {
        return;
    };
    let (iova, size) = (input.edge(), input.edge());
    if let Ok(range) = window.range(iova, size) {
        assert!(range.end() <= window.entries());
        if size > 0 {
            assert!(window.contains(iova) && window.contains(iova + (size - 1)));
        }
    }
    if let Ok(map) = tce::MapRequest::parse(u32::from(input.u8() & 7), input.edge(), iova, size) {
        if let Ok((range, direction)) = map.place(&window) {
            assert!(range.end() <= window.entries() && (direction.read || direction.write));
        }
    }
    let index = input.edge();
    assert!(window.behind_part(index) > index || index == u64::MAX);
    if let Ok(memory) = tce::RegisterRequest::parse(iova, size, 4096) {
        let _ = memory;
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    while !input.is_empty() {
        match input.u8() % 6 {
            0 => interrupts(&mut input),
            1 => mappings(&mut input),
            2 => ranges(&mut input),
            3 => accesses(&mut input),
            4 => features(&mut input),
            _ => windows(&mut input),
        }
    }
}
