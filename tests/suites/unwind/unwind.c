// SPDX-License-Identifier: GPL-2.0
/*
 * What fails half-way is unwound completely: a page of a range that cannot be pinned, a limit that is reached, an argument
 * that ends where memory ends, a table of file descriptors that is full, a signal, a kill.
 *
 * usage: unwind pages|limit|arguments|files|signals BDF
 *        unwind memory BDF CGROUP
 * The device is bound to vfio-pci. `arguments` prints what was answered, which has to be what the C modules answer.
 */
#include "../state.h"
#include "../transcript.h"
#include "../cgroup.h"

#include <signal.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/time.h>

#define IOVA 0x1000000UL
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
/* More than two batches of pinning, and not a multiple of one. */
#define MANY 1100UL

static const char *bdf;
static struct vfio_user u;
static struct state start;
static int wrong;

#define EXPECT(condition, ...) ({ \
	bool ok_ = (condition); \
	if (!ok_) { \
		printf("# "); \
		printf(__VA_ARGS__); \
		printf(" (%s)\n", error_name(errno)); \
		wrong++; \
	} \
	ok_; })

static void result(const char *name)
{
	static int number, before;

	EXPECT(same(&start, name), "%s left something", name);
	printf("%s %d %s\n", wrong == before ? "ok" : "not ok", ++number, name);
	fflush(stdout);
	before = wrong;
}

static int map(uint64_t iova, const void *vaddr, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg), .flags = flags, .vaddr = (uintptr_t)vaddr, .iova = iova, .size = size,
	};

	return ioctl(u.container, VFIO_IOMMU_MAP_DMA, &arg);
}

static long unmap(uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .iova = iova, .size = size };

	return ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &arg) ? -1 : (long)arg.size;
}

static char *pages(uint64_t size, bool huge)
{
	char *p = memory(size + (huge ? 0x200000 : 0));

	if (huge)
		p = (char *)(((uintptr_t)p + 0x1fffff) & ~0x1fffffUL);
	madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(p, 1, size);
	return p;
}

/* Nothing is mapped anywhere in the range: each of its ends, and all of it, can be mapped. */
static void range_is_free(uint64_t size, const char *what, uint64_t k)
{
	static char *page;

	if (!page)
		page = pages(PAGE, false);
	EXPECT(unmap(IOVA, size) == 0, "%s %lu: something is mapped", what, (long)k);
	EXPECT(!map(IOVA, page, PAGE, RW), "%s %lu: the first page is taken", what, (long)k);
	if (size > PAGE)
		EXPECT(!map(IOVA + size - PAGE, page, PAGE, RW), "%s %lu: the last page is taken", what, (long)k);
	EXPECT(unmap(IOVA, size) >= 0, "%s %lu: unmapping", what, (long)k);
}

/* --- a page that cannot be pinned --- */

static void spoil_no_access(char *page)
{
	mprotect(page, PAGE, PROT_NONE);
}

static void spoil_read_only(char *page)
{
	mprotect(page, PAGE, PROT_READ);
}

static void spoil_gone(char *page)
{
	munmap(page, PAGE);
}

