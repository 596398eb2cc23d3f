// SPDX-License-Identifier: GPL-2.0
/*
 * DMA windows of POWER: what each call answers, and what edu reads and writes through them.
 *
 *   spapr BDF v1|v2|eeh      answers that have to be the same as those of the C modules
 *   spapr BDF dma64          DMA through a second window; the same
 *   spapr BDF own            what C answers wrongly, or must not be asked: fails if one answer is not right
 *   spapr BDF groups BDF     one container with two groups: the same
 *   spapr BDF random STEPS   registers, maps, unmaps at random against a model
 */
#include "../transcript.h"

#include <endian.h>
#include <sys/resource.h>

#define P 0x10000UL

static struct vfio_user u;
static uint8_t *buffer;

static long locked_kib(void)
{
	char line[256];
	long kib = -1;
	FILE *status = fopen("/proc/self/status", "r");

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "VmLck: %ld", &kib);
	if (status)
		fclose(status);
	return kib;
}

static int map_raw(uint32_t argsz, uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = argsz, .flags = flags, .vaddr = vaddr, .iova = iova, .size = size,
	};

	return ioctl(u.container, VFIO_IOMMU_MAP_DMA, &map);
}

static int map(uint32_t flags, const void *vaddr, uint64_t iova, uint64_t size)
{
	return map_raw(32, flags, (uint64_t)vaddr, iova, size);
}

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static int unmap_raw(uint32_t argsz, uint32_t flags, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = argsz, .flags = flags, .iova = iova, .size = size,
	};

	return ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

static int unmap(uint64_t iova, uint64_t size)
{
	return unmap_raw(24, 0, iova, size);
}

static int memory_op(unsigned long op, uint32_t argsz, uint32_t flags, uint64_t vaddr, uint64_t size)
{
	struct vfio_iommu_spapr_register_memory param = {
		.argsz = argsz, .flags = flags, .vaddr = vaddr, .size = size,
	};

	return ioctl(u.container, op, &param);
}

static int reg(const void *vaddr, uint64_t size)
{
	return memory_op(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 24, 0, (uint64_t)vaddr, size);
}

static int unreg(const void *vaddr, uint64_t size)
{
	return memory_op(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, 24, 0, (uint64_t)vaddr, size);
}

static uint64_t start;

static int create_raw(uint32_t argsz, uint32_t flags, uint32_t shift, uint64_t size, uint32_t levels)
{
	struct vfio_iommu_spapr_tce_create create = {
		.argsz = argsz, .flags = flags, .page_shift = shift, .window_size = size, .levels = levels,
	};
	int ret = ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_CREATE, &create);

	start = ret ? 0 : create.start_addr;
	return ret;
}

static int create(uint32_t shift, uint64_t size, uint32_t levels)
{
	return create_raw(sizeof(struct vfio_iommu_spapr_tce_create), 0, shift, size, levels);
}

static int remove_raw(uint32_t argsz, uint32_t flags, uint64_t at)
{
	struct vfio_iommu_spapr_tce_remove remove = { .argsz = argsz, .flags = flags, .start_addr = at };

	return ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_REMOVE, &remove);
}

static int remove_window(uint64_t at)
{
	return remove_raw(sizeof(struct vfio_iommu_spapr_tce_remove), 0, at);
}

static void info(uint32_t argsz)
{
	struct vfio_iommu_spapr_tce_info info;
	int ret;

	memset(&info, 0x5a, sizeof(info));
	info.argsz = argsz;
	ret = ASK(ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, &info), "GET_INFO argsz %u", argsz);
	if (!ret)
		hex("info", &info, sizeof(info));
}

/* --- edu: its registers have the byte order of the machine that QEMU thinks of, which is big-endian. --- */

static off_t bar;
static bool swap;

static void edu_write(unsigned int offset, uint64_t value)
{
	value = swap ? htobe64(value) : htole64(value);
	if (pwrite(u.device, &value, 8, bar + offset) != 8)
		fail("edu register %x", offset);
}

static uint64_t edu_read(unsigned int offset)
{
	uint64_t value;

	if (pread(u.device, &value, 8, bar + offset) != 8)
		fail("edu register %x", offset);
	return swap ? be64toh(value) : le64toh(value);
}

