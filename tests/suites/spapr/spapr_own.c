// SPDX-License-Identifier: GPL-2.0
/*
 * What C answers wrongly, or must not be asked: fails if one answer is not right.
 *
 *   spapr_own BDF v1|v2|lpar
 *   spapr_own BDF groups BDF
 *   spapr_own BDF race SECONDS   threads use a container whose group leaves and joins; not on the C vfio.ko, which has
 *                                the container freed while it is used
 *   spapr_own BDF gone unbind|remove   a device is taken away while its endpoint is being reset
 *   spapr_own BDF stuck unbind|remove   who holds a device that is being taken away resets its endpoint before he closes it;
 *                                on C that leaves the device locked for good
 *   spapr_own BDF unended        who began a reset of an endpoint closes all without having ended it; C leaves the device
 *                                unusable
 *   spapr_own BDF random STEPS [SEED]   registers memory, makes windows, maps, unmaps at random against a model
 */
#include "spapr.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static void own_v1(void)
{
	uint8_t *constant = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t end = read_info().dma32_window_size;
	long before = locked_kib();

	WORKS(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	REFUSED(map(RW, buffer, end - P, 2 * P), EINVAL, "a mapping that begins in the window and ends beyond");
	REFUSED(map(RW, buffer, 0, ~0ULL << 16), EINVAL, "a mapping of nearly everything");
	REFUSED(map(RW, buffer, 0x123, P), EINVAL, "an address that is no multiple of the page");
	REFUSED(unmap(end - P, 2 * P), EINVAL, "an unmap that ends beyond the window");
	WORKS(map(RW, buffer, end - P, P), "the last page of the window");
	WORKS(map(VFIO_DMA_MAP_FLAG_READ, constant, 0, P), "memory that is read-only for a device that reads");
	REFUSED(map(RW, constant, 0x100000, P), EFAULT, "memory that is read-only for a device that writes");
	REFUSED(map(RW, buffer + 62 * P, 0x200000, 4 * P), EFAULT, "memory that ends half-way");
	WORKS(map(RW, buffer, 0, 8 * P), "MAP");
	WORKS(map(RW, buffer, 0x300000, 64 * P), "MAP of many pages");
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "DMA");
	expect(!dma_works(0, buffer, 0x200000, buffer + 62 * P), "nothing is left of what failed half-way");
	WORKS(ioctl(u.container, VFIO_IOMMU_DISABLE), "DISABLE");
	expect(!dma_works(0, buffer, P, buffer + P), "what is no longer accounted is no longer mapped");
	WORKS(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	printf("locked: %ld KiB more\n", locked_kib() - before);
}

/* The argument of TCE_CREATE where its answer cannot be written to. */
static struct vfio_iommu_spapr_tce_create *constant_create(void)
{
	struct vfio_iommu_spapr_tce_create *create = memory(P);

	*create = (struct vfio_iommu_spapr_tce_create) {
		.argsz = sizeof(*create), .page_shift = 16, .window_size = 1 << 30, .levels = 1,
	};
	if (mprotect(create, P, PROT_READ))
		fail("mprotect");
	return create;
}

static void own_v2(void)
{
	const uint64_t huge = 1ULL << 44;
	uint8_t *hole = memory(8 * P);
	long before, empty = locked_kib();

	WORKS(reg(buffer, 16 * P), "REGISTER");
	WORKS(remove_window(0), "REMOVE of the window that was never used");
	before = locked_kib();
	REFUSED(create(140, 1 << 28, 1), EINVAL, "a page of 2^140 bytes");
	REFUSED(create(16, 1 << 12, 1), EINVAL, "a window that is less than a page");
	REFUSED(create(16, 1ULL << 44, 1), ENOMEM, "a table that is too large to be had");
	REFUSED(create(16, 1ULL << 63, 5), EINVAL, "a window of half of all addresses");
	for (int i = 0; i < 3; i++)
		REFUSED(ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_CREATE, constant_create()), EFAULT,
			"a window whose place cannot be told");
	expect(locked_kib() == before, "what failed is not accounted");
	WORKS(create(16, 1 << 28, 1), "CREATE");
	/* No smaller table than a page: it has 8192 entries. */
	REFUSED(map(RW, buffer, (8192 - 1) * P, 2 * P), EINVAL, "a mapping that ends beyond the window");
	WORKS(map(RW, buffer, 0, 16 * P), "MAP");
	REFUSED(unreg(buffer, 16 * P), EBUSY, "memory that is mapped stays registered");
	REFUSED(reg(buffer, 16 * P), EBUSY, "and known");
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "DMA");
	WORKS(unmap(0, 16 * P), "UNMAP");
	WORKS(unreg(buffer, 16 * P), "UNREGISTER");
	REFUSED(reg(buffer, 0), EINVAL, "no memory");
	REFUSED(reg((void *)(1ULL << 60), P), EFAULT, "no memory of user space");
	if (munmap(hole + 4 * P, P))
		fail("munmap");
	REFUSED(reg(hole, 8 * P), EFAULT, "memory with a hole");
	WORKS(reg(hole, 4 * P), "REGISTER");
	WORKS(map(RW, hole, 0, 4 * P), "MAP");
	REFUSED(map(RW, hole + 2 * P, P, 4 * P), EINVAL, "a mapping of more than is registered");
	expect(!dma_works(0, hole, P, hole + 2 * P), "nothing is left of what failed half-way");
	WORKS(remove_window(0), "REMOVE");
	/* Nearly all of it is parts of the table that are not there: nobody may look at each entry. */
	WORKS(create(12, huge, 3), "a window of 16 TiB in pages of 4 KiB");
	WORKS(map(RW, hole, 0, P), "its first page");
	WORKS(map(RW, hole + P, huge - P, P), "its last page");
	REFUSED(map(RW, hole, huge - P, 2 * P), EINVAL, "a mapping that ends beyond it");
	expect(dma_works(0, hole, P / 2, hole + P / 2), "DMA");
	WORKS(unmap(0, huge), "UNMAP of all of it");
	WORKS(unreg(hole, 4 * P), "UNREGISTER");
	WORKS(remove_window(0), "REMOVE");
	expect(locked_kib() == empty, "nothing is locked any more");
}

