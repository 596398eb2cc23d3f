// SPDX-License-Identifier: GPL-2.0

//! The C interface of `vfio-pci-core.ko`.
//!
//! Each function makes references of what it is given, calls a safe function and maps the result. Here are
//! those that a driver has in its table of operations or calls when it binds, and `variant.rs` has those that
//! drivers with regions of their own call besides. Devices are opened and closed with `dev_set->lock` held, in
//! turns, and `vfio.ko` reads, writes, maps and controls none that it closes.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
use crate::dma_buf;
use crate::{
    debugfs,
    device,
    hot_reset,
    info,
    intrs,
    ioeventfd,
    mmap,
    open,
    power,
    region,
    reset,
    sriov,
    state::{
        Device,
        State, //
    }, //
};
use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_char,
        c_int,
        c_long,
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*,
    str::CStr, //
};
use vfio_bindings as vb;
use vfio_kapi::{
    debugfs::Folder,
    info_cap::InfoCaps,
    pci,
    runtime_pm::{
        self,
        RuntimePm, //
    },
    uaccess::UserArg,
    uapi,
    uuid,
    vma::{
        Fault,
        FaultResult,
        NewVma, //
    }, //
};
type CDevice = vb::vfio_pci_core_device;

/// Makes the compiler compare the functions and tables here with the C headers.
macro_rules! same_as_c {
    ($($name:ident),* $(,)?) => {
        const _: () = {
            $(let _ = if true { vb::$name } else { $name };)*
        };
    };
    (static $($name:ident),* $(,)?) => {
        const _: fn() = || {
            $(let _ = [&raw const vb::$name, &raw const $name.0];)*
        };
    };
}

same_as_c! {
    vfio_pci_core_init_dev,
    vfio_pci_core_release_dev,
    vfio_pci_core_register_device,
    vfio_pci_core_unregister_device,
    vfio_pci_core_enable,
    vfio_pci_core_finish_enable,
    vfio_pci_core_disable,
    vfio_pci_core_close_device,
    vfio_pci_core_register_dev_region,
    vfio_pci_core_ioctl,
    vfio_pci_core_ioctl_feature,
    vfio_pci_ioctl_get_region_info,
    vfio_pci_core_read,
    vfio_pci_core_write,
    vfio_pci_core_mmap,
    vfio_pci_vmf_insert_pfn,
    vfio_pci_core_request,
    vfio_pci_core_match,
    vfio_pci_core_match_token_uuid,
    vfio_pci_core_aer_err_detected,
    vfio_pci_core_sriov_configure,
}

same_as_c! {
    static vfio_pci_core_err_handlers,
}

mod variant;

/// What a driver's `init` calls first.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `vdev` must be the first field of a zeroed `vfio_pci_core_device` whose `dev` is a PCI function,
/// and nobody else may use it yet.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_init_dev(vdev: *mut vb::vfio_device) -> c_int {
    // SAFETY: The device is zeroed and nobody else uses it yet; its `dev` is a PCI function.
    let pdev = unsafe { Device::init_fields(vdev.cast(), vfio_logic::irq::NUM) };
    from_result(|| pci::init_p2pdma(pdev).map(|()| 0))
}

/// What a driver's `release` calls last.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized ([`vfio_pci_core_init_dev`]), and nobody else may use it any more.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_release_dev(vdev: *mut vb::vfio_device) {
    // SAFETY: The device is initialized, and nobody else uses it any more.
    unsafe { Device::detach_state(vdev.cast()) };
}

/// Makes the device known to user space.
///
/// Context: process context, while the driver binds, device lock held; may sleep.
///
/// # Safety
///
/// `core` must be initialized, the driver data of its function, and not registered; its driver is
/// just being bound, and uses this module.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_register_device(core: *mut CDevice) -> c_int {
    from_result(|| {
        // Not before: of a driver whose `init` fails behind vfio_pci_core_init_dev() nobody would take it back.
        // SAFETY: The device is initialized; it is not registered, so nobody uses it, and never was.
        unsafe { Device::attach_state(core, State::new()) }?;
        // SAFETY: The state was just attached.
        let dev = unsafe { Device::from_raw(core) };
        device::check(dev)?;
        // SAFETY: A device is registered once, so it is in no set yet.
        unsafe { dev.assign_set(device::is_alone(dev)) }?;
        device::prepare(dev)?;
        // SAFETY: The driver uses this module, so it keeps it loaded, and all its devices are `Device`s,
        // as `check` has seen of this one. It is being bound.
        unsafe { runtime_pm::set_driver_ops::<State>(dev.pdev().as_ref()) };
        device::allow_suspend(dev);
        // SAFETY: It is ready to be opened, and not registered yet.
        let registered = unsafe { dev.vfio().register() };
        registered.inspect_err(|_| {
            device::forbid_suspend(dev);
            device::unprepare(dev);
        })?;
        let path = [c"vfio", dev.vfio().parent().name()];
        // SAFETY: `vfio.ko` made the folder of the device, and removes it when it is unregistered, before
        // which ours is.
        let folder = unsafe { Folder::beside(&path, c"pci", debugfs::Policy::of(dev)) };
        if let Ok(Some(folder)) = folder {
            debugfs::add(dev, folder);
        }
        Ok(0)
    })
}

