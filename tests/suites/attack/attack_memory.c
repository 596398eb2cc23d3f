// SPDX-License-Identifier: GPL-2.0
/*
 * A user who asks for as much as he is given: limits hold, and what the kernel allocates for him is charged to him.
 *
 * usage: attack_memory limits BDF BDF2
 *        attack_memory charged|exhaust BDF BDF2 CGROUP
 * The devices, in groups of their own, are bound to vfio-pci. BDF has MSI-X and memory of its own in BAR 0.
 */
#include "attack.h"
#include "../cgroup.h"
#include "../dirty.h"

#include <sched.h>
#include <sys/mman.h>

static struct vfio_user u;

/* --- limits ---------------------------------------------------------------------------------------------------------- */

static long many_mappings(const char *page, unsigned long most, uint64_t apart)
{
	for (unsigned long i = 0; i < most; i++)
		if (map(u.container, (i + 1) * apart, page, PAGE))
			return i;
	return most;
}

static int ioeventfd(uint64_t data, int fd)
{
	struct vfio_device_ioeventfd arg = { .argsz = sizeof(arg), .flags = 4, .offset = 0x10, .data = data, .fd = fd };

	return ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &arg);
}

static long many_ioeventfds(int *fds, unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		fds[i] = eventfd(0, 0);
		if (fds[i] < 0 || ioeventfd(i, fds[i]))
			return i;
	}
	return most;
}

static void all_vectors(const char *when)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	struct { struct vfio_irq_set set; int32_t fds[2048]; } arg;
	int event = eventfd(0, 0);

	ASK(ioctl(u.device, VFIO_DEVICE_GET_IRQ_INFO, &info), "%s: vectors", when);
	for (unsigned more = 0; more < 2; more++) {
		arg.set = (struct vfio_irq_set){ .argsz = sizeof(arg), .flags = ON_EVENT, .index = VFIO_PCI_MSIX_IRQ_INDEX,
			.count = info.count + more };
		for (unsigned i = 0; i < 2048; i++)
			arg.fds[i] = event;
		ASK(ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg), "%s: %u vectors", when, info.count + more);
	}
	ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0), "%s: none", when);
	close(event);
}

static void limits(void)
{
	static int fds[1010];
	struct rlimit files = { 1024, 1024 };
	struct vfio_user other = { .container = open_container(), .group = open_group(bdf2) };
	char *page = memory(PAGE), *much = memory((LOCKED_MB + 1) << 20);
	int32_t event = eventfd(0, 0);

	setrlimit(RLIMIT_NOFILE, &files);
	/* Locked memory, in one container and in two, by itself and by a child. */
	ASK(map(u.container, 0x100000, much, (LOCKED_MB << 20) + PAGE), "a page too much");
	ASK(map(u.container, 0x100000, much, (LOCKED_MB << 20) - PAGE), "a page less than allowed");
	ASK(map(u.container, 0x80000000, much, PAGE), "the last page");
	ASK(map(u.container, 0x80001000, much, PAGE), "one more");
	if (ioctl(other.group, VFIO_GROUP_SET_CONTAINER, &other.container) || ioctl(other.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("the other container");
	ASK(map(other.container, 0x100000, much, PAGE), "one in another container");
	ASK(mlock(much, PAGE), "mlock");
	ASK(unmap_all(u.container), "unmap all");
	ASK(map(other.container, 0x100000, much, LOCKED_MB << 20), "all in the other container");
	ASK(map(u.container, 0x100000, much, PAGE), "one in the first");
	close(other.container);
	close(other.group);
	ASK(map(u.container, 0x100000, much, LOCKED_MB << 20), "the other is gone");
	ASK(unmap_all(u.container), "unmap all");

	/* The same page counts each time. How many mappings there may be without that: `charged`. */
	printf("%ld mappings before the limit of locked memory: ", many_mappings(page, 70000, PAGE));
	printf("%s\n", error_name(errno));
	ASK(unmap_all(u.container), "unmap all");

	printf("%ld ioeventfds: ", many_ioeventfds(fds, 1010));
	printf("%s\n", error_name(errno));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	event = eventfd(0, 0);
	ASK(ioeventfd(0, event), "known already");
	ASK(ioeventfd(0, -1), "one is taken away");
	ASK(ioeventfd(5000, event), "so there is room for one");
	ASK(ioeventfd(5001, event), "and for no other");
	all_vectors("user");
}

/* --- what is charged ------------------------------------------------------------------------------------------------- */

/* More than a processor keeps at hand of what it has charged, and less than what is made here. */
#define CREDIT (300 * 1024L)
#define MANY 2000

static long number_in(const char *cgroup, const char *file, const char *key)
{
	char path[PATH_MAX];
	long value;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	value = number_after(path, key);
	if (value < 0)
		fail("%s of %s", key, path);
	return value;
}

static long charged_to(const char *cgroup)
{
	return number_in(cgroup, "memory.current", "");
}

/* `figure` goes to the suite, which compares it with that of the C modules. */
#define CHARGED(least, what, call) ({ \
	long before_ = charged_to(cgroup), ret_ = (call), more_ = charged_to(cgroup) - before_; \
	fprintf(stderr, "figure %s %ld\n", what, more_ / 1024); \
	EXPECT(more_ >= (least), "%s: %ld bytes charged, %ld were expected", what, more_, (long)(least)); \
	printf("%s: %ld %s\n", what, ret_, ret_ < 0 ? error_name(errno) : "made"); \
	more_; })

