// SPDX-License-Identifier: GPL-2.0
/*
 * Uses a device of vfio_test_variant.ko, and prints what it is answered:
 *
 *   variant_user calls DDDD:BB:DD.F [dwords]  all that driver and core do; BAR 0 is accessed in dwords only
 *   variant_user claimed DDDD:BB:DD.F          what it is like if BAR 0 could not be had
 *   variant_user match DDDD:BB:DD.F NAME...   asks the device whether these are names of it
 *   variant_user open DDDD:BB:DD.F [NAME...]  opens the device, and again by these names
 *   variant_user log                          what the driver has noted
 *
 * The output is the same on the C core and on ours.
 */
#include "../transcript.h"
#include "module/vfio_test_variant.h"

#include <setjmp.h>
#include <signal.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>

static struct vfio_user user;
static const char *bdf;
static sigjmp_buf fault;

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

static struct variant_call last;

/* One call; its arguments are what is given, then zeros. */
static int64_t call(enum variant_what what, void *data, size_t count, const uint64_t *in)
{
	memset(&last, 0, sizeof(last));
	last.what = what;
	last.data = (uintptr_t)data;
	memcpy(last.in, in, count * sizeof(*in));
	if (ioctl(user.device, VARIANT_CALL, &last))
		fail("VARIANT_CALL");
	return last.ret;
}

#define CALL(what, data, ...) ({ uint64_t in_[] = { __VA_ARGS__ }; call(what, data, ARRAY_SIZE(in_), in_); })

/* What it returned, and this many results. */
static void tell(unsigned int results, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	if (last.ret < 0)
		printf(" = %s", error_name(-last.ret));
	else
		printf(" = %lld", (long long)last.ret);
	for (unsigned int i = 0; i < results; i++)
		printf(" %llx", (long long)last.out[i]);
	printf("\n");
}

static void log_of_driver(void)
{
	static char text[1 << 20];
	int fd = open("/proc/vfio_test_variant", O_RDONLY);
	ssize_t len;

	while ((len = read(fd, text, sizeof(text) - 1)) > 0) {
		text[len] = 0;
		fputs(text, stdout);
	}
	close(fd);
}

static struct vfio_region_info *region(uint32_t index)
{
	static union {
		struct vfio_region_info info;
		uint8_t bytes[512];
	} u;

	memset(&u, 0, sizeof(u));
	u.info.argsz = sizeof(u);
	u.info.index = index;
	ASK(ioctl(user.device, VFIO_DEVICE_GET_REGION_INFO, &u.info), "region %u", index);
	return &u.info;
}

static void regions(unsigned int count)
{
	for (unsigned int i = 0; i < count + 1; i++) {
		struct vfio_region_info *info = region(i);

		printf("argsz %u flags %x size %llx offset %llx caps %u\n", info->argsz, info->flags,
		       (long long)info->size, (long long)info->offset, info->cap_offset);
		if (info->cap_offset)
			hex("capabilities", (uint8_t *)info + info->cap_offset, 128);
	}
}

