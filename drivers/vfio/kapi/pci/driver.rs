// SPDX-License-Identifier: GPL-2.0

//! PCI drivers with what `kernel::pci::Driver` lacks: management of DMA ownership, error handlers,
//! SR-IOV, ids that only match by override, and ids added at run time.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h), `struct pci_driver`

use core::marker::PhantomData;
use kernel::{
    bindings,
    device::Core,
    device_id::{
        IdTable,
        RawDeviceId, //
    },
    error::{
        from_result,
        to_result, //
    },
    pci,
    prelude::*,
    types::Opaque, //
};
use vfio_logic::pci_driver::DynId;

/// An entry in the table of devices that a driver is for; `struct pci_device_id`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DeviceId(bindings::pci_device_id);

impl DeviceId {
    /// Any device, but only one whose `driver_override` names the driver.
    ///
    /// The alias of the module is then `vfio_pci:...`, by which tools find the driver of the VFIO
    /// kind that is best for a device.
    pub const VFIO_OVERRIDE: Self = Self(bindings::pci_device_id {
        vendor: !0,
        device: !0,
        subvendor: !0,
        subdevice: !0,
        class: 0,
        class_mask: 0,
        driver_data: 0,
        override_only: bindings::PCI_ID_F_VFIO_DRIVER_OVERRIDE,
    });
}

// SAFETY: The type is transparent over the raw one.
unsafe impl RawDeviceId for DeviceId {
    type RawType = bindings::pci_device_id;
}

/// What handles the errors that the PCI core reports; `struct pci_error_handlers`.
#[repr(transparent)]
pub struct ErrorHandlers(bindings::pci_error_handlers);

impl ErrorHandlers {
    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a table that stays as it is for `'a`, and whose functions may be called
    /// for any device that a driver with this table is bound to.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *const bindings::pci_error_handlers) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast() }
    }
}

// SAFETY: The table is only read.
unsafe impl Sync for ErrorHandlers {}

/// A driver of PCI functions. All methods are called with the lock of the device held.
pub trait Driver: 'static {
    /// The name, in `/sys/bus/pci/drivers/`.
    const NAME: &'static CStr;

    /// Whether the driver itself decides who owns the DMA of the devices it binds, instead of it
    /// being the kernel's from when they are bound.
    const MANAGES_DMA: bool = false;

    /// What handles the errors that the PCI core reports, if anything.
    #[inline]
    fn error_handlers() -> Option<&'static ErrorHandlers> {
        None
    }

    /// Takes a device. The driver is not bound if this fails.
    fn probe(pdev: &pci::Device<Core<'_>>) -> Result;

    /// Gives up a device that [`Self::probe`] took.
    fn remove(pdev: &pci::Device<Core<'_>>);

    /// Sets the number of virtual functions that a device has, and returns it.
    fn sriov_configure(pdev: &pci::Device<Core<'_>>, num_vfs: i32) -> Result<i32>;
}

/// A registered driver; unregistered, and with it unbound from all devices, when dropped.
#[pin_data(PinnedDrop)]
pub struct Registration<T: Driver> {
    #[pin]
    driver: Opaque<bindings::pci_driver>,
    _driver: PhantomData<fn() -> T>,
}

// SAFETY: The PCI core may be called from any thread.
unsafe impl<T: Driver> Send for Registration<T> {}
// SAFETY: As above; the PCI core has its own locks.
unsafe impl<T: Driver> Sync for Registration<T> {}

impl<T: Driver> Registration<T> {
    /// Registers the driver for the devices in `ids`; `mod_name` is the name of `module`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is a driver of this name; `ENOMEM`.
    pub fn new(
        module: &'static ThisModule,
        mod_name: &'static CStr,
        ids: &'static dyn IdTable<DeviceId, ()>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            driver <- Opaque::try_ffi_init(move |driver: *mut bindings::pci_driver| {
                let init = bindings::pci_driver {
                    name: T::NAME.as_char_ptr(),
                    id_table: ids.as_ptr(),
                    probe: Some(Self::probe_callback),
                    remove: Some(Self::remove_callback),
                    sriov_configure: Some(Self::sriov_configure_callback),
                    err_handler: T::error_handlers()
                        .map_or(core::ptr::null(), |h| core::ptr::from_ref(&h.0)),
                    driver_managed_dma: T::MANAGES_DMA,
                    ..Default::default()
                };
                // SAFETY: The slot is valid for writes.
                unsafe { driver.write(init) };
                // SAFETY: The driver is initialized, and pinned until it is unregistered by `drop`;
                // the names and the table are static.
                to_result(unsafe {
                    bindings::__pci_register_driver(driver, module.as_ptr(), mod_name.as_char_ptr())
                })
            }),
            _driver: PhantomData,
        })
    }

    /// Makes the driver match `id` as well, and binds it to what there is of it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or what binding the driver to devices failed with.
    pub fn add_dynid(&self, id: &DynId) -> Result {
        // SAFETY: The driver is registered.
        to_result(unsafe {
            bindings::pci_add_dynid(
                self.driver.get(),
                id.vendor,
                id.device,
                id.subvendor,
                id.subdevice,
                id.class,
                id.class_mask,
                0,
            )
        })
    }

    /// Binds to a function.
    ///
    /// Called by: `local_pci_probe()`, as `pci_driver.probe`.
    ///
    /// Context: the driver core, device lock held; may sleep.
    ///
    /// # Safety
    ///
    /// For the PCI core only, to which `new` gave it.
    unsafe extern "C" fn probe_callback(
        pdev: *mut bindings::pci_dev,
        _id: *const bindings::pci_device_id,
    ) -> c_int {
        // SAFETY: The PCI core calls this with a valid device whose lock it holds.
        let pdev = unsafe { &*pdev.cast::<pci::Device<Core<'_>>>() };
        from_result(|| T::probe(pdev).map(|()| 0))
    }

    /// Unbinds from it.
    ///
    /// Called by: `pci_device_remove()`, as `pci_driver.remove`.
    ///
    /// Context: the driver core, device lock held; may sleep.
    ///
    /// # Safety
    ///
    /// As for `probe_callback`.
    unsafe extern "C" fn remove_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: As in `probe_callback`.
        T::remove(unsafe { &*pdev.cast::<pci::Device<Core<'_>>>() });
    }

    /// Makes virtual functions, or removes them.
    ///
    /// Called by: `sriov_numvfs_store()`, as `pci_driver.sriov_configure`.
    ///
    /// Context: process context of the administrator, device lock held; may sleep.
    ///
    /// # Safety
    ///
    /// As for `probe_callback`.
    unsafe extern "C" fn sriov_configure_callback(
        pdev: *mut bindings::pci_dev,
        num_vfs: c_int,
    ) -> c_int {
        // SAFETY: As in `probe_callback`.
        let pdev = unsafe { &*pdev.cast::<pci::Device<Core<'_>>>() };
        from_result(|| T::sriov_configure(pdev, num_vfs))
    }
}

#[pinned_drop]
impl<T: Driver> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `self` only exists if the driver was registered.
        unsafe { bindings::pci_unregister_driver(self.driver.get()) };
    }
}
