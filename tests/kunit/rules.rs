// SPDX-License-Identifier: GPL-2.0

//! Checks of `vfio_logic` against tables: what is asked of groups, mappings and windows, and what is to be answered.

use super::Outcome;
use vfio_logic::{
    dma,
    errno::{
        Errno,
        EBUSY,
        EINVAL,
        EIO,
        ENODEV,
        ENOENT,
        EOPNOTSUPP,
        EOVERFLOW,
        EPERM, //
    },
    feature,
    group::{
        Container,
        Group, //
    },
    iommufd,
    iova::IovaRange,
    lent::Lendable,
    tce,
    type1_info, //
};

pub(crate) fn errnos_keep_their_reason() -> Outcome {
    let told = EINVAL.because("too long");
    check!(
        told == EINVAL && told.get() == 22,
        "a reason makes another errno"
    );
    check!(
        told.why() == Some("too long") && EINVAL.why().is_none(),
        "the reason is lost"
    );
    check!(told != EPERM, "all errnos are the same");
    Ok(())
}

pub(crate) fn mappings_are_parsed() -> Outcome {
    const TOP: u64 = u64::MAX - 0xfff;
    let table: [(u32, u64, u64, u64, Option<Errno>); 12] = [
        (dma::MAP_READ, 0x1000, 0x2000, 0x3000, None),
        (dma::MAP_READ | dma::MAP_WRITE, 0, 0, 0x1000, None),
        (dma::MAP_VADDR, 0x1000, 0, 0x1000, None),
        (0, 0x1000, 0, 0x1000, Some(EINVAL)),
        (
            dma::MAP_VADDR | dma::MAP_READ,
            0x1000,
            0,
            0x1000,
            Some(EINVAL),
        ),
        (8 | dma::MAP_READ, 0x1000, 0, 0x1000, Some(EINVAL)),
        (dma::MAP_READ, 0x1000, 0, 0, Some(EINVAL)),
        (dma::MAP_READ, 0x1000, TOP, 0x1000, None),
        (dma::MAP_READ, 0x1000, TOP, 0x1001, Some(EOVERFLOW)),
        (dma::MAP_READ, TOP, 0, 0x1000, None),
        (dma::MAP_READ, TOP, 0, 0x2000, Some(EOVERFLOW)),
        (dma::MAP_WRITE, 1, 1, u64::MAX, None),
    ];
    for (flags, vaddr, iova, size, wanted) in table {
        let answer = dma::MapRequest::parse(flags, vaddr, iova, size);
        check!(answer.err() == wanted, "a mapping is judged otherwise");
        if let Ok(map) = answer {
            check!(
                map.range.start == iova && map.range.last.wrapping_sub(iova) == size - 1,
                "the range is another one"
            );
            check!(
                map.update_vaddr == (flags & dma::MAP_VADDR != 0)
                    && map.write == (flags & dma::MAP_WRITE != 0),
                "the flags are others"
            );
            let whole = (vaddr | iova | size) & 0xfff == 0;
            check!(
                map.check_alignment(!0xfff).is_ok() == whole,
                "pages that are none"
            );
        }
    }
    Ok(())
}

pub(crate) fn unmappings_are_parsed() -> Outcome {
    let (bitmap, all, vaddr) = (
        dma::UNMAP_GET_DIRTY_BITMAP,
        dma::UNMAP_ALL,
        dma::UNMAP_VADDR,
    );
    for flags in 0..16 {
        let wanted = flags < 8 && (flags & bitmap == 0 || flags & (all | vaddr) == 0);
        check!(
            dma::UnmapFlags::parse(flags).is_ok() == wanted,
            "flags are judged otherwise"
        );
    }
    let table = [
        (0, 0x1000, 0x1000, Ok((0x1000, 0x1fff))),
        (0, 0x1000, 0, Err(EINVAL)),
        (0, 0x1001, 0x1000, Err(EINVAL)),
        (0, 0x1000, 0x1001, Err(EINVAL)),
        (0, !0xfff, 0x1000, Ok((!0xfff, u64::MAX))),
        (0, !0xfff, 0x2000, Err(EOVERFLOW)),
        (all, 0, 0, Ok((0, u64::MAX))),
        (all, 0x1000, 0, Err(EINVAL)),
        (all, 0, 0x1000, Err(EINVAL)),
    ];
    for (flags, iova, size, wanted) in table {
        let answer = dma::UnmapFlags::parse(flags).and_then(|f| f.range(iova, size, !0xfff));
        check!(
            answer.map(|range| (range.start, range.last)) == wanted,
            "another range"
        );
    }
    let range = |start, last| IovaRange { start, last };
    for (asked, mapping, wanted) in [
        (range(0, 9), range(0, 9), false),
        (range(0, 9), range(2, 3), false),
        (range(2, 3), range(0, 9), true),
        (range(0, 4), range(4, 9), true),
        (range(0, 3), range(4, 9), false),
    ] {
        check!(
            dma::bisects(&asked, &mapping) == wanted,
            "a mapping would be cut, or not"
        );
    }
    Ok(())
}

