// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what with a device that has no IOMMU, and what its container answers.
 *
 * usage: noiommu_rules doors|container|parameter BDF BDF2
 *        noiommu_rules unbind|hold BDF
 *        noiommu_rules reset-info BDF ERRNO     whether hot resets are possible
 *        noiommu_rules off BDF...       nothing may be there: the parameter is off, or the module knows none
 *        noiommu_rules kinds BDF BDF2   BDF has an IOMMU, BDF2 has none
 *
 * The expected answers are those of drivers/vfio/{group,container,vfio_main}.c built with CONFIG_VFIO_NOIOMMU.
 */
#include "noiommu.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* --- tasks with other rights ------------------------------------------------------------------ */

enum who { ROOT, ROOT_WITHOUT, USER, USER_WITH, NOBODY_LEFT };

static const struct {
	const char *name;
	bool may;
} whos[] = {
	[ROOT] = { "root", true },
	[ROOT_WITHOUT] = { "root without CAP_SYS_RAWIO", false },
	[USER] = { "a user with access to the node", false },
	[USER_WITH] = { "the user with CAP_SYS_RAWIO alone", true },
};

static void set_capabilities(bool all_but_raw_io)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		fail("capget");
	if (all_but_raw_io) {
		data[0].permitted &= ~(1u << CAP_SYS_RAWIO);
		data[0].effective &= ~(1u << CAP_SYS_RAWIO);
	} else {
		memset(data, 0, sizeof(data));
		data[0].permitted = 1u << CAP_SYS_RAWIO;
		data[0].effective = 1u << CAP_SYS_RAWIO;
	}
	header.pid = 0;
	if (syscall(SYS_capset, &header, data))
		fail("capset");
}

static void become(enum who who)
{
	if (who == ROOT)
		return;
	if (who == ROOT_WITHOUT) {
		set_capabilities(true);
		return;
	}
	if (who == USER_WITH && prctl(PR_SET_KEEPCAPS, 1))
		fail("PR_SET_KEEPCAPS");
	if (setgroups(0, NULL) || setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		fail("setresuid");
	if (who == USER_WITH)
		set_capabilities(false);
}

/* What a step works on; all of it was opened by root with every right. */
struct set {
	const char *bdf, *path;
	int container, group;
};

typedef int (*step)(const struct set *set);

/* What the step answers to somebody: 0 or an errno. Files that it opens go with the task. */
static int answer_to(enum who who, step step, const struct set *set)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		become(who);
		_exit(step(set));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		fail("a task died with status %#x", status);
	return WEXITSTATUS(status);
}

static int do_open(const struct set *set)
{
	return error_of(open(set->path, O_RDWR));
}

static int do_set_container(const struct set *set)
{
	return set_container(set->group, set->container);
}

static int do_set_iommu(const struct set *set)
{
	return set_iommu(set->container, VFIO_NOIOMMU_IOMMU);
}

static int do_get_device(const struct set *set)
{
	return error_of(ioctl(set->group, VFIO_GROUP_GET_DEVICE_FD, set->bdf));
}

static int do_bad_fd(const struct set *set)
{
	return set_container(set->group, -1);
}

static int do_wrong_file(const struct set *set)
{
	return set_container(set->group, set->group);
}

static int do_wrong_name(const struct set *set)
{
	return error_of(ioctl(set->group, VFIO_GROUP_GET_DEVICE_FD, "ffff:ff:1f.7"));
}

static int do_type1(const struct set *set)
{
	return set_iommu(set->container, VFIO_TYPE1v2_IOMMU);
}

static int do_unset(const struct set *set)
{
	return error_of(ioctl(set->group, VFIO_GROUP_UNSET_CONTAINER));
}

static int do_status(const struct set *set)
{
	unsigned int flags;

	return get_status(set->group, &flags);
}

/* The way in, as far as `steps` of it. */
static struct set way(const char *bdf, int steps)
{
	struct set set = { .bdf = bdf, .path = group_path(bdf), .container = open_container(), .group = -1 };

