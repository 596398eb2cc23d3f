// SPDX-License-Identifier: GPL-2.0
/*
 * Containers, groups and DMA mappings, with failures. usage: faults_container core|type1 BDF OTHER
 * The devices are bound to vfio-pci and in groups of their own.
 */
#include "faults.h"

#include "../dirty.h"

static const char *bdf, *other;
static int container = -1, group = -1, second = -1, device = -1;

static int set_container(int fd)
{
	return ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container);
}

static int set_iommu(unsigned long type)
{
	return ioctl(container, VFIO_SET_IOMMU, type);
}

static void put(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- opening, joining, leaving --- */

static long open_the_container(void)
{
	return open("/dev/vfio/vfio", O_RDWR);
}

static long open_the_group(void)
{
	return open(group_path(bdf), O_RDWR);
}

static void close_result(long fd)
{
	close(fd);
}

static bool have_container(void)
{
	container = open_container();
	return true;
}

static bool have_group(void)
{
	group = open_group(bdf);
	return have_container();
}

static bool have_member(void)
{
	return have_group() && !set_container(group);
}

static bool have_iommu(void)
{
	return have_member() && !set_iommu(VFIO_TYPE1v2_IOMMU);
}

static bool have_device(void)
{
	if (!have_iommu())
		return false;
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	return device >= 0;
}

static void put_all(long result)
{
	put(&device);
	put(&second);
	put(&group);
	put(&container);
}

static void put_result(long fd)
{
	close(fd);
	put_all(0);
}

static long extensions(void)
{
	for (unsigned long e = 0; e < 12; e++)
		if (ioctl(container, VFIO_CHECK_EXTENSION, e) < 0)
			return -1;
	return 0;
}

static struct vfio_group_status status;

static long get_status(void)
{
	status.argsz = sizeof(status);
	return ioctl(group, VFIO_GROUP_GET_STATUS, &status);
}

static long join(void)
{
	return set_container(group);
}

static long join_second(void)
{
	return set_container(second);
}

static long leave(void)
{
	return ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

static long leave_second(void)
{
	return ioctl(second, VFIO_GROUP_UNSET_CONTAINER);
}

static long choose_v2(void)
{
	return set_iommu(VFIO_TYPE1v2_IOMMU);
}

static long choose_v1(void)
{
	return set_iommu(VFIO_TYPE1_IOMMU);
}

static long get_device(void)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
}

static long get_device_again(void)
{
	return get_device();
}

/* Closing answers nothing; what is left is seen in the end. */
static long close_group(void)
{
	put(&group);
	return 0;
}

static long close_container(void)
{
	put(&container);
	return 0;
}

static long close_device(void)
{
	put(&device);
	return 0;
}

static void core(void)
{
	OPERATION("open-container", .run = open_the_container, .undo = close_result);
	OPERATION("open-group", .run = open_the_group, .undo = close_result);
	OPERATION("status", .ready = have_group, .run = get_status, .undo = put_all, .answer = &status, .size = sizeof(status));
	OPERATION("set-container", .ready = have_group, .run = join, .undo = put_all);
	OPERATION("set-iommu", .ready = have_member, .run = choose_v2, .undo = put_all);
	OPERATION("set-iommu-v1", .ready = have_member, .run = choose_v1, .undo = put_all);
	OPERATION("extensions", .ready = have_container, .run = extensions, .undo = put_all);
	OPERATION("extensions-with-iommu", .ready = have_iommu, .run = extensions, .undo = put_all);
	OPERATION("unset-container", .ready = have_iommu, .run = leave, .undo = put_all);
	OPERATION("close-group", .ready = have_iommu, .run = close_group, .undo = put_all);
	OPERATION("close-container", .ready = have_iommu, .run = close_container, .undo = put_all);
	OPERATION("open-device", .ready = have_iommu, .run = get_device, .undo = put_result);
	OPERATION("open-device-again", .ready = have_device, .run = get_device_again, .undo = put_result);
	OPERATION("close-device", .ready = have_device, .run = close_device, .undo = put_all);
}

/* --- mappings --- */

/* What is mapped, and where. */
struct kind {
	const char *name;
	char *(*memory)(uint64_t size);
	uint64_t size;
	uint64_t iova; /* NEW: where nothing ever was, so that the IOMMU needs tables for it */
	uint32_t flags;
};

#define NEW 0

static const struct kind *kind;
static char *memory_of_kind;
static uint64_t iova_of_kind;

static char *small_pages(uint64_t size)
{
	char *p = memory(size);

	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

/* The pages are touched in another order than they are mapped in, so hardly one follows the one before. */
static char *scattered(uint64_t size)
{
	char *p = small_pages(size);

	for (uint64_t i = 0; i < size / PAGE; i++)
		p[(i * 7919 % (size / PAGE)) * PAGE] = 1;
	return p;
}

static char *huge_pages(uint64_t size)
{
	char *p = (char *)(((uintptr_t)memory(size + 2 * MIB) + 2 * MIB - 1) & ~(2 * MIB - 1));

	madvise(p, size, MADV_HUGEPAGE);
	memset(p, 1, size);
	return p;
}

static char *hugetlb(uint64_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (p == MAP_FAILED)
		fail("hugetlbfs");
	return p;
}

static char *memfd(uint64_t size)
{
	int fd = memfd_create("faults", MFD_CLOEXEC);
	char *p;

	if (ftruncate(fd, size))
		fail("memfd");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p;
}

static char *bar(uint64_t size)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 0 };
	char *p;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("GET_REGION_INFO");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, device, info.offset);
	if (p == MAP_FAILED)
		fail("BAR");
	return p;
}

