// SPDX-License-Identifier: GPL-2.0
/*
 * What is asked of an open device, with failures. usage: faults_device SECTION BDF
 * The device is bound to vfio-pci and alone in its group. SECTION: info irqs access features resets, or all of them.
 * FAULTS_IRQ=msix and the like: irqs of this kind only.
 */
#include "faults_pci.h"

#include "../dma-buf/importer.h"

#include <linux/pci_regs.h>
#include <sys/uio.h>

/* --- what it is --- */

static struct vfio_device_info device_info;
static union {
	struct vfio_region_info info;
	char bytes[256];
} region;
static struct vfio_irq_info irq_info;
static union {
	struct vfio_pci_hot_reset_info info;
	char bytes[256];
} reset_info;
static unsigned int which;

static long get_info(void)
{
	device_info.argsz = sizeof(device_info);
	return ioctl(u.device, VFIO_DEVICE_GET_INFO, &device_info);
}

static long get_region_info(void)
{
	region.info.argsz = sizeof(region);
	region.info.index = which;
	return ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region);
}

static long get_irq_info(void)
{
	irq_info.argsz = sizeof(irq_info);
	irq_info.index = which;
	return ioctl(u.device, VFIO_DEVICE_GET_IRQ_INFO, &irq_info);
}

static long get_reset_info(void)
{
	reset_info.info.argsz = sizeof(reset_info);
	return ioctl(u.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &reset_info);
}

static void operation_of(const char *name, unsigned int index, struct operation op)
{
	char text[64];

	snprintf(text, sizeof(text), "%s-%u", name, index);
	op.name = text;
	which = index;
	operation(&op);
}

static bool has_reset_info(void)
{
	return !get_reset_info();
}

static void info(void)
{
	uint64_t size;

	OPERATION("info", .run = get_info, .answer = &device_info, .size = sizeof(device_info));
	for (unsigned int i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		if (region_offset(i, &size, NULL) && size)
			operation_of("region-info", i, (struct operation){
				.run = get_region_info, .answer = &region, .size = sizeof(region) });
	for (unsigned int i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		which = i;
		if (!get_irq_info())
			operation_of("irq-info", i, (struct operation){
				.run = get_irq_info, .answer = &irq_info, .size = sizeof(irq_info) });
	}
	if (has_reset_info())
		OPERATION("reset-info", .run = get_reset_info, .answer = &reset_info, .size = sizeof(reset_info));
}

/* --- interrupts --- */

#define MOST_VECTORS 4
static int events[2 * MOST_VECTORS];
static unsigned int irq_index, vectors;

static int set_irqs(unsigned int index, uint32_t flags, unsigned int start, unsigned int count, const void *data, size_t size)
{
	struct {
		struct vfio_irq_set head;
		char data[64];
	} arg = { { sizeof(arg.head) + size, flags, index, start, count } };

	memcpy(arg.head.data, data, size);
	return ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg);
}

#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD

static long enable(void)
{
	return set_irqs(irq_index, EVENTFD | TRIGGER, 0, vectors, events, vectors * sizeof(int));
}

static long disable(void)
{
	return set_irqs(irq_index, VFIO_IRQ_SET_DATA_NONE | TRIGGER, 0, 0, NULL, 0);
}

static bool enabled(void)
{
	return !enable();
}

/* Other eventfds for all but the first. */
static long exchange(void)
{
	return set_irqs(irq_index, EVENTFD | TRIGGER, 0, vectors, events + MOST_VECTORS, vectors * sizeof(int));
}

static long take_one_away(void)
{
	int none = -1;

	return set_irqs(irq_index, EVENTFD | TRIGGER, 0, 1, &none, sizeof(none));
}

/* Only where vectors may be added later; else refused, always. */
static long add_one(void)
{
	return set_irqs(irq_index, EVENTFD | TRIGGER, vectors, 1, events + MOST_VECTORS, sizeof(int));
}

static long trigger(void)
{
	return set_irqs(irq_index, VFIO_IRQ_SET_DATA_NONE | TRIGGER, 0, vectors, NULL, 0);
}

