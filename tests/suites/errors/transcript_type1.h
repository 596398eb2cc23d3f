/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_transcript: type1. */
#ifndef TRANSCRIPT_TYPE1_H
#define TRANSCRIPT_TYPE1_H

#include <sys/resource.h>

static long map(int fd, uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = flags, .vaddr = vaddr, .iova = iova, .size = size };

	return ioctl(fd, VFIO_IOMMU_MAP_DMA, &m);
}

static long unmap(int fd, uint32_t flags, uint64_t iova, uint64_t size, uint64_t *done)
{
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u), .flags = flags, .iova = iova, .size = size };
	long ret = ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &u);

	*done = u.size;
	return ret;
}

static void ask_unmap(int fd, uint32_t flags, uint64_t iova, uint64_t size)
{
	uint64_t done;
	long ret;

	errno = 0;
	ret = unmap(fd, flags, iova, size, &done);
	say(ret, "UNMAP flags %x iova %llx size %llx: size %llx", flags, (long long)iova, (long long)size,
	    (long long)done);
}

static void iommu_info(int fd, const char *when)
{
	uint8_t buffer[1024];
	struct vfio_iommu_type1_info *info = (void *)buffer;
	const uint32_t sizes[] = { 0, 15, 16, 20, 24, 32, 48, 64, 100, 1024 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(buffer, 0x5a, sizeof(buffer));
		info->argsz = sizes[i];
		info->flags = 0;
		ASK(ioctl(fd, VFIO_IOMMU_GET_INFO, info), "GET_INFO %s argsz %u", when, sizes[i]);
		hex("  ", buffer, sizes[i] > 200 ? 200 : sizes[i] + 8);
	}
	TWICE(ioctl(fd, VFIO_IOMMU_GET_INFO, BAD), "GET_INFO bad pointer");
}

static const uint64_t addresses[] = { 0, 1, 0xfff, 0x1000, 0x10000, 0xfee00000, 0xfedff000, 0xfef00000, 1ULL << 32,
	(1ULL << 39) - 0x1000, 1ULL << 39, 1ULL << 47, 1ULL << 48, (1ULL << 48) - 0x1000, (1ULL << 57) - 0x1000,
	1ULL << 57, 1ULL << 63, ~0ULL - 0xfff, ~0ULL };
static const uint64_t lengths[] = { 0, 1, 0xfff, 0x1000, 0x1001, 0x3000, 1ULL << 32, 1ULL << 63, ~0ULL - 0xfff, ~0ULL };

