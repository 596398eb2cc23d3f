// SPDX-License-Identifier: GPL-2.0
/*
 * DMA by QEMU's edu device into pages that are mapped, that were unmapped a moment ago (with their
 * translation in the IOTLB), that are read-only, shared by fork, or never touched. Prints what arrived
 * where, which must not depend on the modules; fails if DMA reached what it must not.
 *
 * usage: type1_dma <group> <device>
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../proc.h"

#define PAGE 4096ull
#define MIB (1ull << 20)
#define IOVA (16 * MIB)
#define READ VFIO_DMA_MAP_FLAG_READ
#define WRITE VFIO_DMA_MAP_FLAG_WRITE
#define RW (PROT_READ | PROT_WRITE)

/* The device's own buffer, in its address space. */
#define BUFFER 0x40000
/* Within the reach of edu, and not where Linux has the MSI doorbell on arm64 (128 MiB). */
#define BOUNCE (192 * MIB)
#define EDU_SRC 0x80
#define EDU_DST 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98

static int container, device;
static uint64_t bar;
static int failed;

static int map(uint64_t iova, const void *vaddr, uint64_t size, int flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags,
		.iova = iova, .vaddr = (uint64_t)vaddr, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static int64_t unmap(uint64_t iova, uint64_t size, int flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .iova = iova, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : (int64_t)unmap.size;
}

static void check(const char *what, long value, long wanted)
{
	printf("%s: %#lx\n", what, value);
	if (value != wanted) {
		printf("FAILED: %s is not %#lx\n", what, wanted);
		failed = 1;
	}
}

static void set(uint64_t reg, uint64_t value)
{
	if (pwrite(device, &value, 8, bar + reg) != 8)
		perror("pwrite");
}

static void copy(uint64_t from, uint64_t to, uint64_t command)
{
	uint64_t value;
	int i;

	set(EDU_SRC, from);
	set(EDU_DST, to);
	set(EDU_COUNT, 8);
	set(EDU_COMMAND, command);
	for (i = 0; i < 2000; i++) {
		if (pread(device, &value, 8, bar + EDU_COMMAND) == 8 && !(value & 1))
			return;
		usleep(5000);
	}
	printf("FAILED: the device does not finish\n");
	failed = 1;
}

/* What the device reads at an address; what it had before if it cannot. */
static uint64_t dma_read(uint64_t iova)
{
	uint64_t *bounce = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t value;

	copy(iova, BUFFER, 1);
	*bounce = 0;
	if (map(BOUNCE, bounce, PAGE, WRITE))
		perror("map");
	copy(BUFFER, BOUNCE, 3);
	value = *(volatile uint64_t *)bounce;
	unmap(BOUNCE, PAGE, 0);
	munmap(bounce, PAGE);
	return value;
}

/* Puts a value into the device, and lets it write that to an address. */
static void dma_write(uint64_t iova, uint64_t value)
{
	uint64_t *bounce = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*bounce = value;
	if (map(BOUNCE, bounce, PAGE, READ))
		perror("map");
	copy(BOUNCE, BUFFER, 1);
	unmap(BOUNCE, PAGE, 0);
	munmap(bounce, PAGE);
	copy(BUFFER, iova, 3);
}

/* `count` mappings of `pages` pages, next to each other unless `gap`; the device has the page looked up. */
static void after_unmap(const char *name, char *p, int count, int pages, int gap, int all)
{
	uint64_t size = pages * PAGE, step = gap ? 2 * size : size, last = IOVA + (count - 1) * step;
	volatile uint64_t *at = (uint64_t *)(p + (count - 1) * size);
	int i;

	printf("%s\n", name);
	for (i = 0; i < count; i++)
		/* The last one for both, the others for this or that. */
		if (map(IOVA + i * step, p + i * size, size, i == count - 1 ? 3 : 1 + i % 3))
			check("map", errno, 0);
	*at = 1;
	dma_write(last, 0x11);
	check("written while mapped", *at, 0x11);
	if (all)
		check("unmapped", unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), count * size);
	else
		check("unmapped", unmap(IOVA, count * step, 0), count * size);
	copy(BUFFER, last, 3);
	*at = 2;
	copy(BUFFER, last, 3);
	check("not written after", *at, 2);
	/* Others get the page. */
	madvise(p, count * size, MADV_DONTNEED);
	check("fresh", *at, 0);
}

static void forks(void)
{
	volatile uint64_t *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int how, to_child[2], to_parent[2];
	char c = 0;

	for (how = 0; how < 4; how++) {
		pid_t pid;
		int status, flags = how & 1 ? READ : READ | WRITE;

		printf("fork %s the map, %s\n", how & 2 ? "before" : "after",
		       how & 1 ? "for reading" : "for both");
		*p = 5;
		if (!(how & 2))
			check("map", map(IOVA, (void *)p, PAGE, flags), 0);
		if (pipe(to_child) || pipe(to_parent))
			perror("pipe");
		pid = fork();
		if (!pid) {
			if (read(to_child[0], &c, 1) != 1)
				_exit(200);
			*p += 1;
			/* 5 + 1, whatever the parent and the device write. */
			_exit(*p);
		}
		if (how & 2)
			check("map", map(IOVA, (void *)p, PAGE, flags), 0);
		*p = 7;
		check("the device reads", dma_read(IOVA), 7);
		dma_write(IOVA, 9);
		check("the parent reads", *p, how & 1 ? 7 : 9);
		if (write(to_child[1], &c, 1) != 1)
			perror("write");
		waitpid(pid, &status, 0);
		check("the child has", WEXITSTATUS(status), 6);
		check("unmap", unmap(IOVA, PAGE, 0), PAGE);
	}
}

