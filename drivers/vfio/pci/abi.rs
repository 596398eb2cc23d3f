// SPDX-License-Identifier: GPL-2.0

//! Where this module meets C: its parameters.

use vfio_kapi::param::{
    BoolParam,
    StringParam, //
};

// SAFETY: `params.c` defines these with these types, and only the parameter core writes to them;
// to the string before the module is initialized only, as it has no file in sysfs.
unsafe extern "C" {
    /// What the driver is to match from the start.
    #[link_name = "vfio_pci_ids"]
    pub(crate) safe static IDS: StringParam<1024>;
    /// Mask INTx at the interrupt controller even if the device could do it.
    #[link_name = "vfio_pci_nointxmask"]
    pub(crate) safe static NOINTXMASK: BoolParam;
    /// Do not offer the legacy VGA ranges.
    #[link_name = "vfio_pci_disable_vga"]
    pub(crate) safe static DISABLE_VGA: BoolParam;
    /// Leave devices in full power while nobody uses them.
    #[link_name = "vfio_pci_disable_idle_d3"]
    pub(crate) safe static DISABLE_IDLE_D3: BoolParam;
    /// Allow to set the number of virtual functions.
    #[link_name = "vfio_pci_enable_sriov"]
    pub(crate) safe static ENABLE_SRIOV: BoolParam;
    /// Take devices on the denylist too.
    #[link_name = "vfio_pci_disable_denylist"]
    pub(crate) safe static DISABLE_DENYLIST: BoolParam;
}
