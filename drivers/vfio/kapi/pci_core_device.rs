// SPDX-License-Identifier: GPL-2.0

//! A PCI device behind VFIO, as `vfio-pci-core.ko` and its variant drivers share it.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h),
//! `struct vfio_pci_core_device`

use crate::{
    rwsem::RwSem,
    vfio_device::VfioDevice,
    vma::{
        Fault,
        FaultResult,
        Faults, //
    }, //
};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    pci,
    prelude::*,
    sync::aref::AlwaysRefCounted,
    types::Opaque, //
};
use vfio_bindings as vb;

pub mod bars;
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
pub mod dma_ranges;
pub mod eventfds;
pub mod fields;
pub mod regions;
pub mod set;

/// `struct vfio_pci_core_device`, with the core's own state `S` attached.
///
/// Variant drivers embed the C structure and may look at its fields, so facts that the header has a place
/// for are there (see the accessors), and only there. What else is the core's own business is in `S`, which
/// hangs on the field `msi_perm`: a pointer to a structure that is private to the core and that no driver
/// can dereference.
///
/// # Invariants
///
/// The C structure is allocated, [`Self::init_fields`] and then [`Self::attach_state`] were called and [`Self::detach_state`]
/// was not.
#[repr(transparent)]
pub struct PciCoreDevice<S>(Opaque<vb::vfio_pci_core_device>, PhantomData<S>);