static long trigger_some(void)
{
	uint8_t some[MOST_VECTORS] = { 1, 0, 1, 1 };

	return set_irqs(irq_index, VFIO_IRQ_SET_DATA_BOOL | TRIGGER, 0, vectors, some, vectors);
}

static long mask(void)
{
	return set_irqs(irq_index, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, 0, 1, NULL, 0);
}

static long unmask(void)
{
	return set_irqs(irq_index, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, NULL, 0);
}

static void disabled(long result)
{
	uint64_t count;

	/* INTx that is masked stays so when it is disabled. */
	if (irq_index == VFIO_PCI_INTX_IRQ_INDEX)
		unmask();
	/* INTx that is off is not disabled again. */
	disable();
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		while (read(events[i], &count, sizeof(count)) > 0)
			;
}

static long unmask_by_eventfd(void)
{
	return set_irqs(irq_index, EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, events + MOST_VECTORS, sizeof(int));
}

static long no_unmask_eventfd(void)
{
	int none = -1;

	return set_irqs(irq_index, EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, 0, 1, &none, sizeof(none));
}

static bool enabled_with_unmask(void)
{
	return enabled() && !unmask_by_eventfd();
}

static long close_with_irqs(void)
{
	close_all(&u);
	return 0;
}

static bool open_with_irqs(void)
{
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	return enabled_with_unmask() || enabled();
}

static void irqs(void)
{
	static const char *const names[] = { "intx", "msi", "msix", "err", "req" };
	struct vfio_irq_info i = { .argsz = sizeof(i) };
	const char *only = getenv("FAULTS_IRQ");
	char name[64];

	for (size_t k = 0; k < ARRAY_SIZE(events); k++)
		events[k] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
#define IRQ(text, ...) ({ \
	snprintf(name, sizeof(name), "%s-" text, names[i.index]); \
	operation(&(struct operation){ .name = name, __VA_ARGS__ }); })
	for (i.index = 0; i.index < ARRAY_SIZE(names); i.index++) {
		if ((only && strcmp(only, names[i.index])) || ioctl(u.device, VFIO_DEVICE_GET_IRQ_INFO, &i) || !i.count)
			continue;
		irq_index = i.index;
		vectors = i.count > MOST_VECTORS - 1 ? MOST_VECTORS - 1 : i.count;
		/* ENOSPC is what the kernel's MSI code says when it has no memory for a vector. */
		IRQ("enable", .run = enable, .undo = disabled, .also = { ENOSPC });
		IRQ("disable", .ready = enabled, .run = disable, .undo = disabled);
		IRQ("exchange", .ready = enabled, .run = exchange, .undo = disabled);
		IRQ("take-away", .ready = enabled, .run = take_one_away, .undo = disabled);
		IRQ("trigger", .ready = enabled, .run = trigger, .undo = disabled);
		IRQ("trigger-some", .ready = enabled, .run = trigger_some, .undo = disabled);
		if (i.index == VFIO_PCI_INTX_IRQ_INDEX) {
			IRQ("mask", .ready = enabled, .run = mask, .undo = disabled);
			IRQ("unmask", .ready = enabled, .run = unmask, .undo = disabled);
			IRQ("unmask-eventfd", .ready = enabled, .run = unmask_by_eventfd, .undo = disabled);
			IRQ("no-unmask-eventfd", .ready = enabled_with_unmask, .run = no_unmask_eventfd, .undo = disabled);
		}
		if (i.index == VFIO_PCI_MSIX_IRQ_INDEX && !(i.flags & VFIO_IRQ_INFO_NORESIZE) && i.count > vectors)
			IRQ("add", .ready = enabled, .run = add_one, .undo = disabled, .also = { ENOSPC });
	}
	close_all(&u);
	for (irq_index = VFIO_PCI_INTX_IRQ_INDEX; irq_index <= VFIO_PCI_MSIX_IRQ_INDEX; irq_index++) {
		if (only && strcmp(only, names[irq_index]))
			continue;
		vectors = 1;
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		if (!enabled()) {
			close_all(&u);
			continue;
		}
		close_all(&u);
		i.index = irq_index;
		IRQ("close", .ready = open_with_irqs, .run = close_with_irqs);
	}
	for (size_t k = 0; k < ARRAY_SIZE(events); k++)
		close(events[k]);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
}