static void set_command(uint16_t command)
{
	off_t config = (off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40;

	ASK(pwrite(user.device, &command, 2, config + PCI_COMMAND), "command %x", command);
}

/* Single accesses, tested for whether memory is enabled or not. Other than dwords only where there is no edu. */
static void accesses(bool dwords_only)
{
	for (unsigned int on = 0; on < 2; on++) {
		set_command(on ? PCI_COMMAND_MEMORY : 0);
		CALL(VARIANT_MEMORY_ENABLED, NULL, 0);
		tell(0, "memory enabled");
		for (uint64_t width = 1; width <= 8; width *= 2) {
			if (dwords_only && width != 4 && on)
				continue;
			/* What is off is not to be touched. */
			CALL(VARIANT_IOREAD, NULL, 0, 0, width, 1);
			tell(1, "ioread%llu tested", (long long)width * 8);
			CALL(VARIANT_IOWRITE, NULL, 0, 4, width, 1, 0xffffffff12345678);
			tell(0, "iowrite%llu tested", (long long)width * 8);
			if (!on)
				continue;
			CALL(VARIANT_IOREAD, NULL, 0, 4, width, 1);
			tell(1, "ioread%llu back", (long long)width * 8);
			CALL(VARIANT_IOWRITE, NULL, 0, 4, width, 0, 0);
			tell(0, "iowrite%llu", (long long)width * 8);
			CALL(VARIANT_IOREAD, NULL, 0, 4, width, 0);
			tell(1, "ioread%llu", (long long)width * 8);
		}
	}
	CALL(VARIANT_IOREAD, NULL, 5, 0, 4, 0);
	tell(1, "ioread32 of no BAR");
	CALL(VARIANT_MEMORY_ENABLED, NULL, 0);
	tell(0, "memory enabled");
}

/* Accesses of a buffer: widths, a hole somewhere, bad memory of the user. */
static void buffers(bool dwords_only)
{
	static const uint64_t holes[][2] = { { 0, 0 }, { 0, 8 }, { 4, 12 }, { 8, 0x100 }, { 0x18, 0x1c }, { 0x100, 0x200 } };
	static const uint64_t pieces[][2] = { { 0, 4 }, { 0, 0x20 }, { 4, 0x18 }, { 8, 8 }, { 0xc, 0x14 }, { 4, 0 } };
	static const uint64_t odd[][2] = { { 1, 1 }, { 2, 3 }, { 1, 0x11 }, { 7, 0x1a } };
	uint8_t data[64];

	for (unsigned int test = 0; test < 2; test++)
		for (unsigned int width = 1; width <= 8; width *= 2)
			for (unsigned int h = 0; h < ARRAY_SIZE(holes); h++)
				for (unsigned int p = 0; p < ARRAY_SIZE(pieces) + ARRAY_SIZE(odd); p++) {
					const uint64_t *piece = p < ARRAY_SIZE(pieces) ? pieces[p] :
						odd[p - ARRAY_SIZE(pieces)];

					if (dwords_only && (width != 4 || p >= ARRAY_SIZE(pieces)))
						continue;
					memset(data, 0x5a, sizeof(data));
					CALL(VARIANT_IO_RW, data, 0, piece[0], piece[1], holes[h][0], holes[h][1], 0,
					     width, test);
					tell(0, "read %llx+%llx but %llx-%llx by %u", (long long)piece[0],
					     (long long)piece[1], (long long)holes[h][0], (long long)holes[h][1],
					     width);
					hex("data", data, 36);
				}
	CALL(VARIANT_IO_RW, BAD, 0, 0, 8, 0, 0, 0, 4, 1);
	tell(0, "read to bad memory");
	CALL(VARIANT_IO_RW, BAD, 0, 0, 8, 0, 8, 0, 4, 1);
	tell(0, "read a hole to bad memory");
	CALL(VARIANT_IO_RW, BAD, 0, 4, 4, 0, 0, 1, 4, 1);
	tell(0, "write from bad memory");
	CALL(VARIANT_IO_RW, BAD, 0, 4, 4, 4, 8, 1, 4, 1);
	tell(0, "write a hole from bad memory");
	/* A register of edu keeps the complement. */
	memset(data, 0x11, sizeof(data));
	CALL(VARIANT_IO_RW, data, 0, 4, 4, 0, 0, 1, 4, 1);
	tell(0, "write");
	CALL(VARIANT_IOREAD, NULL, 0, 4, 4, 0);
	tell(1, "read back");
	memset(data, 0x22, sizeof(data));
	CALL(VARIANT_IO_RW, data, 0, 4, 4, 4, 8, 1, 4, 1);
	tell(0, "write into the hole");
	CALL(VARIANT_IOREAD, NULL, 0, 4, 4, 0);
	tell(1, "read back");
	set_command(0);
	CALL(VARIANT_IO_RW, data, 0, 0, 16, 0, 8, 0, 4, 1);
	tell(0, "read with memory off, a hole first");
	CALL(VARIANT_IO_RW, data, 0, 0, 8, 0, 8, 0, 4, 1);
	tell(0, "read a hole with memory off");
	CALL(VARIANT_IO_RW, data, 0, 0, 0, 0, 0, 0, 4, 1);
	tell(0, "read nothing with memory off");
	set_command(PCI_COMMAND_MEMORY);
}

static void ranges(void)
{
	static const uint64_t values[] = { 0, 1, 8, 0x1000, 0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000, ~0ULL };

	for (unsigned int a = 0; a < ARRAY_SIZE(values); a++)
		for (unsigned int b = 0; b < ARRAY_SIZE(values); b++)
			for (unsigned int c = 0; c < ARRAY_SIZE(values); c++)
				for (unsigned int d = 0; d < ARRAY_SIZE(values); d++) {
					CALL(VARIANT_FILL_PHYS, NULL, values[a], values[b], 1, values[c], values[d]);
					tell(2, "fill %x %x %x %x", a, b, c, d);
				}
	CALL(VARIANT_FILL_PHYS, NULL, 0x1000, 0x3000, 3, 0, 1, 0x1000, 0x2000, 0x2fff, 1);
	tell(6, "fill three");
	CALL(VARIANT_FILL_PHYS, NULL, 0x1000, 0x3000, 3, 0, 1, 0x1000, 0x2000, 0x2fff, 2);
	tell(6, "fill three, the last too long");
	CALL(VARIANT_FILL_PHYS, NULL, 0x1000, 0x3000, 0);
	tell(6, "fill none");
	for (unsigned int bar = 0; bar < 6; bar++)
		for (unsigned int len = 0; len < 0x3000; len += 0x1000) {
			CALL(VARIANT_DMABUF_PHYS, NULL, bar, 1, 0x1000, len);
			tell(8, "BAR %u %x", bar, len);
		}
	CALL(VARIANT_DMABUF_PHYS, NULL, 0, 0);
	tell(8, "no ranges");
	for (unsigned int buf = 0; buf < 12; buf += 3)
		for (unsigned int reg = 0; reg < 12; reg += 4)
			for (unsigned int len = 0; len < 8; len += 2) {
				CALL(VARIANT_INTERSECT, NULL, buf, 4, reg, len);
				tell(3, "%u+4 and %u+%u", buf, reg, len);
			}
}

/* Configuration space by the driver's region, and register by register. */
static void config(struct vfio_region_info info)
{
	uint8_t one[4096], other[4096];
	ssize_t len = pread(user.device, one, info.size, (off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40);

	printf("read %zd\n", len);
	len = pread(user.device, other, info.size, info.offset);
	printf("read by the driver %zd, %s\n", len, memcmp(one, other, info.size) ? "another" : "the same");
	for (uint64_t pos = 0; pos < 0x48; pos++)
		for (unsigned int count = 1; count <= 8; count++) {
			memset(other, 0x5a, 8);
			CALL(VARIANT_CONFIG, other, pos, count, 0);
			tell(1, "register %llx+%u", (long long)pos, count);
			hex("data", other, 8);
		}
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t pos = (uint64_t[]){ info.size - 2, info.size, -1ULL, 1ULL << 40 }[i];

		CALL(VARIANT_CONFIG, other, pos, 4, 0);
		tell(1, "register %llx", (long long)pos);
	}
	CALL(VARIANT_CONFIG, other, 4, 0, 0);
	tell(1, "nothing of a register");
	CALL(VARIANT_CONFIG, BAD, 4, 2, 0);
	tell(1, "register into bad memory");
	CALL(VARIANT_CONFIG, BAD, 4, 2, 1);
	tell(1, "register from bad memory");
	CALL(VARIANT_CONFIG, BAD, 0, 2, 1);
	tell(1, "constant register from bad memory");
	other[0] = 0x55;
	CALL(VARIANT_CONFIG, other, PCI_INTERRUPT_LINE, 1, 1);
	tell(1, "interrupt line");
	other[0] = 0;
	CALL(VARIANT_CONFIG, other, PCI_INTERRUPT_LINE, 1, 0);
	tell(1, "interrupt line is %x", other[0]);
}

/* Reads a word of a mapping; what is not there is a signal. */
static void touch(volatile uint32_t *page)
{
	if (sigsetjmp(fault, 1))
		printf("SIGBUS\n");
	else
		printf("mapped %08x\n", *page);
}

static volatile uint32_t *map(size_t size, uint64_t offset, int how)
{
	/* Where it can be mapped as a block. */
	uint8_t *room = mmap(NULL, size + (4 << 20), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *at;

	at = (uint8_t *)(((uintptr_t)room + (2 << 20) - 1) & ~((2UL << 20) - 1));
	errno = 0;
	at = mmap(at, size, PROT_READ | PROT_WRITE, how | MAP_FIXED, user.device, offset);
	say(at == MAP_FAILED ? -1 : 0, "map %zx at %llx", size, (long long)offset);
	return at == MAP_FAILED ? NULL : (void *)at;
}

static void window(struct vfio_region_info info)
{
	volatile uint32_t *at;
	uint8_t data[64] = {};

	for (unsigned int len = 4; len <= 64; len += 12) {
		ASK(pread(user.device, data, len, info.offset), "read %u", len);
		hex("data", data, len);
	}
	ASK(pread(user.device, data, 4, info.offset + info.size), "read behind");
	ASK(pread(user.device, data, 8, info.offset + info.size - 4), "read over the end");
	memset(data, 0x33, sizeof(data));
	ASK(pwrite(user.device, data, 4, info.offset + 4), "write");
	ASK(pread(user.device, data, 16, info.offset), "read back");
	hex("data", data, 16);
	/* Memory that is shared with another machine keeps it. */
	memset(data, 0, sizeof(data));
	ASK(pwrite(user.device, data, 4, info.offset + 4), "write zeros");
	map(info.size + PAGE, info.offset, MAP_SHARED);
	map(PAGE, info.offset, MAP_PRIVATE);
	at = map(info.size, info.offset, MAP_SHARED);
	if (!at)
		return;
	touch(at);
	touch(at + 1);
	touch(at + (info.size - PAGE) / 4);
	set_command(0);
	/* The driver's mapping is not the core's to revoke. */
	touch(at + (info.size / 2) / 4);
	ASK(pread(user.device, data, 4, info.offset), "read with memory off");
	munmap((void *)at, info.size);
	at = map(PAGE, info.offset, MAP_SHARED);
	touch(at);
	set_command(PCI_COMMAND_MEMORY);
	touch(at);
	munmap((void *)at, PAGE);
}

static void mappings(void)
{
	struct vfio_region_info info = *region(0);
	volatile uint32_t *at = map(PAGE, info.offset, MAP_SHARED);

	touch(at);
	/* A driver may decide otherwise than the core. */
	CALL(VARIANT_MAPPABLE, NULL, 0, 0);
	printf("flags %x\n", region(0)->flags);
	map(PAGE, info.offset, MAP_SHARED);
	touch(at);
	CALL(VARIANT_MAPPABLE, NULL, 0, 1);
	printf("flags %x\n", region(0)->flags);
	munmap((void *)at, PAGE);
}

static int trigger(uint32_t index, int fd)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} request = {
		.set = {
			.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = index,
			.count = 1,
		},
		.fd = fd,
	};

	return ioctl(user.device, VFIO_DEVICE_SET_IRQS, &request);
}

