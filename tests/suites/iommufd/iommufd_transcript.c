// SPDX-License-Identifier: GPL-2.0
/*
 * Asks devices that iommufd uses many things, right and wrong, and prints what they answered, one line each.
 *
 * Nothing here knows the right answer: the suite runs it on the C modules and on ours and compares. So a line holds only
 * what is the same on every run. Numbers of iommufd's objects are handed out in the order of the calls, so they are.
 *
 * usage: iommufd_transcript node|bind|attach|group|compat|reset|token|refused|noiommu|noiommu-user BDF [BDF2]
 */
#include "../transcript.h"
#include "iommufd_user.h"

#include <sys/eventfd.h>
#include <sys/sysmacros.h>

static const char *bdf, *bdf2;

/* 1 stands for any descriptor. */
static long opened(int fd)
{
	return fd < 0 ? -1 : 1;
}

/* A page that can be read only, with these bytes at its start. */
static void *read_only(const void *data, size_t size)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(page, data, size);
	mprotect(page, PAGE, PROT_READ);
	return page;
}

/* A copy that ends where a page that cannot be read begins. */
static void *before_hole(const void *data, size_t size)
{
	char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + PAGE, PAGE);
	return memcpy(pages + PAGE - size, data, size);
}

/* --- what a device that may or may not be used answers ---------------------------------------------------- */

static void use(int fd, const char *when)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	struct vfio_irq_set set = {
		.argsz = sizeof(set), .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, .index = VFIO_PCI_MSI_IRQ_INDEX,
	};
	struct vfio_device_feature feature = { .argsz = sizeof(feature), .flags = VFIO_DEVICE_FEATURE_PROBE | 1 };
	uint32_t word = 0;
	void *map;

	printf("# %s\n", when);
	ASK(ioctl(fd, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
	printf("info: flags %x regions %u irqs %u\n", info.flags, info.num_regions, info.num_irqs);
	ASK(ioctl(fd, VFIO_DEVICE_GET_INFO, BAD), "GET_INFO bad");
	ASK(ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region), "GET_REGION_INFO");
	printf("region: flags %x size %llx\n", region.flags, (unsigned long long)region.size);
	ASK(ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), "GET_IRQ_INFO");
	ASK(ioctl(fd, VFIO_DEVICE_SET_IRQS, &set), "SET_IRQS");
	ASK(ioctl(fd, VFIO_DEVICE_RESET), "RESET");
	for (uint32_t index = 0; index < 14; index++) {
		/* dma-buf export may be absent. */
		if (index == VFIO_DEVICE_FEATURE_DMA_BUF)
			continue;
		for (uint32_t op = 0; op < 8; op++) {
			feature.flags = op << 16 | index;
			ASK(ioctl(fd, VFIO_DEVICE_FEATURE, &feature), "FEATURE %u op %u", index, op);
		}
	}
	ASK(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + 70), 0), "unknown ioctl");
	ASK(ioctl(fd, VFIO_GROUP_GET_STATUS, &word), "ioctl of a group");
	ASK(pread(fd, &word, 4, region.offset), "read");
	printf("vendor and device: %x\n", word);
	ASK(pread(fd, BAD, 4, region.offset), "read bad");
	ASK(pwrite(fd, &word, 4, region.offset), "write");
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, region.offset);
	say(map == MAP_FAILED ? -1 : 0, "mmap");
}

static void fdinfo(int fd)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "vfio", 4))
			printf("fdinfo %s", line);
	if (file)
		fclose(file);
}

static void cat(const char *what, const char *path)
{
	char line[256];
	FILE *file = fopen(path, "r");

	printf("%s:\n", what);
	while (file && fgets(line, sizeof(line), file))
		/* Majors are what was free. */
		if (strncmp(line, "MAJOR", 5))
			printf("  %s", strchr(line, ':') ? strchr(line, ':') : line);
	if (file)
		fclose(file);
}

