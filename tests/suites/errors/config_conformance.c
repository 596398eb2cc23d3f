// SPDX-License-Identifier: GPL-2.0
/*
 * Writes to every byte of a device's configuration space through VFIO, reads
 * all of it back after each write, and prints what came of it, so that two
 * implementations can be compared by comparing the output:
 *
 *   config_conformance 0000:00:04.0 >out
 *
 * Each byte is written with 0x00, 0xff and each single bit, and then with what
 * it was before; after that come writes of random position, size and value,
 * always the same ones (-s SEED for others, -n COUNT for more). A write is
 * printed if it failed, or if any byte reads differently than before it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#define MAX_SIZE 4096

static int device;
static off_t base;
static size_t size;
static uint8_t now[MAX_SIZE];

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

/* Reads all of configuration space; bytes that cannot be read are told. */
static void read_all(uint8_t *to)
{
	size_t pos;

	if (pread(device, to, size, base) == (ssize_t)size)
		return;
	for (pos = 0; pos < size; pos++) {
		if (pread(device, to + pos, 1, base + pos) != 1) {
			printf("read %03zx: %s\n", pos, strerror(errno));
			to[pos] = 0xee;
		}
	}
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

/* Writes, and prints what changed. */
static void write_one(size_t pos, const uint8_t *value, size_t len)
{
	uint8_t after[MAX_SIZE];
	int told = 0;
	ssize_t ret;
	size_t i;

	errno = 0;
	ret = pwrite(device, value, len, base + pos);
	read_all(after);
	if (ret == (ssize_t)len && !memcmp(now, after, size))
		return;

	printf("write %03zx", pos);
	for (i = 0; i < len; i++)
		printf("%c%02x", i ? '.' : ' ', value[i]);
	if (ret != (ssize_t)len)
		printf(" = %zd %s", ret, ret < 0 ? strerror(errno) : "");
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

static void each_byte(void)
{
	size_t pos;
	int bit;

	for (pos = 0; pos < size; pos++) {
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
	}
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
		pos = next_random(&seed) % (next_random(&seed) % 2 ? 0x100 : size);
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
	unsigned int count = 2000;
	uint32_t seed = 2026;
	size_t pos, len;
	int opt;

	while ((opt = getopt(argc, argv, "s:n:")) != -1) {
		if (opt == 's')
			seed = strtoul(optarg, NULL, 0) | 1;
		else if (opt == 'n')
			count = strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: %s [-s SEED] [-n COUNT] DDDD:BB:DD.F\n", argv[0]);
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

	read_all(now);
	print_all("initially");
	for (len = 1; len <= 8; len++)
		for (pos = 0; pos < 0x100; pos += 3)
			try_read(pos, len);
	try_read(size - 1, 2);
	try_read(size, 1);
	try_read(size - 4, 8);

	each_byte();
	print_all("after each byte");
	at_random(seed, count);
	print_all("after random writes");

	/* A reset, as far as there is one, and what is left then. */
	errno = 0;
	printf("reset = %d", ioctl(device, VFIO_DEVICE_RESET));
	printf(" %s\n", errno ? strerror(errno) : "");
	read_all(now);
	print_all("after the reset");
	close(device);
	printf("done\n");
	return 0;
}
