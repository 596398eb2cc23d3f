// SPDX-License-Identifier: GPL-2.0

//! What C calls: the functions of `include/linux/vfio.h` and `drivers/vfio/vfio.h`.
//!
//! `exports.c` exports them. Callers keep to the headers: pointers are valid, devices are allocated by
//! `_vfio_alloc_device()`, and what is to be called in pairs is.

use core::{
    ffi::c_void,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    device::Device,
    error::from_result,
    ffi,
    fs::File,
    prelude::*, //
};
use vfio_bindings as vb;
use vfio_kapi::{
    device_lifecycle::{
        self,
        CoreDevice,
        OwnedDevice,
        UnregisteredDevice, //
    },
    device_memory::Memory,
    device_set::LockedSet,
    explain,
    group_kind::GroupKind,
    info_cap::InfoCaps,
    interval_tree::BorrowedTree,
    iommu_backend::IommuBackend,
    iommu_driver::KeepsPages,
    param::BoolParam,
    refusal::Explain,
    vfio_device::VfioDevice,
    virqfds::NewVirqfd, //
};
use vfio_logic::{
    iova_ranges,
    irq_set::IrqSet,
    migration, //
};

use crate::{
    container,
    device,
    device_file,
    group::Group,
    group_file,
    noiommu::NoIommu,
    virqfd::VIRQFDS, //
};

unsafe extern "C" {
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Devices without IOMMU may be used.
    pub(crate) safe static vfio_enable_unsafe_noiommu_mode: BoolParam;
}

// SAFETY: It pins no pages.
unsafe impl KeepsPages for NoIommu {}

/// Makes the compiler compare the functions here with the C headers.
macro_rules! same_as_c {
    ($($name:ident),* $(,)?) => {
        const _: () = {
            $(let _ = if true { vb::$name } else { $name };)*
        };
    };
}

#[cfg(CONFIG_IOMMUFD)]
mod iommufd;

same_as_c! {
    _vfio_alloc_device,
    vfio_assign_device_set,
    vfio_combine_iova_ranges,
    vfio_device_put_registration,
    vfio_device_set_open_count,
    vfio_device_try_get_registration,
    vfio_dma_rw,
    vfio_file_enforced_coherent,
    vfio_file_has_dev,
    vfio_file_iommu_group,
    vfio_file_is_group,
    vfio_file_is_valid,
    vfio_file_set_kvm,
    vfio_find_device_in_devset,
    vfio_info_add_capability,
    vfio_info_cap_add,
    vfio_info_cap_shift,
    vfio_mig_get_next_state,
    vfio_pin_pages,
    vfio_register_emulated_iommu_dev,
    vfio_register_group_dev,
    vfio_register_iommu_driver,
    vfio_set_irqs_validate_and_prepare,
    vfio_unpin_pages,
    vfio_unregister_group_dev,
    vfio_unregister_iommu_driver,
    vfio_virqfd_disable,
    vfio_virqfd_enable,
    vfio_virqfd_flush_thread,
}

/// A pointer that C passes and that is not null.
fn non_null<T>(ptr: *mut T) -> Result<NonNull<T>> {
    NonNull::new(ptr).ok_or(EINVAL)
}

// --- devices ---------------------------------------------------------------

/// Allocates a device of `size` bytes.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `dev` must be valid and outlive the device; `ops` must be valid for as long as the device is allocated.
#[no_mangle]
pub(crate) unsafe extern "C" fn _vfio_alloc_device(
    size: usize,
    dev: *mut bindings::device,
    ops: *const vb::vfio_device_ops,
) -> *mut vb::vfio_device {
    kernel::warn_on!(size < size_of::<vb::vfio_device>());
    // SAFETY: Both are valid; the driver keeps its operations as long as devices with them.
    let (parent, ops) = unsafe { (Device::from_raw(dev), &*ops) };
    // SAFETY: The parent outlives the device, whose size is that which the driver's operations expect.
    unsafe { OwnedDevice::alloc(size, parent, ops) }
        .and_then(|device| device::set_up(device, parent))
        .map_or_else(Error::to_ptr, |device| {
            // SAFETY: `set_up` has let the driver initialize its part.
            unsafe { device.publish(&device::CLASS, release_device) }
        })
}

/// Frees a device when the last reference to it is gone.
///
/// Called by: `device_release()`, as `device.release`.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `dev` must be part of a device that `_vfio_alloc_device` made, and the last reference to it gone.
unsafe extern "C" fn release_device(dev: *mut bindings::device) {
    // SAFETY: Called once, for the device in what `_vfio_alloc_device` published, when the last
    // reference is gone.
    device::release(unsafe { OwnedDevice::from_released(dev) });
}

