// SPDX-License-Identifier: GPL-2.0
/*
 * Asks the devices of vfio_test_emulated.ko to pin, unpin, read and write memory, right and wrong, and prints what
 * was answered, how much is pinned and how much is accounted after each step.
 *
 * usage: emulated_dma SECTION [PCI DEVICE]
 */
#include "emulated.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define FIRST "vfio-test-emulated.0"
#define SECOND "vfio-test-emulated.1"
#define THIRD "vfio-test-emulated.2"

static const char *pci;
static long pinned_before;

/* What a call answered (0 or more, or -errno), and what is pinned and accounted now. */
static void step(long ret, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" = %ld %s; pinned %ld, accounted %ld kB\n", ret < 0 ? -1 : ret, error_name(ret < 0 ? -ret : 0),
	       pins_of_all() - pinned_before, locked_kib());
}

#define STEP(call, ...) ({ long ret_ = (call); step(ret_, __VA_ARGS__); ret_; })

static void notified(int device, const char *when)
{
	struct test_emulated c = { .command = TEST_NOTIFIED };
	uint64_t last[2];
	int ret = command(device, &c);

	memcpy(last, c.data, sizeof(last));
	printf("%s: notified %d times", when, ret);
	if (ret)
		printf(", last of %lx %lx", last[0], last[1]);
	printf("\n");
}

/* Memory whose pages can be told apart. */
static char *pattern(size_t size)
{
	char *p = memory(size);

	for (size_t i = 0; i < size / 8; i++)
		((uint64_t *)p)[i] = i * 0x9e3779b97f4a7c15ull;
	return p;
}

static int add_group(int container, const char *device)
{
	int group = open_group(device);

	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		fail("SET_CONTAINER of %s", device);
	return group;
}

static int get_device(int group, const char *device)
{
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, device);

	if (fd < 0)
		fail("GET_DEVICE_FD of %s", device);
	return fd;
}

/* --- pin and unpin ----------------------------------------------------------------------------------------- */

static void same_pages(int device, uint64_t iova, uint32_t count, const char *at)
{
	struct test_emulated c = { .command = TEST_PIN, .iova = iova, .count = count, .prot = READ };
	int ret = command(device, &c);

	step(ret, "pin %lx +%u", iova, count);
	if (ret > 0 && (memcmp(c.data, at, 16) || memcmp(c.data + 16, at + (count - 1) * PAGE, 16)))
		printf("FAILED: these are not the pages at %lx\n", iova);
}

