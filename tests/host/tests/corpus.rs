// SPDX-License-Identifier: GPL-2.0

//! The targets of `make fuzz-logic` with what that has found worth keeping, and with bytes of no particular kind.

#[path = "../targets/mod.rs"]
mod targets;

use proptest::prelude::*;
use std::{
    fs,
    path::Path, //
};
use targets::TARGETS;

#[test]
fn corpus() {
    for (name, run) in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{name}.txt"));
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.is_empty());
        // Miri is some thousand times slower.
        for line in text.lines().step_by(if cfg!(miri) { 40 } else { 1 }) {
            let byte = |i| u8::from_str_radix(&line[i..i + 2], 16).unwrap();
            let input: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
            // What is being tried when a rule panics.
            println!("{name} {line}");
            run(&input);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        for (_, run) in TARGETS {
            run(&data);
        }
    }
}
