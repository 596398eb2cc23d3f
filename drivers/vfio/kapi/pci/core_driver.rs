// SPDX-License-Identifier: GPL-2.0

//! Drivers on top of `vfio-pci-core.ko`, through its C interface: `vfio-pci` itself, and variant
//! drivers.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

use super::driver::{
    Driver,
    ErrorHandlers, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    device::Core,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    pci,
    prelude::*,
    types::Opaque, //
};
use vfio_bindings as vb;

/// A device of `vfio-pci-core` that is being opened, as its driver sees it.
///
/// # Invariants
///
/// `vfio_pci_core_enable()` has succeeded and `vfio_pci_core_finish_enable()` was not called yet, so
/// that nobody uses the device. The lock of its device set is held.
#[repr(transparent)]
pub struct CoreDevice(Opaque<vb::vfio_pci_core_device>);

impl CoreDevice {
    /// The C structure, for calls into `vfio-pci-core`.
    #[inline]
    pub(super) fn as_raw(&self) -> *mut vb::vfio_pci_core_device {
        self.0.get()
    }

    /// The PCI function.
    #[inline]
    pub fn pdev(&self) -> &pci::Device {
        // SAFETY: `pdev` is set when the device is initialized and never changes; the VFIO device
        // is its child and keeps it allocated. `pci::Device` is transparent over it.
        unsafe { &*(*self.0.get()).pdev.cast() }
    }
}

/// How a device behaves, fixed when it is bound.
#[derive(Clone, Copy, Default)]
pub struct Behaviour {
    /// Mask INTx at the interrupt controller even if the device could do it.
    pub nointxmask: bool,
    /// Leave the device in full power while nobody uses it.
    pub disable_idle_d3: bool,
    /// Do not offer the legacy VGA ranges.
    pub disable_vga: bool,
}

/// What a driver adds to `vfio-pci-core`.
pub trait DeviceOps: 'static {
    /// The name of the PCI driver, and of the VFIO driver.
    const NAME: &'static CStr;

    /// Whether to take a device; the error is why not.
    #[inline]
    fn probe(pdev: &pci::Device<Core<'_>>) -> Result {
        let _ = pdev;
        Ok(())
    }

    /// How a device that is being bound behaves.
    #[inline]
    fn behaviour() -> Behaviour {
        Behaviour::default()
    }

    /// Whether the number of virtual functions may be set; the error is why not.
    fn may_configure_sriov() -> Result;

    /// Called at the first open of a device, when it is enabled and nobody uses it yet. The open
    /// fails if this does, and the device is disabled again.
    #[inline]
    fn enabled(dev: &CoreDevice) -> Result {
        let _ = dev;
        Ok(())
    }
}

/// The PCI driver made out of a [`DeviceOps`].
pub struct Adapter<T: DeviceOps>(PhantomData<fn() -> T>);

impl<T: DeviceOps> Adapter<T> {
    /// The operations; what a driver cannot change goes to `vfio-pci-core` directly.
    const OPS: vb::vfio_device_ops = vb::vfio_device_ops {
        name: T::NAME.to_bytes_with_nul().as_ptr().cast_mut(),
        init: Some(Self::init_callback),
        release: Some(vb::vfio_pci_core_release_dev),
        open_device: Some(Self::open_device_callback),
        close_device: Some(vb::vfio_pci_core_close_device),
        ioctl: Some(vb::vfio_pci_core_ioctl),
        get_region_info_caps: Some(vb::vfio_pci_ioctl_get_region_info),
        device_feature: Some(vb::vfio_pci_core_ioctl_feature),
        read: Some(vb::vfio_pci_core_read),
        write: Some(vb::vfio_pci_core_write),
        mmap: Some(vb::vfio_pci_core_mmap),
        request: Some(vb::vfio_pci_core_request),
        match_: Some(vb::vfio_pci_core_match),
        match_token_uuid: Some(vb::vfio_pci_core_match_token_uuid),
        #[cfg(CONFIG_IOMMUFD)]
        bind_iommufd: Some(vb::vfio_iommufd_physical_bind),
        #[cfg(CONFIG_IOMMUFD)]
        unbind_iommufd: Some(vb::vfio_iommufd_physical_unbind),
        #[cfg(CONFIG_IOMMUFD)]
        attach_ioas: Some(vb::vfio_iommufd_physical_attach_ioas),
        #[cfg(CONFIG_IOMMUFD)]
        detach_ioas: Some(vb::vfio_iommufd_physical_detach_ioas),
        #[cfg(CONFIG_IOMMUFD)]
        pasid_attach_ioas: Some(vb::vfio_iommufd_physical_pasid_attach_ioas),
        #[cfg(CONFIG_IOMMUFD)]
        pasid_detach_ioas: Some(vb::vfio_iommufd_physical_pasid_detach_ioas),
        ..pin_init::zeroed()
    };

    const PCI_OPS: vb::vfio_pci_device_ops = vb::vfio_pci_device_ops {
        #[cfg(CONFIG_VFIO_PCI_DMABUF)]
        get_dmabuf_phys: Some(vb::vfio_pci_core_get_dmabuf_phys),
        #[cfg(not(CONFIG_VFIO_PCI_DMABUF))]
        get_dmabuf_phys: None,
    };

