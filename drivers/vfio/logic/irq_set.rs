// SPDX-License-Identifier: GPL-2.0

//! Which `VFIO_DEVICE_SET_IRQS` are well-formed.

use crate::errno::{
    Result,
    EINVAL, //
};

/// `VFIO_IRQ_SET_DATA_NONE`: no data; what is asked for applies to all interrupts named.
pub const DATA_NONE: u32 = 1 << 0;
/// `VFIO_IRQ_SET_DATA_BOOL`: a byte for each interrupt says whether it applies.
pub const DATA_BOOL: u32 = 1 << 1;
/// `VFIO_IRQ_SET_DATA_EVENTFD`: an `i32` for each interrupt is an eventfd, or negative for none.
pub const DATA_EVENTFD: u32 = 1 << 2;
/// `VFIO_IRQ_SET_DATA_TYPE_MASK`: the bits that say what the data is.
pub const DATA_TYPE_MASK: u32 = DATA_NONE | DATA_BOOL | DATA_EVENTFD;
/// `VFIO_IRQ_SET_ACTION_TYPE_MASK`: the bits that say what to do: mask, unmask or trigger.
pub const ACTION_TYPE_MASK: u32 = 7 << 3;

const BEYOND: &str = "the device does not have so many interrupts of this kind";

/// The size of the header, in bytes.
pub const MIN_SIZE: u32 = 20;

/// The header, as user space gave it.
#[derive(Clone, Copy, Debug, Default)]
pub struct IrqSet {
    /// The size of header and data, in bytes.
    pub argsz: u32,
    /// One of the data bits, and actions.
    pub flags: u32,
    /// The kind of interrupt.
    pub index: u32,
    /// The first interrupt.
    pub start: u32,
    /// How many.
    pub count: u32,
}

impl IrqSet {
    /// Whether data follows, though it may be none.
    pub fn takes_data(&self) -> bool {
        self.flags & (DATA_BOOL | DATA_EVENTFD) != 0
    }

    /// Checks what needs no knowledge of the interrupts, for a device that has `kinds` kinds of them.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    #[inline]
    pub fn check(&self, kinds: u32) -> Result {
        if self.argsz < MIN_SIZE {
            return Err(EINVAL.because("argsz is less than the header"));
        }
        if self.index >= kinds {
            return Err(EINVAL.because("no such kind of interrupt"));
        }
        if self.flags & !(DATA_TYPE_MASK | ACTION_TYPE_MASK) != 0 {
            return Err(EINVAL.because("unknown flags"));
        }
        // The largest end is refused, as it always was.
        match self.start.checked_add(self.count) {
            None | Some(u32::MAX) => Err(EINVAL.because(BEYOND)),
            Some(_) => Ok(()),
        }
    }

    /// Checks the rest, for a device that has `num` interrupts of this kind; answers how many bytes of
    /// data follow.
    ///
    /// # Errors
    ///
    /// `EINVAL`.
    #[inline]
    pub fn data_size(&self, num: u32) -> Result<usize> {
        let data_space = self.argsz.checked_sub(MIN_SIZE).ok_or(EINVAL)?;
        let end = self.start.checked_add(self.count).ok_or(EINVAL)?;
        if self.start >= num || end > num {
            return Err(EINVAL.because(BEYOND));
        }
        let each: u32 = match self.flags & DATA_TYPE_MASK {
            DATA_NONE => 0,
            DATA_BOOL => 1,
            DATA_EVENTFD => 4,
            _ => return Err(EINVAL.because("not exactly one kind of data")),
        };
        let short = EINVAL.because("argsz is less than the header and the data");
        let size = self.count.checked_mul(each).ok_or(short)?;
        if size > data_space {
            return Err(short);
        }
        usize::try_from(size).map_err(|_| EINVAL)
    }
}
