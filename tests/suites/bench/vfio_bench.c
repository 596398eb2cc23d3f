// SPDX-License-Identifier: GPL-2.0
/*
 * Measures operations of VFIO on one set of modules after the other, in one process, so that the memory
 * that is mapped lies in the same physical pages for all.
 *
 * usage: vfio_bench WHAT DEVICE LOAD SET...
 *
 *   WHAT    ops | devices | type1 | growth | memory | threads | overlap
 *   DEVICE  PCI address of an edu
 *   LOAD    shell text that loads the modules "$1" and binds the device
 *   SET     what it is told: c, rust, ...
 *
 * Under QEMU's `-icount shift=0` the time stamp counter counts the instructions of the machine, those of
 * the kernel and of this program, which are few. Prints
 *
 *   result SET NAME MEDIAN LEAST MOST REPETITIONS
 */
#include "../vfio_user.h"
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define IOVA (4 * GIB)
#define RW (PROT_READ | PROT_WRITE)
#define MAX_REPETITIONS 201

static const char *set, *bdf;
static int container, group, device;

static inline uint64_t ticks(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) :: "memory");
	return (uint64_t)hi << 32 | lo;
}

/* Marks for tests/bench/profile.c: no-ops. */
#define MARK(n) asm volatile(".byte 0x0f, 0x1f, 0x84, 0x00; .long 0x56460000 + %c0" :: "i"(n) : "memory")
#define BEGIN_FIRST() MARK(2)
#define BEGIN_SECOND() MARK(3)
#define END() MARK(4)

#include "measure.h"

/* --- operations ----------------------------------------------------------------------------------------- */

static char *small, *thp, *gigantic;

static void map_unmap(const char *kind, const void *p, uint64_t size, unsigned int repetitions)
{
	char names[2][64];
	struct samples m = { .name = names[0] }, u = { .name = names[1] };
	unsigned int i, warm = warm_up(repetitions);

	snprintf(names[0], sizeof(names[0]), "map-%s", kind);
	snprintf(names[1], sizeof(names[1]), "unmap-%s", kind);
	announce(names[0], names[1]);
	for (i = 0; i < repetitions + warm; i++) {
		uint64_t t0 = ticks(), t1, t2;

		BEGIN_FIRST();
		map(IOVA, p, size);
		t1 = ticks();
		BEGIN_SECOND();
		unmap(IOVA, size, size);
		t2 = ticks();
		END();
		if (i < warm)
			continue;
		add(&m, t1 - t0);
		add(&u, t2 - t1);
	}
	report(&m);
	report(&u);
}

/* `count` mappings of one page, every `stride` pages, then all unmapped at once. */
static void many(const char *name, unsigned int count, unsigned int stride, unsigned int repetitions)
{
	char names[2][64];
	struct samples m = { .name = names[0] }, u = { .name = names[1] };
	unsigned int i, k, warm = warm_up(repetitions);

	snprintf(names[0], sizeof(names[0]), "map-%s", name);
	snprintf(names[1], sizeof(names[1]), "unmap-%s", name);
	announce(names[0], names[1]);
	for (i = 0; i < repetitions + warm; i++) {
		uint64_t t0 = ticks(), t1, t2;

		BEGIN_FIRST();
		for (k = 0; k < count; k++)
			map(IOVA + k * stride * PAGE, small + k % 4096 * PAGE, PAGE);
		t1 = ticks();
		BEGIN_SECOND();
		unmap(0, 0, count * PAGE);
		t2 = ticks();
		END();
		if (i < warm)
			continue;
		add(&m, t1 - t0);
		add(&u, t2 - t1);
	}
	report(&m);
	report(&u);
}

static void ask(void)
{
	struct {
		struct vfio_iommu_type1_info info;
		char caps[256];
	} info = { .info.argsz = sizeof(info) };

	must(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "IOMMU_GET_INFO");
}

static void container_ops(void)
{
	MEASURE("get-api-version", 201, must(ioctl(container, VFIO_GET_API_VERSION), "GET_API_VERSION"));
	MEASURE("check-extension", 201, must(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "CHECK_EXTENSION"));
	MEASURE("check-extension-coherency", 201,
		must(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), "CHECK_EXTENSION"));
	MEASURE("iommu-get-info", 201, ask());
}

