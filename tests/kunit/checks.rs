// SPDX-License-Identifier: GPL-2.0

//! Checks of `vfio_logic`, the same on the host (`make check`) and in the kernel (KUnit): here against naive models,
//! in the other files against tables.
//!
//! Nothing but `core`: no allocation, no panic. What is wrong is answered as text. Inputs are random from a fixed seed.

use vfio_logic::{
    dirty::{
        self,
        Placement, //
    },
    extent::Extent,
    info_cap,
    iova::{
        self,
        IovaRange, //
    },
    iova_ranges,
    irq_set::{
        self,
        IrqSet, //
    },
    migration, //
};

/// What a check answers.
pub(crate) type Outcome = Result<(), &'static str>;

/// Calls a macro with the names of all checks.
macro_rules! with_all_checks {
    ($use_them:ident) => {
        $use_them! {
            accesses_are_cut_well,
            bars_are_sized,
            bitmaps_are_placed,
            capabilities_have_lengths,
            chains_are_linked,
            closest_ranges_are_found,
            configuration_is_emulated,
            dirty_bits_as_counted,
            driver_ids_are_read,
            errnos_keep_their_reason,
            extents_are_whole,
            features_are_parsed,
            functions_are_known,
            graphics_are_laid_out,
            groups_follow_their_state,
            information_is_a_chain,
            interrupts_are_decided,
            iommufd_arguments_are_checked,
            irq_sets_fit,
            lent_counts_are_given_once,
            mappings_are_parsed,
            migration_arrives,
            page_sizes_are_those_of_both,
            permissions_are_those_of_registers,
            pins_stay_balanced,
            regions_have_their_places,
            registers_overlap,
            shared_memory_has_a_size,
            stale_entries_are_all_forgotten,
            tokens_are_read_and_compared,
            unmappings_are_parsed,
            usable_ranges_are_what_is_left,
            windows_are_kept_to,
        }
    };
}

macro_rules! check {
    ($condition:expr, $text:literal) => {
        if !$condition {
            return Err($text);
        }
    };
}

mod config;
mod devices;
mod interrupts;
mod rules;

pub(crate) use config::*;
pub(crate) use devices::*;
pub(crate) use interrupts::*;
pub(crate) use rules::*;

/// Random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next().checked_rem(limit).unwrap_or(0)
    }
}

fn bit(words: &[u64], index: u64) -> bool {
    words
        .get((index / 64) as usize)
        .is_some_and(|word| word >> (index % 64) & 1 != 0)
}

pub(crate) fn dirty_bits_as_counted() -> Outcome {
    let mut random = Random(1);
    for _ in 0..500 {
        let (start, count) = (random.below(280), random.below(280));
        let mut words = [0u64; 4];
        dirty::set_bits(&mut words, start, count);
        for i in 0..256 {
            let wanted = (start..start.saturating_add(count)).contains(&i);
            check!(
                bit(&words, i) == wanted,
                "another bit is set, or one is missing"
            );
        }
    }
    Ok(())
}

pub(crate) fn bitmaps_are_placed() -> Outcome {
    let mut random = Random(2);
    for _ in 0..300 {
        let (first, pages) = (random.below(300), random.below(128).saturating_add(1));
        let mut bits = [random.next(), random.next()];
        // Nothing is set behind the last page.
        for (i, word) in bits.iter_mut().enumerate() {
            let from = (i as u64).saturating_mul(64);
            let kept = pages.saturating_sub(from).min(64);
            *word &= u64::MAX
                .checked_shr(64u32.saturating_sub(kept as u32))
                .unwrap_or(0);
        }
        let place = Placement::new(first, pages);
        let mut out = [0u64; 8];
        for i in 0..place.words {
            let at = place.word.saturating_add(i);
            if let Some(word) = out.get_mut(at as usize) {
                *word |= place.get(&bits, i);
            }
        }
        for i in 0..512u64 {
            let wanted = i
                .checked_sub(first)
                .is_some_and(|page| page < pages && bit(&bits, page));
            check!(
                bit(&out, i) == wanted,
                "a page's bit is not where it belongs"
            );
        }
    }
    Ok(())
}

