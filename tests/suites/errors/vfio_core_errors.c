// SPDX-License-Identifier: GPL-2.0
/*
 * Provokes each error that the core can answer with: container, group, device and eventfd handlers. One case is one
 * rule; what it was answered goes to a file of its own, which the suite compares with what the C modules answer.
 *
 * usage: vfio_core_errors SET DIRECTORY BDF BDF2
 * SET: `all` with all modules loaded and both devices, in groups of their own, bound to vfio-pci; `bare` the same without
 * an IOMMU backend.
 */
#include "../proc.h"
#include "../transcript.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static const char *bdf, *bdf2;

/* --- helpers -------------------------------------------------------------------------------------------- */

static long in_container(int group, int container)
{
	return ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
}

static long get_device(int group, const char *name)
{
	return ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

static long status(int group, const char *when)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };
	long ret = ioctl(group, VFIO_GROUP_GET_STATUS, &s);

	return say(ret, "GET_STATUS %s: flags %x", when, s.flags);
}

/* The end of a page, `size` bytes before one that is not mapped. */
static char *edge(size_t size)
{
	char *p = memory(2 * PAGE);

	munmap(p + PAGE, PAGE);
	return p + PAGE - size;
}

/* Memory that can be read only, with these bytes. */
static void *constant(const void *bytes, size_t size)
{
	void *p = memory(PAGE);

	memcpy(p, bytes, size);
	mprotect(p, PAGE, PROT_READ);
	return p;
}

static bool is_bound(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", name);
	return !access(path, F_OK);
}

/* A process that takes the device from the driver, which lasts as long as somebody has it open. */
static pid_t unbinding(const char *name)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Or it would wait for itself. */
		close_range(3, ~0U, 0);
		_exit(!put_text("/sys/bus/pci/drivers/vfio-pci/unbind", name));
	}
	return pid;
}

static void bound_again(const char *name, pid_t pid)
{
	int status;

	if (pid > 0)
		waitpid(pid, &status, 0);
	put_text("/sys/bus/pci/drivers_probe", name);
	printf("%s\n", is_bound(name) ? "bound again" : "not bound");
}

#include "core_files.h"

/* --- container ------------------------------------------------------------------------------------------ */

static void extensions(int fd, const char *when)
{
	static const unsigned long odd[] = { 1UL << 31, 1UL << 32, (1UL << 32) | 1, (1UL << 32) | 3, 1UL << 63, ~0UL };

	printf("# %s\n", when);
	for (unsigned long ext = 0; ext < 40; ext++)
		ASK(ioctl(fd, VFIO_CHECK_EXTENSION, ext), "CHECK_EXTENSION %lu", ext);
	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++)
		TWICE(ioctl(fd, VFIO_CHECK_EXTENSION, odd[i]), "CHECK_EXTENSION %lx", odd[i]);
}

static void container_api_version(void)
{
	int fd = open_container();

	TWICE(ioctl(fd, VFIO_GET_API_VERSION, 0), "GET_API_VERSION");
	TWICE(ioctl(fd, VFIO_GET_API_VERSION, ~0UL), "GET_API_VERSION with an argument");
}

