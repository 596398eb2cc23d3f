// SPDX-License-Identifier: GPL-2.0

//! Devices that drivers give to VFIO: made, registered, unregistered and freed.

use kernel::{
    device::Device,
    prelude::*,
    types::ScopeGuard, //
};
use vfio_kapi::{
    chrdev::{
        Class,
        MINOR_MAX, //
    },
    device_lifecycle::{
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
        IommuCap, //
    },
    module_static::ModuleStatic,
    pseudo_fs::PseudoFs, //
};

use crate::group::Group;

/// `/sys/class/vfio-dev`; the nodes are for opening devices without a group.
pub(crate) static CLASS: Class = Class::new(c"vfio-dev", c"vfio/devices/");

/// All device sets.
pub(crate) static SETS: ModuleStatic<DeviceSets> = ModuleStatic::new();

static INDICES: ModuleStatic<Ida> = ModuleStatic::new();

// "VFIO"
const MAGIC: usize = 0x5646_494f;

/// Where the inodes are that mappings of devices belong to.
static FS: PseudoFs<MAGIC> =
    PseudoFs::new(c"vfio", kernel::module::this_module::<crate::LocalModule>());

/// How long the driver has to get users off a device before it is asked again.
const REQUEST_SECONDS: u32 = 10;

pub(crate) fn init() -> Result {
    SETS.init(DeviceSets::new())?;
    INDICES.init(Ida::new())
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
/// `EINVAL` if it is in no IOMMU group and was not to be used without, or its DMA is not coherent with the caches and so user space
/// could see old data; else those of sysfs, or `ENOMEM`. Nothing has changed then.
pub(crate) fn register(device: UnregisteredDevice, kind: GroupKind) -> Result {
    let parent = device.parent().into();
    let parent: kernel::sync::aref::ARef<Device> = parent;
    let group = Group::join(&parent, kind)?;
    let undo = ScopeGuard::new_with_data(group.clone(), |group| group.leave(&parent));
    if group.kind == GroupKind::Iommu && !device_iommu_capable(&parent, IommuCap::CacheCoherency) {
        return Err(EINVAL);
    }
    let registration = device.register(group.clone())?;
    if let Err(registration) = group.add(registration) {
        registration.retire().finish();
        return Err(ENOMEM);
    }
    undo.dismiss();
    Ok(())
}

/// Unregisters a device that cannot be opened any more; returns when it is closed.
pub(crate) fn unregister(registration: Registration<Group>) {
    let mut device = registration.retire();
    let mut uninterruptible = false;
    let mut requests: u32 = 0;
    while !device.is_drained() {
        device.request(requests);
        requests = requests.wrapping_add(1);
        match device.wait(REQUEST_SECONDS, uninterruptible) {
            Wait::Done => break,
            Wait::TimedOut => (),
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
    let parent: kernel::sync::aref::ARef<Device> = device.device().parent().into();
    device.finish().leave(&parent);
}
