// SPDX-License-Identifier: GPL-2.0
/*
 * Stops a thread in the middle of a call, by userfaultfd on what the call reads or writes, and does things meanwhile: what
 * is a matter of luck in a race happens each time here. What has to hold is checked; the exit status tells.
 *
 * usage: vfio_windows CASE BDF BDF2 [careful|BDF3]
 * BDF is a function with MSI-X, a reset and a BAR 0 in memory, BDF2 one of another group, BDF3 one of
 * the set that BDF is in, which is not bound but would be. The C modules have to be
 * treated carefully: they use freed memory if the last group leaves a container that is busy.
 * Exit status 4: the kernel has no userfaultfd.
 */
#include "../proc.h"
#include "../vfio_user.h"
#include "window.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#define CONFIG (7ULL << 40)

static const char *bdf, *bdf2, *bdf3;
static bool careful;
static int failures;

static bool check(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("%s: ", ok ? "fine" : "WRONG");
	vprintf(format, args);
	va_end(args);
	printf("\n");
	failures += !ok;
	return ok;
}

/* --- a call in another thread --------------------------------------------------------------------------- */

enum how { IOCTL, READ, WRITE };

struct call {
	enum how how;
	int fd;
	unsigned long cmd;	/* or the offset */
	void *arg;
	size_t size;
	long ret;
	int error;
	atomic_int done;
	pthread_t thread;
};

static void *run(void *arg)
{
	struct call *c = arg;

	switch (c->how) {
	case IOCTL:
		c->ret = ioctl(c->fd, c->cmd, c->arg);
		break;
	case READ:
		c->ret = pread(c->fd, c->arg, c->size, c->cmd);
		break;
	case WRITE:
		c->ret = pwrite(c->fd, c->arg, c->size, c->cmd);
		break;
	}
	c->error = c->ret < 0 ? errno : 0;
	atomic_store(&c->done, 1);
	return NULL;
}

static void start(struct call *c)
{
	c->done = 0;
	if (pthread_create(&c->thread, NULL, run, c))
		fail("pthread_create");
}

static bool finished(atomic_int *done)
{
	for (int i = 0; i < SECONDS * 1000 && !atomic_load(done); i++)
		usleep(1000);
	return atomic_load(done);
}

/* --- the calls ------------------------------------------------------------------------------------------ */

static const struct kind {
	const char *name;
	enum how how;
	char on;	/* c, g or d */
	unsigned long cmd;
	size_t size;
	/* It sleeps in memory that its argument points to; on C everybody who needs the container waits for it. */
	bool indirect;
} kinds[] = {
	{ "GET_STATUS", IOCTL, 'g', VFIO_GROUP_GET_STATUS, 8 },
	{ "SET_CONTAINER", IOCTL, 'g', VFIO_GROUP_SET_CONTAINER, 4 },
	{ "GET_DEVICE_FD", IOCTL, 'g', VFIO_GROUP_GET_DEVICE_FD, 16 },
	{ "IOMMU_GET_INFO", IOCTL, 'c', VFIO_IOMMU_GET_INFO, 200 },
	{ "MAP_DMA", IOCTL, 'c', VFIO_IOMMU_MAP_DMA, 32 },
	{ "UNMAP_DMA", IOCTL, 'c', VFIO_IOMMU_UNMAP_DMA, 24 },
	{ "DIRTY_PAGES", IOCTL, 'c', VFIO_IOMMU_DIRTY_PAGES, 8 },
	{ "GET_INFO", IOCTL, 'd', VFIO_DEVICE_GET_INFO, 24 },
	{ "REGION_INFO", IOCTL, 'd', VFIO_DEVICE_GET_REGION_INFO, 32 },
	{ "IRQ_INFO", IOCTL, 'd', VFIO_DEVICE_GET_IRQ_INFO, 16 },
	{ "SET_IRQS", IOCTL, 'd', VFIO_DEVICE_SET_IRQS, 24 },
	{ "HOT_RESET_INFO", IOCTL, 'd', VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 200 },
	{ "HOT_RESET", IOCTL, 'd', VFIO_DEVICE_PCI_HOT_RESET, 16 },
	{ "IOEVENTFD", IOCTL, 'd', VFIO_DEVICE_IOEVENTFD, 32 },
	{ "FEATURE", IOCTL, 'd', VFIO_DEVICE_FEATURE, 24 },
	{ "read of config space", READ, 'd', CONFIG, 64 },
	{ "write of config space", WRITE, 'd', CONFIG + 4, 2 },
	{ "read of a BAR", READ, 'd', 0, 8 },
	{ "write of a BAR", WRITE, 'd', 0x5b50, 4 },
	{ "GET_BITMAP", IOCTL, 'c', VFIO_IOMMU_DIRTY_PAGES, 48, true },
	{ "UNMAP_DMA with a bitmap", IOCTL, 'c', VFIO_IOMMU_UNMAP_DMA, 48, true },
};

