// SPDX-License-Identifier: GPL-2.0
/*
 * Asks VFIO many things, right and wrong, and prints what it answered, one line each.
 *
 * Nothing here knows the right answer: the suite runs it on the C modules and on ours and compares. So a line
 * holds only what is the same on every run: no addresses, no file descriptors, no times. Whatever is refused is
 * asked twice, since a refusal that changes something changes the second answer.
 *
 * usage: vfio_transcript SECTION BDF [BDF2]
 */
#include "../proc.h"
#include "../transcript.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <linux/pci_regs.h>

static const char *bdf, *bdf2;

/* --- container and group -------------------------------------------------------------------------------- */

static void extensions(int fd)
{
	for (unsigned long ext = 0; ext < 16; ext++)
		ASK(ioctl(fd, VFIO_CHECK_EXTENSION, ext), "CHECK_EXTENSION %lu", ext);
	ASK(ioctl(fd, VFIO_CHECK_EXTENSION, ~0UL), "CHECK_EXTENSION max");
}

static void status(int group, const char *when)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };
	long ret = ioctl(group, VFIO_GROUP_GET_STATUS, &s);

	say(ret, "GET_STATUS %s: flags %x", when, s.flags);
}

static void odd_file_operations(int fd, const char *what)
{
	char buf[16] = {};
	void *p;

	ASK(read(fd, buf, sizeof(buf)), "read %s", what);
	ASK(pwrite(fd, buf, sizeof(buf), 0), "pwrite %s", what);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	say(p == MAP_FAILED ? -1 : 0, "mmap %s", what);
	if (p != MAP_FAILED)
		munmap(p, PAGE);
	ASK(lseek(fd, 0, SEEK_SET), "lseek %s", what);
	for (unsigned int nr = 0; nr < 24; nr++)
		if (nr != 6 && nr != 2)
			ASK(FD(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + nr), BAD)), "ioctl %u of %s", nr, what);
	ASK(ioctl(fd, _IO('x', 100), 0), "foreign ioctl of %s", what);
	ASK(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + 200), 0), "unknown ioctl of %s", what);
}

static void section_container(void)
{
	int container = open_container(), group, other = -1, device, null;
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	heading("a container on its own");
	ASK(ioctl(container, VFIO_GET_API_VERSION), "GET_API_VERSION");
	extensions(container);
	for (unsigned long type = 0; type < 10; type++)
		TWICE(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %lu", type);
	TWICE(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO without IOMMU");
	odd_file_operations(container, "container");

	heading("a group");
	group = open_group(bdf);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open the group again");
	status(group, "fresh");
	odd_file_operations(group, "group");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER without");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD without container");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, BAD), "SET_CONTAINER bad pointer");
	null = -1;
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), "SET_CONTAINER fd -1");
	null = 987;
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), "SET_CONTAINER closed fd");
	null = open("/dev/null", O_RDWR);
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), "SET_CONTAINER /dev/null");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &group), "SET_CONTAINER the group itself");
	for (uint32_t argsz = 0; argsz < 10; argsz += 3) {
		struct vfio_group_status s = { .argsz = argsz };

		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, &s), "GET_STATUS argsz %u", argsz);
	}

	heading("group in container");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER again");
	status(group, "in container");
	extensions(container);
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD without IOMMU");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	status(group, "out of container");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	for (unsigned long type = 0; type < 10; type++)
		if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
			TWICE(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %lu", type);
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type1v2");
	for (unsigned long type = 0; type < 10; type++)
		TWICE(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %lu again", type);
	extensions(container);
	odd_file_operations(container, "container with IOMMU");

	heading("the device fd");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, BAD)), "GET_DEVICE_FD bad pointer");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "")), "GET_DEVICE_FD empty name");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:ff:1f.7")), "GET_DEVICE_FD unknown name");
	for (unsigned int i = 0; i < 6; i++) {
		static const char *const tails[] = { " ", " vf_token=", " vf_token=x", "x", " foo=bar",
			" vf_token=00112233-4455-6677-8899-aabbccddeeff" };
		char name[200];

		snprintf(name, sizeof(name), "%s%s", bdf, tails[i]);
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name)), "GET_DEVICE_FD name and '%s'", tails[i]);
	}
	{
		static char name[PAGE * 2];

		memset(name, 'a', sizeof(name) - 1);
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name)), "GET_DEVICE_FD endless name");
	}
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	say(device < 0 ? -1 : 1, "GET_DEVICE_FD");
	ASK(fcntl(device, F_GETFD), "its FD flags");
	ASK(fcntl(device, F_GETFL) & ~O_LARGEFILE, "its flags");
	other = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	say(other < 0 ? -1 : 1, "GET_DEVICE_FD a second time");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with device open");
	status(group, "with device open");
	close(device);
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with the second fd open");

	heading("closing in an odd order");
	close(group);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open the group while only the device is open");
	close(container);
	ASK(ioctl(other, VFIO_DEVICE_RESET), "DEVICE_RESET with group and container closed");
	close(other);
	group = open(group_path(bdf), O_RDWR);
	say(group < 0 ? -1 : 1, "open the group after all is closed");
	status(group, "after all is closed");
	container = open_container();
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type1");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO of the container left");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type1v2 after type1");
	close(container);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	say(device < 0 ? -1 : 1, "GET_DEVICE_FD with the container's fd closed");
	close(group);
	close(device);

	heading("two containers, two groups");
	container = open_container();
	other = open_container();
	group = open_group(bdf);
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER first");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &other), "SET_CONTAINER second");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	if (bdf2) {
		int group2 = open(group_path(bdf2), O_RDWR);

		say(group2 < 0 ? -1 : 1, "open the second group");
		ASK(ioctl(group2, VFIO_GROUP_SET_CONTAINER, &container), "second group in the container");
		status(group2, "of the second");
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf2)), "device of the other group");
		device = ioctl(group2, VFIO_GROUP_GET_DEVICE_FD, bdf2);
		say(device < 0 ? -1 : 1, "device of the second group");
		ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "first group leaves");
		TWICE(ioctl(group2, VFIO_GROUP_UNSET_CONTAINER), "second cannot");
		close(device);
		ASK(ioctl(group2, VFIO_GROUP_UNSET_CONTAINER), "now it can");
		TWICE(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO, both gone");
		close(group2);
	}
	close(group);
	close(container);
	close(other);
}