pub(crate) fn page_sizes_are_those_of_both() -> Outcome {
    for (iommu, cpu, wanted, smallest, shift) in [
        (0x4020_1000, 0x1000, 0x4020_1000, 0x1000, 12),
        (0x4020_1000, 0x1_0000, 0x4021_0000, 0x1_0000, 16),
        (!0xfff, 0x1000, !0xfff, 0x1000, 12),
        (!0x3ff, 0x1000, !0xfff, 0x1000, 12),
        (0x4000_0000, 0x1000, 0x4000_0000, 0x4000_0000, 30),
        (0, 0x1000, 0, 0, 63),
    ] {
        let visible = dma::visible_page_sizes(iommu, cpu);
        check!(visible == wanted, "another set of sizes");
        check!(dma::smallest_page(visible) == smallest, "another page");
        check!(dma::page_shift(visible) == shift, "another shift");
    }
    Ok(())
}

/// All sequences of eight things that can happen to a count that is lent: exactly one count is given away
/// for each time that it was lent.
pub(crate) fn lent_counts_are_given_once() -> Outcome {
    for sequence in 0..4u32.pow(8) {
        let lendable = Lendable::default();
        let (mut users, mut lent, mut owed) = (0u32, false, 0u32);
        let mut rest = sequence;
        for _ in 0..8 {
            let given = match rest % 4 {
                0 => {
                    check!(lendable.enter() != lent, "relied on a count that is lent");
                    users = users.saturating_add(u32::from(!lent));
                    false
                }
                1 if users > 0 => {
                    users = users.saturating_sub(1);
                    lendable.leave()
                }
                2 if !lent => {
                    lent = true;
                    owed = owed.saturating_add(1);
                    lendable.lend()
                }
                3 if lent => {
                    lent = false;
                    lendable.take_back()
                }
                _ => false,
            };
            check!(!given || owed > 0, "a count is given away twice");
            owed = owed.saturating_sub(u32::from(given));
            check!(
                owed == u32::from(lent && users > 0),
                "a count is given away too early, or never"
            );
            rest /= 4;
        }
    }
    Ok(())
}

/// All states of a group.
pub(crate) fn groups_follow_their_state() -> Outcome {
    for bits in 0..128u32 {
        let bit = |i: u32| bits >> i & 1 != 0;
        let group = Group {
            present: bit(0),
            opened: bit(1),
            attached: bit(2),
            users: usize::from(bit(3)),
            bound: usize::from(bit(4)),
            noiommu: bit(5),
        };
        let allowed = !group.noiommu || bit(6);
        let refused = |rules: &[(bool, Errno)]| rules.iter().find(|rule| rule.0).map(|rule| rule.1);
        let (gone, busy) = ((!group.present, ENODEV), (group.opened || bit(4), EBUSY));
        check!(
            group.open(|| bit(6)).err() == refused(&[gone, (!allowed, EPERM), busy]),
            "opened against the rules"
        );
        check!(
            group.bind().err() == refused(&[(group.opened, EBUSY)]),
            "bound against the rules"
        );
        check!(
            group.attach().err() == refused(&[(group.attached, EINVAL), gone]),
            "attached against the rules"
        );
        check!(
            group.detach().err() == refused(&[(!group.attached, EINVAL), (bit(3), EBUSY)]),
            "detached against the rules"
        );
        check!(
            group.open_device().err() == refused(&[(!group.attached, EINVAL)]),
            "a device opened against the rules"
        );
        check!(
            group.permit_direct(|| bit(6), || bit(1)).is_ok() == (allowed && !bit(1)),
            "used directly against the rules"
        );
        let status = match (group.present, group.attached, bit(6)) {
            (false, _, _) => Err(ENODEV),
            (_, true, _) => Ok(3),
            (_, _, claimed) => Ok(u32::from(!claimed)),
        };
        check!(group.status(|| bit(6)) == status, "another status");

        let container = Container {
            groups: usize::from(bit(0)),
            backend: bit(1),
            noiommu: bit(2),
        };
        let alike = !bit(0) || bit(2) == bit(3);
        check!(
            container.add(bit(3)).is_ok() == alike && container.suits(bit(3)) == alike,
            "groups of two kinds"
        );
        check!(
            container.set_backend().is_ok() == (bit(0) && !bit(1)),
            "a backend against the rules"
        );
    }
    Ok(())
}