static void type1(unsigned long type)
{
	struct vfio_user u = open_all(bdf, type);
	char *ram = memory(64 * PAGE);
	int fd = u.container;
	uint64_t v = (uint64_t)ram;

	printf("# type %lu\n", type);
	iommu_info(fd, "empty");

	heading("MAP: argsz, pointers, flags");
	for (uint32_t argsz = 0; argsz <= 40; argsz += 8) {
		struct vfio_iommu_type1_dma_map m = { .argsz = argsz, .flags = 3, .vaddr = v, .size = PAGE };

		ASK(ioctl(fd, VFIO_IOMMU_MAP_DMA, &m), "MAP argsz %u", argsz);
	}
	TWICE(ioctl(fd, VFIO_IOMMU_MAP_DMA, BAD), "MAP bad pointer");
	ask_unmap(fd, 0, 0, PAGE);
	for (uint32_t flags = 0; flags < 16; flags++) {
		TWICE(map(fd, flags, v, 0x10000, PAGE), "MAP flags %x", flags);
		ask_unmap(fd, 0, 0x10000, PAGE);
	}
	TWICE(map(fd, 1U << 31 | 3, v, 0x10000, PAGE), "MAP flag 31");

	heading("MAP: addresses and sizes");
	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++)
		for (unsigned int j = 0; j < ARRAY_SIZE(lengths); j++) {
			if (lengths[j] > 64 * PAGE && addresses[i] < 1ULL << 57)
				continue;
			TWICE(map(fd, 3, v, addresses[i], lengths[j]), "MAP iova %llx size %llx",
			      (long long)addresses[i], (long long)lengths[j]);
			ask_unmap(fd, 0, addresses[i], lengths[j]);
		}
	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
		TWICE(map(fd, 3, addresses[i], 0x10000, 2 * PAGE), "MAP vaddr %llx", (long long)addresses[i]);
		ask_unmap(fd, 0, 0x10000, 2 * PAGE);
	}
	TWICE(map(fd, 3, v, 0x10000, 1ULL << 40), "MAP more than there is");

	heading("memory that cannot be pinned");
	munmap(ram + 8 * PAGE, PAGE);
	TWICE(map(fd, 3, v, 0x10000, 16 * PAGE), "MAP over a hole");
	TWICE(map(fd, 3, v + 8 * PAGE, 0x10000, PAGE), "MAP the hole");
	ask_unmap(fd, 0, 0x10000, 16 * PAGE);
	if (mmap(ram + 8 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("mmap");
	TWICE(map(fd, 3, v, 0x10000, 16 * PAGE), "MAP over a read-only page for writing");
	TWICE(map(fd, 1, v, 0x10000, 16 * PAGE), "MAP over a read-only page for reading");
	ask_unmap(fd, 0, 0x10000, 16 * PAGE);
	mprotect(ram + 8 * PAGE, PAGE, PROT_NONE);
	TWICE(map(fd, 1, v, 0x10000, 16 * PAGE), "MAP over an inaccessible page");
	ask_unmap(fd, 0, 0x10000, 16 * PAGE);
	mprotect(ram + 8 * PAGE, PAGE, PROT_READ | PROT_WRITE);

	heading("overlaps");
	ASK(map(fd, 3, v, 0x100000, 4 * PAGE), "MAP 4 pages");
	for (int start = -2; start <= 4; start++)
		for (int pages = 1; pages <= 8; pages++) {
			uint64_t iova = 0x100000 + start * (int)PAGE, done;
			long ret = map(fd, 3, v + 16 * PAGE, iova, pages * PAGE);

			say(ret, "MAP %d pages at %d", pages, start);
			if (!ret)
				unmap(fd, 0, iova, pages * PAGE, &done);
		}
	heading("UNMAP of parts");
	for (int start = -2; start <= 4; start++)
		for (int pages = 1; pages <= 8; pages++) {
			ask_unmap(fd, 0, 0x100000 + start * (int)PAGE, pages * PAGE);
			map(fd, 3, v, 0x100000, 2 * PAGE);
			map(fd, 3, v, 0x102000, 2 * PAGE);
		}
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);

	heading("UNMAP: argsz, flags, ranges");
	for (uint32_t argsz = 0; argsz <= 56; argsz += 8) {
		struct vfio_iommu_type1_dma_unmap un = { .argsz = argsz, .iova = 0x10000, .size = PAGE };

		TWICE(ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &un), "UNMAP argsz %u", argsz);
	}
	TWICE(ioctl(fd, VFIO_IOMMU_UNMAP_DMA, BAD), "UNMAP bad pointer");
	for (uint32_t flags = 0; flags < 16; flags++) {
		ASK(map(fd, 3, v, 0x10000, PAGE), "MAP");
		ask_unmap(fd, flags, 0x10000, PAGE);
		ask_unmap(fd, flags, 0, 0);
	}
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++)
		for (unsigned int j = 0; j < ARRAY_SIZE(lengths); j++)
			ask_unmap(fd, 0, addresses[i], lengths[j]);
	ask_unmap(fd, 0, 0, 1ULL << 63);

	heading("many mappings, one unmap");
	for (int i = 0; i < 20; i++)
		map(fd, 1 + i % 3, v + i * PAGE, 0x200000 + i * 2 * PAGE, PAGE);
	iommu_info(fd, "with mappings");
	ask_unmap(fd, 0, 0x200000 + 5 * 2 * PAGE, 10 * 2 * PAGE);
	ask_unmap(fd, 0, 0x1ff000, 0x100000);
	ask_unmap(fd, 0, 0x1ff000, 0x100000);

	heading("new vaddr");
	ASK(map(fd, 3, v, 0x10000, 4 * PAGE), "MAP");
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_VADDR, 0x11000, PAGE);
	TWICE(map(fd, VFIO_DMA_MAP_FLAG_VADDR, v, 0x10000, 4 * PAGE), "MAP VADDR, still valid");
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_VADDR, 0x10000, 4 * PAGE);
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_VADDR, 0x10000, 4 * PAGE);
	TWICE(map(fd, VFIO_DMA_MAP_FLAG_VADDR, v, 0x10000, 2 * PAGE), "MAP VADDR, other size");
	TWICE(map(fd, VFIO_DMA_MAP_FLAG_VADDR, v, 0x40000, 4 * PAGE), "MAP VADDR, nothing there");
	TWICE(map(fd, VFIO_DMA_MAP_FLAG_VADDR | 1, v, 0x10000, 4 * PAGE), "MAP VADDR with READ");
	TWICE(map(fd, 3, v, 0x80000, PAGE), "MAP another meanwhile");
	ASK(map(fd, VFIO_DMA_MAP_FLAG_VADDR, v + 16 * PAGE, 0x10000, 4 * PAGE), "MAP VADDR");
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
	ask_unmap(fd, 0, 0x10000, 4 * PAGE);
	ask_unmap(fd, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);

	close_all(&u);
}

