// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes, counts, starts, addresses of each call at their edges, one by one and two at a time (attack_fields.h). What C does with
 * some of these is undefined, so it is not asked.
 *
 * usage: attack_fields memory|device|vectors BDF BDF2
 *        attack_fields logging|migration MDEV BDF2              (MDEV: a serial port of the sample mtty)
 */
#include "attack_fields.h"
#include "../state.h"
#include "../dirty.h"

static struct vfio_user u;

/* The structures that have others behind them, in one piece. */
struct unmap_arg { struct vfio_iommu_type1_dma_unmap head; struct vfio_bitmap bitmap; };
struct dirty_arg { struct vfio_iommu_type1_dirty_bitmap head; struct vfio_iommu_type1_dirty_bitmap_get get; };
struct range { uint64_t offset, length; };
struct export_arg { struct vfio_device_feature head; uint32_t index, open_flags, flags, count; struct range ranges[3]; };
struct wakeup_arg { struct vfio_device_feature head; struct vfio_device_low_power_entry_with_wakeup entry; };
struct state_arg { struct vfio_device_feature head; struct vfio_device_feature_mig_state state; };
struct log_arg { struct vfio_device_feature head; struct vfio_device_feature_dma_logging_control control; };
struct report_arg { struct vfio_device_feature head; struct vfio_device_feature_dma_logging_report report; };

/* Whether a range of addresses does not wrap, and is within another. */
static bool within(uint64_t at, uint64_t size, uint64_t start, uint64_t end)
{
	return size && at + (size - 1) >= at && at >= start && at + (size - 1) <= end;
}

#define ALIGNED(value) (!((value) % PAGE))

/* --- mappings --------------------------------------------------------------------------------------------------------- */

#define ARENA (16 * PAGE)
#define FIRST 0x100000UL

static char *arena;
static struct vfio_iova_range usable[8];
static unsigned usables;

/* Which addresses the IOMMU takes. */
static void learn_ranges(void)
{
	struct { struct vfio_iommu_type1_info info; uint8_t caps[1024]; } arg = { .info.argsz = sizeof(arg) };
	struct vfio_iommu_type1_info_cap_iova_range *cap;

	if (ioctl(u.container, VFIO_IOMMU_GET_INFO, &arg))
		fail("VFIO_IOMMU_GET_INFO");
	for (uint32_t at = arg.info.cap_offset; at; at = cap->header.next) {
		cap = (void *)&arg + at;
		if (cap->header.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			for (; usables < cap->nr_iovas && usables < ARRAY_SIZE(usable); usables++)
				usable[usables] = cap->iova_ranges[usables];
	}
	if (!usables)
		fail("no ranges");
}

static bool may_map(const void *arg)
{
	const struct vfio_iommu_type1_dma_map *m = arg;

	if (m->argsz < sizeof(*m) || !m->flags || m->flags & ~3 || !ALIGNED(m->vaddr | m->iova | m->size))
		return false;
	if (!within(m->vaddr, m->size, (uintptr_t)arena, (uintptr_t)arena + ARENA - 1))
		return false;
	for (unsigned i = 0; i < usables; i++)
		if (within(m->iova, m->size, usable[i].start, usable[i].end))
			return true;
	return false;
}

/* What a refused call has locked stays, so that not each has to be looked at. */
static void locked_is(uint64_t bytes, const char *when, long ret)
{
	if (ret < 0 && calls_made % 8)
		return;
	if (locked_kib() * 1024 == (long)bytes)
		return;
	wrong++;
	if (complaints++ < MOST_COMPLAINTS)
		fprintf(stderr, "WRONG: %s: %ld kB are locked after %ld\n", when, locked_kib(), ret);
}

static void after_map(const void *before, const void *arg, long ret)
{
	const struct vfio_iommu_type1_dma_map *m = before;
	struct vfio_iommu_type1_dma_unmap un = { .argsz = sizeof(un), .iova = m->iova, .size = m->size };

	locked_is(ret ? 0 : m->size, "map", ret);
	if (ret)
		/* What is not there now could be: nothing is half mapped. */
		return;
	if (ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &un) || un.size != m->size)
		locked_is(-1, "what was mapped cannot be unmapped", 0);
	locked_is(0, "unmap", 0);
}

