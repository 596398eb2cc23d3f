/* SPDX-License-Identifier: GPL-2.0 */
/* The PCI device that a program of this suite has open, and what several of them ask of it. */
#ifndef FAULTS_PCI_H
#define FAULTS_PCI_H

#include "faults.h"

static const char *bdf;
static struct vfio_user u;

static inline uint64_t region_offset(unsigned int index, uint64_t *size, uint32_t *flags)
{
	struct vfio_region_info r = { .argsz = sizeof(r), .index = index };

	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &r))
		r.size = r.flags = 0;
	if (size)
		*size = r.size;
	if (flags)
		*flags = r.flags;
	return r.offset;
}

static inline long reset(void)
{
	return ioctl(u.device, VFIO_DEVICE_RESET);
}

static inline long hot_reset(void)
{
	struct {
		struct vfio_pci_hot_reset head;
		int groups[1];
	} arg = { { .argsz = sizeof(arg), .count = 1 }, { u.group } };

	return ioctl(u.device, VFIO_DEVICE_PCI_HOT_RESET, &arg);
}

#endif