static void nodes(void)
{
	char path[PATH_MAX];
	struct stat st = {};
	int fd, fd2;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/%s/dev", bdf, node_name(bdf));
	cat("dev", path);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/%s/uevent", bdf, node_name(bdf));
	cat("uevent", path);
	snprintf(path, sizeof(path), "/sys/class/vfio-dev/%s/dev", node_name(bdf));
	cat("dev by class", path);
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", node_name(bdf));
	ASK(stat(path, &st), "stat %s", path);
	printf("mode %o minor %u\n", st.st_mode, minor(st.st_rdev));
	fd = need_node(bdf);
	fd2 = open_node(bdf);
	ASK(opened(fd2), "open twice");
	ASK(opened(open(path, O_RDONLY)), "open for reading");
	ASK(lseek(fd, 16, SEEK_SET), "lseek");
	fdinfo(fd);
	use(fd, "not bound");
	close(fd);
	use(fd2, "not bound, the other is closed");
}

/* --- VFIO_DEVICE_BIND_IOMMUFD ----------------------------------------------------------------------------- */

static void bind_arguments(int fd, int iommu, const char *when)
{
	struct { struct vfio_device_bind_iommufd b; uint64_t more[8]; } bind = {};
	uint8_t token[16] = { 1, 2, 3 };
	int event = eventfd(0, 0), container = open("/dev/vfio/vfio", O_RDWR);

#define BIND(size, ...) ({ \
	memset(&bind, 0, sizeof(bind)); \
	bind.b = (struct vfio_device_bind_iommufd){ .argsz = size, .iommufd = iommu, __VA_ARGS__ }; \
	ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind); })

	printf("# wrong arguments, %s\n", when);
	TWICE(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, BAD), "bad pointer");
	for (uint32_t size = 0; size < 16; size++)
		ASK(BIND(size), "argsz %u", size);
	for (uint32_t flag = 1; flag < 32; flag++)
		ASK(BIND(sizeof(bind.b), .flags = 1u << flag), "flag %u", flag);
	ASK(BIND(sizeof(bind.b), .iommufd = -1), "iommufd -1");
	ASK(BIND(sizeof(bind.b), .iommufd = 1 << 30), "iommufd not open");
	ASK(BIND(sizeof(bind.b), .iommufd = event), "an eventfd");
	ASK(BIND(sizeof(bind.b), .iommufd = container), "a container");
	ASK(BIND(sizeof(bind.b), .iommufd = fd), "the device");
	ASK(BIND(sizeof(bind.b), .flags = VFIO_DEVICE_BIND_FLAG_TOKEN), "token null");
	ASK(BIND(sizeof(bind.b), .flags = VFIO_DEVICE_BIND_FLAG_TOKEN, .token_uuid_ptr = (uintptr_t)BAD), "token bad");
	ASK(BIND(sizeof(bind.b), .flags = VFIO_DEVICE_BIND_FLAG_TOKEN, .token_uuid_ptr = ~0ull), "token max");
	ASK(BIND(16, .flags = VFIO_DEVICE_BIND_FLAG_TOKEN), "token that is not there");
	if (strcmp(when, "of a group"))
		TWICE(BIND(sizeof(bind.b), .flags = VFIO_DEVICE_BIND_FLAG_TOKEN, .token_uuid_ptr = (uintptr_t)token,
			   .iommufd = event), "token");
	memset(&bind, 0, sizeof(bind));
	bind.b = (struct vfio_device_bind_iommufd){ .argsz = sizeof(bind), .iommufd = iommu };
	for (size_t at = 0; at < sizeof(bind.more); at += 7) {
		((uint8_t *)bind.more)[at] = 1;
		ASK(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), "something at %zu behind", at);
		((uint8_t *)bind.more)[at] = 0;
	}
	bind.b.argsz = sizeof(bind.b) + 8;
	ASK(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, before_hole(&bind, sizeof(bind.b))), "hole behind");
	bind.b.argsz = sizeof(bind.b);
	ASK(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, before_hole(&bind, 20)), "hole inside");
	ASK(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, read_only(&bind, sizeof(bind.b))), "read-only");
	close(event);
	close(container);
}

