/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_transcript: containers and groups. */
#ifndef TRANSCRIPT_CONTAINER_H
#define TRANSCRIPT_CONTAINER_H

static void extensions(int fd)
{
	for (unsigned long ext = 0; ext < 16; ext++)
		ASK(ioctl(fd, VFIO_CHECK_EXTENSION, ext), "CHECK_EXTENSION %lu", ext);
	ASK(ioctl(fd, VFIO_CHECK_EXTENSION, ~0UL), "CHECK_EXTENSION max");
}

static void status(int group, const char *when)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };
	long ret = ioctl(group, VFIO_GROUP_GET_STATUS, &s);

	say(ret, "GET_STATUS %s: flags %x", when, s.flags);
}

static void odd_file_operations(int fd, const char *what)
{
	char buf[16] = {};
	void *p;

	ASK(read(fd, buf, sizeof(buf)), "read %s", what);
	ASK(pwrite(fd, buf, sizeof(buf), 0), "pwrite %s", what);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	say(p == MAP_FAILED ? -1 : 0, "mmap %s", what);
	if (p != MAP_FAILED)
		munmap(p, PAGE);
	ASK(lseek(fd, 0, SEEK_SET), "lseek %s", what);
	for (unsigned int nr = 0; nr < 24; nr++)
		if (nr != 6 && nr != 2)
			ASK(FD(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + nr), BAD)), "ioctl %u of %s", nr, what);
	ASK(ioctl(fd, _IO('x', 100), 0), "foreign ioctl of %s", what);
	ASK(ioctl(fd, _IO(VFIO_TYPE, VFIO_BASE + 200), 0), "unknown ioctl of %s", what);
}

static void section_container(void)
{
	int container = open_container(), group, other = -1, device, null;
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };

	heading("a container on its own");
	ASK(ioctl(container, VFIO_GET_API_VERSION), "GET_API_VERSION");
	extensions(container);
	for (unsigned long type = 0; type < 10; type++)
		TWICE(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %lu", type);
	TWICE(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO without IOMMU");
	odd_file_operations(container, "container");

	heading("a group");
	group = open_group(bdf);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open the group again");
	status(group, "fresh");
	odd_file_operations(group, "group");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER without");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD without container");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, BAD), "SET_CONTAINER bad pointer");
	null = -1;
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), "SET_CONTAINER fd -1");
	null = 987;
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), "SET_CONTAINER closed fd");
	null = open("/dev/null", O_RDWR);
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &null), "SET_CONTAINER /dev/null");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &group), "SET_CONTAINER the group itself");
	for (uint32_t argsz = 0; argsz < 10; argsz += 3) {
		struct vfio_group_status s = { .argsz = argsz };

		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, &s), "GET_STATUS argsz %u", argsz);
	}

	heading("group in container");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER again");
	status(group, "in container");
	extensions(container);
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), "GET_DEVICE_FD without IOMMU");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	status(group, "out of container");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	for (unsigned long type = 0; type < 10; type++)
		if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
			TWICE(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %lu", type);
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type1v2");
	for (unsigned long type = 0; type < 10; type++)
		TWICE(ioctl(container, VFIO_SET_IOMMU, type), "SET_IOMMU %lu again", type);
	extensions(container);
	odd_file_operations(container, "container with IOMMU");

	heading("the device fd");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, BAD)), "GET_DEVICE_FD bad pointer");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "")), "GET_DEVICE_FD empty name");
	TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:ff:1f.7")), "GET_DEVICE_FD unknown name");
	for (unsigned int i = 0; i < 6; i++) {
		static const char *const tails[] = { " ", " vf_token=", " vf_token=x", "x", " foo=bar",
			" vf_token=00112233-4455-6677-8899-aabbccddeeff" };
		char name[200];

		snprintf(name, sizeof(name), "%s%s", bdf, tails[i]);
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name)), "GET_DEVICE_FD name and '%s'", tails[i]);
	}
	{
		static char name[PAGE * 2];

		memset(name, 'a', sizeof(name) - 1);
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name)), "GET_DEVICE_FD endless name");
	}
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	say(device < 0 ? -1 : 1, "GET_DEVICE_FD");
	ASK(fcntl(device, F_GETFD), "its FD flags");
	ASK(fcntl(device, F_GETFL) & ~O_LARGEFILE, "its flags");
	other = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	say(other < 0 ? -1 : 1, "GET_DEVICE_FD a second time");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with device open");
	status(group, "with device open");
	close(device);
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with the second fd open");

	heading("closing in an odd order");
	close(group);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open the group while only the device is open");
	close(container);
	ASK(ioctl(other, VFIO_DEVICE_RESET), "DEVICE_RESET with group and container closed");
	close(other);
	group = open(group_path(bdf), O_RDWR);
	say(group < 0 ? -1 : 1, "open the group after all is closed");
	status(group, "after all is closed");
	container = open_container();
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type1");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO of the container left");
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type1v2 after type1");
	close(container);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	say(device < 0 ? -1 : 1, "GET_DEVICE_FD with the container's fd closed");
	close(group);
	close(device);

	heading("two containers, two groups");
	container = open_container();
	other = open_container();
	group = open_group(bdf);
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER first");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &other), "SET_CONTAINER second");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	if (bdf2) {
		int group2 = open(group_path(bdf2), O_RDWR);

		say(group2 < 0 ? -1 : 1, "open the second group");
		ASK(ioctl(group2, VFIO_GROUP_SET_CONTAINER, &container), "second group in the container");
		status(group2, "of the second");
		TWICE(FD(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf2)), "device of the other group");
		device = ioctl(group2, VFIO_GROUP_GET_DEVICE_FD, bdf2);
		say(device < 0 ? -1 : 1, "device of the second group");
		ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "first group leaves");
		TWICE(ioctl(group2, VFIO_GROUP_UNSET_CONTAINER), "second cannot");
		close(device);
		ASK(ioctl(group2, VFIO_GROUP_UNSET_CONTAINER), "now it can");
		TWICE(ioctl(container, VFIO_IOMMU_GET_INFO, &info), "GET_INFO, both gone");
		close(group2);
	}
	close(group);
	close(container);
	close(other);
}

/* A group with two devices, of which the suite binds one, both, or one to a host driver. */
static void section_viable(void)
{
	int container = open_container(), group = open(group_path(bdf), O_RDWR), device;

	say(group < 0 ? -1 : 1, "open the group");
	if (group < 0)
		return;
	status(group, "fresh");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), "SET_CONTAINER");
	status(group, "after SET_CONTAINER");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	for (int i = 0; i < 2; i++) {
		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, i ? bdf2 : bdf);
		say(device < 0 ? -1 : 1, "device %d", i);
		if (device >= 0) {
			struct vfio_pci_hot_reset_info info = { .argsz = sizeof(info) };

			ASK(ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), "hot reset info");
			close(device);
		}
	}
	close(group);
	close(container);
}

#endif /* TRANSCRIPT_CONTAINER_H */
