// SPDX-License-Identifier: GPL-2.0

//! Checks of what is known of a device: regions, accesses, names and tokens, Intel graphics, memory that is shared.

use super::Outcome;
use vfio_logic::{
    dma_buf,
    errno::{
        Errno,
        EACCES,
        EINVAL,
        EOVERFLOW, //
    },
    igd,
    io,
    irq,
    pci,
    pci_driver::{
        self,
        DynId, //
    },
    region,
    vf_token::{
        self,
        Match,
        Refusal,
        Role, //
    }, //
};

pub(crate) fn regions_have_their_places() -> Outcome {
    for index in 0..64u32 {
        for at in [0, 1, 0xfff, (1 << region::OFFSET_SHIFT) - 1] {
            let pos = region::offset(index) | at;
            check!(region::split(pos) == (index, at), "another region");
        }
        let wanted = (index >= 9).then_some((index as usize).saturating_sub(9));
        check!(
            region::added(index) == wanted,
            "another region is the driver's"
        );
    }
    for (pos, count, size, wanted) in [
        (0, 4, 4, Ok(4)),
        (3, 4, 4, Ok(1)),
        (4, 0, 4, Err(EINVAL)),
        (0, usize::MAX, u64::MAX, Ok(usize::MAX)),
        (u64::MAX, 1, u64::MAX, Err(EINVAL)),
        (0, 0, 0, Err(EINVAL)),
    ] {
        check!(region::clip(pos, count, size) == wanted, "cut elsewhere");
    }
    let page = |index, at: u64| region::offset(index) / 0x1000 + at;
    for (offset, len, bar, wanted) in [
        (page(0, 0), 0x1000, Some(0x1000), Ok(0)),
        (page(5, 1), 0x1000, Some(0x2000), Ok(5)),
        (page(5, 1), 0x1001, Some(0x2000), Err(EINVAL)),
        (page(0, 0), 0x1000, Some(0x10), Ok(0)),
        (page(0, 0), 0x1000, None, Err(EINVAL)),
        (page(6, 0), 0x1000, Some(0x1000), Err(EINVAL)),
        (u64::MAX, 0x1000, Some(0x1000), Err(EINVAL)),
        (page(0, 1), u64::MAX, Some(0x1000), Err(EINVAL)),
    ] {
        check!(
            region::mmap(offset, len, 0x1000, |_| bar) == wanted,
            "mapped against the rules"
        );
    }
    for pos in (0x3a0..0x3f0)
        .chain(0x9_fff0..0xa_0010)
        .chain(0xb_fff0..0xc_0010)
    {
        let memory = (0xa_0000..0xc_0000).contains(&pos);
        let ports = (0x3b0..0x3bc).contains(&pos) || (0x3c0..0x3e0).contains(&pos);
        let answer = region::vga_range(pos);
        check!(
            answer.is_ok() == (memory || ports),
            "a legacy address too many"
        );
        if let Ok(range) = answer {
            let end = u64::from(range.start).saturating_add(range.len.into());
            check!(
                range.ports == ports && (range.start.into()..end).contains(&pos),
                "in another range"
            );
        }
    }
    Ok(())
}

