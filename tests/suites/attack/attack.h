/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A user who owns the nodes of two groups and nothing else attacks the host. What it is answered is printed, one line each,
 * to be compared with what the C modules answer; what must hold on any modules is checked.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include "../transcript.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <linux/pci_regs.h>

#ifndef VFIO_DEVICE_FEATURE_DMA_BUF /* not in the headers of older systems */
#define VFIO_DEVICE_FEATURE_DMA_BUF 11
#endif

#define USER 1000
#define LOCKED_MB 8
#define CONFIG ((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)

static const char *bdf, *bdf2;
/* Configuration space of the first device as it is, not as VFIO shows it; opened by root. */
static int real;
static int wrong;

/* Goes to standard error: these are no answers. */
#define EXPECT(condition, ...) ({ \
	bool ok_ = (condition); \
	if (!ok_) { \
		fprintf(stderr, "WRONG: "); \
		fprintf(stderr, __VA_ARGS__); \
		fprintf(stderr, "\n"); \
		wrong++; \
	} \
	ok_; })

static inline void give_group(const char *device)
{
	if (chown(group_path(device), USER, USER))
		fail("chown %s", group_path(device));
}

/* The end of all privileges; he may lock so much memory. */
static inline void become_user_with(rlim_t bytes)
{
	struct rlimit locked = { bytes, bytes };

	if (setrlimit(RLIMIT_MEMLOCK, &locked) || setgroups(0, NULL) || setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		fail("becoming a user");
	if (!setuid(0))
		fail("still root");
}

static inline void become_user(void)
{
	become_user_with(LOCKED_MB << 20);
}

/* Opens what only root can, then becomes the user. */
static inline void prepare(int argc, char **argv)
{
	char path[128];

	if (argc < 4)
		exit(2);
	bdf = argv[2];
	bdf2 = argv[3];
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	real = open(path, O_RDONLY | O_CLOEXEC);
	/* A mediated device has none. */
	if (real < 0 && strchr(bdf, ':'))
		fail("%s", path);
	give_group(bdf);
	give_group(bdf2);
}

/* One of the things that a program does, by its name. */
struct attack {
	const char *name;
	void (*run)(void);
};

/* What main() returns: runs the one that the program was asked for. */
static inline int run_attack(const struct attack *attacks, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(attacks[i].name, name)) {
			attacks[i].run();
			return wrong != 0;
		}
	return 2;
}

static inline uint32_t real_at(unsigned at, unsigned size)
{
	uint32_t value = 0;

	if (pread(real, &value, size, at) != (ssize_t)size)
		fail("configuration space at %x", at);
	return value;
}

static inline uint32_t config_at(int device, unsigned at, unsigned size)
{
	uint32_t value = 0;

	if (pread(device, &value, size, CONFIG + at) != (ssize_t)size)
		fail("reading configuration space at %x", at);
	return value;
}

static inline long set_config(int device, unsigned at, unsigned size, uint32_t value)
{
	return pwrite(device, &value, size, CONFIG + at);
}

/* Where the device has a capability, 0 if it has none. */
static inline unsigned capability(unsigned id)
{
	for (unsigned at = real_at(PCI_CAPABILITY_LIST, 1) & ~3, n = 0; at >= 0x40 && n < 40; at = real_at(at + 1, 1) & ~3, n++)
		if (real_at(at, 1) == id)
			return at;
	return 0;
}

static inline int map(int container, uint64_t iova, const void *vaddr, uint64_t size)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)vaddr, .iova = iova, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &arg);
}

static inline long unmap_all(int container)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .flags = VFIO_DMA_UNMAP_FLAG_ALL };

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg);
}

static inline int set_irq(int device, uint32_t flags, uint32_t index, uint32_t count, int32_t fd)
{
	struct { struct vfio_irq_set set; int32_t fd; } arg = {
		{ .argsz = sizeof(arg), .flags = flags, .index = index, .count = count }, fd };

	return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg);
}

/* A dma-buf of the first page of BAR 0. */
static inline int export_page(int device)
{
	struct { struct vfio_device_feature f; uint32_t index, open_flags, flags, count; uint64_t offset, length; } arg = {
		{ sizeof(arg), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF }, 0, O_RDWR | O_CLOEXEC, 0, 1, 0, PAGE };

	return ioctl(device, VFIO_DEVICE_FEATURE, &arg);
}

#define ON_EVENT (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define MASK (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK)
#define UNMASK (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK)
#define NO_IRQ (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)

/* How often an eventfd was signalled since it was last asked. Those that have to come get as long as they need. */
static inline unsigned long events(int fd, unsigned long expected)
{
	struct pollfd set = { .fd = fd, .events = POLLIN };
	unsigned long all = 0;
	uint64_t count;

	for (int tries = 0; tries < 60 && all < expected; tries++) {
		poll(&set, 1, 1000);
		if (read(fd, &count, sizeof(count)) == sizeof(count))
			all += count;
	}
	/* Whether there are more shows soon, or not at all. */
	poll(&set, 1, 50);
	return read(fd, &count, sizeof(count)) == sizeof(count) ? all + count : all;
}

#endif