	if (steps > 0)
		set.group = open_noiommu(bdf);
	if (steps > 1 && do_set_container(&set))
		fail("SET_CONTAINER");
	if (steps > 2 && do_set_iommu(&set))
		fail("SET_IOMMU");
	return set;
}

static void leave(const struct set *set)
{
	if (set->group >= 0)
		close(set->group);
	close(set->container);
}

static void doors(const char *bdf)
{
	static const struct {
		const char *name;
		step step;
	} doors[] = {
		{ "open the group", do_open },
		{ "SET_CONTAINER", do_set_container },
		{ "SET_IOMMU", do_set_iommu },
		{ "GET_DEVICE_FD", do_get_device },
	};
	unsigned int door, who;
	struct set set;
	int device;

	set = way(bdf, 0);
	expect(answer_to(USER, do_open, &set), EACCES, "open the group: a user without access to the node");
	leave(&set);
	if (chmod(group_path(bdf), 0666))
		fail("chmod");
	for (door = 0; door < ARRAY_SIZE(doors); door++) {
		for (who = ROOT; who < NOBODY_LEFT; who++) {
			set = way(bdf, door);
			expect(answer_to(who, doors[door].step, &set), whos[who].may ? 0 : EPERM, "%s: %s",
			       doors[door].name, whos[who].name);
			leave(&set);
		}
	}
	if (chmod(group_path(bdf), 0600))
		fail("chmod");

	/* What comes before the right and what after it. */
	set = way(bdf, 1);
	expect(answer_to(ROOT, do_open, &set), EBUSY, "open it a second time");
	expect(answer_to(ROOT_WITHOUT, do_open, &set), EPERM, "open it a second time, without the right");
	expect(answer_to(ROOT_WITHOUT, do_bad_fd, &set), EBADF, "SET_CONTAINER to no file, without the right");
	expect(answer_to(ROOT_WITHOUT, do_wrong_file, &set), EBADFD, "SET_CONTAINER to no container, without the right");
	expect(answer_to(ROOT_WITHOUT, do_get_device, &set), EINVAL, "GET_DEVICE_FD without container, without the right");
	expect(answer_to(ROOT_WITHOUT, do_wrong_name, &set), ENODEV, "GET_DEVICE_FD with a wrong name, without the right");
	expect(answer_to(ROOT_WITHOUT, do_status, &set), 0, "GET_STATUS without the right");
	leave(&set);
	set = way(bdf, 2);
	expect(answer_to(ROOT_WITHOUT, do_set_container, &set), EINVAL, "SET_CONTAINER a second time, without the right");
	expect(answer_to(ROOT_WITHOUT, do_get_device, &set), EINVAL, "GET_DEVICE_FD before SET_IOMMU, without the right");
	expect(answer_to(ROOT_WITHOUT, do_type1, &set), ENODEV, "SET_IOMMU to type1, without the right");
	leave(&set);
	set = way(bdf, 3);
	expect(answer_to(ROOT_WITHOUT, do_set_iommu, &set), EINVAL, "SET_IOMMU a second time, without the right");
	expect(answer_to(ROOT_WITHOUT, do_unset, &set), 0, "UNSET_CONTAINER without the right");
	leave(&set);

	/* Whoever has the group open and was given it by a task with the right shares the device that is open. */
	set = way(bdf, 3);
	device = ioctl(set.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	expect(error_of(device), 0, "GET_DEVICE_FD");
	expect(answer_to(USER, do_get_device, &set), 0, "GET_DEVICE_FD of an open device, without the right");
	expect(answer_to(USER, do_unset, &set), EBUSY, "UNSET_CONTAINER with an open device");
	close(device);
	expect(answer_to(USER, do_get_device, &set), EPERM, "GET_DEVICE_FD once it is closed, without the right");
	leave(&set);
}

/* --- containers ------------------------------------------------------------------------------ */

enum contents { EMPTY, IOMMU_GROUP, NOIOMMU_GROUP };

static int wanted_extension(unsigned long extension, enum contents contents, bool on)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return contents != NOIOMMU_GROUP;
	case VFIO_NOIOMMU_IOMMU:
		return contents != IOMMU_GROUP && on;
	}
	return 0;
}

