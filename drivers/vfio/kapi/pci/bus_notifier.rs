// SPDX-License-Identifier: GPL-2.0

//! Learning of functions that come and get a driver.
//!
//! C header: [`include/linux/device/bus.h`](srctree/include/linux/device/bus.h)

use super::raw;
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
    str::CStr,
    types::Opaque, //
};

/// What happens to functions on PCI buses.
pub trait BusEvents: Send + Sync {
    /// A function was found; it has no driver yet. May sleep.
    fn added(&self, pdev: &pci::Device);

    /// A function got a driver. May sleep.
    fn bound(&self, pdev: &pci::Device);
}

/// A registration for the events of all PCI buses, ended when dropped.
///
/// # Invariants
///
/// The notifier is registered.
#[pin_data(PinnedDrop)]
pub struct BusNotifier<T: BusEvents> {
    #[pin]
    nb: Opaque<bindings::notifier_block>,
    events: T,
}

// SAFETY: The kernel calls from any thread; the events are for that.
unsafe impl<T: BusEvents> Send for BusNotifier<T> {}
// SAFETY: As above.
unsafe impl<T: BusEvents> Sync for BusNotifier<T> {}

impl<T: BusEvents> BusNotifier<T> {
    /// Registers for the events.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn register(events: T) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                events,
                // Last: once it is registered it may be called.
                nb <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                    // SAFETY: The slot is valid for writes.
                    unsafe {
                        slot.write(bindings::notifier_block {
                            notifier_call: Some(Self::call),
                            ..pin_init::zeroed()
                        })
                    };
                    // SAFETY: The bus type is that of PCI; the notifier is pinned, and unregistered
                    // before it goes away.
                    to_result(unsafe {
                        bindings::bus_register_notifier(&raw const bindings::pci_bus_type, slot)
                    })
                }),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// # Safety
    ///
    /// `nb` must be the notifier of a [`BusNotifier`], `data` a valid device on a PCI bus.
    unsafe extern "C" fn call(
        nb: *mut bindings::notifier_block,
        action: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        let nb: *mut Opaque<bindings::notifier_block> = nb.cast();
        // SAFETY: By the contract of this function.
        let this = unsafe { &*kernel::container_of!(nb, Self, nb) };
        let dev: *mut bindings::device = data.cast();
        // SAFETY: All devices on a PCI bus are PCI functions.
        let pdev = unsafe { super::from_raw(kernel::container_of!(dev, bindings::pci_dev, dev)) };
        match action as u32 {
            bindings::bus_notifier_event_BUS_NOTIFY_ADD_DEVICE => this.events.added(pdev),
            bindings::bus_notifier_event_BUS_NOTIFY_BOUND_DRIVER => this.events.bound(pdev),
            _ => {}
        }
        0
    }
}

#[pinned_drop]
impl<T: BusEvents> PinnedDrop for BusNotifier<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: It is registered by the type invariant. This waits for calls in progress.
        unsafe {
            bindings::bus_unregister_notifier(&raw const bindings::pci_bus_type, self.nb.get())
        };
    }
}

/// Lets only the driver called `driver` bind to the function.
///
/// # Errors
///
/// `EINVAL` if the name is too long, `ENOMEM`.
pub fn set_driver_override(pdev: &pci::Device, driver: &CStr) -> Result {
    // SAFETY: Both are valid; the name is copied.
    to_result(unsafe {
        bindings::__device_set_driver_override(
            &raw mut (*raw(pdev)).dev,
            driver.as_char_ptr(),
            driver.to_bytes().len(),
        )
    })
}

/// The driver of `pdev` as it is compared and printed by [`BusEvents::bound`]; `None` if it has none.
///
/// The device must be bound, or be just getting bound, so that the driver does not go away.
pub fn with_driver<R>(pdev: &pci::Device, f: impl FnOnce(usize, &CStr) -> R) -> Option<R> {
    // SAFETY: The device is valid.
    let driver = unsafe { bindings::pci_dev_driver(raw(pdev)) };
    if driver.is_null() {
        return None;
    }
    // SAFETY: The driver of a bound device is valid and has a name.
    let name = unsafe { CStr::from_char_ptr((*driver).name) };
    Some(f(driver as usize, name))
}
