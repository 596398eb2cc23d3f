/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers from files of /proc and /sys, and text into them: what is locked and pinned. */
#ifndef PROC_H
#define PROC_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline bool put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error;
	bool ok = fd >= 0 && write(fd, text, strlen(text)) >= 0;

	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return ok;
}

/* The number behind the key that a line begins with, -1 without such a line. */
static inline long number_after(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	size_t len = strlen(key);
	char line[256];
	long value = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, len)) {
			value = atol(line + len);
			break;
		}
	if (f)
		fclose(f);
	return value;
}

/* Memory that this process has locked, as its limit counts it. */
static inline long locked_kib(void)
{
	return number_after("/proc/self/status", "VmLck:");
}

/* How often all processes have pinned a page since the boot. */
static inline long pins_ever(void)
{
	/* The counts of the processors are added up only now. */
	put_text("/proc/sys/vm/stat_refresh", "1");
	return number_after("/proc/vmstat", "nr_foll_pin_acquired ");
}

/* Pages that are pinned now, by all processes. */
static inline long pins_of_all(void)
{
	long acquired = pins_ever();

	return acquired - number_after("/proc/vmstat", "nr_foll_pin_released ");
}

#endif