static void binds(void)
{
	int fd = need_node(bdf), fd2 = need_node(bdf), iommu = need_iommufd(), iommu2 = need_iommufd(), group;
	struct { struct vfio_device_bind_iommufd b; uint64_t more[8]; } bind = {};
	uint32_t id = 0;

	bind_arguments(fd, iommu, "not bound");
	use(fd, "after all refusals");

	group = open_group(bdf);
	TWICE(bind_device(fd, iommu, NULL), "bind while the group is open");
	close(group);

	for (uint32_t size = 16; size < 28; size++) {
		bind.b = (struct vfio_device_bind_iommufd){ .argsz = size, .iommufd = iommu };
		ASK(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), "bind, argsz %u", size);
		printf("id %u\n", bind.b.out_devid);
		TWICE(bind_device(fd, iommu, NULL), "bind again");
		ASK(bind_device(fd2, iommu, NULL), "bind another file");
		ASK(bind_device(fd2, iommu2, NULL), "bind another file to another iommufd");
		close(fd);
		fd = need_node(bdf);
	}
	ASK(bind_device(fd, iommu, &id), "bind");
	printf("id %u\n", id);
	bind_arguments(fd, iommu, "bound");
	bind_arguments(fd2, iommu, "another is bound");
	TWICE(opened(open(group_path(bdf), O_RDWR)), "open the group of a bound device");
	TWICE(destroy(iommu, id), "destroy the device");
	use(fd, "bound");
	fdinfo(fd);
	use(fd2, "another is bound");
	close(iommu);
	use(fd, "bound, iommufd closed");
	close(fd);
	ASK(bind_device(fd2, iommu2, &id), "bind the other file");
	printf("id %u\n", id);
	use(fd2, "the other, bound");
	close(fd2);
	group = open(group_path(bdf), O_RDWR);
	ASK(opened(group), "open the group");
	close(group);
}

/* --- VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT ------------------------------------------- */

static void attach_arguments(int fd, uint32_t ioas, const char *when)
{
	struct vfio_device_attach_iommufd_pt attach;
	struct vfio_device_detach_iommufd_pt detach;

#define ATTACH(size, ...) ({ \
	attach = (struct vfio_device_attach_iommufd_pt){ .argsz = size, .pt_id = ioas, __VA_ARGS__ }; \
	ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach); })
#define DETACH(size, ...) ({ \
	detach = (struct vfio_device_detach_iommufd_pt){ .argsz = size, __VA_ARGS__ }; \
	ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach); })

	printf("# attach and detach, %s\n", when);
	TWICE(ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, BAD), "attach bad");
	TWICE(ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, BAD), "detach bad");
	for (uint32_t size = 0; size < 20; size++) {
		ASK(ATTACH(size), "attach, argsz %u", size);
		ASK(DETACH(size), "detach, argsz %u", size);
		ASK(ATTACH(size, .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = 1), "attach PASID, argsz %u", size);
		ASK(DETACH(size, .flags = VFIO_DEVICE_DETACH_PASID, .pasid = 1), "detach PASID, argsz %u", size);
	}
	for (uint32_t flag = 1; flag < 32; flag++) {
		ASK(ATTACH(sizeof(attach), .flags = 1u << flag), "attach, flag %u", flag);
		ASK(DETACH(sizeof(detach), .flags = 1u << flag), "detach, flag %u", flag);
	}
	for (uint32_t bit = 0; bit < 32; bit++) {
		ASK(ATTACH(sizeof(attach), .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = 1u << bit), "attach PASID 1 << %u", bit);
		ASK(DETACH(sizeof(detach), .flags = VFIO_DEVICE_DETACH_PASID, .pasid = 1u << bit), "detach PASID 1 << %u", bit);
	}
	for (uint32_t id = 0; id < 16; id++)
		if (id != ioas)
			ASK(ATTACH(sizeof(attach), .pt_id = id), "attach object %u", id);
	ASK(ATTACH(sizeof(attach), .pt_id = ~0u), "attach object -1");
	ASK(detach_device(fd), "detach");
	attach = (struct vfio_device_attach_iommufd_pt){ .argsz = sizeof(attach), .flags = 1, .pt_id = ioas, .pasid = 1 };
	ASK(ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, before_hole(&attach, 12)), "attach PASID, hole inside");
	detach = (struct vfio_device_detach_iommufd_pt){ .argsz = sizeof(detach), .flags = 1, .pasid = 1 };
	ASK(ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, before_hole(&detach, 8)), "detach PASID, hole inside");
}

