// SPDX-License-Identifier: GPL-2.0

//! Learning of functions that go.
//!
//! C header: [`include/linux/device/bus.h`](srctree/include/linux/device/bus.h)

use core::pin::Pin;
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_int,
        c_ulong,
        c_void, //
    },
    pci,
    prelude::*,
    types::Opaque, //
};

/// A function is removed from a PCI bus. It has lost its driver before. Both calls are made with the lock of
/// adding and removing PCI devices held, and without that of the device; both may sleep, but get no memory by
/// I/O.
pub trait RemovalEvents: Send + Sync {
    /// Nothing else knows yet.
    fn removing(&self, pdev: &pci::Device);

    /// All others know, its IOMMU group has lost it.
    fn removed(&self, pdev: &pci::Device);
}

type Call = unsafe extern "C" fn(*mut bindings::notifier_block, c_ulong, *mut c_void) -> c_int;

/// A notifier of PCI buses, registered until dropped.
#[pin_data(PinnedDrop)]
struct Registered {
    #[pin]
    nb: Opaque<bindings::notifier_block>,
}

impl Registered {
    /// # Safety
    ///
    /// `call` may be called with a pointer to this, for as long as this exists.
    unsafe fn new(call: Call, priority: c_int) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            nb <- Opaque::try_ffi_init(move |slot: *mut bindings::notifier_block| {
                // SAFETY: The slot is valid for writes.
                unsafe {
                    slot.write(bindings::notifier_block {
                        notifier_call: Some(call),
                        priority,
                        ..pin_init::zeroed()
                    })
                };
                // SAFETY: The bus type is that of PCI; the notifier is pinned, and unregistered before it goes
                // away.
                to_result(unsafe {
                    bindings::bus_register_notifier(&raw const bindings::pci_bus_type, slot)
                })
            }),
        }? Error)
    }
}

#[pinned_drop]
impl PinnedDrop for Registered {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is registered. This waits for calls in progress.
        unsafe {
            bindings::bus_unregister_notifier(&raw const bindings::pci_bus_type, self.nb.get())
        };
    }
}

/// A registration for removals from all PCI buses, ended when dropped.
#[pin_data]
pub struct RemovalNotifier<T: RemovalEvents> {
    // Before the events, which they are called for.
    #[pin]
    first: Registered,
    #[pin]
    last: Registered,
    events: T,
}

// SAFETY: The kernel calls from any thread; the events are for that.
unsafe impl<T: RemovalEvents> Send for RemovalNotifier<T> {}
// SAFETY: As above.
unsafe impl<T: RemovalEvents> Sync for RemovalNotifier<T> {}

impl<T: RemovalEvents> RemovalNotifier<T> {
    /// Registers for removals.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn register(events: T) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                events,
                // Last: once they are registered they may be called.
                // SAFETY: The callback is for this field.
                first <- unsafe { Registered::new(Self::call_first, c_int::MAX) },
                // SAFETY: As above.
                last <- unsafe { Registered::new(Self::call_last, c_int::MIN) },
            }? Error),
            GFP_KERNEL,
        )
    }

    /// Context: the driver core; may sleep.
    ///
    /// # Safety
    ///
    /// `nb` must be the first notifier of a [`RemovalNotifier`], `data` a valid device on a PCI bus.
    unsafe extern "C" fn call_first(
        nb: *mut bindings::notifier_block,
        action: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        if action as u32 == bindings::bus_notifier_event_BUS_NOTIFY_DEL_DEVICE {
            let nb: *mut Opaque<bindings::notifier_block> = nb.cast();
            // SAFETY: By the contract of this function; all devices on a PCI bus are PCI functions.
            unsafe {
                let notifier = kernel::container_of!(nb, Registered, nb);
                let this = &*kernel::container_of!(notifier, Self, first);
                this.events.removing(function(data));
            }
        }
        0
    }

    /// Context: the driver core; may sleep.
    ///
    /// # Safety
    ///
    /// `nb` must be the last notifier of a [`RemovalNotifier`], `data` a valid device on a PCI bus.
    unsafe extern "C" fn call_last(
        nb: *mut bindings::notifier_block,
        action: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        if action as u32 == bindings::bus_notifier_event_BUS_NOTIFY_REMOVED_DEVICE {
            let nb: *mut Opaque<bindings::notifier_block> = nb.cast();
            // SAFETY: By the contract of this function; all devices on a PCI bus are PCI functions.
            unsafe {
                let notifier = kernel::container_of!(nb, Registered, nb);
                let this = &*kernel::container_of!(notifier, Self, last);
                this.events.removed(function(data));
            }
        }
        0
    }
}

/// # Safety
///
/// `data` must be a device on a PCI bus, valid for `'a`.
unsafe fn function<'a>(data: *mut c_void) -> &'a pci::Device {
    let dev: *mut bindings::device = data.cast();
    // SAFETY: By the contract of this function.
    unsafe { super::from_raw(kernel::container_of!(dev, bindings::pci_dev, dev)) }
}
