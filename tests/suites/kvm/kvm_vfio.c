// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM asks of vfio.ko, through KVM's own VFIO device (virt/kvm/vfio.c): whether a file is VFIO's, whether its DMA is
 * coherent, and that devices keep the virtual machine alive while they are open.
 *
 * usage: kvm_vfio errors|coherency|lifetime|orders|race BDF OTHER [coherent|noncoherent]
 *        kvm_vfio node-errors|node-coherency|node-lifetime|node-orders|node-contested|node-race BDF OTHER [coherent|noncoherent]
 * The latter use devices by their own nodes and iommufd.
 * Two devices in groups of their own, bound to vfio-pci. Prints what was found, in the same words on any set of modules;
 * exit status 1 if something is not as it has to be.
 *
 * Whether a virtual machine lives is seen in debugfs: it has a folder kvm/<pid>-<fd> from creation to destruction.
 */
#include "../iommufd/iommufd_user.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <linux/kvm.h>

#define CHECK(what, ...) check(what, #what, __VA_ARGS__)

static const char *bdf, *other;
static int kvm, failures;

__attribute__((format(printf, 3, 4)))
static void check(bool ok, const char *what, const char *format, ...)
{
	va_list args;

	if (ok)
		return;
	failures++;
	printf("WRONG: %s: ", what);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* expect EXPECTED, RESULT of a call, what it was: 0 or an errno. */
static void expect(int expected, int result, const char *what)
{
	int error = result < 0 ? errno : 0;

	printf("%-50s %s\n", what, error_name(error));
	CHECK(error == expected, "%s: %s expected", what, error_name(expected));
}

static long number(const char *path)
{
	FILE *file = fopen(path, "r");
	long value = -1;

	if (file) {
		if (fscanf(file, "%ld", &value) != 1)
			value = -1;
		fclose(file);
	}
	return value;
}

/* Modules in use: KVM's by virtual machines, and kvm.ko by a device that may have to give one back. */
static long users(const char *module)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module);
	return number(path);
}

/* The virtual machines of this process that live. */
static int machines(void)
{
	DIR *dir = opendir("/sys/kernel/debug/kvm");
	struct dirent *entry;
	int count = 0;

	if (!dir)
		fail("debugfs has no kvm");
	while ((entry = readdir(dir)))
		count += atoi(entry->d_name) == getpid() && strchr(entry->d_name, '-');
	closedir(dir);
	return count;
}

struct vm {
	int fd, link;	/* the virtual machine, and its VFIO device */
};

static int create_link(int vm, int *link)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	int result = ioctl(vm, KVM_CREATE_DEVICE, &create);

	if (!result)
		*link = create.fd;
	return result;
}

static struct vm create_vm(void)
{
	struct vm vm = { .fd = ioctl(kvm, KVM_CREATE_VM, 0) };

	if (vm.fd < 0)
		fail("KVM_CREATE_VM");
	if (create_link(vm.fd, &vm.link))
		fail("KVM_CREATE_DEVICE");
	return vm;
}

static void close_vm(struct vm *vm)
{
	close(vm->link);
	close(vm->fd);
}

static int attribute(int link, unsigned long request, uint32_t group, uint64_t attr, const void *addr)
{
	struct kvm_device_attr arg = { .group = group, .attr = attr, .addr = (uint64_t)addr };

	return ioctl(link, request, &arg);
}

static int add(int link, int fd)
{
	return attribute(link, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, &fd);
}

static int del(int link, int fd)
{
	return attribute(link, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL, &fd);
}

static int has(int link, uint32_t group, uint64_t attr)
{
	return attribute(link, KVM_HAS_DEVICE_ATTR, group, attr, NULL);
}

