/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A step: who does it, what, with which numbers. A script is a list of them, one a line, numbers in hex:
 *
 *	0 map 3 1000 10000000000 2000 20
 */
#ifndef STEP_H
#define STEP_H

#include "../vfio_user.h"

enum op {
	/* flags iova vaddr size argsz */
	MAP,
	/* flags iova size, pgsize and size of the bitmap, where it is (enum where), argsz */
	UNMAP, DIRTY,
	/* argsz; extension; ioctl and pointer */
	INFO, EXTENSION, BAD_POINTER,
	/* a group; a type; a group whose device it is */
	JOIN, LEAVE, SET_IOMMU, OPEN, CLOSE,
	/* an actor: it begins (with the devices' descriptors if 1), ends, goes on with another program */
	SPAWN, EXIT, EXEC,
	/* bytes; whether; which (enum param) and value */
	RLIMIT, CAP_LOCK, PARAM,
	/* address size, protection or advice */
	MEM_MAP, MEM_UNMAP, MEM_PROTECT, MEM_ADVISE, MEM_LOCK, MEM_UNLOCK, MEM_TOUCH,
	/* the emulated device: iova pages prot; iova pages; iova bytes write|kthread; */
	PIN, UNPIN, RW, NOTIFIED,
	/* the edu device writes a value to an iova, and reads it back */
	DMA,
	OPS
};

/* READ_ONLY_ARGUMENT: the bitmap is good, but the answer cannot be written. */
enum where { GOOD, BAD, KERNEL, READ_ONLY_ARGUMENT };
enum param { DMA_ENTRY_LIMIT, DISABLE_HUGEPAGES, ALLOW_UNSAFE };

#define ARGS 7

struct step {
	uint8_t who, op;
	uint64_t a[ARGS];
};

static const struct {
	const char *name;
	int args;
} ops[OPS] = {
	[MAP] = { "map", 5 }, [UNMAP] = { "unmap", 7 }, [DIRTY] = { "dirty", 7 },
	[INFO] = { "info", 1 }, [EXTENSION] = { "extension", 1 }, [BAD_POINTER] = { "bad-pointer", 2 },
	[JOIN] = { "join", 1 }, [LEAVE] = { "leave", 1 }, [SET_IOMMU] = { "set-iommu", 1 },
	[OPEN] = { "open", 1 }, [CLOSE] = { "close", 1 },
	[SPAWN] = { "spawn", 2 }, [EXIT] = { "exit", 1 }, [EXEC] = { "exec", 1 },
	[RLIMIT] = { "rlimit", 1 }, [CAP_LOCK] = { "cap-lock", 1 }, [PARAM] = { "param", 2 },
	[MEM_MAP] = { "mmap", 3 }, [MEM_UNMAP] = { "munmap", 2 }, [MEM_PROTECT] = { "mprotect", 3 },
	[MEM_ADVISE] = { "madvise", 3 }, [MEM_LOCK] = { "mlock", 2 }, [MEM_UNLOCK] = { "munlock", 2 },
	[MEM_TOUCH] = { "touch", 2 },
	[PIN] = { "pin", 3 }, [UNPIN] = { "unpin", 2 }, [RW] = { "rw", 3 }, [NOTIFIED] = { "notified", 0 },
	[DMA] = { "dma", 2 },
};

/* The line of a step; the text lives until the next call. */
static inline const char *step_text(const struct step *s)
{
	static char text[200];
	int len = sprintf(text, "%u %s", s->who, ops[s->op].name);

	for (int i = 0; i < ops[s->op].args; i++)
		len += sprintf(text + len, " %llx", (unsigned long long)s->a[i]);
	return text;
}

/* Whether it is the line of a step. */
static inline bool step_parse(const char *line, struct step *s)
{
	char name[16];
	int at;

	memset(s, 0, sizeof(*s));
	if (sscanf(line, "%hhu %15s%n", &s->who, name, &at) != 2)
		return false;
	for (s->op = 0; s->op < OPS && strcmp(name, ops[s->op].name); s->op++)
		;
	for (int i = 0; s->op < OPS && i < ops[s->op].args; i++) {
		char *end;

		s->a[i] = strtoull(line + at, &end, 16);
		if (end == line + at)
			return false;
		at = end - line;
	}
	return s->op < OPS;
}

/* What a step came to. */
struct answer {
	int64_t ret;
	int32_t error;
	uint32_t hash;		/* of what was written back */
	uint64_t value;		/* a size that was written back */
};

static inline uint32_t hash_more(uint32_t h, const void *data, size_t size)
{
	const unsigned char *p = data;

	while (size--)
		h = (h ^ *p++) * 16777619u;
	return h;
}

static inline uint32_t hash(const void *data, size_t size)
{
	return hash_more(2166136261u, data, size);
}

#endif /* STEP_H */
