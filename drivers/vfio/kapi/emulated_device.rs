// SPDX-License-Identifier: GPL-2.0

//! Devices that software emulates, with VFIO as their interface.
//!
//! A driver implements [`EmulatedOps`]; a [`Registration`] makes the device known to `vfio.ko` by the
//! kernel's C interface, so that it works with either `vfio.ko`. The device does no DMA of its own: it
//! reaches the memory that its user has mapped by [`OpenDevice::dma_read`] and [`OpenDevice::dma_write`].
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device_ops`

use crate::{
    uaccess::UserArg,
    uapi::vfio_region_info,
    versions::faux_device, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    faux,
    ffi::{
        c_char,
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    prelude::*,
    str::CStr,
    types::Opaque, //
};
use vfio_bindings as vb;

/// What an emulated device does.
///
/// All methods are called in process context and may sleep, by several threads at once. Between the
/// first [`Self::open`] that succeeds and [`Self::close`] the device has users.
pub trait EmulatedOps: Send + Sync + Sized + 'static {
    /// The name of the driver, as messages of `vfio.ko` show it.
    const NAME: &'static CStr;

    /// The first user opens the device.
    ///
    /// # Errors
    ///
    /// Opening it fails with this.
    fn open(&self) -> Result {
        Ok(())
    }

    /// The last user closes the device.
    fn close(&self) {}

    /// Reads `count` bytes at `pos` of the device's file into the user's memory; the answer is how many
    /// there were, no more than `count`.
    ///
    /// # Errors
    ///
    /// `EINVAL` where there is nothing, `EFAULT`.
    fn read(&self, device: &OpenDevice<Self>, pos: u64, count: usize, to: UserArg)
        -> Result<usize>;

    /// Writes `count` bytes of the user's memory to `pos` of the device's file; the answer as for
    /// [`Self::read`].
    ///
    /// # Errors
    ///
    /// As of [`Self::read`].
    fn write(
        &self,
        device: &OpenDevice<Self>,
        pos: u64,
        count: usize,
        from: UserArg,
    ) -> Result<usize>;

    /// Any ioctl of the device that `vfio.ko` does not handle.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for one that is not known.
    fn ioctl(&self, device: &OpenDevice<Self>, cmd: u32, arg: UserArg) -> Result<isize>;

    /// Describes the region number `info.index` (`VFIO_DEVICE_GET_REGION_INFO`).
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    fn region_info(&self, info: &mut vfio_region_info) -> Result;

    /// Somebody wants to unregister the device, and asks the user for it for the `count`th time.
    fn request(&self, count: u32) {
        let _ = count;
    }
}

/// What C allocates for a device.
#[repr(C)]
struct Raw<T> {
    vdev: vb::vfio_device,
    /// What the registration owns; null before it is registered.
    ops: *const T,
}

/// A device that is open, during a call into its driver.
///
/// # Invariants
///
/// The device is registered, and open until the call is over. `ops` points to what its registration
/// owns.
#[repr(transparent)]
pub struct OpenDevice<T>(Opaque<Raw<T>>, PhantomData<T>);

impl<T: EmulatedOps> OpenDevice<T> {
    /// # Safety
    ///
    /// `vdev` must be a device that [`Registration::new`] registered, and open during `'a`.
    unsafe fn from_raw<'a>(vdev: *mut vb::vfio_device) -> &'a Self {
        // INVARIANT: By the contract of this function.
        // SAFETY: As above; the VFIO device is the first field of a `Raw`.
        unsafe { &*vdev.cast() }
    }

    fn ops(&self) -> &T {
        // SAFETY: By the type invariant; the registration ends only when the device is closed.
        unsafe { &*(*self.0.get()).ops }
    }

    fn vdev(&self) -> *mut vb::vfio_device {
        self.0.get().cast()
    }

    /// Reads the memory that the user has mapped at `iova`.
    ///
    /// # Errors
    ///
    /// `EINVAL` where nothing is mapped, `EPERM` where it may not be read, `EFAULT`.
    #[inline]
    pub fn dma_read(&self, iova: u64, to: &mut [u8]) -> Result {
        if to.is_empty() {
            return Ok(());
        }
        // SAFETY: The device is open by the type invariant, and the buffer valid for writes of its length.
        to_result(unsafe {
            vb::vfio_dma_rw(self.vdev(), iova, to.as_mut_ptr().cast(), to.len(), false)
        })
    }

    /// Writes to the memory that the user has mapped at `iova`.
    ///
    /// # Errors
    ///
    /// As of [`Self::dma_read`].
    #[inline]
    pub fn dma_write(&self, iova: u64, from: &[u8]) -> Result {
        if from.is_empty() {
            return Ok(());
        }
        // SAFETY: The device is open by the type invariant, and the buffer valid for reads of its length,
        // which is all that is done with it.
        to_result(unsafe {
            let data = from.as_ptr().cast_mut().cast();
            vb::vfio_dma_rw(self.vdev(), iova, data, from.len(), true)
        })
    }
}

