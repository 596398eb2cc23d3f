/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_transcript: configuration space. */
#ifndef TRANSCRIPT_CONFIG_H
#define TRANSCRIPT_CONFIG_H

#include <linux/pci_regs.h>

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

#endif /* TRANSCRIPT_CONFIG_H */