/* Memory that another container has registered, and which is mapped here when that is closed. */
static void left_by_another(const char *other)
{
	int first = u.container, second = open_container(), group = open_group(other);

	WORKS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &second), "SET_CONTAINER to another one");
	WORKS(ioctl(second, VFIO_SET_IOMMU, VFIO_SPAPR_TCE_v2_IOMMU), "SET_IOMMU");
	u.container = second;
	WORKS(reg(buffer + 16 * P, 4 * P), "REGISTER there");
	u.container = first;
	WORKS(map(RW, buffer + 16 * P, 4 * P, P), "MAP here");
	close(group);
	close(second);
	expect(dma_works(4 * P, buffer + 16 * P, P, buffer + P), "it stays mapped when the other container is closed");
}

static void own_groups(const char *other)
{
	const long before = locked_kib();
	int group = open_group(other);

	WORKS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container), "SET_CONTAINER");
	WORKS(reg(buffer, 16 * P), "REGISTER");
	WORKS(map(RW, buffer, 0, 4 * P), "MAP");
	close(group);
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "what is mapped for a group stays when another leaves");

	left_by_another(other);
	REFUSED(reg(buffer + 16 * P, 2 * P), EINVAL, "it is in the way of another region");
	WORKS(unmap(4 * P, P), "UNMAP here");
	WORKS(reg(buffer + 16 * P, 2 * P), "it is not any more");
	WORKS(unreg(buffer + 16 * P, 2 * P), "UNREGISTER");
	left_by_another(other);
	WORKS(reg(buffer + 16 * P, 4 * P), "REGISTER of just what another has left");
	REFUSED(unreg(buffer + 16 * P, 4 * P), EBUSY, "it is ours alone, and mapped");
	close_all(&u);
	expect(locked_kib() == before, "nothing is locked any more");
}