/* Eight pages, and behind a gap one. What a bitmap of them takes is a word; the others must stay as they are. */
#define MAPPED (9 * PAGE)

static uint64_t *bits;
static bool tracked;

static void map_nine(void)
{
	if (map(u.container, FIRST, arena, 8 * PAGE) || map(u.container, 2 * FIRST, arena + 8 * PAGE, PAGE))
		fail("mapping nine pages");
}

static void nine_bits(void)
{
	bits[0] = 0;
	for (size_t i = 1; i < 8; i++)
		bits[i] = 0x5a5a5a5a5a5a5a5a;
}

/* Whatever was asked to be written to that bitmap, the word behind it is as it was. */
static void bits_are_left(const struct vfio_bitmap *bitmap, const char *when, long ret)
{
	for (size_t i = 1; i < 8 && bitmap->data == (void *)bits; i++)
		if (bits[i] != 0x5a5a5a5a5a5a5a5a)
			locked_is(-1, when, 0);
	nine_bits();
}

static bool may_bitmap(uint64_t size, const struct vfio_bitmap *bitmap)
{
	return tracked && bitmap->pgsize == PAGE && size >= PAGE && bitmap->size >= (size / PAGE + 63) / 64 * 8;
}

static bool may_unmap(const void *arg)
{
	const struct unmap_arg *a = arg;
	uint32_t flags = a->head.flags;

	if (a->head.argsz < sizeof(a->head) || flags & ~7)
		return false;
	if (flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP &&
	    (flags != VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP || a->head.argsz < sizeof(*a) || !may_bitmap(a->head.size, &a->bitmap)))
		return false;
	if (flags & VFIO_DMA_UNMAP_FLAG_ALL)
		return !a->head.iova && !a->head.size;
	return ALIGNED(a->head.iova | a->head.size) && within(a->head.iova, a->head.size, 0, -1ULL);
}

static void after_unmap(const void *before, const void *arg, long ret)
{
	const struct unmap_arg *a = before;
	const struct vfio_iommu_type1_dma_unmap *un = &a->head, *done = arg;
	bool stays = ret || un->flags & VFIO_DMA_UNMAP_FLAG_VADDR;

	bits_are_left(&a->bitmap, "unmap wrote behind the bitmap", ret);
	locked_is(stays ? MAPPED : MAPPED - done->size, "unmap", ret);
	if (ret)
		return;
	if (unmap_all(u.container))
		fail("unmap all");
	map_nine();
}

static bool may_dirty(const void *arg)
{
	const struct dirty_arg *a = arg;

	if (a->head.argsz < sizeof(a->head))
		return false;
	if (a->head.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_START || a->head.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)
		return true;
	return a->head.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP && a->head.argsz >= sizeof(*a) &&
	       ALIGNED(a->get.iova | a->get.size) && within(a->get.iova, a->get.size, 0, -1ULL) &&
	       may_bitmap(a->get.size, &a->get.bitmap);
}

static void after_dirty(const void *before, const void *arg, long ret)
{
	const struct dirty_arg *a = before;

	bits_are_left(&a->get.bitmap, "something wrote behind the bitmap", ret);
	locked_is(MAPPED, "dirty pages", ret);
	if (!ret && a->head.flags != VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP &&
	    tracking(u.container, tracked ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START : VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP))
		fail("tracking");
}

static bool may_info(const void *arg)
{
	const struct vfio_iommu_type1_info *info = arg;

	return info->argsz >= offsetof(struct vfio_iommu_type1_info, cap_offset);
}