static void type1_ops(void)
{
	unsigned int i;

	map_unmap("4k", small, PAGE, 201);
	map_unmap("2m-scattered", small, 2 * MIB, 31);
	map_unmap("2m-thp", thp, 2 * MIB, 101);
	map_unmap("64m-thp", thp, 64 * MIB, 11);
	map_unmap("1g-hugetlb", gigantic, GIB, 5);
	for (i = 0; i < 1000; i++)
		map(2 * IOVA + i * 2 * PAGE, small + i * PAGE, PAGE);
	map_unmap("4k-of-1000", small, PAGE, 201);
	unmap(0, 0, 1000 * PAGE);
	many("10000", 10000, 2, 3);
	many("10000-adjacent", 10000, 1, 3);
}

static void group_ops(void)
{
	int c = open_container(), g = open_group(bdf);

	MEASURE("check-extension-no-iommu", 101, must(ioctl(c, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "CHECK_EXTENSION"));
	MEASURE("set-container-set-iommu-unset", 31, {
		must(ioctl(g, VFIO_GROUP_SET_CONTAINER, &c), "SET_CONTAINER");
		must(ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
		must(ioctl(g, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	});
	close(g);
	close(c);
}

/* --- a device: an edu, which raises an interrupt when it is told to ------------------------------------ */

#define EDU_FACTORIAL 0x08
#define EDU_RAISE 0x60
#define EDU_ACK 0x64

static int set_irqs(uint32_t index, uint32_t flags, uint32_t count, int fd)
{
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	struct vfio_irq_set *irqs = (void *)buffer;

	memset(buffer, 0, sizeof(buffer));
	irqs->argsz = sizeof(*irqs);
	irqs->flags = flags;
	irqs->index = index;
	irqs->count = count;
	if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		memcpy(irqs->data, &fd, sizeof(fd));
		irqs->argsz += sizeof(fd);
	}
	return ioctl(device, VFIO_DEVICE_SET_IRQS, irqs);
}

static int trigger_by(uint32_t index, int fd)
{
	return set_irqs(index, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD, 1, fd);
}

static int no_trigger(uint32_t index)
{
	return set_irqs(index, VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE, 0, -1);
}

static int act(uint32_t index, uint32_t action)
{
	return set_irqs(index, action | VFIO_IRQ_SET_DATA_NONE, 1, -1);
}

static void wait_for(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) != sizeof(count))
		if (errno != EAGAIN)
			fail("eventfd");
}

static void device_ops(void)
{
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	int event = eventfd(0, EFD_NONBLOCK);
	static char page[PAGE];
	volatile uint32_t *regs;
	uint32_t word;

	MEASURE("device-open-close", 31, {
		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
		must(device, "GET_DEVICE_FD");
		close(device);
	});
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	must(device, "GET_DEVICE_FD");
	must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config), "GET_REGION_INFO");
	must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar), "GET_REGION_INFO");

	/* Memory space and bus mastering, for the BAR and the interrupts. */
	must(pread(device, &word, 2, config.offset + PCI_COMMAND), "command register");
	word |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	must(pwrite(device, &word, 2, config.offset + PCI_COMMAND), "command register");

	MEASURE("config-read", 201, must(pread(device, &word, 4, config.offset), "config read"));
	MEASURE("config-read-command", 201, must(pread(device, &word, 2, config.offset + PCI_COMMAND), "config read"));
	MEASURE("config-write", 201, {
		word = 8;
		must(pwrite(device, &word, 1, config.offset + PCI_CACHE_LINE_SIZE), "config write");
	});
	MEASURE("bar-read", 201, must(pread(device, &word, 4, bar.offset), "BAR read"));
	MEASURE("bar-read-4k", 31, must(pread(device, page, sizeof(page), bar.offset + 0x1000), "BAR read"));
	MEASURE("bar-write", 201, must(pwrite(device, &word, 4, bar.offset + 4), "BAR write"));
	MEASURE("device-get-info", 201, {
		struct vfio_device_info info = { .argsz = sizeof(info) };

		must(ioctl(device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
	});
	MEASURE("get-region-info", 201, {
		struct vfio_region_info info = { .argsz = sizeof(info) };

		must(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info), "GET_REGION_INFO");
	});
	MEASURE("get-irq-info", 201, {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSI_IRQ_INDEX };

		must(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO");
	});

	MEASURE("bar-fault", 101, {
		regs = mmap(NULL, bar.size, RW, MAP_SHARED, device, bar.offset);
		if (regs == MAP_FAILED)
			fail("mmap of a BAR");
		(void)*regs;
		munmap((void *)regs, bar.size);
	});

	MEASURE("msi-enable-disable", 31, {
		must(trigger_by(VFIO_PCI_MSI_IRQ_INDEX, event), "MSI on");
		must(no_trigger(VFIO_PCI_MSI_IRQ_INDEX), "MSI off");
	});
	MEASURE("intx-enable-disable", 31, {
		must(trigger_by(VFIO_PCI_INTX_IRQ_INDEX, event), "INTx on");
		must(no_trigger(VFIO_PCI_INTX_IRQ_INDEX), "INTx off");
	});
	regs = mmap(NULL, bar.size, RW, MAP_SHARED, device, bar.offset);
	if (regs == MAP_FAILED)
		fail("mmap of a BAR");
	must(trigger_by(VFIO_PCI_MSI_IRQ_INDEX, event), "MSI on");
	MEASURE("loopback-trigger", 201, {
		must(act(VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER), "trigger");
		wait_for(event);
	});
	MEASURE("msi-to-eventfd", 201, {
		regs[EDU_RAISE / 4] = 1;
		wait_for(event);
		regs[EDU_ACK / 4] = 1;
	});
	must(no_trigger(VFIO_PCI_MSI_IRQ_INDEX), "MSI off");
	must(trigger_by(VFIO_PCI_INTX_IRQ_INDEX, event), "INTx on");
	MEASURE("intx-mask-unmask", 201, {
		must(act(VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_MASK), "INTx mask");
		must(act(VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK), "INTx unmask");
	});
	MEASURE("intx-to-eventfd", 201, {
		regs[EDU_RAISE / 4] = 1;
		wait_for(event);
		regs[EDU_ACK / 4] = 1;
		must(act(VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK), "INTx unmask");
	});
	munmap((void *)regs, bar.size);
	close(device);
	close(event);
}