static void pins(void)
{
	struct vfio_user u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	char *mem = pattern(1024 * PAGE), poke[TEST_DATA];
	struct test_emulated c;

	STEP(pin(u.device, 0, 1, READ, 0), "pin without a mapping");
	STEP(map(u.container, 0x100000, mem, 16 * PAGE, 3), "map 16 pages");
	STEP(map(u.container, 0x110000, mem + 32 * PAGE, 16 * PAGE, 3), "map 16 more behind them");
	STEP(map(u.container, 0x200000, mem + 64 * PAGE, PAGE, 1), "map one to read");
	STEP(map(u.container, 0x300000, mem + 65 * PAGE, PAGE, 2), "map one to write");
	STEP(map(u.container, 0x1000000, mem, 1024 * PAGE, 3), "map all");

	heading("what is pinned");
	same_pages(u.device, 0x100000, 1, mem);
	same_pages(u.device, 0x100000, 1, mem);
	same_pages(u.device, 0x101000, 8, mem + PAGE);
	same_pages(u.device, 0x10f000, 1, mem + 15 * PAGE);
	same_pages(u.device, 0x110000, 1, mem + 32 * PAGE);
	STEP(pin(u.device, 0x10f000, 2, READ | WRITE, 0), "pin across two mappings");
	STEP(pin(u.device, 0x100800, 1, READ, 0), "pin at an odd address");
	STEP(unpin(u.device, 0x100800, 0, 0), "unpin it");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin the first");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin the first again");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin the first once too often");
	STEP(unpin(u.device, 0x101000, 3, 0), "unpin 3 of 8");
	STEP(unpin(u.device, 0x104000, 0, 0), "unpin the other 5");
	STEP(unpin(u.device, 0x100000, 16, TEST_RAW), "unpin what is not pinned");
	STEP(unpin(u.device, 0x10f000, 0, 0), "unpin 10f000");
	STEP(unpin(u.device, 0x110000, 0, 0), "unpin 110000");
	STEP(unpin(u.device, 0x10f000, 0, 0), "unpin both");

	heading("as a device writes");
	memset(poke, 0x5a, sizeof(poke));
	STEP(pin(u.device, 0x105000, 1, WRITE, 0), "pin to write");
	c = (struct test_emulated){ .command = TEST_POKE, .iova = 0x105000 };
	memcpy(c.data, poke, sizeof(poke));
	STEP(command(u.device, &c), "write to it");
	if (memcmp(mem + 5 * PAGE, poke, sizeof(poke)))
		printf("FAILED: what the device wrote is not in memory\n");
	STEP(unpin(u.device, 0x105000, 0, 0), "unpin it");

	heading("access");
	for (uint32_t prot = 0; prot < 8; prot++)
		for (int i = 1; i <= 3; i++) {
			STEP(pin(u.device, i * 0x100000, 1, prot, 0), "pin %x for %x", i, prot);
			STEP(unpin(u.device, i * 0x100000, 0, 0), "unpin it");
		}

	heading("wrong");
	for (int twice = 0; twice < 2; twice++) {
		STEP(pin(u.device, 0x100000, 1, 0, TEST_RAW), "pin to nowhere");
		STEP(pin(u.device, 0x100000, 0, READ, TEST_RAW), "pin 0 pages");
		STEP(pin(u.device, 0x100000, -1, READ, TEST_RAW), "pin -1 pages");
		STEP(pin(u.device, 0x100000, INT_MIN, READ, TEST_RAW), "pin INT_MIN pages");
		STEP(pin(u.device, 0x100000, INT_MAX, READ, TEST_RAW), "pin INT_MAX pages");
		STEP(pin(u.device, 0x1000000, 511, READ, TEST_RAW), "pin 511 pages");
		STEP(pin(u.device, 0x1000000, 512, READ, TEST_RAW), "pin 512 pages");
		STEP(pin(u.device, 0x1000000, 513, READ, TEST_RAW), "pin 513 pages");
		STEP(pin(u.device, 0x11ff000, 512, READ, TEST_RAW), "pin the last 512 pages");
		STEP(pin(u.device, 0x1201000, 512, READ, TEST_RAW), "pin one more than there are");
		STEP(pin(u.device, -PAGE, 1, READ, TEST_RAW), "pin the last page of all");
		STEP(pin(u.device, -PAGE, 2, READ, TEST_RAW), "pin behind the end");
		STEP(pin(u.device, -1, 1, READ, TEST_RAW), "pin at the last byte");
		STEP(pin(u.device, 0x11f000, 2, READ, TEST_RAW), "pin with a hole behind");
		STEP(pin(u.device, 0xff000, 2, READ, TEST_RAW), "pin with a hole before");
		STEP(pin(u.device, 0x200000, 1, WRITE, TEST_RAW), "pin what is read-only");
		STEP(write(u.device, poke, sizeof(poke)) < 0 ? -errno : 0, "a command that is none");
	}
	heading("memory that cannot be pinned");
	mprotect(mem + 3 * PAGE, PAGE, PROT_NONE);
	munmap(mem + 6 * PAGE, PAGE);
	mprotect(mem + 8 * PAGE, PAGE, PROT_READ);
	STEP(pin(u.device, 0x100000, 3, READ, TEST_RAW), "pin before PROT_NONE");
	STEP(pin(u.device, 0x100000, 4, READ, TEST_RAW), "pin up to PROT_NONE");
	STEP(pin(u.device, 0x105000, 2, READ, TEST_RAW), "pin up to nothing");
	STEP(pin(u.device, 0x108000, 1, READ, TEST_RAW), "pin PROT_READ of a mapping to write");
	STEP(pin(u.device, 0x108000, 1, WRITE, TEST_RAW), "pin PROT_READ to write");
	STEP(pin(u.device, 0x200000, 1, READ, 0), "pin and leave it");
	STEP(pin(u.device, 0x110000, 4, READ, 0), "pin and leave it");
	STEP(close(u.device), "close the device");
	STEP(close(u.group), "close the group");
	STEP(close(u.container), "close the container");
}

/* --- dma_rw ------------------------------------------------------------------------------------------------ */

static void one_rw(int device, char *mem, uint64_t base, uint64_t offset, uint32_t count, uint32_t flags)
{
	char *buffer = memory(count + PAGE), *expected = memory(count + PAGE);
	int ret;

	ret = STEP(dma_rw(device, TEST_READ, base + offset, buffer, count, flags), "read %lx +%x flags %x",
		   base + offset, count, flags);
	if (!ret && memcmp(buffer, mem + offset, count))
		printf("FAILED: that is not what is there\n");
	for (uint32_t i = 0; i < count; i++)
		buffer[i] = expected[i] = i * 7 + flags;
	ret = STEP(dma_rw(device, TEST_WRITE, base + offset, buffer, count, flags), "write %lx +%x flags %x",
		   base + offset, count, flags);
	if (!ret && memcmp(expected, mem + offset, count))
		printf("FAILED: that is not what was written\n");
	munmap(buffer, count + PAGE);
	munmap(expected, count + PAGE);
}

