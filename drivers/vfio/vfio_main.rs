// SPDX-License-Identifier: GPL-2.0

//! VFIO - User Level meta-driver.
//!
//! The core: containers, groups and devices as files, and what bus drivers and IOMMU backends
//! register with. Lock order, from the outside in:
//!
//! 1. the lock of a device set (`vfio_device_set.lock`, which drivers take too)
//! 2. `group::GROUPS`, the list of groups
//! 3. the state of a group
//! 4. the state of a container
//! 5. `container::BACKENDS`, the list of backends
//! 6. the devices of a group; the link of a group with KVM
//!
//! Drivers open and close devices under 1 only. Backends are called under 3 to 5 to attach and
//! detach groups, and without a lock for all else. That may last for as long as a user likes, so 3
//! is not waited for with 1 or 2 held.

#![crate_name = "vfio"]
#![deny(unsafe_code)]

use kernel::{
    prelude::*,
    sync::Arc, //
};
use vfio_kapi::{
    chrdev::ClassRegistration,
    misc::MiscDevice,
    print,
    virqfds::SerialQueue, //
};

#[allow(unsafe_code)]
mod abi;
mod container;
mod debugfs;
mod device;
mod device_cdev;
mod device_file;
mod feature;
mod group;
mod group_file;
mod noiommu;
mod virqfd;

module! {
    type: Vfio,
    name: "vfio",
    authors: ["VFIO in Rust"],
    description: "VFIO - User Level meta-driver",
    license: "GPL v2",
    alias: ["devname:vfio/vfio", "char-major-10-196"],
}

/// What is there while the module is loaded; undone from top to bottom.
struct Vfio {
    _debugfs: debugfs::Root,
    _device_numbers: device::Numbers,
    _device_class: ClassRegistration,
    _virqfds: virqfd::Started,
    _group_numbers: group::Numbers,
    _group_class: ClassRegistration,
    _container: MiscDevice,
    _backends: container::Backends,
}

impl kernel::Module for Vfio {
    /// Makes `/dev/vfio/vfio`, the classes and numbers of the nodes, the queue of eventfd handlers
    /// and the folder of debugfs; what was made goes again if the rest fails.
    ///
    /// Context: process context of who loads the module; may sleep.
    fn init(_module: &'static ThisModule) -> Result<Self> {
        debugfs::init()?;
        container::init()?;
        group::init()?;
        device::init()?;
        virqfd::init()?;

        let backends = container::Backends::new()?;
        let container =
            container::register().inspect_err(|_| pr_err!("misc device register failed\n"))?;
        let group_class = group::CLASS.register()?;
        let group_numbers = group::Numbers::new()?;
        let virqfds = virqfd::Started::new(Arc::new(
            SerialQueue::new(c"vfio-irqfd-cleanup")?,
            GFP_KERNEL,
        )?);
        let device_class = device::CLASS.register()?;
        let device_numbers = device::Numbers::new()?;
        let debugfs = debugfs::Root::new()?;

        print::info(c"VFIO - User Level meta-driver version: 0.3");
        Ok(Self {
            _debugfs: debugfs,
            _device_numbers: device_numbers,
            _device_class: device_class,
            _virqfds: virqfds,
            _group_numbers: group_numbers,
            _group_class: group_class,
            _container: container,
            _backends: backends,
        })
    }
}
