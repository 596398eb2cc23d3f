/* SPDX-License-Identifier: GPL-2.0 */
/* Mediated devices by sysfs. The samples' parents are called like their modules: mtty, mdpy, mbochs. */
#ifndef MDEV_H
#define MDEV_H

#include "../proc.h"
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

/* A mediated device of TYPE, such as "mtty-2". 0 or -errno, as below. */
static inline int create_mdev(const char *type, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/class/mdev_bus/%.*s/mdev_supported_types/%s/create",
		 (int)strcspn(type, "-"), type, type);
	return put_text(path, name) ? 0 : -errno;
}

static inline int remove_mdev(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", name);
	return put_text(path, "1") ? 0 : -errno;
}

#endif