pub(crate) fn accesses_are_cut_well() -> Outcome {
    for pos in 0..24u64 {
        for count in 1..24usize {
            for max in [
                io::Width::One,
                io::Width::Two,
                io::Width::Four,
                io::Width::Eight,
            ] {
                let hole = 8..13;
                let (mut at, mut left) = (pos, count);
                while left > 0 {
                    let done = match io::step(at, left, &hole, max) {
                        io::Step::Access { width, times } => {
                            let bytes = width.bytes().saturating_mul(times);
                            let end = at.saturating_add(bytes as u64);
                            check!(
                                width <= max && io::is_aligned(at, width) && times > 0,
                                "too wide, or at no place for it"
                            );
                            check!(end <= hole.start || at >= hole.end, "into the hole");
                            bytes
                        }
                        io::Step::Hole(bytes) => {
                            let end = at.saturating_add(bytes as u64);
                            check!(
                                hole.start <= at && end <= hole.end,
                                "a hole where there is none"
                            );
                            bytes
                        }
                    };
                    check!(done > 0 && done <= left, "nothing, or too much");
                    at = at.saturating_add(done as u64);
                    left = left.saturating_sub(done);
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn tokens_are_read_and_compared() -> Outcome {
    const NAME: &[u8] = b"0000:01:00.0";
    const TOKEN: [u8; 16] = [
        0x2a, 0xb7, 0x4f, 0x24, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xff,
    ];
    let table: [(&[u8], Result<Match, Errno>); 8] = [
        (NAME, Ok(Match::Yes(None))),
        (b"0000:01:00.0  ", Ok(Match::Yes(None))),
        (b"0000:01:00.1", Ok(Match::No)),
        (b"0000:01:00.01", Ok(Match::No)),
        (
            b"0000:01:00.0 vf_token=2ab74f24-0011-2233-4455-66778899aaff",
            Ok(Match::Yes(Some(TOKEN))),
        ),
        (
            b"0000:01:00.0 vf_token=2ab74f24-0011-2233-4455-66778899aaf",
            Err(EINVAL),
        ),
        (
            b"0000:01:00.0 vf_token=2ab74f240-011-2233-4455-66778899aaff",
            Err(EINVAL),
        ),
        (b"0000:01:00.0 other", Err(EINVAL)),
    ];
    for (text, wanted) in table {
        check!(vf_token::parse(text, NAME) == wanted, "read otherwise");
    }
    let other = [1; 16];
    for (role, token, wanted) in [
        (Role::Virtual(&TOKEN), None, Err(Refusal::Required)),
        (Role::Virtual(&TOKEN), Some(&TOKEN), Ok(None)),
        (Role::Virtual(&TOKEN), Some(&other), Err(Refusal::Incorrect)),
        (Role::Physical(&TOKEN, true), None, Err(Refusal::Required)),
        (Role::Physical(&TOKEN, true), Some(&TOKEN), Ok(None)),
        (Role::Physical(&TOKEN, false), Some(&other), Ok(Some(other))),
        (Role::Physical(&TOKEN, false), None, Ok(None)),
        (Role::Foreign, None, Ok(None)),
        (Role::Foreign, Some(&TOKEN), Err(Refusal::NotBound)),
        (Role::Plain, None, Ok(None)),
        (Role::Plain, Some(&TOKEN), Err(Refusal::NotSriov)),
    ] {
        check!(vf_token::check(role, token) == wanted, "judged otherwise");
    }
    check!(
        Refusal::Incorrect.errno() == EACCES && Refusal::NotBound.errno() == EINVAL,
        "another errno"
    );
    Ok(())
}

pub(crate) fn graphics_are_laid_out() -> Outcome {
    let header = igd::Header {
        signature: *b"IntelGraphicsMem",
        size: 8,
        version: 0x0200,
        rvda: 0x9000_0000,
        rvds: 0x1800,
    };
    // Version, address and length of the VBT; what is shown of it.
    for (version, rvda, rvds, wanted) in [
        (0x0100, 0x9000_0000, 0x1800, Ok(None)),
        (0x0200, 0x9000_0000, 0x1800, Ok(Some(0x9000_0000))),
        (0x0201, 0x2000, 0x1800, Ok(Some(0x8000_2000))),
        (0x0201, 0, 0x1800, Ok(None)),
        (0x0201, 0x2000, 0, Ok(None)),
        (0x0201, u64::MAX, 0x1800, Err(EINVAL)),
        (0x0200, u64::MAX, 0x1800, Err(EINVAL)),
    ] {
        let header = igd::Header {
            version,
            rvda,
            rvds,
            ..header
        };
        let layout = header.layout(0x8000_0000);
        check!(
            layout.map(|layout| layout.vbt().map(|vbt| vbt.address)) == wanted,
            "the VBT is elsewhere"
        );
        let Ok(layout) = layout else { continue };
        let len = if layout.vbt().is_some() {
            0x3800
        } else {
            0x2000
        };
        check!(layout.len() == len, "another length");
        let mut at = 0;
        while at < len {
            let Ok((part, bytes)) = layout.part(at as u64, len) else {
                return Err("a part that is not there");
            };
            check!(
                part == if at < igd::OPREGION_LEN {
                    igd::Part::OpRegion(at)
                } else {
                    igd::Part::Vbt(at.saturating_sub(igd::OPREGION_LEN))
                },
                "another part"
            );
            check!(bytes > 0, "an empty part");
            at = at.saturating_add(bytes);
        }
        check!(
            at == len && layout.part(len as u64, 1).is_err(),
            "more than there is"
        );
    }
    for broken in [
        igd::Header { size: 0, ..header },
        igd::Header {
            signature: [0; 16],
            ..header
        },
    ] {
        check!(broken.layout(0) == Err(EINVAL), "what is no OpRegion");
    }
    Ok(())
}

pub(crate) fn functions_are_known() -> Outcome {
    for (control, table, bar, offset, vectors, end) in [
        (0x0000, 0x0000_0000, 0, 0, 1, 16),
        (0x07ff, 0x0000_1003, 3, 0x1000, 2048, 0x9000),
        (0xf801, 0xffff_fff7, 7, 0xffff_fff0, 2, 0x1_0000_0010u64),
    ] {
        let decoded = pci::MsixTable::decode(control, table);
        check!(
            (decoded.bar, decoded.offset, decoded.vectors) == (bar, offset, vectors)
                && decoded.range().end == end,
            "another table"
        );
    }
    for (control, wanted) in [(0, 1), (0x0a, 32), (0x70, 1), (0x0e, 128)] {
        check!(
            pci::msi_vectors(control) == wanted,
            "another number of vectors"
        );
    }
    for (memory, start, len, wanted) in [
        (true, 0x1000, 0x1000, pci::Mappable::Yes),
        (true, 0x1800, 0x1000, pci::Mappable::Yes),
        (true, 0x1000, 0x800, pci::Mappable::WithRestOfPage),
        (true, 0x1800, 0x800, pci::Mappable::No),
        (true, 0x1000, 0, pci::Mappable::No),
        (false, 0x1000, 0x1000, pci::Mappable::No),
    ] {
        check!(
            pci::mappable(memory, start, len, 0x1000) == wanted,
            "mapped against the rules"
        );
    }
    for (offset, len, wanted) in [
        (0, 0x1000, Ok(0x1000)),
        (0xfff, 1, Ok(0x1fff)),
        (0, 0x1001, Err(EINVAL)),
        (0, 0, Err(EINVAL)),
        (u64::MAX, 1, Err(EOVERFLOW)),
        (0, u64::MAX, Err(EOVERFLOW)),
    ] {
        check!(
            pci::dma_range(0x1000, 0x1000, offset, len) == wanted,
            "out of the BAR"
        );
    }
    for (index, dynamic, wanted) in [
        (irq::INTX, false, Ok(7)),
        (irq::MSI, true, Ok(9)),
        (irq::MSIX, false, Ok(9)),
        (irq::MSIX, true, Ok(1)),
        (irq::REQ, false, Ok(9)),
        (irq::NUM, false, Err(EINVAL)),
    ] {
        check!(pci::irq_flags(index, dynamic) == wanted, "other flags");
    }
    Ok(())
}

pub(crate) fn driver_ids_are_read() -> Outcome {
    let any = DynId {
        vendor: 0x8086,
        device: 0x10c9,
        subvendor: pci_driver::ANY_ID,
        subdevice: pci_driver::ANY_ID,
        class: 0,
        class_mask: 0,
    };
    let table: [(&[u8], Option<DynId>); 6] = [
        (b"8086:10c9", Some(any)),
        (b" 0x8086: 10C9:zz", Some(any)),
        (
            b"8086:10c9:1:2:30000:ffffff",
            Some(DynId {
                subvendor: 1,
                subdevice: 2,
                class: 0x3_0000,
                class_mask: 0xff_ffff,
                ..any
            }),
        ),
        (b"8086", None),
        (b":10c9", None),
        (b"", None),
    ];
    for (text, wanted) in table {
        check!(DynId::parse(text) == wanted, "read otherwise");
    }
    check!(
        pci_driver::entries(b",a,,b\0c").eq([b"a".as_slice(), b"b"]),
        "other entries"
    );
    check!(
        pci_driver::is_denied(0x8086, 0x37c8) && !pci_driver::is_denied(0x8087, 0x37c8),
        "denied, or not"
    );
    Ok(())
}

pub(crate) fn shared_memory_has_a_size() -> Outcome {
    type Row<'a> = (&'a [(u64, u64)], Result<u64, Errno>);
    let table: [Row<'_>; 6] = [
        (&[(0, 0x1000), (0x3000, 0x2000)], Ok(0x3000)),
        (&[(0, 0)], Err(EINVAL)),
        (&[(1, 0x1000)], Err(EINVAL)),
        (&[(0, 0x1001)], Err(EINVAL)),
        (&[(0, 1 << 63)], Err(EINVAL)),
        (&[(0, !0xfff), (0, !0xfff)], Err(EINVAL)),
    ];
    for (ranges, wanted) in table {
        check!(
            dma_buf::size(ranges.iter().copied(), 0x1000) == wanted,
            "another size"
        );
    }
    Ok(())
}
