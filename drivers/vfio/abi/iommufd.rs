// SPDX-License-Identifier: GPL-2.0

//! The operations of devices that iommufd uses: `vfio_iommufd_*` of `include/linux/vfio.h`.
//!
//! Drivers put them into their tables; then it is this module that calls them.

use kernel::{
    error::from_result,
    ffi, //
};
use vfio_bindings as vb;
use vfio_kapi::iommufd_device::{
    ctx_of,
    id_in,
    Emulated,
    Physical, //
};

same_as_c! {
    vfio_iommufd_device_ictx,
    vfio_iommufd_emulated_attach_ioas,
    vfio_iommufd_emulated_bind,
    vfio_iommufd_emulated_detach_ioas,
    vfio_iommufd_emulated_unbind,
    vfio_iommufd_get_dev_id,
    vfio_iommufd_physical_attach_ioas,
    vfio_iommufd_physical_bind,
    vfio_iommufd_physical_detach_ioas,
    vfio_iommufd_physical_pasid_attach_ioas,
    vfio_iommufd_physical_pasid_detach_ioas,
    vfio_iommufd_physical_unbind,
}

/// The iommufd that a device which does DMA is bound to, or null.
///
/// Context: lock of the device's set held, or the device's own file open.
///
/// # Safety
///
/// `vdev` must be valid.
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_device_ictx(vdev: *mut vb::vfio_device) -> *mut vb::iommufd_ctx {
    // SAFETY: By the contract of the C function; the caller sees to it that the device stays bound.
    unsafe { ctx_of(vdev) }
}

/// The number of a device in `ictx`; negative errnos if it has none there.
///
/// Context: lock of the device's set held.
///
/// # Safety
///
/// `vdev` must be valid and the lock of its set be held; `ictx` must be null or valid.
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_get_dev_id(
    vdev: *mut vb::vfio_device,
    ictx: *mut vb::iommufd_ctx,
) -> ffi::c_int {
    // SAFETY: By the contract of the C function. Numbers are handed out from 1 on, so they fit.
    from_result(|| Ok(unsafe { id_in(vdev, ictx) }? as ffi::c_int))
}

/// Gives the DMA of a device to an iommufd.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// All must be valid, and the lock of the device's set be held.
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_physical_bind(
    vdev: *mut vb::vfio_device,
    ictx: *mut vb::iommufd_ctx,
    out_device_id: *mut u32,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: By the contract of the C function.
        unsafe { *out_device_id = Physical::from_raw(vdev).bind(ictx)? };
        Ok(0)
    })
}

/// Takes it back.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// `vdev` must be valid, and the lock of its set be held.
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_physical_unbind(vdev: *mut vb::vfio_device) {
    // SAFETY: By the contract of the C function.
    unsafe { Physical::from_raw(vdev) }.unbind();
}

/// Attaches an address space or page tables.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// Both must be valid, and the lock of the device's set be held.
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_physical_attach_ioas(
    vdev: *mut vb::vfio_device,
    pt_id: *mut u32,
) -> ffi::c_int {
    // SAFETY: By the contract of the C function.
    from_result(|| unsafe { Physical::from_raw(vdev).attach(&mut *pt_id) }.map(|()| 0))
}

/// Detaches them.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// As for [`vfio_iommufd_physical_unbind`].
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_physical_detach_ioas(vdev: *mut vb::vfio_device) {
    // SAFETY: By the contract of the C function.
    unsafe { Physical::from_raw(vdev) }.detach();
}

/// Attaches an address space or page tables to a PASID.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// As for [`vfio_iommufd_physical_attach_ioas`].
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_physical_pasid_attach_ioas(
    vdev: *mut vb::vfio_device,
    pasid: u32,
    pt_id: *mut u32,
) -> ffi::c_int {
    // SAFETY: By the contract of the C function.
    from_result(|| unsafe { Physical::from_raw(vdev).attach_pasid(pasid, &mut *pt_id) }.map(|()| 0))
}

/// Detaches them.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// As for [`vfio_iommufd_physical_unbind`].
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_physical_pasid_detach_ioas(
    vdev: *mut vb::vfio_device,
    pasid: u32,
) {
    // SAFETY: By the contract of the C function.
    unsafe { Physical::from_raw(vdev) }.detach_pasid(pasid);
}

/// Lets the driver of a device access the memory of an iommufd.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// All must be valid, and the lock of the device's set be held.
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_emulated_bind(
    vdev: *mut vb::vfio_device,
    ictx: *mut vb::iommufd_ctx,
    out_device_id: *mut u32,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: By the contract of the C function.
        unsafe { *out_device_id = Emulated::from_raw(vdev).bind(ictx)? };
        Ok(0)
    })
}

/// Ends that.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// As for [`vfio_iommufd_physical_unbind`].
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_emulated_unbind(vdev: *mut vb::vfio_device) {
    // SAFETY: By the contract of the C function.
    unsafe { Emulated::from_raw(vdev) }.unbind();
}

/// Attaches an address space.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// As for [`vfio_iommufd_physical_attach_ioas`].
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_emulated_attach_ioas(
    vdev: *mut vb::vfio_device,
    pt_id: *mut u32,
) -> ffi::c_int {
    // SAFETY: By the contract of the C function.
    from_result(|| unsafe { Emulated::from_raw(vdev).attach(*pt_id) }.map(|()| 0))
}

/// Detaches it.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// As for [`vfio_iommufd_physical_unbind`].
#[no_mangle]
unsafe extern "C" fn vfio_iommufd_emulated_detach_ioas(vdev: *mut vb::vfio_device) {
    // SAFETY: By the contract of the C function.
    unsafe { Emulated::from_raw(vdev) }.detach();
}
