/* SPDX-License-Identifier: GPL-2.0 */
/* What is asked of the devices of vfio_test_emulated.ko. */
#ifndef EMULATED_H
#define EMULATED_H

#include "../proc.h"
#include "../transcript.h"
#include "module/vfio_test_emulated.h"

/* IOMMU_READ, IOMMU_WRITE of the kernel */
#define READ 1
#define WRITE 2

static inline int command(int device, struct test_emulated *c)
{
	if (write(device, c, sizeof(*c)) != sizeof(*c))
		return -ENXIO;
	return c->ret;
}

static inline int pin(int device, uint64_t iova, uint32_t count, uint32_t prot, uint32_t flags)
{
	struct test_emulated c = { .command = TEST_PIN, .iova = iova, .count = count, .prot = prot, .flags = flags };

	return command(device, &c);
}

static inline int unpin(int device, uint64_t iova, uint32_t count, uint32_t flags)
{
	struct test_emulated c = { .command = TEST_UNPIN, .iova = iova, .count = count, .flags = flags };

	return command(device, &c);
}

static inline int dma_rw(int device, enum test_command what, uint64_t iova, void *buffer, uint32_t count, uint32_t flags)
{
	struct test_emulated c = {
		.command = what, .iova = iova, .count = count, .flags = flags, .address = (uint64_t)buffer,
	};

	return command(device, &c);
}

static inline int map(int container, uint64_t iova, void *vaddr, uint64_t size, uint32_t prot)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = prot, .iova = iova, .vaddr = (uint64_t)vaddr, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &m) ? -errno : 0;
}

/* The number of bytes that were unmapped, or the error. */
static inline int64_t unmap(int container, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u), .flags = flags, .iova = iova, .size = size };

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u) ? -errno : (int64_t)u.size;
}

#endif