/* A group with two devices, of which the suite binds one, both, or one to a host driver. */
static void section_viable(void)
{
	int container = open_container(), group = open(group_path(bdf), O_RDWR), device;

	say(group < 0 ? -1 : 1, "open the group");
	if (group < 0)
		return;
	status(group, "fresh");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	status(group, "after SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	for (int i = 0; i < 2; i++) {
		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, i ? bdf2 : bdf);
		say(device < 0 ? -1 : 1, "device %d", i);
		if (device >= 0) {
			struct vfio_pci_hot_reset_info info = { .argsz = sizeof(info) };

			ASK(ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), "hot reset info");
			close(device);
		}
	}
	close(group);
	close(container);
}

/* --- type1 ---------------------------------------------------------------------------------------------- */

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

/* --- the device ----------------------------------------------------------------------------------------- */

static const uint32_t argsizes[] = { 0, 7, 8, 11, 12, 15, 16, 20, 24, 28, 31, 32, 48, 64, 200 };

static void device_infos(int fd)
{
	uint8_t buffer[512];
	uint32_t *word = (void *)buffer;

	for (unsigned int i = 0; i < ARRAY_SIZE(argsizes); i++) {
		memset(buffer, 0x5a, sizeof(buffer));
		word[0] = argsizes[i];
		word[1] = 0;
		ASK(ioctl(fd, VFIO_DEVICE_GET_INFO, buffer), "DEVICE_GET_INFO argsz %u", argsizes[i]);
		hex("  ", buffer, 40);
	}
	for (uint32_t index = 0; index < 12; index++)
		for (unsigned int i = 0; i < ARRAY_SIZE(argsizes); i++) {
			if (index > 1 && i < ARRAY_SIZE(argsizes) - 1)
				continue;
			memset(buffer, 0x5a, sizeof(buffer));
			word[0] = argsizes[i];
			word[1] = 0;
			word[2] = index;
			ASK(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, buffer), "REGION_INFO %u argsz %u", index, argsizes[i]);
			hex("  ", buffer, 72);
			memset(buffer, 0x5a, sizeof(buffer));
			word[0] = argsizes[i];
			word[1] = 0;
			word[2] = index;
			ASK(ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, buffer), "IRQ_INFO %u argsz %u", index, argsizes[i]);
			hex("  ", buffer, 24);
		}
	for (int i = 0; i < 2; i++) {
		word[0] = 64;
		word[2] = i ? 0x80000000 : 0xffffffff;
		ASK(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, buffer), "REGION_INFO huge index");
		ASK(ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, buffer), "IRQ_INFO huge index");
	}
	TWICE(ioctl(fd, VFIO_DEVICE_GET_INFO, BAD), "DEVICE_GET_INFO bad pointer");
	TWICE(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, BAD), "REGION_INFO bad pointer");
	TWICE(ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, BAD), "IRQ_INFO bad pointer");
}

static void features(int fd)
{
	static const uint32_t flags[] = { 0, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET, VFIO_DEVICE_FEATURE_PROBE,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET,
		VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
		1U << 19, 1U << 31 | VFIO_DEVICE_FEATURE_GET };
	uint32_t buffer[64];

	for (uint32_t index = 0; index < 18; index++)
		for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
			memset(buffer, 0, sizeof(buffer));
			buffer[0] = 8;
			buffer[1] = index | flags[i];
			/* Low power entry really enters; keep to the envelope there. */
			if (index >= 3 && index <= 5 && flags[i] == VFIO_DEVICE_FEATURE_SET)
				continue;
			TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, buffer), "FEATURE %u flags %x argsz 8", index, flags[i]);
			buffer[0] = sizeof(buffer);
			buffer[1] = index | flags[i];
			TWICE(FD(ioctl(fd, VFIO_DEVICE_FEATURE, buffer)), "FEATURE %u flags %x", index, flags[i]);
		}
	buffer[0] = 4;
	TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, buffer), "FEATURE argsz 4");
	TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, BAD), "FEATURE bad pointer");
	buffer[0] = 8;
	buffer[1] = 0xffff | VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET;
	TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, buffer), "FEATURE 65535");
}

static long dma_buf(int fd, unsigned int region, unsigned int open_flags, unsigned int count, const uint64_t *ranges)
{
	static union {
		struct vfio_device_feature f;
		char bytes[8192];
	} arg;
	struct vfio_device_feature_dma_buf *get = (void *)arg.f.data;

	memset(&arg, 0, sizeof(arg));
	arg.f.argsz = sizeof(arg);
	arg.f.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	get->region_index = region;
	get->open_flags = open_flags;
	get->nr_ranges = count;
	for (unsigned int i = 0; ranges && i < count; i++) {
		get->dma_ranges[i].offset = ranges[2 * i];
		get->dma_ranges[i].length = ranges[2 * i + 1];
	}
	return ioctl(fd, VFIO_DEVICE_FEATURE, &arg);
}

