/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A call with each field of its structure, and each two of them, at the edges of what they can hold. What must be refused is
 * refused, with an errno that says so, nothing is written behind the structure, and nothing is left.
 */
#ifndef ATTACK_FIELDS_H
#define ATTACK_FIELDS_H

#include "attack.h"

#include <stddef.h>
#include <sys/mman.h>

#define ROOM 256 /* more than any structure has */
#define MOST_FIELDS 12
#define MOST_COMPLAINTS 10

struct field {
	const char *name;
	uint8_t at, width;
};

#define FIELD(type, member) { #member, offsetof(type, member), sizeof(((type *)0)->member) }

struct call {
	const char *name;
	int fd;
	unsigned long request;
	struct field fields[MOST_FIELDS];
	const void *right;
	size_t size;
	/* Whether it may succeed. All others must fail, with one of these. */
	bool (*may)(const void *arg);
	int errors[8];
	/* Looks at what it did, undoes it; `before` is what was asked. */
	void (*after)(const void *before, const void *arg, long ret);
	/* It has something to tell when it fails. */
	bool tells;
};

static unsigned complaints, calls_made, calls_done;

static inline uint64_t field_of(const void *arg, const struct field *field)
{
	uint64_t value = 0;

	memcpy(&value, arg + field->at, field->width);
	return value;
}

/* What is wrong is said with the values of all fields. */
static inline void complain(const struct call *call, const void *arg, long ret, int error, const char *what)
{
	wrong++;
	if (complaints++ >= MOST_COMPLAINTS)
		return;
	fprintf(stderr, "WRONG: %s: %s: %ld %s:", call->name, what, ret, error_name(error));
	for (const struct field *f = call->fields; f->name; f++)
		fprintf(stderr, " %s=%lx", f->name, field_of(arg, f));
	fprintf(stderr, "\n");
}

static inline void make(const struct call *call, const uint8_t *arg)
{
	/* Right before memory that is not there. */
	static uint8_t *page;
	uint8_t *at;
	long ret;
	int error;
	bool known = false;

	if (!page) {
		page = memory(2 * PAGE);
		mprotect(page + PAGE, PAGE, PROT_NONE);
	}
	at = page + PAGE - call->size;
	memset(page, 0xa5, PAGE - call->size);
	memcpy(at, arg, call->size);
	errno = 0;
	ret = ioctl(call->fd, call->request, at);
	error = ret < 0 ? errno : 0;
	calls_made++;
	calls_done += ret >= 0;
	if (ret >= 0 && call->may && !call->may(arg))
		complain(call, arg, ret, error, "it must fail");
	for (size_t i = 0; i < ARRAY_SIZE(call->errors); i++)
		known |= ret >= 0 || error == call->errors[i];
	if (!known)
		complain(call, arg, ret, error, "another error");
	for (size_t i = 0; i < PAGE - call->size; i++)
		if (page[i] != 0xa5) {
			complain(call, arg, ret, error, "something is written before it");
			break;
		}
	/* ENOSPC tells how much there is; of EFAULT some may have been written before. */
	if (ret < 0 && error != ENOSPC && error != EFAULT && !call->tells && memcmp(at, arg, call->size))
		complain(call, arg, ret, error, "it fails and writes");
	if (call->after)
		call->after(arg, at, ret);
}

static const uint64_t edges32[] = {
	0, 1, 7, 8, PAGE - 1, PAGE, 0xffff, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff, 0x80000000, 0xfffff000, 0xfffffff0,
	0xfffffffe, 0xffffffff,
};
static const uint64_t edges64[] = {
	0, 1, 8, PAGE - 1, PAGE, 1ULL << 31, 1ULL << 32, 1ULL << 39, 1ULL << 48, INT64_MAX - 0xfff, INT64_MAX, 1ULL << 63,
	-2 * PAGE, -PAGE, -8ULL, -1ULL,
};

/* The value number `i` to try for a field, false after the last: the edges, then what is next to the right one. */
static inline bool value_at(const struct call *call, const struct field *f, size_t i, uint64_t *value)
{
	static const int64_t near[] = { 0, 1, -1, 8, -8, PAGE, -PAGE };
	const uint64_t *edges = f->width == 8 ? edges64 : edges32;
	size_t count = f->width == 8 ? ARRAY_SIZE(edges64) : ARRAY_SIZE(edges32);

	if (i < count)
		*value = edges[i];
	else if (i - count < ARRAY_SIZE(near))
		*value = field_of(call->right, f) + near[i - count];
	else
		return false;
	return true;
}

/* All of that; prints how many calls it was. */
static inline void sweep_all(const struct call *call)
{
	uint8_t arg[ROOM];
	uint64_t one, two;

	complaints = calls_made = calls_done = 0;
	for (const struct field *f = call->fields; f->name; f++)
		for (size_t i = 0; value_at(call, f, i, &one); i++) {
			memcpy(arg, call->right, call->size);
			memcpy(arg + f->at, &one, f->width);
			make(call, arg);
			for (const struct field *g = f + 1; g->name; g++)
				/* Every second pair: the others have the same value beside another neighbour. */
				for (size_t j = 0; value_at(call, g, j, &two); j++) {
					if ((i + j) % 2)
						continue;
					memcpy(arg, call->right, call->size);
					memcpy(arg + f->at, &one, f->width);
					memcpy(arg + g->at, &two, g->width);
					make(call, arg);
				}
		}
	printf("%s: %u calls, %u of them were done\n", call->name, calls_made, calls_done);
}

/* Of a call that can be right, some are. */
static inline void sweep(const struct call *call)
{
	sweep_all(call);
	EXPECT(calls_done || !call->may(call->right), "%s: not even the right one is done", call->name);
}

#endif
