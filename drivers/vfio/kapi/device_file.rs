// SPDX-License-Identifier: GPL-2.0

//! The file of a VFIO device.
//!
//! One that comes from the device's group can be used at once; one that was opened by the device's own
//! node only once it is bound to an iommufd, and then until it is closed.
//!
//! C header: `drivers/vfio/vfio.h`, `struct vfio_device_file`

use crate::{
    device_lifecycle::Registered,
    device_open::{
        Blocked,
        DeviceGroup,
        Opened, //
    },
    fops::{
        FileOperations,
        FileOps,
        NewFile, //
    },
    holders::Holder,
    iommufd::IommufdCtx,
    kvm::KvmLink, //
};
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::SetOnce, //
};

/// What an open file of a device owns.
#[pin_data]
pub struct DeviceFile<G: DeviceGroup> {
    // Dropped first: the device is closed before its registration is given back.
    opened: SetOnce<Opened<G>>,
    // Gone before unregistration may end.
    _holder: Holder,
    device: Registered<G>,
    #[pin]
    kvm: KvmLink,
}

impl<G: DeviceGroup> DeviceFile<G> {
    fn new(device: Registered<G>) -> Result<Pin<KBox<Self>>> {
        let holder = device.holders().enter()?;
        KBox::pin_init(
            pin_init!(Self {
                opened: SetOnce::new(),
                _holder: holder,
                device,
                kvm <- KvmLink::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// That of a device that is being opened by its own node.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn by_node(device: &Registered<G>) -> Result<Pin<KBox<Self>>> {
        Self::new(device.clone())
    }

    /// Makes the file of a device that was opened by its group. Mappings of all files of a device are
    /// found by one inode.
    ///
    /// # Errors
    ///
    /// `ENFILE` or `ENOMEM`; the device is closed then.
    pub fn by_group<T: FileOps<Ptr = Pin<KBox<Self>>>>(
        opened: Opened<G>,
        fops: &'static FileOperations<T>,
        name: &'static CStr,
    ) -> Result<NewFile> {
        let data = Self::new(opened.registered().clone())?;
        data.opened.populate(opened);
        let inode = data.inode();
        let file = fops.open_anon(name, data)?;
        // SAFETY: The file owns the data, which keeps the device and so the inode.
        unsafe { file.set_mapping(inode) };
        Ok(file)
    }

    /// The device.
    pub fn device(&self) -> &Registered<G> {
        &self.device
    }

    /// The open device; `None` as long as it may not be used.
    pub fn opened(&self) -> Option<&Opened<G>> {
        self.opened.as_ref()
    }

    /// The virtual machine that the file is linked with.
    pub fn kvm(&self) -> &KvmLink {
        &self.kvm
    }

    /// The inode that mappings of the device's files belong to; valid as long as this.
    pub(crate) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: It is set before the device is published, and goes with it.
        unsafe { (*self.device.as_raw()).inode }
    }

    /// Opens the device for the user of an iommufd, which `prepare` answers with. `tell` is called with the
    /// number that the device has there; then it may be used, unless that fails.
    ///
    /// # Errors
    ///
    /// Those of [`Opened::by_node`] and of `tell`; the device is closed then.
    pub fn bind(
        &self,
        prepare: impl FnOnce() -> Result<IommufdCtx>,
        blocked: Blocked<G>,
        tell: impl FnOnce(u32) -> Result,
    ) -> Result {
        let (opened, id) = Opened::by_node(self.device.clone(), prepare, &self.kvm, blocked)?;
        tell(id)?;
        // There is one such user of a device at a time, so nobody was faster.
        if !self.opened.populate(opened) {
            return Err(EINVAL);
        }
        Ok(())
    }
}