static void dma_bufs(int fd)
{
	const uint64_t bad[][2] = {
		{ 0, 0 }, { 0, 1 }, { 1, 4096 }, { 0, 4097 }, { 4096, 2048 }, { 1ULL << 40, 4096 },
		{ 0, 1ULL << 40 }, { -4096ULL, 4096 }, { 4096, -4096ULL }, { 0, 1ULL << 63 }, { 0, -4096ULL },
		{ -4096ULL, -4096ULL },
	};
	const uint64_t page[] = { 0, 4096, 0, 4096, 0, 4096, 0, 4096 };
	const uint64_t endless[] = { 0, 1ULL << 63, 0, 1ULL << 63 };

	for (unsigned int region = 0; region < 10; region++) {
		struct vfio_region_info info = { .argsz = sizeof(info), .index = region };
		long size = ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) ? 0 : info.size;
		uint64_t end[][2] = { { 0, size }, { size, 4096 }, { size - 4096, 4096 }, { size - 4096, 8192 } };

		TWICE(FD(dma_buf(fd, region, O_CLOEXEC, 1, page)), "dma-buf of region %u", region);
		TWICE(FD(dma_buf(fd, region, O_RDWR, 4, page)), "dma-buf of region %u, the same range four times", region);
		for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
			TWICE(FD(dma_buf(fd, region, 0, 1, bad[i])), "dma-buf of region %u, bad range %u", region, i);
		for (unsigned int i = 0; i < ARRAY_SIZE(end); i++)
			TWICE(FD(dma_buf(fd, region, 0, 1, end[i])), "dma-buf of region %u, at its end %u", region, i);
		TWICE(FD(dma_buf(fd, region, 0, 2, endless)), "dma-buf of region %u, endless", region);
		TWICE(FD(dma_buf(fd, region, 0, 0, page)), "dma-buf of region %u, no ranges", region);
	}
	TWICE(FD(dma_buf(fd, -1U, 0, 1, page)), "dma-buf of region -1");
	/* Answers what the allocation of too many does, not what the user's memory holds. */
	TWICE(FD(dma_buf(fd, 0, 0, -1U, NULL)), "dma-buf, 2^32 - 1 ranges");
	TWICE(FD(dma_buf(fd, 0, 0, 1 << 20, NULL)), "dma-buf, 2^20 ranges");
	TWICE(FD(dma_buf(fd, 0, 0, 500, NULL)), "dma-buf, 500 empty ranges");
	for (unsigned int bit = 0; bit < 32; bit++)
		TWICE(FD(dma_buf(fd, 0, 1U << bit, 1, page)), "dma-buf, open flag %u", bit);
}

static void low_power(int fd)
{
	struct { struct vfio_device_feature f; struct vfio_device_low_power_entry_with_wakeup w; } wake;
	struct vfio_device_feature f = { .argsz = sizeof(f), .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT };
	int event = eventfd(0, EFD_NONBLOCK);
	uint64_t count;
	uint16_t word;

	TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, &f), "LOW_POWER_EXIT");
	f.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
	TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, &f), "LOW_POWER_ENTRY");
	ASK(pread(fd, &word, 2, (7ULL << 40)), "config read in low power");
	f.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
	TWICE(ioctl(fd, VFIO_DEVICE_FEATURE, &f), "LOW_POWER_EXIT");
	memset(&wake, 0, sizeof(wake));
	wake.f.argsz = sizeof(wake);
	wake.f.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
	for (int i = 0; i < 4; i++) {
		wake.w.wakeup_eventfd = (int[]){ -1, 987, fd, event }[i];
		/* Any call wakes the device, once it sleeps, which it does in its own time: so leave at once. */
		ASK(ioctl(fd, VFIO_DEVICE_FEATURE, &wake), "LOW_POWER_ENTRY_WITH_WAKEUP case %d", i);
		ASK(ioctl(fd, VFIO_DEVICE_FEATURE, &f), "LOW_POWER_EXIT");
	}
	wake.w.reserved = 1;
	ASK(ioctl(fd, VFIO_DEVICE_FEATURE, &wake), "LOW_POWER_ENTRY_WITH_WAKEUP reserved");
	ASK(pread(fd, &word, 2, (7ULL << 40)), "config read in low power");
	ASK(ioctl(fd, VFIO_DEVICE_FEATURE, &f), "LOW_POWER_EXIT");
	(void)!read(event, &count, 8);
	close(event);
}

static sigjmp_buf bus_error;

static void on_bus_error(int sig)
{
	siglongjmp(bus_error, sig);
}

/* Reads through a mapping; SIGBUS is an answer too. */
static void touch(volatile uint32_t *p, const char *what)
{
	int sig = sigsetjmp(bus_error, 1);

	if (sig) {
		printf("touch %s: signal %d\n", what, sig);
		return;
	}
	(void)*p;
	printf("touch %s: fine\n", what);
}

static uint64_t region_size(int fd, uint32_t index, uint32_t *flags)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	*flags = 0;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info))
		return 0;
	*flags = info.flags;
	return info.size;
}

static void ask_mmap(int fd, size_t size, int prot, int how, off_t offset, const char *what)
{
	errno = 0;
	void *p = mmap(NULL, size, prot, how, fd, offset);

	say(p == MAP_FAILED ? -1 : 0, "mmap %s offset %llx size %zx prot %d", what, (long long)offset, size, prot);
	if (p != MAP_FAILED) {
		if (prot & PROT_READ)
			touch(p, "its start");
		munmap(p, size);
	}
}

static void set_command(int fd, uint16_t set, uint16_t clear)
{
	off_t at = (7ULL << 40) + PCI_COMMAND;
	uint16_t command;

	(void)!pread(fd, &command, 2, at);
	command = (command | set) & ~clear;
	(void)!pwrite(fd, &command, 2, at);
}

