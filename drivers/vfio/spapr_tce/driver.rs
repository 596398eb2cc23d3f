// SPDX-License-Identifier: GPL-2.0

//! The POWER backend as `vfio.ko` sees it.

use crate::{
    container::Container,
    debugfs::Listed, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use vfio_kapi::{
    eeh,
    group_kind::GroupKind,
    iommu_driver::{
        DeviceList,
        IommuDriver, //
    },
    iommu_group::IommuGroup,
    registry::Entry,
    uaccess::UserArg,
    uapi, //
};
use vfio_logic::tce;

const TCE_IOMMU: usize = tce::V1 as usize;
const TCE_V2_IOMMU: usize = tce::V2 as usize;
const EEH: usize = uapi::VFIO_EEH as usize;

const GET_INFO: u32 = uapi::ioctl(12);
const MAP_DMA: u32 = uapi::ioctl(13);
const UNMAP_DMA: u32 = uapi::ioctl(14);
const ENABLE: u32 = uapi::ioctl(15);
const DISABLE: u32 = uapi::ioctl(16);
const REGISTER_MEMORY: u32 = uapi::ioctl(17);
const UNREGISTER_MEMORY: u32 = uapi::ioctl(18);
const CREATE_WINDOW: u32 = uapi::ioctl(19);
const REMOVE_WINDOW: u32 = uapi::ioctl(20);
const EEH_PE_OP: u32 = uapi::ioctl(21);

impl IommuDriver for Listed {
    const NAME: &'static CStr = c"iommu-vfio-powerpc";
    type OwnerModule = crate::LocalModule;

    fn check_extension(_this: Option<&Self>, extension: usize) -> usize {
        match extension {
            TCE_IOMMU | TCE_V2_IOMMU => 1,
            EEH => usize::from(eeh::is_enabled()),
            _ => 0,
        }
    }

    fn open(kind: usize) -> Result<impl PinInit<Self, Error>> {
        let v2 = match kind {
            TCE_IOMMU => false,
            TCE_V2_IOMMU => true,
            _ => return Err(EINVAL),
        };
        let container = Arc::pin_init(Container::new(v2), GFP_KERNEL_ACCOUNT)?;
        // The inner one is the initializer: a value that is there.
        Ok(Entry::new(container).map(Listed))
    }

    fn release(&self) {
        self.empty();
    }

    fn ioctl(&self, _devices: &DeviceList, cmd: u32, arg: UserArg) -> Result<isize> {
        match (cmd, self.v2) {
            (EEH_PE_OP, _) => return self.eeh_operation(arg),
            (GET_INFO, _) => self.get_info(arg),
            (MAP_DMA, _) => self.map_dma(arg),
            (UNMAP_DMA, _) => self.unmap_dma(arg),
            (ENABLE, false) => self.enable(),
            (DISABLE, false) => self.disable(),
            (REGISTER_MEMORY, true) => self.register_memory(arg),
            (UNREGISTER_MEMORY, true) => self.unregister_memory(arg),
            (CREATE_WINDOW, true) => self.create_window(arg),
            (REMOVE_WINDOW, true) => self.remove_window(arg),
            _ => self.check(|_| Err(ENOTTY)),
        }?;
        Ok(0)
    }

    fn attach_group(&self, group: &IommuGroup, kind: GroupKind) -> Result {
        self.attach(group, kind)
    }

    fn detach_group(&self, _devices: &DeviceList, group: &IommuGroup) {
        self.detach(group);
    }
}