pub(crate) fn features_are_parsed() -> Outcome {
    let (get, set, probe) = (feature::GET, feature::SET, feature::PROBE);
    for (flags, wanted) in [
        (get | 3, Ok(3)),
        (set | 0xffff, Ok(0xffff)),
        (get | set | probe, Ok(0)),
        (get | set, Err(EINVAL)),
        (1 << 19, Err(EINVAL)),
        (0, Ok(0)),
    ] {
        check!(feature::index(flags) == wanted, "another feature");
    }
    for (flags, len, supported, wanted) in [
        (get, 8, get, Ok(feature::Request::Get)),
        (set, 8, get | set, Ok(feature::Request::Set)),
        (get, 7, get, Err(EINVAL)),
        (set, 8, get, Err(EINVAL)),
        (probe | get, 0, get, Ok(feature::Request::Probe)),
        (probe, 0, 0, Ok(feature::Request::Probe)),
        (probe | set, 0, get, Err(EINVAL)),
        (0, 8, get, Err(EINVAL)),
    ] {
        check!(
            feature::request(flags, len, supported, 8) == wanted,
            "something else is asked for"
        );
    }
    for (iova, length, page, wanted) in [
        (0x1000, 0x1000, 0x1000, Ok((0x1000, 0x1fff))),
        (0x800, 0x1000, 0x1000, Err(EINVAL)),
        (0x1000, 0, 0x1000, Err(EINVAL)),
        (!0xfff, 0x1000, 0x1000, Err(EOVERFLOW)),
    ] {
        check!(
            feature::log_range(iova, length, page) == wanted,
            "another range"
        );
    }
    for (page, wanted) in [(0x1000, true), (0x800, false), (0x3000, false), (0, false)] {
        check!(
            feature::log_report(0, 0x1000, page).is_ok() == wanted,
            "a page of another size"
        );
    }
    Ok(())
}

pub(crate) fn iommufd_arguments_are_checked() -> Outcome {
    for (flags, fd, wanted) in [
        (0, 0, Ok(false)),
        (1, 5, Ok(true)),
        (2, 5, Err(EINVAL)),
        (0, -1, Err(EINVAL)),
    ] {
        check!(iommufd::bind(flags, fd) == wanted, "bound otherwise");
    }
    for (flags, argsz, supported, wanted) in [
        (0, 0, false, Ok(false)),
        (1, 16, true, Ok(true)),
        (1, 15, true, Err(EINVAL)),
        (1, 16, false, Err(EOPNOTSUPP)),
        (2, 16, true, Err(EINVAL)),
    ] {
        check!(
            iommufd::has_pasid(flags, argsz, 16, supported) == wanted,
            "a PASID, or none"
        );
    }
    for (answer, devid, owned) in [
        (7, 7, true),
        (-ENOENT.get(), 0, true),
        (-ENODEV.get(), u32::MAX, false),
        (0, u32::MAX, false),
        (i32::MIN, u32::MAX, false),
    ] {
        let ownership = iommufd::Ownership::from_answer(answer);
        check!(
            ownership.devid() == devid && ownership.is_owned() == owned,
            "it belongs to somebody else"
        );
    }
    for bits in 0..8u32 {
        let (flags, files, by_node) = (bits & 1, bits >> 1 & 1, bits & 4 != 0);
        check!(
            iommufd::hot_reset(flags, files, by_node).is_ok()
                == (flags == 0 && (files == 0) == by_node),
            "reset against the rules"
        );
    }
    Ok(())
}