/* Files that are VFIO's and files that are not. */
static void errors(void)
{
	int container = open_container(), event = eventfd(0, 0), null = open("/dev/null", O_RDWR), second, copy;
	struct vm vm = create_vm(), another;
	struct vfio_user u;

	expect(EBUSY, create_link(vm.fd, &second), "a second link of one machine");
	expect(0, has(vm.link, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD), "has ADD");
	expect(0, has(vm.link, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL), "has DEL");
	expect(ENXIO, has(vm.link, KVM_DEV_VFIO_FILE, 77), "has 77");
	expect(ENXIO, has(vm.link, 77, KVM_DEV_VFIO_FILE_ADD), "has ADD of group 77");
	expect(EFAULT, attribute(vm.link, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, (void *)8), "add at 8");
	expect(EFAULT, attribute(vm.link, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL, (void *)8), "delete at 8");
	expect(ENXIO, attribute(vm.link, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, 77, &null), "set 77");
	expect(EBADF, add(vm.link, -1), "add -1");
	expect(EBADF, add(vm.link, 999), "add 999");
	expect(EINVAL, add(vm.link, null), "add /dev/null");
	expect(EINVAL, add(vm.link, event), "add an eventfd");
	expect(EINVAL, add(vm.link, vm.fd), "add the machine");
	expect(EINVAL, add(vm.link, vm.link), "add the link");
	expect(EINVAL, add(vm.link, container), "add a container");
	expect(EBADF, del(vm.link, -1), "delete -1");
	expect(ENOENT, del(vm.link, null), "delete /dev/null");
	close(container);

	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	expect(EINVAL, add(vm.link, u.container), "add the container in use");
	expect(ENOENT, del(vm.link, u.group), "delete a group that was not added");
	for (int round = 0; round < 2; round++) {
		expect(0, add(vm.link, u.group), "add the group");
		expect(EEXIST, add(vm.link, u.group), "add the group again");
		copy = dup(u.group);
		expect(EEXIST, add(vm.link, copy), "add a copy of the group");
		expect(0, add(vm.link, u.device), "add the device");
		expect(EEXIST, add(vm.link, u.device), "add the device again");
		expect(0, del(vm.link, copy), "delete the group by its copy");
		expect(ENOENT, del(vm.link, u.group), "delete the group again");
		close(copy);
		expect(0, del(vm.link, u.device), "delete the device");
		expect(ENOENT, del(vm.link, u.device), "delete the device again");
	}

	/* Another machine may have it as well; the last one to say something is the one that counts. */
	another = create_vm();
	expect(0, add(vm.link, u.group), "add the group");
	expect(0, add(another.link, u.group), "add the group to another machine");
	expect(0, del(vm.link, u.group), "delete it from the first");
	close_vm(&another);
	close_all(&u);
	close_vm(&vm);
	CHECK(machines() == 0, "%d machines are left", machines());

	/* The group's last file is with the machine: it goes with it, and can be opened again. */
	vm = create_vm();
	second = open_group(bdf);
	expect(0, add(vm.link, second), "add a group outside of containers");
	close(second);
	expect(EBUSY, open(group_path(bdf), O_RDWR), "open the group that the machine holds");
	close_vm(&vm);
	second = open(group_path(bdf), O_RDWR);
	expect(0, second, "open the group after the machine");
	close(second);
}

/* How often an event of tracefs (see suite.sh) has happened. */
static long happened(const char *event)
{
	FILE *file = fopen("/sys/kernel/debug/tracing/kprobe_profile", "r");
	char name[64];
	long count, found = -1;

	if (!file)
		fail("kprobe_profile");
	while (fscanf(file, "%63s %ld %*d", name, &count) == 2)
		if (!strcmp(name, event))
			found = count;
	fclose(file);
	if (found < 0)
		fail("no event %s", event);
	return found;
}

static long asked, registered, unregistered;

/* What KVM asked and concluded since the last time: as it has to be? */
static void concluded(int question, int reg, int unreg, const char *what)
{
	long a = happened("asked") - asked, r = happened("registered") - registered;
	long u = happened("unregistered") - unregistered;

	printf("%-50s %ld questions, registered %ld, unregistered %ld\n", what, a, r, u);
	CHECK(a == question && r == reg && u == unreg, "%d, %d, %d expected", question, reg, unreg);
	asked += a;
	registered += r;
	unregistered += u;
}