static int export(void)
{
	return export_page(u.device);
}

static int open_null(void)
{
	return open("/dev/null", O_RDWR);
}

static int open_one_container(void)
{
	return open("/dev/vfio/vfio", O_RDWR);
}

static int open_device(void)
{
	return ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
}

static int many_fds[MANY];

static long many_of(int (*open_one)(void), unsigned most)
{
	for (unsigned i = 0; i < most; i++) {
		many_fds[i] = open_one();
		if (many_fds[i] < 0)
			return i;
	}
	return most;
}

static void close_many(long count)
{
	while (count--)
		close(many_fds[count]);
}

/* All vectors of MSI-X that a device has, each with an eventfd of its own; or none again. */
static long vectors_of(int device, const int *events, bool on)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	struct { struct vfio_irq_set set; int32_t fds[128]; } arg;

	if (!on)
		return set_irq(device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0);
	if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) || info.count > ARRAY_SIZE(arg.fds))
		return -1;
	arg.set = (struct vfio_irq_set){ .argsz = sizeof(arg), .flags = ON_EVENT, .index = info.index, .count = info.count };
	memcpy(arg.fds, events, sizeof(arg.fds));
	return ioctl(device, VFIO_DEVICE_SET_IRQS, &arg) ? -1 : (long)info.count;
}

/* They are too few for what is charged in advance. What the slabs have is told within two seconds, to the byte or nearly. */
static void charged_vectors(const char *cgroup)
{
	struct vfio_user other = open_all(bdf2, VFIO_TYPE1v2_IOMMU);
	long before = 0, more = 0, last = -1, count;
	int events[128];

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		events[i] = eventfd(0, 0);
	vectors_of(other.device, events, true);
	vectors_of(other.device, events, false);
	/* Until it is the same for longer than that, or near enough. */
	for (int tries = 0, same = 0; same < 3 && tries < 30; tries++, sleep(1)) {
		before = number_in(cgroup, "memory.stat", "slab ");
		same = before == last ? same + 1 : 0;
		last = before;
	}
	count = vectors_of(other.device, events, true);
	for (int tries = 0; tries < 600 && more < count * 64; tries++, usleep(100000))
		more = number_in(cgroup, "memory.stat", "slab ") - before;
	fprintf(stderr, "# %ld vectors: %ld bytes\n", count, more);
	EXPECT(more >= count * 64, "%ld vectors: %ld bytes are charged", count, more);
	printf("vectors: %ld\n", count);
	close_all(&other);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		close(events[i]);
}

