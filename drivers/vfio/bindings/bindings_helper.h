/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bindgen reads for the vfio_bindings crate: the kernel's VFIO headers,
 * those that the kernel's own bindings leave out, and our helpers.
 */
#include <linux/anon_inodes.h>
#include <linux/cdev.h>
#include <linux/dma-buf-mapping.h>
#include <linux/eventfd.h>
#include <linux/interval_tree.h>
#include <linux/iommu.h>
#include <linux/iommufd.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iova_bitmap.h>
#include <linux/irqbypass.h>
#include <linux/miscdevice.h>
#include <linux/msi.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/pseudo_fs.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>
#include <linux/vgaarb.h>
#include <uapi/linux/vfio.h>

/* drivers/vfio/vfio.h: what vfio.ko and its IOMMU backends share. */
#include "vfio.h"
/* drivers/vfio/pci/vfio_pci_priv.h: one exported function is declared there. */
#include "pci/vfio_pci_priv.h"

#include <vfio_helpers.h>

#ifdef CONFIG_EEH
#include <asm/eeh.h>
#endif
#ifdef CONFIG_SPAPR_TCE_IOMMU
#include <asm/iommu.h>
#include <asm/mmu_context.h>

#include <vfio_helpers_tce.h>
#endif

/* What bindgen does not take as macros, for their casts. */
const fmode_t VFIO_CONST_FMODE_PREAD_PWRITE = FMODE_PREAD | FMODE_PWRITE;
const pci_power_t VFIO_CONST_PCI_D0 = PCI_D0;
const pci_power_t VFIO_CONST_PCI_D3HOT = PCI_D3hot;
