// SPDX-License-Identifier: GPL-2.0
/*
 * The parameters of vfio-pci; abi.rs sees the variables.  The descriptions are
 * what modinfo shows, and scripts look for them: they are those of Linux.
 */
#include <linux/module.h>
#include <vfio_pci_params.h>

char vfio_pci_ids[VFIO_PCI_IDS_LEN];
module_param_string(ids, vfio_pci_ids, sizeof(vfio_pci_ids), 0);
MODULE_PARM_DESC(ids, "Initial PCI IDs to add to the vfio driver, format is \"vendor:device[:subvendor[:subdevice[:class[:class_mask]]]]\" and multiple comma separated entries can be specified");

bool vfio_pci_nointxmask;
module_param_named(nointxmask, vfio_pci_nointxmask, bool, 0644);
MODULE_PARM_DESC(nointxmask, "Disable support for PCI 2.3 style INTx masking.  If this resolves problems for specific devices, report lspci -vvvxxx to linux-pci@vger.kernel.org so the device can be fixed automatically via the broken_intx_masking flag.");

bool vfio_pci_disable_vga;
#ifdef CONFIG_VFIO_PCI_VGA
module_param_named(disable_vga, vfio_pci_disable_vga, bool, 0444);
MODULE_PARM_DESC(disable_vga, "Disable VGA resource access through vfio-pci");
#endif

bool vfio_pci_disable_idle_d3;
module_param_named(disable_idle_d3, vfio_pci_disable_idle_d3, bool, 0644);
MODULE_PARM_DESC(disable_idle_d3, "Disable using the PCI D3 low power state for idle, unused devices");

bool vfio_pci_enable_sriov;
#ifdef CONFIG_PCI_IOV
module_param_named(enable_sriov, vfio_pci_enable_sriov, bool, 0644);
MODULE_PARM_DESC(enable_sriov, "Enable support for SR-IOV configuration.  Enabling SR-IOV on a PF typically requires support of the userspace PF driver, enabling VFs without such support may result in non-functional VFs or PF.");
#endif

bool vfio_pci_disable_denylist;
module_param_named(disable_denylist, vfio_pci_disable_denylist, bool, 0444);
MODULE_PARM_DESC(disable_denylist, "Disable use of device denylist. Disabling the denylist allows binding to devices with known errata that may lead to exploitable stability or security issues when accessed by untrusted users.");