/* Below a hypervisor: what fails is not accounted, and the window can be had afterwards. */
static void own_lpar(void)
{
	const uint64_t end = read_info().dma32_window_size;
	long before;

	WORKS(reg(buffer, 16 * P), "REGISTER");
	WORKS(map(RW, buffer, 0, P), "MAP");
	before = locked_kib();
	REFUSED(create(16, 3 << 28, 1), EINVAL, "a window that is no power of two");
	REFUSED(create(16, 1 << 30, 2), EINVAL, "a table of two levels");
	expect(locked_kib() == before, "what failed is not accounted");
	WORKS(create(16, 1 << 30, 1), "CREATE");
	REFUSED(map(RW, buffer, end - P, 2 * P), EINVAL, "a mapping that begins in a window and ends beyond");
	REFUSED(map(RW, buffer, start + (1 << 30) - P, 2 * P), EINVAL, "the same in the other one");
	WORKS(map(RW, buffer, end - P, P), "the last page of the window");
	WORKS(map(RW, buffer, start + (1 << 30) - P, P), "the last page of the other one");
	REFUSED(unreg(buffer, 16 * P), EBUSY, "memory that is mapped stays registered");
	WORKS(remove_window(start), "REMOVE");
	REFUSED(unreg(buffer, 16 * P), EBUSY, "memory that is mapped in the first one");
	WORKS(unmap(0, end), "UNMAP");
	WORKS(unreg(buffer, 16 * P), "UNREGISTER");
}

/* --- random steps --- */

#define REGIONS 8
#define REGION (4 * P)
/* Where pages are mapped: runs of them all over the window, the last at its end. */
#define RUNS 24
#define RUN 8

struct page {
	uint8_t *at, *was;
	uint32_t flags;
};

static struct window {
	bool there;
	uint32_t shift;
	uint64_t start, entries;
	struct page pages[RUNS * RUN];
} windows[2];

static bool registered[REGIONS];
/* What edu writes to memory. */
static const char pattern[64] = "what edu has in its buffer, and writes where it is told to";

static uint64_t run_start(const struct window *w, unsigned int run)
{
	return run == RUNS - 1 ? w->entries - RUN : run * ((w->entries - RUN) / (RUNS - 1));
}

static void lose(struct page *page)
{
	if (page->at)
		page->was = page->at;
	page->at = NULL;
}

static bool in_use(unsigned int region)
{
	for (int w = 0; w < 2; w++)
		for (int i = 0; i < RUNS * RUN; i++) {
			const struct page *page = &windows[w].pages[i];

			if (page->at && (unsigned int)((page->at - buffer) / REGION) == region)
				return true;
		}
	return false;
}

static void answered(unsigned int step, const char *what, int ret, int expected)
{
	if (ret != (expected ? -1 : 0) || (ret && errno != expected))
		expect(false, "step %u: %s: %d %s, not %s", step, what, ret, error_name(errno), error_name(expected));
}

static bool step_create(unsigned int step, bool lpar)
{
	unsigned int slot = windows[0].there ? 1 : 0;
	struct window *w = &windows[slot];
	uint32_t shift = lpar || rnd(2) ? 16 : 12;
	/* No part of a table is smaller than a page, and all parts together have fewer than 55 bits. */
	unsigned int levels = lpar ? 1 : 1 + rnd(shift == 16 ? 2 : 3);
	uint64_t entries = 1ULL << (13 + rnd(5));
	int expected = w->there ? ENOSPC : 0;

	answered(step, "CREATE", create(shift, entries << shift, levels), expected);
	if (expected)
		return false;
	memset(w, 0, sizeof(*w));
	*w = (struct window) { .there = true, .shift = shift, .start = start, .entries = entries };
	if (start != (slot ? 1ULL << 59 : 0))
		expect(false, "step %u: window %u is at %#llx", step, slot, (unsigned long long)start);
	return true;
}

static bool step_remove(unsigned int step, bool lpar)
{
	struct window *w = &windows[lpar ? 1 : rnd(2)];
	int expected = w->there ? 0 : EINVAL;

	answered(step, "REMOVE", remove_window(w == windows ? 0 : 1ULL << 59), expected);
	memset(w, 0, sizeof(*w));
	return !expected;
}

