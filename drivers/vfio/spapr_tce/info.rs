// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_SPAPR_TCE_GET_INFO`.

use crate::container::{
    Container,
    State, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use vfio_kapi::{
    tce_group::GroupInfo,
    uaccess::UserArg,
    uapi::{
        vfio_iommu_spapr_tce_ddw_info,
        vfio_iommu_spapr_tce_info,
        VFIO_IOMMU_SPAPR_INFO_DDW, //
    },
};

/// The part of the structure that has always been there.
const MINSZ: usize = offset_of!(vfio_iommu_spapr_tce_info, ddw);

impl State {
    /// What the first group can do; the others can as well.
    fn group_info(&self) -> Result<GroupInfo> {
        self.groups.first().map(|g| g.info()).ok_or(ENXIO)
    }
}

impl Container {
    /// Tells the window below 4 GiB, and what windows user space can make if it has room for that.
    ///
    /// # Errors
    ///
    /// `EPERM` in another process, `ENXIO` without a group, `EFAULT` for an argument that is not there,
    /// `EINVAL` if it is too small.
    pub(crate) fn get_info(&self, arg: UserArg) -> Result {
        self.check(|state| state.group_info().map(|_| ()))?;
        let mut info: vfio_iommu_spapr_tce_info = arg.read_argsz(MINSZ)?;
        let group = self.lock_for_user()?.group_info()?;
        info.dma32_window_start = group.dma32_start;
        info.dma32_window_size = group.dma32_size;
        info.flags = 0;
        if self.v2 && group.max_windows != 0 {
            info.flags = VFIO_IOMMU_SPAPR_INFO_DDW;
            info.ddw = vfio_iommu_spapr_tce_ddw_info {
                pgsizes: group.limits.page_sizes,
                max_dynamic_windows_supported: group.max_windows,
                levels: group.limits.max_levels,
            };
        }
        let whole = size_of::<vfio_iommu_spapr_tce_info>();
        let room = info.argsz as usize;
        arg.write_prefix(&info, if room >= whole { whole } else { MINSZ })
    }
}