static char *ram;

/* A container that tracks dirty pages, with a mapping. */
static void track(int container)
{
	struct vfio_iommu_type1_dirty_bitmap d = { .argsz = sizeof(d), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START };
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m), .flags = 3, .vaddr = (uint64_t)ram, .iova = 0x100000,
		.size = 4 * PAGE };

	if ((ioctl(container, VFIO_IOMMU_MAP_DMA, &m) && errno != EEXIST) || ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &d))
		fail("DIRTY_PAGES");
}

/* The bytes of a call whose memory is `page`. */
static void fill_indirect(const struct kind *k, void *buffer, struct vfio_user *u, void *page)
{
	const struct vfio_bitmap bitmap = { .pgsize = PAGE, .size = 8, .data = page };

	memset(buffer, 0, PAGE);
	switch (k->cmd) {
	case VFIO_IOMMU_UNMAP_DMA:
		track(u->container);
		*(struct vfio_iommu_type1_dma_unmap *)buffer = (struct vfio_iommu_type1_dma_unmap){
			.argsz = k->size, .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .iova = 0x100000, .size = 4 * PAGE };
		*(struct vfio_bitmap *)((struct vfio_iommu_type1_dma_unmap *)buffer)->data = bitmap;
		break;
	default:
		track(u->container);
		*(struct vfio_iommu_type1_dirty_bitmap *)buffer = (struct vfio_iommu_type1_dirty_bitmap){
			.argsz = k->size, .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP };
		*(struct vfio_iommu_type1_dirty_bitmap_get *)((struct vfio_iommu_type1_dirty_bitmap *)buffer)->data =
			(struct vfio_iommu_type1_dirty_bitmap_get){ .iova = 0x100000, .size = 4 * PAGE, .bitmap = bitmap };
	}
}

/* The bytes of a call that makes sense. */
static void fill(const struct kind *k, void *buffer, struct vfio_user *u)
{
	uint32_t *w = buffer;

	memset(buffer, 0, PAGE);
	w[0] = k->size;
	if (k->how != IOCTL)
		w[0] = k->cmd == CONFIG + 4 ? 2 : 0;
	else if (k->on == 'g' && k->size == 4)
		w[0] = u->container;
	else if (k->on == 'g' && k->size == 16)
		strcpy(buffer, bdf);
	switch (k->how == IOCTL && k->on != 'g' ? k->cmd : 0) {
	case VFIO_IOMMU_MAP_DMA:	/* on a container; a hot reset on a device */
		if (k->on == 'c')
			*(struct vfio_iommu_type1_dma_map *)buffer = (struct vfio_iommu_type1_dma_map){
				.argsz = 32, .flags = 3, .vaddr = (uint64_t)ram, .iova = 0x100000, .size = 4 * PAGE };
		else
			w[2] = 1, w[3] = u->group;
		break;
	case VFIO_IOMMU_UNMAP_DMA:
		*(struct vfio_iommu_type1_dma_unmap *)buffer = (struct vfio_iommu_type1_dma_unmap){
			.argsz = 24, .iova = 0x100000, .size = 4 * PAGE };
		break;
	case VFIO_DEVICE_FEATURE:	/* or DIRTY_PAGES */
		w[1] = k->on == 'c' ? VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP : VFIO_DEVICE_FEATURE_PROBE;
		break;
	case VFIO_DEVICE_SET_IRQS:
		w[1] = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
		w[2] = VFIO_PCI_MSI_IRQ_INDEX;
		w[4] = 1;
		w[5] = -1;
		break;
	case VFIO_DEVICE_IOEVENTFD:
		w[1] = 4;
		w[2] = 0x80;
		w[6] = -1;
		break;
	}
}

