/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_transcript: an open device: what it tells, features, regions, power, reset, ioeventfds. */
#ifndef TRANSCRIPT_DEVICE_H
#define TRANSCRIPT_DEVICE_H

#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <linux/pci_regs.h>

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

#endif /* TRANSCRIPT_DEVICE_H */
