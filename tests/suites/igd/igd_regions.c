// SPDX-License-Identifier: GPL-2.0
/*
 * Prints the regions that a driver added to a device, and what reads and writes of them and of the register with the
 * address of the OpRegion answer:
 *
 *   igd_regions DDDD:BB:DD.F
 */
#include "../vfio_user.h"

#include <sys/eventfd.h>

static int device;

static uint32_t sum(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 1;

	while (len--)
		sum = sum * 31 + *bytes++;
	return sum;
}

static void try_read(off_t base, off_t at, size_t len)
{
	static uint8_t bytes[1 << 16];
	ssize_t ret;

	memset(bytes, 0, sizeof(bytes));
	ret = pread(device, bytes, len, base + at);
	printf("  read %llx+%zu = %zd %s", (long long)at, len, ret, ret < 0 ? error_name(errno) : "");
	for (ssize_t i = 0; i < ret && i < 24; i++)
		printf(" %02x", bytes[i]);
	printf(" sum %08x\n", sum(bytes, ret > 0 ? ret : 0));
}

static void show_kind(uint32_t index)
{
	uint8_t buffer[256] = { 0 };
	struct vfio_region_info *info = (void *)buffer;
	struct vfio_region_info_cap_type *type;

	info->argsz = sizeof(buffer);
	info->index = index;
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, info)) {
		printf("region %u: %s\n", index, error_name(errno));
		return;
	}
	type = (void *)(buffer + info->cap_offset);
	printf("region %u: size %llx flags %x argsz %u", index, (long long)info->size, info->flags, info->argsz);
	if (info->cap_offset)
		printf(" cap %u type %x subtype %u", type->header.id, type->type, type->subtype);
	printf("\n");
}

static void show(uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };
	static const off_t places[] = { 0, 1, 2, 3, 0x0e, 0x14, 0x15, 0x16, 0x17, 0x18, 0xfe, 0x100, 0x3b8, 0x3ba, 0x3bb,
		0x3c1, 0x3c2, 0x3c6, 4094, 8190, 8191, 8192, 8193 };
	void *map;

	show_kind(index);
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t len = 0; len <= 9; len++)
			try_read(info.offset, places[i], len);
	for (off_t at = -9; at < 3; at++)
		try_read(info.offset, info.size + at, 8);
	try_read(info.offset, 0, 1 << 16);
	try_read(info.offset, 11, 1 << 16);
	map = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("  read to nowhere: %zd", pread(device, map, 128, info.offset));
	printf(" %s\n", error_name(errno));
	munmap(map, PAGE);
	printf("  write: %zd", pwrite(device, "abcd", 4, info.offset));
	printf(" %s\n", error_name(errno));
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, info.offset);
	printf("  mmap: %s\n", map == MAP_FAILED ? error_name(errno) : "done");
}

static uint32_t hardware_register(const char *bdf)
{
	char path[PATH_MAX];
	uint32_t value = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY);
	if (fd < 0 || pread(fd, &value, 4, 0xfc) != 4)
		fail("%s", path);
	close(fd);
	return value;
}

static void show_register(const char *bdf)
{
	const off_t at = (7ULL << 40) + 0xfc;
	uint32_t before = hardware_register(bdf), value = 0, ones = ~0u;

	if (pread(device, &value, 4, at) != 4)
		fail("the register");
	printf("the register is that of the hardware: %s\n", value == before ? "yes" : "no");
	if (pwrite(device, &ones, 4, at) != 4 || pread(device, &value, 4, at) != 4)
		fail("the register");
	printf("writing ones: it reads %08x, the hardware's changes: %s\n", value,
	       hardware_register(bdf) == before ? "no" : "yes");
	if (pwrite(device, &before, 4, at) != 4)
		fail("the register");
}

