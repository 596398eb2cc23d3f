// SPDX-License-Identifier: GPL-2.0
/*
 * A user who asks for too much, counts wrongly, and stays when the device is gone.
 *
 * usage: attack_limits counts|limits BDF BDF2
 *        attack_limits charged BDF BDF2 CGROUP
 *        attack_limits removed BDF BDF2
 * The devices, in groups of their own, are bound to vfio-pci. BDF has MSI-X and memory of its own in BAR 0.
 */
#include "attack.h"
#include "../cgroup.h"

#include <sys/mman.h>
#include <sys/stat.h>

#ifndef VFIO_DEVICE_FEATURE_DMA_BUF /* not in the headers of older systems */
#define VFIO_DEVICE_FEATURE_DMA_BUF 11
#endif

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

/* --- limits ---------------------------------------------------------------------------------------------------------- */

static long many_mappings(const char *page, unsigned long most, uint64_t apart)
{
	for (unsigned long i = 0; i < most; i++)
		if (map(u.container, (i + 1) * apart, page, PAGE))
			return i;
	return most;
}

static int ioeventfd(uint64_t data, int fd)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg), .flags = 4, .offset = 0x10, .data = data, .fd = fd };

	return ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &arg);
}

static long many_ioeventfds(int *fds, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		fds[i] = eventfd(0, 0);
		if (fds[i] < 0 || ioeventfd(i, fds[i]))
			return i;
	}
	return most;
}

static void all_vectors(const char *when)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	struct { struct vfio_irq_set set; int32_t fds[2048]; } arg;
	int event = eventfd(0, 0);

	ASK(ioctl(u.device, VFIO_DEVICE_GET_IRQ_INFO, &info), "%s: vectors", when);
	for (unsigned more = 0; more < 2; more++) {
		arg.set = (struct vfio_irq_set){ .argsz = sizeof(arg), .flags = ON_EVENT, .index = VFIO_PCI_MSIX_IRQ_INDEX,
			.count = info.count + more };
		for (unsigned i = 0; i < 2048; i++)
			arg.fds[i] = event;
		ASK(ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg), "%s: %u vectors", when, info.count + more);
	}
	ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0), "%s: none", when);
	close(event);
}

static void limits(void)
{
	static int fds[1010];
	struct rlimit files = { 1024, 1024 };
	struct vfio_user other = { .container = open_container(), .group = open_group(bdf2) };
	char *page = memory(PAGE), *much = memory((LOCKED_MB + 1) << 20);
	int32_t event = eventfd(0, 0);

	setrlimit(RLIMIT_NOFILE, &files);
	/* Locked memory, in one container and in two, by itself and by a child. */
	ASK(map(u.container, 0x100000, much, (LOCKED_MB << 20) + PAGE), "a page too much");
	ASK(map(u.container, 0x100000, much, (LOCKED_MB << 20) - PAGE), "a page less than allowed");
	ASK(map(u.container, 0x80000000, much, PAGE), "the last page");
	ASK(map(u.container, 0x80001000, much, PAGE), "one more");
	if (ioctl(other.group, VFIO_GROUP_SET_CONTAINER, &other.container) || ioctl(other.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("the other container");
	ASK(map(other.container, 0x100000, much, PAGE), "one in another container");
	ASK(mlock(much, PAGE), "mlock");
	ASK(unmap_all(u.container), "unmap all");
	ASK(map(other.container, 0x100000, much, LOCKED_MB << 20), "all in the other container");
	ASK(map(u.container, 0x100000, much, PAGE), "one in the first");
	close(other.container);
	close(other.group);
	ASK(map(u.container, 0x100000, much, LOCKED_MB << 20), "the other is gone");
	ASK(unmap_all(u.container), "unmap all");

	/* The same page counts each time. How many mappings there may be without that: `charged`. */
	printf("%ld mappings before the limit of locked memory: ", many_mappings(page, 70000, PAGE));
	printf("%s\n", error_name(errno));
	ASK(unmap_all(u.container), "unmap all");

	printf("%ld ioeventfds: ", many_ioeventfds(fds, 1010));
	printf("%s\n", error_name(errno));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	event = eventfd(0, 0);
	ASK(ioeventfd(0, event), "known already");
	ASK(ioeventfd(0, -1), "one is taken away");
	ASK(ioeventfd(5000, event), "so there is room for one");
	ASK(ioeventfd(5001, event), "and for no other");
	all_vectors("user");
}

static long charged_to(const char *cgroup)
{
	char path[PATH_MAX], text[64] = {};
	int fd;

	snprintf(path, sizeof(path), "%s/memory.current", cgroup);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		fail("%s", path);
	close(fd);
	return atol(text);
}

#define CHARGED(least, what, call) ({ \
	long before_ = charged_to(cgroup), ret_ = (call), more_ = charged_to(cgroup) - before_; \
	fprintf(stderr, "%s: %ld, %ld kB charged\n", what, ret_, more_ / 1024); \
	EXPECT(more_ >= (least), "%s: %ld bytes charged, %ld were expected", what, more_, (long)(least)); \
	printf("%s: %ld %s\n", what, ret_, ret_ < 0 ? error_name(errno) : "charged"); \
	ret_; })