static void extensions(int container, enum contents contents, bool on, const char *when)
{
	static const unsigned long far[] = { 1000, 0x7fffffff, 0x80000000, 0xffffffff, -1UL };
	unsigned long extension;
	int wrong = 0, answer;
	unsigned int i;

	for (i = 0; i < 64 + ARRAY_SIZE(far); i++) {
		extension = i < 64 ? i : far[i - 64];
		answer = ioctl(container, VFIO_CHECK_EXTENSION, extension);
		if (answer != wanted_extension(extension, contents, on)) {
			printf("  FAIL extension %lu: %d\n", extension, answer);
			wrong++;
		}
	}
	printf("  %s every extension, %s\n", wrong ? "FAIL" : "ok  ", when);
	failures += wrong;
}

/* Every other ioctl of VFIO answers `wanted` on the container. */
static void other_ioctls(int container, int wanted, const char *when)
{
	char argument[4096] = {};
	int wrong = 0, answer;
	unsigned int nr;

	for (nr = 0; nr < 256; nr++) {
		if (nr >= VFIO_BASE && nr <= VFIO_BASE + 2)
			continue;
		*(unsigned int *)argument = sizeof(argument);
		answer = error_of(ioctl(container, _IO(VFIO_TYPE, nr), argument));
		if (answer != wanted) {
			printf("  FAIL ioctl %u: %s\n", nr, error_name(answer));
			wrong++;
		}
	}
	printf("  %s every other ioctl is %s, %s\n", wrong ? "FAIL" : "ok  ", error_name(wanted), when);
	failures += wrong;
}

static void containers(const char *bdf, const char *bdf2)
{
	int container = open_container(), other = open_container();
	int group = open_noiommu(bdf), group2 = open_noiommu(bdf2);
	unsigned int flags = 0;
	unsigned long type;
	int device, device2;

	expect_value(ioctl(container, VFIO_GET_API_VERSION), VFIO_API_VERSION, "API version");
	extensions(container, EMPTY, true, "no group");
	other_ioctls(container, EINVAL, "no group");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), EINVAL, "SET_IOMMU without a group");
	expect(get_status(group, &flags), 0, "GET_STATUS");
	expect_value(flags, VFIO_GROUP_FLAGS_VIABLE, "flags");

	expect(set_container(group, container), 0, "SET_CONTAINER");
	expect(get_status(group, &flags), 0, "GET_STATUS");
	expect_value(flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET, "flags");
	expect(set_container(group, other), EINVAL, "SET_CONTAINER to another");
	extensions(container, NOIOMMU_GROUP, true, "a group without IOMMU");
	other_ioctls(container, EINVAL, "no IOMMU chosen");
	for (type = 0; type < 16; type++)
		if (type != VFIO_NOIOMMU_IOMMU)
			expect(set_iommu(container, type), ENODEV, "SET_IOMMU %lu", type);

	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), 0, "SET_IOMMU");
	extensions(container, NOIOMMU_GROUP, true, "no-IOMMU chosen");
	other_ioctls(container, ENOTTY, "no-IOMMU chosen");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), EINVAL, "SET_IOMMU again");
	expect(set_iommu(container, VFIO_TYPE1v2_IOMMU), EINVAL, "SET_IOMMU type1");
	expect(set_container(group2, container), 0, "SET_CONTAINER, a second group");
	expect(set_container(group2, container), EINVAL, "SET_CONTAINER, the second group again");

	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	expect(error_of(device), 0, "GET_DEVICE_FD");
	device2 = ioctl(group2, VFIO_GROUP_GET_DEVICE_FD, bdf2);
	expect(error_of(device2), 0, "GET_DEVICE_FD in the second group");
	expect(error_of(ioctl(group2, VFIO_GROUP_GET_DEVICE_FD, bdf)), ENODEV, "GET_DEVICE_FD in the wrong group");
	expect(error_of(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)), EBUSY, "UNSET_CONTAINER while it is open");
	close(device);
	expect(error_of(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)), 0, "UNSET_CONTAINER");
	expect(error_of(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)), EINVAL, "UNSET_CONTAINER again");
	extensions(container, NOIOMMU_GROUP, true, "one group left");
	other_ioctls(container, ENOTTY, "one group left");
	close(device2);
	expect(error_of(ioctl(group2, VFIO_GROUP_UNSET_CONTAINER)), 0, "UNSET_CONTAINER, the second group");
	extensions(container, EMPTY, true, "no group left");
	other_ioctls(container, EINVAL, "no group left");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), EINVAL, "SET_IOMMU without a group");

	/* In whatever order it is closed. */
	expect(set_container(group, container), 0, "SET_CONTAINER");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), 0, "SET_IOMMU");
	close(container);
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	expect(error_of(device), 0, "GET_DEVICE_FD with the container's file closed");
	close(group);
	expect(error_of(open(group_path(bdf), O_RDWR)), EBUSY, "open the group, which its device keeps open");
	close(device);
	group = open(group_path(bdf), O_RDWR);
	expect(error_of(group), 0, "open the group, the device closed");
	close(group);
	close(group2);
	close(other);
}

