// SPDX-License-Identifier: GPL-2.0
/* What module! cannot say about vfio.ko. */
#include <linux/module.h>
#include <linux/moduleparam.h>

bool vfio_enable_unsafe_noiommu_mode;
module_param_named(enable_unsafe_noiommu_mode, vfio_enable_unsafe_noiommu_mode,
		   bool, 0644);
MODULE_PARM_DESC(enable_unsafe_noiommu_mode,
		 "Enable UNSAFE, no-IOMMU mode.  This mode provides no device isolation, no DMA translation, no host kernel protection, cannot be used for device assignment to virtual machines, requires RAWIO permissions, and will taint the kernel.  If you do not know what this is for, step away. (default: false)");

MODULE_VERSION("0.3");
MODULE_IMPORT_NS("IOMMUFD");
#if IS_ENABLED(CONFIG_IOMMUFD)
MODULE_IMPORT_NS("IOMMUFD_VFIO");
#endif
MODULE_SOFTDEP("post: vfio_iommu_type1 vfio_iommu_spapr_tce");
