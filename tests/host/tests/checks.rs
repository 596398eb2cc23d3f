// SPDX-License-Identifier: GPL-2.0

//! The checks that run under KUnit as well, on the host.

#[macro_use]
#[path = "../../kunit/checks.rs"]
mod checks;

macro_rules! tests {
    ($($name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            assert_eq!(checks::$name(), Ok(()));
        }
    )* };
}

with_all_checks!(tests);