static void mend(char *page)
{
	if (mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("mmap");
}

static void bad_page(const char *what, char *p, uint64_t count, uint64_t k, void (*spoil)(char *))
{
	long acquired, pinned;

	spoil(p + k * PAGE);
	acquired = pins_ever();
	errno = 0;
	EXPECT(map(IOVA, p, count * PAGE, RW) < 0 && errno == EFAULT, "%s %lu: mapped", what, (long)k);
	pinned = pins_ever() - acquired;
	/* Or the failure was not where it is meant to be. */
	EXPECT(pinned >= (long)k && pinned < (long)count, "%s %lu: %ld pages were pinned", what, (long)k, pinned);
	EXPECT(locked_kib() == start.locked, "%s %lu: memory is locked", what, (long)k);
	range_is_free(count * PAGE, what, k);
	mend(p + k * PAGE);
}

static void bad_pages(const char *what, uint64_t count, bool huge, void (*spoil)(char *))
{
	static const uint64_t edges[] = { 0, 1, 2, 255, 256, 510, 511, 512, 513, 514, 1022, 1023, 1024, 1025, MANY - 2, MANY - 1 };
	char *p = pages(count * PAGE, huge), *other;

	for (size_t i = 0; i < (count == MANY ? ARRAY_SIZE(edges) : count); i++) {
		uint64_t k = count == MANY ? edges[i] : i;

		if (huge) {
			other = pages(count * PAGE, true);
			bad_page(what, other, count, k, spoil);
			munmap(other, count * PAGE);
		} else {
			bad_page(what, p, count, k, spoil);
		}
	}
	EXPECT(!map(IOVA, p, count * PAGE, RW), "%s: not mapped though all pages are there", what);
	EXPECT(unmap(IOVA, count * PAGE) == (long)(count * PAGE), "%s: not unmapped", what);
	munmap(p, count * PAGE);
	result(what);
}

static void beyond_a_file(void)
{
	int fd = memfd_create("unwind", MFD_CLOEXEC);
	char *p;

	if (fd < 0 || ftruncate(fd, MANY * PAGE))
		fail("memfd");
	p = mmap(NULL, MANY * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (uint64_t k = 0; k < MANY; k += 73) {
		if (ftruncate(fd, k * PAGE))
			fail("ftruncate");
		errno = 0;
		EXPECT(map(IOVA, p, MANY * PAGE, RW) < 0 && errno == EFAULT, "file of %lu pages: mapped", (long)k);
		range_is_free(MANY * PAGE, "file of pages:", k);
	}
	if (ftruncate(fd, MANY * PAGE))
		fail("ftruncate");
	EXPECT(!map(IOVA, p, MANY * PAGE, RW), "file: not mapped");
	EXPECT(unmap(IOVA, MANY * PAGE) == MANY * PAGE, "file: not unmapped");
	munmap(p, MANY * PAGE);
	close(fd);
	result("beyond-the-end-of-a-file");
}

static void bad_pages_of_all_kinds(void)
{
	bad_pages("no-access", 48, false, spoil_no_access);
	bad_pages("no-access-in-batches", MANY, false, spoil_no_access);
	bad_pages("gone", 20, false, spoil_gone);
	bad_pages("gone-in-batches", MANY, false, spoil_gone);
	bad_pages("read-only", 20, false, spoil_read_only);
	bad_pages("read-only-in-batches", MANY, false, spoil_read_only);
	bad_pages("gone-among-huge-pages", MANY, true, spoil_gone);
	beyond_a_file();
}

/* --- a limit on locked memory --- */

static void limit_pages(uint64_t count)
{
	struct rlimit limit = { count * PAGE, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		fail("RLIMIT_MEMLOCK");
}

static void limits(void)
{
	static const uint64_t edges[] = { 0, 1, 511, 512, 513, 1023, 1024, 1025, MANY - 1 };
	char *small = pages(32 * PAGE, false), *p = pages(MANY * PAGE, false);

	/* CAP_IPC_LOCK lifts the limit. While it is there, the hard limit is taken out of the way. */
	limit_pages(0);
	drop_capabilities();
	for (uint64_t k = 0; k < 32; k++) {
		limit_pages(k);
		errno = 0;
		EXPECT(map(IOVA, small, 32 * PAGE, RW) < 0 && errno == ENOMEM, "limit %lu: mapped", (long)k);
		limit_pages(100000);
		range_is_free(32 * PAGE, "limit", k);
	}
	result("limit");
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		limit_pages(edges[i]);
		errno = 0;
		EXPECT(map(IOVA, p, MANY * PAGE, RW) < 0 && errno == ENOMEM, "limit %lu: mapped", (long)edges[i]);
		limit_pages(100000);
		range_is_free(MANY * PAGE, "limit", edges[i]);
	}
	result("limit-in-batches");
	limit_pages(MANY);
	EXPECT(!map(IOVA, p, MANY * PAGE, RW), "what the limit allows is not mapped");
	errno = 0;
	EXPECT(map(IOVA + MANY * PAGE, small, PAGE, RW) < 0 && errno == ENOMEM, "one page more than the limit");
	EXPECT(unmap(IOVA, MANY * PAGE) == MANY * PAGE, "not unmapped");
	result("up-to-the-limit");
}

/* --- arguments at the end of memory --- */

/* A page, and none behind it; and one that can only be read, and none behind it. */
static char *end_of_memory;

/* The argument's last bytes are where no memory is; or all of it is where nothing can be written. */
static long straddling(int fd, unsigned long request, const void *arg, size_t size, size_t there, bool constant)
{
	char *at = end_of_memory - there;
	long ret;

	mprotect(end_of_memory - PAGE, PAGE, PROT_READ | PROT_WRITE);
	memcpy(at, arg, there);
	if (constant)
		mprotect(end_of_memory - PAGE, PAGE, PROT_READ);
	errno = 0;
	ret = ioctl(fd, request, at);
	return ret;
}

static void state_line(void)
{
	struct state now = look();

	printf("  locked %ld pins %ld eventfd +%ld interrupts %ld\n", now.locked - start.locked, now.pins - start.pins,
	       now.eventfd - start.eventfd, now.interrupts);
}

static char *arguments_memory;
static int event;

/* Puts everything back as it was. */
static void back(void)
{
	struct vfio_irq_set none = { sizeof(none), VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, 0 };
	struct vfio_iommu_type1_dirty_bitmap stop = { sizeof(stop), VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP };
	struct vfio_iommu_type1_dma_unmap all = { .argsz = sizeof(all), .flags = VFIO_DMA_UNMAP_FLAG_ALL };

	for (none.index = 0; none.index < VFIO_PCI_NUM_IRQS; none.index++)
		ioctl(u.device, VFIO_DEVICE_SET_IRQS, &none);
	ioctl(u.container, VFIO_IOMMU_DIRTY_PAGES, &stop);
	ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &all);
}

static void argument(const char *name, int fd, unsigned long request, const void *arg, size_t size, void (*before)(void))
{
	char shown[512];
	long ret;

	for (size_t there = 0; there <= size; there++) {
		if (before)
			before();
		ret = straddling(fd, request, arg, size, there, false);
		say(ret > 0 ? 1 : ret, "%s with %zu of %zu bytes", name, there, size);
		if (ret > 0 && request == VFIO_DEVICE_FEATURE)
			close(ret);
		if (ret >= 0) {
			memcpy(shown, end_of_memory - there, there);
			hex("  ", shown, there);
		}
		state_line();
		back();
	}
	if (before)
		before();
	ret = straddling(fd, request, arg, size, size, true);
	say(ret > 0 ? 1 : ret, "%s read-only", name);
	if (ret > 0 && request == VFIO_DEVICE_FEATURE)
		close(ret);
	state_line();
	back();
}

static void mapped(void)
{
	if (map(IOVA, arguments_memory, 8 * PAGE, RW))
		fail("MAP_DMA");
}

static void mapped_and_tracked(void)
{
	struct vfio_iommu_type1_dirty_bitmap start_ = { sizeof(start_), VFIO_IOMMU_DIRTY_PAGES_FLAG_START };

	mapped();
	if (ioctl(u.container, VFIO_IOMMU_DIRTY_PAGES, &start_))
		fail("DIRTY_PAGES");
}

static void arguments(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct vfio_device_info device = { .argsz = sizeof(device) };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = VFIO_PCI_MSI_IRQ_INDEX };
	struct vfio_pci_hot_reset_info reset_info = { .argsz = sizeof(reset_info) };
	struct vfio_iommu_type1_dma_unmap unmap_ = { .argsz = sizeof(unmap_), .iova = IOVA, .size = 8 * PAGE };
	struct vfio_iommu_type1_dma_map map_ = { .argsz = sizeof(map_), .flags = RW, .iova = IOVA, .size = 8 * PAGE };
	uint64_t bitmap = 0;
	struct {
		struct vfio_iommu_type1_dma_unmap head;
		struct vfio_bitmap bitmap;
	} unmap_dirty = { { sizeof(unmap_dirty), VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, IOVA, 8 * PAGE },
		{ PAGE, 8, (void *)&bitmap } };
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} dirty = { { sizeof(dirty), VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP }, { IOVA, 8 * PAGE, { PAGE, 8, (void *)&bitmap } } };
	struct {
		struct vfio_irq_set head;
		int fds[1];
	} set = { { sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1 } };
	struct {
		struct vfio_device_feature f;
		struct vfio_device_feature_dma_buf get;
		struct vfio_region_dma_range range;
	} export = { { sizeof(export), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		{ .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 }, { 0, PAGE } };
	struct {
		struct vfio_device_feature f;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} low_power = { { sizeof(low_power), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP } };

	end_of_memory = memory(2 * PAGE) + PAGE;
	munmap(end_of_memory, PAGE);
	arguments_memory = pages(8 * PAGE, false);
	event = eventfd(0, EFD_CLOEXEC);
	map_.vaddr = (uintptr_t)arguments_memory;
	set.fds[0] = event;
	low_power.entry.wakeup_eventfd = -1;
	start = look();
	argument("GET_STATUS", u.group, VFIO_GROUP_GET_STATUS, &status, sizeof(status), NULL);
	argument("SET_CONTAINER", u.group, VFIO_GROUP_SET_CONTAINER, &u.container, sizeof(int), NULL);
	argument("GET_DEVICE_FD", u.group, VFIO_GROUP_GET_DEVICE_FD, "no device", sizeof("no device"), NULL);
	argument("IOMMU_GET_INFO", u.container, VFIO_IOMMU_GET_INFO, &info, sizeof(info), NULL);
	argument("MAP_DMA", u.container, VFIO_IOMMU_MAP_DMA, &map_, sizeof(map_), NULL);
	argument("UNMAP_DMA", u.container, VFIO_IOMMU_UNMAP_DMA, &unmap_, sizeof(unmap_), mapped);
	argument("UNMAP_DMA bitmap", u.container, VFIO_IOMMU_UNMAP_DMA, &unmap_dirty, sizeof(unmap_dirty), mapped_and_tracked);
	argument("DIRTY_PAGES", u.container, VFIO_IOMMU_DIRTY_PAGES, &dirty, sizeof(dirty), mapped_and_tracked);
	argument("GET_INFO", u.device, VFIO_DEVICE_GET_INFO, &device, sizeof(device), NULL);
	argument("GET_REGION_INFO", u.device, VFIO_DEVICE_GET_REGION_INFO, &region, sizeof(region), NULL);
	argument("GET_IRQ_INFO", u.device, VFIO_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq), NULL);
	argument("GET_PCI_HOT_RESET_INFO", u.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &reset_info, sizeof(reset_info), NULL);
	argument("SET_IRQS", u.device, VFIO_DEVICE_SET_IRQS, &set, sizeof(set), NULL);
	argument("dma-buf", u.device, VFIO_DEVICE_FEATURE, &export, sizeof(export), NULL);
	argument("low power", u.device, VFIO_DEVICE_FEATURE, &low_power, sizeof(low_power), NULL);
	/* Where the answer goes, when the argument itself is fine. */
	for (size_t there = 0; there <= 8; there++) {
		mprotect(end_of_memory - PAGE, PAGE, PROT_READ | PROT_WRITE);
		dirty.get.bitmap.data = (void *)(end_of_memory - there);
		mapped_and_tracked();
		ASK(ioctl(u.container, VFIO_IOMMU_DIRTY_PAGES, &dirty), "bitmap with %zu of 8 bytes", there);
		state_line();
		back();
		unmap_dirty.bitmap.data = (void *)(end_of_memory - there);
		mapped_and_tracked();
		ASK(ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &unmap_dirty), "bitmap of unmap with %zu of 8 bytes", there);
		state_line();
		back();
	}
	for (size_t there = 0; there <= 16; there++) {
		ASK(pread(u.device, end_of_memory - there, 16, region.offset), "reading 16 bytes of config with %zu", there);
		ASK(pwrite(u.device, end_of_memory - there, 16, region.offset + 0x40), "writing 16 bytes of config with %zu", there);
	}
	close(event);
}

