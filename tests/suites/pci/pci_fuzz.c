// SPDX-License-Identifier: GPL-2.0
/*
 * Several threads do at random, from a seed, all that a user can do to a PCI device: ioctls well-formed and not,
 * reads and writes of configuration space and BARs at every edge, mappings that are touched while the memory goes
 * away under them, interrupts, resets, power states, eventfds that write, closing and opening again.
 *
 * usage: pci_fuzz BDF SEED SECONDS [OTHER_BDF...]
 * Devices in the same group as BDF are given as OTHER_BDF. With PCI_FUZZ_NO_INTX in the environment INTx stays off:
 * on emulated machines an asserted line that is freed and requested again may never see its EOI. Only registers that are harmless are written. What calls
 * answer is not looked at: the kernel has to survive, no thread may hang, and the device has to work afterwards.
 */
#include "../vfio_user.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef VFIO_DEVICE_FEATURE_DMA_BUF /* not in the headers of older systems */
#define VFIO_DEVICE_FEATURE_DMA_BUF 11
#endif

#define THREADS 4
#define FDS 3
#define EVENTS 8
#define MAPS 6
#define OFFSET(index) ((uint64_t)(index) << 40)
#define CONFIG OFFSET(VFIO_PCI_CONFIG_REGION_INDEX)

static const char *name[FDS];
static char own_name[128];
static int container, group, devices[FDS], events[EVENTS];
static struct { void *volatile at; volatile size_t len; } maps[MAPS];
static struct { uint64_t size; uint32_t flags; } regions[10];
static unsigned pm_cap, exp_cap, af_cap, msi_cap;
static bool is_edu, no_intx;
static volatile bool stop;
static unsigned long counts[16];
static char *edge; /* The last byte of a page with nothing behind. */

struct thread {
	uint64_t random;
	unsigned number;
	pthread_t id;
	volatile pid_t tid;
	volatile int doing, sub;
	volatile bool done;
};

static __thread sigjmp_buf on_fault;
static __thread volatile sig_atomic_t may_fault;

static void faulted(int signal)
{
	(void)signal;
	if (!may_fault)
		_exit(99);
	siglongjmp(on_fault, 1);
}