/// Undoes [`vfio_pci_core_register_device`]; waits until nobody has the device open.
///
/// Context: process context, while the driver unbinds, device lock held; sleeps until nobody uses
/// it.
///
/// # Safety
///
/// `core` must be registered, and its driver just being unbound; it is unregistered once.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_unregister_device(core: *mut CDevice) {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_raw(core) };
    // SAFETY: The driver is just unbound from it, which is done with its lock held.
    let pdev = unsafe { pci::from_raw_locked(dev.pdev_raw()) };
    // Removing virtual functions does not fail.
    let _ = sriov::configure(dev, pdev, 0);
    debugfs::remove(dev);
    // SAFETY: It is registered.
    unsafe { dev.vfio().unregister() };
    device::unprepare(dev);
    device::forbid_suspend(dev);
}

/// What a driver's `open_device` calls first.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// `core` must be registered, closed, and just being opened, with `dev_set->lock` held.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_enable(core: *mut CDevice) -> c_int {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_raw(core) };
    from_result(|| {
        open::enable(dev)?;
        // SAFETY: The device is opening, and its BARs were unmapped when it was closed.
        unsafe { dev.map_bars() };
        Ok(0)
    })
}

/// What a driver's `open_device` calls last.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// [`vfio_pci_core_enable`] must have succeeded for `core`, and `dev_set->lock` be held since.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_finish_enable(core: *mut CDevice) {
    // SAFETY: By the contract of this function.
    open::finish_enable(unsafe { Device::from_raw(core) });
}

/// Undoes [`vfio_pci_core_enable`].
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// `core` must be enabled, and just being closed, with `dev_set->lock` held: nobody reads, writes
/// or controls it any more.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_disable(core: *mut CDevice) {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_raw(core) };
    open::quiesce(dev);
    // SAFETY: The device is closing: nobody has anything of its regions or BARs. Eventfds that wrote to
    // a BAR were removed right above.
    unsafe {
        dev.release_regions();
        dev.unmap_bars();
    }
    // SAFETY: Devices are disabled with the lock of their set held.
    let set = unsafe { dev.locked_set() };
    open::disable(dev, &set);
}

/// What a driver's `close_device` calls.
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// `vdev` must be open, and just being closed, with `dev_set->lock` held: nobody reads, writes or
/// controls it any more.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_close_device(vdev: *mut vb::vfio_device) {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_vfio_raw(vdev) };
    open::close(dev);
    // SAFETY: By the contract of this function.
    unsafe { vfio_pci_core_disable(dev.as_raw()) };
    intrs::close_device(dev);
}

/// Adds a region, between [`vfio_pci_core_enable`] and [`vfio_pci_core_finish_enable`].
///
/// Context: process context, lock of the device's set held; may sleep.
///
/// # Safety
///
/// `core` must be just being opened, between [`vfio_pci_core_enable`] and
/// [`vfio_pci_core_finish_enable`]; `ops` and what they make of `data` must be valid until the
/// device is closed.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_register_dev_region(
    core: *mut CDevice,
    type_: c_uint,
    subtype: c_uint,
    ops: *const vb::vfio_pci_regops,
    size: usize,
    flags: u32,
    data: *mut c_void,
) -> c_int {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_raw(core) };
    let region = vb::vfio_pci_region {
        type_,
        subtype,
        ops,
        data,
        size,
        flags,
    };
    // SAFETY: The device is opening, so nobody has a region of it. The operations are the driver's.
    from_result(|| unsafe { dev.add_region(region) }.map(|()| 0))
}