static void section_type1(void)
{
	type1(VFIO_TYPE1v2_IOMMU);
	type1(VFIO_TYPE1_IOMMU);
}

/* Dirty pages: START, STOP, GET_BITMAP and UNMAP with a bitmap. */
static void dirty(unsigned long type)
{
	struct vfio_user u = open_all(bdf, type);
	char *ram = memory(64 * PAGE);
	int fd = u.container;
	uint64_t bits[8];
	struct {
		struct vfio_iommu_type1_dirty_bitmap d;
		struct vfio_iommu_type1_dirty_bitmap_get g;
	} get;
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap b;
	} un;

	printf("# type %lu\n", type);
	ASK(map(fd, 3, (uint64_t)ram, 0x10000, 16 * PAGE), "MAP");
	for (int round = 0; round < 2; round++) {
		for (uint32_t flags = 0; flags < 10; flags++) {
			if (flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP)
				continue;
			for (uint32_t argsz = 4; argsz <= 8; argsz += 4) {
				struct vfio_iommu_type1_dirty_bitmap d = { .argsz = argsz, .flags = flags };

				TWICE(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &d), "DIRTY_PAGES flags %x argsz %u", flags, argsz);
			}
		}
		struct vfio_iommu_type1_dirty_bitmap start = { .argsz = 8, .flags = round ? 1 : 0 };

		ASK(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &start), "DIRTY_PAGES start %d", round);
		const struct { uint64_t iova, size, pgsize, bytes; } cases[] = {
			{ 0x10000, 16 * PAGE, PAGE, 8 }, { 0x10000, 16 * PAGE, PAGE, 64 },
			{ 0x10000, 16 * PAGE, PAGE, 0 }, { 0x10000, 16 * PAGE, PAGE, 1 },
			{ 0x10000, 8 * PAGE, PAGE, 8 }, { 0x12000, 2 * PAGE, PAGE, 8 },
			/*
			 * A range that starts less than 64 pages before a mapping is left out: the C code shifts the
			 * mapping's own bitmap in place then and reports other pages from there on.
			 */
			{ 0x0, 64 * PAGE, PAGE, 1 << 29 },
			{ 0x10000, 0, PAGE, 8 }, { 0x10001, PAGE, PAGE, 8 }, { 0x10000, 100, PAGE, 8 },
			{ 0x10000, 16 * PAGE, 2 * PAGE, 8 }, /* Page size 0: a shift out of bounds in C. */
			{ 0x10000, 16 * PAGE, 1, 8 }, { ~0ULL - 0xfff, PAGE, PAGE, 8 },
			{ ~0ULL - 0xfff, 2 * PAGE, PAGE, 8 }, { 0x800000, PAGE, PAGE, 8 },
			{ 0, 1ULL << 63, PAGE, 1 << 28 },
		};
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
			for (int again = 0; again < 2; again++) {
				memset(bits, 0, sizeof(bits));
				get.d = (struct vfio_iommu_type1_dirty_bitmap){ .argsz = sizeof(get), .flags = 4 };
				get.g.iova = cases[i].iova;
				get.g.size = cases[i].size;
				get.g.bitmap = (struct vfio_bitmap){ cases[i].pgsize, cases[i].bytes, (void *)bits };
				ASK(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &get), "GET_BITMAP case %u", i);
				hex("  ", bits, sizeof(bits));
			}
		for (uint32_t argsz = 8; argsz <= 56; argsz += 8) {
			get.d = (struct vfio_iommu_type1_dirty_bitmap){ .argsz = argsz, .flags = 4 };
			get.g.iova = 0x10000;
			get.g.size = 16 * PAGE;
			get.g.bitmap = (struct vfio_bitmap){ PAGE, 8, (void *)bits };
			TWICE(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &get), "GET_BITMAP argsz %u", argsz);
		}
		get.g.bitmap.data = (void *)BAD;
		get.d.argsz = sizeof(get);
		TWICE(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, &get), "GET_BITMAP into nowhere");
		TWICE(ioctl(fd, VFIO_IOMMU_DIRTY_PAGES, BAD), "DIRTY_PAGES bad pointer");

		heading("UNMAP with a bitmap");
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
			memset(bits, 0, sizeof(bits));
			un.u = (struct vfio_iommu_type1_dma_unmap){ .argsz = sizeof(un),
				.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .iova = cases[i].iova, .size = cases[i].size };
			un.b = (struct vfio_bitmap){ cases[i].pgsize, cases[i].bytes, (void *)bits };
			long ret = ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &un);

			say(ret, "UNMAP bitmap case %u: size %llx", i, (long long)un.u.size);
			hex("  ", bits, sizeof(bits));
			map(fd, 3, (uint64_t)ram, 0x10000, 16 * PAGE);
		}
		for (uint32_t argsz = 24; argsz < 56; argsz += 8) {
			un.u.argsz = argsz;
			un.u.iova = 0x10000;
			un.u.size = 16 * PAGE;
			un.b = (struct vfio_bitmap){ PAGE, 8, (void *)bits };
			TWICE(ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &un), "UNMAP bitmap argsz %u", argsz);
		}
		ASK(map(fd, 3, (uint64_t)ram, 0x10000, 16 * PAGE), "MAP");
	}
	close_all(&u);
}

