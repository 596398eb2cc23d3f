// SPDX-License-Identifier: GPL-2.0

//! One of the targets, the one that `FUZZ_TARGET` names, driven by libFuzzer.

#![no_main]

#[path = "../host/targets/mod.rs"]
mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET");
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    found.expect("no such target").1
});

fuzz_target!(|data: &[u8]| TARGET(data));
