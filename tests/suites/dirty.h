/* SPDX-License-Identifier: GPL-2.0 */
/* Dirty tracking of a container. */
#ifndef DIRTY_H
#define DIRTY_H

#include "vfio_user.h"

/* VFIO_IOMMU_DIRTY_PAGES_FLAG_START or _STOP. */
static inline long tracking(int container, uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap arg = { .argsz = sizeof(arg), .flags = flags };

	return ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

/* One bit a page; `bytes` is the size of the bitmap. */
static inline long read_dirty(int container, uint64_t iova, uint64_t size, void *bitmap, size_t bytes)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {
		{ sizeof(arg), VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		{ iova, size, { PAGE, bytes, bitmap } },
	};

	return ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

#endif
