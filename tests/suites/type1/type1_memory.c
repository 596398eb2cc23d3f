// SPDX-License-Identifier: GPL-2.0
/*
 * Maps every kind of memory, for every kind of owner, at every edge; then from
 * several threads while others unmap, change the memory, attach a group, or
 * the process is killed. Prints what is answered, what is counted as locked
 * and what is pinned, which must not depend on the modules.
 *
 * usage: type1_memory <group> <device> <other group>
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../proc.h"

#define PAGE 4096ull
#define MIB (1ull << 20)
#define IOVA (16 * MIB)
#define RW (PROT_READ | PROT_WRITE)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static int container, group, device, other;
static long pins_before;

/* What is locked by this process, and what all have pinned. */
static void state(const char *what, long result)
{
	printf("  %s %ld, locked %ld kB, pins %ld\n", what, result,
	       locked_kib(), pins_of_all() - pins_before);
}

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

	if (!ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return unmap.size;
	if (unmap.iova != iova || unmap.size != size)
		printf("  the argument of a failed unmap changed\n");
	return -errno;
}

static int64_t unmap_all(void)
{
	return unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}

static char *memory(uint64_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Maps it for reading, for writing, for both. */
static void kind(const char *name, const void *vaddr, uint64_t size)
{
	int flags;

	printf("%s\n", name);
	for (flags = 1; flags <= 3; flags++) {
		state("map", map(IOVA, vaddr, size, flags));
		state("unmap", unmap(IOVA, size, 0));
	}
}

static void private_memory(void)
{
	char *p = memory(8 * MIB, RW, 0);
	volatile char touched;

	kind("no access", memory(MIB, PROT_NONE, 0), MIB);
	kind("read-only", memory(MIB, PROT_READ, 0), MIB);
	touched = *p;
	kind("zero page", p, 16 * PAGE);
	munmap(p + MIB, PAGE);
	kind("hole in the middle", p, 2 * MIB);
	kind("hole at the end", p + MIB - 16 * PAGE, 17 * PAGE);
	kind("hole at the start", p + MIB, 2 * PAGE);
	mprotect(p + 3 * MIB, PAGE, PROT_READ);
	kind("read-only page in the middle", p + 2 * MIB, 2 * MIB);
	p = (char *)(((uint64_t)memory(8 * MIB, RW, 0) + 2 * MIB - 1) & ~(2 * MIB - 1));
	madvise(p, 4 * MIB, MADV_HUGEPAGE);
	memset(p, 1, 4 * MIB);
	kind("transparent huge pages", p, 4 * MIB);
	kind("part of transparent huge pages", p + 3 * PAGE, 2 * MIB);
	p = memory(4 * MIB, RW, MAP_HUGETLB);
	if (p) {
		kind("2 MiB pages", p, 4 * MIB);
		kind("part of 2 MiB pages", p + PAGE, 2 * MIB);
		munmap(p, 4 * MIB);
	}
	p = memory(1024 * MIB, RW, MAP_HUGETLB | 30 << MAP_HUGE_SHIFT);
	if (p) {
		kind("1 GiB page", p, 1024 * MIB);
		kind("part of a 1 GiB page", p + PAGE, 1000 * MIB);
		munmap(p, 1024 * MIB);
	}
	(void)touched;
}

static void shared_memory(void)
{
	int fd = memfd_create("type1", 0);

	if (ftruncate(fd, 2 * MIB))
		perror("ftruncate");
	kind("memfd", mmap(NULL, 2 * MIB, RW, MAP_SHARED, fd, 0), 2 * MIB);
	kind("beyond a memfd", mmap(NULL, 4 * MIB, RW, MAP_SHARED, fd, 0), 3 * MIB);
	kind("read-only memfd", mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, fd, 0), 2 * MIB);
	kind("private memfd", mmap(NULL, 2 * MIB, RW, MAP_PRIVATE, fd, 0), 2 * MIB);
	close(fd);
}

static void device_memory(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };
	char *p, *ram;
	uint64_t size;
	int ret;

	for (info.index = 0; info.index < VFIO_PCI_ROM_REGION_INDEX; info.index++) {
		if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) ||
		    !(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		printf("BAR %u\n", info.index);
		size = info.size;
		kind("mapped", mmap(NULL, size, RW, MAP_SHARED, device, info.offset), size);
		kind("read-only", mmap(NULL, size, PROT_READ, MAP_SHARED, device, info.offset), size);
		p = mmap(NULL, size, RW, MAP_SHARED, device, info.offset);
		(void)*(volatile uint32_t *)p;
		mprotect(p, size, PROT_NONE);
		kind("no access", p, size);

		if (size > 2 * MIB)
			size = 2 * MIB;
		ram = memory(3 * size, RW, 0);
		mmap(ram + size, size, RW, MAP_SHARED | MAP_FIXED, device, info.offset);
		kind("between memory", ram, 3 * size);
		ret = map(IOVA, ram, 3 * size, 3);
		munmap(ram, 3 * size);
		state("map", ret);
		state("unmap when it is gone", unmap(IOVA, 3 * size, 0));
	}
}

