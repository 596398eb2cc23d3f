// SPDX-License-Identifier: GPL-2.0

//! When the interrupt pin of a device is masked, and when its interrupts reach the user.
//!
//! The pin is level triggered and the host cannot make the device stop asserting it: so each
//! interrupt masks the pin, and the user unmasks it after serving the device. The user may also mask
//! it at other times, and forbid it in the command register ("virtual disable"), which counts as
//! masked for as long as it lasts.

/// Where the pin is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// At the function (Interrupt Disable and Interrupt Status of PCI 2.3): the line may be shared.
    Function,
    /// At the interrupt controller: the line must not be shared.
    Controller,
}

/// The hardware that masks and unmasks. Nothing here waits.
pub trait Pin {
    /// Forbids the function to assert the pin.
    fn mask_function(&self);
    /// Forbids the function to assert the pin if it does so; returns whether it did.
    fn check_and_mask_function(&self) -> bool;
    /// Allows the function to assert the pin unless it would at once; returns whether it did not.
    fn check_and_unmask_function(&self) -> bool;
    /// Stops the line at the controller; counts.
    fn disable_line(&self);
    /// Takes back one [`Self::disable_line`].
    fn enable_line(&self);
}

/// What became of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// It is that of another device.
    NotOurs,
    /// It was masked just when it arrived. It comes again when it is unmasked.
    Late,
    /// It is for the user, and masked now.
    Ours,
}

/// The state of the pin. To be used under a lock that interrupt handlers may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intx {
    masking: Masking,
    masked: bool,
}

impl Intx {
    /// A pin that is about to be used, and is masked or not as told.
    pub const fn new(masking: Masking, masked: bool) -> Self {
        Self { masking, masked }
    }

    /// Whether the pin is masked.
    pub const fn is_masked(&self) -> bool {
        self.masked
    }

    /// There is an interrupt on the line.
    pub fn interrupt(&mut self, pin: &impl Pin) -> Interrupt {
        match self.masking {
            // A device that shares the line: even if this one asserts its pin as well, as it is
            // masked that is no news.
            Masking::Function if self.masked => return Interrupt::NotOurs,
            Masking::Function if !pin.check_and_mask_function() => return Interrupt::NotOurs,
            Masking::Function => {}
            // Another processor masked it while this one was on its way to here. To disable the line
            // once more would be once too often: it is only enabled once.
            Masking::Controller if self.masked => return Interrupt::Late,
            Masking::Controller => pin.disable_line(),
        }
        self.masked = true;
        Interrupt::Ours
    }

    /// The user masks the pin. Returns whether it was not masked before.
    pub fn mask(&mut self, pin: &impl Pin) -> bool {
        if self.masked {
            return false;
        }
        match self.masking {
            Masking::Function => pin.mask_function(),
            Masking::Controller => pin.disable_line(),
        }
        self.masked = true;
        true
    }

    /// The user unmasks the pin. Returns whether the device asserts it, so that there is an interrupt
    /// for the user at once; the pin stays masked then.
    ///
    /// Does nothing while the pin is disabled in the command register.
    pub fn unmask(&mut self, pin: &impl Pin, virtually_disabled: bool) -> bool {
        if !self.masked || virtually_disabled {
            return false;
        }
        self.masked = match self.masking {
            Masking::Function => !pin.check_and_unmask_function(),
            // If the device asserts it, the interrupt arrives the usual way.
            Masking::Controller => {
                pin.enable_line();
                false
            }
        };
        self.masked
    }
}
