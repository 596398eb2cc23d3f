// SPDX-License-Identifier: GPL-2.0

//! What may be done with a group and with a container, and when.

use crate::errno::{
    Result,
    EBUSY,
    EINVAL,
    ENODEV,
    EPERM, //
};

/// All devices of the group may be given to user space.
pub const STATUS_VIABLE: u32 = 1 << 0;
/// The group is in a container.
pub const STATUS_CONTAINER_SET: u32 = 1 << 1;

/// The state of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// It has devices with a driver of VFIO.
    pub present: bool,
    /// It is open.
    pub opened: bool,
    /// It is in a container, or has an iommufd for one.
    pub attached: bool,
    /// How many of its devices use the container.
    pub users: usize,
    /// How many of its devices were opened by their own nodes, and bound to an iommufd.
    pub bound: usize,
    /// Nothing is between its devices and memory.
    pub noiommu: bool,
}

impl Group {
    /// Opens it. One at a time; for `raw_io` see [`Self::permit`].
    ///
    /// # Errors
    ///
    /// `ENODEV` if its last device is gone, `EPERM` if the task may not, `EBUSY` if it is open or a
    /// device of it is used without it.
    pub fn open(&self, raw_io: impl FnOnce() -> bool) -> Result {
        if !self.present {
            return Err(ENODEV);
        }
        self.permit(raw_io)?;
        if self.opened || self.bound > 0 {
            return Err(EBUSY);
        }
        Ok(())
    }

    /// Binds a device of it to an iommufd past the group. Either the group is used, or its devices are.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the group is open.
    pub fn bind(&self) -> Result {
        if self.opened {
            return Err(EBUSY.because("it is open"));
        }
        Ok(())
    }

    /// Whether the task may use it. `raw_io` answers whether the task may do I/O past the kernel, and
    /// is only asked if it has to: a device without IOMMU writes wherever its user tells it to.
    ///
    /// # Errors
    ///
    /// `EPERM` if it may not.
    pub fn permit(&self, raw_io: impl FnOnce() -> bool) -> Result {
        if self.noiommu && !raw_io() {
            return Err(EPERM.because("the group has no IOMMU, and the task no CAP_SYS_RAWIO"));
        }
        Ok(())
    }

    /// Whether the task may use a group without IOMMU that has an iommufd for a container. `has_ioas`
    /// answers whether that has an address space for containers: who made one expects translation.
    ///
    /// # Errors
    ///
    /// `EPERM` if it may not.
    pub fn permit_direct(
        &self,
        raw_io: impl FnOnce() -> bool,
        has_ioas: impl FnOnce() -> bool,
    ) -> Result {
        self.permit(raw_io)?;
        if has_ioas() {
            return Err(EPERM.because("the group has no IOMMU, but its iommufd an address space"));
        }
        Ok(())
    }

    /// Puts it into a container.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is in one, `ENODEV` if its last device is gone.
    pub fn attach(&self) -> Result {
        match self {
            Self { attached: true, .. } => Err(EINVAL.because("it is in a container")),
            Self { present: false, .. } => Err(ENODEV),
            _ => Ok(()),
        }
    }

    /// Takes it out of its container.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is in none, `EBUSY` if devices are open.
    pub fn detach(&self) -> Result {
        match self {
            Self {
                attached: false, ..
            } => Err(EINVAL.because("it is in no container")),
            Self { users: 1.., .. } => Err(EBUSY.because("devices of it are open")),
            _ => Ok(()),
        }
    }

    /// Opens a device of it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is in no container.
    pub fn open_device(&self) -> Result {
        if !self.attached {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// The flags of its status; `claimed` answers whether somebody has the DMA of its devices.
    ///
    /// # Errors
    ///
    /// `ENODEV` if its last device is gone.
    pub fn status(&self, claimed: impl FnOnce() -> bool) -> Result<u32> {
        match self {
            Self { present: false, .. } => Err(ENODEV),
            Self { attached: true, .. } => Ok(STATUS_VIABLE | STATUS_CONTAINER_SET),
            _ if claimed() => Ok(0),
            _ => Ok(STATUS_VIABLE),
        }
    }
}

/// The state of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// How many groups are in it.
    pub groups: usize,
    /// It has a backend.
    pub backend: bool,
    /// Its groups have no IOMMU.
    pub noiommu: bool,
}

impl Container {
    /// Adds a group, which has no IOMMU if `noiommu`.
    ///
    /// # Errors
    ///
    /// `EPERM` if the groups in it are of the other kind.
    pub fn add(&self, noiommu: bool) -> Result {
        if self.groups > 0 && self.noiommu != noiommu {
            return Err(EPERM.because("only one of the groups in the container has an IOMMU"));
        }
        Ok(())
    }

    /// Whether a backend is for the groups in it. One is either for all groups without IOMMU, if
    /// `noiommu`, or for all others; as long as there is no group, both may come.
    pub fn suits(&self, noiommu: bool) -> bool {
        self.groups == 0 || self.noiommu == noiommu
    }

    /// Chooses a backend.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no group, by which user space gets the right to, or there is a backend.
    pub fn set_backend(&self) -> Result {
        if self.groups == 0 {
            return Err(EINVAL.because("no group is in the container"));
        }
        if self.backend {
            return Err(EINVAL.because("the container has a backend"));
        }
        Ok(())
    }
}

/// The most pages that may be pinned or unpinned at once, of pages of `page_size` bytes.
pub const fn max_pinned(page_size: usize) -> usize {
    page_size / size_of::<usize>()
}
