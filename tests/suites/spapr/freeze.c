// SPDX-License-Identifier: GPL-2.0
/*
 * Freezes the partitionable endpoint of a function as the host bridge does it when the function errs: sets the bits of
 * the endpoint in the tables of QEMU's PHB4, which the firmware reads. QEMU has no other way to have an error, and
 * stops nothing.
 *
 *   freeze BDF
 *
 * PHB4 specification (OpenPOWER): registers 0x220 (IODA table address), 0x228 (its data); tables PEST-A 7, PEST-B 8,
 * PEEV 20.
 */
#include "../vfio_user.h"

#include <endian.h>

#define TABLE_ADDRESS 0x220
#define TABLE_DATA 0x228
enum { PESTA = 7, PESTB = 8, PEEV = 20 };

static void read_all(void *to, size_t size, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	int fd;
	ssize_t len;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	fd = open(path, O_RDONLY);
	len = fd < 0 ? -1 : read(fd, to, size);
	if (len <= 0)
		fail("%s", path);
	close(fd);
}

static volatile uint64_t *registers;

static void set(unsigned int table, unsigned int index, uint64_t value)
{
	registers[TABLE_ADDRESS / 8] = htobe64((uint64_t)table << 48 | index);
	registers[TABLE_DATA / 8] = htobe64(value);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX], node[PATH_MAX], number[32] = {};
	uint64_t base;
	unsigned int pe;
	char *end;
	int mem;

	if (argc != 2)
		return 2;
	/* The host bridge's node of the device tree: .../pciex@600c3c0000000/pci@0/... */
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/of_node", argv[1]);
	if (!realpath(path, node))
		fail("%s", path);
	end = strstr(node, "/pciex@");
	if (!end)
		fail("%s has no host bridge", node);
	end = strchr(end + 1, '/');
	if (end)
		*end = 0;
	read_all(&base, sizeof(base), "%s/reg", node);
	base = be64toh(base);
	read_all(number, sizeof(number) - 1, "/sys/bus/pci/devices/%s/eeh_pe_config_addr", argv[1]);
	pe = strtoul(number, NULL, 16);
	mem = open("/dev/mem", O_RDWR | O_SYNC);
	if (mem < 0)
		fail("/dev/mem");
	registers = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, mem, base);
	if (registers == MAP_FAILED)
		fail("the host bridge at %#llx", (unsigned long long)base);
	set(PEEV, pe / 64, 1ULL << (63 - pe % 64));
	set(PESTA, pe, 1ULL << 63);
	set(PESTB, pe, 1ULL << 63);
	return 0;
}