static void attaches(void)
{
	int fd = need_node(bdf), iommu = need_iommufd();
	uint32_t id = 0, ioas = new_ioas(iommu), ioas2 = new_ioas(iommu), pt = 0, pt2 = 0;
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .pt_id = ioas };
	struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt) };
	char *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("ioas %u %u\n", ioas, ioas2);
	attach_arguments(fd, ioas, "not bound");
	ASK(bind_device(fd, iommu, &id), "bind");
	attach_arguments(fd, ioas, "bound");
	TWICE(detach_device(fd), "detach what is not attached");

	ASK(attach_device(fd, ioas, &pt), "attach");
	printf("page table %u\n", pt);
	attach_arguments(fd, ioas, "attached");
	ASK(attach_device(fd, ioas, &pt), "attach");
	printf("page table %u\n", pt);
	TWICE(attach_device(fd, ioas, &pt2), "attach again");
	printf("page table %u\n", pt2);
	TWICE(attach_device(fd, pt, &pt2), "attach the page table again");
	TWICE(destroy(iommu, ioas), "destroy the attached address space");
	ASK(map_ioas(iommu, ioas, memory, 0x100000, 16 * PAGE), "map");
	ASK(attach_device(fd, ioas2, &pt2), "replace");
	printf("page table %u\n", pt2);
	ASK(destroy(iommu, ioas), "destroy the replaced one");
	ASK(attach_device(fd, ioas, &pt2), "attach what is gone");
	TWICE(destroy(iommu, ioas2), "destroy the attached address space");
	ASK(attach_device(fd, id, &pt2), "attach the device");
	ASK(detach_device(fd), "detach");
	ASK(destroy(iommu, ioas2), "destroy the detached one");

	/* The answer cannot be written: it is detached again. */
	ioas = new_ioas(iommu);
	attach.pt_id = ioas;
	TWICE(ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, read_only(&attach, sizeof(attach))), "attach, read-only");
	ASK(destroy(iommu, ioas), "destroy what was not attached");
	ioas = new_ioas(iommu);
	attach.pt_id = ioas;
	ASK(attach_device(fd, ioas, NULL), "attach");
	TWICE(ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, read_only(&attach, sizeof(attach))), "attach again, read-only");
	ASK(destroy(iommu, ioas), "destroy it");

	ioas = new_ioas(iommu);
	hwpt.dev_id = id;
	hwpt.pt_id = ioas;
	ASK(ioctl(iommu, IOMMU_HWPT_ALLOC, &hwpt), "HWPT_ALLOC");
	ASK(attach_device(fd, hwpt.out_hwpt_id, &pt), "attach it");
	printf("page table is that: %d\n", pt == hwpt.out_hwpt_id);
	TWICE(destroy(iommu, hwpt.out_hwpt_id), "destroy the attached one");
	use(fd, "attached");
	close(fd);
	ASK(destroy(iommu, hwpt.out_hwpt_id), "destroy it when the device is closed");
	ASK(destroy(iommu, ioas), "destroy its address space");
	fd = need_node(bdf);
	ASK(bind_device(fd, iommu, &id), "bind anew");
	ioas = new_ioas(iommu);
	ASK(attach_device(fd, ioas, &pt), "attach");
	close(iommu);
	TWICE(attach_device(fd, ioas, &pt), "attach again, iommufd closed");
	ASK(detach_device(fd), "detach, iommufd closed");
	close(fd);
}

/* --- devices of groups, and groups whose container is an iommufd ------------------------------------------- */

static void status(int group, const char *when)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };
	long ret = ioctl(group, VFIO_GROUP_GET_STATUS, &s);

	say(ret, "GET_STATUS %s: flags %x", when, s.flags);
}

static void of_group(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	int iommu = need_iommufd(), fd = need_node(bdf);
	uint32_t ioas = new_ioas(iommu);

	bind_arguments(u.device, iommu, "of a group");
	TWICE(bind_device(u.device, iommu, NULL), "bind the file of a group");
	attach_arguments(u.device, ioas, "of a group");
	bind_arguments(fd, iommu, "the group is open");
	TWICE(bind_device(fd, iommu, NULL), "bind while the group is open");
	use(u.device, "of a group");
	use(fd, "while the group is open");
}

