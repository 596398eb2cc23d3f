// SPDX-License-Identifier: GPL-2.0

//! A driver above `vfio-pci-core`, for one kind of device: QEMU's `edu`.
//!
//! Everything that all PCI devices need is done by `vfio-pci-core.ko`; what a *variant* driver adds is in
//! its implementation of [`DeviceOps`]. This one adds a region with a text that is its own, and replaces
//! a register of configuration space. `tests/suites/samples/sample_user.c` looks at both.
//!
//! ```sh
//! echo vfio-sample-variant >/sys/bus/pci/devices/0000:00:02.0/driver_override
//! echo 0000:00:02.0 >/sys/bus/pci/drivers_probe
//! ```

#![crate_name = "vfio_sample_variant"]
#![deny(unsafe_code)]

use kernel::{
    device::Core,
    pci,
    prelude::*,
    str::CString,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use vfio_kapi::{
    pci::{
        core_driver::{
            Adapter,
            CoreDevice,
            DeviceOps, //
        },
        core_region::ReadRegion,
        driver::Registration, //
    },
    uaccess::UserArg,
    uapi, //
};

module! {
    type: Module,
    name: "vfio_sample_variant",
    authors: ["VFIO in Rust"],
    description: "Sample of a variant driver of vfio-pci",
    license: "GPL v2",
}

// Takes a device only if its `driver_override` names this driver. The alias that this makes also tells
// libvirt and others that the driver is one of VFIO's.
vfio_kapi::override_only_table!(IDS);

const VENDOR: u16 = 0x1234;
const EDU: u16 = 0x11e8;

/// The type and subtype by which user space finds the region: those of the vendor are free for it to use.
const STORY: (u32, u32) = (uapi::VFIO_REGION_TYPE_PCI_VENDOR_TYPE | VENDOR as u32, 1);

/// Subsystem vendor and device.
const SUBSYSTEM: u16 = 0x2c;

/// How often a device was opened.
static OPENED: Atomic<u32> = Atomic::new(0);

/// A text that the user can read.
struct Story(CString);

impl ReadRegion for Story {
    fn size(&self) -> usize {
        self.0.count_bytes()
    }

    fn read(&self, pos: u64, count: usize, to: UserArg) -> Result {
        let start = usize::try_from(pos)?;
        let end = start.checked_add(count).ok_or(EINVAL)?;
        to.write_bytes(self.0.to_bytes().get(start..end).ok_or(EINVAL)?)
    }
}

/// What this driver does its own way.
struct Variant;

impl DeviceOps for Variant {
    const NAME: &'static CStr = c"vfio-sample-variant";

    fn probe(pdev: &pci::Device<Core<'_>>) -> Result {
        let (vendor, device) = (pdev.vendor_id().as_raw(), pdev.device_id());
        if (vendor, device) != (VENDOR, EDU) {
            dev_warn!(pdev, "{vendor:04x}:{device:04x} is no edu\n");
            return Err(ENODEV);
        }
        Ok(())
    }

    fn may_configure_sriov() -> Result {
        Err(ENOENT)
    }

    // The device is enabled, and the user does not have it yet: what is added here goes when it is closed.
    fn enabled(dev: &CoreDevice) -> Result {
        let count = OPENED.fetch_add(1, Relaxed).wrapping_add(1);
        let text =
            CString::try_from_fmt(fmt!("opened {count} times since the driver was loaded\n"))?;
        dev.add_region(STORY, KBox::new(Story(text), GFP_KERNEL_ACCOUNT)?)?;
        dev.virtualize(SUBSYSTEM, b"RUST")
    }
}

#[pin_data]
struct Module {
    #[pin]
    _driver: Registration<Adapter<Variant>>,
}

impl kernel::InPlaceModule for Module {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- Registration::new(module, c"vfio_sample_variant", &IDS),
        })
    }
}