pub(crate) fn information_is_a_chain() -> Outcome {
    let all = [
        IovaRange {
            start: 0,
            last: 0xfedf_ffff,
        },
        IovaRange {
            start: 0xfef0_0000,
            last: u64::MAX,
        },
    ];
    for used in 0..=2usize {
        let ranges = all.get(..used).unwrap_or_default();
        let mut out = [0xaau8; 96];
        let len = type1_info::chain_len(used).unwrap_or(0);
        let Some(room) = out.get_mut(..len) else {
            return Err("a chain that is longer than it can be");
        };
        check!(
            type1_info::write_chain(room, !0xfff, 77, ranges).is_ok(),
            "no room though it is as long as told"
        );
        let word = |at: usize| {
            let bytes = out.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        // Each capability: its ID and version, and where the next one is.
        let (mut at, mut seen) = (0usize, 0u32);
        loop {
            let header = word(at).to_ne_bytes();
            seen = match header {
                [a, b, 1, 0] | [a, b, 0, 1] => seen
                    .checked_shl(8)
                    .unwrap_or(0)
                    .saturating_add(u16::from_ne_bytes([a, b]).into()),
                _ => return Err("another version"),
            };
            let next = word(at.saturating_add(4));
            if next == 0 {
                break;
            }
            check!(
                next % 8 == 0 && next as usize > at,
                "a link that leads back"
            );
            at = (next as usize).saturating_sub(type1_info::INFO_BYTES as usize);
            check!(at < len, "a link that leads out");
        }
        let wanted = if used == 0 { 0x0203 } else { 0x02_0301 };
        check!(seen == wanted, "other capabilities");
        check!(
            used == 0 || word(at.saturating_add(8)) as usize == used,
            "another number of ranges"
        );
        let short = len.saturating_sub(1);
        check!(
            out.get_mut(..short).is_some_and(|out| {
                type1_info::write_chain(out, !0xfff, 77, ranges) == Err(EINVAL)
            }),
            "written though there is no room"
        );
    }
    Ok(())
}

pub(crate) fn windows_are_kept_to() -> Outcome {
    let Some(window) = tce::Window::new(12, 0x100, 0x100, 0x10) else {
        return Err("a window that can be is refused");
    };
    check!(
        (window.start(), window.last()) == (0x10_0000, 0x1f_ffff),
        "another window"
    );
    for (iova, size, wanted) in [
        (0x10_0000, 0x10_0000, Ok((0, 0x100))),
        (0x1f_f000, 0x1000, Ok((0xff, 1))),
        (0x1f_f000, 0x2000, Err(EINVAL)),
        (0x0f_f000, 0x1000, Err(EINVAL)),
        (0x10_0800, 0x1000, Err(EINVAL)),
        (0x10_0000, 0x800, Err(EINVAL)),
        (0x20_0000, 0, Ok((0x100, 0))),
        (!0xfff, 0x1000, Err(EINVAL)),
    ] {
        let answer = window.range(iova, size).map(|e| (e.first, e.count));
        check!(answer == wanted, "other entries");
    }
    for (index, wanted) in [(0, 0x10), (0xf, 0x10), (0x10, 0x20), (u64::MAX, u64::MAX)] {
        check!(window.behind_part(index) == wanted, "another part");
    }
    for (shift, first, entries, level) in [
        (12, 0, 0, 0),
        (64, 0, 1, 0),
        (12, 1 << 52, 1, 0),
        (12, u64::MAX, 2, 0),
        (12, 0, 16, 3),
    ] {
        check!(
            tce::Window::new(shift, first, entries, level).is_none(),
            "a window that cannot be"
        );
    }
    let limits = tce::GroupLimits {
        page_sizes: 0x1_1000,
        max_levels: 2,
    };
    for (page_shift, size, levels, wanted) in [
        (12, 0x1000, 1, true),
        (16, 0x1_0000, 2, true),
        (16, 0x1000, 1, false),
        (13, 0x2000, 1, false),
        (12, 0x3000, 1, false),
        (12, 0x1000, 3, false),
        (64, 0x1000, 1, false),
        (12, 0, 1, false),
    ] {
        let new = tce::NewWindow {
            page_shift,
            size,
            levels,
        };
        check!(new.check(&limits).is_ok() == wanted, "judged otherwise");
    }
    for (vaddr, size, wanted) in [
        (0x1000, 0x3000, Ok(3)),
        (0x1000, 0, Err(EINVAL)),
        (0x1001, 0x1000, Err(EINVAL)),
        (!0xfff, 0x1000, Err(EINVAL)),
    ] {
        let answer = tce::RegisterRequest::parse(vaddr, size, 0x1000);
        check!(answer.map(|r| r.pages) == wanted, "other pages");
    }
    for op in 0..12 {
        let answer = tce::EehOp::from_raw(op);
        check!(answer.is_ok() == (op < 10), "an operation too many");
        check!(
            answer.is_ok_and(tce::EehOp::may_reset) == matches!(op, 1 | 5..=7),
            "another one resets"
        );
    }
    for (answer, wanted) in [
        (0, Ok(())),
        (-12, Err(vfio_logic::errno::ENOMEM)),
        (-99, Err(EIO)),
        (5, Err(EIO)),
    ] {
        check!(
            tce::PlatformCall::Exchange.check(answer) == wanted,
            "another errno"
        );
    }
    Ok(())
}

pub(crate) fn stale_entries_are_all_forgotten() -> Outcome {
    for gap in 1..80u64 {
        let mut stale = tce::Stale::new();
        let mut forgotten = 0u64;
        let mut last = 0;
        let mut far = false;
        let mut forget = |entries: Option<tce::Entries>| {
            if let Some(entries) = entries {
                forgotten = forgotten.saturating_add(entries.count.div_ceil(gap));
                last = entries.end();
                // What is far apart is not forgotten with all that is in between.
                far |= gap > tce::Stale::GAP + 1 && entries.count != 1;
            }
        };
        for i in 0..10 {
            forget(stale.add(gap.saturating_mul(i)));
        }
        forget(stale.take());
        check!(!far, "entries in between are forgotten");
        check!(
            forgotten == 10,
            "an entry is forgotten twice, or not at all"
        );
        check!(
            last == gap.saturating_mul(9).saturating_add(1) && stale.take().is_none(),
            "something is left"
        );
    }
    Ok(())
}
