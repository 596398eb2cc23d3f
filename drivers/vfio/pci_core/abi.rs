// SPDX-License-Identifier: GPL-2.0

//! The C interface of `vfio-pci-core.ko`.
//!
//! Each function makes references of what it is given, calls a safe function and maps the result.
//! What a driver that calls these has to guarantee, as in C, is that the device
//!
//! * went through [`vfio_pci_core_init_dev`] and not yet through [`vfio_pci_core_release_dev`];
//! * is opened and closed (enabled and disabled) with `dev_set->lock` held, in turns;
//! * is read, written, mapped and controlled only while it is open. `vfio.ko` guarantees that too:
//!   nothing of that is in progress when it closes a device.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

// They have one contract, above.
#![allow(clippy::missing_safety_doc)]

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
use crate::dma_buf;
use crate::{
    config,
    debugfs,
    device,
    hot_reset,
    info,
    intrs,
    ioeventfd,
    mmap,
    open,
    power,
    rdwr::Io,
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
    mmio::Mmio,
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
use vfio_logic::{
    config::range::overlap,
    io::Width, //
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
    vfio_pci_config_rw_single,
    vfio_pci_core_match_token_uuid,
    vfio_pci_core_aer_err_detected,
    vfio_pci_core_sriov_configure,
    vfio_pci_core_do_io_rw,
    vfio_pci_core_iowrite8,
    vfio_pci_core_iowrite16,
    vfio_pci_core_iowrite32,
    vfio_pci_core_iowrite64,
    vfio_pci_core_ioread8,
    vfio_pci_core_ioread16,
    vfio_pci_core_ioread32,
    vfio_pci_core_ioread64,
    __vfio_pci_memory_enabled,
    vfio_pci_core_range_intersect_range,
    vfio_pci_dma_buf_iommufd_map,
}

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
same_as_c! {
    vfio_pci_core_fill_phys_vec,
    vfio_pci_core_get_dmabuf_phys,
}

same_as_c! {
    static vfio_pci_core_err_handlers,
}

/// What a driver's `init` calls first.
///
/// Context: process context; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_init_dev(vdev: *mut vb::vfio_device) -> c_int {
    let core: *mut CDevice = vdev.cast();
    from_result(|| {
        // SAFETY: The device is zeroed and nobody else uses it yet; its `dev` is a PCI function.
        unsafe { Device::attach_state(core, State::new()) }?;
        // SAFETY: The state was just attached.
        let dev = unsafe { Device::from_raw(core) };
        dev.set_irq_type(vfio_logic::irq::NUM);
        if let Err(e) = pci::init_p2pdma(dev.pdev()) {
            // SAFETY: The device will not be used: its driver's `init` fails.
            unsafe { Device::detach_state(core) };
            return Err(e);
        }
        Ok(0)
    })
}

/// What a driver's `release` calls last.
///
/// Context: process context; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_release_dev(vdev: *mut vb::vfio_device) {
    // SAFETY: The device is initialized, and nobody else uses it any more.
    unsafe { Device::detach_state(vdev.cast()) };
}