/* KVM has to know of DMA that is not coherent: it allows wbinvd and memory types to the guest then. */
static void coherency(bool coherent)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU), v = open_all(other, VFIO_TYPE1v2_IOMMU);
	int on = !coherent, single;
	struct vm vm = create_vm();

	single = ioctl(u.container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU);
	printf("VFIO_DMA_CC_IOMMU: %d\n", single);
	CHECK(single == coherent, "the IOMMU says so");
	asked = happened("asked"), registered = happened("registered"), unregistered = happened("unregistered");

	add(vm.link, u.group);
	concluded(1, on, 0, "add a group");
	add(vm.link, v.group);
	concluded(coherent ? 2 : 1, 0, 0, "add another");
	add(vm.link, u.device);
	concluded(coherent ? 3 : 1, 0, 0, "add a device");
	del(vm.link, u.group);
	concluded(coherent ? 2 : 1, 0, 0, "delete the first");
	del(vm.link, v.group);
	concluded(1, 0, 0, "delete the second: the device is left");
	del(vm.link, u.device);
	concluded(0, 0, on, "delete the device");
	add(vm.link, v.device);
	concluded(1, on, 0, "add the other device");
	close(vm.link);
	concluded(0, 0, on, "close the link");
	if (create_link(vm.fd, &vm.link))
		fail("KVM_CREATE_DEVICE");
	add(vm.link, v.group);
	concluded(1, on, 0, "a new link with a group");
	close_vm(&vm);
	concluded(0, 0, on, "close it and the machine");
	close_all(&u);
	close_all(&v);
	CHECK(machines() == 0, "%d machines are left", machines());
}

static void alive(int expected, const char *what)
{
	int count = machines();

	printf("%-50s %s; users of kvm_amd %ld, of kvm %ld\n", what, count ? "alive" : "gone", users("kvm_amd"), users("kvm"));
	CHECK(count == expected, "%d machines live, not %d", count, expected);
}

/* After a child has ended with a machine: the kernel gives up what that had a little later. */
static void ended(long kvm_amd, long kvm)
{
	int status;

	if (wait(&status) < 0)
		fail("wait");
	CHECK(!status, "the child ended with %#x", status);
	for (int i = 0; i < 300 && (users("kvm_amd") != kvm_amd || users("kvm") != kvm); i++)
		usleep(100000);
	CHECK(users("kvm_amd") == kvm_amd, "kvm_amd has %ld users, not %ld", users("kvm_amd"), kvm_amd);
	CHECK(users("kvm") == kvm, "kvm has %ld users, not %ld", users("kvm"), kvm);
}

static int get_device(struct vfio_user *u)
{
	int fd = ioctl(u->group, VFIO_GROUP_GET_DEVICE_FD, bdf);

	if (fd < 0)
		fail("GET_DEVICE_FD");
	return fd;
}

/* A device takes the machine of its group when it is opened first, and gives it back when it is closed last. */
static void lifetime(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	long before = users("kvm_amd"), idle = users("kvm");
	struct vm vm, second_vm;
	int second;

	close(u.device);

	vm = create_vm();
	u.device = get_device(&u);
	add(vm.link, u.group);
	alive(1, "group added after its device was opened");
	close_vm(&vm);
	alive(0, "machine closed: nobody has it");
	close(u.device);

	vm = create_vm();
	add(vm.link, u.group);
	u.device = get_device(&u);
	alive(1, "group added, its device opened");
	close_vm(&vm);
	alive(1, "machine closed: the device has it");
	second = get_device(&u);
	alive(1, "device opened again");
	close(u.device);
	alive(1, "first file of the device closed");
	close(second);
	alive(0, "second file of the device closed");

	u.device = get_device(&u);
	alive(0, "device opened after that: no machine");
	close(u.device);

	vm = create_vm();
	add(vm.link, u.group);
	u.device = get_device(&u);
	del(vm.link, u.group);
	close_vm(&vm);
	alive(1, "group deleted while its device was open");
	close(u.device);
	alive(0, "device closed");

	vm = create_vm();
	add(vm.link, u.group);
	u.device = get_device(&u);
	close(u.device);
	alive(1, "device opened and closed, machine open");
	close(vm.link);
	u.device = get_device(&u);
	close(vm.fd);
	alive(0, "link closed before the device was opened");
	close(u.device);

	/* Two machines: the device keeps the one it was opened with. */
	vm = create_vm();
	second_vm = create_vm();
	add(vm.link, u.group);
	u.device = get_device(&u);
	add(second_vm.link, u.group);
	close_vm(&second_vm);
	alive(1, "second machine came while the device was open");
	close_vm(&vm);
	alive(1, "first machine closed");
	close(u.device);
	alive(0, "device closed");

	/* A process that ends with everything open. */
	if (!fork()) {
		vm = create_vm();
		add(vm.link, u.group);
		u.device = get_device(&u);
		close(vm.fd);
		_exit(0);
	}
	ended(before, idle);
	close(u.group);
	close(u.container);
}