static void prots(void)
{
	volatile uint64_t *p = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile uint64_t seen;
	int i;

	printf("protection\n");
	seen = p[0];	/* the zero page */
	(void)seen;
	check("map a zero page for reading", map(IOVA, (void *)p, PAGE, READ), 0);
	check("map for both", map(IOVA + PAGE, (char *)p + PAGE, PAGE, READ | WRITE), 0);
	check("map for reading", map(IOVA + 2 * PAGE, (char *)p + 2 * PAGE, PAGE, READ), 0);
	for (i = 0; i < 3; i++)
		dma_write(IOVA + i * PAGE, 0x21 + i);
	check("page 0", p[0], 0);
	check("page 1", p[512], 0x22);
	check("page 2", p[1024], 0);
	p[1024] = 0x33;
	printf("written after it was mapped: the device reads %#lx\n", dma_read(IOVA + 2 * PAGE));
	check("unmap", unmap(IOVA, 3 * PAGE, 0), 3 * PAGE);
	copy(BUFFER, IOVA + PAGE, 3);
	seen = p[1536];
	check("map a zero page for both", map(IOVA, (char *)p + 3 * PAGE, PAGE, READ | WRITE), 0);
	dma_write(IOVA, 0x44);
	check("page 3", p[1536], 0x44);
	check("page 4, never touched", p[2048], 0);
	check("unmap", unmap(IOVA, PAGE, 0), PAGE);
	/* The memory behind it goes while it is mapped: the device keeps the page. */
	p[1536] = 0x55;
	check("map", map(IOVA, (char *)p + 3 * PAGE, PAGE, READ | WRITE), 0);
	munmap((char *)p + 3 * PAGE, PAGE);
	check("the device reads memory that is gone", dma_read(IOVA), 0x55);
	check("unmap", unmap(IOVA, PAGE, 0), PAGE);
}

static char *arena;
static volatile int stop;

static void *races(void *arg)
{
	uint64_t s = 88172645463325252ull * (2 * (long)arg + 1);
	uint64_t base = 32 * MIB + (long)arg * 8 * PAGE;

	/* Each in its own addresses, which are next to those of the others. */
	while (!stop) {
		s ^= s << 13; s ^= s >> 7; s ^= s << 17;
		if (s & 1)
			map(base + (s >> 8 & 7) * PAGE, arena + (s >> 12 & 63) * PAGE, PAGE, 3);
		else
			unmap(base, 8 * PAGE, 0);
	}
	unmap(base, 8 * PAGE, 0);
	for (s = 0; s < 8; s++)
		if (map(base + s * PAGE, arena + (((long)arg * 8 + s) * 7 & 63) * PAGE, PAGE, 3))
			return (void *)1;
	return NULL;
}

static void racing(void)
{
	pthread_t thread[4];
	volatile uint64_t *at;
	void *ret;
	long i;

	printf("content after a race\n");
	arena = mmap(NULL, 64 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, races, (void *)i);
	sleep(5);
	stop = 1;
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &ret);
		check("the last maps", (long)ret, 0);
	}
	for (i = 0; i < 64; i++)
		*(uint64_t *)(arena + i * PAGE) = 0x100 + i;
	for (i = 0; i < 32; i += 3)
		check("the device reads", dma_read(32 * MIB + i * PAGE), 0x100 + (i * 7 & 63));
	check("unmap", unmap(32 * MIB, 32 * PAGE, 0), 32 * PAGE);
	at = (uint64_t *)(arena + (31 * 7 & 63) * PAGE);
	*at = 1;
	copy(BUFFER, 32 * MIB + 31 * PAGE, 3);
	check("not written after", *at, 1);
}

int main(int argc, char **argv)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };
	uint16_t command = 6;
	char path[64], *p;
	long before = pins_of_all();
	int group, i;

	if (argc != 3) {
		fprintf(stderr, "usage: %s GROUP DEVICE\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		perror("open");
		return 2;
	}
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	info.index = VFIO_PCI_CONFIG_REGION_INDEX;
	if (device < 0 || ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    pwrite(device, &command, 2, info.offset + 4) != 2) {
		perror(argv[2]);
		return 2;
	}
	info.index = 0;
	ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info);
	bar = info.offset;

	p = mmap(NULL, 32 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(p, 32 * MIB, MADV_NOHUGEPAGE);
	/* Out of order, so that physically little follows on. */
	for (i = 0; i < 4096; i++)
		p[(i * 1237ull & 4095) * PAGE] = 1;
	after_unmap("a page", p, 1, 1, 0, 0);
	after_unmap("pages next to each other", p, 9, 1, 0, 0);
	after_unmap("pages apart", p, 9, 1, 1, 0);
	after_unmap("more than a batch", p, 130, 1, 0, 0);
	after_unmap("more than a batch, apart, all", p, 64, 1, 1, 1);
	for (i = 0; i < 4096; i++)
		p[(i * 1237ull & 4095) * PAGE] = 1;
	after_unmap("scattered", p, 1, 2048, 0, 0);
	for (i = 0; i < 4096; i++)
		p[(i * 1237ull & 4095) * PAGE] = 1;
	after_unmap("scattered, two", p, 3, 1000, 0, 1);
	prots();
	forks();
	racing();
	close(device);
	close(group);
	close(container);
	check("pages left pinned", pins_of_all() - before, 0);
	printf("%s\n", failed ? "not all as it has to be" : "all as it has to be");
	return failed;
}