/// The ioctls of a device, as far as `vfio.ko` does not do them.
///
/// Context: process context of the user, device open; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized and open, and not be closed during the call.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_ioctl(
    vdev: *mut vb::vfio_device,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_vfio_raw(vdev) };
    let arg = UserArg::new(arg);
    let done = |result: Result| result.map(|()| 0);
    let result = match cmd.wrapping_sub(uapi::ioctl(0)) {
        7 => done(info::device(dev, arg)),
        9 => done(info::irq(dev, arg)),
        10 => info::set_irqs(dev, arg),
        11 => done(reset::ioctl(dev)),
        12 => done(hot_reset::info(dev, arg)),
        13 => done(hot_reset::ioctl(dev, arg)),
        16 => done(ioeventfd::ioctl(dev, arg)),
        _ => Err(ENOTTY),
    };
    from_result(|| result) as c_long
}

/// The features of a device, as far as `vfio.ko` does not do them.
///
/// Context: process context of the user, device open; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized and open, and not be closed during the call.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_ioctl_feature(
    vdev: *mut vb::vfio_device,
    flags: u32,
    arg: *mut c_void,
    argsz: usize,
) -> c_int {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_vfio_raw(vdev) };
    let arg = UserArg::new(arg as usize);
    from_result(|| {
        match flags & vb::VFIO_DEVICE_FEATURE_MASK {
            #[cfg(CONFIG_VFIO_PCI_DMABUF)]
            vb::VFIO_DEVICE_FEATURE_DMA_BUF => return dma_buf::feature(dev, flags, arg, argsz),
            vb::VFIO_DEVICE_FEATURE_PCI_VF_TOKEN => sriov::set_token(dev, flags, arg, argsz),
            vb::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY => power::entry(dev, flags, arg, argsz, false),
            vb::VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP => {
                power::entry(dev, flags, arg, argsz, true)
            }
            vb::VFIO_DEVICE_FEATURE_LOW_POWER_EXIT => power::exit(dev, flags, argsz),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    })
}

/// What is to be told of a region.
///
/// Context: process context of the user, device open; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized and open, and not be closed during the call; `info` and `caps` must
/// be valid, and nobody else may use them.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_ioctl_get_region_info(
    vdev: *mut vb::vfio_device,
    info: *mut vb::vfio_region_info,
    caps: *mut vb::vfio_info_cap,
) -> c_int {
    // SAFETY: By the contract of this function; `info` and `caps` are the caller's.
    let (dev, info, caps) = unsafe {
        (
            Device::from_vfio_raw(vdev),
            &mut *info,
            InfoCaps::from_raw(caps),
        )
    };
    from_result(|| region::info(dev, info, caps).map(|()| 0))
}

/// Reads from the device file.
///
/// Context: process context of the user, device open; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized and open, and not be closed during the call; `ppos` must be valid,
/// and nobody else may use it.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_read(
    vdev: *mut vb::vfio_device,
    buf: *mut c_char,
    count: usize,
    ppos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: By the contract of this function; `ppos` is the caller's.
    let (dev, pos) = unsafe { (Device::from_vfio_raw(vdev), &mut *ppos) };
    let buf = UserArg::new(buf as usize);
    region::rw::<false>(dev, buf, count, pos)
}

/// Writes to the device file.
///
/// Context: process context of the user, device open; may sleep.
///
/// # Safety
///
/// As for [`vfio_pci_core_read`].
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_write(
    vdev: *mut vb::vfio_device,
    buf: *const c_char,
    count: usize,
    ppos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: By the contract of this function; `ppos` is the caller's.
    let (dev, pos) = unsafe { (Device::from_vfio_raw(vdev), &mut *ppos) };
    let buf = UserArg::new(buf as usize);
    region::rw::<true>(dev, buf, count, pos)
}

/// Maps part of the device file.
///
/// Context: process context of the user, device open, `mmap_lock` held for writing; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized and open; `vma` must be a new mapping of its file that nobody else
/// uses yet.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_mmap(
    vdev: *mut vb::vfio_device,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: By the contract of this function; `vma` is the kernel's, which calls this to have it set up.
    let (dev, vma) = unsafe { (Device::from_vfio_raw(vdev), NewVma::from_raw(vma)) };
    from_result(|| {
        if mmap::prepare(dev, vma)? == mmap::Outcome::Faults {
            // SAFETY: The mapping holds the device file, and that the device.
            unsafe { vma.set_faults(dev) };
        }
        Ok(0)
    })
}

/// Maps page frames where a fault of a variant driver's mapping is, with `memory_lock` held.
///
/// Context: page fault, `memory_lock` held for reading.
///
/// # Safety
///
/// `core` must be initialized, and its `memory_lock` held; `vmf` must be the fault that the caller
/// handles, of a mapping for page frames; the frames from `pfn` on, `1 << order` of them, must be
/// such as user space may access until the mapping is taken away.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_vmf_insert_pfn(
    core: *mut CDevice,
    vmf: *mut bindings::vm_fault,
    pfn: c_ulong,
    order: c_uint,
) -> bindings::vm_fault_t {
    // SAFETY: By the contract of this function; `vmf` is the fault that the caller handles.
    let (dev, fault) = unsafe { (Device::from_raw(core), Fault::from_raw(vmf)) };
    let result = if power::is_accessible(dev) {
        // SAFETY: The driver says that user space may access these.
        unsafe { fault.insert_pfn(pfn, order) }
    } else {
        FaultResult::SIGBUS
    };
    result.into_raw()
}

