// SPDX-License-Identifier: GPL-2.0

//! What the core knows of a device beyond what C drivers see in `struct vfio_pci_core_device`.

use crate::{
    config::Config,
    intrs::Intrs, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use vfio_kapi::pci_core_device::PciCoreDevice;

/// A PCI function behind VFIO.
pub(crate) type Device = PciCoreDevice<State>;

/// The core's own state of a [`Device`].
#[pin_data]
pub(crate) struct State {
    /// Configuration space as the user sees it.
    #[pin]
    pub(crate) config: Config,
    /// Interrupts and the eventfds they signal.
    #[pin]
    pub(crate) intrs: Intrs,
    /// INTx is not to be used: the function cannot be trusted to tell that it asserts it.
    pub(crate) nointx: Flag,
    /// INTx can be masked at the function itself, as PCI 2.3 has it.
    pub(crate) pci_2_3: Flag,
    /// The user set INTx Disable in the (virtual) command register.
    pub(crate) virq_disabled: Flag,
}

impl State {
    /// The state of a device that nobody opened yet.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            config <- Config::new(),
            intrs <- Intrs::new(),
            nointx: Flag::new(false),
            pci_2_3: Flag::new(false),
            virq_disabled: Flag::new(false),
        })
    }
}

/// Something about a device that is so or not; each on its own, in no order with anything else.
pub(crate) struct Flag(Atomic<bool>);

impl Flag {
    const fn new(value: bool) -> Self {
        Self(Atomic::new(value))
    }

    /// Whether it is so right now.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Sets whether it is so.
    pub(crate) fn set(&self, value: bool) {
        self.0.store(value, Relaxed);
    }
}