static void memory_calls(void)
{
	char *around = memory(3 * ARENA);
	struct vfio_iommu_type1_dma_map m = { sizeof(m), 3, 0, FIRST, 4 * PAGE };
	struct unmap_arg un = { { sizeof(un), VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, FIRST, 8 * PAGE }, {} };
	struct dirty_arg dirty = { { sizeof(dirty), VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP }, { FIRST, 8 * PAGE, {} } };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct call calls[] = {
		{ "GET_INFO", u.container, VFIO_IOMMU_GET_INFO,
		  { FIELD(struct vfio_iommu_type1_info, argsz), FIELD(struct vfio_iommu_type1_info, flags),
		    FIELD(struct vfio_iommu_type1_info, iova_pgsizes), FIELD(struct vfio_iommu_type1_info, cap_offset) },
		  &info, sizeof(info), may_info, { EINVAL, EFAULT } },
		{ "MAP_DMA", u.container, VFIO_IOMMU_MAP_DMA,
		  { FIELD(struct vfio_iommu_type1_dma_map, argsz), FIELD(struct vfio_iommu_type1_dma_map, flags),
		    FIELD(struct vfio_iommu_type1_dma_map, vaddr), FIELD(struct vfio_iommu_type1_dma_map, iova),
		    FIELD(struct vfio_iommu_type1_dma_map, size) },
		  &m, sizeof(m), may_map, { EINVAL, EFAULT, ENOMEM, EOVERFLOW, ENOENT }, after_map },
		{ "UNMAP_DMA", u.container, VFIO_IOMMU_UNMAP_DMA,
		  { FIELD(struct unmap_arg, head.argsz), FIELD(struct unmap_arg, head.flags), FIELD(struct unmap_arg, head.iova),
		    FIELD(struct unmap_arg, head.size), FIELD(struct unmap_arg, bitmap.pgsize), FIELD(struct unmap_arg, bitmap.size),
		    FIELD(struct unmap_arg, bitmap.data) },
		  &un, sizeof(un), may_unmap, { EINVAL, EFAULT, EOVERFLOW, EBUSY }, after_unmap },
		{ "DIRTY_PAGES", u.container, VFIO_IOMMU_DIRTY_PAGES,
		  { FIELD(struct dirty_arg, head.argsz), FIELD(struct dirty_arg, head.flags), FIELD(struct dirty_arg, get.iova),
		    FIELD(struct dirty_arg, get.size), FIELD(struct dirty_arg, get.bitmap.pgsize),
		    FIELD(struct dirty_arg, get.bitmap.size), FIELD(struct dirty_arg, get.bitmap.data) },
		  &dirty, sizeof(dirty), may_dirty, { EINVAL, EFAULT, EOVERFLOW }, after_dirty },
	};

	/* Nothing is around it. */
	munmap(around, ARENA);
	munmap(around + 2 * ARENA, ARENA);
	arena = around + ARENA;
	m.vaddr = (uintptr_t)arena;
	bits = memory(PAGE);
	un.bitmap = dirty.get.bitmap = (struct vfio_bitmap){ PAGE, 8, (void *)bits };
	learn_ranges();
	sweep(&calls[0]);
	sweep(&calls[1]);
	map_nine();
	nine_bits();
	if (tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START))
		fail("tracking");
	tracked = true;
	sweep(&calls[2]);
	sweep(&calls[3]);
	if (tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP))
		fail("tracking");
	tracked = false;
	calls[2].name = "UNMAP_DMA, nothing tracked";
	calls[3].name = "DIRTY_PAGES, nothing tracked";
	sweep(&calls[2]);
	sweep(&calls[3]);
	unmap_all(u.container);
	locked_is(0, "at the end", 0);
}

/* --- devices ---------------------------------------------------------------------------------------------------------- */

static uint64_t bar_size;
static int event;

static bool may_region(const void *arg)
{
	const struct vfio_region_info *info = arg;

	return info->argsz >= sizeof(*info) && info->index < VFIO_PCI_NUM_REGIONS;
}

static bool may_irq(const void *arg)
{
	const struct vfio_irq_info *info = arg;

	return info->argsz >= sizeof(*info) && info->index < VFIO_PCI_NUM_IRQS;
}

static bool may_device(const void *arg)
{
	return ((const struct vfio_device_info *)arg)->argsz >= offsetof(struct vfio_device_info, cap_offset);
}

static bool may_status(const void *arg)
{
	return ((const struct vfio_group_status *)arg)->argsz >= sizeof(struct vfio_group_status);
}

static bool may_hot_info(const void *arg)
{
	return ((const struct vfio_pci_hot_reset_info *)arg)->argsz >= sizeof(struct vfio_pci_hot_reset_info);
}

