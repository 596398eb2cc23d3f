/* SPDX-License-Identifier: GPL-2.0 */
/* Control groups, and how much memory they have room for. */
#ifndef CGROUP_H
#define CGROUP_H

#include "state.h"

/* The process joins it. Ends the process if it cannot. */
static inline void join(const char *cgroup)
{
	char path[PATH_MAX], text[64];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", getpid());
	if (!put_text(path, text)) {
		perror(path);
		_exit(3);
	}
}

/* The process joins it, and may allocate `bytes` more than what is in it now. Ends the process if it cannot. */
static inline void enter(const char *cgroup, long bytes)
{
	char path[PATH_MAX], text[64];

	join(cgroup);
	snprintf(path, sizeof(path), "%s/memory.current", cgroup);
	snprintf(text, sizeof(text), "%ld", number_after(path, "") + bytes);
	snprintf(path, sizeof(path), "%s/memory.max", cgroup);
	if (!put_text(path, text))
		_exit(4);
}

/* No limit any more. */
static inline void leave(const char *cgroup)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/memory.max", cgroup);
	put_text(path, "max");
}

#endif