static bool step_map(unsigned int step)
{
	struct window *w = &windows[rnd(2)];
	unsigned int run = rnd(RUNS), first = rnd(RUN), count = 1 + rnd(RUN - first), flags = 1 + rnd(3);
	uint64_t size = w->there ? 1ULL << w->shift : P;
	uint64_t iova = w == windows ? 0 : 1ULL << 59;
	uint8_t *at = buffer + rnd(REGIONS * REGION / size - RUN) * size;
	int expected = w->there ? 0 : ENXIO;

	if (w->there) {
		iova += (run_start(w, run) + first) << w->shift;
		/* Beyond the end: nothing is touched. */
		if (run == RUNS - 1 && !rnd(4)) {
			answered(step, "MAP beyond", map(flags, at, iova, (RUN - first + 1 + rnd(3)) * size), EINVAL);
			return false;
		}
		for (unsigned int i = 0; i < count; i++) {
			struct page *page = &w->pages[run * RUN + first + i];
			uint8_t *there = at + i * size;

			if (!registered[(there - buffer) / REGION]) {
				expected = EINVAL;
				while (i--)
					lose(&w->pages[run * RUN + first + i]);
				break;
			}
			lose(page);
			page->at = there;
			page->flags = flags;
		}
	}
	answered(step, "MAP", map(flags, at, iova, count * size), expected);
	return !expected;
}

static bool step_unmap(unsigned int step)
{
	struct window *w = &windows[rnd(2)];
	unsigned int run = rnd(RUNS), first = rnd(RUN), count = 1 + rnd(RUN - first);
	uint64_t size = w->there ? 1ULL << w->shift : P;
	uint64_t iova = w == windows ? 0 : 1ULL << 59;

	if (!w->there) {
		answered(step, "UNMAP", unmap(iova, count * size), ENXIO);
		return false;
	}
	iova += (run_start(w, run) + first) << w->shift;
	if (run == RUNS - 1 && !rnd(4)) {
		answered(step, "UNMAP beyond", unmap(iova, (RUN - first + 1 + rnd(3)) * size), EINVAL);
		return false;
	}
	/* Now and then what is between two runs as well, which is empty. */
	if (run + 1 < RUNS && !rnd(8)) {
		answered(step, "UNMAP runs", unmap(iova, (run_start(w, run + 1) - run_start(w, run)) * size), 0);
		for (unsigned int i = 0; i < first; i++)
			lose(&w->pages[(run + 1) * RUN + i]);
		count = RUN - first;
	} else {
		answered(step, "UNMAP", unmap(iova, count * size), 0);
	}
	for (unsigned int i = 0; i < count; i++)
		lose(&w->pages[run * RUN + first + i]);
	return true;
}

/* edu writes to a page that is mapped, or was. */
static void step_dma(unsigned int step)
{
	for (int tries = 0; tries < 100; tries++) {
		const struct window *w = &windows[rnd(2)];
		unsigned int run = rnd(RUNS), i = rnd(RUN);
		const struct page *page = &w->pages[run * RUN + i];
		uint8_t *at = page->at ?: page->was;
		bool allowed = page->at && page->flags & VFIO_DMA_MAP_FLAG_WRITE;

		if (!w->there || !at)
			continue;
		memset(at, 0x11, sizeof(pattern));
		edu_dma(EDU_BUFFER, w->start + ((run_start(w, run) + i) << w->shift), sizeof(pattern), true);
		if (!memcmp(at, pattern, sizeof(pattern)) != allowed)
			expect(false, "step %u: edu %s page %u of run %u of window %u", step,
			       allowed ? "cannot write to" : "writes to", i, run, (unsigned int)(w - windows));
		return;
	}
}

/* What is told of a group: its endpoint, the windows that it can have. */
static void group_line(const char *bdf, char *line, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
	const struct vfio_iommu_spapr_tce_info info = read_info();
	char path[PATH_MAX], link[PATH_MAX] = {}, endpoint[32] = "no PE";
	unsigned int pe;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	if (readlink(path, link, sizeof(link) - 1) < 0)
		fail("%s", path);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/eeh_pe_config_addr", bdf);
	file = fopen(path, "r");
	if (file && fscanf(file, "%x", &pe) == 1)
		snprintf(endpoint, sizeof(endpoint), "PE 0x%x", pe);
	if (file)
		fclose(file);
	len = snprintf(line, size, "\tgroup %s: %s, 0x%x bytes at 0x%x without asking, %u windows, %u levels, pages of",
		       strrchr(link, '/') + 1, endpoint, info.dma32_window_size, info.dma32_window_start,
		       info.ddw.max_dynamic_windows_supported, info.ddw.levels);
	for (unsigned int shift = 0; shift < 40; shift++)
		if (info.ddw.pgsizes >> shift & 1)
			len += snprintf(line + len, size - len, " %u %s", 1 << shift % 10, units[shift / 10]);
	snprintf(line + len, size - len, "\n");
}