/// # Safety
///
/// `device` must be allocated and not registered.
unsafe fn register(device: *mut vb::vfio_device, kind: GroupKind) -> ffi::c_int {
    from_result(|| {
        let raw = non_null(device)?;
        // SAFETY: A driver registers a device that it made, once.
        let device = unsafe { UnregisteredDevice::from_raw(raw) };
        if !device.has_set() {
            // SAFETY: As above. A set of its own, which its address is the number of.
            unsafe { device::SETS.get().assign(raw, raw.addr().get()) }?;
        }
        device::register(device, kind).map(|()| 0)
    })
}

/// Registers a device that does DMA.
///
/// Context: process context, while the driver binds; may sleep.
///
/// # Safety
///
/// `device` must come from `_vfio_alloc_device`, not be registered, and nobody else may register it.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_register_group_dev(
    device: *mut vb::vfio_device,
) -> ffi::c_int {
    // SAFETY: By the contract of the C function.
    unsafe { register(device, GroupKind::Iommu) }
}

/// Registers a device that does no DMA.
///
/// Context: process context, while the driver binds; may sleep.
///
/// # Safety
///
/// As for [`vfio_register_group_dev`].
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_register_emulated_iommu_dev(
    device: *mut vb::vfio_device,
) -> ffi::c_int {
    // SAFETY: By the contract of the C function.
    unsafe { register(device, GroupKind::Emulated) }
}

/// Unregisters a device, and waits until nobody uses it.
///
/// Context: process context, while the driver unbinds; sleeps until nobody uses the device.
///
/// # Safety
///
/// `device` must be registered; it is unregistered once.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_unregister_group_dev(device: *mut vb::vfio_device) {
    // SAFETY: The device stays registered until the end of `unregister` below.
    let group = unsafe { CoreDevice::<Group>::try_from_raw(device) }.map(|dev| dev.group().clone());
    let withdrawn = group.and_then(|group| group.withdraw(|other| other.as_raw() == device));
    if let Some(registration) = withdrawn {
        device::unregister(registration);
    }
}

/// Takes a count of the registration.
///
/// Context: any.
///
/// # Safety
///
/// `device` must be allocated.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_device_try_get_registration(
    device: *mut vb::vfio_device,
) -> bool {
    // SAFETY: By the contract of the C function.
    unsafe { device_lifecycle::try_get_registration(device) }
}

/// Gives a count of the registration back.
///
/// Context: any.
///
/// # Safety
///
/// The caller must own a count.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_device_put_registration(device: *mut vb::vfio_device) {
    // SAFETY: By the contract of the C function.
    unsafe { device_lifecycle::put_registration(device) }
}

/// Puts a device that is not registered into the set of `set_id`.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `device` must be allocated and not registered, and nobody else may assign it.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_assign_device_set(
    device: *mut vb::vfio_device,
    set_id: *mut c_void,
) -> ffi::c_int {
    kernel::warn_on!(set_id.is_null());
    from_result(|| {
        // SAFETY: The driver is setting the device up.
        unsafe { device::SETS.get().assign(non_null(device)?, set_id.addr()) }.map(|()| 0)
    })
}

/// How often devices of the set are open.
///
/// Context: lock of the set held.
///
/// # Safety
///
/// `dev_set` must be valid and locked by the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_device_set_open_count(
    dev_set: *mut vb::vfio_device_set,
) -> ffi::c_uint {
    // SAFETY: The set is valid, and locked by the caller.
    NonNull::new(dev_set).map_or(0, |set| unsafe { LockedSet::from_raw(set) }.open_count())
}

/// The device in the set whose parent is `dev`.
///
/// Context: lock of the set held.
///
/// # Safety
///
/// `dev_set` must be valid and locked by the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_find_device_in_devset(
    dev_set: *mut vb::vfio_device_set,
    dev: *mut bindings::device,
) -> *mut vb::vfio_device {
    NonNull::new(dev_set)
        .and_then(|set| {
            // SAFETY: The set is valid, and locked by the caller.
            unsafe { LockedSet::from_raw(set) }
                .devices()
                .find(|device| core::ptr::eq(core::ptr::from_ref(device.parent()).cast(), dev))
                .map(VfioDevice::as_raw)
        })
        .unwrap_or(core::ptr::null_mut())
}

// --- files -----------------------------------------------------------------

