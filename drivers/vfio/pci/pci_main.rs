// SPDX-License-Identifier: GPL-2.0

//! `vfio-pci`: gives any PCI function to user space.
//!
//! A thin driver: which devices it takes and how they behave is here, the work is done by
//! `vfio-pci-core`, through its C interface.

#![crate_name = "vfio_pci"]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod abi;
#[cfg(CONFIG_VFIO_PCI_IGD)]
mod igd;

use kernel::{
    device::Core,
    fmt,
    pci,
    prelude::*,
    str::BStr, //
};
#[cfg(CONFIG_VFIO_PCI_IGD)]
use vfio_kapi::pci::core_driver::CoreDevice;
use vfio_kapi::pci::{
    core_driver::{
        Adapter,
        Behaviour,
        DeviceOps, //
    },
    driver::Registration, //
};
use vfio_logic::pci_driver::{
    entries,
    is_denied,
    DynId, //
};

// The name is that of the module as the kernel knows it; it stands before the messages.
module! {
    type: Module,
    name: "vfio_pci",
    authors: ["VFIO in Rust"],
    description: "VFIO PCI - User Level meta-driver",
    license: "GPL v2",
}

vfio_kapi::override_only_table!(VFIO_PCI_TABLE);

/// What this driver decides.
struct VfioPci;

impl DeviceOps for VfioPci {
    const NAME: &'static CStr = c"vfio-pci";

    fn probe(pdev: &pci::Device<Core<'_>>) -> Result {
        let (vendor, device) = (pdev.vendor_id().as_raw(), pdev.device_id());
        if !is_denied(vendor, device) {
            return Ok(());
        }
        if abi::DISABLE_DENYLIST.get() {
            dev_warn!(
                pdev,
                "device denylist disabled - allowing device {vendor:04x}:{device:04x}.\n"
            );
            return Ok(());
        }
        dev_warn!(
            pdev,
            "{vendor:04x}:{device:04x} exists in vfio-pci device denylist, driver probing disallowed.\n"
        );
        Err(EINVAL)
    }

    fn behaviour() -> Behaviour {
        Behaviour {
            nointxmask: abi::NOINTXMASK.get(),
            disable_idle_d3: abi::DISABLE_IDLE_D3.get(),
            disable_vga: abi::DISABLE_VGA.get(),
        }
    }

    #[cfg(CONFIG_VFIO_PCI_IGD)]
    fn enabled(dev: &CoreDevice) -> Result {
        if !igd::is_graphics(dev.pdev()) {
            return Ok(());
        }
        igd::add_regions(dev).inspect_err(|_| {
            dev_warn!(dev.pdev(), "Failed to setup Intel IGD regions\n");
        })
    }

    fn may_configure_sriov() -> Result {
        if abi::ENABLE_SRIOV.get() {
            Ok(())
        } else {
            Err(ENOENT)
        }
    }
}

/// A [`DynId`] as the messages show it.
struct Shown<'a>(&'a DynId);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DynId {
            vendor,
            device,
            subvendor,
            subdevice,
            class,
            class_mask,
        } = self.0;
        write!(
            f,
            "[{vendor:04x}:{device:04x}[{subvendor:04x}:{subdevice:04x}]] class {class:#08x}/{class_mask:08x}"
        )
    }
}

#[pin_data]
struct Module {
    #[pin]
    driver: Registration<Adapter<VfioPci>>,
}

impl Module {
    /// Adds what the parameter `ids=` lists. An entry that is wrong is reported and skipped.
    fn fill_ids(&self) {
        for entry in entries(abi::IDS.get()) {
            let Some(id) = DynId::parse(entry) else {
                pr_warn!("invalid id string \"{}\"\n", BStr::from_bytes(entry));
                continue;
            };
            match self.driver.add_dynid(&id) {
                Ok(()) => pr_info!("add {}\n", Shown(&id)),
                Err(err) => pr_warn!(
                    "failed to add dynamic id {} ({})\n",
                    Shown(&id),
                    err.to_errno()
                ),
            }
        }
    }
}

impl kernel::InPlaceModule for Module {
    /// Registers the PCI driver, with what the parameter `ids` lists.
    ///
    /// Context: process context of who loads the module; may sleep.
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            driver <- Registration::new(module, c"vfio_pci", &VFIO_PCI_TABLE),
        })
        .pin_chain(|this| {
            this.fill_ids();
            if abi::DISABLE_DENYLIST.get() {
                pr_warn!("device denylist disabled.\n");
            }
            Ok(())
        })
    }
}