static void container_check_extension(void)
{
	int fd = open_container(), group = open_group(bdf);

	extensions(fd, "empty");
	ASK(in_container(group, fd), "SET_CONTAINER");
	extensions(fd, "with a group");
	ASK(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU");
	extensions(fd, "type1");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	extensions(fd, "left");
	ASK(in_container(group, fd), "SET_CONTAINER");
	ASK(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	extensions(fd, "type1v2");
}

static void every_iommu(int fd, const char *when)
{
	static const unsigned long odd[] = { (1UL << 32) | 1, (1UL << 32) | 3, 1UL << 63, ~0UL };

	printf("# %s\n", when);
	for (unsigned long type = 0; type < 24; type++)
		if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
			TWICE(ioctl(fd, VFIO_SET_IOMMU, type), "SET_IOMMU %lu", type);
	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++)
		TWICE(ioctl(fd, VFIO_SET_IOMMU, odd[i]), "SET_IOMMU %lx", odd[i]);
}

static void container_set_iommu(void)
{
	int fd = open_container(), group = open_group(bdf), device;

	every_iommu(fd, "empty");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU without a group");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU v2 without a group");
	ASK(in_container(group, fd), "SET_CONTAINER");
	every_iommu(fd, "with a group");
	ASK(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU again");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU another");
	every_iommu(fd, "type1");
	device = get_device(group, bdf);
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU with a device open");
	close(device);
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU after the group left");
	ASK(in_container(group, fd), "SET_CONTAINER");
	ASK(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU v2");
	close(group);
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU after the group was closed");
}

static void container_ioctls_by_state(void)
{
	int fd = open_container(), group = open_group(bdf);

	printf("# empty\n");
	strange_ioctls(fd);
	in_container(group, fd);
	printf("# with a group\n");
	strange_ioctls(fd);
	ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	printf("# with an IOMMU\n");
	strange_ioctls(fd);
	ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
	printf("# left\n");
	strange_ioctls(fd);
}

static void container_file(void)
{
	int fd = open_container(), group = open_group(bdf);

	file_operations(fd, "container");
	in_container(group, fd);
	ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	file_operations(fd, "container with IOMMU");
}

static void container_open_flags(void)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_TRUNC, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL,
		O_RDWR | O_DIRECTORY, O_RDWR | O_DIRECT, O_RDWR | O_APPEND, O_RDWR | O_NONBLOCK, O_PATH, O_ACCMODE };
	int group = open_group(bdf);

	for (unsigned int i = 0; i < ARRAY_SIZE(flags); i++) {
		int fd = open("/dev/vfio/vfio", flags[i], 0600);

		say(fd < 0 ? -1 : 1, "open %o", flags[i]);
		if (fd < 0)
			continue;
		TWICE(ioctl(fd, VFIO_GET_API_VERSION), "GET_API_VERSION");
		ASK(in_container(group, fd), "SET_CONTAINER");
		ASK(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
		ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
		close(fd);
	}
}