static void edu_open(void)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint32_t id;
	uint16_t command;

	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region) ||
	    ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &config))
		fail("regions");
	bar = region.offset;
	if (pread(u.device, &command, 2, config.offset + 4) != 2)
		fail("command");
	command |= htole16(6);
	if (pwrite(u.device, &command, 2, config.offset + 4) != 2)
		fail("command");
	if (pread(u.device, &id, 4, bar) != 4)
		fail("identification");
	swap = le32toh(id) != 0x010000ed;
	printf("edu %08x\n", swap ? be32toh(id) : le32toh(id));
}

static void edu_dma(uint64_t from, uint64_t to, uint64_t count, bool to_memory)
{
	edu_write(0x80, from);
	edu_write(0x88, to);
	edu_write(0x90, count);
	edu_write(0x98, to_memory ? 3 : 1);
	for (int i = 0; i < 2000 && (edu_read(0x98) & 1); i++)
		usleep(10000);
	if (edu_read(0x98) & 1)
		printf("edu is still busy\n");
}

#define EDU_BUFFER 0x40000

/* Memory to edu at one address, and from there to another: what arrived. */
static bool dma_works(uint64_t iova, uint8_t *vaddr, uint64_t to_iova, uint8_t *to)
{
	static int number;
	char text[64] = {};

	/* Never the same, as edu keeps what it has read before. */
	snprintf(text, sizeof(text), "%d: through %#llx and %#llx", number++, (unsigned long long)iova,
		 (unsigned long long)to_iova);
	memset(vaddr, 0, sizeof(text));
	memcpy(vaddr, text, sizeof(text));
	memset(to, 0x11, sizeof(text));
	edu_dma(iova, EDU_BUFFER, sizeof(text), false);
	edu_dma(EDU_BUFFER, to_iova, sizeof(text), true);
	return !memcmp(to, text, sizeof(text));
}

static void dma(uint64_t iova, uint8_t *vaddr, uint64_t to_iova, uint8_t *to)
{
	printf("DMA %#llx -> %#llx: %s\n", (unsigned long long)iova, (unsigned long long)to_iova,
	       dma_works(iova, vaddr, to_iova, to) ? "arrived" : "did not arrive");
}

/* --- version 1 --- */