static bool may_ioeventfd(const void *arg)
{
	const struct vfio_device_ioeventfd *io = arg;
	uint64_t at = io->offset & ((1ULL << 40) - 1);

	return io->argsz >= sizeof(*io) - sizeof(io->reserved) && (io->flags == 1 || io->flags == 2 || io->flags == 4 || io->flags == 8) &&
	       io->offset >> 40 == 0 && within(at, io->flags, 0, bar_size - 1) && io->fd == event;
}

static void after_ioeventfd(const void *before, const void *arg, long ret)
{
	struct vfio_device_ioeventfd io = *(const struct vfio_device_ioeventfd *)before;

	io.fd = -1;
	if (!ret && ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io))
		fail("taking away an ioeventfd");
}

static bool may_export(const void *arg)
{
	const struct export_arg *a = arg;
	uint64_t sum = 0;

	if (a->head.argsz < offsetof(struct export_arg, ranges) || a->index >= VFIO_PCI_ROM_REGION_INDEX || a->flags || !a->count || a->count > 3)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		if (!ALIGNED(a->ranges[i].offset | a->ranges[i].length) ||
		    !within(a->ranges[i].offset, a->ranges[i].length, 0, bar_size - 1) || sum + a->ranges[i].length < sum)
			return false;
		sum += a->ranges[i].length;
	}
	return a->head.flags == (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF) ||
	       a->head.flags & VFIO_DEVICE_FEATURE_PROBE;
}

/* With flags of other features it may be anything. */
static bool may_feature(const void *arg)
{
	return ((const struct export_arg *)arg)->head.flags != (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF) || may_export(arg);
}

static void after_export(const void *before, const void *arg, long ret)
{
	if (ret > 0)
		close(ret);
}

static bool may_sleep(const void *arg)
{
	const struct wakeup_arg *a = arg;

	return a->head.argsz >= sizeof(*a) && a->entry.wakeup_eventfd == event;
}

static void after_sleep(const void *before, const void *arg, long ret)
{
	struct vfio_device_feature wake = { sizeof(wake), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT };

	if (!ret && ioctl(u.device, VFIO_DEVICE_FEATURE, &wake))
		fail("LOW_POWER_EXIT");
}

static bool never(const void *arg)
{
	return false;
}

