/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of vfio_fuzz share: steps, the transcript of an episode, descriptors and memory of the process that
 * runs it, random numbers.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../vfio_user.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/pci_regs.h>

#ifndef VFIO_DEVICE_FEATURE_DMA_BUF /* not in the headers of older systems */
#define VFIO_DEVICE_FEATURE_DMA_BUF 11
#endif

/* --- steps: what is done, all of it in numbers, so that a script says it all ------------------------------------ */

#define ARGS 8

struct step {
	unsigned op;
	uint64_t a[ARGS];
};

#define MAX_STEPS 4096

struct script {
	unsigned count;
	struct step steps[MAX_STEPS];
};

/* --- the transcript: one line for each step, in memory that all processes of an episode share -------------------- */

#define TEXT (4UL << 20)

static struct transcript {
	volatile size_t length;
	volatile bool written; /* a region of a device was */
	volatile bool compatible; /* a group has an iommufd for a container */
	volatile bool low_power; /* a device was allowed to sleep */
	char text[TEXT];
} *transcript;

__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
	size_t room = TEXT - transcript->length;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(transcript->text + transcript->length, room, format, args);
	va_end(args);
	if (len > 0)
		transcript->length += (size_t)len < room ? (size_t)len : room - 1;
}

static inline uint32_t hash(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t value = 2166136261u;

	for (size_t i = 0; i < size; i++)
		value = (value ^ bytes[i]) * 16777619u;
	return value;
}

/* --- random numbers of the generator ----------------------------------------------------------------------------- */

static uint64_t random_state;

static inline uint64_t next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static inline uint64_t below(uint64_t n)
{
	return (next() >> 11) % n;
}

static inline bool chance(unsigned one_in)
{
	return !below(one_in);
}

#define PICK(array) ((array)[below(ARRAY_SIZE(array))])

/* --- descriptors: slots by what is usually in them ---------------------------------------------------------------- */

enum {
	CONTAINERS = 0, GROUPS = 2, DEVICES = 4, OUTPUTS = 8, INPUTS = 12, BUFFERS = 16, OTHERS = 18,
	NODES = 20, IOMMUFDS = 24, SLOTS = 26,
	/* Whatever is opened gets a number from here on, so that a number that is returned is known for one. */
	FIRST_FD = 60,
};

static int slots[SLOTS];
static unsigned target_of[SLOTS]; /* whose device it is */

/* Puts what a call returned into a slot; notes it as "fd", for the number says nothing. */
static inline void keep(unsigned slot, long fd, unsigned target)
{
	slot %= SLOTS;
	if (fd < 0) {
		note(" %s", error_name(errno));
		return;
	}
	note(" fd");
	if (slots[slot] >= 0)
		close(slots[slot]);
	slots[slot] = fd;
	target_of[slot] = target;
}

static inline int slot(uint64_t number)
{
	/* Beyond the slots: what is no file of ours. */
	switch (number) {
	case SLOTS:
		return -1;
	case SLOTS + 1:
		return 9999;
	case SLOTS + 2:
		return -2;
	case SLOTS + 3:
		return 0; /* /dev/null */
	}
	return number < SLOTS ? slots[number] : (int)number;
}

/* --- memory for arguments: [pages][nothing][read-only page] -------------------------------------------------------- */

#define ARENA_PAGES 4UL

static uint8_t *arena;

/* Where an argument goes: how in the low 3 bits, bytes missing at its end above. */
enum placing { PLAIN, EDGE, CUT, NOWHERE, KERNEL, READ_ONLY, ODD, IN_BAR };

struct argument {
	uint8_t *at; /* what the call is given */
	uint8_t *seen; /* what is compared: the surroundings of what is accessible */
	size_t length;
	uint8_t before[ARENA_PAGES * PAGE];
};

static struct argument argument;

static inline void make_arena(void)
{
	arena = mmap((void *)0x200000000000, (ARENA_PAGES + 2) * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (arena == MAP_FAILED || mprotect(arena + ARENA_PAGES * PAGE, PAGE, PROT_NONE))
		fail("memory for arguments");
}

/* Places `size` bytes of an argument that is followed by zeroes. */
static inline void *place(uint64_t how, const void *data, size_t size)
{
	uint8_t *end = arena + ARENA_PAGES * PAGE, *read_only = end + PAGE;
	size_t missing = how >> 3;
	struct argument *a = &argument;

	a->length = 0;
	if (size > ARENA_PAGES * PAGE - 64)
		size = ARENA_PAGES * PAGE - 64;
	switch ((enum placing)(how & 7)) {
	case NOWHERE:
		return a->at = (void *)(missing & 1 ? 0x1000UL : 8UL);
	case KERNEL:
		return a->at = (void *)(missing & 1 ? 0x8000000000000000UL : 0xffff888000001000UL);
	case READ_ONLY:
		mprotect(read_only, PAGE, PROT_READ | PROT_WRITE);
		memset(read_only, 0, PAGE);
		memcpy(read_only, data, size < PAGE ? size : PAGE);
		mprotect(read_only, PAGE, PROT_READ);
		return a->at = read_only;
	case EDGE:
		a->at = end - size;
		break;
	case CUT:
		missing = size ? 1 + missing % size : 0;
		a->at = end - (size - missing);
		break;
	case ODD:
		a->at = arena + 64 + 1 + missing % 7;
		break;
	default:
		a->at = arena + 64;
		break;
	}
	a->seen = a->at - 16;
	a->length = (size_t)(end - a->seen) < size + 512 ? (size_t)(end - a->seen) : size + 512;
	memset(a->seen, 0, a->length);
	memcpy(a->at, data, (size_t)(end - a->at) < size ? (size_t)(end - a->at) : size);
	memcpy(a->before, a->seen, a->length);
	return a->at;
}

/* Notes which bytes of the argument a call has changed. */
static inline void note_changes(void)
{
	const struct argument *a = &argument;
	size_t told = 0, i = 0;

	while (i < a->length) {
		/* Most of it is alike, and an emulated processor slow. */
		if (a->length - i >= 8 && !memcmp(a->seen + i, a->before + i, 8)) {
			i += 8;
			continue;
		}
		if (a->seen[i] == a->before[i]) {
			i++;
			continue;
		}
		note(" %zd:", (ssize_t)i - 16);
		for (; i < a->length && a->seen[i] != a->before[i]; i++)
			if (told++ < 100)
				note("%02x", a->seen[i]);
	}
	if (told > 100)
		note(" %zu bytes %08x", told, hash(a->seen, a->length));
}

/* What the call returned, and what it wrote. A new descriptor that no slot is for is closed again. */
static inline void note_call(long ret)
{
	if (ret >= FIRST_FD && fcntl(ret, F_GETFD) >= 0) {
		note(" fd");
		close(ret);
	} else if (ret < 0) {
		note(" %s", error_name(errno));
	} else {
		note(" %ld", ret);
	}
	note_changes();
}

#endif
