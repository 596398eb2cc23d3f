// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_GET_INFO`.

use crate::container::Container;
use kernel::prelude::*;
use vfio_kapi::{
    uaccess::UserArg,
    uapi::{
        vfio_iommu_type1_info,
        VFIO_IOMMU_INFO_CAPS,
        VFIO_IOMMU_INFO_PGSIZES, //
    },
};
use vfio_logic::type1_info;

/// The part of the structure that has always been there.
const MINSZ: usize = core::mem::offset_of!(vfio_iommu_type1_info, cap_offset);

impl Container {
    /// Tells the page sizes and, if user space has room, the chain of capabilities.
    ///
    /// # Errors
    ///
    /// `EFAULT` for an argument that is not there, `EINVAL` if it is too small, `ENOMEM`.
    pub(crate) fn get_info(&self, arg: UserArg) -> Result {
        let mut info: vfio_iommu_type1_info = arg.read_argsz(MINSZ)?;
        let room = info.argsz;

        let mut chain = KVec::new();
        let state = self.state.lock();
        chain.resize(type1_info::chain_len(state.usable.len())?, 0u8, GFP_KERNEL)?;
        type1_info::write_chain(&mut chain, state.page_sizes, state.available, &state.usable)?;
        info.iova_pgsizes = state.page_sizes;
        drop(state);

        info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
        let head = type1_info::INFO_BYTES as usize;
        let needed = head + chain.len();
        if (room as usize) < needed {
            info.argsz = needed as u32;
        } else {
            arg.offset(head).writer(chain.len()).write_slice(&chain)?;
            info.cap_offset = type1_info::INFO_BYTES;
        }
        arg.write_prefix(&info, room as usize)
    }
}

const _: () = assert!(size_of::<vfio_iommu_type1_info>() == type1_info::INFO_BYTES as usize);