static int map(uint64_t iova, const void *vaddr, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg), .flags = flags, .vaddr = (uintptr_t)vaddr, .iova = iova, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &arg);
}

/* Answers the bytes that are no longer mapped. */
static long unmap(uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .flags = flags, .iova = iova, .size = size };
	int ret = ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg);

	return ret ? -1 : (long)arg.size;
}

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static long map_kind(void)
{
	static uint64_t gigabytes;

	iova_of_kind = kind->iova == NEW ? (gigabytes++ % 400 + 1) << 30 : kind->iova;
	return map(iova_of_kind, memory_of_kind, kind->size, kind->flags);
}

static bool mapped(void)
{
	return !map_kind();
}

static long unmap_kind(void)
{
	long size = unmap(iova_of_kind, kind->size, 0);

	/* Nothing is there any more if only the answer was lost. */
	if (size > 0 && size != (long)kind->size)
		fail("unmapped %ld bytes", size);
	return size;
}

static void unmapped(long result)
{
	unmap_kind();
}

static void kinds(void)
{
	static const struct kind list[] = {
		{ "4KiB", small_pages, PAGE, 16 * MIB, RW },
		{ "read-only", small_pages, 4 * PAGE, 16 * MIB, VFIO_DMA_MAP_FLAG_READ },
		{ "new-tables", small_pages, 2 * PAGE, NEW, RW },
		{ "new-tables-scattered", scattered, 600 * PAGE, NEW, RW },
		{ "far", small_pages, 2 * PAGE, (1ULL << 38) - PAGE, RW },
		{ "scattered", scattered, 256 * PAGE, 16 * MIB, RW },
		{ "fragmented", scattered, 4 * MIB, 16 * MIB, RW },
		{ "thp", huge_pages, 4 * MIB, 16 * MIB, RW },
		{ "thp-unaligned", huge_pages, 4 * MIB, 16 * MIB + PAGE, RW },
		{ "hugetlb", hugetlb, 4 * MIB, 16 * MIB, RW },
		{ "memfd", memfd, 64 * PAGE, 16 * MIB, RW },
		{ "bar", bar, 16 * PAGE, 16 * MIB, RW },
	};
	char name[64];

	for (kind = list; kind < list + ARRAY_SIZE(list); kind++) {
		memory_of_kind = kind->memory(kind->size);
		snprintf(name, sizeof(name), "map-%s", kind->name);
		operation(&(struct operation){ .name = name, .run = map_kind, .undo = unmapped });
		snprintf(name, sizeof(name), "unmap-%s", kind->name);
		operation(&(struct operation){ .name = name, .ready = mapped, .run = unmap_kind, .may_be_done = true });
		munmap(memory_of_kind, kind->size);
	}
	for (kind = list; strcmp(kind->name, "scattered"); kind++)
		;
	memory_of_kind = kind->memory(kind->size);
	iova_of_kind = kind->iova;
}

static union {
	struct vfio_iommu_type1_info info;
	char bytes[512];
} info;

static long get_info(void)
{
	info.info.argsz = sizeof(info);
	return ioctl(container, VFIO_IOMMU_GET_INFO, &info);
}