static void compat(void)
{
	int iommu = need_iommufd(), iommu2 = need_iommufd(), container = open_container(), group = open_group(bdf), fd, fd2;
	struct iommu_vfio_ioas vfio = { .size = sizeof(vfio), .op = IOMMU_VFIO_IOAS_GET };
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3, .iova = 0x100000, .size = 4 * PAGE };
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = 0x100000, .size = 4 * PAGE };
	int event = eventfd(0, 0), minus = -1;

	map.vaddr = (uintptr_t)mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	status(group, "at first");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, BAD), "SET_CONTAINER bad");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &minus), "SET_CONTAINER -1");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &event), "SET_CONTAINER eventfd");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &group), "SET_CONTAINER group");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER at first");
	ASK(ioctl(iommu, IOMMU_VFIO_IOAS, &vfio), "VFIO_IOAS before");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd");
	ASK(ioctl(iommu, IOMMU_VFIO_IOAS, &vfio), "VFIO_IOAS");
	printf("ioas %u\n", vfio.ioas_id);
	status(group, "with iommufd");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER again");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu2), "SET_CONTAINER another");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER container");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER again");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER container");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd in a container");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");

	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd");
	ASK(ioctl(iommu, VFIO_GET_API_VERSION), "API_VERSION");
	ASK(ioctl(iommu, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), "CHECK_EXTENSION");
	ASK(ioctl(iommu, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	ASK(opened(fd), "GET_DEVICE_FD");
	fd2 = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	ASK(opened(fd2), "GET_DEVICE_FD again");
	status(group, "with a device");
	ASK(ioctl(iommu, VFIO_IOMMU_MAP_DMA, &map), "MAP_DMA");
	ASK(destroy(iommu, vfio.ioas_id), "destroy the address space");
	use(fd, "of a group with iommufd");
	attach_arguments(fd, vfio.ioas_id, "of a group with iommufd");
	bind_arguments(fd, iommu, "of a group");
	ASK(ioctl(iommu, VFIO_IOMMU_UNMAP_DMA, &unmap), "UNMAP_DMA");

	/* Unlike a container it may be given up while devices are open. */
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with a device");
	status(group, "without iommufd");
	TWICE(opened(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD without");
	use(fd2, "without iommufd");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER container with a device");
	close(fd);
	close(fd2);
	TWICE(destroy(iommu, vfio.ioas_id), "destroy the address space");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu2), "SET_CONTAINER another");
	vfio.op = IOMMU_VFIO_IOAS_CLEAR;
	ASK(ioctl(iommu2, IOMMU_VFIO_IOAS, &vfio), "VFIO_IOAS clear");
	TWICE(opened(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD without address space");
	vfio.op = IOMMU_VFIO_IOAS_SET;
	vfio.ioas_id = new_ioas(iommu2);
	ASK(ioctl(iommu2, IOMMU_VFIO_IOAS, &vfio), "VFIO_IOAS set");
	fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	ASK(opened(fd), "GET_DEVICE_FD with it");
	close(iommu2);
	use(fd, "iommufd closed");
	close(group);
	use(fd, "group closed");
	/* Not asked: whether the group can be opened now (Documentation/differences.rst). */
	close(fd);
	group = open(group_path(bdf), O_RDWR);
	ASK(opened(group), "open the group");
	/* Closing it gives the iommufd up. */
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd");
	close(group);
	fd = need_node(bdf);
	ASK(bind_device(fd, iommu, NULL), "bind");
	close(fd);
	ASK(opened(open("/dev/vfio/vfio", O_RDWR)), "open a container");
}

/* --- hot reset -------------------------------------------------------------------------------------------- */

static void reset_info(int fd, uint32_t id, uint32_t id2, const char *when)
{
	struct { struct vfio_pci_hot_reset_info info; struct vfio_pci_dependent_device more[40]; } r = {};

	for (int space = 0; space < 4; space++) {
		r.info = (struct vfio_pci_hot_reset_info){
			.argsz = sizeof(r.info) + (space == 3 ? 40 : space) * sizeof(r.more[0]), .flags = ~0u,
		};
		say(ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &r),
		    "HOT_RESET_INFO %s, room for %d: flags %x count %u", when, space, r.info.flags, r.info.count);
	}
	for (uint32_t i = 0; i < r.info.count && i < 40; i++)
		printf("  %04x:%02x.%x: %s\n", r.info.devices[i].segment, r.info.devices[i].bus, r.info.devices[i].devfn,
		       !(r.info.flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID) ? "group" :
		       r.info.devices[i].devid == id ? "first" : r.info.devices[i].devid == id2 ? "second" :
		       !r.info.devices[i].devid ? "owned" : r.info.devices[i].devid == ~0u ? "not owned" : "?");
}

static void reset(int fd, int group, const char *when)
{
	struct { struct vfio_pci_hot_reset r; int32_t fds[4]; } r = { .r.argsz = sizeof(r) };

	r.r.count = 0;
	TWICE(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), "HOT_RESET %s, no files", when);
	r.r.flags = 1;
	ASK(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), "HOT_RESET %s, flags", when);
	r.r.flags = 0;
	for (uint32_t argsz = 0; argsz < 12; argsz++) {
		r.r.argsz = argsz;
		ASK(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), "HOT_RESET %s, argsz %u", when, argsz);
	}
	r.r.argsz = sizeof(r);
	r.r.count = 1;
	for (int which = 0; which < 3; which++) {
		r.fds[0] = which == 0 ? group : which == 1 ? fd : -1;
		TWICE(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &r), "HOT_RESET %s, one file, %d", when, which);
	}
}