/// The group that `file` is, if it is one.
///
/// # Safety
///
/// `file` must be valid, and stay so for `'a`.
unsafe fn group_of<'a>(file: *mut bindings::file) -> Option<kernel::sync::ArcBorrow<'a, Group>> {
    // SAFETY: By the contract of this function; whoever has a reference to a file from elsewhere does
    // not use `fdget_pos`.
    group_file::FOPS.data_of(unsafe { File::from_raw_file(file) })
}

/// The IOMMU group of a group's file, with a reference; only POWER needs it.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `file` must be valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_file_iommu_group(
    file: *mut bindings::file,
) -> *mut bindings::iommu_group {
    if !cfg!(CONFIG_SPAPR_TCE_IOMMU) {
        return core::ptr::null_mut();
    }
    // SAFETY: The file is valid.
    unsafe { group_of(file) }
        .and_then(|group| group.state.lock().iommu_group.clone())
        .map_or(core::ptr::null_mut(), |group| {
            kernel::sync::aref::ARef::into_raw(group).as_ptr().cast()
        })
}

/// Whether the file is that of a group.
///
/// Context: any.
///
/// # Safety
///
/// `file` must be valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_file_is_group(file: *mut bindings::file) -> bool {
    // SAFETY: The file is valid.
    unsafe { group_of(file) }.is_some()
}

/// Whether the file is that of a group or a device.
///
/// Context: any.
///
/// # Safety
///
/// `file` must be valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_file_is_valid(file: *mut bindings::file) -> bool {
    // SAFETY: The file is valid.
    unsafe { group_of(file).is_some() || device_file::of(File::from_raw_file(file)).is_some() }
}

/// Whether the file is that of the device's group.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `file` must be valid, and `device` be in a set whose lock the caller holds.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_file_has_dev(
    file: *mut bindings::file,
    device: *mut vb::vfio_device,
) -> bool {
    // SAFETY: The file is valid, and the device in a set whose lock the caller holds. It need not be
    // registered.
    unsafe {
        group_of(file)
            .zip(CoreDevice::<Group>::try_from_raw(device))
            .is_some_and(|(group, device)| core::ptr::eq(&*group, &**device.group()))
    }
}

/// Whether the DMA of what the file is for is always coherent.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `file` must be valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_file_enforced_coherent(file: *mut bindings::file) -> bool {
    use vfio_kapi::iommu_group::{
        device_iommu_capable,
        IommuCap, //
    };
    // SAFETY: The file is valid.
    unsafe {
        if let Some(group) = group_of(file) {
            return group.enforces_coherency();
        }
        device_file::of(File::from_raw_file(file)).is_none_or(|file| {
            device_iommu_capable(file.device().parent(), IommuCap::EnforceCacheCoherency)
        })
    }
}

/// Links the file with a virtual machine, or takes the link away.
///
/// Context: any but interrupts.
///
/// # Safety
///
/// `file` must be valid; `kvm` must be null, or valid until this is called again.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_file_set_kvm(file: *mut bindings::file, kvm: *mut vb::kvm) {
    use vfio_kapi::device_open::DeviceGroup;
    // SAFETY: The file is valid; KVM calls this again before the machine goes.
    unsafe {
        if let Some(group) = group_of(file) {
            group.kvm().set(kvm);
        }
        if let Some(file) = device_file::of(File::from_raw_file(file)) {
            file.kvm().set(kvm);
        }
    }
}

// --- IOMMU backends --------------------------------------------------------

/// Adds a backend.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `ops` must be a valid table until it is unregistered and its module is unused.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_register_iommu_driver(
    ops: *const vb::vfio_iommu_driver_ops,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The table stays until it is unregistered, and while its module is in use.
        let backend = unsafe { IommuBackend::from_raw(non_null(ops.cast_mut())?) };
        container::register_backend(backend, |other| other.is(ops)).map(|()| 0)
    })
}

/// Removes a backend.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// None: `ops` is only compared.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_unregister_iommu_driver(
    ops: *const vb::vfio_iommu_driver_ops,
) {
    container::unregister_backend(|backend| backend.is(ops));
}

