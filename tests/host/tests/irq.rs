// SPDX-License-Identifier: GPL-2.0

//! What a SET_IRQS means, for all states and kinds of arguments.

use proptest::prelude::*;
use vfio_logic::{
    errno::{Errno, EINVAL, ENOTTY},
    irq::*,
};

const DELIVERIES: [Delivery; 4] = [
    Delivery::None,
    Delivery::Intx,
    Delivery::Msi,
    Delivery::MsiX,
];
const ACTIONS: [u32; 8] = [0, 8, 16, 24, 32, 40, 48, 56];
const DATA: [u32; 3] = [DATA_NONE, DATA_BOOL, DATA_EVENTFD];

/// The manual of SET_IRQS, written down a second time: as the C code asks, in its order.
fn reference(
    s: &State,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    data: &[u8],
) -> Result<String, Errno> {
    let fd = |i: usize| i32::from_ne_bytes(data[4 * i..4 * i + 4].try_into().unwrap());
    let some = |fd: i32| if fd >= 0 { Some(fd) } else { None };
    let fds = || (0..count as usize).map(|i| some(fd(i))).collect::<Vec<_>>();
    let one_of_intx = s.delivery == Delivery::Intx && start == 0 && count == 1;
    let eventfd = flags & DATA_EVENTFD != 0;
    let meant = flags & DATA_NONE != 0 || (flags & DATA_BOOL != 0 && count > 0 && data[0] != 0);
    match (index, flags & 56) {
        (INTX, ACTION_MASK) => {
            if !one_of_intx {
                return Err(EINVAL);
            }
            if eventfd {
                return Err(ENOTTY);
            }
            Ok(if meant { "IntxMask" } else { "Nothing" }.into())
        }
        (INTX, ACTION_UNMASK) => {
            if !one_of_intx {
                return Err(EINVAL);
            }
            if eventfd {
                return Ok(format!("IntxUnmaskBy({:?})", some(fd(0))));
            }
            Ok(if meant { "IntxUnmask" } else { "Nothing" }.into())
        }
        (INTX, ACTION_TRIGGER) => {
            let intx = s.delivery == Delivery::Intx;
            if intx && count == 0 && flags & DATA_NONE != 0 {
                return Ok("IntxDisable".into());
            }
            if !(intx || s.delivery == Delivery::None) || start != 0 || count != 1 {
                return Err(EINVAL);
            }
            if eventfd {
                let what = if intx { "IntxReplace" } else { "IntxEnable" };
                return Ok(format!("{what}({:?})", some(fd(0))));
            }
            if !intx {
                return Err(EINVAL);
            }
            Ok(if meant { "IntxSignal" } else { "Nothing" }.into())
        }
        (MSI | MSIX, ACTION_TRIGGER) => {
            let is = s.delivery.index() == index;
            if is && count == 0 && flags & DATA_NONE != 0 {
                return Ok("MsiDisable".into());
            }
            if !(is || s.delivery == Delivery::None) {
                return Err(EINVAL);
            }
            if eventfd {
                return Ok(if is {
                    format!("MsiSet {start} {:?}", fds())
                } else {
                    format!(
                        "MsiEnable {} {} {start} {:?}",
                        index == MSIX,
                        start + count,
                        fds()
                    )
                });
            }
            if !is {
                return Err(EINVAL);
            }
            let all = flags & DATA_NONE != 0;
            let meant: Vec<_> = (0..count)
                .filter(|&i| all || data[i as usize] != 0)
                .map(|i| i + start)
                .collect();
            Ok(format!("MsiSignal {meant:?}"))
        }
        (ERR | REQ, ACTION_TRIGGER) => {
            let (has, name) = if index == ERR {
                (s.has_err, "Err")
            } else {
                (s.has_req, "Req")
            };
            if start != 0 || count > 1 {
                return Err(EINVAL);
            }
            if flags & DATA_NONE != 0 {
                if !has {
                    return Err(EINVAL);
                }
                return Ok(if count == 1 {
                    format!("NoticeSignal({name})")
                } else {
                    format!("NoticeSet({name}, None)")
                });
            }
            if count == 0 {
                return Err(EINVAL);
            }
            if flags & DATA_BOOL != 0 {
                return Ok(if meant && has {
                    format!("NoticeSignal({name})")
                } else {
                    "Nothing".into()
                });
            }
            match fd(0) {
                -1 => Ok(format!("NoticeSet({name}, None)")),
                fd if fd >= 0 => Ok(format!("NoticeSet({name}, Some({fd}))")),
                _ => Err(EINVAL),
            }
        }
        _ => Err(ENOTTY),
    }
}