static void section_dirty(void)
{
	dirty(VFIO_TYPE1v2_IOMMU);
	dirty(VFIO_TYPE1_IOMMU);
}

static void limited(void)
{
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	char *ram = memory(64 * PAGE);
	uint64_t v = (uint64_t)ram;

	printf("locked %ld\n", locked_kib());
	ASK(map(u.container, 3, v, 0, 32 * PAGE), "MAP 32 pages, privileged");
	printf("locked %ld\n", locked_kib());
	ask_unmap(u.container, 0, 0, 32 * PAGE);
	printf("locked %ld\n", locked_kib());
	setrlimit(RLIMIT_MEMLOCK, &limit);
	drop_capabilities();
	TWICE(map(u.container, 3, v, 0, 17 * PAGE), "MAP 17 of 16 pages");
	printf("locked %ld\n", locked_kib());
	ASK(map(u.container, 3, v, 0, 16 * PAGE), "MAP 16 of 16 pages");
	printf("locked %ld\n", locked_kib());
	TWICE(map(u.container, 3, v + 20 * PAGE, 0x100000, PAGE), "MAP one more");
	TWICE(map(u.container, 3, v, 0x100000, PAGE), "MAP one of them again");
	ask_unmap(u.container, 0, 0, 16 * PAGE);
	ASK(map(u.container, 3, v, 0, 8 * PAGE), "MAP 8");
	TWICE(map(u.container, 3, v, 0x100000, 9 * PAGE), "MAP 9 more");
	ASK(map(u.container, 3, v, 0x100000, 8 * PAGE), "MAP 8 more");
	munmap(ram, 64 * PAGE);
	printf("locked %ld\n", locked_kib());
	ask_unmap(u.container, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
	printf("locked %ld\n", locked_kib());
	TWICE(ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "CHECK_EXTENSION, unprivileged");
	close_all(&u);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open the group, unprivileged root");
}

static void entry_limit(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	char *ram = memory(64 * PAGE);

	iommu_info(u.container, "with a small dma_entry_limit");
	for (int i = 0; i < 6; i++)
		TWICE(map(u.container, 3, (uint64_t)ram, i * PAGE, PAGE), "MAP %d", i);
	ask_unmap(u.container, 0, PAGE, PAGE);
	TWICE(map(u.container, 3, (uint64_t)ram, 0x100000, PAGE), "MAP after one UNMAP");
	iommu_info(u.container, "full");
	close_all(&u);
}

/* A child inherits the container; mappings belong to who made them. */
static void forked(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	char *ram = memory(64 * PAGE);
	int status_;
	pid_t pid;

	ASK(map(u.container, 3, (uint64_t)ram, 0, 4 * PAGE), "parent maps");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		printf("child's locked %ld\n", locked_kib());
		ASK(map(u.container, 3, (uint64_t)ram, 0x100000, 4 * PAGE), "child maps");
		printf("child's locked %ld\n", locked_kib());
		ask_unmap(u.container, 0, 0, 4 * PAGE);
		printf("child's locked %ld\n", locked_kib());
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status_, 0);
	printf("parent's locked %ld\n", locked_kib());
	ask_unmap(u.container, 0, 0x100000, 4 * PAGE);
	printf("parent's locked %ld\n", locked_kib());
	ASK(map(u.container, 3, (uint64_t)ram, 0x100000, 4 * PAGE), "parent maps there");
	close_all(&u);
	printf("parent's locked %ld\n", locked_kib());
}

