// SPDX-License-Identifier: GPL-2.0
/*
 * Calls with counts, sizes and offsets that overflow, asked of the C modules as well: the answers are to be the same.
 *
 * usage: attack_counts counts BDF BDF2
 * The devices, in groups of their own, are bound to vfio-pci. BDF has MSI-X and memory of its own in BAR 0.
 */
#include "attack.h"

#include <sys/mman.h>

static struct vfio_user u;

/* --- sizes and counts that overflow --------------------------------------------------------------------------------- */

#define WORDS 32 /* more than any structure has */

static const uint32_t extremes[] = {
	0, 1, 7, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff, 0x80000000, 0xfffffff0, 0xfffffffe, 0xffffffff,
};

static void ask(int fd, unsigned long request, const char *name, const uint32_t *words, unsigned field, uint64_t value)
{
	uint32_t *room = memory(2 * PAGE), before[WORDS];
	long ret;

	/* Right before memory that is not there: what is read or written beyond the structure fails. */
	mprotect((char *)room + PAGE, PAGE, PROT_NONE);
	memcpy(before, words, sizeof(before));
	memcpy((char *)room + PAGE - sizeof(before), words, sizeof(before));
	errno = 0;
	ret = ioctl(fd, request, (char *)room + PAGE - sizeof(before));
	if (ret >= 3) {
		close(ret);
		ret = 3;
	}
	say(ret, "%s, field %u = %lx", name, field, value);
	if (memcmp(before, (char *)room + PAGE - sizeof(before), sizeof(before)))
		hex("wrote", (char *)room + PAGE - sizeof(before), 40);
	munmap(room, 2 * PAGE);
}

/* Each of these fields of what would be right with each extreme value, as words and as pairs of words. */
static void overflow(int fd, unsigned long request, const char *name, const void *right, size_t size, unsigned from, unsigned count)
{
	uint32_t words[WORDS] = {}, broken[WORDS];

	memcpy(words, right, size);
	for (unsigned field = from; field < count; field++)
		for (size_t i = 0; i < ARRAY_SIZE(extremes); i++) {
			memcpy(broken, words, sizeof(broken));
			broken[field] = extremes[i];
			ask(fd, request, name, broken, field, extremes[i]);
			if (field % 2 || field + 1 >= count)
				continue;
			/* 64 bits that are nearly 2^63 or 2^64, and what overflows with a page more. */
			for (unsigned high = 0; high < 2; high++) {
				broken[field + 1] = high ? 0xffffffff : 0x7fffffff;
				ask(fd, request, name, broken, field, (uint64_t)broken[field + 1] << 32 | extremes[i]);
			}
		}
}

#define FIELDS(fd, request, right, from, to) overflow(fd, request, #request, right, sizeof(*(right)), from, to)
#define OVERFLOW(fd, request, right, from) FIELDS(fd, request, right, from, sizeof(*(right)) / 4)