/// An emulated device, registered until dropped. Dropping it waits until nobody has the device open.
///
/// Its parent is a device of the faux bus, made for it: user space finds the IOMMU group in
/// `/sys/bus/faux/devices/<name>/iommu_group`.
///
/// # Invariants
///
/// `raw` is registered, and we own the reference from its allocation. Its `ops` is `_ops`.
pub struct Registration<T: EmulatedOps> {
    raw: NonNull<vb::vfio_device>,
    _ops: Pin<KBox<T>>,
    _parent: faux::Registration,
}

// SAFETY: A registration may be ended by any thread, and `T` may be sent.
unsafe impl<T: EmulatedOps> Send for Registration<T> {}
// SAFETY: There is nothing to be done with a shared reference.
unsafe impl<T: EmulatedOps> Sync for Registration<T> {}

impl<T: EmulatedOps> Registration<T> {
    const OPS: vb::vfio_device_ops = vb::vfio_device_ops {
        name: T::NAME.to_bytes_with_nul().as_ptr().cast_mut(),
        open_device: Some(Self::open_callback),
        close_device: Some(Self::close_callback),
        read: Some(Self::read_callback),
        write: Some(Self::write_callback),
        ioctl: Some(Self::ioctl_callback),
        get_region_info_caps: Some(Self::region_info_callback),
        request: Some(Self::request_callback),
        #[cfg(CONFIG_IOMMUFD)]
        bind_iommufd: Some(vb::vfio_iommufd_emulated_bind),
        #[cfg(CONFIG_IOMMUFD)]
        unbind_iommufd: Some(vb::vfio_iommufd_emulated_unbind),
        #[cfg(CONFIG_IOMMUFD)]
        attach_ioas: Some(vb::vfio_iommufd_emulated_attach_ioas),
        #[cfg(CONFIG_IOMMUFD)]
        detach_ioas: Some(vb::vfio_iommufd_emulated_detach_ioas),
        ..pin_init::zeroed()
    };

    /// Makes a device called `name`, and registers it.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is a device of this name on the faux bus, `ENOMEM`, and those of `vfio.ko`.
    #[inline]
    pub fn new(name: &CStr, ops: Pin<KBox<T>>) -> Result<Self> {
        const { assert!(core::mem::offset_of!(Raw<T>, vdev) == 0) };
        let parent = faux::Registration::new(name, None)?;
        // SAFETY: The parent outlives the device, and the operations are static and those of a structure of
        // this size.
        let vdev = from_err_ptr(unsafe {
            vb::_vfio_alloc_device(size_of::<Raw<T>>(), faux_device(&parent), &Self::OPS)
        })?;
        // SAFETY: Just allocated with this size, and not known to anybody else.
        unsafe { (*vdev.cast::<Raw<T>>()).ops = core::ptr::from_ref::<T>(&ops) };
        // SAFETY: As above.
        let registered = to_result(unsafe { vb::vfio_register_emulated_iommu_dev(vdev) })
            .and_then(|()| NonNull::new(vdev).ok_or(ENOMEM));
        match registered {
            // INVARIANT: Just registered; the box stays where it is.
            Ok(raw) => Ok(Self {
                raw,
                _ops: ops,
                _parent: parent,
            }),
            Err(err) => {
                // SAFETY: This is the reference from the allocation.
                unsafe { bindings::put_device(&raw mut (*vdev).device) };
                Err(err)
            }
        }
    }

    /// The first user opens the device.
    ///
    /// Called by: `vfio_df_device_first_open()`, as `vfio_device_ops.open_device`.
    ///
    /// Context: the device opens, lock of its set held; may sleep.
    ///
    /// # Safety
    ///
    /// For `vfio.ko` only, as an operation of a device that `new` registered.
    unsafe extern "C" fn open_callback(vdev: *mut vb::vfio_device) -> c_int {
        // SAFETY: By the contract of this function; it is being opened.
        let device = unsafe { OpenDevice::<T>::from_raw(vdev) };
        from_result(|| device.ops().open().map(|()| 0))
    }

