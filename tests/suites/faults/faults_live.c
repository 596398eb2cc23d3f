// SPDX-License-Identifier: GPL-2.0
/*
 * What takes a device from under those who use it, with failures: its BAR is mapped and touched, exported as a dma-buf that
 * somebody has mapped, written by an ioeventfd. usage: faults_live BDF
 * The device is bound to vfio-pci and alone in its group.
 */
#include "faults_pci.h"

#include "../dma-buf/importer.h"

#include <linux/pci_regs.h>

/* --- configuration space --- */

static uint64_t config;

static uint32_t config_read(unsigned int at, size_t size)
{
	uint32_t value = 0;

	if (pread(u.device, &value, size, config + at) != (ssize_t)size)
		fail("configuration space at %#x", at);
	return value;
}

static long config_write(unsigned int at, uint32_t value, size_t size)
{
	return pwrite(u.device, &value, size, config + at) == (ssize_t)size ? 0 : -1;
}

/* Where the capability is; zero if there is none. */
static unsigned int capability(unsigned int id)
{
	for (unsigned int at = config_read(PCI_CAPABILITY_LIST, 1); at; at = config_read(at + PCI_CAP_LIST_NEXT, 1))
		if (config_read(at, 1) == id)
			return at;
	return 0;
}

/* --- the device in use --- */

static volatile uint32_t *mapping;
static uint64_t bar, bar_size;
static int importer, exported, doorbell;

static int export(void)
{
	struct {
		struct vfio_device_feature f;
		struct vfio_device_feature_dma_buf head;
		struct vfio_region_dma_range ranges[1];
	} get = {
		{ sizeof(get), VFIO_DEVICE_FEATURE_DMA_BUF | VFIO_DEVICE_FEATURE_GET },
		{ .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 }, { { 0, PAGE } },
	};

	return ioctl(u.device, VFIO_DEVICE_FEATURE, &get);
}

static int ioeventfd(unsigned int width, int fd)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg), .flags = width, .offset = bar + 0x20, .fd = fd };

	return ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &arg);
}

/* What the registers hold that are changed in part: asked before, as what is under test is one write. */
static uint32_t command, control;
static unsigned int express;

static bool in_use(void)
{
	command = config_read(PCI_COMMAND, 2);
	control = express ? config_read(express + PCI_EXP_DEVCTL, 2) : 0;
	mapping = mmap(NULL, bar_size, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, bar);
	if (mapping == MAP_FAILED)
		return false;
	(void)*mapping;
	if (ioeventfd(VFIO_DEVICE_IOEVENTFD_32, doorbell))
		return false;
	importer = open_importer();
	exported = export();
	return exported >= 0 && !attach_buffer(importer, exported, bdf, PEER | REVOCABLE | UNMAPS) && !ioctl(importer, IMPORTER_MAP);
}

static void not_in_use(long result)
{
	close(importer);
	if (exported >= 0)
		close(exported);
	ioeventfd(VFIO_DEVICE_IOEVENTFD_32, -1);
	munmap((void *)mapping, bar_size);
}

/* --- memory --- */

static long memory_space(bool on)
{
	return config_write(PCI_COMMAND, on ? command | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MEMORY, 2);
}

static long memory_off(void)
{
	return memory_space(false);
}

static long memory_on(void)
{
	return memory_space(true);
}

static bool in_use_memory_off(void)
{
	return in_use() && !memory_off();
}

static void memory_back(long result)
{
	memory_on();
	not_in_use(result);
}

/* --- power --- */

static unsigned int pm;

/* The states D3hot and D0, as the register counts them. */
static long d3hot(void)
{
	return config_write(pm + PCI_PM_CTRL, 3, 2);
}

static long d0(void)
{
	return config_write(pm + PCI_PM_CTRL, 0, 2);
}

static bool in_use_d3hot(void)
{
	return in_use() && !d3hot();
}

