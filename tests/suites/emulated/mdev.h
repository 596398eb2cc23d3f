/* SPDX-License-Identifier: GPL-2.0 */
/* Mediated devices by sysfs. The samples' parents are called like their modules: mtty, mdpy, mbochs. */
#ifndef MDEV_H
#define MDEV_H

#include "../transcript.h"

/* The name of the mediated device with this number. */
static inline const char *uuid(int number)
{
	static char text[4][37];
	static int next;
	char *to = text[next++ % 4];

	snprintf(to, sizeof(text[0]), "83b8f4f2-509f-382f-3c1e-e6bfe0fa%04x", (uint16_t)number);
	return to;
}

/* 0 or -errno */
static inline int put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		error = -errno;
	close(fd);
	return error;
}

/* A mediated device of TYPE, such as "mtty-2". */
static inline int create_mdev(const char *type, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/class/mdev_bus/%.*s/mdev_supported_types/%s/create",
		 (int)strcspn(type, "-"), type, type);
	return put_text(path, name);
}

static inline int remove_mdev(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", name);
	return put_text(path, "1");
}

#endif