static void rw(void)
{
	struct vfio_user u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	char *mem = pattern(128 * PAGE);

	STEP(dma_rw(u.device, TEST_READ, 0, mem, 1, 0), "read without a mapping");
	STEP(map(u.container, 0x1000000, mem, 64 * PAGE, 3), "map half");
	STEP(map(u.container, 0x1040000, mem + 64 * PAGE, 64 * PAGE, 3), "map the other half");
	for (uint32_t flags = 0; flags <= TEST_KTHREAD; flags++) {
		one_rw(u.device, mem, 0x1000000, 0, 1, flags);
		one_rw(u.device, mem, 0x1000000, 1, 63, flags);
		one_rw(u.device, mem, 0x1000000, PAGE - 1, 2, flags);
		one_rw(u.device, mem, 0x1000000, 64 * PAGE - 3, 7, flags);
		one_rw(u.device, mem, 0x1000000, 5, 100 * PAGE, flags);
		one_rw(u.device, mem, 0x1000000, 0, 128 * PAGE, flags);
		one_rw(u.device, mem, 0x1000000, 128 * PAGE - 1, 1, flags);
		one_rw(u.device, mem, 0x1000000, 128 * PAGE - 1, 2, flags);
		one_rw(u.device, mem, 0x1000000, 128 * PAGE, 1, flags);
		one_rw(u.device, mem, 0x1000000, 1, 128 * PAGE, flags);
		STEP(dma_rw(u.device, TEST_READ, 0x1000000, mem, 0, flags), "read nothing");
		STEP(dma_rw(u.device, TEST_WRITE, 0x1000000, mem, 0, flags), "write nothing");
		STEP(dma_rw(u.device, TEST_READ, -1, mem, 1, flags), "read the last byte");
		STEP(dma_rw(u.device, TEST_READ, -1, mem, 2, flags), "read behind the last byte");
		STEP(dma_rw(u.device, TEST_READ, 0xffffff, mem, 2, flags), "read with a hole before");
	}
	heading("access");
	STEP(unmap(u.container, 0, 0, 2), "unmap all");
	STEP(map(u.container, 0x200000, mem, PAGE, 1), "map one to read");
	STEP(map(u.container, 0x201000, mem + PAGE, PAGE, 2), "map one to write");
	for (uint32_t flags = 0; flags <= TEST_KTHREAD; flags++) {
		STEP(dma_rw(u.device, TEST_READ, 0x200000, mem + 8 * PAGE, 8, flags), "read to read");
		STEP(dma_rw(u.device, TEST_WRITE, 0x200000, mem + 8 * PAGE, 8, flags), "write to read");
		STEP(dma_rw(u.device, TEST_READ, 0x201000, mem + 8 * PAGE, 8, flags), "read to write");
		STEP(dma_rw(u.device, TEST_WRITE, 0x201000, mem + 8 * PAGE, 8, flags), "write to write");
		STEP(dma_rw(u.device, TEST_READ, 0x200ffc, mem + 8 * PAGE, 8, flags), "read across");
	}
	heading("memory that is not there");
	STEP(map(u.container, 0x300000, mem, 4 * PAGE, 3), "map 4 pages");
	munmap(mem + PAGE, PAGE);
	mprotect(mem + 2 * PAGE, PAGE, PROT_READ);
	for (uint32_t flags = 0; flags <= TEST_KTHREAD; flags++) {
		STEP(dma_rw(u.device, TEST_READ, 0x301000, mem + 8 * PAGE, 8, flags), "read nothing");
		STEP(dma_rw(u.device, TEST_READ, 0x300ffc, mem + 8 * PAGE, 8, flags), "read into nothing");
		STEP(dma_rw(u.device, TEST_READ, 0x302000, mem + 8 * PAGE, 8, flags), "read what is to be read");
		STEP(dma_rw(u.device, TEST_WRITE, 0x302000, mem + 8 * PAGE, 8, flags), "write what is to be read");
		STEP(dma_rw(u.device, TEST_WRITE, 0x302ffc, mem + 8 * PAGE, 8, flags), "write into what can be written");
	}
	close_all(&u);
}

/* --- kinds of containers and devices ------------------------------------------------------------------------- */