static void ask_v1(void)
{
	uint8_t *readable = memory(P);
	long before = locked_kib();

	heading("extensions");
	for (unsigned long e = 0; e < 12; e++)
		ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, e), "CHECK_EXTENSION %lu", e);
	heading("before it is enabled");
	for (uint32_t argsz = 0; argsz <= 40; argsz += 8)
		info(argsz);
	ASK(ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_GET_INFO, BAD), "GET_INFO bad");
	TWICE(map(RW, buffer, 0, P), "MAP");
	TWICE(unmap(0, P), "UNMAP");
	ASK(ioctl(u.container, VFIO_IOMMU_DISABLE), "DISABLE");
	heading("not in version 1");
	ASK(reg(buffer, P), "REGISTER");
	ASK(unreg(buffer, P), "UNREGISTER");
	ASK(create(16, 1 << 28, 1), "CREATE");
	ASK(remove_window(0), "REMOVE");
	ASK(ioctl(u.container, VFIO_IOMMU_DIRTY_PAGES + 50), "nothing");
	heading("enabled");
	ASK(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	ASK(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	heading("arguments");
	TWICE(map_raw(31, RW, (uint64_t)buffer, 0, P), "MAP argsz");
	TWICE(map(0, buffer, 0, P), "MAP without flags");
	TWICE(map(4, buffer, 0, P), "MAP flags");
	TWICE(map(RW | 1U << 31, buffer, 0, P), "MAP flags");
	TWICE(map(RW, buffer + 1, 0, P), "MAP vaddr");
	TWICE(map(RW, buffer, 0, P + 1), "MAP size");
	TWICE(map(RW, buffer, 1ULL << 40, P), "MAP nowhere");
	TWICE(map(RW, buffer, ~0ULL << 16, P), "MAP at the end");
	TWICE(map(RW, (void *)P, 0, P), "MAP no memory");
	ASK(map(RW, buffer, 0, 0), "MAP nothing");
	ASK(ioctl(u.container, VFIO_IOMMU_MAP_DMA, BAD), "MAP bad");
	TWICE(unmap_raw(23, 0, 0, P), "UNMAP argsz");
	TWICE(unmap_raw(24, 1, 0, P), "UNMAP flags");
	TWICE(unmap(0, P + 1), "UNMAP size");
	TWICE(unmap(1ULL << 40, P), "UNMAP nowhere");
	ASK(unmap(0, 0), "UNMAP nothing");
	ASK(ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, BAD), "UNMAP bad");
	heading("mappings");
	ASK(map(RW, buffer, 0, 4 * P), "MAP");
	ASK(map(RW, buffer, 0, 4 * P), "MAP again");
	ASK(map(VFIO_DMA_MAP_FLAG_READ, readable, 0x400000, P), "MAP to read");
	ASK(map(VFIO_DMA_MAP_FLAG_WRITE, buffer + P, 0x500000, P), "MAP to write");
	ASK(map(RW, buffer + 0x3000, 0x601000, 0x1000), "MAP a part of a page");
	edu_open();
	dma(0, buffer, 2 * P, buffer + 2 * P);
	dma(0x400000, readable, 0x500000, buffer + P);
	dma(0x400000, readable, 0x601000, buffer + 0x3000);
	ASK(unmap(2 * P, P), "UNMAP");
	dma(0, buffer, 2 * P, buffer + 2 * P);
	dma(0, buffer, 3 * P, buffer + 3 * P);
	ASK(unmap(0, 1 << 28), "UNMAP all");
	dma(0x400000, readable, 0x500000, buffer + P);
	printf("locked: %ld KiB more\n", locked_kib() - before);
	ASK(ioctl(u.container, VFIO_IOMMU_DISABLE), "DISABLE");
	printf("locked, with the table: %ld KiB more\n", locked_kib() - before);
	ASK(map(RW, buffer, 0, P), "MAP disabled");
	ASK(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE again");
	ASK(map(RW, buffer, 0, P), "MAP");
}

static void ask_limit(void)
{
	struct rlimit limit = { .rlim_cur = 1 << 20, .rlim_max = 1 << 20 };

	heading("limit of locked memory");
	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		fail("setrlimit");
	drop_capabilities();
	TWICE(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	printf("locked: %ld KiB\n", locked_kib());
}

/* --- version 2 --- */

static void ask_v2(void)
{
	uint8_t *other = memory(P);
	uint8_t *hole = memory(4 * P);
	long before = locked_kib();

	heading("before anything is registered");
	for (uint32_t argsz = 0; argsz <= 40; argsz += 8)
		info(argsz);
	TWICE(map(RW, buffer, 0, P), "MAP");
	TWICE(unmap(0, P), "UNMAP");
	TWICE(unreg(buffer, P), "UNREGISTER");
	heading("not in version 2");
	ASK(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	ASK(ioctl(u.container, VFIO_IOMMU_DISABLE), "DISABLE");
	heading("memory");
	TWICE(memory_op(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 23, 0, (uint64_t)buffer, P), "REGISTER argsz");
	TWICE(memory_op(VFIO_IOMMU_SPAPR_REGISTER_MEMORY, 24, 1, (uint64_t)buffer, P), "REGISTER flags");
	TWICE(reg(buffer + 0x1000, P), "REGISTER vaddr");
	TWICE(reg(buffer, P + 0x1000), "REGISTER size");
	TWICE(reg((void *)(~0ULL << 16), 2 * P), "REGISTER wraps");
	ASK(ioctl(u.container, VFIO_IOMMU_SPAPR_REGISTER_MEMORY, BAD), "REGISTER bad");
	ASK(reg(buffer, 16 * P), "REGISTER");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	TWICE(reg(buffer, 16 * P), "REGISTER again");
	TWICE(reg(buffer, 8 * P), "REGISTER a part");
	TWICE(reg(buffer + 15 * P, P), "REGISTER the end");
	TWICE(unreg(buffer, P), "UNREGISTER a part");
	TWICE(unreg(other, P), "UNREGISTER other");
	TWICE(memory_op(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, 23, 0, (uint64_t)buffer, P), "UNREGISTER argsz");
	TWICE(memory_op(VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY, 24, 1, (uint64_t)buffer, P), "UNREGISTER flags");
	ASK(reg(other, P), "REGISTER other");
	ASK(unreg(other, P), "UNREGISTER other");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	if (munmap(hole, P))
		fail("munmap");
	TWICE(reg(hole, P), "REGISTER what is not there");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	heading("the window that is there");
	TWICE(map(0, buffer, 0, P), "MAP without flags");
	TWICE(map(4, buffer, 0, P), "MAP flags");
	TWICE(map(RW, buffer + 1, 0, P), "MAP vaddr");
	TWICE(map(RW, buffer, 0, P + 1), "MAP size");
	TWICE(map(RW, other, 0, P), "MAP what is not registered");
	TWICE(map(RW, buffer + 15 * P, 0, 2 * P), "MAP more than is registered");
	TWICE(map(RW, buffer, 1ULL << 40, P), "MAP nowhere");
	ASK(map(RW, buffer, 0, 4 * P), "MAP");
	printf("locked, with the table: %ld KiB more\n", locked_kib() - before);
	edu_open();
	dma(0, buffer, P, buffer + P);
	ASK(map(RW, buffer + 4 * P, 0, P), "MAP over it");
	dma(0, buffer + 4 * P, P, buffer + P);
	ASK(map(RW, buffer + 0x5000, 0x800000, 0x1000), "MAP a part of a page");
	dma(0x800000, buffer + 0x5000, P, buffer + P);
	ASK(unmap(0, 1 << 28), "UNMAP");
	dma(0, buffer, P, buffer + P);
	heading("windows");
	TWICE(create_raw(39, 0, 16, 1 << 28, 1), "CREATE argsz");
	TWICE(create_raw(40, 1, 16, 1 << 28, 1), "CREATE flags");
	TWICE(create(13, 1 << 28, 1), "CREATE page");
	TWICE(create(16, 3 << 28, 1), "CREATE size");
	TWICE(create(16, 0, 1), "CREATE no size");
	TWICE(create(16, 1 << 28, 0), "CREATE no level");
	TWICE(create(16, 1 << 28, 6), "CREATE levels");
	ASK(ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_CREATE, BAD), "CREATE bad");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	ASK(create(16, 1 << 30, 1), "CREATE");
	printf("start %#llx\n", (unsigned long long)start);
	TWICE(create(16, 1 << 30, 1), "CREATE one too many");
	TWICE(remove_raw(15, 0, start), "REMOVE argsz");
	TWICE(remove_raw(16, 1, 0), "REMOVE flags");
	TWICE(remove_window(1ULL << 40), "REMOVE nowhere");
	ASK(ioctl(u.container, VFIO_IOMMU_SPAPR_TCE_REMOVE, BAD), "REMOVE bad");
	ASK(remove_window(0), "REMOVE");
	TWICE(remove_window(0), "REMOVE again");
	TWICE(map(RW, buffer, 0, P), "MAP there");
	heading("a window of pages of 64 KiB");
	ASK(create(16, 1 << 28, 1), "CREATE");
	printf("start %#llx\n", (unsigned long long)start);
	printf("locked: %ld KiB more\n", locked_kib() - before);
	TWICE(map(RW, buffer + 0x1000, 0, P), "MAP vaddr");
	TWICE(map(RW, buffer, 0, 0x1000), "MAP size");
	ASK(map(RW, buffer, 0, 16 * P), "MAP");
	dma(P, buffer + P, 5 * P, buffer + 5 * P);
	ASK(unmap(0, P), "UNMAP");
	dma(0, buffer, 5 * P, buffer + 5 * P);
	heading("two levels");
	ASK(remove_window(0), "REMOVE");
	ASK(create(16, 1ULL << 34, 2), "CREATE");
	printf("start %#llx\n", (unsigned long long)start);
	ASK(map(RW, buffer, 0, 8 * P), "MAP");
	ASK(map(RW, buffer + 8 * P, 0xfff0000, P), "MAP");
	ASK(map(RW, buffer + 9 * P, 0x3ffff0000, P), "MAP the last page");
	dma(0, buffer, 0xfff0000, buffer + 8 * P);
	ASK(unmap(0, 1ULL << 34), "UNMAP all");
	dma(0, buffer, 0xfff0000, buffer + 8 * P);
	ASK(remove_window(0), "REMOVE");
	ASK(unreg(buffer, 16 * P), "UNREGISTER");
	printf("locked: %ld KiB more\n", locked_kib() - before);
	heading("another process");
	fflush(stdout);
	if (fork() == 0) {
		ASK(reg(buffer, P), "REGISTER");
		ASK(map(RW, buffer, 0, P), "MAP");
		ASK(unmap(0, P), "UNMAP");
		ASK(create(16, 1 << 28, 1), "CREATE");
		ASK(remove_window(0), "REMOVE");
		info(32);
		ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, 7), "CHECK_EXTENSION");
		ASK(ioctl(u.container, 50), "nothing");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	heading("left as it is");
	ASK(reg(buffer, 16 * P), "REGISTER");
	ASK(create(16, 1 << 28, 1), "CREATE");
	ASK(map(RW, buffer, start, 16 * P), "MAP");
}

static void ask_dma64(void)
{
	heading("a second window");
	ASK(reg(buffer, 16 * P), "REGISTER");
	ASK(create(16, 1ULL << 30, 1), "CREATE");
	printf("start %#llx\n", (unsigned long long)start);
	ASK(map(RW, buffer, start, 8 * P), "MAP");
	ASK(map(RW, buffer + 8 * P, 0, 8 * P), "MAP");
	edu_open();
	dma(start, buffer, start + P, buffer + P);
	dma(start, buffer, 0, buffer + 8 * P);
	ASK(unmap(start, P), "UNMAP");
	dma(start, buffer, 0, buffer + 8 * P);
	dma(start + P, buffer + P, 0, buffer + 8 * P);
	ASK(remove_window(start), "REMOVE");
	dma(P, buffer + 9 * P, 0, buffer + 8 * P);
}

static int eeh(uint32_t argsz, uint32_t flags, uint32_t op, uint32_t type, uint32_t func)
{
	struct vfio_eeh_pe_op param = { .argsz = argsz, .flags = flags, .op = op };

	param.err.type = type;
	param.err.func = func;
	return ioctl(u.container, VFIO_EEH_PE_OP, &param);
}

static void ask_eeh(void)
{
	heading("arguments");
	TWICE(eeh(11, 0, VFIO_EEH_PE_GET_STATE, 0, 0), "argsz");
	TWICE(eeh(40, 1, VFIO_EEH_PE_GET_STATE, 0, 0), "flags");
	for (uint32_t op = 10; op < 14; op++)
		ASK(eeh(40, 0, op, 0, 0), "operation %u", op);
	ASK(ioctl(u.container, VFIO_EEH_PE_OP, BAD), "bad");
	TWICE(eeh(39, 0, VFIO_EEH_PE_INJECT_ERR, 0, 0), "INJECT_ERR argsz");
	TWICE(eeh(40, 0, VFIO_EEH_PE_INJECT_ERR, 0, 1000), "INJECT_ERR function");
	TWICE(eeh(40, 0, VFIO_EEH_PE_INJECT_ERR, 9, 0), "INJECT_ERR type");
	heading("operations");
	ASK(eeh(12, 0, VFIO_EEH_PE_DISABLE, 0, 0), "DISABLE");
	ASK(eeh(12, 0, VFIO_EEH_PE_ENABLE, 0, 0), "ENABLE");
	ASK(eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0), "GET_STATE");
	ASK(eeh(12, 0, VFIO_EEH_PE_UNFREEZE_IO, 0, 0), "UNFREEZE_IO");
	ASK(eeh(12, 0, VFIO_EEH_PE_UNFREEZE_DMA, 0, 0), "UNFREEZE_DMA");
	ASK(eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0), "GET_STATE");
	ASK(eeh(12, 0, VFIO_EEH_PE_RESET_HOT, 0, 0), "RESET_HOT");
	ASK(eeh(12, 0, VFIO_EEH_PE_RESET_DEACTIVATE, 0, 0), "RESET_DEACTIVATE");
	ASK(eeh(12, 0, VFIO_EEH_PE_CONFIGURE, 0, 0), "CONFIGURE");
	ASK(eeh(12, 0, VFIO_EEH_PE_GET_STATE, 0, 0), "GET_STATE");
}