/* Closing in each of the 120 orders: the machine lives exactly as long as it, its link or the device is open. */
static void one_order(const int *order)
{
	struct vfio_user u = { .container = open_container(), .group = open_group(bdf) };
	struct vm vm = create_vm();
	bool open_file[5] = { true, true, true, true, true };

	add(vm.link, u.group);
	if (ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container) ||
	    ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("container");
	u.device = get_device(&u);
	CHECK(machines() == 1, "before");
	for (int i = 0; i < 5; i++) {
		int fds[5] = { vm.fd, vm.link, u.device, u.group, u.container };
		bool lives;

		close(fds[order[i]]);
		open_file[order[i]] = false;
		lives = open_file[0] || open_file[1] || open_file[2];
		CHECK(machines() == lives, "order %d%d%d%d%d after %d: %d machines", order[0], order[1], order[2], order[3],
		      order[4], i + 1, machines());
	}
}

/* Calls `one` with each order of the numbers below `of`. */
static int orders(void (*one)(const int *order), int of, int *order, int at)
{
	int count = 0;

	if (at == of) {
		one(order);
		return 1;
	}
	for (int what = 0; what < of; what++) {
		bool used = false;

		for (int i = 0; i < at; i++)
			used |= order[i] == what;
		if (used)
			continue;
		order[at] = what;
		count += orders(one, of, order, at + 1);
	}
	return count;
}

/* --- devices by their own nodes ----------------------------------------------------------------------------- */

static void node_errors(void)
{
	int iommu = need_iommufd(), fd = need_node(bdf), copy = dup(fd), second = need_node(bdf);
	struct vm vm = create_vm(), another;

	expect(EINVAL, add(vm.link, iommu), "add an iommufd");
	expect(ENOENT, del(vm.link, fd), "delete a node that was not added");
	for (int bound = 0; bound < 2; bound++) {
		printf("# %s\n", bound ? "bound" : "not bound");
		expect(0, add(vm.link, fd), "add the node");
		expect(EEXIST, add(vm.link, fd), "add it again");
		expect(EEXIST, add(vm.link, copy), "add a copy of it");
		expect(0, add(vm.link, second), "add another file of the node");
		another = create_vm();
		expect(0, add(another.link, fd), "add it to another machine");
		close_vm(&another);
		expect(0, del(vm.link, copy), "delete it by its copy");
		expect(ENOENT, del(vm.link, fd), "delete it again");
		expect(0, del(vm.link, second), "delete the other file");
		if (!bound)
			expect(0, bind_device(fd, iommu, NULL), "bind");
	}

	/* The machine has the last file: the device stays bound until it goes. */
	expect(0, add(vm.link, fd), "add the node");
	close(fd);
	close(copy);
	expect(EBUSY, open(group_path(bdf), O_RDWR), "open the group of the device that the machine holds");
	close_vm(&vm);
	expect(0, bind_device(second, iommu, NULL), "bind the other file after the machine");
	close(second);
	close(iommu);
}

static void node_coherency(bool coherent)
{
	int iommu = need_iommufd(), fd = need_node(bdf), second = need_node(other), on = !coherent;
	struct vm vm = create_vm();

	asked = happened("asked"), registered = happened("registered"), unregistered = happened("unregistered");
	add(vm.link, fd);
	concluded(1, on, 0, "add a node that is not bound");
	if (bind_device(fd, iommu, NULL) || attach_device(fd, new_ioas(iommu), NULL))
		fail("bind");
	asked = happened("asked");
	add(vm.link, second);
	concluded(coherent ? 2 : 1, 0, 0, "add another, the first is bound");
	del(vm.link, fd);
	concluded(1, 0, 0, "delete the first");
	del(vm.link, second);
	concluded(0, 0, on, "delete the second");
	add(vm.link, fd);
	concluded(1, on, 0, "add one that is bound");
	close_vm(&vm);
	concluded(0, 0, on, "close the machine");
	close(fd);
	close(second);
	close(iommu);
}

