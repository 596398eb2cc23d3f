// SPDX-License-Identifier: GPL-2.0

//! Checks of interrupts: what is decided, and that a pin that is masked is unmasked as often.

use super::Outcome;
use core::cell::Cell;
use vfio_logic::{
    errno::{
        Errno,
        EINVAL,
        ENOTTY, //
    },
    irq,
    irq_intx::{
        Interrupt,
        Intx,
        Masking,
        Pin, //
    }, //
};

/// How interrupts are delivered; the flags, index, start, count and data of SET_IRQS; what is decided.
type Row<'a> = (
    irq::Delivery,
    u32,
    u32,
    u32,
    u32,
    &'a [u8],
    Result<irq::Request<'a>, Errno>,
);

pub(crate) fn interrupts_are_decided() -> Outcome {
    use irq::{
        Delivery,
        Notice,
        Request, //
    };
    const TRIGGER: u32 = irq::ACTION_TRIGGER;
    const FD: [u8; 4] = 7i32.to_ne_bytes();
    const NO_FD: [u8; 4] = (-1i32).to_ne_bytes();
    const BAD_FD: [u8; 4] = (-2i32).to_ne_bytes();
    let (none, bools, fds) = (irq::DATA_NONE, irq::DATA_BOOL, irq::DATA_EVENTFD);
    let (mask, unmask) = (irq::ACTION_MASK, irq::ACTION_UNMASK);
    let table: [Row<'_>; 26] = [
        (
            Delivery::None,
            TRIGGER | fds,
            irq::INTX,
            0,
            1,
            &FD,
            Ok(Request::IntxEnable(Some(7))),
        ),
        (
            Delivery::None,
            TRIGGER | fds,
            irq::INTX,
            0,
            1,
            &NO_FD,
            Ok(Request::IntxEnable(None)),
        ),
        (
            Delivery::Intx,
            TRIGGER | fds,
            irq::INTX,
            0,
            1,
            &FD,
            Ok(Request::IntxReplace(Some(7))),
        ),
        (
            Delivery::Intx,
            TRIGGER | none,
            irq::INTX,
            0,
            0,
            &[],
            Ok(Request::IntxDisable),
        ),
        (
            Delivery::None,
            TRIGGER | none,
            irq::INTX,
            0,
            0,
            &[],
            Err(EINVAL),
        ),
        (
            Delivery::Intx,
            TRIGGER | none,
            irq::INTX,
            0,
            1,
            &[],
            Ok(Request::IntxSignal),
        ),
        (
            Delivery::Intx,
            TRIGGER | bools,
            irq::INTX,
            0,
            1,
            &[0],
            Ok(Request::Nothing),
        ),
        (
            Delivery::Msi,
            TRIGGER | fds,
            irq::INTX,
            0,
            1,
            &FD,
            Err(EINVAL),
        ),
        (
            Delivery::Intx,
            mask | none,
            irq::INTX,
            0,
            1,
            &[],
            Ok(Request::IntxMask),
        ),
        (
            Delivery::Intx,
            mask | bools,
            irq::INTX,
            0,
            1,
            &[1],
            Ok(Request::IntxMask),
        ),
        (
            Delivery::Intx,
            mask | fds,
            irq::INTX,
            0,
            1,
            &FD,
            Err(ENOTTY),
        ),
        (
            Delivery::None,
            mask | none,
            irq::INTX,
            0,
            1,
            &[],
            Err(EINVAL),
        ),
        (
            Delivery::Intx,
            unmask | none,
            irq::INTX,
            0,
            1,
            &[],
            Ok(Request::IntxUnmask),
        ),
        (
            Delivery::Intx,
            unmask | fds,
            irq::INTX,
            0,
            1,
            &FD,
            Ok(Request::IntxUnmaskBy(Some(7))),
        ),
        (Delivery::Msi, mask | none, irq::MSI, 0, 1, &[], Err(ENOTTY)),
        (
            Delivery::Intx,
            mask | unmask | none,
            irq::INTX,
            0,
            1,
            &[],
            Err(ENOTTY),
        ),
        (
            Delivery::MsiX,
            TRIGGER | none,
            irq::MSIX,
            0,
            0,
            &[],
            Ok(Request::MsiDisable),
        ),
        (
            Delivery::MsiX,
            TRIGGER | none,
            irq::MSI,
            0,
            0,
            &[],
            Err(EINVAL),
        ),
        (
            Delivery::None,
            TRIGGER | none,
            irq::MSI,
            0,
            0,
            &[],
            Err(EINVAL),
        ),
        (
            Delivery::Msi,
            TRIGGER | none,
            irq::MSI,
            u32::MAX,
            1,
            &[],
            Err(EINVAL),
        ),
        (
            Delivery::None,
            TRIGGER | fds,
            irq::MSI,
            0,
            2,
            &FD,
            Err(EINVAL),
        ),
        (
            Delivery::None,
            TRIGGER | fds,
            irq::ERR,
            0,
            1,
            &FD,
            Ok(Request::NoticeSet(Notice::Err, Some(7))),
        ),
        (
            Delivery::None,
            TRIGGER | fds,
            irq::REQ,
            0,
            1,
            &NO_FD,
            Ok(Request::NoticeSet(Notice::Req, None)),
        ),
        (
            Delivery::None,
            TRIGGER | fds,
            irq::REQ,
            0,
            1,
            &BAD_FD,
            Err(EINVAL),
        ),
        (
            Delivery::None,
            TRIGGER | none,
            irq::ERR,
            0,
            1,
            &[],
            Err(EINVAL),
        ),
        (
            Delivery::None,
            TRIGGER | none,
            irq::REQ,
            0,
            1,
            &[],
            Ok(Request::NoticeSignal(Notice::Req)),
        ),
    ];
    for (delivery, flags, index, start, count, data, wanted) in table {
        let state = irq::State {
            delivery,
            has_err: false,
            has_req: true,
        };
        check!(
            irq::decide(&state, flags, index, start, count, data) == wanted,
            "something else is decided"
        );
    }
    for (vectors, wanted) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (32, 5)] {
        check!(irq::msi_qmax(vectors) == wanted, "another logarithm");
    }
    Ok(())
}