static void counts(void)
{
	char *page = memory(PAGE);
	int event = eventfd(0, EFD_NONBLOCK);
	struct vfio_iommu_type1_dma_map m = { sizeof(m), 3, (uintptr_t)page, 0x100000, PAGE };
	struct vfio_iommu_type1_dma_unmap un = { .argsz = sizeof(un), .iova = 0x100000, .size = PAGE };
	struct { struct vfio_iommu_type1_dirty_bitmap d; struct vfio_iommu_type1_dirty_bitmap_get g; } dirty = {
		{ .argsz = sizeof(dirty), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		{ 0x100000, PAGE, { PAGE, 8, (void *)page } } };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	struct vfio_device_info device = { .argsz = sizeof(device) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	struct { struct vfio_irq_set set; int32_t fds[2]; } irqs = {
		{ sizeof(irqs), ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 0, 2 }, { event, -1 } };
	struct { struct vfio_pci_hot_reset_info h; struct vfio_pci_dependent_device d[2]; } hot_info = {
		.h = { .argsz = sizeof(hot_info) } };
	struct { struct vfio_pci_hot_reset h; int32_t fds[2]; } hot = { { .argsz = sizeof(hot), .count = 2 }, { u.device, event } };
	struct vfio_device_ioeventfd io = { sizeof(io), 4, 0x10, 0, event };
	struct { struct vfio_device_feature f; uint32_t index, open_flags, flags, count; uint64_t offset, length; } buf = {
		{ sizeof(buf), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF }, 0, O_RDWR, 0, 1, 0, PAGE };
	struct { struct vfio_device_feature f; uint64_t a, b, c; } log = { .f = { .argsz = sizeof(log) } };
	struct vfio_group_status status = { .argsz = sizeof(status) };
	static const uint64_t offsets[] = { 0, 1ULL << 39, (1ULL << 40) - 4, INT64_MAX - 3, INT64_MAX - PAGE };
	static const size_t sizes[] = { 0, PAGE, 0x7fffefff, 0x7ffff000, 0xffffffff, SSIZE_MAX - PAGE, SSIZE_MAX };

	OVERFLOW(u.container, VFIO_IOMMU_MAP_DMA, &m, 0);
	ASK(unmap_all(u.container), "unmap all");
	OVERFLOW(u.container, VFIO_IOMMU_UNMAP_DMA, &un, 0);
	/* With something mapped C writes past the end of some bitmaps; of a page size of 0 its answer is undefined. */
	ASK(unmap_all(u.container), "unmap all");
	FIELDS(u.container, VFIO_IOMMU_DIRTY_PAGES, &dirty, 0, 6);
	FIELDS(u.container, VFIO_IOMMU_DIRTY_PAGES, &dirty, 7, sizeof(dirty) / 4);
	OVERFLOW(u.container, VFIO_IOMMU_GET_INFO, &info, 0);
	OVERFLOW(u.group, VFIO_GROUP_GET_STATUS, &status, 0);
	OVERFLOW(u.device, VFIO_DEVICE_GET_INFO, &device, 0);
	OVERFLOW(u.device, VFIO_DEVICE_GET_REGION_INFO, &region, 0);
	OVERFLOW(u.device, VFIO_DEVICE_GET_IRQ_INFO, &irq, 0);
	OVERFLOW(u.device, VFIO_DEVICE_SET_IRQS, &irqs, 0);
	ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0), "no interrupts");
	OVERFLOW(u.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &hot_info, 0);
	OVERFLOW(u.device, VFIO_DEVICE_PCI_HOT_RESET, &hot, 0);
	OVERFLOW(u.device, VFIO_DEVICE_IOEVENTFD, &io, 0);
	OVERFLOW(u.device, VFIO_DEVICE_FEATURE, &buf, 0);
	for (unsigned which = 0; which < 12; which++) {
		log.f.flags = which | VFIO_DEVICE_FEATURE_GET;
		if (which != VFIO_DEVICE_FEATURE_DMA_BUF)
			OVERFLOW(u.device, VFIO_DEVICE_FEATURE, &log, 2);
		log.f.flags = which | VFIO_DEVICE_FEATURE_SET;
		/* Low power has a case of its own. */
		if (which < 3 || which > 5)
			OVERFLOW(u.device, VFIO_DEVICE_FEATURE, &log, 2);
	}
	for (unsigned i = 0; i < 10; i++)
		for (size_t j = 0; j < ARRAY_SIZE(offsets); j++)
			for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
				uint64_t at = ((uint64_t)i << 40) + offsets[j];
				void *p = mmap(NULL, sizes[k], PROT_READ, MAP_SHARED, u.device, at & -PAGE);

				ASK(p == MAP_FAILED ? -1 : 0, "mmap of %zx at %u, %lx", sizes[k], i, offsets[j]);
				if (p != MAP_FAILED)
					munmap(p, sizes[k]);
				/* Into nothing, so that sizes alone decide. */
				if (i != VFIO_PCI_CONFIG_REGION_INDEX)
					ASK(pwrite(u.device, BAD, sizes[k], at), "write of %zx at %u, %lx", sizes[k], i, offsets[j]);
				ASK(pread(u.device, BAD, sizes[k], at), "read of %zx at %u, %lx", sizes[k], i, offsets[j]);
			}
}

/* Names that end nowhere or where memory does, and words that mean something only if they are cut to 32 bits. */
static void odd_names(void)
{
	static const unsigned long tops[] = { 1UL << 32, 0xffffffffUL << 32, 1UL << 63 };
	char *room = memory(4 * PAGE), *end = room + 3 * PAGE;
	int container = open_container();

	mprotect(end, PAGE, PROT_NONE);
	memset(room, 'x', 3 * PAGE);
	for (unsigned len = 0; len < 3 * PAGE; len = len < 64 ? len + 1 : 2 * len - 1)
		ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, end - len)), "a name of %u bytes that does not end", len);
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, room)), "a name of 3 pages");
	strcpy(end - strlen(bdf) - 1, bdf);
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, end - strlen(bdf) - 1)), "a name that ends where memory does");
	end[-1] = 'x';
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, end - strlen(bdf) - 1)), "and one that does not");
	for (size_t i = 0; i < ARRAY_SIZE(tops); i++)
		for (unsigned long low = 0; low < 12; low++) {
			ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, tops[i] | low), "extension %lx", tops[i] | low);
			ASK(ioctl(container, VFIO_CHECK_EXTENSION, tops[i] | low), "extension %lx of an empty container", tops[i] | low);
			ASK(ioctl(container, VFIO_SET_IOMMU, tops[i] | low), "IOMMU %lx", tops[i] | low);
			ASK(ioctl(u.container, VFIO_SET_IOMMU, tops[i] | low), "IOMMU %lx again", tops[i] | low);
		}
	close(container);
	munmap(room, 4 * PAGE);
}

int main(int argc, char **argv)
{
	prepare(argc, argv);
	become_user();
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	counts();
	odd_names();
	close_all(&u);
	return wrong != 0;
}