static void regions(int fd)
{
	uint8_t buffer[64];
	uint32_t flags;
	struct sigaction act = { .sa_handler = on_bus_error };

	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	for (uint32_t index = 0; index < 12; index++) {
		off_t base = (off_t)index << 40;
		uint64_t size = region_size(fd, index, &flags);
		const uint64_t at[] = { 0, 1, 2, 4, size - 4, size - 1, size, size + 4, 1ULL << 39 };
		char what[32];

		snprintf(what, sizeof(what), "region %u", index);
		printf("# %s size %llx flags %x\n", what, (long long)size, flags);
		for (unsigned int i = 0; i < ARRAY_SIZE(at); i++) {
			if (at[i] > 1ULL << 39)
				continue;
			const size_t counts[] = { 0, 1, 2, 4, 8, 3 };

			/* Narrow accesses of a BAR may have side effects: those of 4 bytes are enough there. */
			for (unsigned int j = 0; j < (index < 6 ? 4 : ARRAY_SIZE(counts)); j++) {
				if (index < 6 && counts[j] && counts[j] < 4 && i < 4)
					continue;
				if (index < 6 && at[i] < size && ((at[i] | counts[j]) & (BAR_ACCESS - 1)))
					continue;
				ASK(pread(fd, buffer, counts[j], base + at[i]), "pread %s at %llx count %zu", what,
				    (long long)at[i], counts[j]);
			}
		}
		ASK(pread(fd, BAD, 4, base), "pread %s into nowhere", what);
		if (index >= 6)
			ASK(pwrite(fd, BAD, 4, base), "pwrite %s from nowhere", what);
		if (index == 6 || index > 8)
			TWICE(pwrite(fd, buffer, 4, base), "pwrite %s", what);
		ask_mmap(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, base, what);
		ask_mmap(fd, PAGE, PROT_READ, MAP_SHARED, base, what);
		ask_mmap(fd, PAGE, PROT_READ, MAP_PRIVATE, base, what);
		ask_mmap(fd, size ? size : PAGE, PROT_READ, MAP_SHARED, base, what);
		ask_mmap(fd, (size ? size : PAGE) + PAGE, PROT_READ, MAP_SHARED, base, what);
		ask_mmap(fd, PAGE, PROT_READ, MAP_SHARED, base + ((size + PAGE - 1) & ~(PAGE - 1)), what);
		if (size > PAGE)
			ask_mmap(fd, PAGE, PROT_READ, MAP_SHARED, base + size - PAGE, what);
		if (size > 2 * PAGE)
			ask_mmap(fd, 2 * PAGE, PROT_READ, MAP_SHARED, base + size - PAGE, what);
	}
	for (int i = 0; i < 3; i++) {
		off_t off = (off_t[]){ 12LL << 40, 0x7fffffLL << 40, INT64_MAX & ~0xfffLL }[i];

		TWICE(pread(fd, buffer, 4, off), "pread far %d", i);
		TWICE(pwrite(fd, buffer, 4, off), "pwrite far %d", i);
		ask_mmap(fd, PAGE, PROT_READ, MAP_SHARED, off, "far");
	}

	heading("memory decoding off");
	for (uint32_t index = 0; index < 6; index++) {
		uint64_t size = region_size(fd, index, &flags);
		void *p = MAP_FAILED;

		if (!size)
			continue;
		if (flags & VFIO_REGION_INFO_FLAG_MMAP)
			p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)index << 40);
		set_command(fd, PCI_COMMAND_MEMORY, 0);
		printf("BAR %u\n", index);
		if (p != MAP_FAILED)
			touch(p, "with memory on");
		ASK(pread(fd, buffer, 4, (off_t)index << 40), "pread with memory on");
		set_command(fd, 0, PCI_COMMAND_MEMORY);
		if (p != MAP_FAILED)
			touch(p, "with memory off");
		TWICE(pread(fd, buffer, 4, (off_t)index << 40), "pread with memory off");
		TWICE(pwrite(fd, buffer, 4, (off_t)index << 40), "pwrite with memory off");
		set_command(fd, PCI_COMMAND_MEMORY, 0);
		if (p != MAP_FAILED) {
			touch(p, "with memory on again");
			if (size > PAGE)
				touch(p + size - PAGE, "its last page");
			munmap(p, size);
		}
	}
}

static uint32_t hash(const volatile uint8_t *bytes, size_t count)
{
	uint32_t value = 2166136261;

	while (count--)
		value = (value ^ *bytes++) * 16777619;
	return value;
}

/* Many registers at once, in a BAR that is plain memory; and user memory that ends before they do. */
static void section_runs(void)
{
	static const size_t counts[] = { 3, 5, 6, 7, 9, 12, 16, 17, 24, 100, 255, 256, 257, 264, 600, 4096, 70000 };
	static const size_t rooms[] = { 0, 1, 2, 3, 4, 7, 8, 9, 12, 16, 63, 64, 65, 248, 255, 256, 257, 264, 300, 511 };
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	const size_t whole = 128 * 1024;
	off_t base = 2ULL << 40;
	int fd = u.device;
	char *page = memory(2 * PAGE), *end = page + PAGE, *out = memory(whole), *stack;
	uint8_t *bar;

	set_command(fd, PCI_COMMAND_MEMORY, 0);
	bar = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED, fd, base);
	if (bar == MAP_FAILED)
		fail("BAR 2");
	munmap(end, PAGE);
	for (unsigned int i = 0; i < ARRAY_SIZE(counts); i++)
		for (off_t at = 0; at < 9; at++) {
			for (size_t j = 0; j < whole; j++)
				bar[j] = j * 31 + j / 256;
			memset(out, 0xee, whole);
			ASK(pread(fd, out, counts[i], base + at), "pread %zu at %llx", counts[i], (long long)at);
			printf("got %08x\n", hash((uint8_t *)out, counts[i] + 8));
			for (size_t j = 0; j < whole; j++)
				out[j] = j * 17;
			ASK(pwrite(fd, out, counts[i], base + at), "pwrite %zu at %llx", counts[i], (long long)at);
			printf("has %08x\n", hash(bar, counts[i] + 32));
		}
	for (unsigned int i = 0; i < ARRAY_SIZE(rooms); i++)
		for (off_t at = 0; at < 9; at += 4) {
			size_t room = rooms[i];

			for (size_t j = 0; j < 1024; j++)
				bar[j] = j * 31 + j / 256;
			memset(page, 0xee, PAGE);
			ASK(pread(fd, end - room, 512, base + at), "pread at %llx, room for %zu", (long long)at, room);
			/* Of a register that does not fit, C writes a part. */
			if ((room - at) % 8 == 0)
				printf("got %08x\n", hash((uint8_t *)page, PAGE));
			for (size_t j = 0; j < PAGE; j++)
				page[j] = j * 13;
			ASK(pwrite(fd, end - room, 512, base + at), "pwrite at %llx, %zu are there", (long long)at, room);
			printf("has %08x\n", hash(bar, 1024));
		}
	memset(page, 0xee, PAGE);
	mprotect(page, PAGE, PROT_READ);
	ASK(pread(fd, page, 512, base), "pread to what can be read only");
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	set_command(fd, 0, PCI_COMMAND_MEMORY);
	ASK(pread(fd, page, 512, base), "pread with memory off");
	ASK(pwrite(fd, page, 512, base), "pwrite with memory off");
	ASK(pread(fd, end, 512, base), "pread into nowhere with memory off");
	ASK(pwrite(fd, end, 512, base), "pwrite from nowhere with memory off");
	ASK(pwrite(fd, end - 64, 512, base), "pwrite of a little with memory off");
	set_command(fd, PCI_COMMAND_MEMORY, 0);
	printf("got %08x, has %08x\n", hash((uint8_t *)page, PAGE), hash(bar, 1024));
	ASK(pread(fd, bar + 4096, 512, base), "pread to the BAR itself");
	ASK(pwrite(fd, bar + 4096, 512, base + 8192), "pwrite from the BAR itself");
	printf("has %08x\n", hash(bar, 16384));
	/* A stack grows for it. */
	stack = mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED || mmap(stack + 1023 * PAGE, PAGE, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0) == MAP_FAILED)
		fail("a stack");
	munmap(stack, 1023 * PAGE);
	ASK(pread(fd, stack + 1023 * PAGE - 600, 600, base), "pread below the stack");
	printf("got %08x\n", hash((uint8_t *)stack + 1023 * PAGE - 600, 600));
	lseek(fd, base + 4, SEEK_SET);
	ASK(read(fd, out, 600), "read");
	ASK(lseek(fd, 0, SEEK_CUR) - base, "position");
	munmap(bar, whole);
	close_all(&u);
}