static uint64_t count_of(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

static void notices(void)
{
	int err = eventfd(0, EFD_NONBLOCK), req = eventfd(0, EFD_NONBLOCK);

	ASK(trigger(VFIO_PCI_ERR_IRQ_INDEX, err), "ERR");
	ASK(trigger(VFIO_PCI_REQ_IRQ_INDEX, req), "REQ");
	for (uint64_t state = 0; state < 4; state++) {
		CALL(VARIANT_ERROR, NULL, state);
		tell(0, "error %llu", (long long)state);
	}
	for (uint64_t count = 0; count < 3; count++)
		CALL(VARIANT_REQUEST, NULL, count);
	printf("ERR %llu REQ %llu\n", (long long)count_of(err), (long long)count_of(req));
	CALL(VARIANT_DUMP, NULL, 0);
	ASK(trigger(VFIO_PCI_ERR_IRQ_INDEX, -1), "no ERR");
	CALL(VARIANT_ERROR, NULL, 1);
	tell(0, "error without eventfd");
	CALL(VARIANT_REQUEST, NULL, 1);
	printf("ERR %llu REQ %llu\n", (long long)count_of(err), (long long)count_of(req));
	ASK(trigger(VFIO_PCI_REQ_IRQ_INDEX, -1), "no REQ");
	close(err);
	close(req);
}

/* Interrupts, sleep, eventfds that write: what there is of them in the fields. */
static void interrupts(void)
{
	static const uint32_t kinds[] = { VFIO_PCI_INTX_IRQ_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX };
	struct vfio_irq_set none = { .argsz = sizeof(none), .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER };
	int fd = eventfd(0, EFD_NONBLOCK);

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		ASK(trigger(kinds[i], fd), "interrupt %u", kinds[i]);
		CALL(VARIANT_DUMP, NULL, 0);
		set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
		CALL(VARIANT_DUMP, NULL, 0);
		set_command(PCI_COMMAND_MEMORY);
		none.index = kinds[i];
		ASK(ioctl(user.device, VFIO_DEVICE_SET_IRQS, &none), "no interrupt %u", kinds[i]);
	}
	close(fd);
}