static void resets(void)
{
	int fd = need_node(bdf), fd2 = bdf2 ? open_node(bdf2) : -1, iommu = need_iommufd(), iommu2 = need_iommufd();
	uint32_t id = 0, id2 = 0;
	struct vfio_user u;

	printf("second: %ld\n", opened(fd2));
	reset_info(fd, 0, 0, "not bound");
	ASK(bind_device(fd, iommu, &id), "bind");
	reset_info(fd, id, ~1u, "bound");
	reset(fd, -1, "bound");
	if (fd2 >= 0) {
		TWICE(bind_device(fd2, iommu2, &id2), "bind the second to another");
		ASK(bind_device(fd2, iommu, &id2), "bind the second");
		reset_info(fd, id, id2, "both bound");
		reset_info(fd2, id, id2, "both bound");
		reset(fd, -1, "both bound");
		reset(fd2, -1, "both bound");
		close(fd);
		reset_info(fd2, id, id2, "the first closed");
		reset(fd2, -1, "the first closed");
		fd = open_node(bdf);
		TWICE(bind_device(fd, iommu2, NULL), "bind the first to another");
		close(fd2);
		ASK(bind_device(fd, iommu2, NULL), "bind the first to another");
	}
	close(fd);
	u = open_all(bdf, strstr(group_path(bdf), "noiommu-") ? VFIO_NOIOMMU_IOMMU : VFIO_TYPE1v2_IOMMU);
	reset_info(u.device, 0, 0, "of a group");
	reset(u.device, u.group, "of a group");
	close(u.device);
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd");
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	reset_info(u.device, 0, 0, "of a group with iommufd");
	reset(u.device, u.group, "of a group with iommufd");
}

/* --- tokens of virtual functions: BDF is the physical one, BDF2 a virtual one of it -------------------------- */

static long bind_token(int fd, int iommu, const uint8_t *token)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind), .flags = VFIO_DEVICE_BIND_FLAG_TOKEN, .iommufd = iommu, .token_uuid_ptr = (uintptr_t)token,
	};

	return ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind);
}

static long set_token(int fd, const uint8_t *token)
{
	struct { struct vfio_device_feature f; uint8_t token[16]; } set = {
		.f = { .argsz = sizeof(set), .flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_PCI_VF_TOKEN },
	};

	memcpy(set.token, token, 16);
	return ioctl(fd, VFIO_DEVICE_FEATURE, &set);
}