/* Starts a call that gets no further than `w`, of which `buffer` is to be the content; whether it got there. */
static bool sleeps(struct call *c, const struct kind *k, struct vfio_user *u, struct window *w, char *buffer)
{
	*c = (struct call){ .how = k->how, .cmd = k->cmd, .arg = w->page, .size = k->size,
		.fd = k->on == 'c' ? u->container : k->on == 'g' ? u->group : u->device };
	if (k->indirect) {
		static char argument[PAGE];

		fill_indirect(k, argument, u, w->page);
		memset(buffer, 0, PAGE);
		c->arg = argument;
	} else {
		fill(k, buffer, u);
	}
	start(c);
	return check(window_hit(w), "%s sleeps", k->name);
}

/* Lets it go on, and waits for its end. */
static void goes_on(struct call *c, const struct kind *k, struct window *w, const char *buffer)
{
	bool ends;

	if (buffer)
		window_open(w, buffer, PAGE);
	ends = finished(&c->done);
	if (!check(ends, "%s ends, with %d %s", k->name, c->ret < 0 ? -1 : 0, error_name(c->error)))
		exit(1);
	pthread_join(c->thread, NULL);
	if (c->ret > 0 && k->on == 'g' && k->cmd == VFIO_GROUP_GET_DEVICE_FD)
		close(c->ret);
}

/* --- what somebody else does meanwhile ------------------------------------------------------------------ */

static struct vfio_user user;

static void do_get_info(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ioctl(user.device, VFIO_DEVICE_GET_INFO, &info);
}

static void do_region_info(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };

	ioctl(user.device, VFIO_DEVICE_GET_REGION_INFO, &info);
}

static void do_read_config(void)
{
	char bytes[64];

	(void)!pread(user.device, bytes, sizeof(bytes), CONFIG);
}

static void do_write_config(void)
{
	uint16_t command = 0;

	(void)!pwrite(user.device, &command, 2, CONFIG + 4);
	command = 2;
	(void)!pwrite(user.device, &command, 2, CONFIG + 4);
}

static void do_read_bar(void)
{
	uint32_t value;

	(void)!pread(user.device, &value, 4, 0);
}

static void do_touch_bar(void)
{
	volatile uint32_t *bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, user.device, 0);

	if (bar == MAP_FAILED)
		fail("mmap");
	(void)*bar;
	munmap((void *)bar, PAGE);
}

static void do_reset(void)
{
	ioctl(user.device, VFIO_DEVICE_RESET);
}

static void do_hot_reset(void)
{
	struct { struct vfio_pci_hot_reset r; int group; } r = { { .argsz = sizeof(r), .count = 1 }, user.group };

	ioctl(user.device, VFIO_DEVICE_PCI_HOT_RESET, &r);
}

static void do_irqs(void)
{
	int event = eventfd(0, 0);
	struct { struct vfio_irq_set set; int fd; } s = { { .argsz = sizeof(s), .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 1,
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER }, event };

	ioctl(user.device, VFIO_DEVICE_SET_IRQS, &s);
	s.set = (struct vfio_irq_set){ .argsz = sizeof(s.set), .index = VFIO_PCI_MSIX_IRQ_INDEX,
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER };
	ioctl(user.device, VFIO_DEVICE_SET_IRQS, &s);
	close(event);
}

static void do_open_device(void)
{
	int fd = ioctl(user.group, VFIO_GROUP_GET_DEVICE_FD, bdf);

	if (fd >= 0)
		close(fd);
}

static void do_status(void)
{
	struct vfio_group_status s = { .argsz = sizeof(s) };

	ioctl(user.group, VFIO_GROUP_GET_STATUS, &s);
	ioctl(user.group, VFIO_GROUP_UNSET_CONTAINER);
	ioctl(user.group, VFIO_GROUP_SET_CONTAINER, &user.container);
}

static void do_map(void)
{
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m), .flags = 3, .vaddr = (uint64_t)ram, .iova = 0x800000,
		.size = PAGE };
	struct vfio_iommu_type1_dma_unmap un = { .argsz = sizeof(un), .iova = 0x800000, .size = PAGE };

	ioctl(user.container, VFIO_IOMMU_MAP_DMA, &m);
	ioctl(user.container, VFIO_IOMMU_UNMAP_DMA, &un);
}

static void do_second_group(void)
{
	int group = open(group_path(bdf2), O_RDWR);

	ioctl(group, VFIO_GROUP_SET_CONTAINER, &user.container);
	close(group);
}