static void container_of_anybody(void)
{
	int group = open_group(bdf), fd;

	if (setgid(65534) || setuid(65534))
		fail("setuid");
	fd = open("/dev/vfio/vfio", O_RDWR);
	say(fd < 0 ? -1 : 1, "open the container as nobody");
	ASK(FD(open(group_path(bdf2), O_RDWR)), "open a group as nobody");
	ASK(FD(open(group_path(bdf2), O_RDONLY)), "open a group to read as nobody");
	ASK(in_container(group, fd), "SET_CONTAINER of a group that was opened before");
	ASK(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	ASK(FD(get_device(group, bdf)), "GET_DEVICE_FD");
}

static void container_outlives_its_fd(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	int other = open_container();

	close(u.container);
	status(u.group, "with the container's fd closed");
	TWICE(in_container(u.group, other), "SET_CONTAINER another");
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with a device open");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET) && errno != ENOTTY, "DEVICE_RESET");
	close(u.device);
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	ASK(in_container(u.group, other), "SET_CONTAINER another");
	TWICE(FD(get_device(u.group, bdf)), "GET_DEVICE_FD without IOMMU");
}

static void container_without_backend(void)
{
	int fd = open_container(), group = open_group(bdf);

	extensions(fd, "empty");
	every_iommu(fd, "empty");
	ASK(in_container(group, fd), "SET_CONTAINER");
	extensions(fd, "with a group");
	every_iommu(fd, "with a group");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU type1");
	TWICE(ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU type1v2");
	TWICE(FD(get_device(group, bdf)), "GET_DEVICE_FD");
	strange_ioctls(fd);
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
}

/* --- group ---------------------------------------------------------------------------------------------- */

static void group_open_once(void)
{
	char proc[64];
	int group = open_group(bdf), copy = dup(group), path = open(group_path(bdf), O_PATH), container;
	int again;
	pid_t pid;

	TWICE(FD(open(group_path(bdf), O_RDWR)), "open again");
	TWICE(FD(open(group_path(bdf), O_RDONLY)), "open again to read");
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
	TWICE(FD(open(proc, O_RDWR)), "open by another way");
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", group);
	TWICE(FD(open(proc, O_RDWR)), "open by its descriptor");
	TWICE(ioctl(path, VFIO_GROUP_UNSET_CONTAINER), "ioctl of O_PATH");
	close(group);
	TWICE(FD(open(group_path(bdf), O_RDWR)), "open with a copy left");
	status(copy, "of the copy");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	close(copy);
	TWICE(FD(open(group_path(bdf), O_RDWR)), "open with a child left");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open with nobody left");
	again = open(group_path(bdf), O_RDONLY);
	say(again < 0 ? -1 : 1, "open to read");
	container = open_container();
	ASK(in_container(again, container), "SET_CONTAINER of it");
	ASK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	copy = get_device(again, bdf);
	say(copy < 0 ? -1 : 1, "GET_DEVICE_FD of it");
	close(again);
	TWICE(FD(open(group_path(bdf), O_RDWR)), "open with the device open");
	close(copy);
	ASK(FD(open(group_path(bdf), O_RDWR)), "open with the device closed");
}

static void group_file(void)
{
	int fd = open_container(), group = open_group(bdf);

	file_operations(group, "group");
	strange_ioctls(group);
	in_container(group, fd);
	ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	file_operations(group, "group in a container");
	strange_ioctls(group);
}

static void group_status(void)
{
	static const uint32_t sizes[] = { 0, 1, 4, 7, 8, 9, 16, 0x7fffffff, 0x80000000, 0xffffffff };
	int fd = open_container(), group = open_group(bdf);
	struct vfio_group_status s, good = { .argsz = sizeof(good), .flags = 0xffffffff };

	for (int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
			s = (struct vfio_group_status){ .argsz = sizes[i], .flags = 0xa5a5a5a5 };
			TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, &s), "GET_STATUS argsz %u", sizes[i]);
			printf("argsz %u flags %x\n", s.argsz, s.flags);
		}
		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, NULL), "GET_STATUS null");
		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, BAD), "GET_STATUS bad pointer");
		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, ~0UL << 47), "GET_STATUS a kernel's address");
		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, 1UL << 63), "GET_STATUS no address");
		TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, constant(&good, sizeof(good))), "GET_STATUS of constants");
		for (int size = 1; size <= 8; size += 1) {
			char *p = edge(size);

			memcpy(p, &good, size);
			TWICE(ioctl(group, VFIO_GROUP_GET_STATUS, p), "GET_STATUS of %d bytes", size);
		}
		in_container(group, fd);
	}
}

