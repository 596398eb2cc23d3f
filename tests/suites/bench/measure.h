/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_bench: results, calls that have to succeed, and memory of many kinds. */
#ifndef MEASURE_H
#define MEASURE_H

/* --- results ------------------------------------------------------------------------------------------ */

struct samples {
	const char *name;
	unsigned int count;
	uint64_t value[MAX_REPETITIONS];
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void add(struct samples *s, uint64_t value)
{
	if (s->count < MAX_REPETITIONS)
		s->value[s->count++] = value;
}

static void report(struct samples *s)
{
	qsort(s->value, s->count, sizeof(s->value[0]), compare);
	printf("result %s %s %llu %llu %llu %u\n", set, s->name,
	       (unsigned long long)s->value[s->count / 2], (unsigned long long)s->value[0],
	       (unsigned long long)s->value[s->count - 1], s->count);
	fflush(stdout);
}

/* One operation, or two that take turns, will be measured. */
static void announce(const char *first, const char *second)
{
	static unsigned int announcement;

	printf("announce %u %s %s %s\n", ++announcement, set, first, second);
	MARK(1);
}

/* How often an operation is done before it counts. */
static unsigned int warm_up(unsigned int repetitions)
{
	return repetitions > 20 ? 5 : repetitions > 1 ? 1 : 0;
}

#define SAMPLES(variable, text) struct samples variable = { .name = (text) }

/* Counts the instructions of the rest, `n` times, after a few that do not count. */
#define MEASURE(text, n, ...)							\
	do {									\
		SAMPLES(_s, text);						\
		unsigned int _n = (n), _warm = warm_up(_n);			\
										\
		announce(text, "");						\
		for (unsigned int _i = 0; _i < _n + _warm; _i++) {		\
			uint64_t _t = ticks();					\
										\
			BEGIN_FIRST();						\
			__VA_ARGS__;						\
			END();							\
			_t = ticks() - _t;					\
			if (_i >= _warm)					\
				add(&_s, _t);					\
		}								\
		report(&_s);							\
	} while (0)

/* --- calls that have to succeed ------------------------------------------------------------------------ */

static void map(uint64_t iova, const void *vaddr, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = iova, .vaddr = (uint64_t)vaddr, .size = size,
	};

	if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map))
		fail("MAP_DMA of %llx at %llx", (long long)size, (long long)iova);
}

static void unmap(uint64_t iova, uint64_t size, uint64_t expect)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = size ? 0 : VFIO_DMA_UNMAP_FLAG_ALL,
		.iova = iova, .size = size,
	};

	if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) || unmap.size != expect)
		fail("UNMAP_DMA of %llx at %llx: %llx", (long long)expect, (long long)iova,
		     (long long)unmap.size);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		fail("%s", what);
}

static void load(const char *shell, const char *which)
{
	char command[4096];

	set = which;
	snprintf(command, sizeof(command), "set -- %s; %s", which, shell);
	if (system(command))
		fail("loading the modules: %s", which);
}

static void enter(void)
{
	container = open_container();
	group = open_group(bdf);
	must(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	must(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
}

static void leave(void)
{
	close(group);
	close(container);
}

/* --- memory -------------------------------------------------------------------------------------------- */

static void *reserve(uint64_t size, uint64_t align)
{
	uint64_t p = (uint64_t)mmap(NULL, size + align, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == (uint64_t)MAP_FAILED)
		fail("mmap of %llx", (long long)size);
	return (void *)((p + align - 1) & ~(align - 1));
}

/* Touches pages in an order of chance, so that their frames do not follow each other. */
static void scatter(char *p, uint64_t size)
{
	uint64_t pages = size / PAGE, seed = 88172645463325252ULL, i;
	uint32_t *order = malloc(pages * sizeof(*order));

	if (!order)
		fail("malloc");
	for (i = 0; i < pages; i++)
		order[i] = i;
	for (i = pages - 1; i > 0; i--) {
		uint64_t k;
		uint32_t swap;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		k = seed % (i + 1);
		swap = order[i];
		order[i] = order[k];
		order[k] = swap;
	}
	for (i = 0; i < pages; i++)
		p[order[i] * PAGE] = 1;
	free(order);
}

static char *scattered(uint64_t size)
{
	char *p = reserve(size, 2 * MIB);

	must(madvise(p, size, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	scatter(p, size);
	return p;
}

/* How much of the memory at `p` is in transparent huge pages. */
static uint64_t in_huge_pages(const char *p)
{
	unsigned long start, end, kib;
	char line[512];
	bool found = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			found = start <= (unsigned long)p && (unsigned long)p < end;
		else if (found && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1) {
			fclose(f);
			return kib * KIB;
		}
	}
	fail("smaps");
	return 0;
}

static char *transparent(uint64_t size)
{
	char *p = reserve(size, 2 * MIB);

	must(madvise(p, size, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	memset(p, 1, size);
	if (in_huge_pages(p) < size)
		fail("only %llx of %llx bytes are in huge pages", (long long)in_huge_pages(p), (long long)size);
	return p;
}

static char *hugetlb(uint64_t size, int shift)
{
	char *p = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | shift << MAP_HUGE_SHIFT, -1, 0);

	if (p == MAP_FAILED)
		fail("%llx bytes of hugetlb", (long long)size);
	memset(p, 1, size);
	return p;
}

/* `size` bytes of addresses behind which there are the same `real` bytes again and again. */
static char *repeated(uint64_t size, uint64_t real, int flags)
{
	char *p = reserve(size, GIB);
	int fd = memfd_create("bench", flags);
	uint64_t at;

	must(fd, "memfd_create");
	must(ftruncate(fd, real), "ftruncate");
	for (at = 0; at < size; at += real) {
		if (mmap(p + at, real, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			fail("mmap of a memfd");
		if (!at && !flags)
			scatter(p, real);
		/* Present in the page table: faults are none of VFIO's cost. */
		for (uint64_t i = 0; i < real; i += PAGE)
			p[at + i] = 1;
	}
	close(fd);
	return p;
}

#endif /* MEASURE_H */