/* What a user makes the kernel allocate is his. He has no limit of locked memory here: that would end it sooner. */
static void charged(const char *cgroup)
{
	static int fds[1000];
	char *page = memory(PAGE);
	long start, end, files;

	memset(page, 1, PAGE);
	memset(fds, 0, sizeof(fds));
	map(u.container, 0x100000, page, PAGE);
	unmap_all(u.container);
	start = charged_to(cgroup);
	/* A note of each mapping, next to no page tables; then the tables. */
	CHARGED(65535 * 64L, "mappings", many_mappings(page, 70000, PAGE));
	CHARGED(65535 * 16L, "bitmaps", tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	ASK(tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), "no tracking");
	ASK(unmap_all(u.container), "unmap all");
	CHARGED(500 * (long)PAGE, "tables", many_mappings(page, 500, 1UL << 30));
	ASK(unmap_all(u.container), "unmap all");
	CHARGED(1000 * 64L, "ioeventfds", many_ioeventfds(fds, 1000));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	/* More than for as many files of another kind. */
	files = CHARGED(0, "files", many_of(open_null, MANY));
	close_many(MANY);
	CHARGED(files + CREDIT, "containers", many_of(open_one_container, MANY));
	close_many(MANY);
	CHARGED(files + CREDIT, "opens", many_of(open_device, MANY));
	close_many(MANY);
	CHARGED(files, "dma-bufs", many_of(export, MANY));
	close_many(MANY);
	charged_vectors(cgroup);
	close_all(&u);
	for (int tries = 0; tries < 600; tries++) {
		end = charged_to(cgroup);
		/* Processors keep some of what was charged at hand. */
		if (end - start < 512 * 1024)
			break;
		usleep(100000);
	}
	fprintf(stderr, "# left: %ld kB\n", (end - start) / 1024);
	EXPECT(end - start < 512 * 1024, "%ld bytes are still charged", end - start);
}

/* --- no memory left ---------------------------------------------------------------------------------------------------- */

static char *shared_page;

static long take_mappings(void)
{
	return many_mappings(shared_page, 20000, PAGE);
}

static long take_tables(void)
{
	return many_mappings(shared_page, 5000, 1UL << 30);
}

static long take_containers(void)
{
	return many_of(open_one_container, MANY);
}

static long take_opens(void)
{
	return many_of(open_device, MANY);
}

static long take_dma_bufs(void)
{
	return many_of(export, MANY);
}

static long take_ioeventfds(void)
{
	static int fds[1000];

	return many_ioeventfds(fds, ARRAY_SIZE(fds));
}

static long take_bitmaps(void)
{
	many_mappings(shared_page, 5000, PAGE);
	return tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
}

static long take_vectors(void)
{
	int events[128];

	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		events[i] = eventfd(0, 0);
	for (int round = 0; round < 20; round++) {
		if (vectors_of(u.device, events, true) < 0)
			return round;
		vectors_of(u.device, events, false);
	}
	return 20;
}

static const struct taker {
	const char *name;
	long (*take)(void);
} takers[] = {
	{ "mappings", take_mappings }, { "page tables", take_tables }, { "containers", take_containers }, { "opens", take_opens },
	{ "dma-bufs", take_dma_bufs }, { "ioeventfds", take_ioeventfds }, { "dirty bitmaps", take_bitmaps }, { "vectors", take_vectors },
};

/*
 * He takes all that his cgroup has in one way, and if that was the first, then tries the others. If he must not be killed for want of memory, he is
 * refused. 0 if nothing but that was answered.
 */