static void group_set_container(void)
{
	int container = open_container(), group = open_group(bdf), other = open_group(bdf2), ends[2], pair[2];
	struct vfio_user u;
	char *p;

	if (pipe(ends) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		fail("pipe");
	close(other);
	u = open_all(bdf2, VFIO_TYPE1v2_IOMMU);
	const struct { const char *name; int fd; } fds[] = {
		{ "-1", -1 }, { "-2", -2 }, { "INT_MIN", INT_MIN }, { "INT_MAX", INT_MAX }, { "closed", 987 },
		{ "AT_FDCWD", AT_FDCWD }, { "/dev/null", open("/dev/null", O_RDWR) }, { "/dev/zero", open("/dev/zero", O_RDWR) },
		{ "a file", memfd_create("x", 0) }, { "a folder", open("/", O_RDONLY) }, { "pipe", ends[0] },
		{ "pipe to write", ends[1] }, { "socket", pair[0] }, { "eventfd", eventfd(0, 0) }, { "epoll", epoll_create1(0) },
		{ "timerfd", timerfd_create(CLOCK_MONOTONIC, 0) }, { "itself", group }, { "another group", u.group },
		{ "a device", u.device }, { "a pid", syscall(SYS_pidfd_open, getpid(), 0) },
		{ "misc device", open("/dev/hpet", O_RDONLY) }, { "the path of a container", open("/dev/vfio/vfio", O_PATH) },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		TWICE(in_container(group, fds[i].fd), "SET_CONTAINER %s", fds[i].name);
		status(group, "after that");
	}
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, NULL), "SET_CONTAINER null");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, BAD), "SET_CONTAINER bad pointer");
	TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, ~0UL << 47), "SET_CONTAINER a kernel's address");
	for (int size = 1; size < 4; size++) {
		p = edge(size);
		memset(p, 0, size);
		TWICE(ioctl(group, VFIO_GROUP_SET_CONTAINER, p), "SET_CONTAINER of %d bytes", size);
	}
	ASK(ioctl(group, VFIO_GROUP_SET_CONTAINER, constant(&container, 4)), "SET_CONTAINER of a constant");
	/* Refused before what is wrong with the descriptor is looked at, or not? */
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		TWICE(in_container(group, fds[i].fd), "SET_CONTAINER %s when in one", fds[i].name);
	TWICE(in_container(group, container), "SET_CONTAINER the same");
	TWICE(in_container(group, u.container), "SET_CONTAINER another");
	ASK(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	ASK(in_container(group, u.container), "SET_CONTAINER one with IOMMU");
	ASK(FD(get_device(group, bdf)), "GET_DEVICE_FD");
	close(u.group);
	TWICE(FD(open(group_path(bdf2), O_RDWR)), "open the group whose device is open");
}

static void group_unset_container(void)
{
	struct vfio_user u;
	int group = open_group(bdf), second;

	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER without");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER, BAD), "UNSET_CONTAINER with an argument");
	close(group);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with a device open");
	second = get_device(u.group, bdf);
	close(u.device);
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with the second");
	u.device = dup(second);
	close(second);
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER with a copy of it");
	close(u.device);
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER again");
	TWICE(FD(get_device(u.group, bdf)), "GET_DEVICE_FD after");
}

