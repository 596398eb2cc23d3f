/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of this suite share: groups without IOMMU, the module parameter, counting failures.
 */
#ifndef NOIOMMU_H
#define NOIOMMU_H

#include "../vfio_user.h"

#define PARAMETER "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"

static int failures;

/* One result: a call answered `got` (0 or an errno) and should have answered `wanted`. */
static inline void expect(int got, int wanted, const char *format, ...)
{
	va_list args;

	printf(got == wanted ? "  ok   " : "  FAIL ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s", error_name(got));
	if (got != wanted)
		printf(", expected %s", error_name(wanted));
	printf("\n");
	fflush(stdout);
	failures += got != wanted;
}

/* The same for a value that is no errno. */
static inline void expect_value(long got, long wanted, const char *what)
{
	printf("  %s %s: %ld", got == wanted ? "ok  " : "FAIL", what, got);
	if (got != wanted)
		printf(", expected %ld", wanted);
	printf("\n");
	fflush(stdout);
	failures += got != wanted;
}

static inline int error_of(long ret)
{
	return ret < 0 ? errno : 0;
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("write %s to %s", text, path);
	close(fd);
}

static inline void set_parameter(bool on)
{
	write_file(PARAMETER, on ? "Y" : "N");
}

static inline int open_noiommu(const char *bdf)
{
	int fd = open(group_path(bdf), O_RDWR);

	if (fd < 0)
		fail("%s", group_path(bdf));
	return fd;
}

static inline int set_container(int group, int container)
{
	return error_of(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
}

static inline int set_iommu(int container, unsigned long type)
{
	return error_of(ioctl(container, VFIO_SET_IOMMU, type));
}

static inline int get_status(int group, unsigned int *flags)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int error = error_of(ioctl(group, VFIO_GROUP_GET_STATUS, &status));

	*flags = status.flags;
	return error;
}

/* Container, group and device without IOMMU. */
static inline struct vfio_user open_all_noiommu(const char *bdf)
{
	struct vfio_user u = { .container = open_container(), .group = open_noiommu(bdf) };

	if (set_container(u.group, u.container))
		fail("SET_CONTAINER");
	if (set_iommu(u.container, VFIO_NOIOMMU_IOMMU))
		fail("SET_IOMMU");
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (u.device < 0)
		fail("GET_DEVICE_FD %s", bdf);
	return u;
}

#endif