static void device_calls(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_device_info device = { .argsz = sizeof(device) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	struct { struct vfio_pci_hot_reset_info h; struct vfio_pci_dependent_device d[2]; } hot_info = { .h.argsz = sizeof(hot_info) };
	struct { struct vfio_pci_hot_reset h; int32_t fds[2]; } hot = { { .argsz = sizeof(hot), .count = 2 }, { u.device, event } };
	struct vfio_device_ioeventfd io = { sizeof(io), 4, 0x10, 0, event };
	struct export_arg export = { { sizeof(export), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		0, O_RDWR | O_CLOEXEC, 0, 3, { { 0, PAGE }, { PAGE, PAGE }, { 4 * PAGE, 2 * PAGE } } };
	struct call calls[] = {
		{ "GROUP_GET_STATUS", u.group, VFIO_GROUP_GET_STATUS,
		  { FIELD(struct vfio_group_status, argsz), FIELD(struct vfio_group_status, flags) },
		  &status, sizeof(status), may_status, { EINVAL, EFAULT } },
		{ "DEVICE_GET_INFO", u.device, VFIO_DEVICE_GET_INFO,
		  { FIELD(struct vfio_device_info, argsz), FIELD(struct vfio_device_info, flags),
		    FIELD(struct vfio_device_info, num_regions), FIELD(struct vfio_device_info, cap_offset) },
		  &device, sizeof(device), may_device, { EINVAL, EFAULT } },
		{ "GET_REGION_INFO", u.device, VFIO_DEVICE_GET_REGION_INFO,
		  { FIELD(struct vfio_region_info, argsz), FIELD(struct vfio_region_info, flags), FIELD(struct vfio_region_info, index),
		    FIELD(struct vfio_region_info, cap_offset), FIELD(struct vfio_region_info, size), FIELD(struct vfio_region_info, offset) },
		  &region, sizeof(region), may_region, { EINVAL, EFAULT } },
		{ "GET_IRQ_INFO", u.device, VFIO_DEVICE_GET_IRQ_INFO,
		  { FIELD(struct vfio_irq_info, argsz), FIELD(struct vfio_irq_info, flags), FIELD(struct vfio_irq_info, index),
		    FIELD(struct vfio_irq_info, count) },
		  &irq, sizeof(irq), may_irq, { EINVAL, EFAULT } },
		{ "GET_PCI_HOT_RESET_INFO", u.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
		  { FIELD(struct vfio_pci_hot_reset_info, argsz), FIELD(struct vfio_pci_hot_reset_info, flags),
		    FIELD(struct vfio_pci_hot_reset_info, count) },
		  &hot_info, sizeof(hot_info), may_hot_info, { EINVAL, EFAULT, ENOSPC } },
		{ "IOEVENTFD", u.device, VFIO_DEVICE_IOEVENTFD,
		  { FIELD(struct vfio_device_ioeventfd, argsz), FIELD(struct vfio_device_ioeventfd, flags),
		    FIELD(struct vfio_device_ioeventfd, offset), FIELD(struct vfio_device_ioeventfd, data),
		    FIELD(struct vfio_device_ioeventfd, fd) },
		  &io, sizeof(io), may_ioeventfd, { EINVAL, EFAULT, EBADF, ENODEV }, after_ioeventfd },
		{ "a dma-buf", u.device, VFIO_DEVICE_FEATURE,
		  { FIELD(struct export_arg, head.argsz), FIELD(struct export_arg, head.flags), FIELD(struct export_arg, index),
		    FIELD(struct export_arg, flags), FIELD(struct export_arg, count), FIELD(struct export_arg, ranges[0].offset),
		    FIELD(struct export_arg, ranges[0].length), FIELD(struct export_arg, ranges[2].offset),
		    FIELD(struct export_arg, ranges[2].length) },
		  &export, sizeof(export), may_feature, { EINVAL, EFAULT, ENODEV, ENOTTY, ENOMEM, EOVERFLOW, EBADF }, after_export },
	};
	struct wakeup_arg wakeup = { { sizeof(wakeup), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP }, { event } };
	struct call sleep = { "LOW_POWER_ENTRY_WITH_WAKEUP", u.device, VFIO_DEVICE_FEATURE,
		{ FIELD(struct wakeup_arg, head.argsz), FIELD(struct wakeup_arg, entry.wakeup_eventfd) },
		&wakeup, sizeof(wakeup), may_sleep, { EINVAL, EFAULT, EBADF }, after_sleep };
	struct call reset = { "PCI_HOT_RESET", u.device, VFIO_DEVICE_PCI_HOT_RESET,
		{ FIELD(struct vfio_pci_hot_reset, argsz), FIELD(struct vfio_pci_hot_reset, flags),
		  FIELD(struct vfio_pci_hot_reset, count), { "fds[0]", 12, 4 }, { "fds[1]", 16, 4 } },
		/* ENOTTY: next to a device's descriptor is the group's, with which it would be right. */
		&hot, sizeof(hot), never, { EINVAL, EFAULT, EBADF, ENOMEM, ENOTTY } };

	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("region");
	bar_size = region.size;
	region = (struct vfio_region_info){ .argsz = sizeof(region) };
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		sweep(&calls[i]);
	/* Nothing but a dma-buf, and of that only what is in the BAR. */
	calls[6].fields[1] = (struct field)FIELD(struct export_arg, open_flags);
	calls[6].may = may_export;
	sweep(&calls[6]);
	sweep(&reset);
	sweep(&sleep);
	locked_is(0, "at the end", 0);
}

/* --- interrupts -------------------------------------------------------------------------------------------------------- */

#define VECTORS 128

struct irqs { struct vfio_irq_set set; int32_t fds[VECTORS]; };

static bool may_set(const struct irqs *arg, const struct vfio_irq_info *info)
{
	uint32_t data = arg->set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK, action = arg->set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	uint64_t width = data == VFIO_IRQ_SET_DATA_EVENTFD ? 4 : data == VFIO_IRQ_SET_DATA_BOOL;

	return arg->set.argsz >= sizeof(arg->set) + arg->set.count * width && !(arg->set.flags & ~63) && data && !(data & (data - 1)) &&
	       action && !(action & (action - 1)) && (uint64_t)arg->set.start + arg->set.count <= info->count &&
	       arg->set.start < info->count;
}

/* All kinds of data and actions, right and wrong, of each kind of interrupt, with starts and counts that overflow together. */
static void vectors(void)
{
	static struct irqs arg;

	event = eventfd(0, EFD_NONBLOCK);
	for (uint32_t index = 0; index < VFIO_PCI_NUM_IRQS + 2; index++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
		unsigned made = 0, done = 0;
		uint32_t n;

		if (ioctl(u.device, VFIO_DEVICE_GET_IRQ_INFO, &info))
			info.count = 0;
		n = info.count;
		for (uint32_t flags = 0; flags < 128; flags++) {
			uint32_t values[] = { 0, 1, n - 1, n, n + 1, 0x40000000, 0x7fffffff, 0x80000000, -n, 0xfffffffe, 0xffffffff };

			for (size_t i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(values) * 3; i++) {
				uint32_t start = values[i % ARRAY_SIZE(values)], count = values[i / ARRAY_SIZE(values) % ARRAY_SIZE(values)];
				uint32_t size = sizeof(arg.set) + (count > VECTORS ? VECTORS : count) * 4;
				long ret;

				arg.set = (struct vfio_irq_set){ (uint32_t[]){ size, size - 1, 0xffffffff }[i / ARRAY_SIZE(values) / ARRAY_SIZE(values)],
					flags, index, start, count };
				for (size_t fd = 0; fd < VECTORS; fd++)
					arg.fds[fd] = event;
				errno = 0;
				ret = ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg);
				made++;
				done += !ret;
				/* ERANGE: to begin with no vector at all. */
				if (ret ? errno != EINVAL && errno != ENOTTY && errno != EFAULT && (count || errno != ERANGE) : !may_set(&arg, &info))
					if (wrong++ < MOST_COMPLAINTS)
						fprintf(stderr, "WRONG: index %u of %u, argsz %x, flags %x, start %x, count %x: %ld %s\n", index, n,
							arg.set.argsz, flags, start, count, ret, error_name(ret ? errno : 0));
				if (!ret)
					set_irq(u.device, NO_IRQ, index, 0, 0);
			}
		}
		EXPECT(!interrupts(), "index %u: %ld interrupts are left", index, interrupts());
		EXPECT(!n || done, "index %u: nothing can be set", index);
		printf("index %u: %u calls, %u were done\n", index, made, done);
	}
}

/* --- DMA logging -------------------------------------------------------------------------------------------------------- */

static struct vfio_device_feature_dma_logging_range *log_ranges;

static bool may_log(const void *arg)
{
	const struct log_arg *a = arg;
	uint64_t page = a->control.page_size, bytes = a->control.num_ranges * sizeof(*log_ranges);
	struct vfio_device_feature_dma_logging_range r;

	if (a->head.argsz < sizeof(*a) || !within(a->control.ranges, bytes, (uintptr_t)(log_ranges + 4) - PAGE, (uintptr_t)(log_ranges + 4) - 1))
		return false;
	for (uint32_t i = 0; i < a->control.num_ranges; i++) {
		memcpy(&r, (void *)a->control.ranges + i * sizeof(r), sizeof(r));
		if ((r.iova | r.length) & (page - 1) || r.iova + r.length < r.iova)
			return false;
	}
	return true;
}

static void after_log(const void *before, const void *arg, long ret)
{
	struct vfio_device_feature stop = { sizeof(stop), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP };

	if (!ret && ioctl(u.device, VFIO_DEVICE_FEATURE, &stop))
		fail("stopping the log");
}

static bool may_report(const void *arg)
{
	const struct report_arg *a = arg;
	uint64_t page = a->report.page_size;

	return a->head.argsz >= sizeof(*a) && page >= PAGE && !(page & (page - 1)) &&
	       a->report.iova + a->report.length >= a->report.iova;
}

static bool may_state(const void *arg)
{
	const struct state_arg *a = arg;

	return a->head.argsz >= sizeof(*a) && a->state.device_state && a->state.device_state <= VFIO_DEVICE_STATE_PRE_COPY_P2P;
}

/* Data comes in a file. */
static void after_state(const void *before, const void *arg, long ret)
{
	const struct state_arg *done = arg;

	if (!ret && done->state.data_fd >= 0 && close(done->state.data_fd))
		fail("the file of the data");
	if (ioctl(u.device, VFIO_DEVICE_RESET))
		fail("reset");
}

static void migration(void)
{
	struct state_arg state = { { sizeof(state), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE },
		{ VFIO_DEVICE_STATE_STOP_COPY, -1 } };
	struct call call = { "MIG_DEVICE_STATE", u.device, VFIO_DEVICE_FEATURE,
		{ FIELD(struct state_arg, head.argsz), FIELD(struct state_arg, state.device_state), FIELD(struct state_arg, state.data_fd) },
		&state, sizeof(state), may_state, { EINVAL, EFAULT }, after_state, .tells = true };
	int next = dup(0);

	close(next);
	sweep(&call);
	EXPECT(dup(0) == next, "a descriptor is left");
	close(next);
}

static void logging(void)
{
	char *room = memory(2 * PAGE);
	struct log_arg log = { { sizeof(log), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START }, { .page_size = PAGE, .num_ranges = 4 } };
	struct report_arg report = { { sizeof(report), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT },
		{ 0x100000, 8 * PAGE, PAGE, (uintptr_t)room } };
	struct call start = { "DMA_LOGGING_START", u.device, VFIO_DEVICE_FEATURE,
		{ FIELD(struct log_arg, head.argsz), FIELD(struct log_arg, control.page_size), FIELD(struct log_arg, control.num_ranges),
		  FIELD(struct log_arg, control.__reserved), FIELD(struct log_arg, control.ranges) },
		&log, sizeof(log), may_log, { EINVAL, EFAULT, E2BIG, EOVERFLOW, ENOMEM }, after_log };
	struct call get = { "DMA_LOGGING_REPORT", u.device, VFIO_DEVICE_FEATURE,
		{ FIELD(struct report_arg, head.argsz), FIELD(struct report_arg, report.iova), FIELD(struct report_arg, report.length),
		  FIELD(struct report_arg, report.page_size), FIELD(struct report_arg, report.bitmap) },
		/* EOPNOTSUPP: without iommufd the kernel has no bitmaps for that. */
		&report, sizeof(report), may_report, { EINVAL, EFAULT, EOVERFLOW, ENOMEM, EOPNOTSUPP } };
	static const uint64_t ends[][2] = {
		{ -PAGE, PAGE }, { -2 * PAGE, PAGE }, { 0, -PAGE }, { PAGE, -PAGE }, { 1ULL << 63, 1ULL << 63 }, { 0, 0 },
	};

	log_ranges = (void *)(room + PAGE - 4 * sizeof(*log_ranges));
	mprotect(room + PAGE, PAGE, PROT_NONE);
	log.control.ranges = (uintptr_t)log_ranges;
	for (unsigned i = 0; i < 4; i++)
		log_ranges[i] = (struct vfio_device_feature_dma_logging_range){ 16 * i * PAGE, 8 * PAGE };
	sweep(&start);
	sweep_all(&get);
	/* Ranges that wrap, or go to the end of everything. */
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		log_ranges[3] = (struct vfio_device_feature_dma_logging_range){ ends[i][0], ends[i][1] };
		complaints = 0;
		make(&start, (uint8_t *)&log);
	}
}

int main(int argc, char **argv)
{
	static const struct attack attacks[] = {
		{ "memory", memory_calls }, { "device", device_calls }, { "vectors", vectors }, { "logging", logging }, { "migration", migration },
	};
	int result;

	prepare(argc, argv);
	become_user();
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	event = eventfd(0, EFD_NONBLOCK);
	result = run_attack(attacks, ARRAY_SIZE(attacks), argv[1]);
	close_all(&u);
	return result;
}