/* The ROM: the firmware's copy, if there is one. */
static void show_rom(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_ROM_REGION_INDEX };
	static const uint32_t values[] = { ~0u, 0xfffff800, 1, 0xfffe0001, 0 };
	static const uint64_t places[] = { 0, 1, 2, 3, 4, 5, 0xffff };
	const off_t at = (7ULL << 40) + 0x30;
	static uint8_t all[1 << 18];
	uint32_t value, sum = 0;
	ssize_t ret;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("region info of the ROM");
	printf("ROM: size %llx flags %x\n", (long long)info.size, info.flags);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (pwrite(device, &values[i], 4, at) != 4 || pread(device, &value, 4, at) != 4)
			fail("the register of the ROM");
		printf("  its register reads %08x\n", value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		for (size_t len = 0; len <= 9; len++)
			try_read(info.offset, places[i], len);
	for (off_t pos = -9; pos < 3; pos++)
		try_read(info.offset, info.size + pos, 8);
	ret = pread(device, all, sizeof(all), info.offset);
	for (ssize_t i = 0; i < ret; i++)
		sum = sum * 31 + all[i];
	printf("  in all %zd, sum %08x\n", ret, sum);
	printf("  write: %zd", pwrite(device, "abcd", 4, info.offset));
	printf(" %s\n", error_name(errno));
}

static long set_irq(uint32_t index, uint32_t count, int fd)
{
	struct { struct vfio_irq_set set; int fd; } irq = {
		{ .argsz = sizeof(irq), .index = index, .count = count,
		  .flags = VFIO_IRQ_SET_ACTION_TRIGGER | (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE) }, fd };

	return ioctl(device, VFIO_DEVICE_SET_IRQS, &irq) ? errno : 0;
}

/* Interrupts: of some devices Linux knows that their INTx is not to be used, and keeps it off. */
static void show_intx(const char *bdf)
{
	uint16_t command = 0, hardware = 0;
	int event = eventfd(0, 0), fd;
	char path[PATH_MAX];
	uint8_t pin = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY);
	(void)!pread(device, &pin, 1, (7ULL << 40) + 0x3d);
	printf("INTx: pin %u\n", pin);
	for (uint32_t index = 0; index < 2; index++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

		if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info))
			fail("IRQ info");
		printf("  interrupt %u: count %u flags %x\n", index, info.count, info.flags);
		for (uint32_t count = 1; count < 2; count--) {
			printf("  set %u: %s\n", count, error_name(set_irq(index, count, event)));
			(void)!pread(fd, &hardware, 2, 4);
			(void)!pread(device, &command, 2, (7ULL << 40) + 4);
			printf("    command of the hardware %04x, as it is shown %04x\n", hardware & 0x400, command & 0x400);
		}
	}
	for (int i = 0; i < 2; i++) {
		command ^= 0x400;
		(void)!pwrite(device, &command, 2, (7ULL << 40) + 4);
		(void)!pread(fd, &hardware, 2, 4);
		(void)!pread(device, &command, 2, (7ULL << 40) + 4);
		printf("  written: command of the hardware %04x, as it is shown %04x\n", hardware & 0x400, command & 0x400);
	}
	close(fd);
	close(event);
}

int main(int argc, char **argv)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_user user = { .container = open_container() };

	if (argc != 2)
		return 2;
	user.group = open_group(argv[1]);
	if (ioctl(user.group, VFIO_GROUP_SET_CONTAINER, &user.container) ||
	    ioctl(user.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("the container");
	device = user.device = ioctl(user.group, VFIO_GROUP_GET_DEVICE_FD, argv[1]);
	if (device < 0) {
		printf("open: %s\n", error_name(errno));
		return 0;
	}
	if (ioctl(device, VFIO_DEVICE_GET_INFO, &info))
		fail("GET_INFO");
	printf("%u regions\n", info.num_regions);
	for (uint32_t index = 9; index <= info.num_regions; index++)
		show(index);
	show_register(argv[1]);
	show_rom();
	show_intx(argv[1]);
	close_all(&user);
	return 0;
}
