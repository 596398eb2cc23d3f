// SPDX-License-Identifier: GPL-2.0
/*
 * Asks emulated devices (vfio_test_emulated.ko) whose memory is that of an iommufd many things, and prints what they
 * answered, one line each; compared with what they answer on the C modules.
 *
 * usage: iommufd_emulated
 */
#include "../emulated/emulated.h"
#include "iommufd_user.h"

#define PAGES 16
#define IOVA 0x100000ULL

static const char *const names[] = { "vfio-test-emulated.0", "vfio-test-emulated.1", "vfio-test-emulated.2" };
static uint8_t *ram;

static void fill(void)
{
	for (size_t i = 0; i < PAGES * PAGE; i++)
		ram[i] = i / PAGE * 16 + i % 13;
}

static void notified(int device)
{
	struct test_emulated c = { .command = TEST_NOTIFIED };

	printf("notified %s\n", command(device, &c) > 0 ? "yes" : "no");
}

/* Everything that a driver does with the memory. */
static void use(int device, const char *when)
{
	uint8_t bytes[3 * PAGE] = {};

	printf("# %s\n", when);
	for (uint64_t at = 0; at < 3; at++)
		printf("pin a page at %llx: %d\n", (unsigned long long)(IOVA + at * 0x800),
		       pin(device, IOVA + at * 0x800, 1, READ | WRITE, 0));
	printf("pin read-only: %d\n", pin(device, IOVA + 4 * PAGE, 2, READ, 0));
	printf("pin 0: %d\n", pin(device, IOVA, 0, READ, 0));
	printf("pin all: %d\n", pin(device, IOVA, PAGES, READ | WRITE, 0));
	printf("pin more than all: %d\n", pin(device, IOVA, PAGES + 1, READ | WRITE, 0));
	printf("pin below: %d\n", pin(device, IOVA - PAGE, 1, READ, 0));
	printf("pin 600: %d\n", pin(device, IOVA, 600, READ, 0));
	printf("pin -1: %d\n", pin(device, IOVA, -1, READ, TEST_RAW));
	printf("pin INT_MAX: %d\n", pin(device, IOVA, INT_MAX, READ, TEST_RAW));
	printf("pin at the end: %d\n", pin(device, ~0ULL & -PAGE, 1, READ, 0));
	for (uint32_t count = 1; count < 3 * PAGE; count = count * 3 + 1) {
		printf("read %u: %d\n", count, dma_rw(device, TEST_READ, IOVA + 100, bytes, count, 0));
		hex("bytes", bytes, count < 16 ? count : 16);
		printf("write %u: %d\n", count, dma_rw(device, TEST_WRITE, IOVA + 2 * PAGE + 5, bytes, count, 0));
		hex("ram", ram + 2 * PAGE, 16);
		printf("by a thread of the kernel, read: %d\n", dma_rw(device, TEST_READ, IOVA, bytes, count, TEST_KTHREAD));
		printf("by a thread of the kernel, write: %d\n", dma_rw(device, TEST_WRITE, IOVA, bytes, count, TEST_KTHREAD));
	}
	printf("read 0: %d\n", dma_rw(device, TEST_READ, IOVA, bytes, 0, 0));
	printf("read past the end: %d\n", dma_rw(device, TEST_READ, IOVA + PAGES * PAGE - 4, bytes, 8, 0));
	printf("read nothing mapped: %d\n", dma_rw(device, TEST_READ, 0x10, bytes, 8, 0));
	for (uint64_t at = 0; at < 3; at++)
		printf("unpin: %d\n", unpin(device, IOVA + at * 0x800, 1, 0));
	printf("unpin: %d\n", unpin(device, IOVA + 4 * PAGE, 2, 0));
	printf("unpin all: %d\n", unpin(device, IOVA, PAGES, 0));
	notified(device);
}