static void do_fdinfo(void)
{
	char path[64], text[400];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", user.device);
	fd = open(path, O_RDONLY);
	(void)!read(fd, text, sizeof(text));
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(void);
} actions[] = {
	{ "GET_INFO", do_get_info }, { "REGION_INFO", do_region_info }, { "read of config space", do_read_config },
	{ "write of config space", do_write_config }, { "read of a BAR", do_read_bar }, { "fault of a BAR", do_touch_bar },
	{ "SET_IRQS", do_irqs }, { "open and close of the device", do_open_device }, { "GET_STATUS", do_status },
	{ "MAP and UNMAP", do_map }, { "another group", do_second_group }, { "fdinfo", do_fdinfo }, { "RESET", do_reset },
	{ "HOT_RESET", do_hot_reset },
};

struct action {
	void (*run)(void);
	atomic_int done;
};

static void *act(void *arg)
{
	struct action *a = arg;

	a->run();
	atomic_store(&a->done, 1);
	return NULL;
}

/* --- cases ---------------------------------------------------------------------------------------------- */

/* Whoever sleeps in a call, because of its own memory, holds up nobody. */
static void nobody_waits(void)
{
	char buffer[PAGE];

	user = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		struct window w;
		struct call c;
		bool free = true;

		if (k->indirect && careful)
			continue;
		w = window_new();
		do_write_config();
		if (!sleeps(&c, k, &user, &w, buffer))
			exit(1);
		for (unsigned int j = 0; j < ARRAY_SIZE(actions) && free; j++) {
			struct action a = { actions[j].run };
			pthread_t thread;

			/* Groups join when nothing is being mapped or unmapped. */
			if (a.run == do_second_group && k->indirect && k->cmd == VFIO_IOMMU_UNMAP_DMA)
				continue;
			/* These take long: only with those that get as far as the device. */
			if ((a.run == do_hot_reset || a.run == do_reset) && k->how == IOCTL && k->cmd != VFIO_DEVICE_PCI_HOT_RESET)
				continue;
			pthread_create(&thread, NULL, act, &a);
			free = finished(&a.done);
			if (!free) {
				check(false, "%s waits for %s", actions[j].name, k->name);
				window_open(&w, buffer, PAGE);
			}
			pthread_join(thread, NULL);
		}
		goes_on(&c, k, &w, free ? buffer : NULL);
		window_free(&w);
	}
	close_all(&user);
}

/* All can be opened anew, and nothing is pinned that was not before. */
static void as_new(long before, const char *after)
{
	int fd = -1;

	for (int i = 0; i < SECONDS * 100 && fd < 0; i++) {
		fd = open(group_path(bdf), O_RDWR);
		if (fd < 0)
			usleep(10000);
	}
	check(fd >= 0, "the group can be opened after %s", after);
	close(fd);
	user = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	close_all(&user);
	check(pins_of_all() == before, "%ld pages pinned after %s", pins_of_all() - before, after);
}

/* Killed in the middle of each call. */
static void killed(void)
{
	char buffer[PAGE];
	long before = pins_of_all();

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		int ends[2], status;
		pid_t pid;

		if (pipe(ends))
			fail("pipe");
		fflush(stdout);
		pid = fork();
		if (!pid) {
			struct window w = window_new();
			struct call c;

			user = open_all(bdf, VFIO_TYPE1v2_IOMMU);
			do_map();
			if (!sleeps(&c, k, &user, &w, buffer))
				exit(1);
			(void)!write(ends[1], "x", 1);
			pause();
		}
		close(ends[1]);
		check(read(ends[0], buffer, 1) == 1, "%s sleeps", k->name);
		close(ends[0]);
		kill(pid, SIGKILL);
		check(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status), "killed in %s", k->name);
		as_new(before, k->name);
	}
}

/* All its descriptors closed by another thread meanwhile. */
static void closed(void)
{
	char buffer[PAGE];
	long before = pins_of_all();

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		struct window w;
		struct call c;
		struct vfio_user u;
		int again;

		if (k->indirect || (careful && k->on == 'c'))
			continue;
		w = window_new();
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		if (!sleeps(&c, k, &u, &w, buffer))
			exit(1);
		/* SET_CONTAINER is to find a closed descriptor. */
		close_all(&u);
		if (k->on != 'c') {
			again = open(group_path(bdf), O_RDWR);
			check(again < 0 && errno == EBUSY, "the group is busy during %s", k->name);
		}
		goes_on(&c, k, &w, buffer);
		window_free(&w);
		as_new(before, k->name);
	}
}

