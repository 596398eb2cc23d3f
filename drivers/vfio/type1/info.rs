// SPDX-License-Identifier: GPL-2.0

//! `VFIO_IOMMU_GET_INFO`.

use crate::container::Container;
use kernel::prelude::*;
use vfio_kapi::{
    uaccess::UserArg,
    uapi::{
        vfio_iommu_type1_info,
        Uapi,
        VFIO_IOMMU_INFO_CAPS,
        VFIO_IOMMU_INFO_PGSIZES, //
    },
};
use vfio_logic::type1_info;

/// The part of the structure that has always been there.
const MINSZ: usize = core::mem::offset_of!(vfio_iommu_type1_info, cap_offset);

/// Room for an answer with a handful of ranges.
const SMALL: usize = 192;

impl Container {
    /// Tells the page sizes and, if user space has room, the chain of capabilities.
    ///
    /// # Errors
    ///
    /// `EFAULT` for an argument that is not there, `EINVAL` if it is too small, `ENOMEM`.
    #[inline(never)]
    pub(crate) fn get_info(&self, arg: UserArg) -> Result {
        let mut info: vfio_iommu_type1_info = arg.read_argsz(MINSZ)?;
        let room = info.argsz as usize;
        info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;

        let state = self.state.lock();
        info.iova_pgsizes = state.page_sizes;
        let head = type1_info::INFO_BYTES as usize;
        let needed = head + type1_info::chain_len(state.usable.len())?;
        if room < needed {
            drop(state);
            info.argsz = needed as u32;
            return arg.write_prefix(&info, room);
        }

        // There are few ranges on most machines.
        let mut small = [0u8; SMALL];
        let mut large = KVec::new();
        let all = match small.get_mut(..needed) {
            Some(all) => all,
            None => {
                large.resize(needed, 0u8, GFP_KERNEL)?;
                large.as_mut_slice()
            }
        };
        let (info_bytes, chain) = all.split_at_mut(head);
        type1_info::write_chain(chain, state.page_sizes, state.available, &state.usable)?;
        drop(state);
        info.cap_offset = type1_info::INFO_BYTES;
        info_bytes.copy_from_slice(info.as_bytes());
        arg.write_bytes(all)
    }
}

const _: () = assert!(size_of::<vfio_iommu_type1_info>() == type1_info::INFO_BYTES as usize);