/* --- file descriptors --- */

static void irqs_with_bad_fds(void)
{
	struct {
		struct vfio_irq_set head;
		int fds[3];
	} set = { { sizeof(set), VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER } };
	struct vfio_irq_info i = { .argsz = sizeof(i) };
	int kinds[] = { 1000, STDOUT_FILENO };

	for (i.index = VFIO_PCI_INTX_IRQ_INDEX; i.index < VFIO_PCI_NUM_IRQS; i.index++) {
		if (ioctl(u.device, VFIO_DEVICE_GET_IRQ_INFO, &i) || !i.count)
			continue;
		for (unsigned int bad = 0; bad < 3 && bad < i.count; bad++)
			for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
				struct state before = look();
				unsigned int count = i.count < 3 ? i.count : 3;

				for (unsigned int k = 0; k < count; k++)
					set.fds[k] = k == bad ? kinds[kind] : eventfd(0, EFD_CLOEXEC);
				set.head.index = i.index;
				set.head.count = count;
				set.head.argsz = sizeof(set.head) + count * sizeof(int);
				errno = 0;
				EXPECT(ioctl(u.device, VFIO_DEVICE_SET_IRQS, &set) && (errno == EBADF || errno == EINVAL),
				       "index %u: bad fd %u", i.index, bad);
				for (unsigned int k = 0; k < count; k++)
					if (k != bad)
						close(set.fds[k]);
				EXPECT(same(&before, "bad fd"), "index %u with bad fd %u left something", i.index, bad);
				for (unsigned int k = 0; k < count; k++)
					set.fds[k] = eventfd(0, EFD_CLOEXEC);
				EXPECT(!ioctl(u.device, VFIO_DEVICE_SET_IRQS, &set), "index %u after bad fd %u", i.index, bad);
				for (unsigned int k = 0; k < count; k++)
					close(set.fds[k]);
				set.head.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
				set.head.count = 0;
				if (ioctl(u.device, VFIO_DEVICE_SET_IRQS, &set))
					fail("SET_IRQS");
				set.head.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
			}
	}
	result("bad-eventfds");
}