static void tokens(void)
{
	static const uint8_t right[16] = "0123456789abcde", wrong[16] = "0123456789abcdf";
	int iommu = need_iommufd(), pf = need_node(bdf), vf = open_node(bdf2), pf2;

	printf("virtual function: %ld\n", opened(vf));
	TWICE(bind_device(vf, iommu, NULL), "bind the virtual one without token");
	TWICE(bind_token(vf, iommu, wrong), "bind the virtual one with any token");
	ASK(bind_token(pf, iommu, right), "bind the physical one with a token");
	TWICE(bind_device(vf, iommu, NULL), "bind the virtual one without token");
	TWICE(bind_token(vf, iommu, wrong), "bind the virtual one with another token");
	ASK(bind_token(vf, iommu, right), "bind the virtual one with that token");
	ASK(set_token(pf, wrong), "change the token");
	close(vf);
	vf = open_node(bdf2);
	TWICE(bind_token(vf, iommu, right), "bind the virtual one with the old token");
	ASK(bind_token(vf, iommu, wrong), "bind the virtual one with the new token");
	close(pf);
	pf2 = need_node(bdf);
	TWICE(bind_device(pf2, iommu, NULL), "bind the physical one without token, while the virtual one is bound");
	TWICE(bind_token(pf2, iommu, right), "bind the physical one with the old token");
	ASK(bind_token(pf2, iommu, wrong), "bind the physical one with the new token");
	close(pf2);
	close(vf);
	pf2 = need_node(bdf);
	ASK(bind_device(pf2, iommu, NULL), "bind the physical one without token");
	ASK(set_token(pf2, right), "change the token");
}

/* --- less refusals than the log's rate limit, for the reasons that it has with debugging -------------------------- */

static void refused(void)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .flags = 2 };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach), .flags = 2 };
	struct vfio_device_detach_iommufd_pt detach = { .argsz = 8, .flags = VFIO_DEVICE_DETACH_PASID };
	struct { struct vfio_pci_hot_reset r; int32_t fd; } reset = { .r = { .argsz = sizeof(reset), .count = 1 } };
	int fd = need_node(bdf), iommu = need_iommufd(), group = open_group(bdf);

	ASK(ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind), "bind with flags");
	ASK(bind_device(fd, iommu, NULL), "bind while the group is open");
	close(group);
	ASK(bind_device(fd, iommu, NULL), "bind");
	ASK(bind_device(fd, iommu, NULL), "bind again");
	ASK(ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), "attach with flags");
	ASK(ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach), "detach with a PASID that is not there");
	ASK(ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &reset), "hot reset with a file");
}

/* --- devices without IOMMU -------------------------------------------------------------------------------- */

static void physical(int iommu, uint32_t ioas, const char *when)
{
	struct iommu_ioas_noiommu_get_pa get = { .size = sizeof(get), .ioas_id = ioas, .iova = 0x100000, .length = 1 };

	ASK(ioctl(iommu, IOMMU_IOAS_NOIOMMU_GET_PA, &get), "physical address %s", when);
	printf("there is one: %d\n", get.out_phys != 0);
}

static void extensions(int iommu, const char *when)
{
	for (unsigned long type = 0; type < 12; type++)
		ASK(ioctl(iommu, VFIO_CHECK_EXTENSION, type), "CHECK_EXTENSION %lu %s", type, when);
}

