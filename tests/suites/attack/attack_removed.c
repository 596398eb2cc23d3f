// SPDX-License-Identifier: GPL-2.0
/*
 * Root takes a device away from a user who holds on to all of it: he goes on using what he has, and then leaves in every way
 * that there is.
 *
 * usage: attack_removed unbind|remove|lost BDF BDF2 [ours]   (lost: what is behind the port of BDF is pulled out by vfio_events)
 *        attack_removed leave BDF BDF2
 * On our modules another thread uses the device until he is asked for it. C is not asked to bear that.
 */
#include "attack.h"
#include "../descriptors.h"
#include "../state.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <linux/dma-buf.h>

#define SECONDS 200

static struct vfio_user u;
static int request, others;
static volatile uint32_t *bar;
static char *page;

/* --- root ------------------------------------------------------------------------------------------------------------- */

static bool there(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", bdf);
	return !access(path, F_OK);
}

/* The process of root's that takes the device away, once there is something to read from `go`. */
static pid_t remover(const char *how, int go)
{
	char path[128], port[PATH_MAX], byte;
	pid_t pid = fork();

	if (pid)
		return pid;
	if (real >= 0)
		close(real);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/..", bdf);
	if (!realpath(path, port) || read(go, &byte, 1) != 1)
		_exit(1);
	if (!strcmp(how, "unbind")) {
		_exit(!put_text("/sys/bus/pci/drivers/vfio-pci/unbind", bdf));
	} else if (!strcmp(how, "remove")) {
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/remove", bdf);
		_exit(!put_text(path, "1"));
	}
	pid = fork();
	if (!pid) {
		execlp("vfio_events", "vfio_events", "pull", strrchr(port, '/') + 1, NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	for (int tries = 0; tries < SECONDS * 10 && there(); tries++)
		usleep(100000);
	_exit(there());
}

/* Whether it has come to its end, and did what it had to. */
static bool finished(pid_t pid)
{
	int status = 0;
	pid_t ended;

	for (int tries = 0; tries < SECONDS * 100; tries++) {
		ended = waitpid(pid, &status, WNOHANG);
		if (ended)
			return ended == pid && !status;
		usleep(10000);
		/* Which has the kernel look for sockets that nobody has. */
		close(socket(AF_UNIX, SOCK_STREAM, 0));
	}
	return false;
}

static bool pending(pid_t pid)
{
	int status;

	return !waitpid(pid, &status, WNOHANG);
}

static bool asked(void)
{
	struct pollfd set = { .fd = request, .events = POLLIN };

	return poll(&set, 1, SECONDS * 1000) == 1;
}

/* --- using all of it ----------------------------------------------------------------------------------------------------- */

static _Thread_local sigjmp_buf on_fault;

static void faulted(int number)
{
	siglongjmp(on_fault, number);
}

static void look_at_bar(const char *when)
{
	if (sigsetjmp(on_fault, 1))
		printf("%s: the mapping faults\n", when);
	else
		printf("%s: the mapping has %s\n", when, *bar == ~0u ? "ones" : "values");
}

static void use_group(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	static char node[64];
	int other;

	if (!node[0])
		snprintf(node, sizeof(node), "%s", group_path(bdf));
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
}

static void use_buffer(int buf)
{
	struct dma_buf_sync sync = { DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct pollfd set = { .fd = buf, .events = POLLIN | POLLOUT };
	struct stat st;

	ASK(fstat(buf, &st), "dma-buf");
	ASK(lseek(buf, 0, SEEK_END), "its size");
	ASK(ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync), "its sync");
	ASK(poll(&set, 1, 0), "its poll");
	ASK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, buf, 0) == MAP_FAILED ? -1 : 0, "mmap of the dma-buf");
}

