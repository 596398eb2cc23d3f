// SPDX-License-Identifier: GPL-2.0
/*
 * Linked into the kernel's VFIO selftests: the IOMMU mode of those that have no variants of their own
 * is "iommufd" there, which the stock kernel lacks; here VFIO_IOMMU_MODE chooses it.
 */
#include <stdlib.h>

extern const char *default_iommu_mode;

static void __attribute__((constructor)) choose_iommu_mode(void)
{
	const char *mode = getenv("VFIO_IOMMU_MODE");

	default_iommu_mode = mode && *mode ? mode : "vfio_type1v2_iommu";
}
