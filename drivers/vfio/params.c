// SPDX-License-Identifier: GPL-2.0
/* What module! cannot say about vfio.ko. */
#include <linux/module.h>

MODULE_VERSION("0.3");
MODULE_IMPORT_NS("IOMMUFD");
MODULE_SOFTDEP("post: vfio_iommu_type1 vfio_iommu_spapr_tce");