/* What the next access finds depends on it. A device that does not fall asleep is waited for in vain. */
static void wait_suspended(void)
{
	char path[128], text[16] = {};

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status", bdf);
	for (int i = 0; i < 300 && strncmp(text, "suspended", 9); i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
		usleep(10000);
	}
}

static void features(void)
{
	struct {
		struct vfio_device_feature feature;
		uint8_t data[128];
	} f;
	struct vfio_device_feature_dma_buf *dma_buf = (void *)f.data;
	int fd = eventfd(0, EFD_NONBLOCK);

	for (uint32_t feature = 0; feature < 16; feature++) {
		memset(&f, 0, sizeof(f));
		f.feature.argsz = sizeof(f);
		f.feature.flags = feature | VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET;
		ASK(ioctl(user.device, VFIO_DEVICE_FEATURE, &f), "probe feature %u to get", feature);
		f.feature.flags = feature | VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET;
		ASK(ioctl(user.device, VFIO_DEVICE_FEATURE, &f), "probe feature %u to set", feature);
		memset(f.data, 0, sizeof(f.data));
		f.feature.flags = feature | VFIO_DEVICE_FEATURE_GET;
		ASK(FD(ioctl(user.device, VFIO_DEVICE_FEATURE, &f)), "get feature %u", feature);
		hex("data", f.data, 16);
	}
	/* Its BAR 0 ends a page earlier than it does. */
	for (unsigned int bar = 0; bar < 7; bar++)
		for (unsigned int page = 0; page < 3; page++) {
			uint64_t size = region(bar)->size;

			memset(&f, 0, sizeof(f));
			f.feature.argsz = sizeof(f);
			f.feature.flags = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET;
			dma_buf->region_index = bar;
			dma_buf->open_flags = O_CLOEXEC;
			dma_buf->nr_ranges = 1;
			dma_buf->dma_ranges[0].offset = page == 0 ? 0 : size - page * PAGE;
			dma_buf->dma_ranges[0].length = PAGE;
			ASK(FD(ioctl(user.device, VFIO_DEVICE_FEATURE, &f)), "dma-buf of BAR %u, %u", bar, page);
		}
	memset(&f, 0, sizeof(f));
	f.feature.argsz = sizeof(f.feature) + 8;
	f.feature.flags = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP | VFIO_DEVICE_FEATURE_SET;
	memcpy(f.data, &fd, sizeof(fd));
	ASK(ioctl(user.device, VFIO_DEVICE_FEATURE, &f), "low power");
	wait_suspended();
	/* Opening its file does not wake a device up. */
	printf("wakeups %llu\n", (long long)count_of(fd));
	CALL(VARIANT_DUMP, NULL, 0);
	close(fd);
}