static void kinds(void)
{
	struct vfio_user u;
	char *mem = pattern(64 * PAGE);
	int second, third, second_device, third_device;

	heading("version 1");
	u = open_all(FIRST, VFIO_TYPE1_IOMMU);
	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map");
	STEP(pin(u.device, 0, 1, READ, 0), "pin");
	STEP(dma_rw(u.device, TEST_READ, 0, mem + 32 * PAGE, 8, 0), "read");
	STEP(unmap(u.container, 4 * PAGE, PAGE, 0), "unmap in the middle");
	STEP(unmap(u.container, 0, PAGE, 0), "unmap at the start");
	close_all(&u);

	heading("nobody to tell of unmaps");
	u = open_all(THIRD, VFIO_TYPE1v2_IOMMU);
	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map");
	for (uint32_t count = 0; count < 3; count++)
		STEP(pin(u.device, 0, count, READ, TEST_RAW), "pin %u", count);
	STEP(pin(u.device, 0, 600, READ, TEST_RAW), "pin many");
	STEP(dma_rw(u.device, TEST_READ, 0, mem + 32 * PAGE, 8, 0), "read");
	STEP(dma_rw(u.device, TEST_WRITE, 0, mem + 32 * PAGE, 8, 0), "write");
	STEP(unmap(u.container, 0, 16 * PAGE, 0), "unmap");
	close_all(&u);

	heading("three in a container");
	u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	second = add_group(u.container, SECOND);
	third = add_group(u.container, THIRD);
	second_device = get_device(second, SECOND);
	third_device = get_device(third, THIRD);
	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map");
	STEP(map(u.container, 0x100000, mem, 16 * PAGE, 3), "map again");
	STEP(pin(u.device, 0, 4, READ, 0), "the first pins 4");
	STEP(pin(second_device, 2 * PAGE, 4, READ, 0), "the second pins 4");
	STEP(pin(third_device, 0, 1, READ, TEST_RAW), "the third pins");
	STEP(unpin(u.device, 0, 0, 0), "the first unpins");
	STEP(pin(u.device, 0x100000, 16, READ, 0), "the first pins the same memory elsewhere");
	STEP(unmap(u.container, PAGE, PAGE, 0), "unmap within");
	notified(u.device, "first");
	STEP(unmap(u.container, 0, 16 * PAGE, 0), "unmap the one");
	notified(u.device, "first");
	notified(second_device, "second");
	notified(third_device, "third");
	STEP(close(second_device), "close the second");
	STEP(unmap(u.container, 0, 0, 2), "unmap all");
	notified(u.device, "first");
	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map");
	STEP(unmap(u.container, 0, 16 * PAGE, 0), "unmap what is not pinned");
	notified(u.device, "first");
	second_device = get_device(second, SECOND);
	notified(second_device, "second");
	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map");
	STEP(pin(second_device, 0, 4, READ, 0), "the second pins 4");
	STEP(close(u.device), "close the first");
	STEP(pin(second_device, 8 * PAGE, 4, READ, 0), "the second pins 4 more");
	STEP(ioctl(second, VFIO_GROUP_UNSET_CONTAINER) ? -errno : 0, "second leaves the container");
	STEP(close(second_device), "close the second");
	STEP(ioctl(second, VFIO_GROUP_UNSET_CONTAINER) ? -errno : 0, "second leaves the container");
	STEP(pin(third_device, 0, 1, READ, TEST_RAW), "the third pins");
	close(third_device);
	close(third);
	close(second);
	close(u.group);
	close(u.container);
	step(0, "end");
}

/* --- accounting ---------------------------------------------------------------------------------------------- */

static void limit(long pages)
{
	struct rlimit l = { pages * PAGE, pages * PAGE };

	if (setrlimit(RLIMIT_MEMLOCK, &l))
		fail("setrlimit");
}

