// SPDX-License-Identifier: GPL-2.0

//! Adds more than fits when it is loaded: what Rust's overflow checks are to notice.

use core::hint::black_box;

use kernel::prelude::*;

module! {
    type: Overflow,
    name: "vfio_test_overflow",
    authors: ["VFIO in Rust"],
    description: "Does what Rust's overflow checks are to notice",
    license: "GPL",
}

struct Overflow;

impl kernel::Module for Overflow {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        pr_info!("{}\n", black_box(u32::MAX) + black_box(1));
        Ok(Self)
    }
}