static bool several(void)
{
	for (uint64_t i = 0; i < 20; i++)
		if (map(i * 2 * MIB, memory_of_kind + i * PAGE, PAGE + i % 4 * PAGE, RW))
			return false;
	return true;
}

static long unmap_all(void)
{
	return unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
}

static long invalidate(void)
{
	return unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR);
}

static void valid_again(long result)
{
	if (map(kind->iova, memory_of_kind, kind->size, VFIO_DMA_MAP_FLAG_VADDR))
		fail("MAP_FLAG_VADDR");
	unmap_kind();
}

static bool mapped_and_invalid(void)
{
	return mapped() && invalidate() >= 0;
}

static long update(void)
{
	return map(kind->iova, memory_of_kind, kind->size, VFIO_DMA_MAP_FLAG_VADDR);
}

static long start_tracking(void)
{
	return tracking(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

static long stop_tracking(void)
{
	return tracking(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

static void tracking_over(long result)
{
	stop_tracking();
	unmap_kind();
}

static void tracking_stopped(long result)
{
	stop_tracking();
}

static void tracking_all_over(long result)
{
	stop_tracking();
	unmap_all();
}

static bool mapped_and_tracked(void)
{
	return mapped() && !start_tracking();
}

static uint64_t bitmap[8];

static long get_dirty(void)
{
	return read_dirty(container, kind->iova, kind->size, bitmap, sizeof(bitmap));
}

static long unmap_dirty(void)
{
	struct {
		struct vfio_iommu_type1_dma_unmap head;
		struct vfio_bitmap bitmap;
	} arg = {
		{ sizeof(arg), VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, kind->iova, kind->size },
		{ PAGE, sizeof(bitmap), (void *)bitmap },
	};

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg);
}

static bool several_tracked(void)
{
	return several() && !start_tracking();
}

static long map_one_more(void)
{
	return map(100 * MIB, memory_of_kind, 3 * PAGE, RW);
}

static bool mapped_second_open(void)
{
	second = open_group(other);
	return several();
}

static bool mapped_second_joined(void)
{
	return mapped_second_open() && !join_second();
}

static void second_gone(long result)
{
	put(&second);
	unmap_all();
}

/* All with what is mapped and tracked. */
static bool full_container(void)
{
	if (!have_iommu())
		return false;
	return several() && !map_one_more() && !start_tracking();
}

static void type1(void)
{
	if (!have_device())
		fail("no device");
	OPERATION("get-info", .run = get_info, .answer = &info, .size = sizeof(info));
	kinds();
	OPERATION("unmap-all", .ready = several, .run = unmap_all, .may_be_done = true);
	OPERATION("invalidate", .ready = mapped, .run = invalidate, .undo = valid_again, .may_be_done = true);
	OPERATION("update-vaddr", .ready = mapped_and_invalid, .run = update, .undo = unmapped);
	OPERATION("dirty-start", .ready = mapped, .run = start_tracking, .undo = tracking_over);
	OPERATION("dirty-start-several", .ready = several, .run = start_tracking, .undo = tracking_all_over);
	OPERATION("dirty-stop", .ready = mapped_and_tracked, .run = stop_tracking, .undo = unmapped);
	OPERATION("dirty-get", .ready = mapped_and_tracked, .run = get_dirty, .undo = tracking_over, .answer = bitmap,
		  .size = sizeof(bitmap));
	OPERATION("unmap-dirty", .ready = mapped_and_tracked, .run = unmap_dirty, .undo = tracking_stopped, .answer = bitmap,
		  .size = sizeof(bitmap), .may_be_done = true);
	OPERATION("map-tracked", .ready = several_tracked, .run = map_one_more, .undo = tracking_all_over);
	OPERATION("second-group-joins", .ready = mapped_second_open, .run = join_second, .undo = second_gone);
	OPERATION("second-group-leaves", .ready = mapped_second_joined, .run = leave_second, .undo = second_gone);
	put_all(0);
	OPERATION("full-container-closes", .ready = full_container, .run = close_container, .undo = put_all);
	OPERATION("full-container-is-left", .ready = full_container, .run = leave, .undo = put_all);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	watched_devices[0] = bdf = argv[2];
	watched_devices[1] = other = argv[3];
	if (!strcmp(argv[1], "core"))
		core();
	else
		type1();
	return !!failures;
}