static uint64_t next(struct thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static uint64_t below(struct thread *t, uint64_t n)
{
	return next(t) % n;
}

static uint64_t odd_number(struct thread *t)
{
	static const uint64_t some[] = {
		0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 19, 20, 24, 31, 32, 33, 63, 255, 256, 2047, 2048, 4095, 4096, 0xffff,
		0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x100000000, 1ULL << 39, (1ULL << 40) - 1,
		1ULL << 40, 1ULL << 62, INT64_MAX - 8, INT64_MAX, 1ULL << 63, UINT64_MAX - 8, UINT64_MAX - 3, UINT64_MAX,
	};

	return below(t, 4) ? some[below(t, ARRAY_SIZE(some))] : next(t);
}

static int device(struct thread *t)
{
	return devices[below(t, FDS)];
}

static int event(struct thread *t)
{
	switch (below(t, 12)) {
	case 0:
		return -1;
	case 1:
		return (int)odd_number(t);
	case 2:
		return group;
	default:
		return events[below(t, EVENTS / 2)];
	}
}

/* An eventfd that unmasks or writes: another than those that are signalled, or they go round and round. */
static int input(struct thread *t)
{
	return below(t, 6) ? events[EVENTS / 2 + below(t, EVENTS / 2)] : -1;
}

/* Memory for an argument: some, at the edge of what is there, a BAR of the device itself, or nowhere. */
static void *memory(struct thread *t, void *mine, size_t len)
{
	switch (below(t, 12)) {
	case 0:
		return edge + 1 - below(t, len + 1);
	case 1: {
		void *at = maps[below(t, MAPS)].at;

		/* The kernel copies as it likes. */
		return at && BAR_ACCESS == 1 ? at : mine;
	}
	case 2:
		return (void *)odd_number(t);
	default:
		return mine;
	}
}

static void infos(struct thread *t)
{
	uint32_t arg[64] = { below(t, 3) ? sizeof(arg) : (uint32_t)odd_number(t), 0, (uint32_t)below(t, 12) };
	static const unsigned long calls[] = {
		VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO,
		VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
	};

	/* The index is the third number of what has one. */
	ioctl(device(t), calls[below(t, ARRAY_SIZE(calls))], memory(t, arg, sizeof(arg)));
}

static void set_irqs(struct thread *t)
{
	static const uint32_t datas[] = { VFIO_IRQ_SET_DATA_NONE, VFIO_IRQ_SET_DATA_BOOL, VFIO_IRQ_SET_DATA_EVENTFD };
	static const uint32_t actions[] = {
		VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_TRIGGER,
		VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_UNMASK,
	};
	struct { struct vfio_irq_set set; int32_t fds[64]; } arg = { .set.argsz = sizeof(arg) };
	uint32_t data = datas[below(t, 3)], action = actions[below(t, 5)];

	arg.set.flags = data | action;
	arg.set.index = no_intx ? 1 + below(t, 4) : below(t, 5);
	if (arg.set.index == 1 || arg.set.index == 2) {
		arg.set.start = below(t, 6);
		arg.set.count = below(t, 6);
	} else {
		arg.set.count = below(t, 2);
	}
	if (!below(t, 3)) {
		/* Stop, so that there is something to start. */
		arg.set = (struct vfio_irq_set){ .argsz = sizeof(arg), .index = below(t, 3), .flags = datas[0] | actions[0] };
	} else if (!below(t, 4)) {
		arg.set.argsz = odd_number(t);
		arg.set.flags = below(t, 2) ? arg.set.flags : odd_number(t);
		arg.set.start = odd_number(t);
		arg.set.count = odd_number(t);
	}
	if (no_intx && !arg.set.index)
		arg.set.index = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(arg.fds); i++)
		arg.fds[i] = action == VFIO_IRQ_SET_ACTION_UNMASK ? input(t) : event(t);
	ioctl(device(t), VFIO_DEVICE_SET_IRQS, memory(t, &arg, 24));
}

static void config(struct thread *t)
{
	uint8_t buf[4096] = { 0 };
	uint32_t value = next(t);
	uint16_t ctrl;
	int fd = device(t);

	switch (t->sub = below(t, 12)) {
	case 0: /* Command: memory and ports on and off, INTx disabled or not; never DMA. */
		value = (next(t) & 0x403) | 2 * !!below(t, 3);
		pwrite(fd, &value, 2, CONFIG + 4);
		break;
	case 1:
		pwrite(fd, &value, 1 + below(t, 4), CONFIG + 0x10 + below(t, 24));
		break;
	case 2:
		pwrite(fd, &value, 1, CONFIG + 0x3c);
		break;
	case 3:
		value = below(t, 3) ? 0 : 3;
		if (pm_cap)
			pwrite(fd, &value, 2, CONFIG + pm_cap + 4);
		break;
	case 4: /* Only sometimes: it takes a tenth of a second. */
		if (exp_cap && !below(t, 8) && pread(fd, &ctrl, 2, CONFIG + exp_cap + 8) == 2) {
			ctrl |= 0x8000;
			pwrite(fd, &ctrl, 2, CONFIG + exp_cap + 8);
		}
		break;
	case 5:
		value = 1;
		if (af_cap && !below(t, 8))
			pwrite(fd, &value, 1, CONFIG + af_cap + 4);
		break;
	case 6:
		if (msi_cap)
			pwrite(fd, &value, 2, CONFIG + msi_cap + 2);
		break;
	case 7:
		pwrite(fd, buf, odd_number(t), CONFIG + odd_number(t) % (1ULL << 41) + 4096);
		break;
	default:
		pread(fd, memory(t, buf, sizeof(buf)), below(t, 4) ? below(t, 256) : below(t, 4097),
		      CONFIG + (below(t, 4) ? below(t, 4096) : odd_number(t)));
		break;
	}
}