static void names(int group, const char *when)
{
	static const char *const tails[] = { "", " ", "\n", "\t", "x", ".", ":", "/", " x", " vf_token", " vf_token=", " vf_token=x",
		" vf_token=00112233-4455-6677-8899-aabbccddeeff", " vf_token=00112233-4455-6677-8899-aabbccddeeffx",
		" vf_token=00112233-4455-6677-8899-aabbccddeegg", "  vf_token=00112233-4455-6677-8899-aabbccddeeff",
		" vf_token=00112233-4455-6677-8899-aabbccddeeff vf_token=x", "vf_token=00112233-4455-6677-8899-aabbccddeeff" };
	static const char *const other[] = { "", " ", "x", "0000", "0000:", ".", "..", "/", "vfio-pci", "0000:00:00.0",
		"0000:ff:1f.7", "ffff:ff:1f.7", "%s", "\xff\xfe" };
	char name[3 * PAGE], *p;

	printf("# %s\n", when);
	for (unsigned int i = 0; i < ARRAY_SIZE(tails); i++) {
		snprintf(name, sizeof(name), "%s%s", bdf, tails[i]);
		TWICE(FD(get_device(group, name)), "name and tail %u", i);
		snprintf(name, sizeof(name), "%s%s", bdf2, tails[i]);
		TWICE(FD(get_device(group, name)), "another group's name and tail %u", i);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(other); i++)
		TWICE(FD(get_device(group, other[i])), "name %u", i);
	snprintf(name, sizeof(name), " %s", bdf);
	TWICE(FD(get_device(group, name)), "name after a space");
	TWICE(FD(get_device(group, bdf + 5)), "name without domain");
	snprintf(name, sizeof(name), "%.*s", (int)strlen(bdf) - 1, bdf);
	TWICE(FD(get_device(group, name)), "name cut");
	for (int i = 0; name[i]; i++)
		name[i] += name[i] >= 'a' ? 'A' - 'a' : 0;
	TWICE(FD(get_device(group, name)), "name in capitals");
	TWICE(FD(get_device(group, NULL)), "null");
	TWICE(FD(get_device(group, BAD)), "bad pointer");
	TWICE(FD(get_device(group, (void *)(~0UL << 47))), "a kernel's address");
	for (int less = 2; less >= -2; less--) {
		memset(name, 'a', sizeof(name));
		name[PAGE - less] = 0;
		TWICE(FD(get_device(group, name)), "%ld characters", (long)(PAGE - less));
		snprintf(name, sizeof(name), "%s", bdf);
		memset(name + strlen(bdf), ' ', PAGE - less - strlen(bdf));
		TWICE(FD(get_device(group, name)), "name and spaces, %ld characters", (long)(PAGE - less));
	}
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = 0;
	TWICE(FD(get_device(group, name)), "no end in a page");
	p = edge(strlen(bdf));
	memcpy(p, bdf, strlen(bdf));
	TWICE(FD(get_device(group, p)), "no end before the edge of memory");
	p = edge(strlen(bdf) + 1);
	memcpy(p, bdf, strlen(bdf) + 1);
	TWICE(FD(get_device(group, p)), "the end at the edge of memory");
	TWICE(FD(get_device(group, constant(bdf, strlen(bdf) + 1))), "a constant");
}

static void group_device_names(void)
{
	int container = open_container(), group = open_group(bdf);

	names(group, "without container");
	in_container(group, container);
	names(group, "without IOMMU");
	ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	names(group, "with IOMMU");
	ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
	names(group, "out of the container");
}

/* No descriptor left: the device is not opened, or not left open. */
static void group_no_descriptor(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	struct rlimit limit = { 0, 0 };

	close(u.device);
	setrlimit(RLIMIT_NOFILE, &limit);
	TWICE(FD(get_device(u.group, bdf)), "GET_DEVICE_FD without a descriptor");
	TWICE(FD(get_device(u.group, "x")), "GET_DEVICE_FD of nothing without a descriptor");
	TWICE(FD(open(group_path(bdf2), O_RDWR)), "open a group without a descriptor");
	TWICE(in_container(u.group, u.container), "SET_CONTAINER again");
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
}

static void group_close_orders(void)
{
	static const char *const orders[] = { "cgd", "cdg", "gcd", "gdc", "dcg", "dgc" };

	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);

		for (const char *what = orders[i]; *what; what++) {
			close(*what == 'c' ? u.container : *what == 'g' ? u.group : u.device);
			ASK(FD(open(group_path(bdf), O_RDWR)), "%s: open the group after %c", orders[i], *what);
		}
	}
}