static void limited(void)
{
	struct vfio_user u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	char *mem = pattern(64 * PAGE);
	int group;

	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map as root");
	limit(8);
	drop_capabilities();
	STEP(map(u.container, 0x100000, mem + 16 * PAGE, 32 * PAGE, 3), "map as a user");
	heading("pins of the user's mapping");
	STEP(pin(u.device, 0x100000, 4, READ, 0), "pin 4");
	STEP(pin(u.device, 0x100000, 4, READ, 0), "pin the same");
	STEP(pin(u.device, 0x104000, 4, READ, 0), "pin 4 more");
	STEP(pin(u.device, 0x108000, 1, READ, TEST_RAW), "pin one more");
	STEP(pin(u.device, 0x107000, 4, READ, TEST_RAW), "pin one that is, and more");
	STEP(unpin(u.device, 0x104000, 0, 0), "unpin 4");
	STEP(pin(u.device, 0x108000, 4, READ, 0), "pin other 4");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin 4");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin the same");
	STEP(pin(u.device, 0x110000, 8, READ, TEST_RAW), "pin 8, which is too much");
	STEP(mlock(mem, 2 * PAGE) ? -errno : 0, "mlock 2");
	STEP(pin(u.device, 0x110000, 3, READ, TEST_RAW), "pin 3, which is too much");
	STEP(pin(u.device, 0x110000, 2, READ, TEST_RAW), "pin 2");
	STEP(munlock(mem, 2 * PAGE) ? -errno : 0, "munlock");
	heading("pins of root's mapping");
	STEP(pin(u.device, 0, 8, READ, 0), "pin 8");
	STEP(pin(u.device, 8 * PAGE, 8, READ, 0), "pin 8 more");
	STEP(pin(u.device, 0x110000, 1, READ, TEST_RAW), "pin one of the user's");
	STEP(unmap(u.container, 0, 16 * PAGE, 0), "unmap it");
	heading("an IOMMU");
	group = open(group_path(pci), O_RDWR);
	STEP(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container) ? -errno : 0, "a group with an IOMMU joins");
	STEP(pin(u.device, 0x100000, 4, READ, 0), "pin 4");
	STEP(unmap(u.container, 0x100000, 32 * PAGE, 0), "unmap");
	STEP(map(u.container, 0x100000, mem + 16 * PAGE, 6 * PAGE, 3), "map 6");
	STEP(pin(u.device, 0x100000, 4, READ, 0), "pin 4");
	STEP(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container) ? -errno : 0, "it joins");
	STEP(map(u.container, 0x200000, mem, 3 * PAGE, 3), "map 3, which is too much");
	STEP(map(u.container, 0x200000, mem, 2 * PAGE, 3), "map 2");
	STEP(pin(u.device, 0x104000, 2, READ, 0), "pin the other 2");
	STEP(unpin(u.device, 0x104000, 0, 0), "unpin 2");
	STEP(ioctl(group, VFIO_GROUP_UNSET_CONTAINER) ? -errno : 0, "it leaves");
	STEP(pin(u.device, 0x200000, 2, READ, 0), "pin 2");
	STEP(unmap(u.container, 0, 0, 2), "unmap all");
	close(group);
	close_all(&u);
	step(0, "end");
}

/*
 * A device's memory is not accounted when it is mapped. What is in its place later, and pinned by a driver, is as the last
 * IOMMU leaves, and not before; so that no more is taken back than was accounted.
 */
static void exchanged(void)
{
	struct vfio_user u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	struct vfio_region_info region = { .argsz = sizeof(region) };
	int group = add_group(u.container, pci), device = get_device(group, pci);
	char *bar;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("BAR 0");
	bar = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device, region.offset);
	if (bar == MAP_FAILED)
		fail("mmap");
	heading("memory instead of a BAR");
	STEP(map(u.container, 0, pattern(16 * PAGE), 16 * PAGE, 3), "map 16");
	STEP(map(u.container, 0x100000, bar, 8 * PAGE, 3), "map a BAR");
	STEP(mmap(bar, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != bar, "memory is there");
	memset(bar, 1, 8 * PAGE);
	STEP(pin(u.device, 0x100000, 8, READ, 0), "pin 8 of it");
	STEP(close(device), "close the real device");
	STEP(ioctl(group, VFIO_GROUP_UNSET_CONTAINER) ? -errno : 0, "the real group leaves");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin 8");
	STEP(unmap(u.container, 0, 0, 2), "unmap all");
	close(group);
	close_all(&u);
	step(0, "end");
}

static void accounting(void)
{
	apart(limited);
	apart(exchanged);
}

/* --- dirty pages, with and without an IOMMU ------------------------------------------------------------------- */

static void dirty(int container, uint32_t flags)
{
	uint64_t bits[2] = { 0, 0 };
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} d = {
		.head = { .argsz = sizeof(d), .flags = flags },
		.get = { .iova = 0, .size = 128 * PAGE, .bitmap = { PAGE, sizeof(bits), (void *)bits } },
	};
	long ret = ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &d);

	say(ret, "dirty %x: %016lx %016lx", flags, bits[0], bits[1]);
}

static void unmap_dirty(int container, uint64_t iova, uint64_t size)
{
	uint64_t bits[2] = { 0, 0 };
	struct {
		struct vfio_iommu_type1_dma_unmap head;
		struct vfio_bitmap bitmap;
	} d = {
		.head = { .argsz = sizeof(d), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .iova = iova, .size = size },
		.bitmap = { PAGE, sizeof(bits), (void *)bits },
	};
	long ret = ioctl(container, VFIO_IOMMU_UNMAP_DMA, &d);

	say(ret, "unmap %lx with its dirty pages: %016lx %016lx", iova, bits[0], bits[1]);
}