/// Makes the device known to user space.
///
/// Context: process context, while the driver binds, device lock held; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_register_device(core: *mut CDevice) -> c_int {
    // SAFETY: By the contract of this file.
    let dev = unsafe { Device::from_raw(core) };
    from_result(|| {
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_unregister_device(core: *mut CDevice) {
    // SAFETY: By the contract of this file.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_enable(core: *mut CDevice) -> c_int {
    // SAFETY: By the contract of this file.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_finish_enable(core: *mut CDevice) {
    // SAFETY: By the contract of this file.
    open::finish_enable(unsafe { Device::from_raw(core) });
}

/// Undoes [`vfio_pci_core_enable`].
///
/// Context: process context, lock of the device's set held; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_disable(core: *mut CDevice) {
    // SAFETY: By the contract of this file.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_close_device(vdev: *mut vb::vfio_device) {
    // SAFETY: By the contract of this file.
    let dev = unsafe { Device::from_vfio_raw(vdev) };
    open::close(dev);
    // SAFETY: Likewise.
    unsafe { vfio_pci_core_disable(dev.as_raw()) };
    intrs::close_device(dev);
}

/// Adds a region, between [`vfio_pci_core_enable`] and [`vfio_pci_core_finish_enable`].
///
/// Context: process context, lock of the device's set held; may sleep.
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
    // SAFETY: By the contract of this file.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_ioctl(
    vdev: *mut vb::vfio_device,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: By the contract of this file.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_ioctl_feature(
    vdev: *mut vb::vfio_device,
    flags: u32,
    arg: *mut c_void,
    argsz: usize,
) -> c_int {
    // SAFETY: By the contract of this file.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_ioctl_get_region_info(
    vdev: *mut vb::vfio_device,
    info: *mut vb::vfio_region_info,
    caps: *mut vb::vfio_info_cap,
) -> c_int {
    // SAFETY: By the contract of this file; `info` and `caps` are the caller's.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_read(
    vdev: *mut vb::vfio_device,
    buf: *mut c_char,
    count: usize,
    ppos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: By the contract of this file; `ppos` is the caller's.
    let (dev, pos) = unsafe { (Device::from_vfio_raw(vdev), &mut *ppos) };
    let buf = UserArg::new(buf as usize);
    region::rw::<false>(dev, buf, count, pos)
}

/// Writes to the device file.
///
/// Context: process context of the user, device open; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_write(
    vdev: *mut vb::vfio_device,
    buf: *const c_char,
    count: usize,
    ppos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: By the contract of this file; `ppos` is the caller's.
    let (dev, pos) = unsafe { (Device::from_vfio_raw(vdev), &mut *ppos) };
    let buf = UserArg::new(buf as usize);
    region::rw::<true>(dev, buf, count, pos)
}

/// Maps part of the device file.
///
/// Context: process context of the user, device open, `mmap_lock` held for writing; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_mmap(
    vdev: *mut vb::vfio_device,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: By the contract of this file; `vma` is the kernel's, which calls this to have it set up.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_vmf_insert_pfn(
    core: *mut CDevice,
    vmf: *mut bindings::vm_fault,
    pfn: c_ulong,
    order: c_uint,
) -> bindings::vm_fault_t {
    // SAFETY: By the contract of this file; `vmf` is the fault that the caller handles.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_request(vdev: *mut vb::vfio_device, count: c_uint) {
    // SAFETY: By the contract of this file.
    intrs::signal_req(unsafe { Device::from_vfio_raw(vdev) }, count);
}

/// Whether a name with options is that of the device, and the user may open it: 1, 0 or an errno.
///
/// Context: any.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_match(
    vdev: *mut vb::vfio_device,
    buf: *mut c_char,
) -> c_int {
    // SAFETY: By the contract of this file; `buf` is a string.
    let (dev, text) = unsafe { (Device::from_vfio_raw(vdev), CStr::from_char_ptr(buf)) };
    from_result(|| sriov::match_name(dev, text.to_bytes()).map(c_int::from))
}

/// Whether somebody with this token, or none, may open the device.
///
/// Context: process context; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_match_token_uuid(
    vdev: *mut vb::vfio_device,
    token: *const bindings::uuid_t,
) -> c_int {
    // SAFETY: By the contract of this file; `token` is null or the caller's.
    let (dev, token) = unsafe { (Device::from_vfio_raw(vdev), uuid::from_raw(token)) };
    from_result(|| sriov::match_token(dev, token.as_ref()).map(|()| 0))
}

/// An error was detected on the way to the device, or by it.
///
/// Context: thread of the error service, device lock held; may sleep.
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
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_sriov_configure(
    core: *mut CDevice,
    count: c_int,
) -> c_int {
    // SAFETY: By the contract of this file.
    let dev = unsafe { Device::from_raw(core) };
    // SAFETY: A driver passes on what the PCI core asks of it, which holds the lock of the function.
    let pdev = unsafe { pci::from_raw_locked(dev.pdev_raw()) };
    from_result(|| sriov::configure(dev, pdev, count))
}

// SAFETY: The data of a driver whose operations these are is a device as described at the head of this
// file, or null before it is set.
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

