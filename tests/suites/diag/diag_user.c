// SPDX-License-Identifier: GPL-2.0
/*
 * A user of VFIO that does one thing wrong, or holds a device, so that the suite can see what the modules say.
 *
 * usage: diag_user hold BDF SECONDS [NAME]   holds everything of a device with two mappings, and ignores REQ
 *        diag_user read SECONDS              reads all of /sys/kernel/debug/vfio again and again
 *        diag_user WHAT BDF [BDF]            does WHAT, see below; prints the errno it got
 */
#include "../vfio_user.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define ROOT "/sys/kernel/debug/vfio"

static int result(int ret)
{
	printf("%s\n", error_name(ret < 0 ? errno : 0));
	return 0;
}

static void *memory(size_t size)
{
	void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ram == MAP_FAILED)
		fail("mmap");
	return ram;
}

static int map(int container, void *ram, uint64_t iova, uint64_t size, uint32_t flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .vaddr = (uint64_t)ram, .iova = iova, .size = size,
	};

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

static int hold(const char *bdf, int seconds, const char *name)
{
	struct vfio_user u;

	if (name)
		prctl(PR_SET_NAME, name);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	if (map(u.container, memory(64 * PAGE), 0, 64 * PAGE, 3) ||
	    map(u.container, memory(PAGE), 1 << 20, PAGE, 1))
		fail("MAP_DMA");
	printf("held\n");
	fflush(stdout);
	sleep(seconds);
	return 0;
}

static unsigned long reads, bytes;

static void read_all(const char *path)
{
	static char buf[65536];
	char sub[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(path);
	ssize_t len;
	int fd;

	if (!dir) {
		fd = open(path, O_RDONLY);
		if (fd < 0)
			return;
		while ((len = read(fd, buf, sizeof(buf))) > 0)
			bytes += len;
		reads++;
		close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, entry->d_name);
		read_all(sub);
	}
	closedir(dir);
}

static int read_for(int seconds)
{
	time_t end = time(NULL) + seconds;

	while (time(NULL) < end) {
		read_all(ROOT);
		usleep(5000);
	}
	printf("%lu files, %lu bytes\n", reads, bytes);
	return !bytes;
}

static int hot_reset(int device, int group)
{
	struct { struct vfio_pci_hot_reset reset; int fd; } reset = {
		.reset = { .argsz = sizeof(reset), .count = 1 }, .fd = group,
	};

	return ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

int main(int argc, char **argv)
{
	const char *what = argv[1], *bdf = argv[2];
	int container, group;
	struct vfio_user u;

	if (argc < 3)
		return 2;
	if (!strcmp(what, "read"))
		return read_for(atoi(bdf));
	if (!strcmp(what, "hold"))
		return hold(bdf, atoi(argv[3]), argv[4]);

	/* Before there is an address space. */
	if (!strcmp(what, "open"))	/* a group that somebody else has open */
		return result(open(group_path(bdf), O_RDWR));
	if (!strcmp(what, "early"))	/* a type for a container without group */
		return result(ioctl(open_container(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	container = open_container();
	group = open_group(bdf);
	if (!strcmp(what, "join"))	/* a group that is not viable */
		return result(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container));
	if (!strcmp(what, "leave"))	/* no container */
		return result(ioctl(group, VFIO_GROUP_UNSET_CONTAINER));
	if (!strcmp(what, "type")) {	/* a type that nobody has */
		if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
			fail("SET_CONTAINER");
		return result(ioctl(container, VFIO_SET_IOMMU, 99));
	}
	close(group);
	close(container);

	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	if (!strcmp(what, "name"))	/* a device that is not in the group */
		return result(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, "ffff:00:00.0"));
	if (!strcmp(what, "align"))
		return result(map(u.container, memory(PAGE), 1, PAGE, 3));
	if (!strcmp(what, "flags"))
		return result(map(u.container, memory(PAGE), 0, PAGE, 8));
	if (!strcmp(what, "overlap")) {
		if (map(u.container, memory(2 * PAGE), 0x10000, 2 * PAGE, 3))
			fail("MAP_DMA");
		return result(map(u.container, memory(PAGE), 0x11000, PAGE, 3));
	}
	if (!strcmp(what, "reserved"))	/* where message interrupts are */
		return result(map(u.container, memory(PAGE), 0xfee00000, PAGE, 3));
	if (!strcmp(what, "cut")) {
		struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .size = PAGE };

		if (map(u.container, memory(2 * PAGE), 0, 2 * PAGE, 3))
			fail("MAP_DMA");
		return result(ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, &unmap));
	}
	if (!strcmp(what, "memlock")) {
		struct rlimit limit = { 16 * PAGE, 16 * PAGE };

		/* Without capabilities the limit counts. */
		if (setrlimit(RLIMIT_MEMLOCK, &limit) || setresuid(65534, 65534, 65534))
			fail("setresuid");
		if (map(u.container, memory(8 * PAGE), 0, 8 * PAGE, 3))
			fail("MAP_DMA");
		return result(map(u.container, memory(32 * PAGE), 1 << 20, 32 * PAGE, 3));
	}
	if (!strcmp(what, "irq")) {
		struct vfio_irq_set set = { .argsz = sizeof(set), .index = VFIO_PCI_MSI_IRQ_INDEX, .count = 1,
					    .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER };

		return result(ioctl(u.device, VFIO_DEVICE_SET_IRQS, &set));
	}
	if (!strcmp(what, "short")) {
		struct vfio_device_info info = { .argsz = 4 };

		return result(ioctl(u.device, VFIO_DEVICE_GET_INFO, &info));
	}
	if (!strcmp(what, "reset"))	/* with the device's own group */
		return result(hot_reset(u.device, u.group));
	if (!strcmp(what, "reset-other"))	/* with the group of another one */
		return result(hot_reset(u.device, open_group(argv[3])));
	return 2;
}