/* `here` is whether the device answers; what it says when it does not is not the modules'. */
static void use_device(bool here)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region) };
	uint32_t value = 0;
	void *p;

	ASK(ioctl(u.device, VFIO_DEVICE_GET_INFO, &info), "the device's info");
	ASK(ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &region), "a region's");
	printf("%llx bytes\n", region.size);
	ASK(pread(u.device, &value, 4, CONFIG), "configuration space");
	printf("%08x\n", value);
	ASK(set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER), "command");
	value = 0;
	ASK(pread(u.device, &value, 4, 8), "BAR");
	if (!here)
		printf("%08x\n", value);
	ASK(pwrite(u.device, &value, 4, 0x10), "write to the BAR");
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);
	ASK(p == MAP_FAILED ? -1 : 0, "another mapping of it");
	if (p != MAP_FAILED)
		munmap(p, PAGE);
	look_at_bar("there or not");
	ASK(FD(export_page(u.device)), "another dma-buf");
	for (unsigned index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
		ASK(set_irq(u.device, NO_IRQ, index, 1, 0), "trigger %u", index);
		ASK(set_irq(u.device, MASK, index, 1, 0), "mask %u", index);
		ASK(set_irq(u.device, UNMASK, index, 1, 0), "unmask %u", index);
	}
	if (here) {
		ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0), "no MSI-X");
		ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, others), "MSI-X");
	}
}

/* Another thread, all the time. What it is answered depends on when. */
static volatile bool leaving;

static void *busy(void *unused)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t value;

	while (!leaving) {
		int fd = export_page(u.device);
		void *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);

		ioctl(u.device, VFIO_DEVICE_GET_INFO, &info);
		(void)!pread(u.device, &value, 4, CONFIG + PCI_COMMAND);
		(void)!pread(u.device, &value, 4, 8);
		if (p != MAP_FAILED) {
			if (!sigsetjmp(on_fault, 1))
				value = *(volatile uint32_t *)p;
			munmap(p, PAGE);
		}
		if (fd >= 0)
			close(fd);
		fd = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

/* With `threads`, one of them. */
static void removed(const char *how, int go, pid_t root, bool threads)
{
	struct vfio_device_ioeventfd io = { sizeof(io), 4, 0x10, 0, eventfd(0, 0) };
	struct sigaction act = { .sa_handler = faulted, .sa_flags = SA_NODEFER };
	bool lost = !strcmp(how, "lost");
	uint64_t count = 1;
	pthread_t thread;
	int buf;

	sigaction(SIGBUS, &act, NULL);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	buf = export_page(u.device);
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_REQ_IRQ_INDEX, 1, request), "request");
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_ERR_IRQ_INDEX, 1, others), "errors");
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, others), "MSI-X");
	ASK(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "ioeventfd");
	bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);
	ASK(bar == MAP_FAILED ? -1 : 0, "BAR");
	heading("there");
	use_group();
	use_device(true);
	use_buffer(buf);
	/* He has told himself, too. */
	(void)!read(request, &count, sizeof(count));
	count = 1;
	if (threads && pthread_create(&thread, NULL, busy, NULL))
		fail("pthread_create");
	(void)!write(go, "", 1);
	EXPECT(asked(), "nobody asked");
	heading("asked for");
	leaving = true;
	if (threads)
		pthread_join(thread, NULL);
	use_group();
	use_device(!lost);
	use_buffer(buf);
	(void)!write(io.fd, &count, sizeof(count));
	EXPECT(pending(root), "removed though it is open");
	close(u.device);
	heading("mapped only");
	usleep(300000);
	/* The mapping is all that is left of the device. */
	EXPECT(pending(root), "removed though it is mapped");
	look_at_bar("mapped only");
	use_group();
	munmap((void *)bar, PAGE);
	EXPECT(finished(root), "not removed");
	/* Eventfds that nobody listens to any more. */
	(void)!write(io.fd, &count, sizeof(count));
	(void)!write(request, &count, sizeof(count));
	(void)!write(others, &count, sizeof(count));
	heading("gone");
	use_group();
	use_buffer(buf);
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "leave");
	ASK(ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container), "join");
	ASK(ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "IOMMU");
	heading("joined again");
	use_group();
	close(u.group);
	ASK(ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "IOMMU");
	close(u.container);
	use_buffer(buf);
	close(buf);
}

/* --- leaving ------------------------------------------------------------------------------------------------------------- */

/* The owner of the device, with all that one can have of it. */
static void own(void)
{
	become_user();
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (set_irq(u.device, ON_EVENT, VFIO_PCI_REQ_IRQ_INDEX, 1, request) || map(u.container, 0x100000, page, 16 * PAGE) ||
	    set_irq(u.device, ON_EVENT, VFIO_PCI_MSI_IRQ_INDEX, 1, others))
		fail("owning");
	bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);
	if (bar == MAP_FAILED || *bar == ~0u)
		fail("mmap");
}

