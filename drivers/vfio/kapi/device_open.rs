// SPDX-License-Identifier: GPL-2.0

//! An open VFIO device: the calls into its driver that are allowed then.
//!
//! The set's lock is held while the first user opens a device and while the last one closes it. The
//! group's own lock, which user space can keep busy, is taken before and after, by [`DeviceGroup`].
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device_ops`

use crate::{
    device_lifecycle::{
        CoreDevice,
        Registered, //
    },
    info_cap::InfoCaps,
    iommu_backend::Translation,
    iommufd::IommufdCtx,
    kvm::{
        Kvm,
        KvmLink, //
    },
    runtime_pm,
    uaccess::UserArg,
    versions::eopnotsupp,
    vfio_device::VfioDevice, //
};
use core::ops::Deref;
use kernel::{
    bindings,
    error::to_result,
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

/// Where the DMA of an open device goes.
pub enum Dma {
    /// Through the address space of a container.
    Container(Translation),
    /// Through what is attached to the device in an iommufd.
    Iommufd(IommufdCtx),
    /// Right to memory, though its group has an iommufd for a container.
    Direct(IommufdCtx),
}

/// A group, as the devices in it use it.
pub trait DeviceGroup: Send + Sync + 'static {
    /// Somebody is about to open a device of the group through it: where does its DMA go? It must stay so
    /// until [`Self::end_use`]. Called without locks, as this may sleep for as long as a user likes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it goes nowhere yet; the device is not opened then.
    fn begin_use(&self) -> Result<Dma>;

    /// Who began a use, of a container if `container`, is done. Called without locks, too.
    fn end_use(&self, container: bool);

    /// Whether the current task may be the first to open a device whose DMA goes there. Called with the
    /// lock of the device's set.
    ///
    /// # Errors
    ///
    /// `EPERM` if it may not.
    fn permit(&self, dma: &Dma) -> Result;

    /// A device of the group is used past it. Nobody may open the group until [`Self::unblock`].
    ///
    /// # Errors
    ///
    /// `EBUSY` if the group is open.
    fn block(&self) -> Result;

    /// Undoes one [`Self::block`].
    fn unblock(&self);

    /// The virtual machine that the group is given to.
    fn kvm(&self) -> &KvmLink;
}

/// Keeps a group from being opened.
///
/// # Invariants
///
/// Owns one of the calls of [`DeviceGroup::block`].
pub struct Blocked<G: DeviceGroup>(Arc<G>);

impl<G: DeviceGroup> Blocked<G> {
    /// Keeps `group` from being opened until dropped.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is open.
    pub fn new(group: &Arc<G>) -> Result<Self> {
        group.block()?;
        // INVARIANT: That call is ours.
        Ok(Self(group.clone()))
    }
}

impl<G: DeviceGroup> Drop for Blocked<G> {
    fn drop(&mut self) {
        self.0.unblock();
    }
}

/// A use of a group, which ends when dropped.
///
/// # Invariants
///
/// Owns one of the calls of [`DeviceGroup::begin_use`].
struct GroupUse<G: DeviceGroup> {
    group: Arc<G>,
    container: bool,
}

impl<G: DeviceGroup> GroupUse<G> {
    /// Begins one; answers where DMA goes meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`DeviceGroup::begin_use`].
    fn begin(group: &Arc<G>) -> Result<(Self, Dma)> {
        let dma = group.begin_use()?;
        // INVARIANT: That call is ours.
        let group_use = Self {
            group: group.clone(),
            container: matches!(dma, Dma::Container(_)),
        };
        Ok((group_use, dma))
    }
}

impl<G: DeviceGroup> Drop for GroupUse<G> {
    fn drop(&mut self) {
        self.group.end_use(self.container);
    }
}

/// What has to be as it is while a device is open.
enum Keeper<G: DeviceGroup> {
    /// It was opened by its group, which stays open and where it is.
    Group {
        _group_use: GroupUse<G>,
        _file: ARef<File>,
    },
    /// It was opened by its own node, and so its group cannot be opened.
    Node { _blocked: Blocked<G> },
}

/// One user of an open device; closes it when dropped.
///
/// # Invariants
///
/// Owns one of the counts of the device's field `open_count`.
pub struct Opened<G: DeviceGroup> {
    device: Registered<G>,
    // Dropped last.
    keeper: Keeper<G>,
}

impl<G: DeviceGroup> Opened<G> {
    /// Opens a device by its group, which is open as `group_file`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is going, else those of the group and of the driver.
    pub fn by_group(device: Registered<G>, group_file: ARef<File>) -> Result<Self> {
        // Before the lock, and so undone after it is released.
        let (group_use, dma) = GroupUse::begin(device.group())?;
        // SAFETY: A registered device is in a set, until it is freed.
        let set = unsafe { device.lock_set() };
        // SAFETY: The set's lock is held.
        unsafe {
            count_open(&device, || {
                with_kvm(&device, device.group().kvm(), || {
                    device.group().permit(&dma)?;
                    open_driver(&device, dma, true).map(|_| ())
                })
            })?;
        }
        drop(set);
        // INVARIANT: Counted above.
        Ok(Self {
            device,
            keeper: Keeper::Group {
                _group_use: group_use,
                _file: group_file,
            },
        })
    }

    /// Opens a device past its group, for the user of an iommufd, and the virtual machine that `kvm`
    /// links with; answers with the number that the device has in the iommufd, too. There is one such
    /// user at a time. `prepare` is called with the set's lock held, and answers with the iommufd.
    ///
    /// # Errors
    ///
    /// Those of `prepare`; `EINVAL` if the device is open, `ENODEV` if the driver is going, else those of
    /// iommufd and of the driver.
    pub fn by_node(
        device: Registered<G>,
        prepare: impl FnOnce() -> Result<IommufdCtx>,
        kvm: &KvmLink,
        blocked: Blocked<G>,
    ) -> Result<(Self, u32)> {
        let raw = device.as_raw();
        // SAFETY: A registered device is in a set, until it is freed.
        let set = unsafe { device.lock_set() };
        let ctx = prepare()?;
        // SAFETY: The set's lock is held, which protects the fields.
        let id = unsafe {
            if (*raw).open_count != 0 {
                return Err(EINVAL);
            }
            let mut id = 0;
            count_open(&device, || {
                with_kvm(&device, kvm, || {
                    id = open_driver(&device, Dma::Iommufd(ctx), false)?;
                    Ok(())
                })
            })?;
            set_opened_by_node(raw, true);
            id
        };
        drop(set);
        // INVARIANT: Counted above.
        let opened = Self {
            device,
            keeper: Keeper::Node { _blocked: blocked },
        };
        Ok((opened, id))
    }

    /// The device.
    pub(crate) fn registered(&self) -> &Registered<G> {
        &self.device
    }

    /// Whether the device was opened by its own node.
    pub fn is_by_node(&self) -> bool {
        matches!(self.keeper, Keeper::Node { .. })
    }
}

/// Tells drivers whether a device was opened by its own node.
///
/// # Safety
///
/// The set's lock must be held.
unsafe fn set_opened_by_node(raw: *mut vb::vfio_device, opened: bool) {
    // SAFETY: The lock protects the byte of bit-fields.
    unsafe { vb::vfio_device::set_cdev_opened_raw(raw, opened.into()) };
}

/// Counts one more user; if it is the first, `first` opens the device, which is counted as open then
/// already, as drivers may pin pages at once.
///
/// # Safety
///
/// The set's lock must be held.
unsafe fn count_open<G>(device: &Registered<G>, first: impl FnOnce() -> Result) -> Result {
    // SAFETY: The set's lock protects the field.
    let count = unsafe { &raw mut (*device.as_raw()).open_count };
    // SAFETY: As above.
    unsafe {
        *count = (*count).checked_add(1).ok_or(EBUSY)?;
        if *count == 1 {
            first().inspect_err(|_| *count -= 1)?;
        }
    }
    Ok(())
}

/// Opens a device by `open` while the driver sees the virtual machine that `link` is to, if any.
///
/// # Safety
///
/// The set's lock must be held, and the device have no other users.
unsafe fn with_kvm<G>(
    device: &Registered<G>,
    link: &KvmLink,
    open: impl FnOnce() -> Result,
) -> Result {
    let raw = device.as_raw();
    // SAFETY: The set's lock protects the fields.
    unsafe {
        if let Some(kvm) = link.get() {
            let (kvm, put) = kvm.into_raw();
            (*raw).kvm = kvm;
            (*raw).put_kvm = Some(put);
        }
        open().inspect_err(|_| put_kvm(raw))
    }
}

/// Opens a device for its first user: `dma` is where its DMA is to go. A device that is opened by its group
/// (`by_group`) uses the address space for containers, if that is an iommufd. Answers with the number
/// that the device has in the iommufd. Undoes all of it on errors.
///
/// # Safety
///
/// The set's lock must be held, and the device must have no other users.
unsafe fn open_driver<G: DeviceGroup>(
    device: &Registered<G>,
    dma: Dma,
    by_group: bool,
) -> Result<u32> {
    let raw = device.as_raw();
    // SAFETY: The device is registered, so its driver is bound.
    let owner = unsafe { (*(*(*raw).dev).driver).owner };
    // SAFETY: The module cannot go while its driver is bound.
    if !unsafe { bindings::try_module_get(owner) } {
        return Err(ENODEV);
    }
    // SAFETY: The set's lock is held; the device has no users, so it is not connected.
    let opened = unsafe { connect(device, &dma) }.and_then(|id| {
        drop(device.set_dma(Some(dma)));
        // SAFETY: As above; it was connected just now, and is disconnected once.
        unsafe { call_open(device, by_group).inspect_err(|_| disconnect(device)) }?;
        Ok(id)
    });
    if opened.is_err() {
        // SAFETY: Taken above.
        unsafe { bindings::module_put(owner) };
    }
    opened
}

/// Lets the device use what its DMA is to go through; answers with its number in an iommufd.
///
/// # Safety
///
/// The set's lock must be held, and the device must not be connected.
unsafe fn connect<G: DeviceGroup>(device: &Registered<G>, dma: &Dma) -> Result<u32> {
    let raw = device.as_raw();
    let mut id = 0;
    match dma {
        // SAFETY: The device stays until it is closed.
        Dma::Container(translation) => unsafe { translation.register_device(device) },
        Dma::Iommufd(ctx) => {
            // SAFETY: The driver is bound; its operations are constant.
            let bind = unsafe { (*(*raw).ops).bind_iommufd }.ok_or(EINVAL)?;
            // SAFETY: All are valid, and the lock is held.
            to_result(unsafe { bind(raw, ctx.as_raw(), &mut id) })?;
        }
        Dma::Direct(_) => (),
    }
    Ok(id)
}

/// Undoes [`connect`], and forgets where the DMA of the device went.
///
/// # Safety
///
/// The set's lock must be held, and the device must be connected.
unsafe fn disconnect<G: DeviceGroup>(device: &Registered<G>) {
    let raw = device.as_raw();
    if let Some(translation) = device.translation() {
        // SAFETY: Registered by `connect`.
        unsafe { translation.unregister_device(device) };
    }
    let Some(dma) = device.set_dma(None) else {
        return;
    };
    if let Dma::Iommufd(_) = dma {
        // SAFETY: The driver is bound, and bound the device to the iommufd.
        unsafe {
            if let Some(unbind) = (*(*raw).ops).unbind_iommufd {
                unbind(raw);
            }
        }
    }
}

/// Has the driver open a device that is connected.
///
/// # Safety
///
/// As for [`disconnect`]; the device must not be open.
unsafe fn call_open<G: DeviceGroup>(device: &Registered<G>, by_group: bool) -> Result {
    let raw = device.as_raw();
    // SAFETY: The driver is bound, the lock is held, and the device is opened once.
    unsafe {
        let ops = &*(*raw).ops;
        ops.open_device
            .map_or(Ok(()), |open| to_result(open(raw)))?;
        let Some(ctx) = device.iommufd().filter(|_| by_group) else {
            return Ok(());
        };
        let attached = ctx.compat_ioas().and_then(|mut ioas| {
            let attach = ops.attach_ioas.ok_or(EINVAL)?;
            to_result(attach(raw, &mut ioas))
        });
        attached.inspect_err(|_| {
            if let Some(close) = ops.close_device {
                close(raw);
            }
        })
    }
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
        disconnect(device);
        (*raw).precopy_info_v2 = 0;
        bindings::module_put(owner);
    }
}

/// # Safety
///
/// The set's lock must be held, and nobody may use the device's virtual machine any more.
unsafe fn put_kvm(raw: *mut vb::vfio_device) {
    // SAFETY: The lock protects the fields, which `with_kvm` sets together.
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
        // SAFETY: As in `by_group`; one of the counts is ours by the type invariant.
        unsafe {
            let _set = self.device.lock_set();
            if (*raw).open_count == 1 {
                last_close(&self.device);
            }
            (*raw).open_count -= 1;
            if (*raw).open_count == 0 {
                put_kvm(raw);
            }
            if self.is_by_node() {
                set_opened_by_node(raw, false);
            }
        }
    }
}

/// What iommufd is asked of a device that is open.
impl<G: DeviceGroup> Opened<G> {
    /// Whether the driver knows PASIDs: to attach to, and to detach from.
    pub fn knows_pasids(&self) -> (bool, bool) {
        let ops = self.ops();
        (
            ops.pasid_attach_ioas.is_some(),
            ops.pasid_detach_ioas.is_some(),
        )
    }

    /// Attaches an address space or page tables to the device, or to one PASID of it, in place of those
    /// that are there. `pt` is their number, and becomes that of the page tables that are used.
    ///
    /// # Errors
    ///
    /// Those of the driver and of iommufd; what was attached stays so.
    pub fn attach(&self, pasid: Option<u32>, pt: &mut u32) -> Result {
        let (ops, raw) = (self.ops(), self.as_raw());
        // SAFETY: A registered device is in a set. The device is open, and the lock held.
        unsafe {
            let _set = self.device.lock_set();
            to_result(match pasid {
                Some(pasid) => ops.pasid_attach_ioas.ok_or_else(eopnotsupp)?(raw, pasid, pt),
                None => ops.attach_ioas.ok_or_else(eopnotsupp)?(raw, pt),
            })
        }
    }

    /// Undoes [`Self::attach`], if something is attached.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the driver does not know that.
    pub fn detach(&self, pasid: Option<u32>) -> Result {
        let (ops, raw) = (self.ops(), self.as_raw());
        // SAFETY: As in `attach`.
        unsafe {
            let _set = self.device.lock_set();
            match pasid {
                Some(pasid) => ops.pasid_detach_ioas.ok_or_else(eopnotsupp)?(raw, pasid),
                None => ops.detach_ioas.ok_or_else(eopnotsupp)?(raw),
            }
        }
        Ok(())
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

// The calls into the driver.
impl<G: DeviceGroup> Opened<G> {
    #[inline]
    fn ops(&self) -> &vb::vfio_device_ops {
        // SAFETY: The operations are constant, and there as long as the driver is bound.
        unsafe { &*(*self.as_raw()).ops }
    }

    /// Wakes the device up and keeps it so, if its driver does power management.
    ///
    /// # Errors
    ///
    /// The error with which waking it up failed.
    #[inline]
    pub fn power(&self) -> Result<Option<runtime_pm::Active<'_>>> {
        // SAFETY: The driver is bound as the device is open.
        let has_power = unsafe {
            let driver = (*(*self.as_raw()).dev).driver;
            !driver.is_null() && !(*driver).pm.is_null()
        };
        has_power
            .then(|| runtime_pm::active(self.parent()))
            .transpose()
    }

    /// Reads from the device; `EINVAL` if the driver does not.
    #[inline]
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
    #[inline]
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
    #[inline]
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
        match unsafe { get(self.as_raw(), info, core::ptr::from_mut(caps).cast()) } {
            0 => Ok(()),
            err => to_result(err),
        }
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
}

#[inline]
fn size(ret: isize) -> Result<usize> {
    usize::try_from(ret).map_err(|_| i32::try_from(ret).map_or(EINVAL, Error::from_errno))
}
