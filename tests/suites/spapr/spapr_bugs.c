// SPDX-License-Identifier: GPL-2.0
/*
 * What C answers wrongly and can be asked for all the same, as nothing breaks by it: on the C modules a look at what they
 * do, on ours it fails if one answer is not right.
 *
 *   spapr_bugs BDF v1|v2|lpar
 *   spapr_bugs BDF promise BDF SECONDS   memory that one container has registered is mapped in another: what is said to be
 *                                        mapped is, and stays registered. Not on C, where that is a race; what C does
 *                                        wrong in it, though, takes two processors at once, and the machine has one.
 */
#include "spapr.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

/* EINVAL is EINVAL, and not 1. */
static void errors(void)
{
	const uint64_t end = read_info().dma32_window_size;

	REFUSED(map(RW, buffer, 0x123, P), EINVAL, "MAP at an address that is no multiple of the page");
	REFUSED(unmap(0x123, P), EINVAL, "UNMAP at an address that is no multiple of the page");
	REFUSED(unmap(end - P, 2 * P), EINVAL, "UNMAP of what ends beyond the window");
}

static void bugs_v1(void)
{
	WORKS(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	errors();
}

static void bugs_v2(void)
{
	const uint64_t size = 1ULL << 34;
	uint8_t *hole = memory(8 * P);
	long before = locked_kib(), registered;
	int ret;

	WORKS(reg(buffer, 16 * P), "REGISTER");
	registered = locked_kib();
	errors();
	WORKS(remove_window(0), "REMOVE");
	REFUSED(create(16, 1ULL << 44, 1), ENOMEM, "CREATE with a table that is too large to be had");
	expect(locked_kib() == registered, "what failed is not accounted: %ld KiB", locked_kib() - registered);
	/*
	 * A table of two levels has room for more entries than the window: C, which checks the first page only, makes the
	 * part of it that it writes to.
	 */
	WORKS(create(16, size, 2), "CREATE with two levels");
	ret = map(RW, buffer, size - P, 2 * P);
	expect(ret == -1 && errno == EINVAL, "MAP of what begins in the window and ends beyond: %d", ret);
	/* No UNMAP takes the second page back, but a MAP that fails at its third does. */
	if (!ret)
		map(RW, buffer + 14 * P, size - P, 3 * P);
	WORKS(remove_window(start), "REMOVE");
	WORKS(unreg(buffer, 16 * P), "UNREGISTER");
	if (munmap(hole + 4 * P, P))
		fail("munmap");
	REFUSED(reg(hole, 8 * P), EFAULT, "REGISTER of memory with a hole");
	expect(locked_kib() == before, "nothing is locked: %ld KiB", locked_kib() - before);
}

/* The hypervisor looks at each entry. */
static void bugs_lpar(void)
{
	const uint64_t end = read_info().dma32_window_size;
	long before;

	WORKS(reg(buffer, 16 * P), "REGISTER");
	errors();
	before = locked_kib();
	REFUSED(create(16, 1 << 30, 2), EINVAL, "CREATE with two levels");
	expect(locked_kib() == before, "what failed is not accounted: %ld KiB", locked_kib() - before);
	WORKS(unmap(0, end), "UNMAP");
	WORKS(unreg(buffer, 16 * P), "UNREGISTER");
}

/* --- a region that another container has registered --- */

static struct vfio_user other;
/* Two pages that are mapped at once: the last one of what we have registered, the first one of what the other has. */
#define OURS (16 * P)
#define THEIRS (4 * P)
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile bool wanted, over;
static bool registered;

static int others_op(unsigned long op)
{
	struct vfio_iommu_spapr_register_memory param = {
		.argsz = sizeof(param), .vaddr = (uint64_t)buffer + OURS, .size = THEIRS,
	};

	return ioctl(other.container, op, &param);
}

/* The other container's memory comes and goes. */
static void others_turn(void)
{
	if (!registered) {
		if (others_op(VFIO_IOMMU_SPAPR_REGISTER_MEMORY))
			fail("REGISTER of the other");
		registered = true;
	} else if (!others_op(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY)) {
		registered = false;
	} else if (errno != EBUSY) {
		fail("UNREGISTER of the other");
	}
}

static void *others(void *arg)
{
	while (!over) {
		if (wanted) {
			sched_yield();
			continue;
		}
		pthread_mutex_lock(&lock);
		others_turn();
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static int map_both(void)
{
	return map(RW, buffer + OURS - P, 0, 2 * P);
}

static void promise(const char *bdf, unsigned int seconds)
{
	unsigned int mapped = 0, refused = 0, broken = 0, odd = 0;
	pthread_t thread;
	time_t end;

	other = open_all(bdf, VFIO_SPAPR_TCE_v2_IOMMU);
	WORKS(reg(buffer, OURS), "REGISTER");
	REFUSED(map_both(), EINVAL, "MAP of what nobody has registered");
	others_turn();
	WORKS(map_both(), "MAP of what the other has registered");
	others_turn();
	expect(registered, "it stays registered while it is mapped");
	WORKS(unmap(0, 2 * P), "UNMAP");
	if (pthread_create(&thread, NULL, others, NULL))
		fail("a thread");
	end = time(NULL) + seconds;
	while (time(NULL) < end) {
		/* There is one processor. */
		sched_yield();
		if (map_both()) {
			odd += errno != EINVAL && errno != ENXIO;
			refused++;
			continue;
		}
		mapped++;
		wanted = true;
		pthread_mutex_lock(&lock);
		broken += !registered;
		if (unmap(0, 2 * P))
			fail("UNMAP");
		wanted = false;
		pthread_mutex_unlock(&lock);
	}
	over = true;
	pthread_join(thread, NULL);
	expect(!broken, "%u times mapped, %u of them with memory that is not registered", mapped, broken);
	expect(!odd, "%u times refused, %u of them with another error", refused, odd);
	if (registered)
		WORKS(others_op(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY), "UNREGISTER of the other");
	WORKS(unreg(buffer, OURS), "UNREGISTER");
	close_all(&other);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	begin(argv[1], !strcmp(what, "v1"));
	if (!strcmp(what, "v1"))
		bugs_v1();
	else if (!strcmp(what, "v2"))
		bugs_v2();
	else if (!strcmp(what, "lpar"))
		bugs_lpar();
	else if (!strcmp(what, "promise") && argc > 4)
		promise(argv[3], atoi(argv[4]));
	else
		return 2;
	close_all(&u);
	printf("done\n");
	return failures ? 1 : 0;
}
