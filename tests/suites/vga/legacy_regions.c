// SPDX-License-Identifier: GPL-2.0
/*
 * What the regions of old answer: legacy VGA memory and ports, the ROM, BARs of I/O ports:
 *
 *   legacy_regions DDDD:BB:DD.F
 */
#include "../vfio_user.h"

#include <linux/pci_regs.h>

static int device;

static off_t at(uint32_t index, uint64_t pos)
{
	return ((off_t)index << 40) + pos;
}

static struct vfio_region_info info(uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info)) {
		printf("region %u: %s\n", index, error_name(errno));
		info.size = 0;
	} else {
		printf("region %u: size %llx flags %x\n", index, (long long)info.size, info.flags);
	}
	return info;
}

static void try_read(uint32_t index, uint64_t pos, size_t len)
{
	uint8_t bytes[64] = { 0 };
	ssize_t ret = pread(device, bytes, len, at(index, pos));

	printf("read %u:%llx+%zu = %zd %s", index, (long long)pos, len, ret, ret < 0 ? error_name(errno) : "");
	for (ssize_t i = 0; i < ret; i++)
		printf(" %02x", bytes[i]);
	printf("\n");
}

static void try_write(uint32_t index, uint64_t pos, size_t len, uint64_t value)
{
	uint8_t bytes[64] = { 0 };
	ssize_t ret;

	memcpy(bytes, &value, sizeof(value));
	ret = pwrite(device, bytes, len, at(index, pos));
	printf("write %u:%llx+%zu %llx = %zd %s\n", index, (long long)pos, len, (long long)value, ret,
	       ret < 0 ? error_name(errno) : "");
}

static void command(uint16_t value)
{
	printf("command %x\n", value);
	if (pwrite(device, &value, 2, at(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND)) != 2)
		fail("the command register");
}

static void vga(void)
{
	static const uint64_t edges[] = { 0, 0x3ae, 0x3af, 0x3bc, 0x3bf, 0x3e0, 0x9fffe, 0x9ffff, 0xbfff9, 0xbfffd,
		0xbffff, 0xc0000, 0x100000 };
	const uint32_t index = VFIO_PCI_VGA_REGION_INDEX;
	static const uint8_t zeros[1024];
	uint8_t flip_flop;

	if (!info(index).size)
		return;
	/* Nothing resets the adapter: the first to look would find other registers and memory than the second. */
	try_write(index, 0x3c4, 2, 0x0e04);
	try_write(index, 0x3c4, 2, 0x0f02);
	try_write(index, 0x3ce, 2, 0x4005);
	try_write(index, 0x3ce, 2, 0x0506);
	try_write(index, 0x3d4, 1, 0);
	try_write(index, 0x3c7, 1, 0);
	try_write(index, 0x3c8, 1, 0);
	(void)!pread(device, &flip_flop, 1, at(index, 0x3da));
	(void)!pwrite(device, zeros, sizeof(zeros), at(index, 0xa0000));
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		for (size_t len = 0; len <= 9; len++) {
			try_write(index, edges[i], len, 0);
			try_read(index, edges[i], len);
		}
	/* The registers; what is in the status registers depends on the time. */
	for (uint64_t port = 0x3b0; port < 0x3e0; port++)
		if ((port & 0xf) != 0xa)
			for (size_t len = 1; len <= ((port & 0xf) < 8 ? 2 : 1); len++)
				try_read(index, port, len);
	for (int i = 0; i < 5; i++) {
		try_write(index, 0x3c4, 1, i);
		try_read(index, 0x3c5, 1);
		try_write(index, 0x3c4, 2, 0x0f02);
	}
	for (int i = 0; i < 9; i++) {
		try_write(index, 0x3ce, 1, i);
		try_read(index, 0x3cf, 1);
	}
	/* Widths and alignments in memory. */
	for (uint64_t pos = 0; pos < 8; pos++)
		for (size_t len = 1; len <= 9; len++) {
			try_write(index, 0xa0000 + 64 * pos + pos, len, 0x8877665544332211 + len);
			try_read(index, 0xa0000 + 64 * pos, 16);
		}
	for (uint64_t pos = 0xb0000; pos < 0xc0000; pos += 0x3ffc)
		try_read(index, pos, 4);
	errno = 0;
	printf("mmap: %s\n", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, at(index, 0xa0000)) == MAP_FAILED ?
	       error_name(errno) : "done");
}

static void rom(void)
{
	const uint32_t index = VFIO_PCI_ROM_REGION_INDEX;
	struct vfio_region_info rom = info(index);
	uint8_t bytes[4096];
	uint32_t sum = 0;

	for (uint64_t pos = 0; pos < rom.size; pos += sizeof(bytes)) {
		if (pread(device, bytes, sizeof(bytes), at(index, pos)) != sizeof(bytes)) {
			printf("ROM %llx: %s\n", (long long)pos, error_name(errno));
			continue;
		}
		for (size_t i = 0; i < sizeof(bytes); i++)
			sum = sum * 31 + bytes[i];
	}
	printf("ROM: sum %08x\n", sum);
	for (uint64_t pos = 0; pos < 5; pos++)
		for (size_t len = 0; len <= 9; len++)
			try_read(index, pos, len);
	for (int64_t pos = -9; pos < 2; pos++)
		try_read(index, rom.size + pos, 8);
	try_write(index, 0, 4, 0);
}

/* An Intel network adapter has two ports: an address, and what is there. */
static void ports(void)
{
	const uint32_t index = 2;
	struct vfio_region_info bar = info(index);

	/* No reset changes the address. */
	try_write(index, 0, 4, 0);
	for (uint64_t pos = 0; pos < 8; pos++)
		for (size_t len = 0; len <= 9; len++)
			try_read(index, pos, len);
	for (uint64_t reg = 0; reg <= 0x18; reg += 0x18) {
		try_write(index, 0, 4, reg);
		try_read(index, 0, 4);
		try_read(index, 4, 4);
		try_read(index, 0, 8);
	}
	try_write(index, 1, 3, 0);
	for (int64_t pos = -5; pos < 2; pos++)
		try_read(index, bar.size + pos, 4);
	errno = 0;
	printf("mmap: %s\n", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, at(index, 0)) == MAP_FAILED ?
	       error_name(errno) : "done");
}

int main(int argc, char **argv)
{
	static const uint16_t commands[] = { PCI_COMMAND_IO | PCI_COMMAND_MEMORY, PCI_COMMAND_IO, PCI_COMMAND_MEMORY, 0 };
	struct vfio_user user;
	uint32_t class = 0;

	if (argc != 2)
		return 2;
	user = open_all(argv[1], VFIO_TYPE1v2_IOMMU);
	device = user.device;
	if (pread(device, &class, 4, at(VFIO_PCI_CONFIG_REGION_INDEX, PCI_CLASS_REVISION)) != 4)
		fail("the class");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		command(commands[i]);
		rom();
		if (class >> 24 == 3)
			vga();
		else
			ports();
	}
	close_all(&user);
	printf("done\n");
	return 0;
}
