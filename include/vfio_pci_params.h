/* SPDX-License-Identifier: GPL-2.0 */
/* The parameters of vfio-pci.ko: defined in params.c, read by abi.rs. */
#ifndef _VFIO_PCI_PARAMS_H
#define _VFIO_PCI_PARAMS_H

#include <linux/types.h>

/* As abi.rs has it. */
#define VFIO_PCI_IDS_LEN 1024

extern char vfio_pci_ids[VFIO_PCI_IDS_LEN];
extern bool vfio_pci_nointxmask;
extern bool vfio_pci_disable_vga;
extern bool vfio_pci_disable_idle_d3;
extern bool vfio_pci_enable_sriov;
extern bool vfio_pci_disable_denylist;

#endif /* _VFIO_PCI_PARAMS_H */