static void type1(void)
{
	enter();
	type1_ops();
	leave();
}

static void ops(void)
{
	group_ops();
	enter();
	container_ops();
	type1_ops();
	leave();
}

static void devices(void)
{
	enter();
	device_ops();
	leave();
}

/* --- growth ---------------------------------------------------------------------------------------------- */

static char *pages_4k, *pages_2m, *pieces;

static void growth(void)
{
	static const unsigned int counts[] = { 1, 10, 100, 1000, 10000, 30000, 60000 };
	char name[64];
	uint64_t size;

	enter();
	for (size = PAGE; size <= 8 * GIB; size *= 8) {
		unsigned int repetitions = size < 64 * MIB ? 11 : size < GIB ? 3 : 1;

		snprintf(name, sizeof(name), "size-4k-%llu", (unsigned long long)size);
		map_unmap(name, pages_4k, size, repetitions);
		if (size < 2 * MIB)
			continue;
		snprintf(name, sizeof(name), "size-2m-%llu", (unsigned long long)size);
		map_unmap(name, pages_2m, size, repetitions);
	}
	for (size = 0; size < ARRAY_SIZE(counts); size++) {
		snprintf(name, sizeof(name), "count-%u", counts[size]);
		many(name, counts[size], 2, counts[size] > 1000 ? 1 : 11);
	}
	leave();
}

/* --- bookkeeping ------------------------------------------------------------------------------------------ */

/*
 * The bytes in objects of kmalloc, in pages of kmalloc where an object is too large for a slab, and in vmalloc areas;
 * page tables, those of IOMMUs among them, are none of these.
 */
