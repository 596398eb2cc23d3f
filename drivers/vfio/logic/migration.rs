// SPDX-License-Identifier: GPL-2.0

//! The states of a device that migrates, and the way from one to another.
//!
//! uAPI: `enum vfio_device_mig_state`

use crate::errno::{
    Result,
    EINVAL, //
};

/// The device can be stopped and copied.
pub const STOP_COPY: u32 = 1 << 0;
/// The device can stop to start DMA to other devices.
pub const P2P: u32 = 1 << 1;
/// The device can be copied while it runs.
pub const PRE_COPY: u32 = 1 << 2;

/// The abilities and what they are called.
pub const FEATURES: [(u32, &str); 3] = [
    (STOP_COPY, "stop-copy"),
    (P2P, "p2p"),
    (PRE_COPY, "pre-copy"),
];

/// A state, as user space and drivers number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum State {
    Error = 0,
    Stop = 1,
    Running = 2,
    StopCopy = 3,
    Resuming = 4,
    RunningP2p = 5,
    PreCopy = 6,
    PreCopyP2p = 7,
}

use State::{
    Error as Err_,
    PreCopy as Pre,
    PreCopyP2p as PreP,
    Resuming as Resu,
    Running as Run_,
    RunningP2p as RunP,
    Stop,
    StopCopy as SCop, //
};

/// All states, by their numbers.
pub const STATES: [State; 8] = [Err_, Stop, Run_, SCop, Resu, RunP, Pre, PreP];

/// What the state with this number is called; `None` if there is none.
pub const fn name(state: u32) -> Option<&'static str> {
    Some(match state {
        0 => "ERROR",
        1 => "STOP",
        2 => "RUNNING",
        3 => "STOP_COPY",
        4 => "RESUMING",
        5 => "RUNNING_P2P",
        6 => "PRE_COPY",
        7 => "PRE_COPY_P2P",
        _ => return None,
    })
}

// The first step on the way from the state of the row to that of the column, for a device that can
// do everything. `Error` is where there is no way.
#[rustfmt::skip]
const FIRST_STEP: [[State; 8]; 8] = [
    // to:      Error Stop  Run_  SCop  Resu  RunP  Pre   PreP
    /* Error */ [Err_, Err_, Err_, Err_, Err_, Err_, Err_, Err_],
    /* Stop  */ [Err_, Stop, RunP, SCop, Resu, RunP, RunP, RunP],
    /* Run_  */ [Err_, RunP, Run_, RunP, RunP, RunP, Pre,  RunP],
    /* SCop  */ [Err_, Stop, Stop, SCop, Stop, Stop, Err_, Err_],
    /* Resu  */ [Err_, Stop, Stop, Stop, Resu, Stop, Stop, Stop],
    /* RunP  */ [Err_, Stop, Run_, Stop, Stop, RunP, Run_, PreP],
    /* Pre   */ [Err_, Run_, Run_, PreP, Run_, Run_, Pre,  PreP],
    /* PreP  */ [Err_, RunP, RunP, SCop, RunP, RunP, Pre,  PreP],
];

impl State {
    /// The state with this number.
    pub fn new(number: u32) -> Option<Self> {
        STATES.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether a device that can do `flags` has this state. None has `Error` as one to go to.
    pub fn is_in(self, flags: u32) -> bool {
        let needs = match self {
            Self::Error => u32::MAX,
            Self::Stop | Self::Running | Self::StopCopy | Self::Resuming => STOP_COPY,
            Self::RunningP2p => STOP_COPY | P2P,
            Self::PreCopy => STOP_COPY | PRE_COPY,
            Self::PreCopyP2p => STOP_COPY | P2P | PRE_COPY,
        };
        flags & needs == needs
    }

    fn first_step(self, to: Self) -> Self {
        FIRST_STEP
            .get(self as usize)
            .and_then(|row| row.get(to as usize))
            .copied()
            .unwrap_or(Self::Error)
    }
}

/// The next state on the way from `from` to `to`, for a device that can do `flags`
/// ([`STOP_COPY`], [`P2P`], [`PRE_COPY`]). States that the device does not have are passed over.
/// [`State::Error`] if there is no way.
///
/// # Errors
///
/// `EINVAL` if the device has not both states.
pub fn next_state(from: u32, to: u32, flags: u32) -> Result<State> {
    let known = |number| State::new(number).filter(|state| state.is_in(flags));
    let (from, to) = (known(from).ok_or(EINVAL)?, known(to).ok_or(EINVAL)?);
    let mut next = from.first_step(to);
    // A way has no more steps than there are states.
    for _ in STATES {
        if next == State::Error || next.is_in(flags) {
            return Ok(next);
        }
        next = next.first_step(to);
    }
    Ok(State::Error)
}