/* The device goes while its group is open. */
static void group_without_device(void)
{
	int container = open_container(), group = open_group(bdf), path = open(group_path(bdf), O_PATH);
	char proc[64];

	in_container(group, container);
	ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	waitpid(unbinding(bdf), NULL, 0);
	TWICE(status(group, "without a device"), "that was it");
	TWICE(FD(get_device(group, bdf)), "GET_DEVICE_FD");
	TWICE(ioctl(group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(in_container(group, container), "SET_CONTAINER");
	TWICE(in_container(group, 987), "SET_CONTAINER closed");
	TWICE(in_container(group, group), "SET_CONTAINER itself");
	TWICE(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	strange_ioctls(container);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path);
	TWICE(FD(open(proc, O_RDWR)), "open the node that was");
	bound_again(bdf, 0);
	/* The old file is of a group that is no more; the new one has the same name. */
	status(group, "of the old group");
	TWICE(in_container(group, container), "SET_CONTAINER of the old group");
	TWICE(FD(get_device(group, bdf)), "GET_DEVICE_FD of the old group");
	TWICE(FD(open(proc, O_RDWR)), "open the node that was");
	ASK(FD(open(group_path(bdf), O_RDWR)), "open the new group");
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	close(group);
	status(u.group, "of the new group");
}

/* The device is to go, but is open. */
static void device_on_its_way_out(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	pid_t pid = unbinding(bdf);
	int fd;

	for (int i = 0; i < 500; i++) {
		fd = get_device(u.group, bdf);
		if (fd < 0)
			break;
		close(fd);
		usleep(10000);
	}
	TWICE(FD(get_device(u.group, bdf)), "GET_DEVICE_FD of a device that goes");
	status(u.group, "of a device that goes");
	TWICE(ioctl(u.device, VFIO_DEVICE_GET_INFO, &info), "DEVICE_GET_INFO");
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	TWICE(FD(open(group_path(bdf), O_RDWR)), "open the group");
	printf("%s\n", waitpid(pid, NULL, WNOHANG) ? "gone" : "still there");
	close(u.device);
	waitpid(pid, NULL, 0);
	status(u.group, "after the device went");
	TWICE(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	bound_again(bdf, 0);
}

/* --- device --------------------------------------------------------------------------------------------- */

static void device_file(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);

	file_operations(u.device, "device");
	strange_ioctls(u.device);
}

static void device_fdinfo(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	char path[64], line[PATH_MAX];
	const struct { const char *name; int fd; } fds[] = {
		{ "container", u.container }, { "group", u.group }, { "device", u.device }, { "copy", dup(u.device) } };

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		ssize_t len;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i].fd);
		len = readlink(path, line, sizeof(line) - 1);
		printf("%s is %.*s\n", fds[i].name, i == 1 ? 10 : (int)len, line);
		ASK(FD(open(path, O_RDWR)), "open it by its descriptor");
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fds[i].fd);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			if (strncmp(line, "mnt_id", 6) && strncmp(line, "ino", 3))
				printf("  %s", line);
		if (f)
			fclose(f);
	}
}

static void device_feature_envelope(void)
{
	static const uint32_t sizes[] = { 0, 4, 7, 8, 9, 12, 15, 16, 23, 24, 32, 40, 256, 0x7fffffff, 0xffffffff };
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	uint32_t *words = memory(PAGE);

	for (uint32_t index = 0; index < 20; index++)
		for (uint32_t how = 0; how < 8; how++)
			for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
				/* To enter low power is not an error; the export of a dma-buf is another suite's. */
				if ((index >= 3 && index <= 5 && how == 2) || index == 11)
					continue;
				memset(words, 0, PAGE);
				words[0] = sizes[i];
				words[1] = index | how << 16;
				TWICE(FD(ioctl(u.device, VFIO_DEVICE_FEATURE, words)), "FEATURE %u how %x argsz %u", index, how,
				      sizes[i]);
				hex("  ", words, 32);
			}
	for (uint32_t index = 0x7ffe; index < 0x10000; index += 0x4001)
		for (uint32_t bit = 16; bit < 32; bit++) {
			words[0] = 8;
			words[1] = index | 1U << bit;
			TWICE(ioctl(u.device, VFIO_DEVICE_FEATURE, words), "FEATURE %x flag %u", index, bit);
			words[1] = 1 | 1U << bit;
			TWICE(ioctl(u.device, VFIO_DEVICE_FEATURE, words), "FEATURE 1 flag %u", bit);
		}
}

