// SPDX-License-Identifier: GPL-2.0

//! Runtime power management: a device that nobody uses is suspended.
//!
//! Each device has a usage count. Gets and puts that do not balance are no matter of memory safety: a
//! get too many keeps a device awake, a put too many makes the kernel warn.
//!
//! C header: [`include/linux/pm_runtime.h`](srctree/include/linux/pm_runtime.h)

use core::marker::PhantomData;
use kernel::{
    bindings,
    device::Device,
    error::to_result,
    ffi::c_int,
    prelude::*, //
};
use vfio_bindings as vb;

/// The C device, for calls into the kernel.
#[inline]
fn raw(dev: &Device) -> *mut bindings::device {
    // `Device` is transparent over the C structure.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Resumes the device and takes a usage count, given back when the result is dropped. May sleep.
///
/// # Errors
///
/// That of resuming; no count is taken then.
#[inline]
pub fn active(dev: &Device) -> Result<Active<'_>> {
    get(dev)?;
    Ok(Active(dev))
}

/// Shows that a device is resumed, and keeps it so until dropped.
#[must_use = "the device may suspend at once when this is unused"]
pub struct Active<'a>(&'a Device);

impl Drop for Active<'_> {
    #[inline]
    fn drop(&mut self) {
        put(self.0);
    }
}

/// Resumes the device and takes a usage count. May sleep.
///
/// # Errors
///
/// That of resuming; no count is taken then.
#[inline]
pub fn get(dev: &Device) -> Result {
    // What is active needs to be counted only; resuming it asks more.
    #[cfg(CONFIG_PM)]
    // SAFETY: The device is valid.
    if unsafe { bindings::pm_runtime_get_if_active(raw(dev)) } > 0 {
        return Ok(());
    }
    resume_and_get(dev)
}

#[cold]
fn resume_and_get(dev: &Device) -> Result {
    // SAFETY: The device is valid.
    let ret = unsafe { vb::vfio_helper_pm_runtime_resume_and_get(raw(dev)) };
    to_result(ret)
}

/// Gives back a usage count; the device may suspend soon after the last.
#[inline]
pub fn put(dev: &Device) {
    // SAFETY: The device is valid.
    unsafe { vb::vfio_helper_pm_runtime_put(raw(dev)) };
}

/// Takes a usage count of a device in whatever state it is.
pub fn get_noresume(dev: &Device) {
    // SAFETY: The device is valid.
    unsafe { vb::vfio_helper_pm_runtime_get_noresume(raw(dev)) };
}

/// Gives back a usage count without looking whether the device can suspend now.
pub fn put_noidle(dev: &Device) {
    // SAFETY: The device is valid.
    unsafe { vb::vfio_helper_pm_runtime_put_noidle(raw(dev)) };
}

/// Resumes the device. May sleep.
///
/// # Errors
///
/// That of the device's drivers.
pub fn resume(dev: &Device) -> Result {
    // SAFETY: The device is valid.
    let ret = unsafe { vb::vfio_helper_pm_runtime_resume(raw(dev)) };
    if ret < 0 {
        to_result(ret)
    } else {
        // Positive: it was active already.
        Ok(())
    }
}

/// Lets the device suspend when its usage count is zero.
pub fn allow(dev: &Device) {
    // SAFETY: The device is valid.
    unsafe { vb::vfio_helper_pm_runtime_allow(raw(dev)) };
}

/// Resumes the device and no longer lets it suspend. May sleep.
pub fn forbid(dev: &Device) {
    // SAFETY: The device is valid.
    unsafe { vb::vfio_helper_pm_runtime_forbid(raw(dev)) };
}

/// What a driver does when a device of its suspends and resumes.
///
/// # Safety
///
/// [`Self::from_device`] must return a valid reference for each device whose driver has the
/// operations of this type.
pub unsafe trait RuntimePm: 'static {
    /// The driver's own view of the device.
    type Target<'a>;

    /// Finds the driver's own view of `dev`; `None` if the driver has not set it up.
    ///
    /// # Safety
    ///
    /// `dev` must be bound to a driver that [`set_driver_ops`] was called for, and stay so for `'a`.
    unsafe fn from_device<'a>(dev: *mut bindings::device) -> Option<Self::Target<'a>>;

    /// The device is about to be suspended. May sleep.
    fn suspend(target: Self::Target<'_>);

    /// The device was resumed. May sleep.
    fn resume(target: Self::Target<'_>);
}

/// The C operations of a [`RuntimePm`].
struct Ops<T>(PhantomData<T>);

impl<T: RuntimePm> Ops<T> {
    const OPS: bindings::dev_pm_ops = bindings::dev_pm_ops {
        runtime_suspend: Some(Self::runtime_suspend),
        runtime_resume: Some(Self::runtime_resume),
        ..pin_init::zeroed()
    };

    /// The device goes to sleep.
    ///
    /// Called by: `pci_pm_runtime_suspend()`, as `dev_pm_ops.runtime_suspend`.
    ///
    /// Context: runtime power management, the device awake; may sleep.
    ///
    /// # Safety
    ///
    /// For the PM core only, with a device of the driver.
    unsafe extern "C" fn runtime_suspend(dev: *mut bindings::device) -> c_int {
        // SAFETY: The PM core calls this for bound devices of the driver only.
        if let Some(target) = unsafe { T::from_device(dev) } {
            T::suspend(target);
        }
        0
    }

    /// The device wakes up.
    ///
    /// Called by: `pci_pm_runtime_resume()`, as `dev_pm_ops.runtime_resume`.
    ///
    /// Context: runtime power management; may sleep.
    ///
    /// # Safety
    ///
    /// For the PM core only, with a device of the driver.
    unsafe extern "C" fn runtime_resume(dev: *mut bindings::device) -> c_int {
        // SAFETY: As above.
        if let Some(target) = unsafe { T::from_device(dev) } {
            T::resume(target);
        }
        0
    }
}

/// Gives the driver that `dev` is bound to the power management operations of `T`.
///
/// # Safety
///
/// The driver's module must keep this one loaded as long as the driver exists, and all devices of the
/// driver must be such as [`RuntimePm::from_device`] of `T` expects. `dev` must be bound.
pub unsafe fn set_driver_ops<T: RuntimePm>(dev: &Device) {
    // SAFETY: The device is bound by the contract of this function, so the driver is valid; what is
    // written is a pointer to a constant.
    unsafe { (*(*raw(dev)).driver).pm = &Ops::<T>::OPS };
}
