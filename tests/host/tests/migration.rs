// SPDX-License-Identifier: GPL-2.0

//! The states of a device that migrates.

use vfio_logic::errno::EINVAL;
use vfio_logic::migration::{State::*, *};

/// The steps that a driver has to know, by what it can do; from the kernel's documentation.
fn driver_steps(flags: u32) -> Vec<(State, State)> {
    let mut steps = vec![
        (Resuming, Stop),
        (Stop, Resuming),
        (Stop, StopCopy),
        (StopCopy, Stop),
    ];
    if flags & P2P != 0 {
        steps.extend([
            (Running, RunningP2p),
            (RunningP2p, Running),
            (RunningP2p, Stop),
            (Stop, RunningP2p),
        ]);
    } else {
        steps.extend([(Running, Stop), (Stop, Running)]);
    }
    if flags & PRE_COPY != 0 {
        steps.extend([(Running, PreCopy), (PreCopy, Running), (PreCopy, StopCopy)]);
    }
    if flags & (P2P | PRE_COPY) == P2P | PRE_COPY {
        steps.extend([
            (PreCopy, PreCopyP2p),
            (PreCopyP2p, PreCopy),
            (PreCopyP2p, RunningP2p),
            (PreCopyP2p, StopCopy),
            (RunningP2p, PreCopyP2p),
        ]);
    }
    steps
}

#[test]
fn every_way_leads_there_by_steps_that_drivers_know() {
    for flags in [
        STOP_COPY,
        STOP_COPY | P2P,
        STOP_COPY | PRE_COPY,
        STOP_COPY | P2P | PRE_COPY,
    ] {
        let steps = driver_steps(flags);
        for from in STATES.into_iter().filter(|state| state.is_in(flags)) {
            for to in STATES.into_iter().filter(|state| state.is_in(flags)) {
                if from == StopCopy && matches!(to, PreCopy | PreCopyP2p) {
                    assert_eq!(next_state(from as u32, to as u32, flags), Ok(Error));
                    continue;
                }
                let mut at = from;
                let mut count = 0;
                while at != to {
                    let next = next_state(at as u32, to as u32, flags).unwrap();
                    assert!(
                        steps.contains(&(at, next)),
                        "{at:?} -> {next:?} to {to:?} with {flags}"
                    );
                    at = next;
                    count += 1;
                    assert!(count < 8);
                }
                assert_eq!(next_state(to as u32, to as u32, flags), Ok(to));
            }
        }
    }
}

#[test]
fn states_that_a_device_has_not() {
    for flags in 0..8 {
        for number in 0..20 {
            let known = State::new(number).is_some_and(|state| state.is_in(flags));
            if !known {
                for other in 0..8 {
                    assert_eq!(next_state(number, other, flags), Err(EINVAL));
                    assert_eq!(next_state(other, number, flags), Err(EINVAL));
                }
            }
        }
    }
    assert!(!Error.is_in(7));
    assert!(!Running.is_in(0));
}

#[test]
fn names_are_those_of_debugfs() {
    let names = [
        "ERROR",
        "STOP",
        "RUNNING",
        "STOP_COPY",
        "RESUMING",
        "RUNNING_P2P",
        "PRE_COPY",
        "PRE_COPY_P2P",
    ];
    for (number, expected) in (0..).zip(names) {
        assert_eq!(name(number), Some(expected));
    }
    assert_eq!(name(8), None);
    assert_eq!(name(u32::MAX), None);
}
