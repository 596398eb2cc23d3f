// SPDX-License-Identifier: GPL-2.0
/*
 * Users of the modules in samples/.
 *
 *   sample_user engine                   drives the emulated device, through type1
 *   sample_user variant DEVICE SUBTYPE [SUBSYSTEM]
 *                                        reads the region of a variant driver twice, and the subsystem ID
 *   sample_user backend DEVICE           has an edu do DMA in a container of the sample backend
 *   sample_user hold NAME COMMAND        has a device open while the shell runs a command
 */
#include "../proc.h"
#include "../vfio_user.h"

#define ENGINE "vfio-sample-engine"
#define SAMPLE_IOMMU 0x53414d50
#define IOVA 0x1000000ull

enum { ADDRESS = 0, LENGTH = 8, COMMAND = 16, RESULT = 24 };

static int failed;

static void check(const char *what, int64_t value, int64_t wanted)
{
	printf("%s: %#lx\n", what, (long)value);
	if (value == wanted)
		return;
	printf("FAILED: %s is not %#lx\n", what, (long)wanted);
	failed = 1;
}

static int map(struct vfio_user *u, uint64_t iova, void *vaddr, uint64_t size, int flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags,
		.iova = iova, .vaddr = (uint64_t)vaddr, .size = size,
	};

	return ioctl(u->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static int unmap(struct vfio_user *u, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = iova, .size = size };

	return ioctl(u->container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

static char *memory(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static int64_t engine_does(struct vfio_user *u, uint64_t command, uint64_t address, uint64_t length)
{
	int64_t result = -1;

	if (pwrite(u->device, &address, 8, ADDRESS) != 8 || pwrite(u->device, &length, 8, LENGTH) != 8 ||
	    pwrite(u->device, &command, 8, COMMAND) != 8 || pread(u->device, &result, 8, RESULT) != 8)
		fail("the registers");
	return result;
}

static void engine(void)
{
	struct vfio_user u = open_all(ENGINE, VFIO_TYPE1v2_IOMMU);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	char *p = memory(4 * PAGE);
	/* Where nothing is; the compiler shall not know. */
	void *volatile nowhere = (void *)8;
	uint64_t value = 5;

	check("GET_INFO", ioctl(u.device, VFIO_DEVICE_GET_INFO, &info), 0);
	check("regions", info.num_regions, 1);
	check("interrupts", info.num_irqs, 0);
	check("region 0", ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region), 0);
	check("its size", region.size, 32);
	region.index = 1;
	check("region 1", ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region) ? errno : 0, EINVAL);
	check("an ioctl that it has not", ioctl(u.device, VFIO_DEVICE_SET_IRQS, 0) ? errno : 0, ENOTTY);

	memset(p, 3, 4 * PAGE);
	check("map", map(&u, IOVA, p, 3 * PAGE, 3), 0);
	check("map for reading", map(&u, IOVA + 8 * PAGE, p + 3 * PAGE, PAGE, 1), 0);
	check("sum", engine_does(&u, 1, IOVA, 3 * PAGE), 9 * PAGE);
	check("sum across pages", engine_does(&u, 1, IOVA + 4000, 1000), 3000);
	check("invert", engine_does(&u, 2, IOVA + 100, 300), 300);
	check("what was inverted", p[100] & p[399] & 0xff, 0xfc);
	check("what was not", p[99] | p[400], 3);
	check("sum of what can be read", engine_does(&u, 1, IOVA + 8 * PAGE, PAGE), 3 * PAGE);
	check("invert what can be read", engine_does(&u, 2, IOVA + 8 * PAGE, PAGE), -EPERM);
	check("sum of what is not mapped", engine_does(&u, 1, IOVA + 4 * PAGE, 1), -EINVAL);
	check("sum at the end of addresses", engine_does(&u, 1, -100, 500) < 0, 1);
	check("sum of too much", engine_does(&u, 1, IOVA, -1), -EINVAL);
	check("no such command", engine_does(&u, 9, IOVA, 1), -EINVAL);
	check("unmap", unmap(&u, IOVA, 3 * PAGE), 0);
	check("sum of what was unmapped", engine_does(&u, 1, IOVA, 8), -EINVAL);

	check("a narrow access", pread(u.device, &value, 4, ADDRESS) < 0 ? errno : 0, EINVAL);
	check("an access between registers", pread(u.device, &value, 8, 4) < 0 ? errno : 0, EINVAL);
	check("an access beyond", pwrite(u.device, &value, 8, 32) < 0 ? errno : 0, EINVAL);
	check("an access from nowhere", pwrite(u.device, nowhere, 8, 0) < 0 ? errno : 0, EFAULT);
	check("the result is read-only", pwrite(u.device, &value, 8, RESULT), 8);
	check("reset", ioctl(u.device, VFIO_DEVICE_RESET), 0);
	check("read after it", pread(u.device, &value, 8, LENGTH), 8);
	check("it is zero", value, 0);
	close_all(&u);
}

/* The index of the region of a type and subtype; its capability tells. */
static uint32_t find_region(int device, uint32_t subtype, struct vfio_region_info *info)
{
	static char buffer[4096];
	struct vfio_device_info device_info = { .argsz = sizeof(device_info) };
	struct vfio_region_info *answer = (void *)buffer;
	uint32_t i;

	ioctl(device, VFIO_DEVICE_GET_INFO, &device_info);
	for (i = VFIO_PCI_NUM_REGIONS; i < device_info.num_regions; i++) {
		struct vfio_region_info_cap_type *type;

		memset(buffer, 0, sizeof(buffer));
		answer->argsz = sizeof(buffer);
		answer->index = i;
		if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, answer) || !answer->cap_offset)
			continue;
		type = (void *)(buffer + answer->cap_offset);
		if (type->header.id == VFIO_REGION_INFO_CAP_TYPE && type->subtype == subtype &&
		    type->type == (VFIO_REGION_TYPE_PCI_VENDOR_TYPE | 0x1234)) {
			*info = *answer;
			return i;
		}
	}
	fail("no region has subtype %u", subtype);
	return 0;
}