static void power_back(long result)
{
	d0();
	not_in_use(result);
}

/* --- resets --- */

static long function_reset(void)
{
	return config_write(express + PCI_EXP_DEVCTL, control | PCI_EXP_DEVCTL_BCR_FLR, 2);
}

/* --- the end of use --- */

static long unmap_buffer(void)
{
	return ioctl(importer, IMPORTER_UNMAP);
}

static long detach_buffer(void)
{
	return ioctl(importer, IMPORTER_DETACH);
}

static long close_buffer(void)
{
	int ret = close(exported);

	exported = -1;
	return ret;
}

/* The device goes, and those who imported from it and map it stay. */
static long close_device(void)
{
	close_all(&u);
	return 0;
}

static bool opened_and_used(void)
{
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	return in_use();
}

static void users_gone(long result)
{
	munmap((void *)mapping, bar_size);
	close(importer);
	close(exported);
}

static unsigned int width;

static long add_ioeventfd(void)
{
	return ioeventfd(width, doorbell);
}

static void ioeventfd_gone(long result)
{
	ioeventfd(width, -1);
}

static long read_fdinfo(void)
{
	char path[64], text[512];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", u.device);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	do
		len = read(fd, text, sizeof(text));
	while (len > 0);
	int error = errno;
	close(fd);
	errno = error;
	return len;
}

static void used(void)
{
	static const struct {
		unsigned int width;
		const char *name;
	} widths[] = {
		{ VFIO_DEVICE_IOEVENTFD_8, "ioeventfd-8" }, { VFIO_DEVICE_IOEVENTFD_16, "ioeventfd-16" },
		{ VFIO_DEVICE_IOEVENTFD_64, "ioeventfd-64" },
	};
	struct vfio_device_info info = { .argsz = sizeof(info) };

	doorbell = eventfd(0, EFD_CLOEXEC);
	OPERATION("fdinfo", .run = read_fdinfo);
	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		width = widths[i].width;
		if (add_ioeventfd())
			continue;
		ioeventfd_gone(0);
		operation(&(struct operation){ .name = widths[i].name, .run = add_ioeventfd, .undo = ioeventfd_gone });
	}
	OPERATION("memory-off", .ready = in_use, .run = memory_off, .undo = memory_back);
	OPERATION("memory-on", .ready = in_use_memory_off, .run = memory_on, .undo = memory_back);
	pm = capability(PCI_CAP_ID_PM);
	if (pm) {
		OPERATION("d3hot", .ready = in_use, .run = d3hot, .undo = power_back);
		OPERATION("d0", .ready = in_use_d3hot, .run = d0, .undo = power_back);
	}
	express = capability(PCI_CAP_ID_EXP);
	if (express && config_read(express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR)
		OPERATION("function-reset", .ready = in_use, .run = function_reset, .undo = not_in_use);
	ioctl(u.device, VFIO_DEVICE_GET_INFO, &info);
	if (info.flags & VFIO_DEVICE_FLAGS_RESET)
		OPERATION("reset", .ready = in_use, .run = reset, .undo = not_in_use);
	if (!hot_reset())
		OPERATION("hot-reset", .ready = in_use, .run = hot_reset, .undo = not_in_use);
	OPERATION("unmap-buffer", .ready = in_use, .run = unmap_buffer, .undo = not_in_use);
	OPERATION("detach-buffer", .ready = in_use, .run = detach_buffer, .undo = not_in_use);
	OPERATION("close-buffer", .ready = in_use, .run = close_buffer, .undo = not_in_use);
	close_all(&u);
	OPERATION("close-device", .ready = opened_and_used, .run = close_device, .undo = users_gone);
	close(doorbell);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	watched_devices[0] = bdf = argv[1];
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	config = region_offset(VFIO_PCI_CONFIG_REGION_INDEX, NULL, NULL);
	bar = region_offset(0, &bar_size, NULL);
	used();
	close_all(&u);
	return !!failures;
}