/* A device takes the machine of the file that it is bound by, and gives it back when that is closed. */
static void node_lifetime(void)
{
	long before = users("kvm_amd"), idle = users("kvm");
	int iommu = need_iommufd(), fd, second;
	struct vm vm, second_vm;

	vm = create_vm();
	fd = need_node(bdf);
	bind_device(fd, iommu, NULL);
	add(vm.link, fd);
	alive(1, "node added after it was bound");
	close_vm(&vm);
	alive(0, "machine closed: nobody has it");
	close(fd);

	vm = create_vm();
	fd = need_node(bdf);
	add(vm.link, fd);
	close_vm(&vm);
	alive(0, "node added, machine closed before it was bound");
	expect(0, bind_device(fd, iommu, NULL), "bind after that");
	alive(0, "bound: no machine");
	close(fd);

	vm = create_vm();
	fd = need_node(bdf);
	add(vm.link, fd);
	expect(0, bind_device(fd, iommu, NULL), "bind");
	alive(1, "node added, then bound");
	close_vm(&vm);
	alive(1, "machine closed: the device has it");
	attach_device(fd, new_ioas(iommu), NULL);
	detach_device(fd);
	close(iommu);
	alive(1, "iommufd closed");
	close(fd);
	alive(0, "device closed");

	iommu = need_iommufd();
	vm = create_vm();
	fd = need_node(bdf);
	add(vm.link, fd);
	expect(EBADF, bind_device(fd, 999, NULL), "bind to no file");
	expect(EBADFD, bind_device(fd, kvm, NULL), "bind to a file that is no iommufd");
	close_vm(&vm);
	alive(0, "not bound, machine closed");
	close(fd);

	/* It is the file that counts, not the device. */
	vm = create_vm();
	fd = need_node(bdf);
	second = need_node(bdf);
	add(vm.link, second);
	expect(0, bind_device(fd, iommu, NULL), "bind by a file that was not added");
	expect(EINVAL, bind_device(second, iommu, NULL), "bind by the one that was added");
	close_vm(&vm);
	alive(0, "machine closed");
	close(fd);
	close(second);

	vm = create_vm();
	fd = need_node(bdf);
	add(vm.link, fd);
	bind_device(fd, iommu, NULL);
	del(vm.link, fd);
	close_vm(&vm);
	alive(1, "node deleted while it was bound");
	close(fd);
	alive(0, "device closed");

	/* Two machines: the device has the one that said so last before it was bound. */
	vm = create_vm();
	second_vm = create_vm();
	fd = need_node(bdf);
	add(vm.link, fd);
	add(second_vm.link, fd);
	bind_device(fd, iommu, NULL);
	close_vm(&vm);
	alive(1, "first of two machines closed");
	close_vm(&second_vm);
	alive(1, "second closed: the device has it");
	close(fd);
	alive(0, "device closed");

	/* A process that ends with everything open. */
	if (!fork()) {
		vm = create_vm();
		fd = need_node(bdf);
		add(vm.link, fd);
		bind_device(fd, iommu, NULL);
		close(vm.fd);
		_exit(0);
	}
	ended(before, idle);
	close(iommu);
}

/* The machine lives exactly as long as it, its link or the device is open. */
static void one_node_order(const int *order)
{
	struct vm vm = create_vm();
	int fd = need_node(bdf), iommu = need_iommufd();
	int fds[4] = { vm.fd, vm.link, fd, iommu };
	bool open_file[4] = { true, true, true, true };

	add(vm.link, fd);
	if (bind_device(fd, iommu, NULL))
		fail("bind");
	for (int i = 0; i < 4; i++) {
		bool lives;

		close(fds[order[i]]);
		open_file[order[i]] = false;
		lives = open_file[0] || open_file[1] || open_file[2];
		CHECK(machines() == lives, "order %d%d%d%d after %d: %d machines", order[0], order[1], order[2], order[3],
		      i + 1, machines());
	}
}

static struct vfio_user raced, beside;
static volatile bool over;
static long rounds[2];

/* Machines come and go and take the group with them, by turns with and without deleting it. */
static void *comes(void *arg)
{
	for (unsigned int i = 0; !over; i++) {
		struct vm vm = create_vm();

		add(vm.link, i % 3 ? raced.group : beside.device);
		if (i % 2)
			del(vm.link, raced.group);
		if (i % 4 < 2)
			close(vm.link), close(vm.fd);
		else
			close(vm.fd), close(vm.link);
		rounds[0]++;
	}
	return arg;
}

