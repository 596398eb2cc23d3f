/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the test programs share: opening things by a device's name, and saying what a call answered.
 */
#ifndef VFIO_USER_H
#define VFIO_USER_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/vfio.h>

#define PAGE 4096UL
/*
 * On arm64 an access that a device does not take is an external abort, which kills the kernel, whoever's the modules
 * are. QEMU's edu, NVMe and MSI-X tables take no narrower ones than this.
 */
#ifdef __aarch64__
#define BAR_ACCESS 4ull
#else
#define BAR_ACCESS 1ull
#endif
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "FATAL: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(errno));
	va_end(args);
	exit(1);
}

/* The node of the group of a device, /dev/vfio/N: a PCI device by its address, others by their names. */
static inline const char *group_path(const char *device)
{
	static const char *const buses[] = { "pci", "mdev", "platform", "faux" };
	static _Thread_local char path[PATH_MAX]; /* Threads race for groups. */
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t len = -1;

	for (size_t i = 0; i < ARRAY_SIZE(buses) && len < 0; i++) {
		snprintf(link, sizeof(link), "/sys/bus/%s/devices/%s/iommu_group", buses[i], device);
		len = readlink(link, target, sizeof(target) - 1);
	}
	if (len < 0)
		fail("the group of %s", device);
	target[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", strrchr(target, '/') + 1);
	if (access(path, F_OK))
		snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	return path;
}

static inline int open_container(void)
{
	int fd = open("/dev/vfio/vfio", O_RDWR);

	if (fd < 0)
		fail("/dev/vfio/vfio");
	return fd;
}

static inline int open_group(const char *bdf)
{
	int fd = open(group_path(bdf), O_RDWR);

	if (fd < 0)
		fail("%s", group_path(bdf));
	return fd;
}

struct vfio_user {
	int container, group, device;
};

/* The whole way: container, group, IOMMU of this type, device; by its address and options. */
static inline struct vfio_user open_named(const char *bdf, const char *name, unsigned long type)
{
	struct vfio_user u = { .container = open_container(), .group = open_group(bdf) };

	if (ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container))
		fail("SET_CONTAINER");
	if (ioctl(u.container, VFIO_SET_IOMMU, type))
		fail("SET_IOMMU");
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (u.device < 0)
		fail("GET_DEVICE_FD %s", name);
	return u;
}

static inline struct vfio_user open_all(const char *bdf, unsigned long type)
{
	return open_named(bdf, bdf, type);
}

static inline void close_all(struct vfio_user *u)
{
	close(u->device);
	close(u->group);
	close(u->container);
}

/* The name of an errno, so that transcripts are read without a table. */
static inline const char *error_name(int error)
{
	const char *name = error ? strerrorname_np(error) : "0";

	return name ? name : "?";
}

#endif