/* What a user makes the kernel allocate is his. He has no limit of locked memory here: that would end it sooner. */
static void charged(const char *cgroup)
{
	static int fds[1000];
	char *page = memory(PAGE);
	long start, end;

	memset(page, 1, PAGE);
	memset(fds, 0, sizeof(fds));
	map(u.container, 0x100000, page, PAGE);
	unmap_all(u.container);
	start = charged_to(cgroup);
	/* A note of each mapping, next to no page tables; then the tables. */
	CHARGED(65535 * 64L, "mappings of a page", many_mappings(page, 70000, PAGE));
	ASK(unmap_all(u.container), "unmap all");
	CHARGED(500 * (long)PAGE, "page tables", many_mappings(page, 500, 1UL << 30));
	ASK(unmap_all(u.container), "unmap all");
	CHARGED(1000 * 64L, "ioeventfds", many_ioeventfds(fds, 1000));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	close_all(&u);
	for (int tries = 0; tries < 50; tries++) {
		end = charged_to(cgroup);
		/* Processors keep some of what was charged at hand. */
		if (end - start < 512 * 1024)
			break;
		usleep(100000);
	}
	fprintf(stderr, "left: %ld kB\n", (end - start) / 1024);
	EXPECT(end - start < 512 * 1024, "%ld bytes are still charged", end - start);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
}

/* --- the device is gone ---------------------------------------------------------------------------------------------- */

static void use_all(const char *when, int buf)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	static char *page, node[64];
	struct stat st;
	int other;

	if (!page) {
		page = memory(PAGE);
		snprintf(node, sizeof(node), "%s", group_path(bdf));
	}
	printf("--- %s\n", when);
	ASK(ioctl(u.group, VFIO_GROUP_GET_STATUS, &status), "status");
	printf("flags %x\n", status.flags);
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "device");
	ASK(FD(open(node, O_RDWR)), "another open");
	ASK(ioctl(u.container, VFIO_IOMMU_GET_INFO, &info), "info");
	ASK(ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "extension");
	ASK(map(u.container, 0x400000, page, PAGE), "map");
	ASK(unmap_all(u.container), "unmap all");
	ASK(map(u.container, 0x100000, page, PAGE), "map");
	other = open_container();
	ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &other), "another container");
	close(other);
	ASK(fstat(buf, &st), "dma-buf");
	ASK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, buf, 0) == MAP_FAILED ? -1 : 0, "mmap of the dma-buf");
}

static int export(void)
{
	struct { struct vfio_device_feature f; uint32_t index, open_flags, flags, count; uint64_t offset, length; } arg = {
		{ sizeof(arg), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF }, 0, O_RDWR | O_CLOEXEC, 0, 1, 0, PAGE };

	return ioctl(u.device, VFIO_DEVICE_FEATURE, &arg);
}

/* Root, in a process of its own, takes the device away while the user holds on to all of it. */
static void removed(int go, pid_t root)
{
	int request = eventfd(0, 0), err = eventfd(0, EFD_NONBLOCK), buf = export(), status, again;
	struct vfio_group_status group = { .argsz = sizeof(group) };
	uint64_t count;
	char *bar;

	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_REQ_IRQ_INDEX, 1, request), "request");
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_ERR_IRQ_INDEX, 1, err), "errors");
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, err), "MSI-X");
	set_config(u.device, PCI_COMMAND, 2, 6);
	bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);
	ASK(bar == MAP_FAILED ? -1 : 0, "BAR");
	use_all("there", buf);
	(void)!write(go, "", 1);
	EXPECT(read(request, &count, sizeof(count)) == sizeof(count), "nobody asked");
	use_all("asked for", buf);
	EXPECT(*(volatile uint32_t *)bar != ~0u, "the BAR reads as ones");
	close(u.device);
	usleep(300000);
	/* The mapping is all that is left of the device. */
	EXPECT(!waitpid(root, &status, WNOHANG), "removed though it is mapped");
	EXPECT(*(volatile uint32_t *)bar != ~0u, "the BAR reads as ones");
	use_all("mapped only", buf);
	munmap(bar, PAGE);
	for (int tries = 0; tries < 1500; tries++) {
		again = waitpid(root, &status, WNOHANG);
		if (again)
			break;
		usleep(10000);
	}
	EXPECT(again == root && !status, "not removed");
	use_all("gone", buf);
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "leave");
	ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container), "join");
	ASK(ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "IOMMU");
	use_all("joined again", buf);
	close(u.group);
	ASK(ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "IOMMU");
	close(u.container);
	close(buf);
}

int main(int argc, char **argv)
{
	int pipes[2];
	pid_t root;

	prepare(argc, argv);
	if (!strcmp(argv[1], "charged") && argc > 4) {
		join(argv[4]);
		if (setresgid(USER, USER, USER))
			fail("setresgid");
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		charged(argv[4]);
		close_all(&u);
		return wrong != 0;
	}
	if (!strcmp(argv[1], "removed")) {
		if (pipe(pipes))
			fail("pipe");
		root = fork();
		if (!root) {
			char path[128], byte;
			int fd;

			close(pipes[1]);
			close(real);
			snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
			fd = open(path, O_WRONLY);
			if (read(pipes[0], &byte, 1) != 1)
				_exit(1);
			_exit(write(fd, "1", 1) != 1);
		}
		close(pipes[0]);
		close(real);
		become_user();
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		removed(pipes[1], root);
		return wrong != 0;
	}
	become_user();
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	if (!strcmp(argv[1], "counts"))
		counts();
	else if (!strcmp(argv[1], "limits"))
		limits();
	else
		return 2;
	close_all(&u);
	return wrong != 0;
}
