/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices by their own nodes, and /dev/iommu.
 */
#ifndef IOMMUFD_USER_H
#define IOMMUFD_USER_H

#include "../vfio_user.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/iommufd.h>

/* The name of the device's node below /dev/vfio/devices; "none" if there is none right now. For a PCI function, or a
 * platform device, whose name has no colon.
 */
static inline const char *node_name(const char *device)
{
	static __thread char name[64];
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/vfio-dev", strchr(device, ':') ? "pci" : "platform", device);
	strcpy(name, "none");
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(name, sizeof(name), "%.60s", entry->d_name);
	if (dir)
		closedir(dir);
	return name;
}

static inline int open_node(const char *bdf)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", node_name(bdf));
	return open(path, O_RDWR | O_CLOEXEC);
}

static inline int open_iommufd(void)
{
	return open("/dev/iommu", O_RDWR | O_CLOEXEC);
}

/* The same where there has to be one. */
static inline int need_node(const char *device)
{
	int fd = open_node(device);

	if (fd < 0)
		fail("the node of %s", device);
	return fd;
}

static inline int need_iommufd(void)
{
	int fd = open_iommufd();

	if (fd < 0)
		fail("/dev/iommu");
	return fd;
}

static inline long bind_device(int fd, int iommufd, uint32_t *id)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	long ret = ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	if (id)
		*id = bind.out_devid;
	return ret;
}

static inline long attach_device(int fd, uint32_t pt, uint32_t *out)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = pt };
	long ret = ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach);

	if (out)
		*out = attach.pt_id;
	return ret;
}

static inline long detach_device(int fd)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	return ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach);
}

static inline uint32_t new_ioas(int iommufd)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	return ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc) ? 0 : alloc.out_ioas_id;
}

static inline long destroy(int iommufd, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ioctl(iommufd, IOMMU_DESTROY, &cmd);
}

static inline long map_ioas(int iommufd, uint32_t ioas, void *memory, uint64_t iova, uint64_t size)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas, .user_va = (uintptr_t)memory, .length = size, .iova = iova,
	};

	return ioctl(iommufd, IOMMU_IOAS_MAP, &map);
}

static inline long unmap_ioas(int iommufd, uint32_t ioas, uint64_t iova, uint64_t size)
{
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = ioas, .iova = iova, .length = size };

	return ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap);
}

#endif
