// SPDX-License-Identifier: GPL-2.0
/*
 * DMA windows of POWER: what each call answers, and what edu reads and writes through them. All of it has to be the same
 * as on the C modules.
 *
 *   spapr BDF v1|limit|v2|dma64|huge|giant|eeh|irq|brief
 *   spapr BDF lpar           windows below a hypervisor
 *   spapr BDF groups BDF     one container with two groups
 *   spapr BDF twins BDF      two devices of one group
 *   spapr BDF bars           what is mapped of BARs, and read there: the device is QEMU's sdhci-pci
 */
#include "spapr.h"

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

/* `count` pages of hugetlbfs, of this size. */
static uint8_t *huge_pages(uint64_t kib, unsigned int count)
{
	char path[96];
	FILE *file;
	uint8_t *at;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages", (unsigned long long)kib);
	file = fopen(path, "w");
	if (!file || fprintf(file, "%u\n", count) < 0 || fclose(file))
		fail("%s", path);
	at = mmap(NULL, count * (kib << 10), PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | __builtin_ctzll(kib << 10) << MAP_HUGE_SHIFT, -1, 0);
	if (at == MAP_FAILED)
		fail("huge pages");
	return at;
}

/* A window of this size in pages of 2^shift: the first one, or, below a hypervisor, the second. */
static void only_window(uint32_t shift, uint64_t size)
{
	if (read_info().ddw.levels > 1)
		ASK(remove_window(0), "REMOVE");
	ASK(create(shift, size, 1), "CREATE");
	printf("start %#llx\n", (unsigned long long)start);
}

/* Pages of 2 MiB: only for memory that is in such pages, or larger ones. */
static void ask_huge(void)
{
	const uint64_t two = 1 << 21;
	uint64_t kib = 0;
	char line[128];
	uint8_t *huge, *small = memory(2 * two);
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "Hugepagesize: %lu", &kib);
	if (file)
		fclose(file);
	huge = huge_pages(kib, 2);
	small += -(uintptr_t)small & (two - 1);
	ASK(reg(huge, kib << 10), "REGISTER");
	ASK(reg(small, two), "REGISTER small pages");
	only_window(21, 1 << 30);
	TWICE(map(RW, small, start, two), "MAP small pages");
	TWICE(map(RW, huge, start, P), "MAP size");
	TWICE(map(RW, huge + P, start, two), "MAP vaddr");
	ASK(map(RW, huge, start, two), "MAP");
	edu_open();
	dma(start, huge, start + P, huge + P);
	dma(start + P, huge + P, start + two - P, huge + two - P);
	ASK(unmap(start, two), "UNMAP");
	dma(start, huge, start + P, huge + P);
	ASK(remove_window(start), "REMOVE");
	if (read_info().ddw.levels > 1)
		ASK(create(12, 1 << 28, 1), "CREATE");
	ASK(map(RW, huge + 0x3000, 0, two - 0x3000), "MAP in small pages");
	dma(0, huge + 0x3000, P, huge + 0x3000 + P);
}

/* The largest pages of the group, for memory in a page of 1 GiB. */
static void ask_giant(void)
{
	const uint64_t giant = 1 << 30, two = 1 << 21;
	const uint32_t shift = 63 - __builtin_clzll(read_info().ddw.pgsizes);
	uint8_t *memory = huge_pages(giant >> 10, 1), *huge = huge_pages(two >> 10, 1);
	const uint64_t page = 1ULL << shift;
	/* As far as edu reaches. */
	const uint64_t far = (1 << 28) - P;

	printf("pages of 2^%u bytes\n", shift);
	ASK(reg(memory, giant), "REGISTER");
	ASK(reg(huge, two), "REGISTER less");
	printf("locked: %ld KiB\n", locked_kib());
	only_window(shift, 1ULL << 36);
	TWICE(map(RW, huge, start, page), "MAP of less");
	TWICE(map(RW, memory, start, two), "MAP size");
	TWICE(map(RW, memory + two, start, page), "MAP vaddr");
	TWICE(map(RW, memory, start, giant + page), "MAP more than is registered");
	ASK(map(RW, memory, start, giant), "MAP");
	edu_open();
	dma(start, memory, start + P, memory + P);
	dma(start + P, memory + P, start + far, memory + far);
	ASK(map(VFIO_DMA_MAP_FLAG_READ, memory, start, page), "MAP to read");
	dma(start, memory, start + P, memory + P);
	ASK(unmap(start, giant), "UNMAP");
	dma(start, memory, start + P, memory + P);
	ASK(remove_window(start), "REMOVE");
	ASK(unreg(memory, giant), "UNREGISTER");
	ASK(unreg(huge, two), "UNREGISTER less");
	printf("locked: %ld KiB\n", locked_kib());
}

