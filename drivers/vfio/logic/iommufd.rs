// SPDX-License-Identifier: GPL-2.0

//! What may be asked of a device that is used by iommufd: the arguments of the ioctls, and who owns
//! the devices that are reset together.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::errno::{
    Result,
    EINVAL,
    ENOENT,
    EOPNOTSUPP, //
};

/// `VFIO_DEVICE_BIND_FLAG_TOKEN`: a token comes with the call.
pub const BIND_TOKEN: u32 = 1 << 0;
/// `VFIO_DEVICE_ATTACH_PASID`: for one PASID of the device only.
pub const ATTACH_PASID: u32 = 1 << 0;
/// `VFIO_DEVICE_DETACH_PASID`
pub const DETACH_PASID: u32 = 1 << 0;

/// Checks the arguments of `VFIO_DEVICE_BIND_IOMMUFD`: whether there is a token.
///
/// # Errors
///
/// `EINVAL` for unknown flags and for a descriptor that cannot be one.
pub fn bind(flags: u32, iommufd: i32) -> Result<bool> {
    if iommufd < 0 {
        return Err(EINVAL.because("the iommufd is negative"));
    }
    if flags & !BIND_TOKEN != 0 {
        return Err(EINVAL.because("unknown flags"));
    }
    Ok(flags & BIND_TOKEN != 0)
}

/// Checks the arguments of `VFIO_DEVICE_ATTACH_IOMMUFD_PT` and `VFIO_DEVICE_DETACH_IOMMUFD_PT`: whether
/// a PASID is to be read. With one the structure has `full` bytes, of which user space gave `argsz`;
/// `supported` tells whether the driver knows PASIDs.
///
/// # Errors
///
/// `EINVAL` for unknown flags and for a structure too short for a PASID, `EOPNOTSUPP` if the driver
/// knows none.
pub fn has_pasid(flags: u32, argsz: u32, full: usize, supported: bool) -> Result<bool> {
    const { assert!(ATTACH_PASID == DETACH_PASID) };
    match flags {
        0 => Ok(false),
        ATTACH_PASID if !supported => Err(EOPNOTSUPP.because("the driver knows no PASIDs")),
        ATTACH_PASID if (argsz as usize) < full => {
            Err(EINVAL.because("argsz ends before the PASID"))
        }
        ATTACH_PASID => Ok(true),
        _ => Err(EINVAL.because("unknown flags")),
    }
}

/// What somebody who uses an iommufd has to do with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It is bound to the iommufd and has this number there.
    Bound(u32),
    /// It is not bound, but another device of its group is, so nobody else can have it.
    ByGroup,
    /// Nothing.
    None,
}

impl Ownership {
    /// From what `vfio_iommufd_get_dev_id()` answers: a number that is not 0, or a negative errno.
    pub fn from_answer(answer: i32) -> Self {
        match answer {
            1.. => Self::Bound(answer.unsigned_abs()),
            _ if answer == -ENOENT.get() => Self::ByGroup,
            _ => Self::None,
        }
    }

    /// Whether a reset of the device harms nobody else.
    pub fn is_owned(self) -> bool {
        self != Self::None
    }

    /// The field `devid` of `struct vfio_pci_dependent_device`: the number, or
    /// `VFIO_PCI_DEVID_OWNED` (0) or `VFIO_PCI_DEVID_NOT_OWNED` (-1).
    pub fn devid(self) -> u32 {
        match self {
            Self::Bound(id) => id,
            Self::ByGroup => 0,
            Self::None => u32::MAX,
        }
    }
}

/// Checks the arguments of a hot reset, which has to prove ownership: by group files for a device that
/// was opened by its group, by being bound to an iommufd, and no files, for one that was opened by its
/// own node.
///
/// # Errors
///
/// `EINVAL` for flags and for the wrong one of the two.
pub fn hot_reset(flags: u32, files: u32, opened_by_node: bool) -> Result {
    match (flags, files, opened_by_node) {
        (1.., _, _) => Err(EINVAL.because("unknown flags")),
        (0, 0, false) => {
            Err(EINVAL.because("no files of groups, and the device is used by its group"))
        }
        (0, 1.., true) => Err(EINVAL.because("files of groups, but the device is used by iommufd")),
        (0, 0, true) | (0, 1.., false) => Ok(()),
    }
}
