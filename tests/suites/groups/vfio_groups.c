// SPDX-License-Identifier: GPL-2.0
/*
 * Groups of several devices, and groups that move between containers. What is printed has to be the same on the C modules.
 *
 *   vfio_groups ask OTHER DEVICE...   what a group answers, with whatever drivers its devices have; OTHER is of another group
 *   vfio_groups hold DEVICE           opens it, says so, and keeps it until its input ends
 *   vfio_groups closes E1000 OTHER    whether the next user finds what the last one has left in an e1000; OTHER may be its neighbour
 *   vfio_groups moves EDU OTHER       an edu does DMA in the container that its group is in, and in no other
 */
#include "../transcript.h"

#include <linux/pci_regs.h>

#define CONFIG (7ull << 40)
#define MAX_DEVICES 4
#define IOVA (16ull << 20)

/* edu: docs/specs/edu.rst of QEMU */
#define EDU_SRC 0x80
#define EDU_DST 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_BUFFER 0x40000

static void status(int group, const char *when)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };
	long ret = ioctl(group, VFIO_GROUP_GET_STATUS, &s);

	say(ret, "status %s: flags %x", when, s.flags);
}

/* Which devices a reset would affect: their addresses, and whether each is of the group of the first. */
static void reset_info(int device)
{
	struct {
		struct vfio_pci_hot_reset_info head;
		struct vfio_pci_dependent_device devices[32];
	} info = { .head.argsz = sizeof(info) };
	long ret = ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);

	say(ret, "hot reset info: flags %x count %u", info.head.flags, info.head.count);
	for (uint32_t i = 0; !ret && i < info.head.count; i++)
		printf("  %02x:%02x group %u\n", info.devices[i].bus, info.devices[i].devfn, info.devices[i].group_id);
}

static void hot_reset(int device, int count, int first, int second, const char *what)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t fds[2];
	} reset = { .head = { .argsz = sizeof(reset), .count = count }, .fds = { first, second } };

	ASK(ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &reset), "hot reset with %s", what);
}

/* A reset leaves what the user sees of configuration space as it was. */
static uint32_t config_sum(int device)
{
	uint32_t word, sum = 0;

	for (int at = 0; at < 64; at += 4) {
		if (at == PCI_COMMAND)
			continue;
		word = 0;
		(void)!pread(device, &word, 4, CONFIG + at);
		sum = sum * 31 + word;
	}
	return sum;
}

static void ask(const char *other, char **names, int count)
{
	int container = open_container(), second = open_container(), group = open(group_path(names[0]), O_RDWR);
	int device[MAX_DEVICES], stranger = open(group_path(other), O_RDWR);
	uint32_t sums[MAX_DEVICES];

	say(group < 0 ? -1 : 1, "open the group");
	if (group < 0)
		return;
	status(group, "fresh");
	ASK(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, names[0])), "a device without a container");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	status(group, "after SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	for (int i = 0; i < count; i++) {
		device[i] = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, names[i]);
		say(device[i] < 0 ? -1 : 1, "device %d", i);
		if (device[i] < 0)
			continue;
		sums[i] = config_sum(device[i]);
		reset_info(device[i]);
		ASK(ioctl(device[i], VFIO_DEVICE_RESET), "device %d: reset", i);
		hot_reset(device[i], 0, 0, 0, "nothing");
		hot_reset(device[i], 1, stranger, 0, "another group");
		hot_reset(device[i], 1, group, 0, "its group");
		hot_reset(device[i], 2, stranger, group, "both");
		hot_reset(device[i], 2, group, group, "its group twice");
		printf("configuration space is as before: %d\n", config_sum(device[i]) == sums[i]);
		for (int j = 0; j < i; j++)
			if (device[j] >= 0)
				printf("so is that of device %d: %d\n", j, config_sum(device[j]) == sums[j]);
	}
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	for (int i = 0; i < count; i++) {
		if (device[i] < 0)
			continue;
		close(device[i]);
		ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER after device %d", i);
	}
	status(group, "at the end");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &second), "SET_CONTAINER to another");
	ASK(ioctl(second, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU of it");
	close(stranger);
	close(group);
	close(container);
	close(second);
}

static void hold(const char *name)
{
	struct vfio_user u = open_all(name, VFIO_TYPE1v2_IOMMU);
	char c;

	printf("held\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	status(u.group, "while held");
}

/* Where an e1000 has its receive descriptors: a register that any reset clears. */
#define E1000_RDBAL 0x2800

static void look_and_mark(int device, const char *when)
{
	uint16_t command = PCI_COMMAND_MEMORY;
	uint32_t value = ~0u;

	if (pwrite(device, &command, 2, CONFIG + PCI_COMMAND) != 2 || pread(device, &value, 4, E1000_RDBAL) != 4)
		fail("the device");
	printf("%s: %x\n", when, value);
	value = 0x1230;
	if (pwrite(device, &value, 4, E1000_RDBAL) != 4)
		fail("the device");
}

/*
 * A function that cannot be reset alone is reset with all on its bus, once nobody has one of them open; only if all of
 * them are with vfio-pci.
 */
static void closes(const char *name, const char *neighbour)
{
	struct vfio_user u = open_all(name, VFIO_TYPE1v2_IOMMU);
	int other;

	look_and_mark(u.device, "first");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	look_and_mark(u.device, "after that");
	close(u.device);
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, name);
	look_and_mark(u.device, "closed, opened");
	other = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, neighbour);
	say(other < 0 ? -1 : 1, "its neighbour");
	close(u.device);
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, name);
	look_and_mark(u.device, "the same with its neighbour open");
	close(u.device);
	if (other >= 0)
		close(other);
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, name);
	look_and_mark(u.device, "both closed");
	close_all(&u);
}