/* --- what C does not do --- */

static int failures;

static void expect(bool ok, const char *format, ...)
{
	va_list args;

	printf("%s - ", ok ? "right" : "WRONG");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failures += !ok;
}

#define REFUSED(call, error, ...) ({ \
	errno = 0; \
	int ret_ = (call); \
	expect(ret_ == -1 && errno == (error), __VA_ARGS__); \
})
#define WORKS(call, ...) expect((call) == 0, __VA_ARGS__)

static void own_v1(void)
{
	uint8_t *constant = mmap(NULL, P, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t end = 1ULL << 31;
	long before = locked_kib();

	WORKS(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	REFUSED(map(RW, buffer, end - P, 2 * P), EINVAL, "a mapping that begins in the window and ends beyond");
	REFUSED(map(RW, buffer, 0, ~0ULL << 16), EINVAL, "a mapping of nearly everything");
	REFUSED(map(RW, buffer, 0x123, P), EINVAL, "an address that is no multiple of the page");
	REFUSED(unmap(end - P, 2 * P), EINVAL, "an unmap that ends beyond the window");
	WORKS(map(RW, buffer, end - P, P), "the last page of the window");
	WORKS(map(VFIO_DMA_MAP_FLAG_READ, constant, 0, P), "memory that is read-only for a device that reads");
	REFUSED(map(RW, constant, 0x100000, P), EFAULT, "memory that is read-only for a device that writes");
	REFUSED(map(RW, buffer + 62 * P, 0x200000, 4 * P), EFAULT, "memory that ends half-way");
	WORKS(map(RW, buffer, 0, 8 * P), "MAP");
	WORKS(map(RW, buffer, 0x300000, 64 * P), "MAP of many pages");
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "DMA");
	expect(!dma_works(0, buffer, 0x200000, buffer + 62 * P), "nothing is left of what failed half-way");
	WORKS(ioctl(u.container, VFIO_IOMMU_DISABLE), "DISABLE");
	expect(!dma_works(0, buffer, P, buffer + P), "what is no longer accounted is no longer mapped");
	WORKS(ioctl(u.container, VFIO_IOMMU_ENABLE), "ENABLE");
	printf("locked: %ld KiB more\n", locked_kib() - before);
}

static void own_v2(void)
{
	uint8_t *hole = memory(8 * P);
	long before;

	WORKS(reg(buffer, 16 * P), "REGISTER");
	WORKS(remove_window(0), "REMOVE of the window that was never used");
	before = locked_kib();
	REFUSED(create(140, 1 << 28, 1), EINVAL, "a page of 2^140 bytes");
	REFUSED(create(16, 1 << 12, 1), EINVAL, "a window that is less than a page");
	REFUSED(create(16, 1ULL << 44, 1), ENOMEM, "a table that is too large to be had");
	REFUSED(create(16, 1ULL << 63, 5), EINVAL, "a window of half of all addresses");
	expect(locked_kib() == before, "what failed is not accounted");
	WORKS(create(16, 1 << 28, 1), "CREATE");
	/* No smaller table than a page: it has 8192 entries. */
	REFUSED(map(RW, buffer, (8192 - 1) * P, 2 * P), EINVAL, "a mapping that ends beyond the window");
	WORKS(map(RW, buffer, 0, 16 * P), "MAP");
	REFUSED(unreg(buffer, 16 * P), EBUSY, "memory that is mapped stays registered");
	REFUSED(reg(buffer, 16 * P), EBUSY, "and known");
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "DMA");
	WORKS(unmap(0, 16 * P), "UNMAP");
	WORKS(unreg(buffer, 16 * P), "UNREGISTER");
	REFUSED(reg(buffer, 0), EINVAL, "no memory");
	REFUSED(reg((void *)(1ULL << 60), P), EFAULT, "no memory of user space");
	if (munmap(hole + 4 * P, P))
		fail("munmap");
	REFUSED(reg(hole, 8 * P), EFAULT, "memory with a hole");
	WORKS(reg(hole, 4 * P), "REGISTER");
	WORKS(map(RW, hole, 0, 4 * P), "MAP");
	REFUSED(map(RW, hole + 2 * P, P, 4 * P), EINVAL, "a mapping of more than is registered");
	expect(!dma_works(0, hole, P, hole + 2 * P), "nothing is left of what failed half-way");
}