static void full_table(void)
{
	struct {
		struct vfio_device_feature f;
		struct vfio_device_feature_dma_buf get;
		struct vfio_region_dma_range range;
	} export = { { sizeof(export), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		{ .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 }, { 0, PAGE } };
	struct rlimit limit, none;
	long fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ 0, limit.rlim_max };
	close(u.device);
	u.device = -1;
	setrlimit(RLIMIT_NOFILE, &none);
	errno = 0;
	EXPECT(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf) < 0 && errno == EMFILE, "device without room for a descriptor");
	errno = 0;
	EXPECT(open("/dev/vfio/vfio", O_RDWR) < 0 && errno == EMFILE, "container without room for a descriptor");
	setrlimit(RLIMIT_NOFILE, &limit);
	/* Refused if the container thought that a device were still in use. */
	EXPECT(!ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "a device is left open");
	if (ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container) || ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("SET_IOMMU");
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	EXPECT(u.device >= 0, "the device does not open any more");
	result("no-descriptor-for-a-device");

	fd = ioctl(u.device, VFIO_DEVICE_FEATURE, &export);
	if (fd < 0) {
		printf("ok 0 no-descriptor-for-a-dma-buf # SKIP no dma-bufs\n");
		return;
	}
	close(fd);
	setrlimit(RLIMIT_NOFILE, &none);
	errno = 0;
	EXPECT(ioctl(u.device, VFIO_DEVICE_FEATURE, &export) < 0 && errno == EMFILE, "dma-buf without room for a descriptor");
	setrlimit(RLIMIT_NOFILE, &limit);
	fd = ioctl(u.device, VFIO_DEVICE_FEATURE, &export);
	EXPECT(fd >= 0, "no dma-buf afterwards");
	close(fd);
	result("no-descriptor-for-a-dma-buf");
}