static void parameter(const char *bdf, const char *bdf2)
{
	int container = open_container(), group, group2, device, again;

	/* What is there stays, but there is no way to a container without IOMMU. */
	set_parameter(false);
	extensions(container, EMPTY, false, "off, no group");
	group = open(group_path(bdf), O_RDWR);
	expect(error_of(group), 0, "off: open the group of a device registered before");
	expect(set_container(group, container), 0, "off: SET_CONTAINER");
	extensions(container, NOIOMMU_GROUP, false, "off, a group without IOMMU");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), ENODEV, "off: SET_IOMMU");
	set_parameter(true);
	extensions(container, NOIOMMU_GROUP, true, "on again");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), 0, "on: SET_IOMMU");

	set_parameter(false);
	extensions(container, NOIOMMU_GROUP, false, "off, no-IOMMU chosen");
	other_ioctls(container, ENOTTY, "off, no-IOMMU chosen");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	expect(error_of(device), 0, "off: GET_DEVICE_FD");
	again = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	expect(error_of(again), 0, "off: GET_DEVICE_FD again");
	group2 = open_noiommu(bdf2);
	expect(set_container(group2, container), 0, "off: SET_CONTAINER, a second group");
	close(group2);
	close(again);
	close(device);
	close(group);
	extensions(container, EMPTY, false, "off, no group left");
	close(container);
	set_parameter(true);
}

/* Who has the group open while its device goes. */
static void unbind(const char *bdf)
{
	int container = open_container(), group = open_noiommu(bdf), other = open_container();
	char path[PATH_MAX], old[PATH_MAX];
	unsigned int flags;
	int new;

	snprintf(old, sizeof(old), "%s", group_path(bdf));
	expect(set_container(group, container), 0, "SET_CONTAINER");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), 0, "SET_IOMMU");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
	write_file(path, bdf);
	expect(error_of(access(old, F_OK)), ENOENT, "unbound: the node");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	expect(error_of(access(path, F_OK)), ENOENT, "the IOMMU group");
	expect(get_status(group, &flags), ENODEV, "GET_STATUS");
	expect(set_container(group, container), ENODEV, "SET_CONTAINER");
	expect(error_of(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)), EINVAL, "UNSET_CONTAINER");
	expect(error_of(ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf)), ENODEV, "GET_DEVICE_FD");
	extensions(container, EMPTY, true, "the group is gone");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), EINVAL, "SET_IOMMU");

	/* The same device again, while the old group is still open. */
	write_file("/sys/bus/pci/drivers_probe", bdf);
	new = open_noiommu(bdf);
	expect(set_container(new, other), 0, "bound again: SET_CONTAINER");
	expect(set_container(group, other), ENODEV, "SET_CONTAINER of the old group");
	expect(get_status(group, &flags), ENODEV, "GET_STATUS of the old group");
	expect(get_status(new, &flags), 0, "GET_STATUS of the new one");
	close(group);
	expect(get_status(new, &flags), 0, "GET_STATUS of the new one, the old closed");
	close(new);
	close(other);
	close(container);
}