static void ioeventfds(void)
{
	struct vfio_device_ioeventfd request = {
		.argsz = sizeof(request), .flags = VFIO_DEVICE_IOEVENTFD_32, .offset = 4, .data = 0x77,
	};
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	request.fd = fd;
	ASK(ioctl(user.device, VFIO_DEVICE_IOEVENTFD, &request), "eventfd that writes");
	CALL(VARIANT_DUMP, NULL, 0);
	if (write(fd, &one, sizeof(one)) != sizeof(one))
		fail("eventfd");
	usleep(100000);
	CALL(VARIANT_IOREAD, NULL, 0, 4, 4, 0);
	tell(1, "written");
	request.fd = -1;
	ASK(ioctl(user.device, VFIO_DEVICE_IOEVENTFD, &request), "no eventfd that writes");
	CALL(VARIANT_DUMP, NULL, 0);
	close(fd);
}

static void tokens(void)
{
	uint8_t uuid[16] = { 1, 2, 3 };

	CALL(VARIANT_MATCH_UUID, NULL, 0);
	tell(0, "no token");
	CALL(VARIANT_MATCH_UUID, uuid, 1);
	tell(0, "a token");
}

/* BAR 0 is somebody else's. */
static void claimed(void)
{
	struct vfio_device_ioeventfd request = {
		.argsz = sizeof(request), .flags = VFIO_DEVICE_IOEVENTFD_32, .fd = eventfd(0, EFD_NONBLOCK),
	};
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf dma_buf;
		struct vfio_region_dma_range range;
	} f = {
		.feature.argsz = sizeof(f),
		.feature.flags = VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET,
		.dma_buf.nr_ranges = 1,
		.range.length = PAGE,
	};
	uint32_t value = 0;

	set_command(PCI_COMMAND_MEMORY);
	printf("flags %x\n", region(0)->flags);
	ASK(pread(user.device, &value, 4, 8), "read");
	ASK(pread(user.device, &value, 4, 1UL << 36), "read behind");
	ASK(pwrite(user.device, &value, 4, 8), "write");
	map(PAGE, 0, MAP_SHARED);
	ASK(ioctl(user.device, VFIO_DEVICE_IOEVENTFD, &request), "eventfd that writes");
	request.fd = -1;
	ASK(ioctl(user.device, VFIO_DEVICE_IOEVENTFD, &request), "no eventfd that writes");
	ASK(FD(ioctl(user.device, VFIO_DEVICE_FEATURE, &f)), "dma-buf");
	ASK(pread(user.device, &value, 4, (uint64_t)VFIO_PCI_NUM_REGIONS << 40), "read the window");
	CALL(VARIANT_IOREAD, NULL, 0, 8, 4, 1);
	tell(1, "ioread32");
}