/* What the administrator reads is what was done. */
static void check_files(const char *bdf)
{
	FILE *file = fopen("/sys/kernel/debug/vfio/spapr_tce/containers", "r");
	unsigned int slot, levels, used, regions = 0, seen = 0, number = 0, groups = 0;
	unsigned long first, last, unused;
	struct stat status = {};
	char line[512], group[512];

	group_line(bdf, group, sizeof(group));
	expect(file && !fstat(fileno(file), &status) && (status.st_mode & 07777) == 0400, "only for the administrator");
	while (file && fgets(line, sizeof(line), file)) {
		regions += !strncmp(line, "\tmemory: ", 9);
		groups += !strcmp(line, group);
		if (sscanf(line, "\twindow %u: %lx-%lx, %u levels, %u pages in use, %lu free", &slot, &first, &last, &levels,
			   &used, &unused) != 6 || slot > 1)
			continue;
		if (used + unused != windows[slot].entries)
			expect(false, "%lu entries: %s", windows[slot].entries, line);
		for (int i = 0; i < RUNS * RUN; i++)
			used -= !!windows[slot].pages[i].at;
		if (used || first != windows[slot].start ||
		    last != windows[slot].start + (windows[slot].entries << windows[slot].shift) - 1)
			expect(false, "what is in use: %s", line);
		seen++;
	}
	for (int i = 0; i < REGIONS; i++)
		number += registered[i];
	expect(file && seen == (unsigned int)windows[0].there + windows[1].there && regions == number,
	       "%u windows and %u regions in debugfs", seen, regions);
	expect(groups == 1, "the group in debugfs: %s", group + 1);
	if (file)
		fclose(file);
}

static void random_steps(const char *bdf, unsigned int steps)
{
	const bool lpar = read_info().ddw.levels < 2;
	static const char *const names[] = { "registered", "unregistered", "windows made", "removed", "mapped", "unmapped" };
	unsigned int done[ARRAY_SIZE(names)] = {}, dmas = 0;

	edu_open();
	memcpy(buffer, pattern, sizeof(pattern));
	if (reg(buffer, P) || map(RW, buffer, 0, P))
		fail("a first page");
	edu_dma(0, EDU_BUFFER, sizeof(pattern), false);
	if (unmap(0, P) || unreg(buffer, P))
		fail("a first page");
	/* Below a hypervisor the window that is there cannot be made again while there is another one. */
	if (lpar)
		windows[0] = (struct window) {
			.there = true, .shift = 12, .entries = read_info().dma32_window_size >> 12,
		};
	else if (remove_window(0))
		fail("the first window");
	for (unsigned int step = 0; step < steps && !failures; step++) {
		unsigned int region = rnd(REGIONS), what = rnd(64);
		uint8_t *at = buffer + region * REGION;
		int expected;
		bool ok;

		if (what < 8) {
			expected = registered[region] ? EBUSY : 0;
			answered(step, "REGISTER", reg(at, REGION), expected);
			registered[region] = true;
			ok = !expected;
			what = 0;
		} else if (what < 12) {
			expected = !registered[region] ? ENOENT : in_use(region) ? EBUSY : 0;
			answered(step, "UNREGISTER", unreg(at, REGION), expected);
			if (!expected)
				registered[region] = false;
			ok = !expected;
			what = 1;
		} else if (what < 14) {
			ok = step_create(step, lpar);
			what = 2;
		} else if (what < 15) {
			ok = step_remove(step, lpar);
			what = 3;
		} else if (what < 44) {
			ok = step_map(step);
			what = 4;
		} else {
			ok = step_unmap(step);
			what = 5;
		}
		done[what] += ok;
		if (step % 500 == 499) {
			step_dma(step);
			dmas++;
		}
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		printf("%u %s, ", done[i], names[i]);
	expect(!failures, "%u times looked at by edu", dmas);
	check_files(bdf);
}

/* --- threads --- */

static volatile bool over;
static struct vfio_iommu_spapr_tce_create *constant;

/* All that a user can do to a container, at random; nothing is expected but that the kernel survives it. */
static void *race(void *arg)
{
	unsigned int own = (uintptr_t)arg;

	while (!over) {
		uint8_t *at = buffer + rand_r(&own) % REGIONS * REGION;
		uint64_t iova = (rand_r(&own) % 2 ? 1ULL << 59 : 0) + rand_r(&own) % 64 * P;

		switch (rand_r(&own) % 12) {
		case 0:
			reg(at, REGION);
			break;
		case 1:
			unreg(at, REGION);
			break;
		case 2:
			create_raw(40, 0, 12 + rand_r(&own) % 2 * 4, 1ULL << 30, 1 + rand_r(&own) % 2);
			break;
		case 3:
			remove_window(iova);
			break;
		case 4:
			ioctl(u.container, VFIO_IOMMU_ENABLE);
			break;
		case 5:
			ioctl(u.container, rand_r(&own) % 8 ? VFIO_IOMMU_ENABLE : VFIO_IOMMU_DISABLE);
			break;
		case 6:
			eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0);
			break;
		case 7:
			/* Where the window is cannot be told. */
			ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_CREATE, constant);
			break;
		case 8:
		case 9:
			unmap(iova, 4 * P);
			break;
		default:
			map(RW, at, iova, 4 * P);
		}
	}
	return NULL;
}

