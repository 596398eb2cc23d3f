// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what user space sees of the VFIO modules, for a comparison by lines.
 *
 *   vfio_abi tree DIR [PATTERN]...      files below DIR: modes, owners, links, contents but of those that match
 *   vfio_abi uevents COMMAND            the uevents while COMMAND runs, without their sequence numbers
 *   vfio_abi hold GROUP BDF COMMAND     opens all there is of a device, shows its files, runs COMMAND
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- tree ------------------------------------------------------------- */

static void show_contents(const char *path)
{
	char buf[8192];
	ssize_t n, i, text = 1;
	int fd = open(path, O_RDONLY | O_NONBLOCK);

	n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
	if (n < 0) {
		printf(" (%s)\n", strerror(errno));
	} else {
		for (i = 0; i < n; i++)
			text &= isprint((unsigned char)buf[i]) || isspace((unsigned char)buf[i]);
		if (text)
			printf(" \"");
		for (i = 0; i < n; i++) {
			if (text && buf[i] == '\n')
				printf("%s", i + 1 < n ? "|" : "");
			else if (text)
				putchar(buf[i]);
			else
				printf("%s%02x", i % 4 ? "" : " ", (unsigned char)buf[i]);
		}
		printf("%s\n", text ? "\"" : "");
	}
	if (fd >= 0)
		close(fd);
}

static void tree(const char *path, char **patterns)
{
	struct dirent **entries;
	char target[PATH_MAX];
	struct stat st;
	int i, n;

	if (lstat(path, &st)) {
		printf("%s (%s)\n", path, strerror(errno));
		return;
	}
	printf("%s %06o %d:%d", path, st.st_mode, st.st_uid, st.st_gid);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = 0;
		printf(" -> %s\n", target);
		return;
	}
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		printf(" %u:%u\n", major(st.st_rdev), minor(st.st_rdev));
		return;
	}
	for (i = 0; patterns[i]; i++)
		if (!fnmatch(patterns[i], path, 0)) {
			printf(" ...\n");
			return;
		}
	if (S_ISREG(st.st_mode) && st.st_mode & 0444)
		return show_contents(path);
	putchar('\n');
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &entries, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, "..")) {
			snprintf(target, sizeof(target), "%s/%s", path, entries[i]->d_name);
			tree(target, patterns);
		}
		free(entries[i]);
	}
}

/* --- uevents ---------------------------------------------------------- */

static int run(const char *command)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int uevents(const char *command)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int s = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	int size = 8 << 20, status;
	char buf[16384], *key;
	ssize_t n;

	if (s < 0 || bind(s, (void *)&address, sizeof(address)))
		die("netlink");
	if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		die("SO_RCVBUFFORCE");
	status = run(command);
	while ((n = recv(s, buf, sizeof(buf) - 1, 0)) > 0) {
		buf[n] = 0;
		printf("uevent");
		for (key = buf; key < buf + n; key += strlen(key) + 1)
			if (strncmp(key, "SEQNUM=", 7))
				printf(" %s", key);
		putchar('\n');
	}
	if (n < 0 && errno != EAGAIN)
		die("uevents were lost");
	return status;
}

/* --- hold ------------------------------------------------------------- */