static void tracked(int container, int device, char *mem)
{
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	STEP(pin(device, 0, 4, READ, 0), "pin 4");
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	STEP(pin(device, 8 * PAGE, 4, READ, 0), "pin 4 more");
	STEP(unpin(device, 8 * PAGE, 0, 0), "unpin them");
	STEP(dma_rw(device, TEST_WRITE, 0x10ffc, mem + 96 * PAGE, 8, 0), "write 2 pages");
	STEP(dma_rw(device, TEST_READ, 0x20000, mem + 96 * PAGE, 8, 0), "read a page");
	STEP(dma_rw(device, TEST_WRITE, 0x3fff0, mem + 96 * PAGE, 32, TEST_KTHREAD), "write across the end of a mapping");
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	STEP(dma_rw(device, TEST_WRITE, 0x41000, mem + 96 * PAGE, 4096, 0), "write a page");
	STEP(dma_rw(device, TEST_WRITE, 0x41000, NULL, 0, 0), "write nothing");
	unmap_dirty(container, 0x40000, 32 * PAGE);
	unmap_dirty(container, 0x1000, 4 * PAGE);
	STEP(map(container, 0x40000, mem, 32 * PAGE, 3), "map");
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	STEP(unpin(device, 0, 0, 0), "unpin 4");
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	dirty(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

static void dirty_pages(void)
{
	struct vfio_user u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	char *mem = pattern(128 * PAGE);
	int second, group;

	STEP(map(u.container, 0, mem, 64 * PAGE, 3), "map");
	STEP(map(u.container, 0x40000, mem + 64 * PAGE, 32 * PAGE, 3), "map");
	heading("emulated");
	tracked(u.container, u.device, mem);
	heading("two emulated, of which one never pinned");
	second = add_group(u.container, SECOND);
	tracked(u.container, u.device, mem);
	heading("with an IOMMU");
	group = add_group(u.container, pci);
	tracked(u.container, u.device, mem);
	close(group);
	heading("without it again");
	tracked(u.container, u.device, mem);
	STEP(pin(u.device, 0, 4, READ, 0), "pin 4");
	dirty(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	group = add_group(u.container, pci);
	dirty(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	STEP(close(group), "close the group with an IOMMU");
	dirty(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	dirty(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
	close(second);
	close_all(&u);
	step(0, "end");
}

/* --- emulated and real devices in a container ------------------------------------------------------------------ */

static void mixed(void)
{
	struct vfio_user u;
	char *mem = pattern(128 * PAGE);
	int group, device;

	heading("the emulated one first");
	u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), "UPDATE_VADDR");
	STEP(map(u.container, 0, mem, 64 * PAGE, 3), "map 64");
	STEP(pin(u.device, 0, 8, READ, 0), "pin 8");
	group = add_group(u.container, pci);
	step(0, "a group with an IOMMU has joined");
	device = get_device(group, pci);
	ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), "UPDATE_VADDR");
	STEP(unmap(u.container, 0, 64 * PAGE, 4), "unmap only the address in user space");
	STEP(map(u.container, 0x100000, mem + 64 * PAGE, 16 * PAGE, 3), "map 16");
	STEP(pin(u.device, 0x100000, 8, READ, 0), "pin 8");
	STEP(unpin(u.device, 0, 0, 0), "unpin 8");
	STEP(close(device), "close the real device");
	STEP(ioctl(group, VFIO_GROUP_UNSET_CONTAINER) ? -errno : 0, "the real group leaves");
	STEP(pin(u.device, 0x108000, 4, READ, 0), "pin 4");
	STEP(unpin(u.device, 0x100000, 0, 0), "unpin 8");
	STEP(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container) ? -errno : 0, "it joins again");
	STEP(close(u.device), "close the emulated device");
	STEP(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER) ? -errno : 0, "the emulated group leaves");
	ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), "UPDATE_VADDR");
	step(0, "only the real one is left");
	STEP(unmap(u.container, 0, 64 * PAGE, 0), "unmap 64");
	STEP(unmap(u.container, 0, 0, 2), "unmap all");
	close(group);
	close(u.group);
	close(u.container);

	heading("the real one first");
	u = open_all(pci, VFIO_TYPE1v2_IOMMU);
	STEP(map(u.container, 0, mem, 64 * PAGE, 3), "map 64");
	STEP(unmap(u.container, 0, 64 * PAGE, 4), "unmap only the address in user space");
	STEP((group = open_group(FIRST)) < 0, "open the emulated group");
	/* C would warn about a pin now. */
	STEP(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container) ? -errno : 0, "the emulated group joins");
	STEP(({ struct vfio_iommu_type1_dma_map m = { sizeof(m), 4, (uint64_t)mem, 0, 64 * PAGE };
		ioctl(u.container, VFIO_IOMMU_MAP_DMA, &m) ? -errno : 0; }), "map the address again");
	STEP(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container) ? -errno : 0, "the emulated group joins");
	device = get_device(group, FIRST);
	STEP(pin(device, 0, 8, READ, 0), "pin 8");
	STEP(pin(device, 60 * PAGE, 8, READ, 0), "pin behind the end");
	STEP(unmap(u.container, 0, 0, 2), "unmap all");
	notified(device, "emulated");
	STEP(map(u.container, 0, mem, 64 * PAGE, 3), "map 64");
	STEP(pin(device, 0, 8, READ, 0), "pin 8");
	STEP(close(u.device), "close the real device");
	STEP(close(u.group), "close the real group");
	STEP(unmap(u.container, 0, 64 * PAGE, 0), "unmap 64");
	STEP(map(u.container, 0, mem, 64 * PAGE, 3), "map 64");
	STEP(pin(device, 0, 8, READ, 0), "pin 8");
	STEP(close(u.container), "close the container");
	STEP(close(group), "close the emulated group");
	STEP(pin(device, 8 * PAGE, 8, READ, 0), "pin 8");
	STEP(close(device), "close the emulated device");
}