static void variant(const char *device, uint32_t subtype, uint32_t subsystem)
{
	uint64_t config = (uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40;
	uint32_t value;
	int i;

	for (i = 1; i <= 2; i++) {
		struct vfio_user u = open_all(device, VFIO_TYPE1v2_IOMMU);
		char text[64] = "", expected[64];
		struct vfio_region_info info;

		check("the region's index", find_region(u.device, subtype, &info), VFIO_PCI_NUM_REGIONS);
		snprintf(expected, sizeof(expected), "opened %d times since the driver was loaded\n", i);
		check("its size", info.size, strlen(expected));
		check("read", pread(u.device, text, sizeof(text), info.offset), strlen(expected));
		printf("%s", text);
		check("it is what it should be", strcmp(text, expected), 0);
		check("read from the middle", pread(u.device, text, 5, info.offset + 7), 5);
		check("it is the middle", memcmp(text, expected + 7, 5), 0);
		check("read beyond", pread(u.device, text, 1, info.offset + info.size) < 0 ? errno : 0, EINVAL);
		check("write", pwrite(u.device, text, 1, info.offset) < 0 ? errno : 0, EINVAL);
		check("subsystem", pread(u.device, &value, 4, config + 0x2c), 4);
		if (subsystem) {
			check("it is the driver's", value, subsystem);
			value = 0x55555555;
			check("write it", pwrite(u.device, &value, 4, config + 0x2c), 4);
		}
		close_all(&u);
	}
}

#define BUFFER 0x40000

static void copy(struct vfio_user *u, uint64_t bar, uint64_t from, uint64_t to, uint64_t command)
{
	uint64_t registers[4] = { from, to, 8, command }, value;
	int i;

	for (i = 0; i < 4; i++)
		if (pwrite(u->device, &registers[i], 8, bar + 0x80 + 8 * i) != 8)
			fail("the registers of edu");
	for (i = 0; i < 2000; i++) {
		if (pread(u->device, &value, 8, bar + 0x98) == 8 && !(value & 1))
			return;
		usleep(5000);
	}
	printf("FAILED: the device does not finish\n");
	failed = 1;
}

static void backend(const char *device)
{
	struct vfio_user u = open_all(device, SAMPLE_IOMMU);
	struct vfio_region_info bar0 = { .argsz = sizeof(bar0) };
	uint32_t config = 0, command = 6;
	volatile uint64_t *p = (void *)memory(16 * PAGE);
	long before = locked_kib();

	ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &bar0);
	config = pwrite(u.device, &command, 2, ((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + 4);
	check("memory and DMA are on", config, 2);

	check("the extension", ioctl(u.container, VFIO_CHECK_EXTENSION, SAMPLE_IOMMU), 1);
	check("type1 is another", ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 0);
	check("map", map(&u, IOVA, (void *)p, 8 * PAGE, 3), 0);
	check("KiB locked", locked_kib() - before, 32);
	check("map over it", map(&u, IOVA + 4 * PAGE, (void *)p, 8 * PAGE, 3), -EEXIST);
	check("map where interrupts are", map(&u, 0xfee00000, (void *)p, PAGE, 3), -EINVAL);
	check("map no page", map(&u, 2 * IOVA, (void *)p, 100, 3), -EINVAL);
	check("map without rights", map(&u, 2 * IOVA, (void *)p, PAGE, 0), -EINVAL);
	check("map what is not there", map(&u, 2 * IOVA, (void *)PAGE, PAGE, 3), -EFAULT);
	check("KiB locked after all that", locked_kib() - before, 32);

	p[0] = 0x1122334455667788;
	copy(&u, bar0.offset, IOVA, BUFFER, 1);
	copy(&u, bar0.offset, BUFFER, IOVA + 3 * PAGE + 8, 3);
	check("what the device has copied", p[3 * PAGE / 8 + 1], 0x1122334455667788);

	check("unmap a part", unmap(&u, IOVA, PAGE), -ENOENT);
	check("unmap", unmap(&u, IOVA, 8 * PAGE), 0);
	check("KiB locked after it", locked_kib() - before, 0);
	check("unmap again", unmap(&u, IOVA, 8 * PAGE), -ENOENT);
	/* The IOMMU stops this one, and the log says so. */
	copy(&u, bar0.offset, BUFFER, IOVA + 16, 3);
	check("what the device has not", p[2], 0);

	/* What is mapped when the container is closed goes with it. */
	check("map twice", map(&u, IOVA, (void *)p, PAGE, 3) | map(&u, 2 * IOVA, (void *)p, PAGE, 1), 0);
	close_all(&u);
	check("KiB locked at the end", locked_kib() - before, 0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "engine")) {
		engine();
	} else if (!strcmp(what, "variant") && argc > 3) {
		variant(argv[2], atoi(argv[3]), argc > 4 ? strtoul(argv[4], NULL, 0) : 0);
	} else if (!strcmp(what, "backend") && argc > 2) {
		backend(argv[2]);
	} else if (!strcmp(what, "hold") && argc > 3) {
		struct vfio_user u = open_all(argv[2], VFIO_TYPE1v2_IOMMU);

		failed = !!system(argv[3]);
		close_all(&u);
	} else {
		fprintf(stderr, "usage: see the head of sample_user.c\n");
		return 2;
	}
	return failed;
}