static void bars(struct thread *t)
{
	uint8_t buf[4096] = { 0 };
	unsigned bar = below(t, 12);
	uint64_t size = bar < 7 ? regions[bar].size : 4096, pos = below(t, 3) ? below(t, size + 9) : odd_number(t);
	uint32_t value = 1;
	int fd = device(t);
	size_t len;

	if (is_edu && !below(t, 2)) {
		/* Its interrupt, raised and served. */
		pwrite(fd, &value, 4, OFFSET(0) + (below(t, 2) ? 0x60 : 0x64));
		return;
	}
	if (!below(t, 6) && bar < 6 && size) {
		/* Only beyond the end of the region, where nothing is written. */
		pwrite(fd, memory(t, buf, sizeof(buf)), below(t, 64), OFFSET(bar) + size + below(t, 4096));
		return;
	}
	len = below(t, 4) ? below(t, 64) : below(t, 4096);
	if (bar < 6) {
		pos &= -BAR_ACCESS;
		len &= -BAR_ACCESS;
	}
	pread(fd, memory(t, buf, sizeof(buf)), len, OFFSET(bar) + pos);
}

static void touch(struct thread *t, volatile uint32_t *at, bool write)
{
	may_fault = 1;
	if (!sigsetjmp(on_fault, 1)) {
		if (write && is_edu)
			at[1] = next(t);
		else
			(void)*at;
	}
	may_fault = 0;
}

static void mappings(struct thread *t)
{
	unsigned slot = below(t, MAPS), bar;
	size_t len = maps[slot].len;
	void *at = maps[slot].at;

	if (at && below(t, 3)) {
		size_t pages = len / PAGE;

		/* Another thread may unmap it right now: that is a SIGSEGV, caught as well. */
		touch(t, (uint32_t *)((char *)at + PAGE * below(t, pages)), false);
		return;
	}
	if (at) {
		if (!__sync_bool_compare_and_swap(&maps[slot].at, at, NULL))
			return;
		if (below(t, 3))
			munmap(at, len);
		else /* A hole first, so that there are two. */
			munmap((char *)at + PAGE * below(t, len / PAGE), PAGE), munmap(at, len);
		return;
	}
	bar = below(t, 3) ? below(t, 6) : below(t, 10);
	len = bar < 6 && below(t, 4) ? regions[bar].size : PAGE * (1 + below(t, 8));
	if (!len || len > 1 << 26)
		len = 1 << 21;
	len = (len + PAGE - 1) & -PAGE;
	at = mmap(NULL, len, PROT_READ | (below(t, 2) ? PROT_WRITE : 0), below(t, 8) ? MAP_SHARED : MAP_PRIVATE, device(t),
		  OFFSET(bar) + (below(t, 2) ? 0 : odd_number(t) & -PAGE));
	if (at == MAP_FAILED)
		return;
	maps[slot].len = len;
	if (!__sync_bool_compare_and_swap(&maps[slot].at, NULL, at))
		munmap(at, len);
}

static void reset(struct thread *t)
{
	struct { struct vfio_pci_hot_reset hot; int32_t fds[8]; } arg = { .hot.argsz = sizeof(arg) };

	if (below(t, 3)) {
		if (!below(t, 4))
			ioctl(device(t), VFIO_DEVICE_RESET);
		return;
	}
	arg.hot.count = below(t, 3) ? below(t, 4) : odd_number(t);
	if (!below(t, 8))
		arg.hot.flags = odd_number(t);
	if (!below(t, 8))
		arg.hot.argsz = odd_number(t);
	for (unsigned i = 0; i < ARRAY_SIZE(arg.fds); i++)
		arg.fds[i] = below(t, 4) ? group : below(t, 2) ? container : below(t, 2) ? device(t) : event(t);
	ioctl(device(t), VFIO_DEVICE_PCI_HOT_RESET, memory(t, &arg, 16));
}

