// SPDX-License-Identifier: GPL-2.0

//! Devices that drivers give to VFIO: made, registered, unregistered and freed.

use kernel::{
    device::Device,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    types::ScopeGuard, //
};
use vfio_kapi::{
    chrdev::{
        ChrdevRegion,
        Class,
        DeviceNode,
        MINOR_MAX, //
    },
    device_lifecycle::{
        Draining,
        OwnedDevice,
        Registration,
        UnregisteredDevice,
        Wait, //
    },
    device_set::DeviceSets,
    group_kind::GroupKind,
    ida::Ida,
    iommu_group::{
        device_iommu_capable,
        has_iommu,
        IommuCap, //
    },
    module_static::ModuleStatic,
    pseudo_fs::PseudoFs,
    taint,
    versions::this_module, //
};

use crate::{
    debugfs,
    device_file,
    group::Group,
    noiommu, //
};

/// `/sys/class/vfio-dev`; the nodes are for opening devices without a group.
pub(crate) static CLASS: Class = Class::new(c"vfio-dev", c"vfio/devices/");

/// All device sets.
pub(crate) static SETS: ModuleStatic<DeviceSets> = ModuleStatic::new();

static INDICES: ModuleStatic<Ida> = ModuleStatic::new();

/// The numbers of nodes of devices, on kernels that have them.
static NUMBERS: ModuleStatic<Mutex<Option<Arc<ChrdevRegion>>>> = ModuleStatic::new();

// "VFIO"
const MAGIC: usize = 0x5646_494f;

/// Where the inodes are that mappings of devices belong to.
static FS: PseudoFs<MAGIC> = PseudoFs::new(c"vfio", this_module::<crate::LocalModule>());

/// How long the driver has to get users off a device before it is asked again.
const REQUEST_SECONDS: u32 = 10;

pub(crate) fn init() -> Result {
    SETS.init(DeviceSets::new())?;
    NUMBERS.init(new_mutex!(None, "vfio::device::NUMBERS"))?;
    INDICES.init(Ida::new())
}

/// Devices can have nodes while this exists.
pub(crate) struct Numbers(());

impl Numbers {
    pub(crate) fn new() -> Result<Self> {
        if cfg!(CONFIG_VFIO_DEVICE_CDEV) {
            *NUMBERS.get().lock() = Some(ChrdevRegion::new(c"vfio-dev")?);
        }
        Ok(Self(()))
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        // Not under the lock: what a region does when it goes is no business of it.
        let region = NUMBERS.get().lock().take();
        drop(region);
    }
}

/// The node for a device, on kernels that have them.
fn node() -> Result<Option<DeviceNode<Group>>> {
    match &*NUMBERS.get().lock() {
        Some(region) => device_file::node(region).map(Some),
        None => Ok(None),
    }
}

/// Sets up a device, up to what the driver does itself.
///
/// # Errors
///
/// `ENOSPC` if there are too many devices, `ENOMEM`, or those of the driver. The device is freed.
pub(crate) fn set_up(mut device: OwnedDevice, parent: &Device) -> Result<OwnedDevice> {
    device.set_index(
        INDICES
            .get()
            .alloc_max(MINOR_MAX)
            .inspect_err(|_| dev_dbg!(parent, "Error to alloc index\n"))?,
    );
    let inode = FS.new_inode();
    match inode.and_then(|inode| {
        device.set_inode(inode);
        device.driver_init()
    }) {
        Ok(()) => Ok(device),
        Err(err) => {
            release(device);
            Err(err)
        }
    }
}

/// Frees a device that was set up.
pub(crate) fn release(mut device: OwnedDevice) {
    SETS.get().leave(&mut device);
    INDICES.get().free(device.index());
}

/// Registers a device that is in a set.
///
/// # Errors
///
/// `EINVAL` if it is in no IOMMU group and was not to be used without, or its DMA is not coherent with
/// the caches and so user space could see old data; if the driver cannot be used with iommufd, which this
/// kernel has; else those of sysfs, or `ENOMEM`. Nothing has changed then.
pub(crate) fn register(mut device: UnregisteredDevice, kind: GroupKind) -> Result {
    let parent: ARef<Device> = device.parent().into();
    if !device.has_iommufd_ops() {
        dev_warn!(parent, "vfio: the driver lacks operations for iommufd\n");
        return Err(EINVAL);
    }
    // Whether it may be used without its group and without IOMMU; the group has its own idea of that.
    device.set_noiommu(
        cfg!(CONFIG_IOMMUFD_NOIOMMU)
            && kind == GroupKind::Iommu
            && noiommu::is_enabled()
            && !has_iommu(&parent),
    );
    let prefix = if device.has_no_iommu() {
        c"noiommu-"
    } else {
        c""
    };
    let group = Group::join(&parent, kind)?;
    let undo = ScopeGuard::new_with_data(group.clone(), |group| group.leave(&parent));
    let noiommu = noiommu::is_for(&group, &device);
    if noiommu && cfg!(CONFIG_IOMMUFD_NOIOMMU) {
        taint::by_user();
        dev_warn!(parent, "Adding kernel taint for vfio-noiommu cdev\n");
    }
    if kind == GroupKind::Iommu
        && !noiommu
        && !device_iommu_capable(&parent, IommuCap::CacheCoherency)
    {
        return Err(EINVAL);
    }
    let node = if noiommu && !cfg!(CONFIG_IOMMUFD_NOIOMMU) {
        None
    } else {
        node()?
    };
    let mut registration = device.register(group.clone(), prefix, node)?;
    debugfs::add_device(&mut registration);
    if let Err(registration) = group.add(registration) {
        registration.retire().finish();
        return Err(ENOMEM);
    }
    undo.dismiss();
    Ok(())
}

/// Says who keeps a device that is being unregistered.
fn log_holders(device: &Draining<Group>, waited: u32) {
    let parent = device.device().parent();
    match device.holders().names() {
        Ok(Some(names)) => dev_warn!(
            parent,
            "Device is still in use after {waited} s, opened by {}\n",
            &*names
        ),
        Ok(None) => dev_warn!(
            parent,
            "Device is still in use after {waited} s, by no open file: another driver keeps it\n"
        ),
        Err(_) => dev_warn!(parent, "Device is still in use after {waited} s\n"),
    }
}

/// Unregisters a device that cannot be opened any more; returns when it is closed.
pub(crate) fn unregister(registration: Registration<Group>) {
    let mut device = registration.retire();
    let mut uninterruptible = false;
    let mut requests: u32 = 0;
    let mut waited: u32 = 0;
    while !device.is_drained() {
        device.request(requests);
        requests = requests.wrapping_add(1);
        match device.wait(REQUEST_SECONDS, uninterruptible) {
            Wait::Done => break,
            Wait::TimedOut => {
                waited = waited.saturating_add(REQUEST_SECONDS);
                log_holders(&device, waited);
            }
            Wait::Interrupted => {
                uninterruptible = true;
                let task = kernel::current!();
                dev_warn!(
                    device.device().parent(),
                    "Device is currently in use, task \"{}\" ({}) blocked until device is released\n",
                    vfio_kapi::task::comm(),
                    task.pid(),
                );
            }
        }
    }
    let parent: ARef<Device> = device.device().parent().into();
    device.finish().leave(&parent);
}