/* --- other processes -------------------------------------------------------------------------------------------- */

static struct vfio_user shared;
static char *shared_memory;

static void as_other(void)
{
	char buffer[64];

	pinned_before = pins_of_all();
	heading("another process");
	STEP(dma_rw(shared.device, TEST_READ, 0, buffer, 8, 0), "read");
	STEP(dma_rw(shared.device, TEST_WRITE, 0, buffer, 8, 0), "write");
	STEP(dma_rw(shared.device, TEST_READ, 0, buffer, 8, TEST_KTHREAD), "read by a thread of the kernel");
	STEP(pin(shared.device, 0, 4, READ, 0), "pin");
	STEP(map(shared.container, 0x100000, shared_memory, 16 * PAGE, 3), "map its own");
	STEP(pin(shared.device, 0x100000, 4, READ, 0), "pin its own");
	STEP(dma_rw(shared.device, TEST_READ, 0x100000, buffer, 8, 0), "read its own");
	STEP(dma_rw(shared.device, TEST_READ, 0xfff, buffer, 8, 0), "read across");
}

static void processes(void)
{
	shared = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	shared_memory = pattern(16 * PAGE);
	STEP(map(shared.container, 0, shared_memory, 16 * PAGE, 3), "map");
	apart(as_other);
	heading("the first process");
	STEP(dma_rw(shared.device, TEST_READ, 0, shared_memory, 8, 0), "read");
	STEP(dma_rw(shared.device, TEST_READ, 0x100000, shared_memory, 8, 0), "read memory of who is gone");
	STEP(dma_rw(shared.device, TEST_READ, 0x100000, shared_memory, 8, TEST_KTHREAD), "read memory of who is gone");
	STEP(pin(shared.device, 0x108000, 1, READ, TEST_RAW), "pin memory of who is gone");
	STEP(pin(shared.device, 0x100000, 4, READ, 0), "pin what is pinned");
	STEP(unpin(shared.device, 0, 0, 0), "unpin what the other has pinned");
	STEP(unmap(shared.container, 0, 0, 2), "unmap all");
	notified(shared.device, "device");
	close_all(&shared);
	step(0, "end");
}

/* --- opening and leaving ------------------------------------------------------------------------------------------ */

static void set_open_error(int error)
{
	FILE *f = fopen("/sys/module/vfio_test_emulated/parameters/open_error", "w");

	if (!f)
		fail("open_error");
	fprintf(f, "%d\n", error);
	fclose(f);
}