pub(crate) fn extents_are_whole() -> Outcome {
    let mut random = Random(3);
    for _ in 0..300 {
        let mut extent = Extent::new(
            random.below(1 << 40),
            random.below(9).saturating_add(1),
            true,
        );
        for _ in 0..20 {
            let pinned = random.below(4) != 0;
            let follows = random.below(2) != 0;
            let end = extent.pfn().saturating_add(extent.pages());
            let pfn = if follows { end } else { random.below(1 << 40) };
            let next = Extent::new(pfn, random.below(9).saturating_add(1), pinned);
            let before = extent;
            let merged = extent.merge(&next);
            check!(
                merged == (pfn == end && pinned == before.is_pinned()),
                "what follows on is one extent, and nothing else"
            );
            let pages = if merged { next.pages() } else { 0 };
            check!(
                extent.pages() == before.pages().saturating_add(pages)
                    && extent.pfn() == before.pfn()
                    && extent.is_pinned() == before.is_pinned(),
                "pages were lost or made up"
            );
        }
    }
    Ok(())
}

pub(crate) fn usable_ranges_are_what_is_left() -> Outcome {
    let mut random = Random(4);
    for _ in 0..400 {
        let mut range = || {
            let start = random.below(128);
            IovaRange {
                start,
                last: start.saturating_add(random.below(40)),
            }
        };
        let apertures = [
            IovaRange {
                start: 0,
                last: range().last,
            },
            range(),
        ];
        let reserved = [range(), range(), range()];
        let allowed = |at: u64| {
            apertures.iter().all(|r| r.start <= at && at <= r.last)
                && !reserved.iter().any(|r| r.start <= at && at <= r.last)
        };
        let mut next = 0;
        let mut wrong = false;
        let answer = iova::usable(apertures.into_iter(), reserved.into_iter(), |r| {
            // Between the ranges nothing may be mapped, in them everything.
            wrong |= r.start < next || (next..r.start).any(allowed);
            wrong |= !(r.start..=r.last).all(allowed);
            next = r.last.saturating_add(1);
            Ok::<(), vfio_logic::errno::Errno>(())
        });
        check!(
            !wrong,
            "a range that may not be mapped, or one that is missing"
        );
        if answer.is_ok() {
            check!(
                next > 0 && !(next..256).any(allowed),
                "what is behind the last range is missing"
            );
        } else {
            check!(!(0..256).any(allowed), "refused though something is left");
        }
    }
    Ok(())
}

pub(crate) fn chains_are_linked() -> Outcome {
    let mut random = Random(5);
    for _ in 0..200 {
        let mut bytes = [0u8; 256];
        let mut starts = [0usize; 8];
        let mut count = 0usize;
        let mut at = 0usize;
        while let Some(start) = starts.get_mut(count) {
            let size = random.below(24).saturating_add(8) as usize;
            let Some(padded) = info_cap::padded(size) else {
                return Err("a size has no padding");
            };
            check!(
                padded >= size && padded % 8 == 0 && padded < size.saturating_add(8),
                "wrong padding"
            );
            if at.saturating_add(padded) > bytes.len() {
                break;
            }
            info_cap::link(
                bytes
                    .get_mut(..at.saturating_add(padded))
                    .unwrap_or_default(),
                at,
                count as u16,
                1,
            );
            *start = at;
            at = at.saturating_add(padded);
            count = count.saturating_add(1);
        }
        let shift = random.below(64) as usize;
        info_cap::shift(&mut bytes, shift);
        for i in 0..count {
            let start = starts.get(i).copied().unwrap_or(0);
            let header = bytes.get(start..).unwrap_or_default();
            let next = match header {
                [a, b, _, _, c, d, e, f, ..] => {
                    check!(
                        u16::from_ne_bytes([*a, *b]) as usize == i,
                        "another capability"
                    );
                    u32::from_ne_bytes([*c, *d, *e, *f]) as usize
                }
                _ => return Err("no header"),
            };
            let wanted = match starts.get(i.saturating_add(1)) {
                Some(next) if i.saturating_add(1) < count => next.saturating_add(shift),
                _ => 0,
            };
            check!(next == wanted, "the link leads elsewhere");
        }
    }
    Ok(())
}