/// The device is wanted back.
///
/// Context: process context of who unregisters the device; may sleep.
///
/// # Safety
///
/// `vdev` must be initialized and not released.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_request(vdev: *mut vb::vfio_device, count: c_uint) {
    // SAFETY: By the contract of this function.
    intrs::signal_req(unsafe { Device::from_vfio_raw(vdev) }, count);
}

/// Whether a name with options is that of the device, and the user may open it: 1, 0 or an errno.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `vdev` must be registered, and `buf` be a string.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_match(
    vdev: *mut vb::vfio_device,
    buf: *mut c_char,
) -> c_int {
    // SAFETY: By the contract of this function; `buf` is a string.
    let (dev, text) = unsafe { (Device::from_vfio_raw(vdev), CStr::from_char_ptr(buf)) };
    from_result(|| sriov::match_name(dev, text.to_bytes()).map(c_int::from))
}

/// Whether somebody with this token, or none, may open the device.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `vdev` must be registered, and `token` be null or valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_match_token_uuid(
    vdev: *mut vb::vfio_device,
    token: *const bindings::uuid_t,
) -> c_int {
    // SAFETY: By the contract of this function; `token` is null or the caller's.
    let (dev, token) = unsafe { (Device::from_vfio_raw(vdev), uuid::from_raw(token)) };
    from_result(|| sriov::match_token(dev, token.as_ref()).map(|()| 0))
}

/// An error was detected on the way to the device, or by it.
///
/// Called by: `report_error_detected()`, as `pci_error_handlers.error_detected`.
///
/// Context: thread of the error service, device lock held; may sleep.
///
/// # Safety
///
/// `pdev` must be valid, its driver's data be null or a `vfio_pci_core_device` that was registered and is
/// not released during the call.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_aer_err_detected(
    pdev: *mut bindings::pci_dev,
    _state: bindings::pci_channel_state_t,
) -> bindings::pci_ers_result_t {
    // SAFETY: The function is valid and its driver one of ours.
    if let Some(dev) = unsafe { State::from_device(&raw mut (*pdev).dev) } {
        intrs::signal_err(dev);
    }
    bindings::pci_ers_result_PCI_ERS_RESULT_CAN_RECOVER
}

/// Error handlers for drivers to use.
#[repr(transparent)]
pub(crate) struct ErrorHandlers(bindings::pci_error_handlers);

// SAFETY: It is never written to.
unsafe impl Sync for ErrorHandlers {}

/// Error handlers for drivers to use.
#[no_mangle]
pub(crate) static vfio_pci_core_err_handlers: ErrorHandlers =
    ErrorHandlers(bindings::pci_error_handlers {
        error_detected: Some(vfio_pci_core_aer_err_detected),
        ..pin_init::zeroed()
    });

/// Makes virtual functions, or removes them. Called with the device lock of the function held.
///
/// Context: process context of the administrator, device lock held; may sleep.
///
/// # Safety
///
/// `core` must be registered, and the lock of its function held.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_sriov_configure(
    core: *mut CDevice,
    count: c_int,
) -> c_int {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_raw(core) };
    // SAFETY: A driver passes on what the PCI core asks of it, which holds the lock of the function.
    let pdev = unsafe { pci::from_raw_locked(dev.pdev_raw()) };
    from_result(|| sriov::configure(dev, pdev, count))
}

// SAFETY: The data of a driver whose operations these are is a device as described at the head of this
// file, or null before it is set. It has its state: who binds the driver keeps the function from being suspended until it is
// registered.
unsafe impl RuntimePm for State {
    type Target<'a> = &'a Device;

    unsafe fn from_device<'a>(dev: *mut bindings::device) -> Option<&'a Device> {
        // SAFETY: The device is valid by the contract of this function.
        let core: *mut CDevice = unsafe { bindings::dev_get_drvdata(dev) }.cast();
        // SAFETY: See above.
        (!core.is_null()).then(|| unsafe { Device::from_raw(core) })
    }

    fn suspend(dev: &Device) {
        power::suspend(dev);
    }

    fn resume(dev: &Device) {
        power::resume(dev);
    }
}