enum { EXITS, KILLED, EXECUTES, IN_A_SOCKET, PASSED_ON, INHERITED, MAPPED, WAYS };

static const char *const ways[] = {
	[EXITS] = "exits when he is asked", [KILLED] = "is killed when he is asked", [EXECUTES] = "executes another program",
	[IN_A_SOCKET] = "exits when it is in a socket that only the socket holds", [PASSED_ON] = "has passed it on, and is gone",
	[INHERITED] = "has left it to a child, and is gone", [MAPPED] = "has closed all and keeps a mapping",
};

/* In the owner's process. Whoever has the device in the end is in the same process group. */
static void leave_by(int way, int ready)
{
	int pair[2];

	if (setpgid(0, 0) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		fail("socketpair");
	own();
	switch (way) {
	case IN_A_SOCKET:
		/* Each end in the other. */
		send_fds(pair[0], (int[]){ u.device, u.group, u.container, pair[1] }, 4);
		send_fds(pair[1], (int[]){ u.device, pair[0] }, 2);
		munmap((void *)bar, PAGE);
		close_all(&u);
		break;
	case PASSED_ON:
		if (!fork()) {
			int fds[3];

			munmap((void *)bar, PAGE);
			close_all(&u);
			if (receive_fds(pair[0], fds, 3) && write(ready, "", 1) == 1)
				pause();
			_exit(1);
		}
		send_fds(pair[1], (int[]){ u.device, u.group, u.container }, 3);
		_exit(0);
	case INHERITED:
		if (!fork()) {
			(void)!write(ready, "", 1);
			pause();
		}
		_exit(0);
	case MAPPED:
		close_all(&u);
		break;
	}
	(void)!write(ready, "", 1);
	if (way == KILLED || way == MAPPED)
		pause();
	asked();
	if (way == EXECUTES)
		execl("/bin/true", "true", NULL);
	_exit(0);
}

static void leave_all_ways(void)
{
	struct state start;
	int go[2], ready[2];
	char byte;

	watched_devices[0] = bdf;
	page = memory(16 * PAGE);
	close(real);
	real = -1;
	others = eventfd(0, EFD_NONBLOCK);
	request = eventfd(0, EFD_NONBLOCK);
	if (pipe(go) || pipe(ready))
		fail("pipe");
	start = settled();
	for (int way = 0; way < WAYS; way++) {
		bool holds = way == KILLED || way >= PASSED_ON;
		uint64_t count;
		pid_t owner, root;

		fflush(stdout);
		(void)!read(request, &count, sizeof(count));
		give_group(bdf);
		owner = fork();
		if (!owner)
			leave_by(way, ready[1]);
		EXPECT(read(ready[0], &byte, 1) == 1, "he %s: not ready", ways[way]);
		root = remover("unbind", go[0]);
		(void)!write(go[1], "", 1);
		EXPECT(asked(), "he %s: nobody is asked", ways[way]);
		if (holds) {
			EXPECT(pending(root), "he %s: unbound while it is held", ways[way]);
			kill(-owner, SIGKILL);
		}
		EXPECT(finished(root), "he %s: it is not unbound", ways[way]);
		kill(-owner, SIGKILL);
		waitpid(owner, NULL, 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!put_text("/sys/bus/pci/drivers/vfio-pci/bind", bdf))
			fail("binding");
		EXPECT(same(&start, ways[way]), "he %s: not all is as before", ways[way]);
		printf("he %s\n", ways[way]);
	}
}

int main(int argc, char **argv)
{
	int pipes[2];
	pid_t root;

	prepare(argc, argv);
	if (!strcmp(argv[1], "leave")) {
		leave_all_ways();
		return wrong != 0;
	}
	if (pipe(pipes))
		fail("pipe");
	root = remover(argv[1], pipes[0]);
	close(real);
	request = eventfd(0, EFD_NONBLOCK);
	others = eventfd(0, EFD_NONBLOCK);
	page = memory(PAGE);
	become_user();
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	removed(argv[1], pipes[1], root, argc > 4 && !strcmp(argv[4], "ours"));
	return wrong != 0;
}