static void section_limits(void)
{
	apart(limited);
	apart(forked);
}

static void section_entries(void)
{
	apart(entry_limit);
}


static void random_maps(unsigned long type)
{
	struct vfio_user u = open_all(bdf, type);
	char *ram = memory(64 * PAGE);

	seed = 20260;
	for (int i = 0; i < 3000; i++) {
		uint64_t iova = 0x100000 + rnd(32) * PAGE, size = rnd(9) * PAGE;

		if (rnd(20) == 0)
			size += rnd(4096);
		if (rnd(2))
			ASK(map(u.container, rnd(10) ? 1 + rnd(3) : rnd(8), (uint64_t)ram + rnd(32) * PAGE, iova, size),
			    "MAP iova %llx size %llx", (long long)iova, (long long)size);
		else if (rnd(40) == 0)
			ask_unmap(u.container, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0);
		else
			ask_unmap(u.container, rnd(12) ? 0 : rnd(8), iova, size);
		if (i % 100 == 0)
			printf("locked %ld\n", locked_kib());
	}
	close_all(&u);
	printf("locked %ld\n", locked_kib());
}

static void section_maps_random(void)
{
	random_maps(VFIO_TYPE1v2_IOMMU);
	random_maps(VFIO_TYPE1_IOMMU);
}

#endif /* TRANSCRIPT_TYPE1_H */