/* What the kernel says of an open file. */
static void show_file(const char *name, int fd)
{
	char path[64], line[PATH_MAX];
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	struct statfs fs;
	struct stat st;
	ssize_t n;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, line, sizeof(line) - 1);
	line[n < 0 ? 0 : n] = 0;
	printf("%s is %s\n", name, line);
	lstat(path, &st);
	printf("%s fd mode %o\n", name, st.st_mode);
	fstat(fd, &st);
	printf("%s mode %o rdev %u:%u size %lld nlink %ld owner %d:%d\n", name, st.st_mode, major(st.st_rdev),
	       minor(st.st_rdev), (long long)st.st_size, (long)st.st_nlink, st.st_uid, st.st_gid);
	fstatfs(fd, &fs);
	printf("%s file system %lx\n", name, (long)fs.f_type);
	printf("%s flags %x %x\n", name, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	errno = 0;
	printf("%s seek %lld", name, (long long)lseek(fd, 0, SEEK_CUR));
	printf(" (%s)\n", strerror(errno));
	errno = 0;
	printf("%s poll %d %x\n", name, poll(&poll_fd, 1, 0), poll_fd.revents);
	errno = 0;
	printf("%s fsync %d", name, fsync(fd));
	printf(" (%s)\n", strerror(errno));
	errno = 0;
	printf("%s ftruncate %d", name, ftruncate(fd, 0));
	printf(" (%s)\n", strerror(errno));
	errno = 0;
	printf("%s FIONREAD %d", name, ioctl(fd, 0x541b, &n));
	printf(" (%s)\n", strerror(errno));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "r");
	while (info && fgets(line, sizeof(line), info)) {
		if (!strncmp(line, "mnt_id:", 7) || !strncmp(line, "ino:", 4))
			strchr(line, ':')[1] = '\n', strchr(line, ':')[2] = 0;
		printf("%s fdinfo %s", name, line);
	}
	if (info)
		fclose(info);
}

static void irq(int device, unsigned int index, const char *name)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	struct {
		struct vfio_irq_set set;
		int fd[2];
	} arg;
	int count;

	if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) || !info.count)
		return;
	count = info.count > 1 ? 2 : 1;
	arg.set = (struct vfio_irq_set) {
		.argsz = sizeof(arg.set) + count * 4, .index = index, .count = count,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
	};
	arg.fd[0] = eventfd(0, EFD_CLOEXEC);
	arg.fd[1] = eventfd(0, EFD_CLOEXEC);
	errno = 0;
	printf("SET_IRQS %s %d", name, ioctl(device, VFIO_DEVICE_SET_IRQS, &arg));
	printf(" (%s)\n", strerror(errno));
}

static int hold(const char *number, const char *bdf, const char *command)
{
	struct vfio_region_info region = { .argsz = sizeof(region) };
	char path[PATH_MAX], line[PATH_MAX];
	int container, group, device, status;
	unsigned int i;
	void *map;
	FILE *maps;

	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	show_file("container", container);
	group = open(path, O_RDWR | O_CLOEXEC);
	show_file("group", group);
	if (open(path, O_RDWR | O_CLOEXEC) >= 0 || errno != EBUSY)
		die("a second open of the group");
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container))
		die("SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device < 0)
		die("GET_DEVICE_FD");
	show_file("device", device);
	show_file("container in use", container);
	show_file("group in use", group);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, container, 0);
	printf("mmap of the container: %s\n", map == MAP_FAILED ? strerror(errno) : "done");
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, group, 0);
	printf("mmap of the group: %s\n", map == MAP_FAILED ? strerror(errno) : "done");
	for (i = 0; i < 6; i++) {
		region.index = i;
		if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) || !(region.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, region.offset);
		printf("mmap of BAR %u: %s\n", i, map == MAP_FAILED ? strerror(errno) : "done");
	}
	maps = fopen("/proc/self/smaps", "r");
	for (i = 0; maps && fgets(line, sizeof(line), maps);) {
		if (strstr(line, "vfio"))
			i = printf("map %s", strchr(line, ' '));
		else if (i && !strncmp(line, "VmFlags:", 8))
			i = 0, printf("map %s", line);
	}
	irq(device, VFIO_PCI_ERR_IRQ_INDEX, "error");
	irq(device, VFIO_PCI_REQ_IRQ_INDEX, "request");
	irq(device, VFIO_PCI_MSIX_IRQ_INDEX, "MSI-X");
	irq(device, VFIO_PCI_MSI_IRQ_INDEX, "MSI");
	status = run(command);
	return status;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 3 && !strcmp(argv[1], "tree"))
		return tree(argv[2], argv + 3), 0;
	if (argc == 3 && !strcmp(argv[1], "uevents"))
		return uevents(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: vfio_abi tree|uevents|hold ...\n");
	return 2;
}
