// SPDX-License-Identifier: GPL-2.0

//! The chain of capabilities.

use proptest::prelude::*;
use vfio_logic::info_cap::{link, padded, shift, HEADER};

/// Builds a chain of capabilities with bodies of these sizes.
fn build(bodies: &[usize]) -> Vec<u8> {
    let mut chain = Vec::new();
    for (index, body) in bodies.iter().enumerate() {
        let at = chain.len();
        chain.resize(at + padded(HEADER + body).unwrap(), 0);
        link(&mut chain, at, index as u16, 1);
    }
    chain
}

/// Walks a chain as user space does; `base` is what links count from.
fn walk(chain: &[u8], base: usize) -> Vec<(usize, u16, u16)> {
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() <= chain.len() {
        let header = &chain[at..at + HEADER];
        let next = u32::from_ne_bytes(header[4..].try_into().unwrap()) as usize;
        found.push((
            at,
            u16::from_ne_bytes(header[..2].try_into().unwrap()),
            u16::from_ne_bytes(header[2..4].try_into().unwrap()),
        ));
        if next == 0 {
            return found;
        }
        at = next - base;
    }
    panic!("endless chain");
}

proptest! {
    #[test]
    fn all_are_found_in_order(bodies in prop::collection::vec(0usize..100, 1..20), base in 0usize..16) {
        let base = base * 8;
        let mut chain = build(&bodies);
        prop_assert_eq!(walk(&chain, 0).len(), bodies.len());
        shift(&mut chain, base);
        let found = walk(&chain, base);
        prop_assert_eq!(found.len(), bodies.len());
        for (index, (at, id, version)) in found.iter().enumerate() {
            prop_assert_eq!(at % 8, 0);
            prop_assert_eq!(usize::from(*id), index);
            prop_assert_eq!(*version, 1);
        }
    }

    #[test]
    fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..64), at: usize, offset: usize) {
        shift(&mut bytes, offset);
        link(&mut bytes, at, 1, 1);
    }
}

#[test]
fn what_is_linked_stays_linked() {
    let mut chain = build(&[8, 16]);
    let before = chain.clone();
    link(&mut chain, 16, 1, 1);
    assert_eq!(chain, before);
}

#[test]
fn sizes_are_padded() {
    assert_eq!(padded(8), Some(8));
    assert_eq!(padded(9), Some(16));
    assert_eq!(padded(usize::MAX), None);
}