/* The group leaves its container while the container does something; C uses freed memory then. */
static void backend_gone(void)
{
	char buffer[PAGE];
	long before = pins_of_all();

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		for (int round = 0; round < 3; round++) {
			const struct kind *k = &kinds[i];
			struct window w;
			struct call c;
			struct vfio_user u;

			/* An unmap keeps the group. */
			if (k->on != 'c' || (k->indirect && k->cmd == VFIO_IOMMU_UNMAP_DMA))
				continue;
			w = window_new();
			u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
			if (!sleeps(&c, k, &u, &w, buffer))
				exit(1);
			close(u.device);
			check(!ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "the group leaves");
			check(ioctl(u.container, VFIO_IOMMU_UNMAP_DMA, buffer) && errno == EINVAL, "the container has no IOMMU");
			if (round) {
				check(!ioctl(u.group, VFIO_GROUP_SET_CONTAINER, &u.container), "the group is back");
				check(!ioctl(u.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "another IOMMU");
			}
			if (round == 2) {
				close(u.group);
				close(u.container);
			}
			goes_on(&c, k, &w, buffer);
			if (round < 2) {
				close(u.group);
				close(u.container);
			}
			window_free(&w);
			as_new(before, k->name);
		}
}

/*
 * The last group leaves while a bitmap is on its way, below the vfio.ko of C, which keeps nothing for the call: it is our
 * type1 that has to stay for so long.
 */
static void released(void)
{
	const struct kind *k = &kinds[ARRAY_SIZE(kinds) - 2];
	char buffer[PAGE];
	long before = pins_of_all();

	for (int round = 0; round < 4; round++) {
		struct window w = window_new();
		struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		struct call c, leave = { .how = IOCTL, .fd = u.group, .cmd = VFIO_GROUP_UNSET_CONTAINER };

		if (!sleeps(&c, k, &u, &w, buffer))
			exit(1);
		close(u.device);
		start(&leave);
		/* More than it takes to release. */
		usleep(200000);
		check(!atomic_load(&leave.done), "the instance stays");
		goes_on(&c, k, &w, buffer);
		check(finished(&leave.done) && !leave.ret, "then the group leaves");
		pthread_join(leave.thread, NULL);
		check(!c.ret && *(uint64_t *)w.page == 0xf, "the bitmap has arrived: %lx", *(uint64_t *)w.page);
		close(u.group);
		close(u.container);
		window_free(&w);
		as_new(before, k->name);
	}
}

static void do_unbind(void)
{
	put_text("/sys/bus/pci/drivers/vfio-pci/unbind", bdf);
}

/* The driver is unbound in the middle of a call. */
static void unbound(void)
{
	char buffer[PAGE];
	long before = pins_of_all();

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		struct window w;
		struct call c;
		struct vfio_user u;
		struct action a = { do_unbind };
		struct pollfd asked;
		pthread_t thread;
		int request = eventfd(0, 0);
		struct { struct vfio_irq_set set; int fd; } s = { { .argsz = sizeof(s), .index = VFIO_PCI_REQ_IRQ_INDEX, .count = 1,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER }, request };

		if (k->indirect || (careful && k->on == 'c'))
			continue;
		w = window_new();
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		if (ioctl(u.device, VFIO_DEVICE_SET_IRQS, &s))
			fail("SET_IRQS");
		if (!sleeps(&c, k, &u, &w, buffer))
			exit(1);
		pthread_create(&thread, NULL, act, &a);
		asked = (struct pollfd){ .fd = request, .events = POLLIN };
		check(poll(&asked, 1, SECONDS * 1000) == 1, "the device is asked for");
		close(u.device);
		if (k->on == 'd') {
			usleep(20000);
			check(!atomic_load(&a.done), "%s keeps the device", k->name);
		} else {
			check(finished(&a.done), "unbound during %s", k->name);
		}
		goes_on(&c, k, &w, buffer);
		if (k->on == 'g' && k->cmd != VFIO_GROUP_SET_CONTAINER)
			check(c.ret < 0 && c.error == ENODEV, "%s finds no device", k->name);
		check(finished(&a.done), "unbound after %s", k->name);
		pthread_join(thread, NULL);
		close(u.group);
		close(u.container);
		close(request);
		window_free(&w);
		put_text("/sys/bus/pci/drivers_probe", bdf);
		as_new(before, k->name);
	}
}

static void rebind_other(void)
{
	put_text("/sys/bus/pci/drivers/vfio-pci/unbind", bdf2);
	put_text("/sys/bus/pci/drivers_probe", bdf2);
}

