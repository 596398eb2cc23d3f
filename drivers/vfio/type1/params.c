// SPDX-License-Identifier: GPL-2.0
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

bool vfio_type1_allow_unsafe_interrupts;
module_param_named(allow_unsafe_interrupts, vfio_type1_allow_unsafe_interrupts,
		   bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Enable VFIO IOMMU support for on platforms without interrupt remapping support.");

bool vfio_type1_disable_hugepages;
module_param_named(disable_hugepages, vfio_type1_disable_hugepages, bool, 0644);
MODULE_PARM_DESC(disable_hugepages,
		 "Disable VFIO IOMMU support for IOMMU hugepages.");

unsigned int vfio_type1_dma_entry_limit = U16_MAX;
module_param_named(dma_entry_limit, vfio_type1_dma_entry_limit, uint, 0644);
MODULE_PARM_DESC(dma_entry_limit,
		 "Maximum number of user DMA mappings per container (65535).");

MODULE_VERSION("0.2");