impl<S> PciCoreDevice<S> {
    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a device that went through [`Self::attach_state`] with the same `S`, and
    /// that does not go through [`Self::detach_state`] during `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut vb::vfio_pci_core_device) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast() }
    }

    /// Makes a reference from the embedded VFIO device.
    ///
    /// # Safety
    ///
    /// As for [`Self::from_raw`]; `ptr` must be the `vdev` of such a device.
    #[inline]
    pub unsafe fn from_vfio_raw<'a>(ptr: *mut vb::vfio_device) -> &'a Self {
        const _: () = assert!(core::mem::offset_of!(vb::vfio_pci_core_device, vdev) == 0);
        // SAFETY: By the contract of this function; `vdev` is the first field.
        unsafe { Self::from_raw(ptr.cast()) }
    }

    /// Initializes what the accessors here, and C drivers, need of a device; `no_irqs` is what C drivers are told while
    /// no interrupts are in use. Nothing of it has to be undone, as a driver whose `init` fails later does not have its
    /// `release` called.
    ///
    /// Returns the PCI function.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a device under initialization that nobody else uses, zeroed but for what
    /// `_vfio_alloc_device()` has set, on top of a PCI function, which stays during `'a`.
    pub unsafe fn init_fields<'a>(
        ptr: *mut vb::vfio_pci_core_device,
        no_irqs: u32,
    ) -> &'a pci::Device {
        // SAFETY: `ptr` is valid for writes by the contract of this function, and its `dev` is set; names and keys are
        // static. `pci::Device` is transparent over the C type.
        unsafe {
            let parent = (*ptr).vdev.dev;
            (*ptr).pdev = kernel::container_of!(parent, bindings::pci_dev, dev);
            // CAST: The index is less than ten.
            (*ptr).irq_type = no_irqs as c_int;
            bindings::__init_rwsem(
                &raw mut (*ptr).memory_lock,
                c"&vdev->memory_lock".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            // The core does not use these, but a driver that does is not to crash.
            for list in [
                &raw mut (*ptr).dummy_resources_list,
                &raw mut (*ptr).ioeventfds_list,
                &raw mut (*ptr).sriov_pfs_item,
                &raw mut (*ptr).dmabufs,
            ] {
                list.write(bindings::list_head {
                    next: list,
                    prev: list,
                });
            }
            // Each lock has a class of its own.
            bindings::__mutex_init(
                &raw mut (*ptr).igate,
                c"&vdev->igate".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            bindings::__mutex_init(
                &raw mut (*ptr).ioeventfds_lock,
                c"&vdev->ioeventfds_lock".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            bindings::__spin_lock_init(
                &raw mut (*ptr).irqlock,
                c"&vdev->irqlock".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            bindings::xa_init_flags(&raw mut (*ptr).ctx, 0);
            &*(*ptr).pdev.cast()
        }
    }

    /// Gives a device its state.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a device that went through [`Self::init_fields`], has no state, and is used by nobody else.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or that of `init`; nothing is attached then.
    pub unsafe fn attach_state(
        ptr: *mut vb::vfio_pci_core_device,
        init: impl PinInit<S, Error>,
    ) -> Result {
        let state = KBox::pin_init(init, GFP_KERNEL)?;
        // SAFETY: The state is pinned in the box, and stays there until `detach_state`.
        let state = KBox::into_raw(unsafe { Pin::into_inner_unchecked(state) });
        // SAFETY: `ptr` is valid for writes by the contract of this function.
        unsafe { (*ptr).msi_perm = state.cast() };
        Ok(())
    }

    /// Takes the state from a device, if it has one, and drops it, and with it eventfds that the driver has left there.
    /// May sleep.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a device that went through [`Self::init_fields`]; a state that it has is of type `S`, and
    /// there must be no reference to the device as [`Self`], now or later.
    pub unsafe fn detach_state(ptr: *mut vb::vfio_pci_core_device) {
        // SAFETY: `ptr` is valid.
        if unsafe { (*ptr).msi_perm.is_null() } {
            return;
        }
        // SAFETY: By the contract of this function it has a state; this is the last reference.
        unsafe { Self::from_raw(ptr) }.drop_eventfds();
        // SAFETY: `ptr` is valid, and the field was set by `attach_state` from a box.
        drop(unsafe { Pin::from(KBox::from_raw((*ptr).msi_perm.cast::<S>())) });
        // SAFETY: As above.
        unsafe { (*ptr).msi_perm = core::ptr::null_mut() };
    }

    /// The core's own state of this device.
    #[inline]
    pub fn state(&self) -> Pin<&S> {
        // SAFETY: By the type invariant the field points to a pinned `S`, which is there for as long
        // as references to `self`, and of which only shared references are given out.
        unsafe { Pin::new_unchecked(&*(*self.as_raw()).msi_perm.cast::<S>()) }
    }

    /// The C structure, for calls into the kernel.
    #[inline]
    pub fn as_raw(&self) -> *mut vb::vfio_pci_core_device {
        self.0.get()
    }

    /// The VFIO device that this is.
    #[inline]
    pub fn vfio(&self) -> &VfioDevice {
        // SAFETY: `vdev` is part of the structure, and initialized before the state is attached.
        unsafe { VfioDevice::from_raw(&raw mut (*self.as_raw()).vdev) }
    }

    /// The PCI function.
    #[inline]
    pub fn pdev(&self) -> &pci::Device {
        // SAFETY: `pdev` is set before the state is attached and never changes. The VFIO device is a
        // child of the PCI device and so keeps it allocated. `pci::Device` is transparent over it.
        unsafe { &*self.pdev_raw().cast() }
    }

    /// The C structure of the PCI function, for calls into the kernel.
    #[inline]
    pub fn pdev_raw(&self) -> *mut kernel::bindings::pci_dev {
        // SAFETY: As in `pdev`.
        unsafe { (*self.as_raw()).pdev }
    }

    /// Whether the function behind the device has this device as its driver's data.
    pub fn is_drvdata(&self) -> bool {
        // SAFETY: The function is valid.
        let data = unsafe { bindings::dev_get_drvdata(&raw const (*self.pdev_raw()).dev) };
        core::ptr::eq(data.cast(), self.as_raw())
    }

    /// Held for writing while the device's memory is not to be accessed (memory space off, D3,
    /// reset); held for reading by who accesses it.
    #[inline]
    pub fn memory_lock(&self) -> &RwSem<()> {
        // SAFETY: The semaphore is initialized before the state is attached.
        unsafe { RwSem::from_raw(&raw mut (*self.as_raw()).memory_lock) }
    }
}

/// Who fills in the pages of mappings of the BARs of a device with the state `Self`.
pub trait DeviceFaults: Sized {
    /// As [`Faults::fault`].
    fn fault(dev: &PciCoreDevice<Self>, fault: Fault<'_>, order: u32) -> FaultResult;
}

impl<S: DeviceFaults + Send + Sync + 'static> Faults for PciCoreDevice<S> {
    fn fault(&self, fault: Fault<'_>, order: u32) -> FaultResult {
        S::fault(self, fault, order)
    }
}

// SAFETY: The references counted are those to the embedded `struct device`; when there is none left
// the device is released, and only that detaches the state and frees the memory.
unsafe impl<S> AlwaysRefCounted for PciCoreDevice<S> {
    fn inc_ref(&self) {
        // SAFETY: The shared reference shows that the count is not zero.
        unsafe { kernel::bindings::get_device(&raw mut (*self.as_raw()).vdev.device) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let core = obj.cast::<vb::vfio_pci_core_device>().as_ptr();
        // SAFETY: The caller gives up one reference that it holds.
        unsafe { kernel::bindings::put_device(&raw mut (*core).vdev.device) };
    }
}

// SAFETY: The C structure protects its fields by locks; the state is shared as is.
unsafe impl<S: Send> Send for PciCoreDevice<S> {}
// SAFETY: As above.
unsafe impl<S: Sync> Sync for PciCoreDevice<S> {}