static void files(void)
{
	irqs_with_bad_fds();
	full_table();
}

/* --- signals --- */

static pid_t mapping_process(char *p, uint64_t size)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		map(IOVA, p, size, RW);
		_exit(1);
	}
	return pid;
}

/* Killed with all its memory there: it stops though nothing makes it wait. */
static void killed_in_full_run(void)
{
	const uint64_t count = 65536;
	char *p = memory(count * PAGE);
	long acquired, before;
	int status;
	pid_t pid;

	madvise(p, count * PAGE, MADV_NOHUGEPAGE);
	before = pins_ever();
	pid = mapping_process(p, count * PAGE);
	do {
		acquired = pins_ever() - before;
	} while (!acquired && !waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	/* How far it came is luck; what it left is not. */
	printf("# killed after %ld pages it had pinned %ld\n", acquired,
	       pins_ever() - before);
	unmap(IOVA, count * PAGE);
	munmap(p, count * PAGE);
	result("killed-at-any-point");
}

static volatile int signals_seen;

static void on_signal(int signal)
{
	signals_seen++;
}

/* Signals that do not kill disturb nothing, however many arrive. */
static void signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = {};
	const uint64_t count = 8192;
	char *p;

	killed_in_full_run();
	sigaction(SIGALRM, &action, NULL);
	for (int round = 0; round < 3; round++) {
		p = memory(count * PAGE);
		madvise(p, count * PAGE, MADV_NOHUGEPAGE);
		setitimer(ITIMER_REAL, &often, NULL);
		EXPECT(!map(IOVA, p, count * PAGE, RW), "a signal disturbed a mapping");
		EXPECT(unmap(IOVA, count * PAGE) == (long)(count * PAGE), "a signal disturbed an unmapping");
		setitimer(ITIMER_REAL, &never, NULL);
		munmap(p, count * PAGE);
	}
	printf("# %d signals arrived\n", signals_seen);
	result("signals-while-mapping");
}