static void *opens(void *arg)
{
	while (!over) {
		close(get_device(&raced));
		rounds[1]++;
	}
	return arg;
}

/* Starts a thread for each, and ends them after some seconds. */
static void race_of(void *(*const work[4])(void *))
{
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		if (pthread_create(&threads[i], NULL, work[i], NULL))
			fail("pthread_create");
	sleep(4);
	/* On a busy host not a round may have been done by then. */
	for (int s = 0; s < 120 && !(rounds[0] && rounds[1]); s++)
		sleep(1);
	over = true;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	CHECK(rounds[0] > 0 && rounds[1] > 0, "%ld machines, %ld opens", rounds[0], rounds[1]);
	CHECK(machines() == 0, "%d machines are left", machines());
}

static void race(void)
{
	void *(*const work[])(void *) = { comes, comes, opens, opens };

	raced = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	/* The threads' opens are the device's first ones. */
	close(raced.device);
	beside = open_all(other, VFIO_TYPE1v2_IOMMU);
	race_of(work);
	close(raced.group);
	close(raced.container);
	close_all(&beside);
}

static int raced_node, raced_iommu;

/* The node that was bound last, or is being bound, or closed. */
static void *node_comes(void *arg)
{
	for (unsigned int i = 0; !over; i++) {
		struct vm vm = create_vm();
		int fd = __atomic_load_n(&raced_node, __ATOMIC_RELAXED);

		add(vm.link, fd);
		if (i % 2)
			del(vm.link, fd);
		if (i % 4 < 2)
			close(vm.link), close(vm.fd);
		else
			close(vm.fd), close(vm.link);
		rounds[0]++;
	}
	return arg;
}

static void *node_binds(void *arg)
{
	while (!over) {
		int fd = need_node(bdf);

		__atomic_store_n(&raced_node, fd, __ATOMIC_RELAXED);
		usleep(1000);
		rounds[1] += !bind_device(fd, raced_iommu, NULL);
		usleep(1000);
		close(fd);
	}
	return arg;
}

static void node_race(void)
{
	void *(*const work[])(void *) = { node_comes, node_comes, node_binds, node_binds };

	raced_iommu = need_iommufd();
	raced_node = -1;
	race_of(work);
	close(raced_iommu);
}

/*
 * A second file, with a machine of its own, fails to bind a device that is bound. In C the device then forgets the first
 * machine, which nobody can give back: only for ours, like node_race().
 */
static void node_contested(void)
{
	struct vm vm = create_vm(), second_vm = create_vm();
	int iommu = need_iommufd(), fd = need_node(bdf), second = need_node(bdf);

	add(vm.link, fd);
	add(second_vm.link, second);
	expect(0, bind_device(fd, iommu, NULL), "bind by the first file");
	expect(EINVAL, bind_device(second, iommu, NULL), "bind by the second");
	close_vm(&second_vm);
	close(second);
	close_vm(&vm);
	alive(1, "machines closed: the device has the first");
	close(fd);
	alive(0, "device closed");
	close(iommu);
}

int main(int argc, char **argv)
{
	int order[5], count;

	if (argc < 4)
		return 2;
	bdf = argv[2];
	other = argv[3];
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		fail("/dev/kvm");
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(argv[1], "errors")) {
		errors();
	} else if (!strcmp(argv[1], "coherency") && argc > 4) {
		coherency(!strcmp(argv[4], "coherent"));
	} else if (!strcmp(argv[1], "lifetime")) {
		lifetime();
	} else if (!strcmp(argv[1], "orders")) {
		count = orders(one_order, 5, order, 0);
		printf("%d orders\n", count);
	} else if (!strcmp(argv[1], "race")) {
		race();
	} else if (!strcmp(argv[1], "node-errors")) {
		node_errors();
	} else if (!strcmp(argv[1], "node-coherency") && argc > 4) {
		node_coherency(!strcmp(argv[4], "coherent"));
	} else if (!strcmp(argv[1], "node-lifetime")) {
		node_lifetime();
	} else if (!strcmp(argv[1], "node-orders")) {
		count = orders(one_node_order, 4, order, 0);
		printf("%d orders\n", count);
	} else if (!strcmp(argv[1], "node-race")) {
		node_race();
	} else if (!strcmp(argv[1], "node-contested")) {
		node_contested();
	} else {
		return 2;
	}
	close(kvm);
	return failures != 0;
}
