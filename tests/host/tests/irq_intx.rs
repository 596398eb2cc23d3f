// SPDX-License-Identifier: GPL-2.0

//! The interrupt pin against a model of the hardware: all pairs of state and event, and long runs.

use proptest::prelude::*;
use std::cell::Cell;
use vfio_logic::irq_intx::*;

/// A function with an interrupt pin, and the controller that it is wired to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    asserted: Cell<bool>,
    /// Interrupt Disable of the function.
    function_masked: Cell<bool>,
    /// How often the line was disabled at the controller.
    depth: Cell<i32>,
}

impl Pin for Model {
    fn mask_function(&self) {
        self.function_masked.set(true);
    }
    fn check_and_mask_function(&self) -> bool {
        if self.asserted.get() {
            self.function_masked.set(true);
        }
        self.asserted.get()
    }
    fn check_and_unmask_function(&self) -> bool {
        if !self.asserted.get() {
            self.function_masked.set(false);
        }
        !self.asserted.get()
    }
    fn disable_line(&self) {
        self.depth.set(self.depth.get() + 1);
    }
    fn enable_line(&self) {
        self.depth.set(self.depth.get() - 1);
        assert!(self.depth.get() >= 0, "unbalanced enable");
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The device wants attention, or was served.
    Assert(bool),
    /// The handler runs, be it for this device, for another on the line, or late.
    Interrupt,
    Mask,
    Unmask,
    /// The command register: as config space does it.
    Disable(bool),
}

const EVENTS: [Event; 7] = [
    Event::Assert(true),
    Event::Assert(false),
    Event::Interrupt,
    Event::Mask,
    Event::Unmask,
    Event::Disable(true),
    Event::Disable(false),
];

#[derive(Clone, Debug)]
struct World {
    masking: Masking,
    intx: Intx,
    model: Model,
    virtually_disabled: bool,
    signals: u32,
}

impl World {
    fn new(masking: Masking, disabled: bool) -> Self {
        let model = Model::default();
        // What enabling does.
        match masking {
            Masking::Function => model.function_masked.set(disabled),
            Masking::Controller => model.depth.set(disabled.into()),
        }
        Self {
            masking,
            intx: Intx::new(masking, disabled),
            model,
            virtually_disabled: disabled,
            signals: 0,
        }
    }

    fn signal(&mut self) {
        if !self.virtually_disabled {
            self.signals += 1;
        }
    }

    fn unmask(&mut self) {
        if self.intx.unmask(&self.model, self.virtually_disabled) {
            self.signal();
        }
    }

    fn step(&mut self, event: Event) {
        let before = (self.intx.is_masked(), self.signals);
        match event {
            Event::Assert(on) => self.model.asserted.set(on),
            Event::Interrupt => match self.intx.interrupt(&self.model) {
                Interrupt::Ours => self.signal(),
                Interrupt::Late => assert_eq!(self.masking, Masking::Controller),
                Interrupt::NotOurs => assert_eq!(self.masking, Masking::Function),
            },
            Event::Mask => assert_eq!(self.intx.mask(&self.model), !before.0),
            Event::Unmask => self.unmask(),
            Event::Disable(true) if !self.virtually_disabled => {
                self.virtually_disabled = true;
                self.intx.mask(&self.model);
            }
            Event::Disable(false) if self.virtually_disabled => {
                self.virtually_disabled = false;
                self.unmask();
            }
            Event::Disable(_) => {}
        }
        self.check();
        // A signal means: masked, serve me, unmask.
        if self.signals != before.1 {
            assert!(self.intx.is_masked());
            assert!(!self.virtually_disabled);
        }
        if before.0 && matches!(event, Event::Interrupt | Event::Mask) {
            assert_eq!((self.intx.is_masked(), self.signals), before);
        }
    }

    /// What holds between any two events.
    fn check(&self) {
        let masked = self.intx.is_masked();
        match self.masking {
            Masking::Function => {
                assert_eq!(self.model.function_masked.get(), masked);
                assert_eq!(self.model.depth.get(), 0, "a shared line is never stopped");
            }
            Masking::Controller => {
                assert_eq!(self.model.depth.get(), masked.into());
                assert!(!self.model.function_masked.get());
            }
        }
        assert!(masked || !self.virtually_disabled);
    }

    /// What the interrupt controller does sooner or later.
    fn settle(&mut self) {
        if self.model.asserted.get()
            && !self.model.function_masked.get()
            && self.model.depth.get() == 0
        {
            self.step(Event::Interrupt);
        }
    }
}

/// All states that can be told apart.
fn worlds() -> Vec<World> {
    let mut all = Vec::new();
    for masking in [Masking::Function, Masking::Controller] {
        for disabled in [false, true] {
            for asserted in [false, true] {
                for masked in [false, true] {
                    let mut world = World::new(masking, disabled);
                    world.model.asserted.set(asserted);
                    if masked {
                        world.intx.mask(&world.model);
                    }
                    all.push(world);
                }
            }
        }
    }
    all
}

#[test]
fn every_event_in_every_state_keeps_the_invariants() {
    for world in worlds() {
        for first in EVENTS {
            for second in EVENTS {
                let mut world = world.clone();
                world.step(first);
                world.step(second);
            }
        }
    }
}

#[test]
fn a_device_that_asserts_is_served_after_unmasking() {
    for mut world in worlds() {
        world.step(Event::Disable(false));
        world.step(Event::Assert(true));
        let before = world.signals;
        world.step(Event::Mask);
        world.step(Event::Unmask);
        world.settle();
        assert_eq!(world.signals, before + 1, "{world:?}");
        assert!(world.intx.is_masked());
    }
}

#[test]
fn nothing_while_disabled() {
    for mut world in worlds() {
        world.step(Event::Disable(true));
        let before = world.signals;
        for event in [
            Event::Assert(true),
            Event::Unmask,
            Event::Interrupt,
            Event::Mask,
            Event::Unmask,
        ] {
            world.step(event);
            world.settle();
        }
        assert_eq!(world.signals, before);
        world.step(Event::Disable(false));
        world.settle();
        assert_eq!(world.signals, before + 1, "nor is it lost");
    }
}

proptest! {
    #[test]
    fn long_runs(controller: bool, disabled: bool, events in prop::collection::vec(0..EVENTS.len(), 0..200)) {
        let masking = if controller { Masking::Controller } else { Masking::Function };
        let mut world = World::new(masking, disabled);
        for event in events {
            world.step(EVENTS[event]);
            world.settle();
            // Never is a device left that asserts its pin, unmasked and unnoticed.
            prop_assert!(!world.model.asserted.get() || world.intx.is_masked());
        }
    }
}