/* Nobody answers its faults. */
static void stalling_memory(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	char *p = memory(MIB, RW, 0);

	reg.range.start = (uint64_t)p;
	reg.range.len = MIB;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		perror("userfaultfd");
		return;
	}
	kind("userfaultfd", p, MIB);
	close(fd);
}

static void limit(uint64_t bytes)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	struct rlimit rlimit = { bytes, bytes };

	syscall(SYS_capget, &head, data);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].permitted &= ~(1u << CAP_IPC_LOCK);
	syscall(SYS_capset, &head, data);
	setrlimit(RLIMIT_MEMLOCK, &rlimit);
}

static void child_maps(void)
{
	state("child maps", map(IOVA, memory(4 * MIB, RW, 0), 4 * MIB, 3));
}

static void child_execs(void)
{
	child_maps();
	execl("/bin/busybox", "true", NULL);
}

static void child_unmaps(void)
{
	state("child unmaps", unmap_all());
}

static void child_takes_over(void)
{
	limit(5 * MIB);
	state("invalidate", unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR));
	state("take over", map(IOVA, memory(4 * MIB, RW, 0), 4 * MIB, VFIO_DMA_MAP_FLAG_VADDR));
}

static void child_may_not_take_over(void)
{
	limit(2 * MIB);
	state("invalidate", unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR));
	state("take over", map(IOVA, memory(4 * MIB, RW, 0), 4 * MIB, VFIO_DMA_MAP_FLAG_VADDR));
}

static void child_has_a_limit(void)
{
	static const uint64_t sizes[] = { PAGE, 2 * MIB, 3 * MIB, 3 * MIB + PAGE, 64 * MIB };
	char *p = memory(64 * MIB, RW, 0);
	unsigned int i;

	limit(3 * MIB);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		state("map", map(IOVA, p, sizes[i], 3));
		state("unmap", unmap(IOVA, sizes[i], 0));
	}
	state("map 2 MiB", map(IOVA, p, 2 * MIB, 3));
	state("lock 2 MiB", mlock(p + 8 * MIB, 2 * MIB));
	state("lock 1 MiB", mlock(p + 8 * MIB, MIB));
	state("map a page", map(2 * IOVA, p, PAGE, 3));
	munlock(p + 8 * MIB, MIB);
	state("map a page", map(2 * IOVA, p, PAGE, 3));
	state("unmap", unmap_all());
}

static void in_child(void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		run();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	state("child is gone", status);
}

static void owners(void)
{
	char *p = memory(4 * MIB, RW, 0);

	printf("owners\n");
	in_child(child_maps);
	state("unmap", unmap_all());
	in_child(child_execs);
	state("unmap", unmap_all());
	state("map", map(IOVA, p, 4 * MIB, 3));
	in_child(child_unmaps);
	in_child(child_has_a_limit);
	state("map", map(IOVA, p, 4 * MIB, 3));
	in_child(child_may_not_take_over);
	in_child(child_takes_over);
	state("take back", map(IOVA, p, 4 * MIB, VFIO_DMA_MAP_FLAG_VADDR));
	in_child(child_takes_over);
	state("take back", map(IOVA, p, 4 * MIB, VFIO_DMA_MAP_FLAG_VADDR));
	madvise(p, 4 * MIB, MADV_DONTNEED);
	munmap(p, 4 * MIB);
	state("unmap when it is gone", unmap_all());
}

static void edges(void)
{
	static const uint64_t at[] = {
		0, PAGE, -PAGE, -MIB, 1ull << 38, 1ull << 39, (1ull << 39) - PAGE, 1ull << 47,
		(1ull << 48) - PAGE, 1ull << 48, 1ull << 57, 1ull << 63, -1ull, 0xfee00000,
		0xfedff000, 0xfef00000,
	};
	static const uint64_t sizes[] = { 0, 1, PAGE, 2 * PAGE, 2 * MIB, 1ull << 63, -PAGE, -1ull };
	char *p = memory(2 * MIB, RW, 0);
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(at); i++)
		for (k = 0; k < ARRAY_SIZE(sizes); k++) {
			printf("edge %llx %llx\n", (long long)at[i], (long long)sizes[k]);
			state("map there", map(at[i], p, sizes[k], 3));
			state("unmap there", unmap(at[i], sizes[k], 0));
			state("map that", map(IOVA, (void *)at[i], sizes[k], 3));
			state("unmap that", unmap(IOVA, sizes[k], 0));
		}
}

