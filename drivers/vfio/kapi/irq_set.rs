// SPDX-License-Identifier: GPL-2.0

//! The argument of `VFIO_DEVICE_SET_IRQS`.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h)

use crate::uaccess::UserArg;
use kernel::{
    error::to_result,
    prelude::*, //
};
use vfio_bindings as vb;

/// What comes before the data.
pub struct Header(vb::vfio_irq_set);

impl Header {
    /// The size in bytes; the data follows.
    pub const SIZE: usize = core::mem::offset_of!(vb::vfio_irq_set, data);

    /// Reads it, unchecked.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    #[inline]
    pub fn read(arg: UserArg) -> Result<Self> {
        let mut words = [[0; size_of::<u32>()]; Self::SIZE / size_of::<u32>()];
        arg.read_bytes(words.as_flattened_mut())?;
        let [argsz, flags, index, start, count] = words.map(u32::from_ne_bytes);
        Ok(Self(vb::vfio_irq_set {
            argsz,
            flags,
            index,
            start,
            count,
            data: Default::default(),
        }))
    }

    /// Checks it by the rules of `vfio.ko` for an index with `max` interrupts, of `indices` indices;
    /// gives the length of the data in bytes.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    #[inline]
    pub fn check(&mut self, max: u32, indices: u32) -> Result<usize> {
        let mut len = 0;
        // SAFETY: Both pointers are valid for the call, which looks at the header only.
        to_result(unsafe {
            vb::vfio_set_irqs_validate_and_prepare(
                &mut self.0,
                max.try_into()?,
                indices.try_into()?,
                &mut len,
            )
        })?;
        Ok(len)
    }

    /// What is to be done, and of what kind the data is.
    #[inline]
    pub fn flags(&self) -> u32 {
        self.0.flags
    }

    /// Which interrupts.
    #[inline]
    pub fn index(&self) -> u32 {
        self.0.index
    }

    /// The first interrupt of the index.
    #[inline]
    pub fn start(&self) -> u32 {
        self.0.start
    }

    /// The number of interrupts.
    #[inline]
    pub fn count(&self) -> u32 {
        self.0.count
    }
}
