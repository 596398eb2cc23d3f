// SPDX-License-Identifier: GPL-2.0

//! Fewer ranges.

use proptest::prelude::*;
use vfio_logic::iova_ranges::closest;

proptest! {
    #[test]
    fn merging_covers_all_and_ends(parts in prop::collection::vec((1usize..1000, 1usize..1000), 1..30), want in 1usize..10) {
        let mut ranges = Vec::new();
        let mut at = 0;
        for (gap, length) in parts {
            ranges.push((at + gap, at + gap + length));
            at += gap + length + 1;
        }
        let all = ranges.clone();
        while ranges.len() > want {
            let pair = closest(ranges.iter().copied()).unwrap();
            let gaps: Vec<usize> = ranges.windows(2).map(|pair| pair[1].0 - pair[0].1).collect();
            prop_assert_eq!(pair, gaps.iter().position(|gap| gap == gaps.iter().min().unwrap()).unwrap());
            ranges[pair].1 = ranges[pair + 1].1;
            ranges.remove(pair + 1);
        }
        prop_assert!(all.iter().all(|(first, last)| ranges.iter().any(|(a, b)| a <= first && last <= b)));
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}

#[test]
fn nothing_to_merge() {
    assert_eq!(closest([].into_iter()), None);
    assert_eq!(closest([(0, usize::MAX)].into_iter()), None);
    assert_eq!(
        closest([(0, 1), (usize::MAX, usize::MAX)].into_iter()),
        Some(0)
    );
}