/* --- interrupts --- */

static int irq(uint32_t index, uint32_t flags, int fd)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} arg = {
		.set = { .argsz = sizeof(arg), .flags = flags, .index = index, .count = 1 },
		.fd = fd,
	};

	return ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg);
}

static void await(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&p, 1, 1000) == 1 && read(fd, &count, 8) != 8)
		fail("eventfd");
	printf("interrupts: %llu\n", (unsigned long long)count);
}

static void ask_irq(void)
{
	const uint32_t trigger = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	const uint32_t unmask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
	int fd = eventfd(0, EFD_CLOEXEC);

	edu_open();
	heading("MSI");
	ASK(irq(VFIO_PCI_MSI_IRQ_INDEX, trigger, fd), "SET_IRQS");
	for (int i = 1; i < 4; i++) {
		edu_write32(0x60, i);
		await(fd);
		edu_write32(0x64, i);
	}
	await(fd);
	ASK(irq(VFIO_PCI_MSI_IRQ_INDEX, trigger, -1), "SET_IRQS none");
	edu_write32(0x60, 1);
	await(fd);
	edu_write32(0x64, 1);
	heading("INTx");
	ASK(irq(VFIO_PCI_INTX_IRQ_INDEX, trigger, fd), "SET_IRQS");
	edu_write32(0x60, 1);
	await(fd);
	/* It is masked until user space has looked after it. */
	await(fd);
	ASK(irq(VFIO_PCI_INTX_IRQ_INDEX, unmask, -1), "SET_IRQS unmask");
	await(fd);
	edu_write32(0x64, 1);
	ASK(irq(VFIO_PCI_INTX_IRQ_INDEX, unmask, -1), "SET_IRQS unmask");
	await(fd);
	heading("errors");
	ASK(irq(VFIO_PCI_ERR_IRQ_INDEX, trigger, fd), "SET_IRQS");
	await(fd);
}

/* --- windows below a hypervisor --- */

/*
 * It has the window that is there and one more, and gives up on a host bridge that once could not make one: nothing is
 * asked that makes it.
 */
static void ask_lpar(void)
{
	uint64_t at = 0;

	for (uint32_t argsz = 0; argsz <= 40; argsz += 8)
		info(argsz);
	ASK(reg(buffer, 16 * P), "REGISTER");
	edu_open();
	heading("the window that is there");
	ASK(map(RW, buffer, 0, 8 * P), "MAP");
	ASK(map(RW, buffer + 0x9000, 16 * P, 0x1000), "MAP a part of a page");
	TWICE(map(RW, buffer, 1ULL << 40, P), "MAP nowhere");
	dma(0, buffer, P, buffer + P);
	dma(P, buffer + P, 16 * P, buffer + 0x9000);
	ASK(unmap(0, P), "UNMAP");
	dma(0, buffer, P, buffer + P);
	heading("another one");
	TWICE(create(13, 1 << 30, 1), "CREATE page");
	for (int i = 0; i < 3; i++) {
		ASK(create(16, 1 << 30, 1), "CREATE");
		/* The next one, which fails, has none. */
		at = start;
		printf("start %#llx\n", (unsigned long long)at);
		TWICE(create(16, 1 << 30, 1), "CREATE one too many");
		TWICE(map(RW, buffer, at, 0x1000), "MAP size");
		ASK(map(RW, buffer + 8 * P, at, 8 * P), "MAP");
		dma(at, buffer + 8 * P, P, buffer + P);
		dma(P, buffer + P, at + 7 * P, buffer + 15 * P);
		ASK(unmap(at, P), "UNMAP");
		dma(at, buffer + 8 * P, P, buffer + P);
		ASK(remove_window(at), "REMOVE");
		dma(at + P, buffer + 9 * P, P, buffer + P);
	}
	TWICE(remove_window(at), "REMOVE again");
	ASK(unmap(0, 1 << 28), "UNMAP");
	ASK(remove_window(0), "REMOVE");
	TWICE(map(RW, buffer, 0, P), "MAP there");
	ASK(unreg(buffer, 16 * P), "UNREGISTER");
}

