// SPDX-License-Identifier: GPL-2.0

//! Text and structures that somebody else has written: names with tokens, parameters, firmware's tables, chains.

use super::Input;
use vfio_logic::{
    igd::{
        Header,
        Part, //
    },
    info_cap,
    pci_driver::{
        entries,
        DynId, //
    },
    vf_token::{
        self,
        Match, //
    },
};

const NAME: &[u8] = b"0000:01:00.0";

fn tokens(text: &[u8]) {
    let _ = vf_token::parse(text, NAME);
    let mut with_name = NAME.to_vec();
    with_name.extend_from_slice(text);
    match vf_token::parse(&with_name, NAME) {
        Ok(Match::Yes(Some(_))) => assert!(text.len() >= 46),
        Ok(Match::Yes(None)) => assert!(text.iter().all(|c| *c == b' ')),
        Ok(Match::No) => assert!(text.first().is_some_and(|c| *c != b' ')),
        Err(_) => (),
    }
}

fn ids(text: &[u8]) {
    for entry in entries(text) {
        assert!(!entry.is_empty() && !entry.contains(&b','));
        if let Some(id) = DynId::parse(entry) {
            assert!(entry.contains(&b':'), "{id:?}");
        }
    }
}

fn firmware(input: &mut Input<'_>) {
    let header = Header {
        signature: *b"IntelGraphicsMem",
        size: input.u32(),
        version: input.u16(),
        rvda: input.edge(),
        rvds: input.edge() as u32,
    };
    let Ok(layout) = header.layout(input.u32()) else {
        return;
    };
    assert!(!layout.is_empty());
    if let Some(vbt) = layout.vbt() {
        assert!(vbt.address.checked_add(vbt.len as u64).is_some());
    }
    for _ in 0..4 {
        let (pos, count) = (input.edge(), usize::from(input.u16()));
        if let Ok((part, len)) = layout.part(pos, count) {
            assert!(len <= count && pos + len as u64 <= layout.len() as u64);
            match part {
                Part::OpRegion(at) => assert!(at + len <= 8192),
                Part::Vbt(at) => assert!(at + len <= layout.vbt().unwrap().len),
            }
            layout.patch(usize::from(input.u16()), &mut [0; 40]);
        }
    }
}

/// A chain of capabilities as the kernel makes it; then one that nobody made.
fn chains(input: &mut Input<'_>) {
    let mut chain: Vec<u8> = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..input.u8() % 6 {
        let size = info_cap::HEADER + usize::from(input.u8());
        let at = chain.len();
        chain.resize(at + info_cap::padded(size).unwrap(), 0);
        info_cap::link(&mut chain, at, input.u16(), input.u16());
        starts.push(at);
    }
    let next = |chain: &[u8], at: usize| {
        u32::from_ne_bytes(chain[at + 4..at + 8].try_into().unwrap()) as usize
    };
    let offset = usize::from(input.u8()) + 1;
    info_cap::shift(&mut chain, offset);
    for two in starts.windows(2) {
        assert_eq!(next(&chain, two[0]), two[1] + offset);
    }
    if let Some(last) = starts.last() {
        assert_eq!(next(&chain, *last), 0);
    }
    let len = usize::from(input.u8());
    let mut any = input.bytes(len).to_vec();
    info_cap::shift(&mut any, usize::from(input.u16()));
    let at = usize::from(input.u8());
    info_cap::link(&mut any, at, 1, 1);
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 4 {
        0 => tokens(input.0),
        1 => ids(input.0),
        2 => firmware(&mut input),
        _ => chains(&mut input),
    }
}