/* --- two groups --- */

static void ask_groups(const char *other)
{
	int group = open_group(other), device;

	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container), "SET_CONTAINER");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, other);
	ASK(FD(dup(device)), "GET_DEVICE_FD");
	ASK(reg(buffer, 16 * P), "REGISTER");
	ASK(create(16, 1 << 30, 1), "CREATE");
	ASK(map(RW, buffer, 0, 4 * P), "MAP");
	edu_open();
	dma(0, buffer, P, buffer + P);
	close(device);
	close(group);
	info(32);
	ASK(remove_window(start), "REMOVE");
	ASK(remove_window(0), "REMOVE");
	ASK(unreg(buffer, 16 * P), "UNREGISTER");
}

static void own_groups(const char *other)
{
	int group = open_group(other);

	WORKS(ioctl(group, VFIO_GROUP_SET_CONTAINER, &u.container), "SET_CONTAINER");
	WORKS(reg(buffer, 16 * P), "REGISTER");
	WORKS(map(RW, buffer, 0, 4 * P), "MAP");
	close(group);
	edu_open();
	expect(dma_works(0, buffer, P, buffer + P), "what is mapped for a group stays when another leaves");
}

/* --- random steps --- */

#define REGIONS 8
#define SLOTS 64

static void random_steps(unsigned int steps)
{
	static uint8_t owner[SLOTS];
	static bool registered[REGIONS];
	unsigned int done[6] = {};

	if (reg(buffer, P) || unreg(buffer, P) || remove_window(0) || create(16, 1ULL << 32, 1 + rnd(3)))
		fail("a window");
	for (unsigned int step = 0; step < steps && !failures; step++) {
		unsigned int region = rnd(REGIONS), slot = rnd(SLOTS), count = 1 + rnd(4), what = rnd(4);
		uint8_t *at = buffer + region * 4 * P;
		/* Apart, so that there is more than one part of the lowest level. */
		uint64_t iova = start + (uint64_t)slot * 1024 * P;
		bool mapped = false;
		int ret, expected = 0;

		for (int i = 0; i < SLOTS; i++)
			mapped |= owner[i] == region + 1;
		switch (what) {
		case 0:
			expected = registered[region] ? EBUSY : 0;
			ret = reg(at, 4 * P);
			registered[region] = true;
			break;
		case 1:
			expected = !registered[region] ? ENOENT : mapped ? EBUSY : 0;
			ret = unreg(at, 4 * P);
			registered[region] &= mapped;
			break;
		case 2:
			expected = registered[region] ? 0 : EINVAL;
			ret = map(RW, at, iova, count * P);
			/* All of what was there is gone, or none was touched: the first page decides. */
			if (!expected) {
				ret |= unmap(iova + P, 3 * P);
				owner[slot] = region + 1;
			}
			break;
		default:
			ret = unmap(iova, count * P);
			owner[slot] = 0;
		}
		if (ret != (expected ? -1 : 0) || (ret && errno != expected))
			expect(false, "step %u: %u of region %u, slot %u: %d %s, not %s", step, what, region, slot, ret,
			       error_name(errno), error_name(expected));
		done[what] += !expected;
	}
	expect(!failures, "%u registered, %u unregistered, %u mapped, %u unmapped", done[0], done[1], done[2], done[3]);
}