/* A user who does not let go of a container holds up who takes the device away, but not the other devices. C does. */
static void others_go_on(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = &kinds[i];
		struct action away = { do_unbind }, other = { rebind_other };
		struct vfio_user u;
		struct window w;
		struct call c;
		char buffer[PAGE];
		pthread_t threads[2];

		if (!k->indirect)
			continue;
		w = window_new();
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		if (!sleeps(&c, k, &u, &w, buffer))
			exit(1);
		close(u.device);
		pthread_create(&threads[0], NULL, act, &away);
		usleep(300000);
		pthread_create(&threads[1], NULL, act, &other);
		check(finished(&other.done), "another device is bound during %s", k->name);
		goes_on(&c, k, &w, buffer);
		check(finished(&away.done), "unbound after %s", k->name);
		pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		close(u.group);
		close(u.container);
		window_free(&w);
		put_text("/sys/bus/pci/drivers_probe", bdf);
	}
}

static void bind_third(void)
{
	put_text("/sys/bus/pci/drivers_probe", bdf3);
}

/*
 * Somebody opens a device whose group is leaving a container that is busy. Neither a device that joins the same set nor
 * those of other sets wait for him.
 */
static void busy_set(void)
{
	const struct kind *k = &kinds[ARRAY_SIZE(kinds) - 1];
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	struct window w = window_new();
	struct call c, leaves = { .how = IOCTL, .fd = u.group, .cmd = VFIO_GROUP_UNSET_CONTAINER };
	struct call opens = { .how = IOCTL, .fd = u.group, .cmd = VFIO_GROUP_GET_DEVICE_FD, .arg = (void *)bdf };
	struct action joins = { bind_third }, other = { rebind_other };
	pthread_t threads[2];
	char buffer[PAGE];

	close(u.device);
	if (!sleeps(&c, k, &u, &w, buffer))
		exit(1);
	start(&leaves);
	usleep(200000);
	start(&opens);
	usleep(200000);
	pthread_create(&threads[0], NULL, act, &joins);
	check(finished(&joins.done), "a device joins the set");
	pthread_create(&threads[1], NULL, act, &other);
	check(finished(&other.done), "a device of another set is bound");
	check(!leaves.done && !opens.done, "two wait: %d %d", leaves.done, opens.done);
	goes_on(&c, k, &w, buffer);
	check(finished(&leaves.done) && !leaves.ret, "the group leaves");
	check(finished(&opens.done) && opens.error == EINVAL, "the device is not opened");
	pthread_join(leaves.thread, NULL);
	pthread_join(opens.thread, NULL);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	window_free(&w);
	close(u.group);
	close(u.container);
}

/* Another group waits to leave the container, which is busy: who opens a device does not wait for that. */
static void opens_meanwhile(void)
{
	const struct kind *k = &kinds[ARRAY_SIZE(kinds) - 1];
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	struct window w = window_new();
	struct call c, leaves = { .how = IOCTL, .fd = open(group_path(bdf2), O_RDWR), .cmd = VFIO_GROUP_UNSET_CONTAINER };
	struct call opens = { .how = IOCTL, .fd = u.group, .cmd = VFIO_GROUP_GET_DEVICE_FD, .arg = (void *)bdf };
	char buffer[PAGE];

	if (ioctl(leaves.fd, VFIO_GROUP_SET_CONTAINER, &u.container))
		fail("the other group");
	close(u.device);
	if (!sleeps(&c, k, &u, &w, buffer))
		exit(1);
	start(&leaves);
	check(waits_in(VFIO_GROUP_UNSET_CONTAINER), "another group wants to leave");
	start(&opens);
	check(finished(&opens.done) && opens.ret >= 0, "a device is opened");
	check(!leaves.done, "the other group waits");
	goes_on(&c, k, &w, buffer);
	check(finished(&leaves.done) && !leaves.ret, "the other group leaves");
	pthread_join(leaves.thread, NULL);
	pthread_join(opens.thread, NULL);
	window_free(&w);
	u.device = opens.ret;
	close(leaves.fd);
	close_all(&u);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "nobody-waits", nobody_waits }, { "killed", killed }, { "closed", closed }, { "backend-gone", backend_gone },
	{ "released", released }, { "unbound", unbound }, { "others-go-on", others_go_on }, { "busy-set", busy_set },
	{ "opens-meanwhile", opens_meanwhile },
};

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	bdf = argv[2];
	bdf2 = argv[3];
	careful = argc > 4 && !strcmp(argv[4], "careful");
	bdf3 = argc > 4 ? argv[4] : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	ram = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		if (!strcmp(cases[i].name, argv[1])) {
			cases[i].run();
			return failures != 0;
		}
	return 2;
}