static int greedy(const struct taker *first, const char *cgroup, long room, bool refused)
{
	int bad = 0;

	if (refused && !put_text("/proc/self/oom_score_adj", "-1000"))
		fail("oom_score_adj");
	/* For a page of his own he would wait for ever. */
	if (mlockall(MCL_CURRENT))
		fail("mlockall");
	enter(cgroup, room);
	become_user_with(RLIM_INFINITY);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	/* The kernel shows the whole cgroup at each refusal: the others are tried once. */
	for (size_t i = 0; i <= (first == takers ? ARRAY_SIZE(takers) : 0); i++) {
		const struct taker *taker = i ? &takers[i - 1] : first;

		errno = 0;
		taker->take();
		/* The limits of mappings, of ioeventfds, of locked memory and of files; what is there already. */
		if (errno && errno != ENOMEM && errno != ENOSPC && errno != EMFILE && errno != EEXIST)
			bad = errno;
		if (i)
			continue;
		fprintf(stderr, "# %s, room for %ld kB: %s\n", first->name, room / 1024, errno ? error_name(errno) : "all of it");
	}
	if (bad)
		fprintf(stderr, "WRONG: %s, room for %ld kB: refused by %s\n", first->name, room / 1024, error_name(bad));
	return bad != 0;
}

static void exhaust(const char *cgroup)
{
	static const long rooms[] = { 300, 1000, 3000 };
	struct state start;
	int status;

	watched_devices[0] = bdf;
	shared_page = memory(PAGE);
	memset(shared_page, 1, PAGE);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	close_all(&u);
	start = settled();
	for (size_t i = 0; i < ARRAY_SIZE(takers) * ARRAY_SIZE(rooms) * 2; i++) {
		const struct taker *first = &takers[i % ARRAY_SIZE(takers)];
		long room = rooms[i / ARRAY_SIZE(takers) % ARRAY_SIZE(rooms)] * 1024;
		bool refused = i / ARRAY_SIZE(takers) >= ARRAY_SIZE(rooms);
		pid_t pid;

		/* Each twice, with one of the three sizes. */
		if (i % ARRAY_SIZE(rooms) != i / ARRAY_SIZE(takers) % ARRAY_SIZE(rooms))
			continue;
		fflush(stdout);
		pid = fork();
		if (!pid)
			_exit(greedy(first, cgroup, room, refused));
		waitpid(pid, &status, 0);
		leave(cgroup);
		if (WIFSIGNALED(status))
			fprintf(stderr, "# %s, room for %ld kB: killed\n", first->name, room / 1024);
		EXPECT(!status || (!refused && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL), "%s, room for %ld kB: ended with %x",
		       first->name, room / 1024, status);
		EXPECT(same(&start, first->name), "%s, room for %ld kB: not all is as before", first->name, room / 1024);
		/* Others are not concerned. */
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		EXPECT(!map(u.container, 0x100000, shared_page, PAGE), "%s: another cannot map", first->name);
		EXPECT(unmap_all(u.container) >= 0, "%s: another cannot unmap", first->name);
		close_all(&u);
	}
	printf("tried\n");
}

int main(int argc, char **argv)
{
	struct rlimit files = { MANY + 100, MANY + 100 };

	prepare(argc, argv);
	if (argc > 4) {
		if (setrlimit(RLIMIT_NOFILE, &files))
			fail("setrlimit");
		if (!strcmp(argv[1], "exhaust")) {
			exhaust(argv[4]);
			return wrong != 0;
		}
		/* What one processor keeps at hand is known, what several do is not. */
		if (sched_setaffinity(0, sizeof(unsigned long), (void *)&(unsigned long){ 1 }))
			fail("sched_setaffinity");
		join(argv[4]);
		if (setresgid(USER, USER, USER))
			fail("setresgid");
		u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		charged(argv[4]);
		return wrong != 0;
	}
	become_user();
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	limits();
	close_all(&u);
	return wrong != 0;
}