int main(int argc, char **argv)
{
	const char *bdf = argv[1], *what = argc > 2 ? argv[2] : "";
	bool v1 = !strcmp(what, "v1") || !strcmp(what, "own1") || !strcmp(what, "limit");

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (sysconf(_SC_PAGESIZE) != P)
		fail("pages of %ld bytes", sysconf(_SC_PAGESIZE));
	buffer = memory(64 * P);
	memset(buffer, 0, 64 * P);
	u = open_all(bdf, v1 ? VFIO_SPAPR_TCE_IOMMU : VFIO_SPAPR_TCE_v2_IOMMU);
	if (!strcmp(what, "v1"))
		ask_v1();
	else if (!strcmp(what, "limit"))
		ask_limit();
	else if (!strcmp(what, "v2"))
		ask_v2();
	else if (!strcmp(what, "dma64"))
		ask_dma64();
	else if (!strcmp(what, "eeh"))
		ask_eeh();
	else if (!strcmp(what, "own1"))
		own_v1();
	else if (!strcmp(what, "own2"))
		own_v2();
	else if (!strcmp(what, "groups") && argc > 3)
		ask_groups(argv[3]);
	else if (!strcmp(what, "owngroups") && argc > 3)
		own_groups(argv[3]);
	else if (!strcmp(what, "random") && argc > 3)
		random_steps(atoi(argv[3]));
	else
		return 2;
	close_all(&u);
	printf("done\n");
	return failures ? 1 : 0;
}