/// Pins pages of user space for an emulated device.
///
/// Context: process context, device open; may sleep.
///
/// # Safety
///
/// `device` must be registered and open; `pages` must have room for `npage` pointers.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pin_pages(
    device: *mut vb::vfio_device,
    iova: bindings::dma_addr_t,
    npage: ffi::c_int,
    prot: ffi::c_int,
    pages: *mut *mut bindings::page,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The device is open, and so registered; C answers for one that is not, and so do we.
        let device = unsafe { CoreDevice::<Group>::try_from_raw(device) }.ok_or(EINVAL)?;
        if pages.is_null() || npage == 0 || !device.is_open() || !device.wants_unmaps() {
            return Err(EINVAL);
        }
        // SAFETY: The driver uses it while the device is open.
        let memory = unsafe { Memory::of(device) }.ok_or(EINVAL)?;
        let count = memory.count(npage)?;
        // SAFETY: The caller's array has so many entries, in which there may be anything yet.
        let pages = unsafe { core::slice::from_raw_parts_mut(pages.cast(), count) };
        memory.pin_pages(iova, prot, pages)
    })
}

/// Unpins what [`vfio_pin_pages`] pinned.
///
/// Context: process context, device open; may sleep.
///
/// # Safety
///
/// `device` must be registered and open.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_unpin_pages(
    device: *mut vb::vfio_device,
    iova: bindings::dma_addr_t,
    npage: ffi::c_int,
) {
    // SAFETY: As in `vfio_pin_pages`.
    let device = unsafe { CoreDevice::<Group>::try_from_raw(device) };
    let Some(device) =
        device.filter(|device| npage > 0 && device.is_open() && device.wants_unmaps())
    else {
        kernel::warn_on!(true);
        return;
    };
    // SAFETY: The driver uses it while the device is open.
    let Some(memory) = (unsafe { Memory::of(device) }) else {
        return;
    };
    if !kernel::warn_on!(memory.count(npage).is_err()) {
        // SAFETY: The driver has pinned them, and does not use them any more.
        unsafe { memory.unpin_pages(iova, npage) };
    }
}

/// Copies between kernel memory and what user space mapped.
///
/// Context: process context, device open; may sleep.
///
/// # Safety
///
/// `device` must be registered and open; `data` must be valid for `len` bytes.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_dma_rw(
    device: *mut vb::vfio_device,
    iova: bindings::dma_addr_t,
    data: *mut c_void,
    len: usize,
    write: bool,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The device is open, and so registered; C answers for one that is not, and so do we.
        let device = unsafe { CoreDevice::<Group>::try_from_raw(device) }.ok_or(EINVAL)?;
        let data = non_null(data)?;
        if len == 0 || !device.is_open() {
            return Err(EINVAL);
        }
        // SAFETY: The driver uses it while the device is open.
        let memory = unsafe { Memory::of(device) }.ok_or(EINVAL)?;
        // SAFETY: The caller's buffer is so large.
        unsafe { memory.rw(iova, data, len, write) }.map(|()| 0)
    })
}

// --- helpers of drivers ----------------------------------------------------

/// Appends a capability that is zero but for its header; answers with where it is.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `caps` must be a valid chain of the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_info_cap_add(
    caps: *mut vb::vfio_info_cap,
    size: usize,
    id: u16,
    version: u16,
) -> *mut vb::vfio_info_cap_header {
    // SAFETY: The chain is the caller's.
    unsafe { InfoCaps::from_raw(caps) }
        .append(size, id, version)
        .map_or_else(Error::to_ptr, |cap| cap.as_mut_ptr().cast())
}

/// Makes the links of a chain count from `offset` bytes before it.
///
/// Context: any.
///
/// # Safety
///
/// `caps` must be a valid chain of the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_info_cap_shift(caps: *mut vb::vfio_info_cap, offset: usize) {
    kernel::warn_on!(offset % align_of::<u64>() != 0);
    // SAFETY: The chain is the caller's.
    unsafe { InfoCaps::from_raw(caps) }.shift(offset);
}

/// Appends a copy of a capability.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `caps` must be a valid chain of the caller; `cap` must be valid for `size` bytes.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_info_add_capability(
    caps: *mut vb::vfio_info_cap,
    cap: *mut vb::vfio_info_cap_header,
    size: usize,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The chain is the caller's, and the capability has `size` bytes, of which the header
        // is part.
        let (caps, bytes, id, version) = unsafe {
            (
                InfoCaps::from_raw(caps),
                core::slice::from_raw_parts(cap.cast::<u8>(), size),
                (*cap).id,
                (*cap).version,
            )
        };
        let header = size_of::<vb::vfio_info_cap_header>();
        let body = bytes.get(header..).ok_or(EINVAL)?;
        let new = caps.append(size, id, version)?;
        new.get_mut(header..size)
            .ok_or(EINVAL)?
            .copy_from_slice(body);
        Ok(0)
    })
}