pub(crate) fn closest_ranges_are_found() -> Outcome {
    let mut random = Random(6);
    for _ in 0..300 {
        let mut ranges = [(0usize, 0usize); 6];
        let mut at = 0usize;
        for range in &mut ranges {
            let start = at
                .saturating_add(random.below(50) as usize)
                .saturating_add(1);
            at = start.saturating_add(random.below(50) as usize);
            *range = (start, at);
        }
        let used = random.below(7) as usize;
        let ranges = ranges.get(..used).unwrap_or_default();
        let found = iova_ranges::closest(ranges.iter().copied());
        check!(
            found.is_some() == (used > 1),
            "a pair of ranges where there is none, or none"
        );
        let gap = |pair: &[(usize, usize)]| match pair {
            [(_, end), (start, _)] => start.saturating_sub(*end),
            _ => usize::MAX,
        };
        let least = ranges.windows(2).map(gap).min();
        let first = ranges.windows(2).position(|pair| Some(gap(pair)) == least);
        check!(found.is_none() || found == first, "another pair is closer");
    }
    Ok(())
}

pub(crate) fn irq_sets_fit() -> Outcome {
    let mut random = Random(7);
    for _ in 0..3000 {
        let mut number = || match random.below(4) {
            0 => random.below(8) as u32,
            1 => u32::MAX.wrapping_sub(random.below(4) as u32),
            2 => 20u32.wrapping_add(random.below(40) as u32),
            _ => random.next() as u32,
        };
        let set = IrqSet {
            argsz: number(),
            flags: number() & 63,
            index: number() & 7,
            start: number(),
            count: number(),
        };
        let (kinds, num) = (5, number() & 15);
        let each = match set.flags & irq_set::DATA_TYPE_MASK {
            irq_set::DATA_NONE => Some(0u64),
            irq_set::DATA_BOOL => Some(1),
            irq_set::DATA_EVENTFD => Some(4),
            _ => None,
        };
        let end = u64::from(set.start).saturating_add(u64::from(set.count));
        let size = each.map(|each| each.saturating_mul(u64::from(set.count)));
        let wanted = size.filter(|size| {
            set.argsz >= 20
                && set.index < kinds
                && end < u64::from(u32::MAX)
                && set.start < num
                && end <= u64::from(num)
                && u64::from(set.argsz).saturating_sub(20) >= *size
        });
        let answer = set.check(kinds).and_then(|()| set.data_size(num));
        check!(
            answer.ok().map(|size| size as u64) == wanted,
            "accepted though it does not fit, or refused though it does"
        );
    }
    Ok(())
}

pub(crate) fn migration_arrives() -> Outcome {
    for flags in 0..8u32 {
        for from in 0..9u32 {
            for to in 0..9u32 {
                let mut state = from;
                for steps in 0.. {
                    if state == to {
                        break;
                    }
                    match migration::next_state(state, to, flags) {
                        Ok(migration::State::Error) => {
                            check!(steps == 0, "a way that ends half-way");
                            break;
                        }
                        Ok(next) => {
                            check!(next.is_in(flags), "a state that the device has not");
                            state = next as u32;
                        }
                        Err(_) => {
                            check!(steps == 0, "a state on the way that is not known");
                            break;
                        }
                    }
                    check!(steps < 8, "a way that does not end");
                }
            }
        }
    }
    Ok(())
}