static void one(const char *name)
{
	int iommu = open_iommufd(), iommu2 = open_iommufd(), fd = open_node(name), other;
	uint32_t id = 0, pt = 0, ioas = new_ioas(iommu), ioas2 = new_ioas(iommu);
	struct vfio_device_attach_iommufd_pt pasid = { .argsz = sizeof(pasid), .flags = 1, .pt_id = ioas };

	printf("# === %s\n", name);
	if (fd < 0)
		fail("%s", name);
	fill();
	ASK(bind_device(fd, iommu, &id), "bind");
	printf("id %u, ioas %u %u\n", id, ioas, ioas2);
	use(fd, "nothing attached");
	ASK(map_ioas(iommu, ioas, ram, IOVA, PAGES * PAGE), "map");
	TWICE(detach_device(fd), "detach");
	ASK(attach_device(fd, ioas, &pt), "attach");
	printf("pt is %u\n", pt);
	use(fd, "attached");
	TWICE(destroy(iommu, ioas), "destroy the attached address space");
	TWICE(destroy(iommu, id), "destroy the device");
	TWICE(attach_device(fd, id, &pt), "attach the device");
	TWICE(attach_device(fd, 77, &pt), "attach nothing");
	TWICE(ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pasid), "attach a PASID");

	/* What is pinned is asked back. */
	printf("pin: %d\n", pin(fd, IOVA, 4, READ | WRITE, 0));
	ASK(unmap_ioas(iommu, ioas, IOVA, PAGES * PAGE), "unmap");
	notified(fd);
	use(fd, "unmapped");
	ASK(map_ioas(iommu, ioas, ram, IOVA, PAGES * PAGE), "map");
	printf("pin: %d\n", pin(fd, IOVA, 4, READ | WRITE, 0));
	ASK(map_ioas(iommu, ioas2, ram + PAGE, IOVA, PAGE), "map elsewhere");
	ASK(attach_device(fd, ioas2, &pt), "replace");
	notified(fd);
	use(fd, "replaced");
	ASK(attach_device(fd, ioas, &pt), "replace");
	printf("pin: %d\n", pin(fd, IOVA, 4, READ | WRITE, 0));
	ASK(detach_device(fd), "detach");
	notified(fd);
	use(fd, "detached");
	ASK(attach_device(fd, ioas, &pt), "attach");
	printf("pin: %d\n", pin(fd, IOVA, 4, READ | WRITE, 0));
	other = open_node(name);
	TWICE(bind_device(other, iommu2, NULL), "bind another");
	/* Closed with pages pinned and an address space attached. */
	close(fd);
	ASK(unmap_ioas(iommu, ioas, IOVA, PAGES * PAGE), "unmap when closed");
	ASK(destroy(iommu, ioas), "destroy");
	ASK(bind_device(other, iommu2, &id), "bind another");
	use(other, "another");
	close(other);
}

/* The same by the device's group, whose container is an iommufd. */
static void by_group(const char *name)
{
	int iommu = open_iommufd(), group, fd;
	char link[PATH_MAX], target[PATH_MAX] = "", path[PATH_MAX];

	printf("# === group of %s\n", name);
	fill();
	snprintf(link, sizeof(link), "/sys/bus/platform/devices/%s/iommu_group", name);
	if (readlink(link, target, sizeof(target) - 1) < 0)
		fail("%s", link);
	snprintf(path, sizeof(path), "/dev/vfio/%.40s", strrchr(target, '/') + 1);
	group = open(path, O_RDWR);
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
	say(fd < 0 ? -1 : 1, "GET_DEVICE_FD");
	printf("map: %d\n", map(iommu, IOVA, ram, PAGES * PAGE, 3));
	use(fd, "by the group");
	printf("pin: %d\n", pin(fd, IOVA, 4, READ | WRITE, 0));
	printf("unmap: %lld\n", (long long)unmap(iommu, IOVA, PAGES * PAGE, 0));
	notified(fd);
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	printf("map: %d\n", map(iommu, IOVA, ram, PAGES * PAGE, 3));
	use(fd, "container unset");
	close(fd);
	close(group);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	ram = memory(PAGES * PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		one(names[i]);
		by_group(names[i]);
	}
	return 0;
}