/// Reads or writes `count` bytes at `io + off`, which the caller has mapped.
///
/// Context: process context of the user; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_do_io_rw(
    core: *mut CDevice,
    test_mem: bool,
    io: *mut c_void,
    buf: *mut c_char,
    off: bindings::loff_t,
    count: usize,
    x_start: usize,
    x_end: usize,
    iswrite: bool,
    max_width: vb::vfio_pci_io_width,
) -> isize {
    region::size_or_errno((|| {
        let off = u64::try_from(off)?;
        let end = off.checked_add(count as u64).ok_or(EINVAL)?;
        // SAFETY: By the contract of this file; the caller has mapped what is accessed.
        let (dev, mmio) = unsafe { (Device::from_raw(core), Mmio::from_raw(io, end)) };
        let io = Io {
            dev,
            mmio,
            memory: test_mem,
            hole: x_start as u64..x_end as u64,
            max_width: Width::at_most(max_width.into()),
        };
        io.rw(UserArg::new(buf as usize), off, count, iswrite)
    })())
}

macro_rules! io_accessors {
    ($($read:ident, $write:ident: $ty:ty, $width:ident;)*) => {$(
        /// Writes to what the caller has mapped.
        ///
        /// Context: where `test_mem` is set: process context, `memory_lock` is taken for reading,
        /// may sleep; else any.
        #[no_mangle]
        pub(crate) unsafe extern "C" fn $write(
            core: *mut CDevice,
            test_mem: bool,
            val: $ty,
            io: *mut c_void,
        ) -> c_int {
            // SAFETY: By the contract of this file; the caller has mapped what is accessed.
            let io = unsafe { one_access(core, test_mem, io, size_of::<$ty>()) };
            from_result(|| {
                io.access(|io| io.write(0, Width::$width, val.into()))?;
                Ok(0)
            })
        }

        /// Reads from what the caller has mapped.
        ///
        /// Context: where `test_mem` is set: process context, `memory_lock` is taken for reading,
        /// may sleep; else any.
        #[no_mangle]
        pub(crate) unsafe extern "C" fn $read(
            core: *mut CDevice,
            test_mem: bool,
            val: *mut $ty,
            io: *mut c_void,
        ) -> c_int {
            // SAFETY: By the contract of this file; the caller has mapped what is accessed.
            let io = unsafe { one_access(core, test_mem, io, size_of::<$ty>()) };
            from_result(|| {
                let value = io.access(|io| io.read(0, Width::$width))?;
                // SAFETY: `val` is for this function to write to.
                // CAST: As many bytes as were read.
                unsafe { val.write(value as $ty) };
                Ok(0)
            })
        }
    )*};
}

io_accessors! {
    vfio_pci_core_ioread8, vfio_pci_core_iowrite8: u8, One;
    vfio_pci_core_ioread16, vfio_pci_core_iowrite16: u16, Two;
    vfio_pci_core_ioread32, vfio_pci_core_iowrite32: u32, Four;
    vfio_pci_core_ioread64, vfio_pci_core_iowrite64: u64, Eight;
}

/// A single access of `len` bytes.
///
/// # Safety
///
/// `core` as in the contract of this file, `io` mapped for `len` bytes, both for `'a`.
unsafe fn one_access<'a>(core: *mut CDevice, memory: bool, io: *mut c_void, len: usize) -> Io<'a> {
    Io {
        // SAFETY: By the contract of this function.
        dev: unsafe { Device::from_raw(core) },
        // SAFETY: By the contract of this function.
        mmio: unsafe { Mmio::from_raw(io, len as u64) },
        memory,
        hole: 0..0,
        max_width: Width::Eight,
    }
}

/// Whether accesses to the memory of the device are answered.
///
/// Context: `memory_lock` held.
#[no_mangle]
pub(crate) unsafe extern "C" fn __vfio_pci_memory_enabled(core: *mut CDevice) -> bool {
    // SAFETY: By the contract of this file.
    config::memory_enabled(unsafe { Device::from_raw(core) })
}

/// Reads or writes one register of configuration space.
///
/// Context: process context of the user, device open; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_config_rw_single(
    core: *mut CDevice,
    buf: *mut c_char,
    count: usize,
    ppos: *mut bindings::loff_t,
    iswrite: bool,
) -> isize {
    // SAFETY: By the contract of this file; `ppos` is the caller's.
    let (dev, pos) = unsafe { (Device::from_raw(core), *ppos) };
    region::size_or_errno((|| {
        let pos = usize::try_from(pos).map_err(|_| EFAULT)?;
        let buf = UserArg::new(buf as usize);
        let done = if iswrite {
            config::rw_single::<true>(dev, buf, count, pos)
        } else {
            config::rw_single::<false>(dev, buf, count, pos)
        }?;
        Ok(done as usize)
    })())
}