static void opening(void)
{
	int container = open_container(), group = open_group(FIRST), device, again;
	struct vfio_group_status s = { .argsz = sizeof(s) };
	char *mem = pattern(16 * PAGE);

	ASK(ioctl(group, VFIO_GROUP_GET_STATUS, &s), "GET_STATUS");
	printf("flags %x\n", s.flags);
	ASK(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST)), "open without a container");
	TWICE(FD(open(group_path(FIRST), O_RDWR)), "open the group again");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU without a group");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	ASK(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST)), "open without an IOMMU");
	for (int type = 0; type < 9; type++)
		if (type != VFIO_TYPE1v2_IOMMU && type != VFIO_TYPE1_IOMMU)
			ASK(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %d", type);
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	ASK(ioctl(group, VFIO_GROUP_GET_STATUS, &s), "GET_STATUS");
	printf("flags %x\n", s.flags);
	for (int i = 0; i < 2; i++) {
		set_open_error(-EXDEV);
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST)), "open, refused by the driver");
		set_open_error(0);
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, SECOND)), "open a device of another group");
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, FIRST)), "open and close");
	}
	device = get_device(group, FIRST);
	set_open_error(-EXDEV);
	again = get_device(group, FIRST);
	set_open_error(0);
	ASK(read(device, mem, 8), "read without the op");
	ASK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0) == MAP_FAILED ? -1 : 0, "mmap without the op");
	ASK(ioctl(device, VFIO_DEVICE_RESET), "ioctl without the op");
	ASK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &(struct vfio_region_info){ .argsz = 32 }), "region without the op");
	ASK(ioctl(device, VFIO_DEVICE_FEATURE, &(struct vfio_device_feature){ 8, 1 | VFIO_DEVICE_FEATURE_GET }), "feature");
	STEP(map(container, 0, mem, 16 * PAGE, 3), "map");
	STEP(pin(device, 0, 4, READ, 0), "pin");
	STEP(unpin(again, 0, 0, 0), "unpin by the other descriptor");
	STEP(pin(again, 0, 4, READ, 0), "pin by the other descriptor");
	STEP(close(again), "close the other");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "leave the container");
	close(group);
	ASK(FD(open(group_path(FIRST), O_RDWR)), "open the group while its device is open");
	STEP(close(device), "close the last");
	ASK(FD(open(group_path(FIRST), O_RDWR)), "open the group");
	close(container);
	step(0, "end");
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("FAILED: %s: %s\n", path, strerror(errno));
	close(fd);
}

#define DRIVER "/sys/bus/platform/drivers/vfio-test-emulated/"

/* The driver is told to let go of a device that is open: it asks for it and waits. */
static void leaving(void)
{
	struct vfio_user u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	struct pollfd request = { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
	struct test_emulated c = { .command = TEST_REQUEST, .count = request.fd };
	char *mem = pattern(16 * PAGE), path[PATH_MAX];
	int status;
	pid_t pid;

	strcpy(path, group_path(FIRST));
	STEP(command(u.device, &c), "hand over the eventfd");
	c.count = -1;
	STEP(command(u.device, &c), "a wrong one");
	STEP(map(u.container, 0, mem, 16 * PAGE, 3), "map");
	STEP(pin(u.device, 0, 4, READ, 0), "pin");
	printf("asked back already: %d\n", poll(&request, 1, 0));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* These are copies: what the parent closes has to be the last. */
		close_all(&u);
		write_to(DRIVER "unbind", FIRST);
		_exit(0);
	}
	printf("asked back: %d\n", poll(&request, 1, 30000));
	usleep(200000);
	printf("waiting: %d\n", waitpid(pid, &status, WNOHANG) == 0);
	STEP(pin(u.device, 8 * PAGE, 4, READ, 0), "pin meanwhile");
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, FIRST)), "open it again meanwhile");
	close(u.device);
	printf("gone: %d\n", waitpid(pid, &status, 0) == pid && !status);
	STEP(unmap(u.container, 0, 0, 2), "unmap");
	ASK(access(path, F_OK), "the node of the group");
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, FIRST)), "open it again");
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "leave the container");
	ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container), "join it");
	ASK(ioctl(u.group, VFIO_GROUP_GET_STATUS, &(struct vfio_group_status){ .argsz = 8 }), "GET_STATUS");
	close(u.group);
	close(u.container);
	write_to(DRIVER "bind", FIRST);
	u = open_all(FIRST, VFIO_TYPE1v2_IOMMU);
	close_all(&u);
	step(0, "end");
}

static const struct {
	const char *name;
	void (*run)(void);
} sections[] = {
	{ "pins", pins },
	{ "rw", rw },
	{ "kinds", kinds },
	{ "accounting", accounting },
	{ "dirty", dirty_pages },
	{ "mixed", mixed },
	{ "processes", processes },
	{ "opening", opening },
	{ "leaving", leaving },
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	pci = argc > 2 ? argv[2] : NULL;
	pinned_before = pins_of_all();
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(sections); i++)
		if (!strcmp(sections[i].name, argv[1])) {
			sections[i].run();
			return 0;
		}
	fprintf(stderr, "usage: %s SECTION [PCI DEVICE]\n", argv[0]);
	return 2;
}