static void ioeventfd(struct thread *t)
{
	unsigned bar = below(t, 7);
	struct vfio_device_ioeventfd arg = {
		.argsz = below(t, 8) ? sizeof(arg) : odd_number(t),
		.flags = below(t, 6) ? 1 << below(t, 4) : odd_number(t),
		.offset = is_edu && below(t, 2) ? 0x64 : OFFSET(bar) + regions[bar].size - below(t, 9),
		.data = is_edu ? 1 : 0,
		.fd = input(t),
	};

	/* For other devices beyond the end, or removals of what is not there. */
	if (!is_edu && regions[bar].size)
		arg.offset = OFFSET(bar) + regions[bar].size - below(t, 1 + (arg.flags & 15) / 2);
	if ((arg.flags & 15) < BAR_ACCESS)
		return;
	ioctl(device(t), VFIO_DEVICE_IOEVENTFD, memory(t, &arg, sizeof(arg)));
}

static void features(struct thread *t)
{
	static const uint32_t which[] = {
		VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
		VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
		VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_MIGRATION,
	};
	struct { struct vfio_device_feature feature; int32_t data[16]; } arg = { .feature.argsz = sizeof(arg) };

	arg.feature.flags = which[below(t, ARRAY_SIZE(which))];
	/* DMA_BUF is left alone: its files are not closed here. So is a token that others were told. */
	if (arg.feature.flags == VFIO_DEVICE_FEATURE_DMA_BUF ||
	    (arg.feature.flags == VFIO_DEVICE_FEATURE_PCI_VF_TOKEN && strstr(own_name, "vf_token=")))
		arg.feature.flags |= VFIO_DEVICE_FEATURE_PROBE;
	else
		arg.feature.flags |= below(t, 4) ? VFIO_DEVICE_FEATURE_SET : below(t, 8) << 16;
	if (!below(t, 6))
		arg.feature.argsz = odd_number(t);
	arg.data[0] = events[below(t, EVENTS)];
	ioctl(device(t), VFIO_DEVICE_FEATURE, memory(t, &arg, 16));
}

static void signals(struct thread *t)
{
	unsigned i = below(t, EVENTS);
	uint64_t one = 1;
	int old, new;

	if (below(t, 6)) {
		write(events[EVENTS / 2 + below(t, EVENTS / 2)], &one, sizeof(one));
		read(events[below(t, EVENTS / 2)], &one, sizeof(one));
		return;
	}
	new = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	old = __sync_lock_test_and_set(&events[i], new);
	close(old);
}

static void reopen(struct thread *t)
{
	unsigned i = below(t, FDS);
	int old, new;

	if (below(t, 3))
		return;
	if (!below(t, 6)) {
		/* All closed, so that the device is. */
		for (unsigned j = 0; j < FDS; j++) {
			old = __sync_lock_test_and_set(&devices[j], -1);
			if (old >= 0)
				close(old);
		}
	}
	new = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name[i]);
	old = __sync_lock_test_and_set(&devices[i], new);
	if (old >= 0)
		close(old);
}

static void children(struct thread *t)
{
	void *at = maps[below(t, MAPS)].at;
	pid_t pid;

	if (!at || below(t, 8))
		return;
	pid = fork();
	if (!pid) {
		touch(t, at, false);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void (*const actions[])(struct thread *) = {
	infos, set_irqs, config, bars, mappings, set_irqs, config, mappings, reset, ioeventfd, features, signals, reopen,
	children, bars,
};

static void *run(void *arg)
{
	struct thread *t = arg;

	t->tid = syscall(SYS_gettid);
	while (!stop) {
		unsigned i = below(t, ARRAY_SIZE(actions));

		t->doing = i;
		actions[i](t);
		__sync_fetch_and_add(&counts[i], 1);
	}
	t->done = true;
	return NULL;
}

static void print_file(const char *format, pid_t tid)
{
	char path[64], text[4096];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), format, tid);
	fd = open(path, O_RDONLY);
	len = fd < 0 ? 0 : read(fd, text, sizeof(text));
	if (len > 0)
		printf("%s:\n%.*s", path, (int)len, text);
	close(fd);
}