static int64_t kernel_bytes(void)
{
	unsigned long long objects, size, per_slab, slabs, pages;
	int64_t total = 0;
	char line[512];
	FILE *f;

	if (system("echo 1 >/proc/sys/vm/stat_refresh"))
		fail("stat_refresh");
	f = fopen("/proc/slabinfo", "r");
	if (!f)
		fail("slabinfo");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %llu %*u %llu %*u %llu : tunables %*u %*u %*u : slabdata %*u %llu", &objects, &size,
			   &per_slab, &slabs) != 4)
			continue;
		if (!strncmp(line, "kmalloc", 7))
			total += objects * size;
		total -= slabs * per_slab * PAGE;
	}
	fclose(f);
	f = fopen("/proc/meminfo", "r");
	while (f && fgets(line, sizeof(line), f))
		/* What is in no slab is a large object. */
		if (sscanf(line, "Slab: %llu kB", &size) == 1)
			total += size * KIB;
	if (!f)
		fail("meminfo");
	fclose(f);
	f = fopen("/proc/vmallocinfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, " pages=");

		if (at && sscanf(at, " pages=%llu", &pages) == 1)
			total += pages * PAGE;
	}
	if (!f)
		fail("vmallocinfo");
	fclose(f);
	return total;
}

static void shrink(void)
{
	/* What is free is given back to the allocator, and counted exactly. */
	if (system("for f in /sys/kernel/slab/*/shrink; do echo 1 >$f; done 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches"))
		fail("shrink");
	usleep(50000);
}

/* The same memory again and again: what counts is only what is kept for each mapping. */
static void book(const char *kind, unsigned int count, const char *p, uint64_t size)
{
	SAMPLES(s, kind);
	unsigned int i, round;
	int64_t bytes;

	for (round = 0; round < 3; round++) {
		shrink();
		bytes = -kernel_bytes();
		for (i = 0; i < count; i++)
			map(IOVA + i * (size + PAGE), p, size);
		shrink();
		bytes += kernel_bytes();
		/* Rounded up. Others come and go as well, see "bytes-nothing". */
		add(&s, bytes > 0 ? (bytes + (count ? count - 1 : 0)) / (count ? count : 1) : 0);
		if (count)
			unmap(0, 0, count * size);
	}
	report(&s);
}

/*
 * The memory of `p`, in huge pages, in pieces of `piece` bytes that are contiguous while neighbours are not: behind
 * each other come one from the first half and one from the second.
 */
static char *in_pieces(char *p, uint64_t size, uint64_t piece)
{
	char *q = reserve(size, 2 * MIB);
	uint64_t i, pieces = size / piece;

	for (i = 0; i < pieces; i++)
		if (mremap(p + (i % 2 * (pieces / 2) + i / 2) * piece, piece, piece, MREMAP_MAYMOVE | MREMAP_FIXED,
			   q + i * piece) == MAP_FAILED)
			fail("mremap");
	return q;
}

static void memory(void)
{
	enter();
	/* All of it, not for each: the error of the rest, which is divided by the number of mappings. */
	book("bytes-nothing", 0, small, PAGE);
	book("bytes-4k", 10000, small, PAGE);
	book("bytes-16k-scattered", 5000, small, 16 * KIB);
	book("bytes-1m-scattered", 300, small, MIB);
	book("bytes-16m-scattered", 10, small, 16 * MIB);
	book("bytes-256m-scattered", 1, pages_4k, 256 * MIB);
	book("bytes-1m-pieces", 300, pieces, MIB);
	book("bytes-16m-pieces", 10, pieces, 16 * MIB);
	book("bytes-32m-pieces", 10, pieces, 32 * MIB);
	book("bytes-64m-thp", 10, thp, 64 * MIB);
	leave();
}

/* --- threads ----------------------------------------------------------------------------------------------- */

#define PART (512 * MIB)

static pthread_barrier_t barrier;

