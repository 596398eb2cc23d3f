// SPDX-License-Identifier: GPL-2.0

//! The backend for groups without IOMMU: `VFIO_NOIOMMU_IOMMU`.
//!
//! There is no address space, so nothing can be mapped: user space finds out the physical addresses of
//! its memory, and the device reaches every other address as well. Hence all that leads there is for
//! those who may do I/O past the kernel, and nothing of it exists unless the administrator has asked
//! for it with the parameter `enable_unsafe_noiommu_mode`.

use kernel::prelude::*;
use vfio_kapi::{
    group_kind::GroupKind,
    iommu_driver::{
        DeviceList,
        IommuDriver, //
    },
    iommu_group::IommuGroup,
    task,
    uaccess::UserArg,
    uapi,
    vfio_device::VfioDevice, //
};

use crate::{
    abi::vfio_enable_unsafe_noiommu_mode,
    group::Group, //
};

const NOIOMMU_IOMMU: usize = uapi::VFIO_NOIOMMU_IOMMU as usize;

/// Whether the administrator has asked for it, right now. Devices that are registered, and containers
/// that have the backend, keep what they have.
pub(crate) fn is_enabled() -> bool {
    vfio_enable_unsafe_noiommu_mode.get()
}

/// Whether nothing is between memory and a device of `group`, be it used by its group or past it.
pub(crate) fn is_for(group: &Group, device: &VfioDevice) -> bool {
    group.kind == GroupKind::NoIommu || device.has_no_iommu()
}

/// What a container has of the backend: nothing.
pub(crate) struct NoIommu;

impl IommuDriver for NoIommu {
    const NAME: &'static CStr = c"vfio-noiommu";
    type OwnerModule = crate::LocalModule;

    fn check_extension(_this: Option<&Self>, extension: usize) -> usize {
        usize::from(extension == NOIOMMU_IOMMU && is_enabled())
    }

    fn open(kind: usize) -> Result<impl PinInit<Self, Error>> {
        if kind != NOIOMMU_IOMMU {
            return Err(EINVAL);
        }
        if !task::has_raw_io() {
            return Err(EPERM);
        }
        // The inner one is the initializer: a value that is there.
        Ok(Ok(Self))
    }

    fn ioctl(&self, _devices: &DeviceList, _cmd: u32, _arg: UserArg) -> Result<isize> {
        Err(ENOTTY)
    }

    fn attach_group(&self, _group: &IommuGroup, _kind: GroupKind) -> Result {
        Ok(())
    }

    fn detach_group(&self, _devices: &DeviceList, _group: &IommuGroup) {}
}