/* Threads use a container whose group leaves and joins. */
static void race_for(const char *bdf, unsigned int seconds)
{
	const time_t end = time(NULL) + seconds;
	pthread_t threads[4];
	unsigned int joined = 0;
	long before;

	buffer = memory(64 * P);
	constant = constant_create();
	before = locked_kib();
	u.container = open_container();
	u.group = open_group(bdf);
	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		if (pthread_create(&threads[i], NULL, race, (void *)(i + 1)))
			fail("a thread");
	/* However busy the host is, it joins twice. */
	while (joined < 2 || time(NULL) < end) {
		if (ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container))
			fail("SET_CONTAINER");
		if (ioctl(u.container, VFIO_SET_IOMMU, joined % 3 ? VFIO_SPAPR_TCE_v2_IOMMU : VFIO_SPAPR_TCE_IOMMU))
			fail("SET_IOMMU");
		usleep(rnd(200000));
		if (ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER))
			fail("UNSET_CONTAINER");
		joined++;
	}
	over = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	close(u.group);
	close(u.container);
	expect(locked_kib() == before, "nothing is locked after the group has joined %u times", joined);
}

/* --- devices that go --- */

static volatile bool gone;

/* Takes the device away: returns when who holds it has closed it. */
static void *take_away(void *arg)
{
	static char bdf[16], path[128];
	char **argv = arg;
	bool remove = !strcmp(argv[3], "remove");
	const char *what = remove ? "1" : bdf;
	int fd;

	snprintf(bdf, sizeof(bdf), "%s", argv[1]);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, remove ? "remove" : "driver/unbind");
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, what, strlen(what)) < 0)
		fail("%s", path);
	close(fd);
	gone = true;
	return NULL;
}

static void *reset(void *arg)
{
	unsigned long done = 0;

	while (!over) {
		eeh(12, 0, VFIO_EEH_PE_RESET_HOT, 0, 0);
		eeh(12, 0, VFIO_EEH_PE_RESET_DEACTIVATE, 0, 0);
		done++;
	}
	return (void *)done;
}

/* Whether something comes to pass, however slow the host is. */
static bool comes(volatile bool *event)
{
	for (int i = 0; i < 1200 && !*event; i++)
		usleep(100000);
	return *event;
}