/* Finds out what there is, with the device in the state that opening it gives. */
static void look(int fd)
{
	uint8_t cfg[256] = { 0 };

	for (unsigned i = 0; i < 9; i++) {
		struct vfio_region_info info = { .argsz = sizeof(info), .index = i };

		if (!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info)) {
			regions[i].size = info.size;
			regions[i].flags = info.flags;
		}
	}
	if (pread(fd, cfg, sizeof(cfg), CONFIG) != sizeof(cfg))
		fail("configuration space");
	is_edu = *(uint32_t *)cfg == 0x11e81234;
	for (unsigned pos = cfg[0x34], n = 0; pos >= 0x40 && n < 48; pos = cfg[pos + 1], n++) {
		switch (cfg[pos]) {
		case 1: pm_cap = pos; break;
		case 5: msi_cap = pos; break;
		case 0x10: exp_cap = pos; break;
		case 0x13: af_cap = pos; break;
		}
	}
}

int main(int argc, char **argv)
{
	static struct thread threads[THREADS];
	struct sigaction act = { .sa_handler = faulted, .sa_flags = SA_NODEFER };
	struct vfio_user u;
	unsigned long total = 0;
	unsigned seconds, hung = 0;
	uint32_t before, after = 0;

	if (argc < 4)
		return 2;
	seconds = atoi(argv[3]);
	no_intx = getenv("PCI_FUZZ_NO_INTX");
	snprintf(own_name, sizeof(own_name), "%s%s", argv[1], getenv("PCI_FUZZ_OPTIONS") ?: "");
	u = open_named(argv[1], own_name, VFIO_TYPE1v2_IOMMU);
	container = u.container;
	group = u.group;
	for (unsigned i = 0; i < FDS; i++) {
		name[i] = i + 4U < (unsigned)argc && i ? argv[i + 3] : own_name;
		devices[i] = i ? ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name[i]) : u.device;
	}
	look(u.device);
	pread(u.device, &before, 4, CONFIG);
	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* Nor may a BAR come there, which the kernel would copy from (on arm64 it does not survive that: BAR_ACCESS). */
	mprotect(edge + PAGE, PAGE, PROT_NONE);
	edge += PAGE - 1;
	for (unsigned i = 0; i < EVENTS; i++)
		events[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (unsigned i = 0; i < THREADS; i++) {
		threads[i].number = i;
		threads[i].random = (strtoull(argv[2], NULL, 0) * THREADS + i + 1) * 0x9e3779b97f4a7c15ULL;
		pthread_create(&threads[i].id, NULL, run, &threads[i]);
	}
	sleep(seconds);
	stop = true;
	for (unsigned wait = 0; wait < 600; wait++) {
		hung = 0;
		for (unsigned i = 0; i < THREADS; i++)
			hung += !threads[i].done;
		if (!hung)
			break;
		usleep(100000);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		if (threads[i].done)
			continue;
		printf("thread %u hangs in action %d/%d\n", i, threads[i].doing, threads[i].sub);
		print_file("/proc/%d/stack", threads[i].tid);
	}
	if (hung)
		return 1;
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		total += counts[i];
	for (unsigned i = 0; i < FDS; i++)
		if (devices[i] >= 0)
			close(devices[i]);
	for (unsigned i = 0; i < MAPS; i++)
		if (maps[i].at)
			munmap(maps[i].at, maps[i].len);
	/* Closed by all, and opened again, it is as it was. */
	u.device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, own_name);
	if (u.device < 0)
		fail("open %s again", own_name);
	pread(u.device, &after, 4, CONFIG);
	printf("%lu calls by %d threads; device %08x, then %08x\n", total, THREADS, before, after);
	close_all(&u);
	return before != after;
}
