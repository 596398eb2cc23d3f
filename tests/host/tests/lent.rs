// SPDX-License-Identifier: GPL-2.0

//! A count that is lent: it is there as long as somebody relies on it, and given away once.

use proptest::prelude::*;
use std::{
    sync::atomic::{AtomicBool, AtomicIsize, Ordering::SeqCst},
    thread,
};
use vfio_logic::lent::Lendable;

proptest! {
    #[test]
    fn as_a_model(ops in prop::collection::vec(0u8..4, 0..200)) {
        let lendable = Lendable::default();
        let (mut users, mut lent, mut count) = (0, false, 1);
        for op in ops {
            match op {
                0 => {
                    let entered = lendable.enter();
                    prop_assert_eq!(entered, !lent);
                    users += usize::from(entered);
                }
                1 if users > 0 => {
                    users -= 1;
                    count -= i32::from(lendable.leave());
                }
                2 if !lent => {
                    lent = true;
                    count -= i32::from(lendable.lend());
                }
                3 if lent => {
                    lent = false;
                    count += 1;
                    count -= i32::from(lendable.take_back());
                }
                _ => continue,
            }
            prop_assert_eq!(count, i32::from(users > 0 || !lent));
        }
    }
}

/// Nobody who relies on the count sees it gone, and in the end it is what it was.
#[test]
fn threads() {
    let (lendable, count, done) = (
        Lendable::default(),
        AtomicIsize::new(1),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    if lendable.enter() {
                        assert!(count.load(SeqCst) > 0);
                        thread::yield_now();
                        assert!(count.load(SeqCst) > 0);
                        if lendable.leave() {
                            count.fetch_sub(1, SeqCst);
                        }
                    }
                }
            });
        }
        for _ in 0..if cfg!(miri) { 50 } else { 2000 } {
            if lendable.lend() {
                count.fetch_sub(1, SeqCst);
            }
            thread::yield_now();
            count.fetch_add(1, SeqCst);
            if lendable.take_back() {
                count.fetch_sub(1, SeqCst);
            }
            thread::yield_now();
        }
        done.store(true, SeqCst);
    });
    assert_eq!(count.load(SeqCst), 1);
}