/// Checks the header of `VFIO_DEVICE_SET_IRQS`.
///
/// Context: any.
///
/// # Safety
///
/// `hdr` must be valid; `data_size` must be null or valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_set_irqs_validate_and_prepare(
    hdr: *mut vb::vfio_irq_set,
    num_irqs: ffi::c_int,
    max_irq_type: ffi::c_int,
    data_size: *mut usize,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: The header is valid.
        let set = unsafe {
            IrqSet {
                argsz: (*hdr).argsz,
                flags: (*hdr).flags,
                index: (*hdr).index,
                start: (*hdr).start,
                count: (*hdr).count,
            }
        };
        set.check(max_irq_type as u32).explain("SET_IRQS")?;
        // SAFETY: Null or valid.
        let data_size = unsafe { data_size.as_mut() };
        let size = set.data_size(num_irqs as u32);
        match data_size {
            Some(data_size) => *data_size = size.unwrap_or(0),
            // The caller has nowhere to put it.
            None if set.takes_data() => return Err(EINVAL),
            None => (),
        }
        explain!(
            size.map(|_| 0),
            "SET_IRQS of {} from {} on of index {}",
            set.count,
            set.start,
            set.index
        )
    })
}

/// The next state on the way to a migration state.
///
/// Context: any.
///
/// # Safety
///
/// `device` and `next_fsm` must be valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_mig_get_next_state(
    device: *mut vb::vfio_device,
    cur_fsm: vb::vfio_device_mig_state,
    new_fsm: vb::vfio_device_mig_state,
    next_fsm: *mut vb::vfio_device_mig_state,
) -> ffi::c_int {
    from_result(|| {
        // SAFETY: Both are valid.
        unsafe {
            let flags = (*device).migration_flags;
            kernel::warn_on!(!migration::State::new(cur_fsm).is_some_and(|s| s.is_in(flags)));
            let next = migration::next_state(cur_fsm, new_fsm, flags)?;
            *next_fsm = next as vb::vfio_device_mig_state;
            if next == migration::State::Error {
                return Err(EINVAL);
            }
        }
        Ok(0)
    })
}

/// Merges the ranges that are closest, until of `cur_nodes` there are `req_nodes`.
///
/// Context: any.
///
/// # Safety
///
/// `root` must be null or a valid tree of the caller.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_combine_iova_ranges(
    root: *mut bindings::rb_root_cached,
    cur_nodes: u32,
    req_nodes: u32,
) {
    let Some(root) = NonNull::new(root) else {
        return;
    };
    // SAFETY: The tree is the caller's.
    let mut tree = unsafe { BorrowedTree::from_raw(root) };
    for _ in 0..iova_ranges::merges(cur_nodes, req_nodes) {
        let Some(pair) = iova_ranges::closest(tree.ranges()) else {
            return;
        };
        tree.merge_with_next(pair);
    }
}

// --- eventfds --------------------------------------------------------------

/// Calls functions when an eventfd is signalled.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// The functions must be callable with `opaque` and `data`, and `pvirqfd` be valid, until it is disabled. Calls for the same `pvirqfd`
/// are one after the other.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_virqfd_enable(
    opaque: *mut c_void,
    handler: Option<unsafe extern "C" fn(*mut c_void, *mut c_void) -> ffi::c_int>,
    thread: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    data: *mut c_void,
    pvirqfd: *mut *mut vb::virqfd,
    fd: ffi::c_int,
) -> ffi::c_int {
    from_result(|| {
        let new = NewVirqfd {
            opaque,
            handler,
            thread,
            data,
        };
        // SAFETY: Functions and slot are valid until the driver disables it.
        unsafe { VIRQFDS.get().enable(&new, non_null(pvirqfd)?, fd) }.map(|()| 0)
    })
}

/// Ends that.
///
/// Context: process context; sleeps until the handler is gone.
///
/// # Safety
///
/// `pvirqfd` must be one for [`vfio_virqfd_enable`], which does not run.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_virqfd_disable(pvirqfd: *mut *mut vb::virqfd) {
    if let Some(slot) = NonNull::new(pvirqfd) {
        // SAFETY: The slot is one for `vfio_virqfd_enable`.
        unsafe { VIRQFDS.get().disable(slot) };
    }
}

/// Waits for the function that runs later.
///
/// Context: process context; sleeps until the handler's thread has run.
///
/// # Safety
///
/// `pvirqfd` must be one for [`vfio_virqfd_enable`].
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_virqfd_flush_thread(pvirqfd: *mut *mut vb::virqfd) {
    if let Some(slot) = NonNull::new(pvirqfd) {
        // SAFETY: The slot is one for `vfio_virqfd_enable`.
        unsafe { VIRQFDS.get().flush(slot) };
    }
}
