// SPDX-License-Identifier: GPL-2.0

//! `vfio_kunit`: the library crates under KUnit, in kernels that have it (the debug kernel).
//!
//! The checks of `vfio_logic` are those of the host (`tests/kunit/checks.rs`); those of `vfio_kapi`
//! need the kernel.

#![crate_name = "vfio_kunit"]
#![deny(unsafe_code)]

#[macro_use]
#[path = "../../tests/kunit/checks.rs"]
mod checks;
#[path = "../../tests/kunit/kapi.rs"]
mod kapi;

use kernel::prelude::*;

module! {
    type: Module,
    name: "vfio_kunit",
    authors: ["VFIO in Rust"],
    description: "KUnit tests of VFIO's library crates",
    license: "GPL v2",
}

/// Nothing: KUnit finds the suites by itself.
struct Module;

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        #[kunit_tests(vfio_logic)]
        mod logic {
            use super::checks; $(
            #[test]
            fn $name() -> checks::Outcome {
                checks::$name().inspect_err(|what| kernel::pr_err!("{what}\n"))
            } )*
        }
    };
}

with_all_checks!(suite);