static void calls(bool dwords_only)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ASK(ioctl(user.device, VFIO_DEVICE_GET_INFO, &info), "info");
	printf("flags %x regions %u irqs %u\n", info.flags, info.num_regions, info.num_irqs);
	regions(info.num_regions);
	CALL(VARIANT_DUMP, NULL, 1);
	heading("accesses");
	accesses(dwords_only);
	buffers(dwords_only);
	/* Much the same for all devices. */
	if (dwords_only)
		ranges();
	heading("configuration space");
	config(*region(VFIO_PCI_NUM_REGIONS + 1));
	heading("the driver's regions");
	window(*region(VFIO_PCI_NUM_REGIONS));
	map(PAGE, (uint64_t)(VFIO_PCI_NUM_REGIONS + 1) << 40, MAP_SHARED);
	map(PAGE, (uint64_t)(VFIO_PCI_NUM_REGIONS + 2) << 40, MAP_SHARED);
	map(PAGE, (uint64_t)(VFIO_PCI_NUM_REGIONS + 3) << 40, MAP_SHARED);
	mappings();
	heading("notices");
	notices();
	heading("interrupts");
	interrupts();
	ioeventfds();
	tokens();
	ASK(ioctl(user.device, VFIO_DEVICE_RESET), "reset");
	CALL(VARIANT_DUMP, NULL, 1);
	heading("features");
	features();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGBUS, on_fault);
	if (!strcmp(what, "open")) {
		int container = open_container(), group = open_group(argv[2]);

		ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
		ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU);
		for (int i = 2; i < argc; i++)
			ASK(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[i])), "open %s", argv[i]);
		return 0;
	}
	if (!strcmp(what, "log")) {
		log_of_driver();
		return 0;
	}
	if (argc < 3)
		return 2;
	bdf = argv[2];
	user = open_all(bdf, VFIO_TYPE1_IOMMU);
	if (!strcmp(what, "calls")) {
		calls(argc > 3);
	} else if (!strcmp(what, "claimed")) {
		claimed();
	} else if (!strcmp(what, "match")) {
		for (int i = 3; i < argc; i++) {
			CALL(VARIANT_MATCH, argv[i], 0);
			tell(0, "match %s", argv[i]);
		}
	}
	close_all(&user);
	return 0;
}
