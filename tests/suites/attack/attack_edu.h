/* SPDX-License-Identifier: GPL-2.0 */
/* The DMA engine of QEMU's edu device, whose BAR 0 is the first region. It starts a tenth of a second after it is told to. */
#ifndef ATTACK_EDU_H
#define ATTACK_EDU_H

#include "attack.h"

#define MIB (1UL << 20)

/* Where its own buffer is, in its own addresses. */
#define BUFFER 0x40000
#define EDU_SOURCE 0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_RUN 1
#define EDU_TO_MEMORY 2
/* Nothing else is mapped there. */
#define BOUNCE (192 * MIB)

static inline void set_register(int device, unsigned reg, uint64_t value)
{
	if (pwrite(device, &value, sizeof(value), reg) != sizeof(value))
		fail("edu: register %x", reg);
}

static inline uint64_t get_register(int device, unsigned reg)
{
	uint64_t value;

	if (pread(device, &value, sizeof(value), reg) != sizeof(value))
		fail("edu: register %x", reg);
	return value;
}

static inline bool dma_runs(int device)
{
	return get_register(device, EDU_COMMAND) & EDU_RUN;
}

/* Between its buffer and an address, with or without EDU_TO_MEMORY. It has not begun yet when this returns. */
static inline void start_dma(int device, uint64_t iova, unsigned bytes, unsigned way)
{
	set_register(device, EDU_SOURCE, way ? BUFFER : iova);
	set_register(device, EDU_DESTINATION, way ? iova : BUFFER);
	set_register(device, EDU_COUNT, bytes);
	set_register(device, EDU_COMMAND, EDU_RUN | way);
}

static inline void finish_dma(int device)
{
	for (int tries = 0; dma_runs(device); tries++) {
		if (tries == 12000)
			fail("edu: the DMA does not end");
		usleep(5000);
	}
}

static inline void dma(int device, uint64_t iova, unsigned bytes, unsigned way)
{
	start_dma(device, iova, bytes, way);
	finish_dma(device);
}

/* A page of its user's that it may reach, for as long as it takes to move its buffer. */
static inline uint64_t through_bounce(struct vfio_user *user, uint64_t value, unsigned way)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .iova = BOUNCE, .size = PAGE };
	volatile uint64_t *bounce = memory(PAGE);

	bounce[0] = bounce[1] = value;
	if (map(user->container, BOUNCE, (void *)bounce, PAGE))
		fail("mapping");
	dma(user->device, BOUNCE, 16, way);
	if (ioctl(user->container, VFIO_IOMMU_UNMAP_DMA, &arg))
		fail("unmapping");
	value = bounce[0];
	munmap((void *)bounce, PAGE);
	return value;
}

/* Twice this value. */
static inline void fill_buffer(struct vfio_user *user, uint64_t value)
{
	through_bounce(user, value, 0);
}

static inline uint64_t buffer_of(struct vfio_user *user)
{
	return through_bounce(user, 0, EDU_TO_MEMORY);
}

/* Lets it be read and written, and have DMA. */
static inline void let_it(int device)
{
	set_config(device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

#endif
