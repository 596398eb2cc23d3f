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
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut count = 0;
        for file in fs::read_dir(&folder).unwrap() {
            let path = file.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", folder.display());
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