static void gone_while_reset(char **argv)
{
	pthread_t threads[3];
	void *count[2];

	if (pthread_create(&threads[0], NULL, reset, NULL) || pthread_create(&threads[1], NULL, reset, NULL))
		fail("threads");
	usleep(rnd(1000000));
	if (pthread_create(&threads[2], NULL, take_away, argv))
		fail("a thread");
	usleep(rnd(1000000));
	close(u.device);
	expect(comes(&gone), "the device goes when it is closed (%s)", argv[3]);
	if (!gone)
		_exit(1);
	over = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &count[i]);
	pthread_join(threads[2], NULL);
	expect(eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0) < 0, "there is no group in the container any more");
	close(u.group);
	close(u.container);
}

static void unended(const char *bdf)
{
	WORKS(eeh(12, 0, VFIO_EEH_PE_RESET_HOT, 0, 0), "RESET_HOT");
	close_all(&u);
	u = open_all(bdf, VFIO_SPAPR_TCE_v2_IOMMU);
	expect(!eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0), "it works when it is opened again");
	WORKS(reg(buffer, 2 * P), "REGISTER");
	WORKS(map(RW, buffer, 0, 2 * P), "MAP");
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "DMA");
}

static void on_alarm(int number)
{
	(void)number;
}

/* Opens the device; and, when it is being taken away, resets it before it closes it. */
static int reset_late(const char *bdf, bool signals, int opened, int go)
{
	struct itimerval often = { { .tv_usec = 500000 }, { .tv_usec = 500000 } };
	struct sigaction action = { .sa_handler = on_alarm };
	char byte = 0;

	begin(bdf, false);
	if (write(opened, &byte, 1) != 1 || read(go, &byte, 1) != 1)
		fail("pipes");
	if (signals && (sigaction(SIGALRM, &action, NULL) || setitimer(ITIMER_REAL, &often, NULL)))
		fail("a timer");
	/* If nobody had the lock yet it works: then this shows nothing, but does not fail. */
	return !eeh(12, 0, VFIO_EEH_PE_RESET_HOT, 0, 0) || errno == (signals ? EINTR : EBUSY) ? 0 : errno;
}

static void stuck_in_reset(char **argv)
{
	int opened[2], go[2], status;
	pthread_t thread;
	char byte = 0;
	pid_t holder;

	if (pipe(opened) || pipe(go))
		fail("pipes");
	holder = fork();
	if (!holder)
		_exit(reset_late(argv[1], !strcmp(argv[3], "remove"), opened[1], go[0]));
	close(opened[1]);
	if (holder < 0 || read(opened[0], &byte, 1) != 1 || pthread_create(&thread, NULL, take_away, argv))
		fail("a process that holds it");
	usleep(1000000);
	expect(!gone, "it waits for who holds it");
	if (write(go[1], &byte, 1) != 1)
		fail("pipes");
	expect(comes(&gone), "the device goes when who holds it has given up, or had a signal (%s)", argv[3]);
	if (!gone)
		_exit(1);
	pthread_join(thread, NULL);
	expect(waitpid(holder, &status, 0) == holder && !status, "it did not wait otherwise (%x)", status);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "race") && argc > 3) {
		race_for(argv[1], atoi(argv[3]));
		return failures ? 1 : 0;
	}
	if (!strcmp(what, "stuck") && argc > 3) {
		stuck_in_reset(argv);
		return failures ? 1 : 0;
	}
	begin(argv[1], !strcmp(what, "v1"));
	if (!strcmp(what, "gone") && argc > 3) {
		seed = getpid();
		gone_while_reset(argv);
		return failures ? 1 : 0;
	}
	if (!strcmp(what, "v1"))
		own_v1();
	else if (!strcmp(what, "v2"))
		own_v2();
	else if (!strcmp(what, "unended"))
		unended(argv[1]);
	else if (!strcmp(what, "lpar"))
		own_lpar();
	else if (!strcmp(what, "groups") && argc > 3)
		own_groups(argv[3]);
	else if (!strcmp(what, "random") && argc > 3) {
		seed = argc > 4 ? atoi(argv[4]) : 1;
		random_steps(argv[1], atoi(argv[3]));
	} else {
		return 2;
	}
	if (strcmp(what, "groups"))
		close_all(&u);
	printf("done\n");
	return failures ? 1 : 0;
}