static void *map_part(void *arg)
{
	uint64_t i = (uint64_t)arg;

	pthread_barrier_wait(&barrier);
	map(IOVA + i * PART, pages_4k + i * PART, PART);
	return NULL;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static uint64_t ends[2];
static volatile bool mapped;

static void *map_part_and_tell(void *arg)
{
	map_part(arg);
	ends[(uint64_t)arg] = ticks();
	mapped = true;
	return NULL;
}

/*
 * Two processors that take turns, so that the host does not matter: whoever waits until the other's call ends gets
 * nothing done before. How far apart the ends of two calls are tells, and how many others return in between.
 */
static void overlap(void)
{
	SAMPLES(first, "two-512m-first-ends");
	SAMPLES(last, "two-512m-last-ends");
	SAMPLES(meanwhile, "maps-4k-during-512m");
	pthread_t thread[2];
	uint64_t t, i;
	int round;

	enter();
	pthread_barrier_init(&barrier, NULL, 3);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 2; i++)
			pthread_create(&thread[i], NULL, map_part_and_tell, (void *)i);
		t = ticks();
		pthread_barrier_wait(&barrier);
		for (i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		add(&first, (ends[0] < ends[1] ? ends[0] : ends[1]) - t);
		add(&last, (ends[0] < ends[1] ? ends[1] : ends[0]) - t);
		unmap(IOVA, 2 * PART, 2 * PART);
	}
	pthread_barrier_destroy(&barrier);
	pthread_barrier_init(&barrier, NULL, 2);
	for (round = 0; round < 3; round++) {
		mapped = false;
		pthread_create(&thread[0], NULL, map_part_and_tell, (void *)0);
		pthread_barrier_wait(&barrier);
		/* Well within the call, which takes ten times as long. */
		usleep(10000);
		for (i = 0; i < 60000; i++) {
			map(2 * IOVA + i * 2 * PAGE, small + i % 4096 * PAGE, PAGE);
			if (mapped)
				break;
		}
		add(&meanwhile, i);
		pthread_join(thread[0], NULL);
		unmap(0, 0, PART + (i < 60000 ? i + 1 : i) * PAGE);
	}
	report(&first);
	report(&last);
	report(&meanwhile);
	leave();
}

/* Nanoseconds, not instructions. */
static void threads(void)
{
	SAMPLES(one, "one-after-the-other");
	SAMPLES(both, "two-at-once");
	pthread_t thread[2];
	int i, round;

	enter();
	for (round = 0; round < 5; round++) {
		uint64_t t = now();

		map(IOVA, pages_4k, PART);
		map(IOVA + PART, pages_4k + PART, PART);
		add(&one, now() - t);
		unmap(IOVA, 2 * PART, 2 * PART);

		pthread_barrier_init(&barrier, NULL, 3);
		for (i = 0; i < 2; i++)
			pthread_create(&thread[i], NULL, map_part, (void *)(uint64_t)i);
		pthread_barrier_wait(&barrier);
		t = now();
		for (i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		add(&both, now() - t);
		unmap(IOVA, 2 * PART, 2 * PART);
	}
	report(&one);
	report(&both);
	leave();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} all[] = { { "ops", ops }, { "devices", devices }, { "type1", type1 }, { "growth", growth }, { "memory", memory },
		{ "threads", threads }, { "overlap", overlap } };
	unsigned int i;
	int k;

	if (argc < 5) {
		fprintf(stderr, "usage: %s WHAT DEVICE LOAD SET...\n", argv[0]);
		return 2;
	}
	bdf = argv[2];
	small = scattered(16 * MIB);
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (strcmp(all[i].name, argv[1]))
			continue;
		if (all[i].run == ops || all[i].run == type1 || all[i].run == memory)
			thp = transparent(64 * MIB);
		if (all[i].run == ops || all[i].run == type1)
			gigantic = hugetlb(GIB, 30);
		if (all[i].run == growth) {
			pages_4k = repeated(8 * GIB, 256 * MIB, 0);
			pages_2m = repeated(8 * GIB, 32 * MIB, MFD_HUGETLB | 21 << MAP_HUGE_SHIFT);
		}
		if (all[i].run == memory) {
			pages_4k = scattered(256 * MIB);
			/* So many as may just be remembered. */
			pieces = in_pieces(transparent(32 * MIB), 32 * MIB, 32 * KIB);
		}
		if (all[i].run == threads || all[i].run == overlap)
			pages_4k = repeated(2 * PART, 256 * MIB, 0);
		for (k = 4; k < argc; k++) {
			load(argv[3], argv[k]);
			all[i].run();
		}
		return 0;
	}
	fprintf(stderr, "%s: there is no %s\n", argv[0], argv[1]);
	return 2;
}
