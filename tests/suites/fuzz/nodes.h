/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Steps on devices' own nodes and on iommufd, where the kernel has them. Numbers of iommufd's objects are the same on
 * every run: each file counts its own.
 */
#ifndef FUZZ_NODES_H
#define FUZZ_NODES_H

#include "steps.h"

#include <dirent.h>
#include <linux/iommufd.h>

static void x_open_node(const uint64_t *a)
{
	const struct target *t = &targets[a[1] % target_count];
	char path[300];
	struct dirent *entry;
	DIR *dir;

	if (is_there(a[0], a))
		return;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", t->bdf);
	dir = opendir(path);
	strcpy(path, "/dev/vfio/devices/none");
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(path, sizeof(path), "/dev/vfio/devices/%.200s", entry->d_name);
	if (dir)
		closedir(dir);
	keep(a[0], open(path, a[2] ? O_RDONLY : O_RDWR), a[1] % target_count);
}

static void x_open_iommufd(const uint64_t *a)
{
	if (!is_there(a[0], a))
		keep(a[0], open("/dev/iommu", O_RDWR), 0);
}

static void x_bind(const uint64_t *a)
{
	struct vfio_device_bind_iommufd bind = { .argsz = a[2], .flags = a[4], .iommufd = slot(a[1]) };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_BIND_IOMMUFD, place(a[3], &bind, sizeof(bind))));
}

static void x_attach(const uint64_t *a)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = a[2], .flags = a[4], .pt_id = a[1], .pasid = a[5] };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_ATTACH_IOMMUFD_PT, place(a[3], &attach, sizeof(attach))));
}

static void x_detach(const uint64_t *a)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = a[1], .flags = a[3], .pasid = a[4] };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_DETACH_IOMMUFD_PT, place(a[2], &detach, sizeof(detach))));
}

static void x_ioas_alloc(const uint64_t *a)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc), .flags = a[1] };

	note_call(ioctl(slot(a[0]), IOMMU_IOAS_ALLOC, place(0, &alloc, sizeof(alloc))));
}

static void x_ioas_map(const uint64_t *a)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .flags = a[5], .ioas_id = a[1], .user_va = address(a[2]), .iova = a[3], .length = a[4] };

	note_call(ioctl(slot(a[0]), IOMMU_IOAS_MAP, place(0, &map, sizeof(map))));
}

static void x_ioas_unmap(const uint64_t *a)
{
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = a[1], .iova = a[2], .length = a[3] };

	note_call(ioctl(slot(a[0]), IOMMU_IOAS_UNMAP, place(0, &unmap, sizeof(unmap))));
}

static void x_destroy(const uint64_t *a)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = a[1] };

	note_call(ioctl(slot(a[0]), IOMMU_DESTROY, place(0, &destroy, sizeof(destroy))));
}

static void x_hwpt_alloc(const uint64_t *a)
{
	struct iommu_hwpt_alloc alloc = { .size = sizeof(alloc), .flags = a[3], .dev_id = a[1], .pt_id = a[2] };

	note_call(ioctl(slot(a[0]), IOMMU_HWPT_ALLOC, place(0, &alloc, sizeof(alloc))));
}

static void x_vfio_ioas(const uint64_t *a)
{
	struct iommu_vfio_ioas ioas = { .size = sizeof(ioas), .op = a[1], .ioas_id = a[2] };

	note_call(ioctl(slot(a[0]), IOMMU_VFIO_IOAS, place(0, &ioas, sizeof(ioas))));
}

/* A dma-buf of the device, or anything else, as memory. */
static void x_ioas_map_file(const uint64_t *a)
{
	struct iommu_ioas_map_file map = {
		.size = sizeof(map), .flags = a[5], .ioas_id = a[1], .fd = slot(a[2]), .start = a[6], .iova = a[3], .length = a[4] };

	note_call(ioctl(slot(a[0]), IOMMU_IOAS_MAP_FILE, place(0, &map, sizeof(map))));
}

#endif