/// A pin that counts what is done to it.
#[derive(Default)]
struct Counted {
    asserted: Cell<bool>,
    function_masked: Cell<bool>,
    disabled: Cell<i32>,
}

impl Pin for Counted {
    fn mask_function(&self) {
        self.function_masked.set(true);
    }

    fn check_and_mask_function(&self) -> bool {
        let was = self.asserted.get() && !self.function_masked.get();
        self.function_masked.set(self.function_masked.get() || was);
        was
    }

    fn check_and_unmask_function(&self) -> bool {
        if !self.asserted.get() {
            self.function_masked.set(false);
        }
        !self.asserted.get()
    }

    fn disable_line(&self) {
        self.disabled.set(self.disabled.get().saturating_add(1));
    }

    fn enable_line(&self) {
        self.disabled.set(self.disabled.get().saturating_sub(1));
    }
}

/// All sequences of six things that can happen to a pin.
pub(crate) fn pins_stay_balanced() -> Outcome {
    for masking in [Masking::Function, Masking::Controller] {
        for sequence in 0..6u32.pow(6) {
            let (pin, mut intx) = (Counted::default(), Intx::new(masking, false));
            let mut rest = sequence;
            for _ in 0..6 {
                let was = intx.is_masked();
                match rest % 6 {
                    0 => {
                        let ours = intx.interrupt(&pin) == Interrupt::Ours;
                        check!(!(ours && was), "an interrupt while it was masked");
                        check!(!ours || intx.is_masked(), "not masked after an interrupt");
                        check!(
                            masking == Masking::Function || ours != was,
                            "an interrupt was lost"
                        );
                    }
                    1 => check!(
                        intx.mask(&pin) != was && intx.is_masked(),
                        "masking did nothing"
                    ),
                    2 => {
                        let again = intx.unmask(&pin, false);
                        let held = masking == Masking::Function && pin.asserted.get();
                        check!(again == (was && held), "an interrupt for nothing, or none");
                        check!(
                            intx.is_masked() == again,
                            "masked, or not, against the rule"
                        );
                    }
                    3 => check!(
                        !intx.unmask(&pin, true) && intx.is_masked() == was,
                        "unmasked though it is disabled"
                    ),
                    4 => pin.asserted.set(true),
                    _ => pin.asserted.set(false),
                }
                let masked = intx.is_masked();
                let lines = i32::from(masked && masking == Masking::Controller);
                check!(
                    pin.disabled.get() == lines,
                    "the line is disabled too often"
                );
                check!(
                    masking == Masking::Controller || pin.function_masked.get() == masked,
                    "the function is masked, or not, against the state"
                );
                rest /= 6;
            }
        }
    }
    Ok(())
}
