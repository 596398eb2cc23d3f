// SPDX-License-Identifier: GPL-2.0
/*
 * Writes to the configuration space of a device through VFIO and prints what
 * came of each write, so that two implementations can be compared by comparing
 * the output:
 *
 *   config_conformance 0000:00:04.0 >out
 *
 * Each byte is written with 0x00, 0xff and each single bit, and then with what
 * it was before; after that come writes of random position, size and value,
 * always the same ones. The first 256 bytes and the surroundings of what was
 * written are read back after each write, everything below END after each byte. A write
 * is printed if it failed, or if any of that reads differently than before it.
 *
 *   -e END    only the bytes below END
 *   -a        read everything back after each write
 *   -m        with memory accesses disabled
 *   -d        in D3hot
 *   -w        what arrives at the device is told as well, as the host reads it; but nothing is written that ends just
 *             before the flags of MSI, as C writes those as well then (Documentation/differences.rst)
 *   -s SEED, -n COUNT    of the random writes
 *
 * At the end what was written to plain bytes, which nothing resets, is written
 * back: the next run finds the device as this one did.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#define MAX_SIZE 4096

static int device;
static off_t base;
static size_t size;
static uint8_t now[MAX_SIZE];
static size_t end = MAX_SIZE;
static int everything;
/* The same as the host sees it. */
static int hardware = -1;
static uint8_t hardware_now[MAX_SIZE];
/* The bytes just before the flags of MSI. */
static bool before_flags[256 + PCI_MSI_FLAGS];

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_device(const char *bdf)
{
	char link[PATH_MAX], path[2 * PATH_MAX], *name;
	int container, group, fd;
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		die(path);
	link[len] = 0;
	name = strrchr(link, '/');
	snprintf(path, sizeof(path), "/dev/vfio/%s", name ? name + 1 : link);

	container = open("/dev/vfio/vfio", O_RDWR);
	if (container < 0)
		die("/dev/vfio/vfio");
	group = open(path, O_RDWR);
	if (group < 0)
		die(path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		die("VFIO_GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("VFIO_SET_IOMMU");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (fd < 0)
		die("VFIO_GROUP_GET_DEVICE_FD");
	return fd;
}

/* Reads a part of configuration space; bytes that cannot be read are told. */
static void read_part(uint8_t *to, size_t from, size_t until)
{
	size_t pos;

	if (pread(device, to + from, until - from, base + from) == (ssize_t)(until - from))
		return;
	for (pos = from; pos < until; pos++) {
		if (pread(device, to + pos, 1, base + pos) != 1) {
			printf("read %03zx: %s\n", pos, strerror(errno));
			to[pos] = 0xee;
		}
	}
}

static void read_all(uint8_t *to)
{
	read_part(to, 0, size);
}

static void read_hardware(uint8_t *to, size_t from, size_t until)
{
	if (hardware >= 0 && pread(hardware, to + from, until - from, from) != (ssize_t)(until - from))
		die("config in sysfs");
}

static void print_all(const char *title)
{
	size_t pos, row;

	printf("%s\n", title);
	for (row = 0; row < size; row += 16) {
		for (pos = row; pos < row + 16 && !now[pos]; pos++)
			;
		if (pos == row + 16)
			continue;
		printf("%03zx:", row);
		for (pos = row; pos < row + 16; pos++)
			printf(" %02x", now[pos]);
		printf("\n");
	}
}

/* Prints where `after` differs from what was last seen. */
static void print_changes(const uint8_t *after)
{
	int told = 0;
	size_t i;

	for (i = 0; i < size; i++) {
		if (now[i] == after[i])
			continue;
		if (told++ < 64)
			printf(" %03zx:%02x>%02x", i, now[i], after[i]);
	}
	if (told > 64)
		printf(" ... %d in all", told);
	printf("\n");
	memcpy(now, after, size);
}

/* Prints what differs from what the host saw last. */
static void print_arrived(const uint8_t *after, size_t pos)
{
	size_t i;

	if (!memcmp(hardware_now, after, size))
		return;
	printf("arrived by %03zx", pos);
	for (i = 0; i < size; i++)
		if (hardware_now[i] != after[i])
			printf(" %03zx:%02x>%02x", i, hardware_now[i], after[i]);
	printf("\n");
	memcpy(hardware_now, after, size);
}

/* Writes, and prints what changed. */
static void write_one(size_t pos, const uint8_t *value, size_t len)
{
	uint8_t after[MAX_SIZE], arrived[MAX_SIZE];
	int error;
	ssize_t ret;
	size_t i;

	if (hardware >= 0 && pos + len <= sizeof(before_flags) && before_flags[pos + len - 1])
		return;
	ret = pwrite(device, value, len, base + pos);
	error = errno;
	memcpy(after, now, size);
	if (everything) {
		read_all(after);
	} else {
		read_part(after, 0, 256);
		if (pos >= 256 && pos < size)
			read_part(after, pos & ~15, (pos & ~15) + 16);
	}
	memcpy(arrived, hardware_now, size);
	read_hardware(arrived, 0, 256);
	if (pos >= 256 && pos < size)
		read_hardware(arrived, pos & ~15, (pos & ~15) + 16);
	print_arrived(arrived, pos);
	if (ret == (ssize_t)len && !memcmp(now, after, size))
		return;

	printf("write %03zx", pos);
	if (ret != (ssize_t)len)
		printf(" = %zd %s", ret, ret < 0 ? strerror(error) : "");
	for (i = 0; i < len; i++)
		printf("%c%02x", i ? '.' : ' ', value[i]);
	print_changes(after);
}

static void each_byte(void)
{
	uint8_t after[MAX_SIZE];
	size_t pos;
	int bit;

	for (pos = 0; pos < size && pos < end; pos++) {
		uint8_t before = now[pos];
		uint8_t value = 0x00;

		write_one(pos, &value, 1);
		value = 0xff;
		write_one(pos, &value, 1);
		for (bit = 0; bit < 8; bit++) {
			value = 1 << bit;
			write_one(pos, &value, 1);
		}
		write_one(pos, &before, 1);
		memcpy(after, now, size);
		read_part(after, 0, end < size ? end : size);
		if (memcmp(now, after, size)) {
			printf("after the writes to %03zx", pos);
			print_changes(after);
		}
		memcpy(after, hardware_now, size);
		read_hardware(after, 0, end < size ? end : size);
		print_arrived(after, pos);
	}
	read_all(after);
	if (memcmp(now, after, size)) {
		printf("after all of them");
		print_changes(after);
	}
	memcpy(after, hardware_now, size);
	read_hardware(after, 0, size);
	print_arrived(after, size);
}

/*
 * Nothing resets the bytes that no capability owns. Command and status are left
 * alone: writing one resets what has just been restored, or clears it.
 */
static void restore(const uint8_t *initially)
{
	size_t pos;

	read_all(now);
	for (pos = 0; pos < size; pos++)
		if (pos / 4 != PCI_COMMAND / 4 && now[pos] != initially[pos])
			(void)!pwrite(device, initially + pos, 1, base + pos);
}

/* The position of a capability, or of the next one of this kind, 0 if there is none. */
static size_t capability(uint8_t id, size_t after)
{
	size_t pos = now[after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST];
	int i;

	for (i = 0; i < 48 && pos >= 0x40; i++, pos = now[pos + PCI_CAP_LIST_NEXT])
		if (now[pos] == id)
			return pos;
	return 0;
}

/* Writes to a register of 2 bytes before anything else. */
static void prepare(const char *what, size_t pos, uint16_t clear, uint16_t set)
{
	uint16_t value;

	if (pread(device, &value, 2, base + pos) != 2)
		die(what);
	value = (value & ~clear) | set;
	printf("%s = %zd\n", what, pwrite(device, &value, 2, base + pos));
	read_all(now);
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Half of the writes go to the header and the standard capabilities. */
static void at_random(uint32_t seed, unsigned int count)
{
	uint8_t value[16];
	size_t pos, len, i;

	while (count--) {
		len = 1 + next_random(&seed) % (next_random(&seed) % 4 ? 4 : sizeof(value));
		pos = next_random(&seed) % (next_random(&seed) % 2 || end < size ? 0x100 : size);
		for (i = 0; i < len; i++)
			value[i] = next_random(&seed) >> 11;
		/* Too far: tells how that is refused. */
		write_one(pos, value, len);
	}
}

static void try_read(size_t pos, size_t len)
{
	uint8_t bytes[64];
	ssize_t ret;
	size_t i;

	errno = 0;
	ret = pread(device, bytes, len, base + pos);
	printf("read %03zx+%zu = %zd %s:", pos, len, ret, ret < 0 ? strerror(errno) : "");
	for (i = 0; ret > 0 && i < (size_t)ret; i++)
		printf(" %02x", bytes[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct vfio_region_info region = {
		.argsz = sizeof(region),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	int memory_off = 0, asleep = 0, watch = 0;
	uint8_t initially[MAX_SIZE];
	unsigned int count = 2000;
	uint32_t seed = 2026;
	size_t pos, len;
	int opt;

	while ((opt = getopt(argc, argv, "e:amdws:n:")) != -1) {
		if (opt == 's')
			seed = strtoul(optarg, NULL, 0) | 1;
		else if (opt == 'n')
			count = strtoul(optarg, NULL, 0);
		else if (opt == 'e')
			end = strtoul(optarg, NULL, 0);
		else if (opt == 'a')
			everything = 1;
		else if (opt == 'm')
			memory_off = 1;
		else if (opt == 'd')
			asleep = 1;
		else if (opt == 'w')
			watch = 1;
		else
			return 2;
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: %s [-e END] [-amdw] [-s SEED] [-n COUNT] DDDD:BB:DD.F\n", argv[0]);
		return 2;
	}
	device = open_device(argv[optind]);
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		die("VFIO_DEVICE_GET_REGION_INFO");
	base = region.offset;
	size = region.size;
	printf("size %zu\n", size);
	if (size > MAX_SIZE)
		return 1;

	if (watch) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", argv[optind]);
		hardware = open(path, O_RDONLY);
		read_hardware(hardware_now, 0, size);
	}
	read_all(now);
	memcpy(initially, now, size);
	for (pos = capability(PCI_CAP_ID_MSI, 0); pos && !before_flags[pos + PCI_MSI_FLAGS - 1];
	     pos = capability(PCI_CAP_ID_MSI, pos))
		before_flags[pos + PCI_MSI_FLAGS - 1] = true;
	print_all("initially");
	if (memory_off)
		prepare("memory off", PCI_COMMAND, PCI_COMMAND_MEMORY, 0);
	if (asleep && !capability(PCI_CAP_ID_PM, 0))
		printf("there is no power management\n");
	else if (asleep)
		prepare("D3hot", capability(PCI_CAP_ID_PM, 0) + PCI_PM_CTRL, 0, 3);
	if (memory_off || asleep)
		print_all("then");
	for (len = 1; len <= 8; len++)
		for (pos = 0; pos < 0x100; pos += 3)
			try_read(pos, len);
	try_read(size - 1, 2);
	try_read(size, 1);
	try_read(size - 4, 8);

	each_byte();
	print_all("after each byte");
	at_random(seed, count);
	read_all(now);
	print_all("after random writes");
	restore(initially);

	/* A reset, as far as there is one, and what is left then. */
	printf("reset: %s\n", ioctl(device, VFIO_DEVICE_RESET) ? strerror(errno) : "done");
	read_all(now);
	print_all("after the reset");
	if (watch) {
		read_hardware(now, 0, size);
		print_all("as the host sees it");
	}
	close(device);
	printf("done\n");
	return 0;
}