/* --- memory of a cgroup --- */

/* Takes all that the cgroup gives, by mappings that share a page, windows of the IOMMU's page tables, eventfds. */
static void take_all(void)
{
	char *p = pages(PAGE, false);
	struct vfio_user v;

	v = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	u = v;
	for (uint64_t i = 0; i < 70000; i++)
		if (map(i * 0x40000000UL % 0x8000000000UL + i / 512 * PAGE, p, PAGE, RW))
			break;
	_exit(0);
}

/*
 * Pinning 256 MiB that nobody has touched, when the cgroup has room for some pages only: the kernel kills it in the middle
 * of that, at the same page on a slow machine as on a fast one, and it has to stop there.
 */
static void killed_while_mapping(const char *cgroup)
{
	static const long room[] = { 100, 511, 600, 3000, 9000 };
	const uint64_t count = 65536;
	char *p = memory(count * PAGE);
	long acquired;
	int status;
	pid_t pid;

	madvise(p, count * PAGE, MADV_NOHUGEPAGE);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	start = look();
	for (size_t i = 0; i < ARRAY_SIZE(room); i++) {
		acquired = pins_ever();
		fflush(stdout);
		pid = fork();
		if (!pid) {
			enter(cgroup, room[i] * PAGE);
			_exit(map(IOVA, p, count * PAGE, RW) ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		leave(cgroup);
		acquired = pins_ever() - acquired;
		printf("# room for %ld pages: %ld pinned\n", room[i], acquired);
		EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "room for %ld pages: not killed, %x", room[i], status);
		EXPECT(acquired <= room[i] + 1024, "room for %ld pages: went on to pin %ld", room[i], acquired);
		range_is_free(count * PAGE, "killed, room for", room[i]);
	}
	munmap(p, count * PAGE);
	result("killed-while-mapping");
	close_all(&u);
}

static void memory_of_cgroup(const char *cgroup)
{
	static const unsigned int room[] = { 64, 128, 300, 517, 1024, 2048, 4096 };
	int status;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(room); i++) {
		fflush(stdout);
		pid = fork();
		if (!pid) {
			enter(cgroup, room[i] * 1024L);
			take_all();
		}
		waitpid(pid, &status, 0);
		EXPECT((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || status == 0, "%u kB: it ended with %x", room[i], status);
		printf("# %u kB: %s\n", room[i], WIFSIGNALED(status) ? "killed" : "refused");
		leave(cgroup);
		EXPECT(same(&start, "no memory"), "%u kB: left something", room[i]);
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		range_is_free(PAGE, "after", room[i]);
		close_all(&u);
	}
	result("no-memory");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} sections[] = {
		{ "pages", bad_pages_of_all_kinds }, { "limit", limits }, { "arguments", arguments },
		{ "files", files }, { "signals", signals },
	};

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Addresses are part of the answers to arguments. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", argv);
	}
	bdf = watched_devices[0] = argv[2];
	if (!strcmp(argv[1], "memory")) {
		start = look();
		memory_of_cgroup(argv[3]);
		killed_while_mapping(argv[3]);
		return !!wrong;
	}
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	start = look();
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(argv[1], sections[i].name))
			sections[i].run();
	close_all(&u);
	return !!wrong;
}