static void power_states(int fd)
{
	uint8_t at = 0, id = 0;
	off_t config = 7ULL << 40;
	uint32_t flags, value;
	uint16_t word;

	(void)!pread(fd, &at, 1, config + PCI_CAPABILITY_LIST);
	while (at) {
		(void)!pread(fd, &id, 1, config + at);
		if (id == PCI_CAP_ID_PM)
			break;
		(void)!pread(fd, &at, 1, config + at + 1);
	}
	if (!at)
		return;
	heading("power states");
	for (int state = 3; state >= 0; state--) {
		word = state;
		ASK(pwrite(fd, &word, 2, config + at + PCI_PM_CTRL), "write D%d", state);
		usleep(20000);
		(void)!pread(fd, &word, 2, config + at + PCI_PM_CTRL);
		printf("PMCSR reads %04x\n", word);
		set_command(fd, PCI_COMMAND_MEMORY, 0);
		for (uint32_t index = 0; index < 6; index++)
			if (region_size(fd, index, &flags))
				ASK(pread(fd, &value, 4, (off_t)index << 40), "pread BAR %u", index);
	}
}

static void section_device(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);

	device_infos(u.device);
	regions(u.device);
	features(u.device);
	dma_bufs(u.device);
	low_power(u.device);
	power_states(u.device);
	heading("other ioctls");
	for (unsigned int nr = 0; nr < 40; nr++)
		if (nr != 11)
			TWICE(ioctl(u.device, _IO(VFIO_TYPE, VFIO_BASE + nr), BAD), "ioctl %u", nr);
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "DEVICE_RESET");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET, BAD), "DEVICE_RESET with an argument");
	close_all(&u);
}

static void hot_reset(int fd, int group)
{
	uint8_t buffer[1024];
	struct vfio_pci_hot_reset_info *info = (void *)buffer;
	struct vfio_pci_hot_reset *reset = (void *)buffer;

	for (unsigned int i = 0; i < ARRAY_SIZE(argsizes); i++) {
		memset(buffer, 0, sizeof(buffer));
		info->argsz = argsizes[i];
		ASK(ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info), "HOT_RESET_INFO argsz %u", argsizes[i]);
		hex("  ", buffer, 40);
	}
	TWICE(ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, BAD), "HOT_RESET_INFO bad pointer");
	for (uint32_t argsz = 0; argsz <= 16; argsz += 4) {
		memset(buffer, 0, sizeof(buffer));
		reset->argsz = argsz;
		TWICE(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, reset), "HOT_RESET argsz %u, no groups", argsz);
	}
	for (int i = 0; i < 5; i++) {
		memset(buffer, 0, sizeof(buffer));
		reset->argsz = sizeof(buffer);
		reset->count = i == 3 ? 0x40000000 : i == 4 ? 200 : 1;
		reset->flags = i == 2;
		reset->group_fds[0] = i == 0 ? 987 : i == 1 ? fd : group;
		TWICE(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, reset), "HOT_RESET case %d", i);
	}
	memset(buffer, 0, sizeof(buffer));
	reset->argsz = 16;
	reset->count = 1;
	reset->group_fds[0] = group;
	TWICE(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, reset), "HOT_RESET");
	TWICE(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, BAD), "HOT_RESET bad pointer");
}

