// SPDX-License-Identifier: GPL-2.0

//! A count that its owner may lend to others, though there are still those who rely on it.
//!
//! It is the usage count that an open device has of runtime power management. Accesses rely on it, and
//! need none of their own, until the user lends it to the kernel for the device to be suspended.

use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};

/// The count has been lent, or will be when nobody relies on it any more.
const LENT: usize = 1;
/// Somebody who relies on it.
const ONE: usize = 2;

/// Who relies on a count, and whether it is lent.
#[derive(Default)]
pub struct Lendable(AtomicUsize);

impl Lendable {
    /// Relies on the count until [`Self::leave`]; `false`, and there is nothing to leave, if it is lent.
    #[inline]
    pub fn enter(&self) -> bool {
        let mut now = self.0.load(Ordering::Relaxed);
        while now & LENT == 0 {
            match self
                .0
                .compare_exchange_weak(now, now + ONE, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(other) => now = other,
            }
        }
        false
    }

    /// Relies on it no longer. Whether the caller is to give the count away: it was lent meanwhile, and
    /// this was the last who relied on it.
    #[inline]
    #[must_use]
    pub fn leave(&self) -> bool {
        self.0.fetch_sub(ONE, Ordering::AcqRel) == ONE | LENT
    }

    /// Lends the count, which must not be lent. Whether the caller is to give it away: otherwise the last
    /// who relies on it does.
    #[must_use]
    pub fn lend(&self) -> bool {
        self.0.fetch_or(LENT, Ordering::AcqRel) == 0
    }

    /// Ends that it is lent, by one who has taken another count. Whether the caller is to give one away:
    /// the one that was lent is still there.
    #[must_use]
    pub fn take_back(&self) -> bool {
        self.0.fetch_and(!LENT, Ordering::AcqRel) > LENT
    }
}