/* --- reading, writing, mapping --- */

static uint64_t at;
static char buffer[64];
static size_t length;

static long read_there(void)
{
	long ret = pread(u.device, buffer, length, at);

	/* A part is what can be told when a copy in the middle fails. */
	return ret > 0 && ret < (long)length ? (errno = EFAULT, -1) : ret;
}

static char written[64];

static long write_there(void)
{
	long ret = pwrite(u.device, written, length, at);

	return ret > 0 && ret < (long)length ? (errno = EFAULT, -1) : ret;
}

static uint64_t bar;
static uint64_t bar_size;
static volatile uint32_t *mapping;

static long map_bar(void)
{
	mapping = mmap(NULL, bar_size, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, bar);
	return mapping == MAP_FAILED ? -1 : 0;
}

static void bar_unmapped(long result)
{
	munmap((void *)mapping, bar_size);
}

static bool bar_mapped(void)
{
	return !map_bar();
}

static sigjmp_buf out;

static void bus_error(int signal)
{
	siglongjmp(out, 1);
}

static long touch(void)
{
	if (sigsetjmp(out, 1)) {
		errno = EFAULT;
		return -1;
	}
	(void)*mapping;
	return 0;
}

static int doorbell;

static long add_ioeventfd(void)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg), .flags = VFIO_DEVICE_IOEVENTFD_32, .offset = bar + 0x20, .data = 0, .fd = doorbell,
	};

	return ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &arg);
}

static long remove_ioeventfd(void)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg), .flags = VFIO_DEVICE_IOEVENTFD_32, .offset = bar + 0x20, .data = 0, .fd = -1,
	};

	return ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &arg);
}

static void ioeventfd_gone(long result)
{
	remove_ioeventfd();
}

static bool ioeventfd_there(void)
{
	return !add_ioeventfd();
}

static void access_(void)
{
	uint64_t config = region_offset(VFIO_PCI_CONFIG_REGION_INDEX, NULL, NULL), size;
	uint32_t flags;
	char name[64];

	at = config;
	length = 64;
	OPERATION("config-read", .run = read_there, .answer = buffer, .size = sizeof(buffer));
	for (length = 1; length <= 4; length *= 2) {
		snprintf(name, sizeof(name), "config-read-%zu", length);
		operation(&(struct operation){ .name = name, .run = read_there, .answer = buffer, .size = sizeof(buffer) });
	}
	/* Cache line size and the like; the command register; a BAR as it is. */
	at = config + PCI_CACHE_LINE_SIZE;
	length = 2;
	OPERATION("config-write", .run = write_there);
	at = config + PCI_COMMAND;
	pread(u.device, written, 2, at);
	OPERATION("config-command", .run = write_there);
	at = config + PCI_BASE_ADDRESS_0;
	length = 4;
	pread(u.device, written, 4, at);
	OPERATION("config-bar", .run = write_there);
	bar = region_offset(0, &bar_size, &flags);
	at = bar;
	memset(buffer, 0, sizeof(buffer));
	length = 4;
	OPERATION("bar-read", .run = read_there, .answer = buffer, .size = sizeof(buffer));
	length = 32;
	OPERATION("bar-read-32", .run = read_there);
	at = bar + 4;
	length = 4;
	memset(written, 0, sizeof(written));
	OPERATION("bar-write", .run = write_there);
	at = region_offset(VFIO_PCI_ROM_REGION_INDEX, &size, NULL);
	length = 64;
	if (size)
		OPERATION("rom-read", .run = read_there, .answer = buffer, .size = sizeof(buffer));
	if (flags & VFIO_REGION_INFO_FLAG_MMAP) {
		OPERATION("mmap", .run = map_bar, .undo = bar_unmapped);
		signal(SIGBUS, bus_error);
		OPERATION("fault", .ready = bar_mapped, .run = touch, .undo = bar_unmapped);
	}
	doorbell = eventfd(0, EFD_CLOEXEC);
	OPERATION("ioeventfd", .run = add_ioeventfd, .undo = ioeventfd_gone);
	OPERATION("ioeventfd-remove", .ready = ioeventfd_there, .run = remove_ioeventfd);
	close(doorbell);
}

/* --- features --- */