/* Structures at the edge of memory, and in memory that can only be read. */
static void device_pointers(void)
{
	static const struct { const char *name; uint32_t cmd, size, argsz, second; } calls[] = {
		{ "GET_INFO", VFIO_DEVICE_GET_INFO, 24, 24, 0 }, { "GET_INFO short", VFIO_DEVICE_GET_INFO, 16, 16, 0 },
		{ "REGION_INFO", VFIO_DEVICE_GET_REGION_INFO, 32, 32, 0 },
		{ "REGION_INFO large", VFIO_DEVICE_GET_REGION_INFO, 32, 200, 0 },
		{ "IRQ_INFO", VFIO_DEVICE_GET_IRQ_INFO, 16, 16, 0 }, { "SET_IRQS", VFIO_DEVICE_SET_IRQS, 20, 20, 0 },
		{ "SET_IRQS with eventfd", VFIO_DEVICE_SET_IRQS, 20, 24, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER },
		{ "HOT_RESET_INFO", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 12, 12, 0 },
		{ "HOT_RESET", VFIO_DEVICE_PCI_HOT_RESET, 12, 12, 0 }, { "IOEVENTFD", VFIO_DEVICE_IOEVENTFD, 28, 32, 0 },
		{ "FEATURE", VFIO_DEVICE_FEATURE, 8, 8, VFIO_DEVICE_FEATURE_PROBE },
		{ "FEATURE token", VFIO_DEVICE_FEATURE, 8, 24, VFIO_DEVICE_FEATURE_SET },
		{ "FEATURE migration", VFIO_DEVICE_FEATURE, 8, 16, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION },
	};
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);

	for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
		uint32_t words[64] = { calls[i].argsz, calls[i].second };

		for (uint32_t size = 4; size <= calls[i].argsz + 4 && size < sizeof(words); size += 4) {
			char *p = edge(size);

			memcpy(p, words, size);
			TWICE(ioctl(u.device, calls[i].cmd, p), "%s in %u bytes", calls[i].name, size);
			munmap((void *)((uint64_t)p & ~(PAGE - 1)), PAGE);
		}
		TWICE(ioctl(u.device, calls[i].cmd, constant(words, sizeof(words))), "%s in constants", calls[i].name);
	}
}

#include "core_virqfd.h"

/* --- all of it ------------------------------------------------------------------------------------------ */

#define CASE(set, name) { set, #name, name }

static const struct {
	const char *set, *name;
	void (*run)(void);
} cases[] = {
	CASE("all", container_api_version),
	CASE("all", container_check_extension),
	CASE("all", container_set_iommu),
	CASE("all", container_ioctls_by_state),
	CASE("all", container_file),
	CASE("all", container_open_flags),
	CASE("all", container_of_anybody),
	CASE("all", container_outlives_its_fd),
	CASE("bare", container_without_backend),
	CASE("all", group_open_once),
	CASE("all", group_file),
	CASE("all", group_status),
	CASE("all", group_set_container),
	CASE("all", group_unset_container),
	CASE("all", group_device_names),
	CASE("all", group_no_descriptor),
	CASE("all", group_close_orders),
	CASE("all", group_without_device),
	CASE("all", device_on_its_way_out),
	CASE("all", device_file),
	CASE("all", device_fdinfo),
	CASE("all", device_feature_envelope),
	CASE("all", device_pointers),
	CASE("all", virqfd_unmask),
	CASE("all", virqfd_ioeventfd),
};

int main(int argc, char **argv)
{
	if (argc < 5) {
		fprintf(stderr, "usage: %s SET DIRECTORY BDF BDF2\n", argv[0]);
		return 2;
	}
	bdf = argv[3];
	bdf2 = argv[4];
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[PATH_MAX];

		if (strcmp(cases[i].set, argv[1]))
			continue;
		snprintf(path, sizeof(path), "%s.%s", argv[2], cases[i].name);
		if (!freopen(path, "w", stdout) || dup2(fileno(stdout), 2) < 0)
			fail("%s", path);
		apart(cases[i].run);
		fflush(stdout);
	}
	return 0;
}
