// SPDX-License-Identifier: GPL-2.0

//! Learning of functions that come, get a driver, and go.
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

/// The driver of a function that is bound to it.
#[repr(transparent)]
pub struct BoundDriver(Opaque<bindings::pci_driver>);

impl BoundDriver {
    /// # Safety
    ///
    /// `driver` must be the driver of a function that stays bound to it for `'a`.
    unsafe fn from_raw<'a>(driver: *mut bindings::pci_driver) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*driver.cast() }
    }

    /// The name of the driver.
    pub fn name(&self) -> &CStr {
        // SAFETY: A registered driver has a name, which stays as long as it is registered.
        unsafe { CStr::from_char_ptr((*self.0.get()).name) }
    }

    /// Whether `pdev` has this driver, right now.
    pub fn is_driver_of(&self, pdev: &pci::Device) -> bool {
        // SAFETY: The function is valid; its driver is only compared.
        core::ptr::eq(unsafe { bindings::pci_dev_driver(raw(pdev)) }, self.0.get())
    }
}

/// What happens to functions on PCI buses. All calls may sleep. Whoever registers or unregisters a notifier of
/// PCI buses waits for those in progress, and all events wait for him.
pub trait BusEvents: Send + Sync + 'static {
    /// Who has a greater one is told earlier.
    const PRIORITY: c_int = 0;

    /// A function was found; it has no driver yet.
    fn added(&self, _pdev: &pci::Device) {}

    /// A function got a driver. Its device lock is held.
    fn bound(&self, _pdev: &pci::Device, _driver: &BoundDriver) {}

    /// A function is removed. It has no driver any more, and still is in its IOMMU group. Its device lock is not
    /// held. That of adding and removing PCI devices is, but for virtual functions: there it may be that of the
    /// physical function.
    fn removing(&self, _pdev: &pci::Device) {}
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
                            priority: T::PRIORITY,
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

    /// A device comes to a bus, or gets a driver, or loses one.
    ///
    /// Called by: `notifier_call_chain()`, as `notifier_block.notifier_call`.
    ///
    /// Context: the driver core; may sleep.
    ///
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
            bindings::bus_notifier_event_BUS_NOTIFY_BOUND_DRIVER => {
                // SAFETY: The function is valid.
                let driver = unsafe { bindings::pci_dev_driver(raw(pdev)) };
                if !driver.is_null() {
                    // SAFETY: The function was just bound, and its lock is held: it keeps its driver.
                    let driver = unsafe { BoundDriver::from_raw(driver) };
                    this.events.bound(pdev, driver);
                }
            }
            bindings::bus_notifier_event_BUS_NOTIFY_DEL_DEVICE => this.events.removing(pdev),
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
