// SPDX-License-Identifier: GPL-2.0
/*
 * Several threads map and unmap in one container at once; then a process that
 * maps much is killed; then operations are timed. Fails if anything is left
 * pinned or accounted, or a call failed that must not.
 *
 * usage: type1_threads <group> <seconds>
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../proc.h"

#define PAGE 4096ull
#define MEM (256ull << 20)

static int container;
static char *mem;
static volatile int stop;
static long results[8];
static int failed;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* What has to be 0 at this point. */
static void nothing(const char *what, long value)
{
	if (value) {
		printf("FAILED: %s is %ld\n", what, value);
		failed = 1;
	}
}

static int map(uint64_t iova, uint64_t vaddr, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 3,
		.iova = iova, .vaddr = vaddr, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static int64_t unmap(uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .iova = iova, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : (int64_t)unmap.size;
}

static void *worker(void *arg)
{
	uint64_t s = 88172645463325252ull * ((long)arg * 2 + 1);
	long done = 0;

	while (!stop) {
		uint64_t iova, size;
		int64_t ret;

		s ^= s << 13; s ^= s >> 7; s ^= s << 17;
		iova = (s % 64) << 20;
		size = ((s >> 20) % 3 ? PAGE : 1ull << 20) << ((s >> 30) % 3);
		if (s >> 40 & 1)
			ret = map(iova, (uint64_t)mem + ((s >> 41) % 200 << 20), size);
		else
			ret = unmap(iova, size, s >> 42 & 63 ? 0 : 2);
		if (ret < 0 && ret != -EEXIST && ret != -EINVAL)
			results[7] = ret;
		done++;
	}
	results[(long)arg] = done;
	return NULL;
}

static void timing(const char *name, uint64_t size, char *at, int count, int all)
{
	/* Above what some IOMMUs keep for interrupts. */
	const uint64_t base = 4ull << 30;
	double t0 = now(), t1, t2;
	int i, bad = 0;

	for (i = 0; i < count; i++)
		bad |= map(base + i * size * 2, (uint64_t)at, size);
	t1 = now();
	if (all)
		bad |= unmap(0, 0, 2) < 0;
	else
		for (i = 0; i < count; i++)
			bad |= unmap(base + i * size * 2, size, 0) < 0;
	t2 = now();
	printf("time %-28s map %9.1f us  unmap %9.1f us%s\n", name,
	       (t1 - t0) * 1e6 / count, (t2 - t1) * 1e6 / count, bad ? " FAILED" : "");
	failed |= bad;
}

int main(int argc, char **argv)
{
	int group, i, wstatus;
	pthread_t threads[4];
	char path[64], *huge;
	long before;
	double t;
	pid_t pid;

	if (argc != 3) {
		fprintf(stderr, "usage: %s GROUP SECONDS\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	before = pins_of_all();
	mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	madvise(mem, MEM, MADV_NOHUGEPAGE);
	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		perror("open");
		return 2;
	}

	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, worker, (void *)(long)i);
	sleep(atoi(argv[2]));
	stop = 1;
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	unmap(0, 0, 2);
	printf("threads did %ld %ld %ld %ld error %ld, locked %ld kB, pins %ld\n",
	       results[0], results[1], results[2], results[3], results[7],
	       locked_kib(), pins_of_all() - before);
	nothing("a wrong error", results[7]);
	nothing("locked memory", locked_kib());
	nothing("the number of pins", pins_of_all() - before);

	pid = fork();
	if (!pid) {
		char *big = mmap(NULL, 4ull << 30, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		madvise(big, 4ull << 30, MADV_NOHUGEPAGE);
		i = map(1ull << 32, (uint64_t)big, 400ull << 20);
		_exit(i ? 1 : 0);
	}
	usleep(150000);
	t = now();
	kill(pid, SIGKILL);
	waitpid(pid, &wstatus, 0);
	printf("killed after %.0f ms, status %x, pins %ld\n", (now() - t) * 1e3, wstatus,
	       pins_of_all() - before);
	unmap(0, 0, 2);
	nothing("the number of pins after a kill", pins_of_all() - before);

	/* Scattered: touch in an order that the page allocator does not like. */
	for (i = 0; i < 2; i++)
		for (uint64_t p = i; p < (16 << 20) / PAGE; p += 2)
			mem[p * PAGE] = 1;
	huge = mmap(NULL, 130ull << 20, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	huge = (char *)(((uint64_t)huge + (2 << 20) - 1) & ~((2ull << 20) - 1));
	madvise(huge, 128 << 20, MADV_HUGEPAGE);
	memset(huge, 1, 128 << 20);
	for (i = 0; i < 2; i++) {
		timing("4 KiB", PAGE, mem, 2000, 0);
		timing("2 MiB of 4 KiB", 2 << 20, mem, 60, 0);
		timing("2 MiB huge", 2 << 20, huge, 200, 0);
		timing("64 MiB huge", 64 << 20, huge, 8, 0);
		timing("10000 x 4 KiB, unmap all", PAGE, mem, 10000, 1);
	}
	close(group);
	close(container);
	printf("end: locked %ld kB, pins %ld\n", locked_kib(),
	       pins_of_all() - before);
	nothing("locked memory at the end", locked_kib());
	nothing("the number of pins at the end", pins_of_all() - before);
	return failed;
}