static union {
	struct vfio_device_feature f;
	char bytes[128];
} feature_arg;
static int wakeup;

static long feature(uint32_t index, uint32_t flags, const void *data, size_t size)
{
	memset(&feature_arg, 0, sizeof(feature_arg));
	feature_arg.f.argsz = sizeof(feature_arg.f) + size;
	feature_arg.f.flags = index | flags;
	memcpy(feature_arg.f.data, data, size);
	return ioctl(u.device, VFIO_DEVICE_FEATURE, &feature_arg);
}

static long export(void)
{
	struct {
		struct vfio_device_feature_dma_buf head;
		struct vfio_region_dma_range ranges[2];
	} get = { { .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 2 }, { { 0, PAGE }, { 2 * PAGE, PAGE } } };

	return feature(VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_GET, &get, sizeof(get));
}

static void unexported(long fd)
{
	close(fd);
}

/* What imports a buffer, on behalf of the device itself. */
static int importer, exported;

static bool have_buffer(void)
{
	importer = open_importer();
	exported = export();
	return exported >= 0;
}

static long attach(void)
{
	return attach_buffer(importer, exported, bdf, PEER | REVOCABLE | UNMAPS);
}

static bool buffer_attached(void)
{
	return have_buffer() && !attach();
}

static long map_buffer(void)
{
	return ioctl(importer, IMPORTER_MAP);
}

static void buffer_gone(long result)
{
	close(importer);
	close(exported);
}

static long probe(void)
{
	for (unsigned int i = 0; i <= 13; i++)
		if (feature(i, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET, NULL, 0) < 0 && errno == EFAULT)
			return -1;
	return 0;
}

static long migration(void)
{
	uint64_t flags = 0;
	long ret = feature(VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_GET, &flags, sizeof(flags));

	/* No device here can migrate. */
	return ret < 0 && errno == ENOTTY ? 0 : ret;
}

static long low_power(void)
{
	return feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_SET, NULL, 0);
}

static long low_power_with_wakeup(void)
{
	struct vfio_device_low_power_entry_with_wakeup entry = { .wakeup_eventfd = wakeup };

	return feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_DEVICE_FEATURE_SET, &entry, sizeof(entry));
}

static long full_power(void)
{
	return feature(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, VFIO_DEVICE_FEATURE_SET, NULL, 0);
}

static void at_full_power(long result)
{
	full_power();
}

static bool at_low_power(void)
{
	return !low_power_with_wakeup();
}

static void features(void)
{
	OPERATION("probe", .run = probe);
	OPERATION("migration", .run = migration);
	errno = 0;
	if (feature(VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET, NULL, 0))
		printf("# no dma-buf: %s\n", strerror(errno));
	else {
		OPERATION("dma-buf", .run = export, .undo = unexported);
		OPERATION("dma-buf-attach", .ready = have_buffer, .run = attach, .undo = buffer_gone);
		OPERATION("dma-buf-map", .ready = buffer_attached, .run = map_buffer, .undo = buffer_gone);
	}
	wakeup = eventfd(0, EFD_CLOEXEC);
	if (feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET, NULL, 0))
		printf("# no low power: %s\n", strerror(errno));
	else {
		OPERATION("low-power", .run = low_power, .undo = at_full_power);
		OPERATION("low-power-wakeup", .run = low_power_with_wakeup, .undo = at_full_power);
		OPERATION("low-power-exit", .ready = at_low_power, .run = full_power, .undo = at_full_power);
	}
	close(wakeup);
}

/* --- resets --- */

static void resets(void)
{
	get_info();
	if (device_info.flags & VFIO_DEVICE_FLAGS_RESET)
		OPERATION("reset", .run = reset);
	if (hot_reset())
		printf("# no hot reset: %s\n", strerror(errno));
	else
		OPERATION("hot-reset", .run = hot_reset);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} sections[] = {
		{ "info", info }, { "irqs", irqs }, { "access", access_ }, { "features", features }, { "resets", resets },
	};

	if (argc != 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	watched_devices[0] = bdf = argv[2];
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(argv[1], "all") || !strcmp(argv[1], sections[i].name))
			sections[i].run();
	close_all(&u);
	return !!failures;
}
