// SPDX-License-Identifier: GPL-2.0

//! The type1 backend as `vfio.ko` sees it.

use crate::{
    container::Container,
    debugfs::Listed, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use vfio_kapi::{
    group_kind::GroupKind,
    iommu_driver::{
        Access,
        DeviceList,
        DmaData,
        IommuDriver,
        PageSlots, //
    },
    iommu_group::IommuGroup,
    registry::Entry,
    uaccess::UserArg,
    uapi, //
};

const TYPE1_IOMMU: usize = uapi::VFIO_TYPE1_IOMMU as usize;
const TYPE1V2_IOMMU: usize = uapi::VFIO_TYPE1v2_IOMMU as usize;
const DMA_CC_IOMMU: usize = uapi::VFIO_DMA_CC_IOMMU as usize;
const UNMAP_ALL: usize = uapi::VFIO_UNMAP_ALL as usize;
const UPDATE_VADDR: usize = uapi::VFIO_UPDATE_VADDR as usize;

const GET_INFO: u32 = uapi::ioctl(12);
const MAP_DMA: u32 = uapi::ioctl(13);
const UNMAP_DMA: u32 = uapi::ioctl(14);
const DIRTY_PAGES: u32 = uapi::ioctl(17);

impl IommuDriver for Listed {
    const NAME: &'static CStr = c"vfio-iommu-type1";
    type OwnerModule = crate::LocalModule;
    const EMULATED: bool = true;

    fn check_extension(this: Option<&Self>, extension: usize) -> usize {
        let supported = match extension {
            TYPE1_IOMMU | TYPE1V2_IOMMU | UNMAP_ALL => true,
            UPDATE_VADDR => this.is_some_and(|c| !c.has_emulated()),
            DMA_CC_IOMMU => this.is_some_and(|c| c.is_coherent()),
            _ => false,
        };
        usize::from(supported)
    }

    fn open(kind: usize) -> Result<impl PinInit<Self, Error>> {
        let v2 = match kind {
            TYPE1_IOMMU => false,
            TYPE1V2_IOMMU => true,
            _ => return Err(EINVAL),
        };
        let container = Arc::pin_init(Container::new(v2), GFP_KERNEL_ACCOUNT)?;
        // The inner one is the initializer: a value that is there.
        Ok(Entry::new(container).map(Listed))
    }

    fn release(&self) {
        self.empty();
    }

    fn ioctl(&self, devices: &DeviceList, cmd: u32, arg: UserArg) -> Result<isize> {
        match cmd {
            GET_INFO => self.get_info(arg),
            MAP_DMA => self.map_dma(arg),
            UNMAP_DMA => self.unmap_dma(devices, arg),
            DIRTY_PAGES => self.dirty_pages(arg),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }

    fn attach_group(&self, group: &IommuGroup, kind: GroupKind) -> Result {
        self.attach(group, kind)
    }

    fn detach_group(&self, devices: &DeviceList, group: &IommuGroup) {
        self.detach(devices, group);
    }

    fn pin_pages(
        &self,
        devices: &DeviceList,
        group: &IommuGroup,
        iova: u64,
        access: Access,
        pages: &mut PageSlots<'_>,
    ) -> Result {
        self.pin_external(devices, group, iova, access, pages)
    }

    fn unpin_pages(&self, iova: u64, pages: u64) {
        self.unpin_external(iova, pages);
    }

    fn dma_rw(&self, iova: u64, data: DmaData<'_>) -> Result {
        self.read_write(iova, data)
    }
}
