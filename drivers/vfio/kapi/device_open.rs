// SPDX-License-Identifier: GPL-2.0

//! An open VFIO device: the calls into its driver that are allowed then.
//!
//! The set's lock is held while the first user opens a device and while the last one closes it. The
//! group's own lock, which user space can keep busy, is taken before and after, by [`DeviceGroup`].
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device_ops`,
//! `struct vfio_migration_ops`, `struct vfio_log_ops`

use crate::{
    device_lifecycle::{
        CoreDevice,
        Registered, //
    },
    fops::{
        FileOperations,
        FileOps,
        NewFile, //
    },
    holders::Holder,
    info_cap::InfoCaps,
    interval_tree::IntervalTree,
    iommu_backend::Translation,
    kvm::{
        Kvm,
        KvmLink, //
    },
    uaccess::UserArg,
    vfio_device::VfioDevice, //
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs::File,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    str::CStr,
    sync::{
        aref::ARef,
        Arc, //
    },
};
use vfio_bindings as vb;

/// A group, as the devices in it use it.
pub trait DeviceGroup: Send + Sync + 'static {
    /// Somebody is about to open a device of the group: where does its DMA go? It must stay so until
    /// [`Self::end_use`]. May sleep for as long as the user likes, so it is called without locks.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it goes nowhere yet; the device is not opened then.
    fn begin_use(&self) -> Result<Translation>;

    /// Who began a use is done. Called without locks, as [`Self::begin_use`] is.
    fn end_use(&self);

    /// Whether the current task may be the first to open a device. The lock of its set is held.
    ///
    /// # Errors
    ///
    /// `EPERM` if it may not.
    fn permit(&self) -> Result;

    /// The virtual machine that the group is given to.
    fn kvm(&self) -> &KvmLink;
}

/// A use of a group, which ends when dropped.
///
/// # Invariants
///
/// [`DeviceGroup::begin_use`] was called for it.
struct GroupUse<G: DeviceGroup>(Arc<G>);

impl<G: DeviceGroup> GroupUse<G> {
    fn begin(group: &Arc<G>) -> Result<(Self, Translation)> {
        let translation = group.begin_use()?;
        // INVARIANT: Called just now.
        Ok((Self(group.clone()), translation))
    }
}

impl<G: DeviceGroup> Drop for GroupUse<G> {
    fn drop(&mut self) {
        self.0.end_use();
    }
}

/// One user of an open device; closes it when dropped.
///
/// # Invariants
///
/// Owns one of the counts of the device's field `open_count`.
pub struct Opened<G: DeviceGroup> {
    // Both are gone before unregistration may end.
    _holder: Holder,
    _group_use: GroupUse<G>,
    device: Registered<G>,
    // Dropped last: the group stays open as long as devices of it are.
    _group_file: ARef<File>,
}

impl<G: DeviceGroup> Opened<G> {
    /// Opens a device.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is going, `ENOMEM`, else those of the group and of the driver.
    pub fn open(device: Registered<G>, group_file: ARef<File>) -> Result<Self> {
        let holder = device.holders().enter()?;
        let raw = device.as_raw();
        let (group_use, translation) = GroupUse::begin(device.group())?;
        // SAFETY: A registered device is in a set, until it is freed.
        let set = unsafe { device.lock_set() };
        // SAFETY: The set's lock protects the field.
        let count = unsafe { &raw mut (*raw).open_count };
        // SAFETY: As above. Drivers may pin pages as soon as the device counts as open.
        unsafe {
            *count = (*count).checked_add(1).ok_or(EBUSY)?;
            if *count == 1 {
                first_open(&device, translation).inspect_err(|_| *count -= 1)?;
            }
        }
        drop(set);
        // INVARIANT: Counted above.
        Ok(Self {
            _holder: holder,
            _group_use: group_use,
            device,
            _group_file: group_file,
        })
    }

    /// Makes the file for it. Mappings of all files of a device are found by one inode.
    ///
    /// # Errors
    ///
    /// `ENFILE` or `ENOMEM`; the device is closed then.
    pub fn into_file<T: FileOps<Ptr = KBox<Self>, Node = ()>>(
        self,
        fops: &'static FileOperations<T>,
        name: &'static CStr,
    ) -> Result<NewFile> {
        let opened = KBox::new(self, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: The inode is set before the device is published, and goes with it.
        let inode = unsafe { (*opened.device.as_raw()).inode };
        let file = fops.open_anon(name, opened)?;
        // SAFETY: The file owns the `Opened`, which keeps the device and so the inode.
        unsafe { file.set_mapping(inode) };
        Ok(file)
    }
}

/// Opens a device for its first user; the set's lock must be held. Undoes all of it on errors.
///
/// # Safety
///
/// The lock must be held, and the device must have no users.
unsafe fn first_open<G: DeviceGroup>(device: &Registered<G>, translation: Translation) -> Result {
    let raw = device.as_raw();
    // SAFETY: The device is registered, so its driver is bound; the set's lock is held.
    unsafe {
        if let Some(kvm) = device.group().kvm().get() {
            let (kvm, put) = kvm.into_raw();
            (*raw).kvm = kvm;
            (*raw).put_kvm = Some(put);
        }
        let opened = open_driver(device, translation);
        if opened.is_err() {
            put_kvm(raw);
        }
        opened
    }
}

/// # Safety
///
/// As for [`first_open`].
unsafe fn open_driver<G: DeviceGroup>(device: &Registered<G>, translation: Translation) -> Result {
    let raw = device.as_raw();
    // SAFETY: The device is registered, so its driver is bound.
    let owner = unsafe { (*(*(*raw).dev).driver).owner };
    // SAFETY: The module cannot go while its driver is bound.
    if !unsafe { bindings::try_module_get(owner) } {
        return Err(ENODEV);
    }
    let opened = device.group().permit().and_then(|()| {
        device.set_translation(Some(translation.clone()));
        // SAFETY: The device stays until it is closed. The driver opens a device that is registered
        // with its backend, once.
        unsafe {
            translation.register_device(device);
            let opened = (*(*raw).ops)
                .open_device
                .map_or(Ok(()), |open| to_result(open(raw)));
            if opened.is_err() {
                translation.unregister_device(device);
            }
            opened
        }
        .inspect_err(|_| device.set_translation(None))
    });
    if opened.is_err() {
        // SAFETY: Taken above.
        unsafe { bindings::module_put(owner) };
    }
    opened
}

/// # Safety
///
/// The set's lock must be held, and the device must have one user, who leaves.
unsafe fn last_close<G: DeviceGroup>(device: &Registered<G>) {
    let raw = device.as_raw();
    // SAFETY: The device is registered and open. All undoes what `open_driver` did.
    unsafe {
        let owner = (*(*(*raw).dev).driver).owner;
        if let Some(close) = (*(*raw).ops).close_device {
            close(raw);
        }
        if let Some(translation) = device.translation() {
            translation.unregister_device(device);
        }
        device.set_translation(None);
        (*raw).precopy_info_v2 = 0;
        bindings::module_put(owner);
    }
}

/// # Safety
///
/// The set's lock must be held, and nobody may use the device's virtual machine any more.
unsafe fn put_kvm(raw: *mut vb::vfio_device) {
    // SAFETY: The lock protects the fields, which `first_open` sets together.
    unsafe {
        let kvm = core::mem::replace(&mut (*raw).kvm, core::ptr::null_mut());
        if let Some(put) = (*raw).put_kvm.take() {
            Kvm::put_raw(kvm, put);
        }
    }
}

impl<G: DeviceGroup> Drop for Opened<G> {
    fn drop(&mut self) {
        let raw = self.device.as_raw();
        // SAFETY: As in `open`; one of the counts is ours by the type invariant.
        unsafe {
            let _set = self.device.lock_set();
            if (*raw).open_count == 1 {
                last_close(&self.device);
            }
            (*raw).open_count -= 1;
            if (*raw).open_count == 0 {
                put_kvm(raw);
            }
        }
    }
}

impl<G: DeviceGroup> Deref for Opened<G> {
    type Target = CoreDevice<G>;

    fn deref(&self) -> &CoreDevice<G> {
        &self.device
    }
}

impl VfioDevice {
    /// Whether somebody has the device open, right now.
    pub fn is_open(&self) -> bool {
        // SAFETY: Valid; a volatile read as another thread may be writing.
        unsafe { (&raw const (*self.as_raw()).open_count).read_volatile() != 0 }
    }

    /// Whether the driver wants to hear of memory that is unmapped, as who pins pages must.
    pub fn wants_unmaps(&self) -> bool {
        // SAFETY: The operations are constant.
        unsafe { (*(*self.as_raw()).ops).dma_unmap.is_some() }
    }

    /// Adds the line with the device's path in sysfs to a file's information.
    pub fn show_path(&self, m: &SeqFile) {
        // SAFETY: The parent outlives this device.
        let path = unsafe {
            bindings::kobject_get_path(
                &raw const (*(*self.as_raw()).dev).kobj,
                bindings::GFP_KERNEL,
            )
        };
        if path.is_null() {
            return;
        }
        // SAFETY: A string that is ours to free.
        unsafe {
            let text = CStr::from_char_ptr(path);
            kernel::seq_print!(m, "vfio-device-syspath: /sys{}\n", text);
            bindings::kfree(path.cast());
        }
    }
}

/// Keeps a device powered; ends that when dropped.
pub struct Powered<'a>(&'a VfioDevice);

impl Drop for Powered<'_> {
    fn drop(&mut self) {
        // SAFETY: Undoes the `pm_runtime_resume_and_get` of `power`.
        unsafe { vb::vfio_helper_pm_runtime_put((*self.0.as_raw()).dev) };
    }
}

// The calls into the driver.
impl<G: DeviceGroup> Opened<G> {
    fn ops(&self) -> &vb::vfio_device_ops {
        // SAFETY: The operations are constant, and there as long as the driver is bound.
        unsafe { &*(*self.as_raw()).ops }
    }

    /// Wakes the device up and keeps it so, if its driver does power management.
    ///
    /// # Errors
    ///
    /// The error with which waking it up failed.
    pub fn power(&self) -> Result<Option<Powered<'_>>> {
        // SAFETY: The driver is bound as the device is open.
        unsafe {
            let dev = (*self.as_raw()).dev;
            let driver = (*dev).driver;
            if driver.is_null() || (*driver).pm.is_null() {
                return Ok(None);
            }
            to_result(vb::vfio_helper_pm_runtime_resume_and_get(dev))?;
        }
        Ok(Some(Powered(self)))
    }

    /// Reads from the device; `EINVAL` if the driver does not.
    pub fn read(&self, to: UserArg, count: usize, pos: &mut i64) -> Result<usize> {
        let read = self.ops().read.ok_or(EINVAL)?;
        // SAFETY: The device is open; the driver takes the address as one of user space.
        let ret = unsafe {
            read(
                self.as_raw(),
                core::ptr::without_provenance_mut(to.addr()),
                count,
                pos,
            )
        };
        size(ret)
    }

    /// Writes to the device; `EINVAL` if the driver does not.
    pub fn write(&self, from: UserArg, count: usize, pos: &mut i64) -> Result<usize> {
        let write = self.ops().write.ok_or(EINVAL)?;
        // SAFETY: As in `read`.
        let ret = unsafe {
            write(
                self.as_raw(),
                core::ptr::without_provenance(from.addr()),
                count,
                pos,
            )
        };
        size(ret)
    }

    /// An ioctl that is the driver's; `EINVAL` if the driver has none.
    pub fn ioctl(&self, cmd: u32, arg: usize) -> Result<isize> {
        let ioctl = self.ops().ioctl.ok_or(EINVAL)?;
        // SAFETY: The device is open; the argument comes from user space.
        size(unsafe { ioctl(self.as_raw(), cmd, arg) }).map(|ret| ret as isize)
    }

    /// Maps a region; `EINVAL` if the driver does not.
    pub fn mmap(&self, vma: &VmaNew) -> Result {
        let mmap = self.ops().mmap.ok_or(EINVAL)?;
        // SAFETY: The device is open, and the VMA is being set up.
        to_result(unsafe { mmap(self.as_raw(), vma.as_ptr()) })
    }

    /// Describes a region; `EINVAL` if the driver does not.
    pub fn region_info(&self, info: &mut vb::vfio_region_info, caps: &mut InfoCaps) -> Result {
        let get = self.ops().get_region_info_caps.ok_or(EINVAL)?;
        // SAFETY: The device is open, and the driver fills both in.
        to_result(unsafe { get(self.as_raw(), info, core::ptr::from_mut(caps).cast()) })
    }

    /// Whether the driver describes regions.
    pub fn has_region_info(&self) -> bool {
        self.ops().get_region_info_caps.is_some()
    }

    /// A feature that is the driver's; `ENOTTY` if the driver has none. `len` is the size of `data`.
    pub fn feature(&self, flags: u32, data: UserArg, len: usize) -> Result<isize> {
        let feature = self.ops().device_feature.ok_or(ENOTTY)?;
        // SAFETY: The device is open; the driver takes the address as one of user space.
        let ret = unsafe {
            feature(
                self.as_raw(),
                flags,
                core::ptr::without_provenance_mut(data.addr()),
                len,
            )
        };
        to_result(ret)?;
        Ok(ret as isize)
    }

    /// Remembers that user space knows the second version of the precopy information.
    pub fn set_precopy_info_v2(&self) {
        // SAFETY: A byte that only ever becomes 1 while the device is open.
        unsafe { (&raw mut (*self.as_raw()).precopy_info_v2).write_volatile(1) };
    }

    /// The migration of the device, if it can.
    pub fn migration(&self) -> Option<Migration<'_>> {
        // SAFETY: The operations are set before registration, and constant.
        let ops = unsafe { (*self.as_raw()).mig_ops.as_ref() }?;
        Some(Migration { device: self, ops })
    }

    /// The logging of what the device writes by DMA, if it can.
    pub fn dma_log(&self) -> Option<DmaLog<'_>> {
        // SAFETY: The operations are set before registration, and constant.
        let ops = unsafe { (*self.as_raw()).log_ops.as_ref() }?;
        Some(DmaLog { device: self, ops })
    }
}

impl<G> CoreDevice<G> {
    /// What the device supports of migration, as `VFIO_MIGRATION_*`.
    pub fn migration_flags(&self) -> u32 {
        // SAFETY: Set before registration, and constant.
        unsafe { (*self.as_raw()).migration_flags }
    }

    /// Whether the driver has operations for migration.
    pub fn can_migrate(&self) -> bool {
        // SAFETY: Set before registration, and constant.
        unsafe { !(*self.as_raw()).mig_ops.is_null() }
    }

    /// Whether the driver can log what the device writes by DMA.
    pub fn can_log_dma(&self) -> bool {
        // SAFETY: Set before registration, and constant.
        unsafe { !(*self.as_raw()).log_ops.is_null() }
    }

    /// The state of migration that the device is in.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it does not migrate; those of the driver.
    pub fn migration_state(&self) -> Result<u32> {
        // SAFETY: The operations are set before registration, and constant.
        let ops = unsafe { (*self.as_raw()).mig_ops.as_ref() }.ok_or(EINVAL)?;
        let get = ops.migration_get_state.ok_or(EINVAL)?;
        let mut state = 0;
        // SAFETY: The device is registered: drivers answer this from then on.
        to_result(unsafe { get(self.as_raw(), &mut state) })?;
        Ok(state)
    }
}

fn size(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| i32::try_from(ret).map_or(EINVAL, Error::from_errno))
}

/// The migration of an open device.
pub struct Migration<'a> {
    device: &'a VfioDevice,
    ops: &'a vb::vfio_migration_ops,
}

impl Migration<'_> {
    /// The state that the device is in.
    pub fn state(&self) -> Result<u32> {
        let get = self.ops.migration_get_state.ok_or(EINVAL)?;
        let mut state = 0;
        // SAFETY: The device is open.
        to_result(unsafe { get(self.device.as_raw(), &mut state) })?;
        Ok(state)
    }

    /// Takes the device to another state; answers with the file of a data transfer, if there is one.
    pub fn set_state(&self, state: u32) -> Result<Option<ARef<File>>> {
        let set = self.ops.migration_set_state.ok_or(EINVAL)?;
        // SAFETY: The device is open; the driver checks the state.
        let file = from_err_ptr(unsafe { set(self.device.as_raw(), state) })?;
        // SAFETY: The driver answers with a reference to a new file, that is ours.
        Ok(NonNull::new(file).map(|file| unsafe { ARef::from_raw(file.cast()) }))
    }

    /// How much a stop-and-copy would transfer, in bytes.
    pub fn data_size(&self) -> Result<usize> {
        let get = self.ops.migration_get_data_size.ok_or(EINVAL)?;
        let mut size = 0;
        // SAFETY: The device is open.
        to_result(unsafe { get(self.device.as_raw(), &mut size) })?;
        Ok(size)
    }
}

/// The DMA logging of an open device.
pub struct DmaLog<'a> {
    device: &'a VfioDevice,
    ops: &'a vb::vfio_log_ops,
}

impl DmaLog<'_> {
    /// Starts to log what the device writes into `ranges`, in pages of about `page_size` bytes;
    /// the driver may change that.
    pub fn start(&self, ranges: &mut IntervalTree, page_size: &mut u64) -> Result {
        let start = self.ops.log_start.ok_or(EINVAL)?;
        let count = u32::try_from(ranges.len())?;
        // SAFETY: The device is open, and the tree is valid and ours.
        to_result(unsafe { start(self.device.as_raw(), ranges.as_raw(), count, page_size) })
    }

    /// Stops to log.
    pub fn stop(&self) -> Result {
        let stop = self.ops.log_stop.ok_or(EINVAL)?;
        // SAFETY: The device is open.
        to_result(unsafe { stop(self.device.as_raw()) })
    }
}