#define SLOTS 8ull
#define SLOT (64 * MIB)
#define PART (8 * MIB)

static char *arena;
static volatile int stop;
static volatile long unexpected;

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void *maps(void *seed)
{
	uint64_t s = 88172645463325252ull * (2 * (uint64_t)seed + 1);

	while (!stop) {
		uint64_t r = next(&s), iova = r % SLOTS * SLOT;
		int64_t ret;

		if (r >> 20 & 1)
			ret = map(iova, arena + (r >> 21) % SLOTS * PART, PART, 3);
		else
			ret = unmap(iova, SLOT, 0);
		/* EFAULT: another thread took the memory away. */
		if (ret < 0 && ret != -EEXIST && ret != -EFAULT)
			unexpected = ret;
	}
	return NULL;
}

static void *unmaps(void *unused)
{
	while (!stop)
		if (unmap_all() < 0)
			unexpected = -1;
	return unused;
}

static void *changes(void *seed)
{
	const uint64_t size = 16 * PAGE;
	uint64_t s = 777;

	while (!stop) {
		uint64_t r = next(&s);
		char *p = arena + r % (SLOTS * PART / size) * size;

		switch (r >> 30 & 3) {
		case 0:
			madvise(p, size, MADV_DONTNEED);
			break;
		case 1:
			munmap(p, size);
			mmap(p, size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			break;
		case 2:
			mprotect(p, size, PROT_READ);
			mprotect(p, size, RW);
			break;
		}
	}
	return seed;
}

static void *asks(void *unused)
{
	char info[512];

	while (!stop) {
		*(uint32_t *)info = sizeof(info);
		if (ioctl(container, VFIO_IOMMU_GET_INFO, info) ||
		    ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL) != 1)
			unexpected = -errno;
		ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
	}
	return unused;
}

static void *updates(void *unused)
{
	uint64_t i;

	while (!stop) {
		unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR);
		for (i = 0; i < SLOTS; i++)
			map(i * SLOT, arena, PART, VFIO_DMA_MAP_FLAG_VADDR);
	}
	return unused;
}

static void *attaches(void *unused)
{
	while (!stop)
		if (!ioctl(other, VFIO_GROUP_SET_CONTAINER, &container))
			ioctl(other, VFIO_GROUP_UNSET_CONTAINER);
	return unused;
}

static void threads(const char *name, int ms, int count, void *(**run)(void *))
{
	pthread_t thread[8];
	long i;

	stop = 0;
	for (i = 0; i < count; i++)
		pthread_create(&thread[i], NULL, run[i], (void *)i);
	usleep(ms * 1000);
	stop = 1;
	for (i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
	printf("threads: %s\n", name);
	unmap_all();
	state("unexpected", unexpected);
}

static void at_once(void)
{
	void *(*all[])(void *) = { maps, maps, unmaps, changes, asks, updates, attaches };
	int i, status;
	pid_t pid;

	arena = memory(SLOTS * PART, RW, 0);
	threads("map, unmap all", 1500, 3, (void *(*[])(void *)){ maps, maps, unmaps });
	threads("map, unmap", 1500, 4, (void *(*[])(void *)){ maps, maps, maps, asks });
	threads("change the memory", 1500, 3, (void *(*[])(void *)){ maps, maps, changes });
	threads("move the memory", 1500, 4, (void *(*[])(void *)){ maps, maps, updates, unmaps });
	threads("attach", 1500, 4, (void *(*[])(void *)){ maps, maps, asks, attaches });
	threads("everything", 1500, ARRAY_SIZE(all), all);

	for (i = 0; i < 5; i++) {
		pid = fork();
		if (!pid) {
			threads("killed", 100000, ARRAY_SIZE(all), all);
			_exit(0);
		}
		usleep(300000 + i * 70000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	ioctl(other, VFIO_GROUP_UNSET_CONTAINER);
	unmap_all();
	state("killed", status);
}

int main(int argc, char **argv)
{
	char path[64];

	if (argc != 4) {
		fprintf(stderr, "usage: %s GROUP DEVICE OTHER-GROUP\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	pins_before = pins_of_all();
	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[3]);
	other = open(path, O_RDWR);
	if (other < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		perror("open");
		return 2;
	}
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	if (device < 0) {
		perror(argv[2]);
		return 2;
	}

	private_memory();
	shared_memory();
	device_memory();
	stalling_memory();
	owners();
	edges();
	at_once();

	state("left mapped", map(IOVA, memory(8 * MIB, RW, 0), 8 * MIB, 3));
	close(device);
	close(group);
	close(other);
	close(container);
	state("closed", 0);
	return 0;
}