/// The bytes that a buffer and a block share.
///
/// Context: any.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_range_intersect_range(
    buf_start: bindings::loff_t,
    buf_cnt: usize,
    reg_start: bindings::loff_t,
    reg_cnt: usize,
    buf_offset: *mut bindings::loff_t,
    intersect_count: *mut usize,
    register_offset: *mut usize,
) -> bool {
    let (Ok(buf), Ok(reg)) = (u64::try_from(buf_start), u64::try_from(reg_start)) else {
        return false;
    };
    let Some(shared) = overlap(buf, buf_cnt as u64, reg, reg_cnt as u64) else {
        return false;
    };
    // SAFETY: The pointers are for this function to write to.
    // CAST: The results are no larger than the arguments.
    unsafe {
        buf_offset.write(shared.buf_offset as bindings::loff_t);
        intersect_count.write(shared.count as usize);
        register_offset.write(shared.reg_offset as usize);
    }
    true
}

/// Turns ranges of what is at `start` into physical ranges.
///
/// Context: any.
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_fill_phys_vec(
    phys_vec: *mut bindings::phys_vec,
    dma_ranges: *mut vb::vfio_region_dma_range,
    nr_ranges: usize,
    start: bindings::phys_addr_t,
    len: bindings::phys_addr_t,
) -> c_int {
    from_result(|| {
        for i in 0..nr_ranges {
            // SAFETY: Both arrays have `nr_ranges` elements.
            let (range, vec) = unsafe { (&*dma_ranges.add(i), &mut *phys_vec.add(i)) };
            vec.paddr = vfio_logic::pci::dma_range(start, len, range.offset, range.length)?;
            vec.len = range.length.try_into()?;
        }
        Ok(0)
    })
}

/// Turns ranges of a BAR into physical ranges, and finds who can make them reachable for other devices.
///
/// Context: process context; may sleep.
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_get_dmabuf_phys(
    core: *mut CDevice,
    provider: *mut *mut bindings::p2pdma_provider,
    region_index: c_uint,
    phys_vec: *mut bindings::phys_vec,
    dma_ranges: *mut vb::vfio_region_dma_range,
    nr_ranges: usize,
) -> c_int {
    // SAFETY: By the contract of this file.
    let dev = unsafe { Device::from_raw(core) };
    let pdev = dev.pdev();
    // SAFETY: The function is valid, and was prepared for peer-to-peer DMA.
    let found = unsafe { bindings::pcim_p2pdma_provider(dev.pdev_raw(), region_index as c_int) };
    // SAFETY: `provider` is for this function to write to.
    unsafe { provider.write(found) };
    if found.is_null() {
        return EINVAL.to_errno();
    }
    let (start, len) = (
        pci::resource_start(pdev, region_index),
        pci::resource_len(pdev, region_index),
    );
    // SAFETY: The caller keeps to the contract of that function.
    unsafe { vfio_pci_core_fill_phys_vec(phys_vec, dma_ranges, nr_ranges, start, len) }
}

/// The physical range of a dma-buf, for iommufd.
///
/// Context: process context, lock of the dma-buf's reservation held; may sleep.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_dma_buf_iommufd_map(
    attachment: *mut bindings::dma_buf_attachment,
    phys: *mut bindings::phys_vec,
) -> c_int {
    #[cfg(CONFIG_VFIO_PCI_DMABUF)]
    return from_result(|| {
        // SAFETY: The caller has the attachment and holds the reservation lock.
        let range = unsafe { vfio_kapi::dma_buf::single_range(attachment, &dma_buf::OPERATIONS) }?;
        // SAFETY: `phys` is for this function to write to.
        unsafe { phys.write(range) };
        Ok(0)
    });
    #[cfg(not(CONFIG_VFIO_PCI_DMABUF))]
    {
        let _ = (attachment, phys);
        vfio_kapi::versions::eopnotsupp().to_errno()
    }
}