static void set(int device, uint64_t reg, uint64_t value)
{
	if (pwrite(device, &value, 8, reg) != 8)
		fail("a register");
}

static void edu_copy(int device, uint64_t from, uint64_t to, uint64_t command)
{
	uint64_t value = 1;

	set(device, EDU_SRC, from);
	set(device, EDU_DST, to);
	set(device, EDU_COUNT, 8);
	set(device, EDU_COMMAND, command);
	for (int i = 0; i < 2000; i++) {
		if (pread(device, &value, 8, EDU_COMMAND) == 8 && !(value & 1))
			return;
		usleep(5000);
	}
	printf("the device does not finish\n");
}

static long map(int container, void *at, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3, .vaddr = (uintptr_t)at,
		.iova = iova, .size = PAGE };

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
}

/* What the edu reads at IOVA: it puts it into the page behind. */
static uint64_t seen(struct vfio_user *u, volatile uint64_t *page)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	if (pwrite(u->device, &command, 2, CONFIG + PCI_COMMAND) != 2)
		fail("the command register");
	page[PAGE / 8] = 0;
	edu_copy(u->device, IOVA, EDU_BUFFER, 1);
	edu_copy(u->device, EDU_BUFFER, IOVA + PAGE, 3);
	return page[PAGE / 8];
}

static void moves(const char *edu, const char *other)
{
	struct vfio_user u = { .group = open_group(edu) };
	int containers[3], stays = open_group(other);
	uint64_t *pages[3];
	char what[32];

	for (int i = 0; i < 3; i++) {
		containers[i] = open_container();
		pages[i] = memory(2 * PAGE);
		pages[i][0] = 0x1000 + i;
	}
	/* The first container has another group, so it stays what it is when the edu leaves. */
	ASK(ioctl(stays, VFIO_GROUP_SET_CONTAINER, &containers[0]), "the other group into container 0");
	ASK(ioctl(containers[0], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	ASK(map(containers[0], pages[0], IOVA), "map");
	ASK(map(containers[0], pages[0] + PAGE / 8, IOVA + PAGE), "map the next");
	for (int round = 0; round < 9; round++) {
		int i = round % 3;

		snprintf(what, sizeof(what), "round %d, container %d", round, i);
		u.container = containers[i];
		ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &containers[i]), "%s: SET_CONTAINER", what);
		ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &containers[(i + 1) % 3]), "%s: and the next", what);
		if (i) {
			ASK(ioctl(containers[i], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "%s: SET_IOMMU", what);
			ASK(map(containers[i], pages[i], IOVA), "%s: map", what);
			ASK(map(containers[i], pages[i] + PAGE / 8, IOVA + PAGE), "%s: map the next", what);
		}
		ASK(map(containers[i], pages[i], IOVA), "%s: map again", what);
		u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, edu);
		say(u.device < 0 ? -1 : 1, "%s: device", what);
		printf("%s: the device reads %llx\n", what, (unsigned long long)seen(&u, pages[i]));
		ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "%s: UNSET_CONTAINER", what);
		close(u.device);
		ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "%s: UNSET_CONTAINER, closed", what);
		ASK(map(containers[i], pages[i], IOVA + 8 * PAGE + round * PAGE), "%s: map without it", what);
	}
	close(u.group);
	close(stays);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 4 && argc < 4 + MAX_DEVICES && !strcmp(argv[1], "ask"))
		ask(argv[2], argv + 3, argc - 3);
	else if (argc == 3 && !strcmp(argv[1], "hold"))
		hold(argv[2]);
	else if (argc == 4 && !strcmp(argv[1], "closes"))
		closes(argv[2], argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "moves"))
		moves(argv[2], argv[3]);
	else
		return 2;
	return 0;
}