    /// The last user closes the device.
    ///
    /// Called by: `vfio_df_device_last_close()`, as `vfio_device_ops.close_device`.
    ///
    /// Context: the device closes, lock of its set held; may sleep.
    ///
    /// # Safety
    ///
    /// As for `open_callback`.
    unsafe extern "C" fn close_callback(vdev: *mut vb::vfio_device) {
        // SAFETY: By the contract of this function; it is not closed yet.
        unsafe { OpenDevice::<T>::from_raw(vdev) }.ops().close();
    }

    /// What a read or write answers, and the position after it.
    ///
    /// # Safety
    ///
    /// `ppos` must be valid and nobody else's.
    unsafe fn access(ppos: *mut bindings::loff_t, f: impl FnOnce(u64) -> Result<usize>) -> isize {
        let access = || {
            // SAFETY: By the contract of this function.
            let pos = unsafe { &mut *ppos };
            let count = f(u64::try_from(*pos)?)?;
            *pos = pos.checked_add(i64::try_from(count)?).ok_or(EINVAL)?;
            Ok(isize::try_from(count)?)
        };
        access().unwrap_or_else(|err: Error| err.to_errno() as isize)
    }

    /// Reads from the device file.
    ///
    /// Called by: `vfio_device_fops_read()`, as `vfio_device_ops.read`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// As for `open_callback`.
    unsafe extern "C" fn read_callback(
        vdev: *mut vb::vfio_device,
        buf: *mut c_char,
        count: usize,
        ppos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: By the contract of this function; who reads has it open.
        let device = unsafe { OpenDevice::<T>::from_raw(vdev) };
        let to = UserArg::new(buf as usize);
        // SAFETY: By the contract of this function.
        unsafe { Self::access(ppos, |pos| device.ops().read(device, pos, count, to)) }
    }

    /// Writes to the device file.
    ///
    /// Called by: `vfio_device_fops_write()`, as `vfio_device_ops.write`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// As for `open_callback`.
    unsafe extern "C" fn write_callback(
        vdev: *mut vb::vfio_device,
        buf: *const c_char,
        count: usize,
        ppos: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: By the contract of this function; who writes has it open.
        let device = unsafe { OpenDevice::<T>::from_raw(vdev) };
        let from = UserArg::new(buf as usize);
        // SAFETY: By the contract of this function.
        unsafe { Self::access(ppos, |pos| device.ops().write(device, pos, count, from)) }
    }

    /// The ioctls that `vfio.ko` does not do.
    ///
    /// Called by: `vfio_device_fops_unl_ioctl()`, as `vfio_device_ops.ioctl`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// As for `open_callback`.
    unsafe extern "C" fn ioctl_callback(
        vdev: *mut vb::vfio_device,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: By the contract of this function; who asks has it open.
        let device = unsafe { OpenDevice::<T>::from_raw(vdev) };
        match device.ops().ioctl(device, cmd, UserArg::new(arg)) {
            Ok(value) => value as c_long,
            Err(err) => err.to_errno() as c_long,
        }
    }

    /// What is to be told of a region.
    ///
    /// Called by: `vfio_get_region_info()`, as `vfio_device_ops.get_region_info_caps`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// As for `open_callback`; `info` must be valid and nobody else's.
    unsafe extern "C" fn region_info_callback(
        vdev: *mut vb::vfio_device,
        info: *mut vfio_region_info,
        _caps: *mut vb::vfio_info_cap,
    ) -> c_int {
        // SAFETY: By the contract of this function; who asks has it open.
        let (device, info) = unsafe { (OpenDevice::<T>::from_raw(vdev), &mut *info) };
        from_result(|| device.ops().region_info(info).map(|()| 0))
    }

    /// The device is wanted back.
    ///
    /// Called by: `vfio_unregister_group_dev()`, as `vfio_device_ops.request`.
    ///
    /// Context: who unregisters the device, which may be open; may sleep.
    ///
    /// # Safety
    ///
    /// As for `open_callback`.
    unsafe extern "C" fn request_callback(vdev: *mut vb::vfio_device, count: c_uint) {
        // SAFETY: By the contract of this function: the unregistration, and so the registration, has not
        // ended, which is all that `ops` needs.
        unsafe { OpenDevice::<T>::from_raw(vdev) }
            .ops()
            .request(count);
    }
}

impl<T: EmulatedOps> Drop for Registration<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference is ours, and the operations are not called any more
        // when the device is unregistered.
        unsafe {
            vb::vfio_unregister_group_dev(self.raw.as_ptr());
            bindings::put_device(&raw mut (*self.raw.as_ptr()).device);
        }
    }
}