static void ioeventfds(int fd)
{
	struct vfio_device_ioeventfd io;
	int event = eventfd(0, EFD_NONBLOCK);
	uint32_t flags;

	for (uint32_t index = 0; index < 10; index++) {
		uint64_t size = region_size(fd, index, &flags);

		for (uint32_t f = 0; f < 20; f++) {
			io = (struct vfio_device_ioeventfd){ .argsz = sizeof(io), .flags = f,
				.offset = ((uint64_t)index << 40) + (size > 64 ? 16 : 0), .data = 7, .fd = event };
			TWICE(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD region %u flags %x", index, f);
			io.fd = -1;
			TWICE(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD region %u flags %x off", index, f);
		}
		io = (struct vfio_device_ioeventfd){ .argsz = sizeof(io), .flags = 4,
			.offset = ((uint64_t)index << 40) + size, .data = 7, .fd = event };
		TWICE(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD region %u end", index);
		io.offset -= 2;
		TWICE(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD region %u across end", index);
	}
	for (int i = 0; i < 4; i++) {
		io = (struct vfio_device_ioeventfd){ .argsz = i == 3 ? 20 : sizeof(io), .flags = 4, .offset = 16,
			.fd = (int[]){ -2, 987, fd, event }[i] };
		TWICE(ioctl(fd, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD fd case %d", i);
	}
	close(event);
}

static void section_reset(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);

	hot_reset(u.device, u.group);
	ioeventfds(u.device);
	for (int i = 0; i < 3; i++)
		ASK(ioctl(u.device, VFIO_DEVICE_RESET), "DEVICE_RESET");
	close_all(&u);
}

/* --- configuration space -------------------------------------------------------------------------------- */

static const off_t CONFIG = 7ULL << 40;

static void dump_config(int fd, const char *when)
{
	static uint8_t bytes[4096];
	uint32_t flags;
	uint64_t size = region_size(fd, 7, &flags);

	memset(bytes, 0, sizeof(bytes));
	printf("config %s, size %llx\n", when, (long long)size);
	for (off_t at = 0; at < (off_t)size; at += 4)
		if (pread(fd, bytes + at, 4, CONFIG + at) != 4)
			printf("  no read at %llx: %s\n", (long long)at, error_name(errno));
	for (unsigned int at = 0; at < size; at += 16) {
		uint64_t *line = (void *)(bytes + at);

		if (line[0] || line[1]) {
			printf("  %03x", at);
			hex("", bytes + at, 16);
		}
	}
}

/*
 * QEMU's devices keep in config space whatever was written to bytes that no capability owns, over any reset. What a
 * section wrote there is taken back, so that the next one, on the other modules, starts from the same.
 */
static uint8_t saved[4096];

static void save_config(int fd)
{
	uint32_t flags;
	uint64_t size = region_size(fd, 7, &flags);

	for (off_t at = 0; at < (off_t)size; at += 4)
		(void)!pread(fd, saved + at, 4, CONFIG + at);
}

static void restore_config(int fd)
{
	uint32_t flags;
	uint64_t size = region_size(fd, 7, &flags);
	uint8_t now;

	for (off_t at = 0; at < (off_t)size; at++)
		if (at / 4 != 1 && pread(fd, &now, 1, CONFIG + at) == 1 && now != saved[at])
			(void)!pwrite(fd, saved + at, 1, CONFIG + at);
}

static bool chancy(unsigned int at, uint8_t cap)
{
	/* Registers whose bits come and go by themselves, or that reset the device. */
	return at / 4 == PCI_STATUS / 4 || cap == PCI_CAP_ID_VPD;
}

static void section_config(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	int fd = u.device;
	uint32_t flags, value;
	uint64_t size = region_size(fd, 7, &flags);
	uint8_t buffer[64];

	dump_config(fd, "at open");
	save_config(fd);

	heading("reading in every width");
	for (unsigned int at = 0; at < 64; at++)
		for (unsigned int width = 1; width <= 8; width++) {
			memset(buffer, 0, sizeof(buffer));
			say(pread(fd, buffer, width, CONFIG + at), "pread %x width %u", at, width);
			hex("  ", buffer, width);
		}
	for (int i = 0; i < 6; i++) {
		off_t at = (off_t[]){ size - 1, size - 2, size, size + 1, size - 4, -1 }[i] + CONFIG;

		TWICE(pread(fd, buffer, 4, at), "pread at the end, %d", i);
		TWICE(pwrite(fd, buffer, 4, at), "pwrite at the end, %d", i);
	}
	ASK(pread(fd, buffer, 64, CONFIG), "pread 64 bytes");

	heading("writing ones and zeroes to every register");
	for (unsigned int at = 0; at < size; at += 4) {
		uint32_t old;

		if (chancy(at, 0) || pread(fd, &old, 4, CONFIG + at) != 4)
			continue;
		for (int i = 0; i < 3; i++) {
			value = (uint32_t[]){ ~0u, 0, 0x5a5a5a5a }[i];
			/* No function reset in between: it would restore what was just tried. */
			long ret = pwrite(fd, &value, 4, CONFIG + at);
			int error = errno;

			value = 0;
			(void)!pread(fd, &value, 4, CONFIG + at);
			errno = error;
			if (value != old || ret != 4)
				say(ret, "write %d to %03x: %08x becomes %08x", i, at, old, value);
		}
		(void)!pwrite(fd, &old, 4, CONFIG + at);
	}
	dump_config(fd, "after that");
	ASK(ioctl(fd, VFIO_DEVICE_RESET), "DEVICE_RESET");
	dump_config(fd, "after reset");

	heading("bytes and words of the header");
	for (unsigned int at = 0; at < 64; at++)
		for (unsigned int width = 1; width <= 2; width++) {
			if (at / 4 == 1)
				continue;
			value = 0xa5c3;
			say(pwrite(fd, &value, width, CONFIG + at), "pwrite %x width %u", at, width);
			(void)!pread(fd, &value, 4, CONFIG + (at & ~3));
			printf("  %08x\n", value);
		}
	ASK(pwrite(fd, buffer, 64, CONFIG), "pwrite 64 bytes");
	restore_config(fd);
	close_all(&u);

	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	dump_config(u.device, "opened again");
	close_all(&u);
}

/* The same random accesses for all: offsets mostly where something is. */
static void section_config_random(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	uint32_t flags, value;
	uint64_t size = region_size(u.device, 7, &flags);

	save_config(u.device);
	seed = 4711;
	for (int i = 0; i < 4000; i++) {
		unsigned int at = rnd(4) ? rnd(256) : rnd(size), width = 1 + rnd(4);
		uint32_t pattern = rnd(3) ? rnd(0) : (uint32_t[]){ 0, ~0u, 1 }[rnd(3)];

		if (at / 4 == 1 || (at < 4 && at + width > 4))
			continue;
		value = 0;
		if (rnd(2)) {
			say(pwrite(u.device, &pattern, width, CONFIG + at), "write %03x width %u %08x", at, width, pattern);
		} else {
			long ret = pread(u.device, &value, width, CONFIG + at);

			say(ret, "read %03x width %u: %08x", at, width, value);
		}
	}
	dump_config(u.device, "after random accesses");
	restore_config(u.device);
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "DEVICE_RESET");
	close_all(&u);
}

/* --- interrupts ----------------------------------------------------------------------------------------- */

static long set_irqs(int fd, uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const void *data, size_t size)
{
	uint8_t buffer[sizeof(struct vfio_irq_set) + 256];
	struct vfio_irq_set *set = (void *)buffer;

	memset(buffer, 0, sizeof(buffer));
	*set = (struct vfio_irq_set){ .argsz = sizeof(*set) + size, .flags = flags, .index = index, .start = start,
		.count = count };
	if (size)
		memcpy(set->data, data, size);
	return ioctl(fd, VFIO_DEVICE_SET_IRQS, set);
}

static void counts(const int *events, int n, const char *when)
{
	printf("events %s:", when);
	usleep(2000);
	for (int i = 0; i < n; i++) {
		uint64_t count = 0;

		if (read(events[i], &count, 8) != 8)
			count = 0;
		printf(" %llu", (long long)count);
	}
	printf("\n");
}

/* Which interrupts the kernel has for the device. */
static void proc_interrupts(void)
{
	char line[1000], *name;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f && fgets(line, sizeof(line), f)) {
		name = strstr(line, "vfio-");
		if (name)
			printf("  /proc/interrupts: %s", name);
	}
	if (f)
		fclose(f);
}

static void off(int fd)
{
	for (uint32_t index = 0; index < 5; index++)
		set_irqs(fd, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 0, NULL, 0);
}

static void section_irqs(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	int fd = u.device, events[8], bad[8];
	uint8_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

	for (int i = 0; i < 8; i++) {
		events[i] = eventfd(0, EFD_NONBLOCK);
		bad[i] = i == 1 ? 987 : events[i];
	}
	heading("the whole matrix, nothing enabled");
	for (uint32_t index = 0; index < 7; index++)
		for (uint32_t flags = 0; flags < 64; flags++)
			for (uint32_t count = 0; count < 3; count++) {
				size_t size = flags & VFIO_IRQ_SET_DATA_EVENTFD ? 4 * count : flags & VFIO_IRQ_SET_DATA_BOOL ? count : 0;

				ASK(set_irqs(fd, flags, index, 0, count, events, size), "SET_IRQS %u flags %x count %u", index,
				    flags, count);
				off(fd);
			}
	counts(events, 8, "left over");

	heading("wrong sizes");
	for (uint32_t argsz = 0; argsz <= 28; argsz += 4) {
		struct vfio_irq_set set[2] = { { .argsz = argsz, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = 0, .count = 1 } };

		TWICE(ioctl(fd, VFIO_DEVICE_SET_IRQS, set), "SET_IRQS argsz %u", argsz);
		off(fd);
	}
	TWICE(ioctl(fd, VFIO_DEVICE_SET_IRQS, BAD), "SET_IRQS bad pointer");
	for (uint32_t index = 0; index < 5; index++) {
		const uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

		TWICE(set_irqs(fd, flags, index, 1, 1, events, 4), "index %u start 1", index);
		TWICE(set_irqs(fd, flags, index, 0xffffffff, 1, events, 4), "index %u start max", index);
		TWICE(set_irqs(fd, flags, index, 0xffffffff, 0xffffffff, events, 4), "index %u start and count max", index);
		TWICE(set_irqs(fd, flags, index, 0, 0x40000001, events, 4), "index %u count huge", index);
		TWICE(set_irqs(fd, flags, index, 0, 4096, events, 4), "index %u count 4096", index);
		off(fd);
	}

	for (uint32_t index = 0; index < 5; index++) {
		const uint32_t ev = VFIO_IRQ_SET_DATA_EVENTFD, none = VFIO_IRQ_SET_DATA_NONE, yes = VFIO_IRQ_SET_DATA_BOOL;
		const uint32_t trigger = VFIO_IRQ_SET_ACTION_TRIGGER, mask = VFIO_IRQ_SET_ACTION_MASK;
		const uint32_t unmask_ = VFIO_IRQ_SET_ACTION_UNMASK;
		int minus[4] = { -1, -1, -1, -1 };

		printf("# index %u\n", index);
		for (uint32_t n = 1; n <= 4; n++) {
			ASK(set_irqs(fd, ev | trigger, index, 0, n, bad, 4 * n), "enable %u, the second bad", n);
			proc_interrupts();
			ASK(set_irqs(fd, ev | trigger, index, 0, n, events, 4 * n), "enable %u", n);
			proc_interrupts();
			ASK(set_irqs(fd, none | trigger, index, 0, n, NULL, 0), "trigger %u", n);
			counts(events, 8, "after trigger");
			ones[1] = 0;
			ASK(set_irqs(fd, yes | trigger, index, 0, n, ones, n), "trigger %u by bool", n);
			counts(events, 8, "after trigger by bool");
			ASK(set_irqs(fd, none | mask, index, 0, 1, NULL, 0), "mask");
			ASK(set_irqs(fd, none | trigger, index, 0, 1, NULL, 0), "trigger masked");
			counts(events, 8, "masked");
			ASK(set_irqs(fd, none | unmask_, index, 0, 1, NULL, 0), "unmask");
			counts(events, 8, "unmasked");
			ASK(set_irqs(fd, ev | unmask_, index, 0, 1, events + 7, 4), "unmask by eventfd");
			TWICE(set_irqs(fd, ev | unmask_, index, 0, 1, events + 6, 4), "unmask by another eventfd");
			ASK(set_irqs(fd, ev | unmask_, index, 0, 1, minus, 4), "unmask eventfd off");
			for (uint32_t other = 0; other < 3; other++)
				if (other != index)
					TWICE(set_irqs(fd, ev | trigger, other, 0, 1, events + 4, 4), "enable %u meanwhile", other);
			ASK(set_irqs(fd, ev | trigger, index, 0, 1, events + 4, 4), "another eventfd");
			ASK(set_irqs(fd, none | trigger, index, 0, 1, NULL, 0), "trigger");
			counts(events, 8, "after trigger");
			ASK(set_irqs(fd, ev | trigger, index, 0, n, minus, 4 * n), "eventfds off");
			proc_interrupts();
			ASK(set_irqs(fd, none | trigger, index, 0, 1, NULL, 0), "trigger");
			ASK(set_irqs(fd, ev | trigger, index, n, 1, events, 4), "one more than there are");
			ASK(set_irqs(fd, ev | trigger, index, 0, 1, (int[]){ fd }, 4), "no eventfd at all");
			TWICE(set_irqs(fd, none | trigger, index, 0, 0, NULL, 0), "disable");
			proc_interrupts();
			counts(events, 8, "at the end");
		}
	}
	heading("closing with interrupts enabled");
	for (uint32_t index = 0; index < 5; index++)
		ASK(set_irqs(fd, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 1, events, 4), "enable %u", index);
	close_all(&u);
	proc_interrupts();
}

static void section_irqs_random(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	static const uint32_t data[] = { 1, 2, 4 }, action[] = { 8, 16, 32, 32, 32 };
	int events[8];

	for (int i = 0; i < 8; i++)
		events[i] = eventfd(0, EFD_NONBLOCK);
	seed = 815;
	for (int i = 0; i < 1500; i++) {
		uint32_t kind = PICK(data), what = PICK(action), index = rnd(5), start = rnd(3), count = rnd(4);
		int fds[4];

		for (int j = 0; j < 4; j++)
			fds[j] = rnd(5) ? events[rnd(8)] : -1;
		ASK(set_irqs(u.device, kind | what, index, start, count, fds, kind == 4 ? 4 * count : kind == 2 ? count : 0),
		    "SET_IRQS %u flags %x start %u count %u", index, kind | what, start, count);
		if (i % 20 == 0) {
			counts(events, 8, "so far");
			proc_interrupts();
		}
		if (rnd(30) == 0)
			off(u.device);
	}
	close_all(&u);
}

/* The same of one eventfd. What is expected may take its time on a busy host. */
static void count_of(int event, bool expected, const char *when)
{
	struct pollfd set = { .fd = event, .events = POLLIN };

	poll(&set, 1, expected ? 5000 : 100);
	counts(&event, 1, when);
}

/* Registers of igb (Intel 82576, section 8.8): the causes of its interrupt, one to set them by, those that are let through. */
enum { IGB_ICR = 0xc0, IGB_ICS = 0xc8, IGB_IMS = 0xd0, IGB_IMC = 0xd8, IGB_LINK_CHANGED = 1 << 2 };

/* SET_IRQS does not mask MSI: who wants to writes to the mask of the capability itself, of a device that has one. */
static void section_msi_mask(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	const uint32_t ev = VFIO_IRQ_SET_DATA_EVENTFD, none = VFIO_IRQ_SET_DATA_NONE, cause = IGB_LINK_CHANGED;
	uint32_t value, ones = ~0u, zero = 0;
	int event = eventfd(0, EFD_NONBLOCK);
	uint8_t at = 0, id = 0;
	uint16_t flags = 0;

	(void)!pread(u.device, &at, 1, CONFIG + PCI_CAPABILITY_LIST);
	while (at && pread(u.device, &id, 1, CONFIG + at) == 1 && id != PCI_CAP_ID_MSI)
		(void)!pread(u.device, &at, 1, CONFIG + at + 1);
	(void)!pread(u.device, &flags, 2, CONFIG + at + PCI_MSI_FLAGS);
	printf("MSI at %x, flags %x\n", at, flags);
	if (!(flags & PCI_MSI_FLAGS_MASKBIT) || !(flags & PCI_MSI_FLAGS_64BIT))
		fail("an MSI capability with 64 bits and a mask");
	set_command(u.device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	ASK(set_irqs(u.device, ev | VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &event, 4), "MSI on");
	(void)!pwrite(u.device, &ones, 4, IGB_IMC);
	(void)!pread(u.device, &value, 4, IGB_ICR);
	(void)!pwrite(u.device, &cause, 4, IGB_IMS);
	counts(&event, 1, "before");
	for (int round = 0; round < 3; round++) {
		const uint32_t *mask = round == 1 ? &ones : &zero;

		ASK(pwrite(u.device, mask, 4, CONFIG + at + PCI_MSI_MASK_64), "mask %x", *mask & 1);
		(void)!pread(u.device, &value, 4, CONFIG + at + PCI_MSI_MASK_64);
		printf("mask reads %x\n", value);
		TWICE(set_irqs(u.device, none | VFIO_IRQ_SET_ACTION_MASK, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, NULL, 0), "SET_IRQS mask");
		ASK(pwrite(u.device, &cause, 4, IGB_ICS), "raise it");
		count_of(event, !*mask, "raised");
		(void)!pread(u.device, &value, 4, CONFIG + at + PCI_MSI_PENDING_64);
		printf("pending %x\n", value);
		TWICE(set_irqs(u.device, none | VFIO_IRQ_SET_ACTION_UNMASK, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, NULL, 0), "SET_IRQS unmask");
		ASK(pwrite(u.device, &zero, 4, CONFIG + at + PCI_MSI_MASK_64), "unmask");
		count_of(event, *mask, "unmasked");
		(void)!pread(u.device, &value, 4, CONFIG + at + PCI_MSI_PENDING_64);
		printf("pending %x\n", value);
		(void)!pread(u.device, &value, 4, IGB_ICR);
		printf("cause %x\n", value & cause);
		(void)!pwrite(u.device, &ones, 4, IGB_ICR);
	}
	close_all(&u);
}

/* --- random maps and unmaps ----------------------------------------------------------------------------- */

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

static const struct {
	const char *name;
	void (*run)(void);
} sections[] = {
	{ "container", section_container },
	{ "viable", section_viable },
	{ "type1", section_type1 },
	{ "dirty", section_dirty },
	{ "limits", section_limits },
	{ "entries", section_entries },
	{ "maps-random", section_maps_random },
	{ "device", section_device },
	{ "runs", section_runs },
	{ "reset", section_reset },
	{ "config", section_config },
	{ "config-random", section_config_random },
	{ "irqs", section_irqs },
	{ "irqs-random", section_irqs_random },
	{ "msi-mask", section_msi_mask },
};

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s SECTION BDF [BDF2]; sections:", argv[0]);
		for (unsigned int i = 0; i < ARRAY_SIZE(sections); i++)
			fprintf(stderr, " %s", sections[i].name);
		fprintf(stderr, "\n");
		return 2;
	}
	bdf = argv[2];
	bdf2 = argv[3];
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	for (unsigned int i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(argv[1], sections[i].name)) {
			sections[i].run();
			return 0;
		}
	fprintf(stderr, "there is no section %s\n", argv[1]);
	return 2;
}