static void noiommu(void)
{
	struct iommu_vfio_ioas vfio = { .size = sizeof(vfio), .op = IOMMU_VFIO_IOAS_SET };
	int fd = need_node(bdf), iommu = need_iommufd(), iommu2 = need_iommufd(), iommu3 = need_iommufd(), group, device, device2;
	char *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t ioas = new_ioas(iommu), id = 0, pt = 0;
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .vaddr = (uintptr_t)memory, .iova = 0x100000, .size = 4 * PAGE,
	};

	printf("%s\n", node_name(bdf));
	ASK(bind_device(fd, iommu, &id), "bind");
	ASK(attach_device(fd, ioas, &pt), "attach");
	printf("id %u page table %u\n", id, pt);
	ASK(map_ioas(iommu, ioas, memory, 0x100000, 16 * PAGE), "map");
	physical(iommu, ioas, "of what is mapped");
	TWICE(opened(open(group_path(bdf), O_RDWR)), "open the group of a bound device");
	use(fd, "attached");
	ASK(detach_device(fd), "detach");
	physical(iommu, ioas, "of what is mapped, detached");
	close(fd);

	/* The group, with an iommufd as its container. */
	group = open_group(bdf);
	extensions(iommu2, "before");
	status(group, "at first");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu2), "SET_CONTAINER iommufd");
	status(group, "with iommufd");
	extensions(iommu2, "with a group");
	for (unsigned long type = 0; type < 12; type++)
		if (type != VFIO_NOIOMMU_IOMMU)
			ASK(ioctl(iommu2, VFIO_SET_IOMMU, type), "SET_IOMMU %lu", type);
	TWICE(ioctl(iommu2, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "SET_IOMMU no-IOMMU");
	extensions(iommu2, "with no-IOMMU");
	ASK(ioctl(iommu2, VFIO_IOMMU_MAP_DMA, &map), "MAP_DMA");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	ASK(opened(device), "GET_DEVICE_FD");
	device2 = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	ASK(opened(device2), "GET_DEVICE_FD again");
	use(device, "of a group with iommufd");
	attach_arguments(device, 1, "of a group with iommufd");
	fd = need_node(bdf);
	TWICE(bind_device(fd, iommu, NULL), "bind while the group is open");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with a device");
	close(device2);
	close(device);
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");

	/* Who asks for an address space expects translation. */
	vfio.ioas_id = new_ioas(iommu3);
	ASK(ioctl(iommu3, IOMMU_VFIO_IOAS, &vfio), "VFIO_IOAS set");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu3), "SET_CONTAINER iommufd with an address space");
	TWICE(opened(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD with an address space");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu2), "SET_CONTAINER iommufd");
	vfio.ioas_id = new_ioas(iommu2);
	ASK(ioctl(iommu2, IOMMU_VFIO_IOAS, &vfio), "VFIO_IOAS set, no-IOMMU");
	TWICE(opened(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD");
	close(group);
	ASK(bind_device(fd, iommu, NULL), "bind");
	close(fd);
}

/* What those find who got the files from somebody with CAP_SYS_RAWIO, and have it not. */
static void noiommu_user(void)
{
	int fd = need_node(bdf), bound = need_node(bdf), iommu = need_iommufd(), container = open_container(), group, device;
	uint32_t ioas = new_ioas(iommu);

	ASK(bind_device(bound, iommu, NULL), "bind");
	drop_capabilities();
	ASK(attach_device(bound, ioas, NULL), "attach what was bound, without capabilities");
	physical(iommu, ioas, "without capabilities");
	use(bound, "bound before");
	close(bound);
	TWICE(opened(open_node(bdf)), "open the node without capabilities");
	ASK(bind_device(fd, iommu, NULL), "bind without capabilities");
	ASK(attach_device(fd, ioas, NULL), "attach without capabilities");
	use(fd, "without capabilities");
	close(fd);
	group = open(group_path(bdf), O_RDWR);
	ASK(opened(group), "open the group without capabilities");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER container without capabilities");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd without capabilities");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	ASK(opened(device), "GET_DEVICE_FD without capabilities");
}

/* The files of the group were opened with CAP_SYS_RAWIO. */
static void noiommu_group_user(void)
{
	int iommu = need_iommufd(), container = open_container(), group = open_group(bdf), device;

	drop_capabilities();
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER container without capabilities");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu), "SET_CONTAINER iommufd without capabilities");
	status(group, "without capabilities");
	ASK(ioctl(iommu, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "SET_IOMMU no-IOMMU without capabilities");
	extensions(iommu, "without capabilities");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	TWICE(opened(device), "GET_DEVICE_FD without capabilities");
}

static void noiommu_users(void)
{
	apart(noiommu_user);
	apart(noiommu_group_user);
}

/* Without capabilities: the permissions of the files are all that is asked for. */
static void plain_user(void)
{
	drop_capabilities();
	binds();
	attaches();
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } sections[] = {
		{ "node", nodes }, { "bind", binds }, { "attach", attaches }, { "group", of_group }, { "compat", compat },
		{ "reset", resets }, { "token", tokens }, { "user", plain_user },
		{ "refused", refused }, { "noiommu", noiommu }, { "noiommu-user", noiommu_users },
	};

	if (argc < 3)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	bdf = argv[2];
	bdf2 = argc > 3 ? argv[3] : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(argv[1], sections[i].name)) {
			sections[i].run();
			return 0;
		}
	return 2;
}