/* --- groups --- */

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

static void ask_twins(const char *other)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int first = u.device, second;

	ASK(ioctl(u.group, VFIO_GROUP_GET_STATUS, &status), "GET_STATUS");
	printf("flags %x\n", status.flags);
	second = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, other);
	ASK(FD(dup(second)), "GET_DEVICE_FD");
	ASK(reg(buffer, 16 * P), "REGISTER");
	ASK(map(RW, buffer, 0, 4 * P), "MAP");
	for (int i = 0; i < 2; i++) {
		u.device = i ? second : first;
		edu_open();
		dma(0, buffer, P, buffer + P);
		dma(2 * P, buffer + 2 * P, 3 * P, buffer + 3 * P);
	}
	ASK(unmap(0, P), "UNMAP");
	for (int i = 0; i < 2; i++) {
		u.device = i ? second : first;
		dma(0, buffer, P, buffer + P);
	}
	u.device = first;
	close(second);
}

/* --- BARs --- */

#define CAPABILITIES 0x40

/* One BAR of 256 bytes, less than a page: it can be mapped if nothing else can be in its page. */
static void ask_bars(void)
{
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = htole16(2);
	volatile uint32_t *mapped;
	uint32_t value;
	off_t config;

	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("region");
	config = region.offset;
	if (pwrite(u.device, &command, 2, config + 4) != 2)
		fail("command");
	for (region.index = 0; region.index < VFIO_PCI_ROM_REGION_INDEX; region.index++) {
		ASK(ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region), "GET_REGION_INFO %u", region.index);
		printf("size %#llx flags %x\n", (unsigned long long)region.size, region.flags);
		if (!region.size)
			continue;
		ASK(pread(u.device, &value, 4, region.offset + CAPABILITIES), "read");
		printf("capabilities %08x\n", le32toh(value));
		mapped = mmap(NULL, P, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, region.offset);
		ASK(mapped == MAP_FAILED ? -1 : 0, "mmap");
		if (mapped == MAP_FAILED)
			continue;
		printf("capabilities %08x\n", le32toh(mapped[CAPABILITIES / 4]));
		munmap((void *)mapped, P);
	}
}

/* What a user does at least. */
static void ask_brief(void)
{
	ASK(reg(buffer, 4 * P), "REGISTER");
	ASK(map(RW, buffer, 0, 4 * P), "MAP");
	edu_open();
	dma(0, buffer, P, buffer + P);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	begin(argv[1], !strcmp(what, "v1") || !strcmp(what, "limit"));
	if (!strcmp(what, "v1"))
		ask_v1();
	else if (!strcmp(what, "limit"))
		ask_limit();
	else if (!strcmp(what, "v2"))
		ask_v2();
	else if (!strcmp(what, "dma64"))
		ask_dma64();
	else if (!strcmp(what, "huge"))
		ask_huge();
	else if (!strcmp(what, "giant"))
		ask_giant();
	else if (!strcmp(what, "eeh"))
		ask_eeh();
	else if (!strcmp(what, "irq"))
		ask_irq();
	else if (!strcmp(what, "brief"))
		ask_brief();
	else if (!strcmp(what, "lpar"))
		ask_lpar();
	else if (!strcmp(what, "bars"))
		ask_bars();
	else if (!strcmp(what, "groups") && argc > 3)
		ask_groups(argv[3]);
	else if (!strcmp(what, "twins") && argc > 3)
		ask_twins(argv[3]);
	else
		return 2;
	close_all(&u);
	printf("done\n");
	return 0;
}