/* Has everything open until it is killed. */
static void hold(const char *bdf)
{
	open_all_noiommu(bdf);
	printf("held\n");
	fflush(stdout);
	pause();
}

static void reset_info(const char *bdf, const char *wanted)
{
	struct vfio_user user = open_all_noiommu(bdf);
	char buffer[4096] = {};
	struct vfio_pci_hot_reset_info *info = (void *)buffer;
	int answer;

	info->argsz = sizeof(buffer);
	answer = error_of(ioctl(user.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info));
	expect(strcmp(error_name(answer), wanted), 0, "GET_PCI_HOT_RESET_INFO answers %s", wanted);
	if (!answer)
		expect_value(info->count, 2, "devices that are reset together");
	close_all(&user);
}

static void off(char **bdf)
{
	int container = open_container(), entries = 0;
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	for (; *bdf; bdf++) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", *bdf);
		expect(error_of(access(path, F_OK)), ENOENT, "%s: its IOMMU group", *bdf);
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", *bdf);
		expect(error_of(access(path, F_OK)), ENOENT, "%s: its driver, as vfio-pci could not register it", *bdf);
	}
	extensions(container, EMPTY, false, "off");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), EINVAL, "SET_IOMMU");
	close(container);
	dir = opendir("/dev/vfio");
	if (!dir)
		fail("/dev/vfio");
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "vfio") && strcmp(entry->d_name, "devices")) {
			printf("  FAIL there is /dev/vfio/%s\n", entry->d_name);
			entries++;
		}
	closedir(dir);
	expect_value(entries, 0, "nodes of groups");
}

static void kinds(const char *real, const char *none)
{
	int group = open_group(real), group2 = open_noiommu(none);
	int container = open_container();

	expect(set_container(group, container), 0, "SET_CONTAINER, a group with an IOMMU");
	extensions(container, IOMMU_GROUP, true, "a group with an IOMMU");
	expect(set_container(group2, container), EPERM, "SET_CONTAINER, a group without");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), ENODEV, "SET_IOMMU to no-IOMMU");
	expect(set_iommu(container, VFIO_TYPE1v2_IOMMU), 0, "SET_IOMMU to type1");
	expect(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 0, "CHECK_EXTENSION of no-IOMMU");
	expect(set_container(group2, container), EPERM, "SET_CONTAINER, a group without");
	expect(error_of(ioctl(group, VFIO_GROUP_UNSET_CONTAINER)), 0, "UNSET_CONTAINER");

	/* The other way round, in the container that was of the other kind. */
	expect(set_container(group2, container), 0, "SET_CONTAINER, a group without");
	extensions(container, NOIOMMU_GROUP, true, "a group without IOMMU");
	expect(set_container(group, container), EPERM, "SET_CONTAINER, a group with an IOMMU");
	expect(set_iommu(container, VFIO_TYPE1v2_IOMMU), ENODEV, "SET_IOMMU to type1");
	expect(set_iommu(container, VFIO_NOIOMMU_IOMMU), 0, "SET_IOMMU to no-IOMMU");
	expect(set_container(group, container), EPERM, "SET_CONTAINER, a group with an IOMMU");
	expect(error_of(ioctl(group2, VFIO_GROUP_GET_DEVICE_FD, none)), 0, "GET_DEVICE_FD");
	close(group2);
	close(group);
	close(container);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "doors"))
		doors(argv[2]);
	else if (!strcmp(what, "container") && argc == 4)
		containers(argv[2], argv[3]);
	else if (!strcmp(what, "parameter") && argc == 4)
		parameter(argv[2], argv[3]);
	else if (!strcmp(what, "unbind"))
		unbind(argv[2]);
	else if (!strcmp(what, "hold"))
		hold(argv[2]);
	else if (!strcmp(what, "reset-info") && argc == 4)
		reset_info(argv[2], argv[3]);
	else if (!strcmp(what, "off"))
		off(argv + 2);
	else if (!strcmp(what, "kinds") && argc == 4)
		kinds(argv[2], argv[3]);
	else
		fail("noiommu_rules: see its source for the usage");
	printf("%d failures\n", failures);
	return failures != 0;
}