fn show(request: Request<'_>) -> String {
    match request {
        Request::MsiEnable {
            msix,
            count,
            start,
            fds,
        } => {
            format!(
                "MsiEnable {msix} {count} {start} {:?}",
                fds.iter().collect::<Vec<_>>()
            )
        }
        Request::MsiSet { start, fds } => {
            format!("MsiSet {start} {:?}", fds.iter().collect::<Vec<_>>())
        }
        Request::MsiSignal {
            start,
            count,
            which,
        } => {
            format!(
                "MsiSignal {:?}",
                (0..count)
                    .filter(|&i| which.contains(i))
                    .map(|i| i + start)
                    .collect::<Vec<_>>()
            )
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn every_case_is_as_in_c() {
    let mut cases = 0;
    for delivery in DELIVERIES {
        for notices in 0..4 {
            let state = State {
                delivery,
                has_err: notices & 1 != 0,
                has_req: notices & 2 != 0,
            };
            for index in 0..=NUM + 1 {
                for action in ACTIONS {
                    for kind in DATA {
                        for start in [0, 1, 7] {
                            for count in [0, 1, 2, 9] {
                                for fill in [0u8, 1, 0xff, 0xfe] {
                                    let mut data = vec![fill; count as usize * 4];
                                    // -2 and 0x01010101 and friends; every other one differs.
                                    for (i, b) in data.iter_mut().enumerate() {
                                        if i % 8 >= 4 {
                                            *b = 0;
                                        }
                                    }
                                    let flags = action | kind;
                                    assert_eq!(
                                        decide(&state, flags, index, start, count, &data).map(show),
                                        reference(&state, flags, index, start, count, &data),
                                        "{state:?} {flags:#x} {index} {start} {count} {fill}"
                                    );
                                    cases += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 4 * 4 * 7 * 8 * 3 * 3 * 4 * 4);
}

fn any_state() -> impl Strategy<Value = State> {
    (0..4usize, any::<bool>(), any::<bool>()).prop_map(|(i, has_err, has_req)| State {
        delivery: DELIVERIES[i],
        has_err,
        has_req,
    })
}

proptest! {
    #[test]
    fn what_is_too_short_is_refused(state in any_state(), flags in 0u32..128, index in 0u32..8, start: u32, count: u32, data in prop::collection::vec(any::<u8>(), 0..40)) {
        let size = match flags & 7 { DATA_NONE => 0, DATA_BOOL => 1, DATA_EVENTFD => 4, _ => u64::MAX };
        let answer = decide(&state, flags, index, start, count, &data);
        if size.checked_mul(count.into()).is_none_or(|len| len > data.len() as u64) {
            prop_assert!(answer.is_err());
        }
    }

    #[test]
    fn requests_fit_the_state(state in any_state(), flags in 0u32..64, index in 0u32..5, start in 0u32..3, count in 0u32..3, data in prop::collection::vec(any::<u8>(), 12)) {
        use Request::*;
        let fits = match decide(&state, flags, index, start, count, &data) {
            Err(_) | Ok(Nothing | NoticeSet(..)) => true,
            Ok(IntxEnable(_) | MsiEnable { .. }) => state.delivery == Delivery::None,
            Ok(IntxDisable | IntxReplace(_) | IntxSignal | IntxMask | IntxUnmask | IntxUnmaskBy(_)) => state.delivery == Delivery::Intx,
            Ok(MsiDisable | MsiSet { .. } | MsiSignal { .. }) => {
                state.delivery.index() == index && matches!(state.delivery, Delivery::Msi | Delivery::MsiX)
            }
            Ok(NoticeSignal(Notice::Err)) => state.has_err,
            Ok(NoticeSignal(Notice::Req)) => state.has_req,
        };
        prop_assert!(fits);
    }

    #[test]
    fn qmax_is_the_logarithm(n in 1u32..=32) {
        // fls(2 * n - 1) - 1
        prop_assert_eq!(u32::from(msi_qmax(n)), 31 - (2 * n - 1).leading_zeros());
    }
}

#[test]
fn qmax_of_nonsense() {
    assert_eq!(msi_qmax(0), 0);
    let _ = msi_qmax(u32::MAX);
}
