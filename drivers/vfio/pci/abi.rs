// SPDX-License-Identifier: GPL-2.0

//! Where this module meets C: its parameters.

use vfio_kapi::param::{
    BoolParam,
    StringParam, //
};

unsafe extern "C" {
    // SAFETY: `params.c` defines it with this type, and the parameter core writes to it before the
    // module is initialized only: it has no file in sysfs.
    /// What the driver is to match from the start.
    #[link_name = "vfio_pci_ids"]
    pub(crate) safe static IDS: StringParam<1024>;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Mask INTx at the interrupt controller even if the device could do it.
    #[link_name = "vfio_pci_nointxmask"]
    pub(crate) safe static NOINTXMASK: BoolParam;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Do not offer the legacy VGA ranges.
    #[link_name = "vfio_pci_disable_vga"]
    pub(crate) safe static DISABLE_VGA: BoolParam;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Leave devices in full power while nobody uses them.
    #[link_name = "vfio_pci_disable_idle_d3"]
    pub(crate) safe static DISABLE_IDLE_D3: BoolParam;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Allow to set the number of virtual functions.
    #[link_name = "vfio_pci_enable_sriov"]
    pub(crate) safe static ENABLE_SRIOV: BoolParam;
    // SAFETY: `params.c` defines it with this type, and only the parameter core writes to it.
    /// Take devices on the denylist too.
    #[link_name = "vfio_pci_disable_denylist"]
    pub(crate) safe static DISABLE_DENYLIST: BoolParam;
}