    /// Prepares the device, which was just allocated.
    ///
    /// Called by: `vfio_init_device()`, as `vfio_device_ops.init`.
    ///
    /// Context: `_vfio_alloc_device()`; may sleep.
    ///
    /// # Safety
    ///
    /// For `vfio.ko` only, as an operation of a device that `probe` allocates.
    unsafe extern "C" fn init_callback(vdev: *mut vb::vfio_device) -> c_int {
        let behaviour = T::behaviour();
        let core = vdev.cast::<vb::vfio_pci_core_device>();
        // SAFETY: `vfio.ko` calls this with the device allocated in `probe`, which is a
        // `vfio_pci_core_device` that nobody else knows of yet.
        let core = unsafe { &mut *core };
        core.set_nointxmask(behaviour.nointxmask);
        core.set_disable_idle_d3(behaviour.disable_idle_d3);
        core.set_disable_vga(behaviour.disable_vga);
        // SAFETY: As above.
        unsafe { vb::vfio_pci_core_init_dev(vdev) }
    }

    /// The first user opens the device.
    ///
    /// Called by: `vfio_df_device_first_open()`, as `vfio_device_ops.open_device`.
    ///
    /// Context: the device opens, lock of its set held; may sleep.
    ///
    /// # Safety
    ///
    /// For `vfio.ko` only, as an operation of a device that `probe` registered.
    unsafe extern "C" fn open_device_callback(vdev: *mut vb::vfio_device) -> c_int {
        let core = vdev.cast::<vb::vfio_pci_core_device>();
        from_result(|| {
            // SAFETY: `vfio.ko` calls this at the first open of a device of ours, with the lock of
            // its device set held.
            to_result(unsafe { vb::vfio_pci_core_enable(core) })?;
            // SAFETY: It was just enabled, and the lock of the device set is held.
            if let Err(err) = T::enabled(unsafe { &*core.cast::<CoreDevice>() }) {
                // SAFETY: As above; the device was just enabled.
                unsafe { vb::vfio_pci_core_disable(core) };
                return Err(err);
            }
            // SAFETY: As above.
            unsafe { vb::vfio_pci_core_finish_enable(core) };
            Ok(0)
        })
    }

    /// The device that `probe` made for a PCI function, or null.
    fn drvdata(pdev: &pci::Device<Core<'_>>) -> *mut vb::vfio_pci_core_device {
        let dev: &kernel::device::Device<Core<'_>> = pdev.as_ref();
        let dev = core::ptr::from_ref(dev).cast::<bindings::device>();
        // SAFETY: `kernel::device::Device` is transparent over the C type.
        unsafe { bindings::dev_get_drvdata(dev) }.cast()
    }

    fn set_drvdata(pdev: &pci::Device<Core<'_>>, core: *mut vb::vfio_pci_core_device) {
        let dev: &kernel::device::Device<Core<'_>> = pdev.as_ref();
        let dev = core::ptr::from_ref(dev).cast::<bindings::device>();
        // SAFETY: `kernel::device::Device` is transparent over the C type. The device has the
        // context `Core`, so its driver, which is this one, is called with the lock held.
        unsafe { bindings::dev_set_drvdata(dev.cast_mut(), core.cast()) };
    }
}

/// Drops the reference to a device that `_vfio_alloc_device()` gave.
///
/// # Safety
///
/// The caller must own the reference.
unsafe fn put_device(core: *mut vb::vfio_pci_core_device) {
    // SAFETY: The device is valid as the caller owns a reference to it.
    unsafe { bindings::put_device(&raw mut (*core).vdev.device) };
}

impl<T: DeviceOps> Driver for Adapter<T> {
    const NAME: &'static CStr = T::NAME;

    // User space gets to own the DMA when it opens the group.
    const MANAGES_DMA: bool = true;

    #[inline]
    fn error_handlers() -> Option<&'static ErrorHandlers> {
        // SAFETY: The table is a constant of `vfio-pci-core.ko`, which cannot be unloaded before
        // the user of this symbol. Its functions take devices that `vfio-pci-core` registered.
        Some(unsafe { ErrorHandlers::from_raw(&raw const vb::vfio_pci_core_err_handlers) })
    }

    fn probe(pdev: &pci::Device<Core<'_>>) -> Result {
        T::probe(pdev)?;

        const _: () = assert!(core::mem::offset_of!(vb::vfio_pci_core_device, vdev) == 0);
        let dev: &kernel::device::Device<Core<'_>> = pdev.as_ref();
        // SAFETY: The device is valid, and the operations, which are static, are those of a
        // structure of this size with the `vfio_device` at its start.
        let vdev = from_err_ptr(unsafe {
            vb::_vfio_alloc_device(
                size_of::<vb::vfio_pci_core_device>(),
                core::ptr::from_ref(dev)
                    .cast::<bindings::device>()
                    .cast_mut(),
                &Self::OPS,
            )
        })?;
        let core = vdev.cast::<vb::vfio_pci_core_device>();

        Self::set_drvdata(pdev, core);
        // SAFETY: `core` is valid and not yet registered.
        unsafe { (*core).pci_ops = &Self::PCI_OPS };
        // SAFETY: As above, and the driver data of the PCI function is as the function wants it.
        let registered = to_result(unsafe { vb::vfio_pci_core_register_device(core) });
        if registered.is_err() {
            // SAFETY: This is the reference from the allocation.
            unsafe { put_device(core) };
        }
        registered
    }

    fn remove(pdev: &pci::Device<Core<'_>>) {
        let core = Self::drvdata(pdev);
        // SAFETY: `probe` registered the device.
        unsafe { vb::vfio_pci_core_unregister_device(core) };
        // SAFETY: This is the reference from the allocation in `probe`.
        unsafe { put_device(core) };
    }

    fn sriov_configure(pdev: &pci::Device<Core<'_>>, num_vfs: i32) -> Result<i32> {
        T::may_configure_sriov()?;
        let core = Self::drvdata(pdev);
        // SAFETY: The PCI core calls this for bound devices, so `probe` registered this one; the
        // lock of the PCI function is held.
        let ret = unsafe { vb::vfio_pci_core_sriov_configure(core, num_vfs) };
        to_result(ret)?;
        Ok(ret)
    }
}
