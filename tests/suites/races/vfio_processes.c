// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptors that pass from process to process, and processes that end in all ways with them open. What has to hold is
 * checked; the exit status tells.
 *
 * usage: vfio_processes CASE BDF BDF2 ROUNDS      (functions of two groups)
 */
#include "../proc.h"
#include "../vfio_user.h"
#include "../descriptors.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#define SECONDS 10
#define CONFIG (7ULL << 40)

static const char *bdf, *bdf2;
static int failures, rounds;

static bool check(bool ok, const char *format, ...)
{
	va_list args;

	if (ok)
		return true;
	va_start(args, format);
	printf("WRONG: ");
	vprintf(format, args);
	va_end(args);
	printf(" (%s)\n", strerror(errno));
	failures++;
	return false;
}

/* --- helpers -------------------------------------------------------------------------------------------- */

static bool group_is_busy(const char *name)
{
	int fd = open(group_path(name), O_RDWR);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

/* A process that was killed may still be giving things back. */
static void as_new(long before, const char *after)
{
	struct vfio_user u;

	for (int i = 0; i < SECONDS * 100 && group_is_busy(bdf); i++)
		usleep(10000);
	check(!group_is_busy(bdf), "the group is busy after %s", after);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	close_all(&u);
	check(pins_of_all() == before, "%ld pages stay pinned after %s", pins_of_all() - before, after);
}

static long map(int container, void *at, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m), .flags = 3, .vaddr = (uint64_t)at, .iova = iova, .size = size };

	return ioctl(container, VFIO_IOMMU_MAP_DMA, &m);
}

/* How much was unmapped. */
static long unmap(int container, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u), .iova = iova, .size = size };

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u) ? -1 : (long)u.size;
}

static long unset(int group)
{
	return ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
}

static void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static bool device_answers(int fd)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t id;

	return !ioctl(fd, VFIO_DEVICE_GET_INFO, &info) && pread(fd, &id, 4, CONFIG) == 4;
}

/* --- cases ---------------------------------------------------------------------------------------------- */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* In the program that fork_and_exec() runs: of the descriptors, the device's is gone. */
static int executed(char **argv)
{
	return is_open(atoi(argv[2])) | is_open(atoi(argv[3])) << 1 | is_open(atoi(argv[4])) << 2;
}

static void fork_and_exec(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	char *ram = memory(16 * PAGE);
	int status, ends[2];
	long before = pins_of_all();
	char numbers[3][12], byte;
	pid_t pid = fork();

	if (!pid) {
		snprintf(numbers[0], 12, "%d", u.container);
		snprintf(numbers[1], 12, "%d", u.group);
		snprintf(numbers[2], 12, "%d", u.device);
		execl("/proc/self/exe", "vfio_processes", "executed", numbers[0], numbers[1], numbers[2], NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 3, "after exec %x are open", WEXITSTATUS(status));

	/* The child goes on with all of it when the parent has closed it, and when the parent is gone. */
	if (map(u.container, ram, 0, 16 * PAGE) || pipe(ends))
		fail("MAP_DMA");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		pid_t child = fork();

		if (child)
			_exit(0);
		close(ends[0]);
		usleep(100000);
		check(device_answers(u.device), "the device does not answer the child");
		check(unmap(u.container, 0, 16 * PAGE) == 16 * PAGE, "the child cannot unmap what the parent mapped");
		check(!map(u.container, ram, 0x100000, 4 * PAGE), "the child cannot map");
		check(unset(u.group) && errno == EBUSY, "the group leaves while the device is open");
		(void)!write(ends[1], failures ? "x" : "o", 1);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	close_all(&u);
	close(ends[1]);
	check(group_is_busy(bdf), "the group is free while the child has it");
	check(read(ends[0], &byte, 1) == 1 && byte == 'o', "the child's checks");
	close(ends[0]);
	as_new(before, "fork");
	check(locked_kib() == 0, "%ld kB stay locked", locked_kib());
}

/* Each descriptor goes to a process that did not open it, whose sender is gone. */
static void passed_on(void)
{
	long before = pins_of_all();

	for (int i = 0; i < rounds; i++) {
		char *ram = memory(4 * PAGE);
		int pair[2], fds[3], device;
		pid_t pid;

		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
			fail("socketpair");
		pid = fork();
		if (!pid) {
			struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);

			memset(ram, 1, 4 * PAGE);
			if (map(u.container, ram, 0, 4 * PAGE))
				fail("MAP_DMA");
			send_fds(pair[1], (int[]){ u.container, u.group, u.device }, 3);
			if (i % 2)
				raise(SIGKILL);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		check(group_is_busy(bdf), "the group is free while its descriptor is on its way");
		check(receive_fds(pair[0], fds, 3), "no descriptors came");
		check(device_answers(fds[2]), "the device does not answer");
		device = ioctl(fds[1], VFIO_GROUP_GET_DEVICE_FD, bdf);
		check(device >= 0, "GET_DEVICE_FD");
		/* The memory of the process that mapped is gone; its pages are not. */
		check(map(fds[0], ram, 0, PAGE) && errno == EEXIST, "the mapping of the sender is gone");
		check(!map(fds[0], ram, 0x100000, 4 * PAGE), "MAP_DMA");
		check(unmap(fds[0], 0, 4 * PAGE) == 4 * PAGE, "UNMAP_DMA of what the sender mapped");
		close(fds[2]);
		check(unset(fds[1]) && errno == EBUSY, "the group leaves with a device open");
		close(device);
		check(!unset(fds[1]), "UNSET_CONTAINER");
		check(unset(fds[1]) && errno == EINVAL, "UNSET_CONTAINER again");
		check(unmap(fds[0], 0x100000, 4 * PAGE) < 0 && errno == EINVAL, "the container still has an IOMMU");
		close(fds[1]);
		close(fds[0]);
		close(pair[0]);
		close(pair[1]);
		munmap(ram, 4 * PAGE);
		as_new(before, "passing on");
	}
}

/* Sockets that hold the descriptors and each other, and that nobody has any more. */
static void lost_in_sockets(void)
{
	long before = pins_of_all();

	for (int i = 0; i < rounds; i++) {
		struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		char *ram = memory(4 * PAGE);
		int pair[2], other[2];

		if (map(u.container, ram, 0, 4 * PAGE) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
		    socketpair(AF_UNIX, SOCK_STREAM, 0, other))
			fail("socketpair");
		send_fds(pair[0], (int[]){ u.device, u.container, pair[1], other[1] }, 4);
		send_fds(other[0], (int[]){ u.group, pair[0], other[0], u.device }, 4);
		close_all(&u);
		for (int j = 0; j < 2; j++) {
			close(pair[j]);
			close(other[j]);
		}
		munmap(ram, 4 * PAGE);
		/* The kernel looks for such sockets when one is closed. */
		for (int j = 0; j < SECONDS * 100 && group_is_busy(bdf); j++) {
			close(socket(AF_UNIX, SOCK_STREAM, 0));
			usleep(10000);
		}
		as_new(before, "loss in sockets");
	}
}

/* Killed at a random moment of a life that opens, maps, uses and closes, with threads. */
static void *busy_life(void *arg)
{
	struct vfio_user *u = arg;
	unsigned int seed = (uintptr_t)&seed;
	char *ram = memory(256 * PAGE);

	for (;;) {
		uint64_t iova = rand_r(&seed) % 16 * 0x1000000;

		map(u->container, ram, iova, (1 + rand_r(&seed) % 256) * PAGE);
		device_answers(u->device);
		unmap(u->container, iova, 0x1000000);
	}
	return NULL;
}

static void killed_at_random(void)
{
	long before = pins_of_all();
	unsigned int seed = 1;

	for (int i = 0; i < rounds * 4; i++) {
		int ends[2];
		char byte;
		pid_t pid;

		if (pipe(ends))
			fail("pipe");
		pid = fork();
		if (!pid) {
			struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
			volatile uint32_t *bar;
			pthread_t threads[2];

			(void)!write(ends[1], "x", 1);
			bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);
			if (bar == MAP_FAILED)
				fail("mmap");
			(void)*bar;
			for (int j = 0; j < 2; j++)
				pthread_create(&threads[j], NULL, busy_life, &u);
			if (i % 3 == 1)
				close(u.group);
			if (i % 3 == 2) {
				usleep(rand_r(&seed) % 20000);
				execl("/bin/true", "true", NULL);
			}
			pause();
		}
		check(read(ends[0], &byte, 1) == 1, "the child does not open the device");
		usleep(rand_r(&seed) % 40000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(ends[0]);
		close(ends[1]);
		as_new(before, "a kill");
	}
}

/* A mapped BAR keeps the device when all descriptors are closed, in a child, too. */
static void mapped_bar(void)
{
	static const char *const orders[] = { "cgd", "cdg", "gcd", "gdc", "dcg", "dgc" };
	long before = pins_of_all();

	for (unsigned int i = 0; i < ARRAY_SIZE(orders); i++) {
		struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		volatile uint32_t *bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, 0);
		uint32_t first;
		pid_t pid;
		int status;

		if (bar == MAP_FAILED)
			fail("mmap");
		first = *bar;
		for (const char *what = orders[i]; *what; what++)
			close(*what == 'c' ? u.container : *what == 'g' ? u.group : u.device);
		check(group_is_busy(bdf), "the group is free while a BAR is mapped");
		check(*bar == first, "the BAR reads otherwise");
		pid = fork();
		if (!pid)
			_exit(*bar != first);
		waitpid(pid, &status, 0);
		check(!status, "the child cannot read the BAR: %x", status);
		munmap((void *)bar, PAGE);
		as_new(before, "munmap");
	}
}

/* What a signal handler closes while its own process is in a call. */
static volatile int to_close[3];

static void on_alarm(int sig)
{
	(void)sig;
	for (int i = 0; i < 3; i++)
		if (to_close[i] > 0) {
			close(to_close[i]);
			to_close[i] = 0;
			break;
		}
}

static void closed_by_signal(void)
{
	long before = pins_of_all();
	char *ram = memory(1024 * PAGE);
	struct sigaction act = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &act, NULL);
	for (int i = 0; i < rounds * 2; i++) {
		struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		struct itimerval every = { { 0, 3000 + i * 700 }, { 0, 1000 + i * 900 } }, never = {};

		to_close[i % 3] = u.container;
		to_close[(i + 1) % 3] = u.group;
		to_close[(i + 2) % 3] = u.device;
		setitimer(ITIMER_REAL, &every, NULL);
		while (to_close[0] || to_close[1] || to_close[2]) {
			map(u.container, ram, 0, 1024 * PAGE);
			device_answers(u.device);
			unmap(u.container, 0, 1024 * PAGE);
		}
		setitimer(ITIMER_REAL, &never, NULL);
		as_new(before, "closing in a signal handler");
		check(locked_kib() == 0, "%ld kB stay locked", locked_kib());
	}
	munmap(ram, 1024 * PAGE);
}

/* --- who is first --------------------------------------------------------------------------------------- */

#define RACERS 4

static struct race {
	pthread_barrier_t start;
	int group[2], container[2];
	int what;
	int answer[RACERS], error[RACERS];
} race;

static void *racer(void *arg)
{
	long i = (long)arg;
	int ret = -1;

	pthread_barrier_wait(&race.start);
	errno = 0;
	switch (race.what) {
	case 0:
		ret = open(group_path(bdf), O_RDWR);
		break;
	case 1:
		ret = ioctl(race.group[0], VFIO_GROUP_SET_CONTAINER, &race.container[i % 2]);
		break;
	case 2:
		ret = ioctl(race.container[0], VFIO_SET_IOMMU, i % 2 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU);
		break;
	case 3:
		ret = ioctl(race.group[0], VFIO_GROUP_GET_DEVICE_FD, bdf);
		break;
	case 4:
		ret = i % 2 ? ioctl(race.group[0], VFIO_GROUP_GET_DEVICE_FD, bdf) : unset(race.group[0]);
		break;
	case 5:
		ret = unset(race.group[0]);
		break;
	}
	race.answer[i] = ret;
	race.error[i] = errno;
	return NULL;
}

static int winners(int what)
{
	pthread_t threads[RACERS];
	int won = 0;

	race.what = what;
	for (long i = 0; i < RACERS; i++)
		pthread_create(&threads[i], NULL, racer, (void *)i);
	for (int i = 0; i < RACERS; i++) {
		pthread_join(threads[i], NULL);
		won += race.answer[i] >= 0;
	}
	return won;
}

static void all_others(int error, const char *what)
{
	for (int i = 0; i < RACERS; i++)
		if (race.answer[i] < 0)
			check(race.error[i] == error, "who is too late for %s is told %s", what, error_name(race.error[i]));
}

static void one_wins(void)
{
	long before = pins_of_all();

	pthread_barrier_init(&race.start, NULL, RACERS);
	for (int round = 0; round < rounds * 2; round++) {
		int won = winners(0), devices = 0;

		race.group[0] = -1;
		for (int i = 0; i < RACERS; i++)
			if (race.answer[i] >= 0)
				race.group[0] = race.answer[i];
		check(won == 1, "%d open the group", won);
		all_others(EBUSY, "open");
		race.container[0] = open_container();
		race.container[1] = open_container();
		won = winners(1);
		check(won == 1, "%d put the group into a container", won);
		all_others(EINVAL, "SET_CONTAINER");
		/* Into the one that the rest is about. */
		unset(race.group[0]);
		if (ioctl(race.group[0], VFIO_GROUP_SET_CONTAINER, &race.container[0]))
			fail("SET_CONTAINER");
		won = winners(2);
		check(won == 1, "%d choose the IOMMU", won);
		all_others(EINVAL, "SET_IOMMU");
		won = winners(3);
		check(won == RACERS, "%d open the device", won);
		for (int i = 0; i < RACERS; i++)
			if (race.answer[i] >= 0)
				close(race.answer[i]);
		/* The device is opened, or the group leaves: never both. */
		winners(4);
		for (int i = 1; i < RACERS; i += 2)
			devices += race.answer[i] >= 0;
		if (!race.answer[0] || !race.answer[2]) {
			check(!devices, "a device is open, and the group left");
			check(race.answer[0] != race.answer[2], "the group leaves twice");
		} else {
			check(devices, "the group stays without a device open");
		}
		for (int i = 1; i < RACERS; i += 2)
			if (race.answer[i] >= 0)
				close(race.answer[i]);
		ioctl(race.group[0], VFIO_GROUP_SET_CONTAINER, &race.container[0]);
		won = winners(5);
		check(won == 1, "%d take the group out", won);
		close(race.group[0]);
		close(race.container[0]);
		close(race.container[1]);
		as_new(before, "a race");
	}
}

/* A group comes and goes while the container, which another one is in, is used. */
static atomic_int stop;

static void *comes_and_goes(void *arg)
{
	struct vfio_user *u = arg;
	int device;

	while (!stop) {
		if (ioctl(u->group, VFIO_GROUP_SET_CONTAINER, &u->container)) {
			check(false, "SET_CONTAINER of the second group");
			break;
		}
		device = ioctl(u->group, VFIO_GROUP_GET_DEVICE_FD, bdf2);
		check(device >= 0 && device_answers(device), "the second device");
		check(unset(u->group) && errno == EBUSY, "the second group leaves with its device open");
		close(device);
		check(!unset(u->group), "UNSET_CONTAINER of the second group");
	}
	return NULL;
}

static void *maps_and_unmaps(void *arg)
{
	struct vfio_user *u = arg;
	char *ram = memory(64 * PAGE);
	uint64_t iova = (uint64_t)ram & 0xffff000;

	while (!stop) {
		check(!map(u->container, ram, iova, 64 * PAGE), "MAP_DMA");
		check(unmap(u->container, iova, 64 * PAGE) == 64 * PAGE, "UNMAP_DMA");
	}
	munmap(ram, 64 * PAGE);
	return NULL;
}

static void *asks(void *arg)
{
	struct vfio_user *u = arg;

	while (!stop) {
		check(ioctl(u->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1, "CHECK_EXTENSION");
		check(ioctl(u->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) && errno == EINVAL, "SET_IOMMU twice");
	}
	return NULL;
}

static void attach_and_detach(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU), second = u;
	void *(*const lives[])(void *) = { comes_and_goes, maps_and_unmaps, asks };
	pthread_t threads[ARRAY_SIZE(lives)];
	long before = pins_of_all();

	second.group = open_group(bdf2);
	for (unsigned int i = 0; i < ARRAY_SIZE(lives); i++)
		pthread_create(&threads[i], NULL, lives[i], &second);
	sleep(1 + rounds / 3);
	stop = 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(lives); i++)
		pthread_join(threads[i], NULL);
	close(second.group);
	close_all(&u);
	as_new(before, "attach and detach");
}

/* --- is there a ROM? The device's memory and the ROM are on only while somebody looks. ------------------- */

static int rom_device;

static uint64_t rom_size(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_ROM_REGION_INDEX };

	return ioctl(rom_device, VFIO_DEVICE_GET_REGION_INFO, &info) ? 0 : info.size;
}

static void *looks(void *arg)
{
	uint64_t size = *(uint64_t *)arg, now = size;

	while (!stop && now == size)
		now = rom_size();
	check(now == size, "a ROM of %llu bytes, which had %llu", (unsigned long long)now, (unsigned long long)size);
	return NULL;
}

static void rom(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	pthread_t threads[4];
	uint64_t size;

	rom_device = u.device;
	size = rom_size();
	check(size != 0, "a ROM of %llu bytes", (unsigned long long)size);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, looks, &size);
	sleep(1 + rounds);
	stop = 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	close_all(&u);
}

/* --- the driver goes while the device is used ----------------------------------------------------------- */

static void *unbinds(void *arg)
{
	(void)arg;
	put_text("/sys/bus/pci/drivers/vfio-pci/unbind", bdf);
	stop = 1;
	return NULL;
}

static void *uses(void *arg)
{
	struct vfio_user *u = arg;
	char path[64], text[300];

	while (!stop) {
		struct vfio_group_status s = { .argsz = sizeof(s) };
		int fd = ioctl(u->group, VFIO_GROUP_GET_DEVICE_FD, bdf);

		if (fd >= 0) {
			device_answers(fd);
			snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
			fd = (close(fd), open(path, O_RDONLY));
			(void)!read(fd, text, sizeof(text));
			close(fd);
		} else {
			check(errno == ENODEV || errno == EINVAL, "GET_DEVICE_FD while the driver goes: %s", error_name(errno));
		}
		ioctl(u->group, VFIO_GROUP_GET_STATUS, &s);
	}
	return NULL;
}

static void unbound_in_use(void)
{
	long before = pins_of_all();

	for (int i = 0; i < rounds; i++) {
		struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
		pthread_t threads[3];
		int others = 0;

		stop = 0;
		for (int j = 0; j < 3; j++)
			pthread_create(&threads[j], NULL, j ? uses : unbinds, &u);
		usleep(20000);
		close(u.device);
		/* Who opens in between is asked for the device only once in ten seconds, but closes at once. */
		while (!stop && others++ < SECONDS * 100)
			usleep(10000);
		check(stop, "the driver is not gone after %d s", SECONDS);
		for (int j = 0; j < 3; j++)
			pthread_join(threads[j], NULL);
		close(u.group);
		close(u.container);
		put_text("/sys/bus/pci/drivers_probe", bdf);
		as_new(before, "unbind");
	}
}

/* --- all of it ------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "fork-and-exec", fork_and_exec }, { "passed-on", passed_on }, { "lost-in-sockets", lost_in_sockets },
	{ "killed-at-random", killed_at_random }, { "mapped-bar", mapped_bar }, { "closed-by-signal", closed_by_signal },
	{ "one-wins", one_wins }, { "attach-and-detach", attach_and_detach }, { "unbound-in-use", unbound_in_use },
	{ "rom", rom },
};

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	if (!strcmp(argv[1], "executed"))
		return executed(argv);
	bdf = argv[2];
	bdf2 = argv[3];
	rounds = atoi(argv[4]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		if (!strcmp(cases[i].name, argv[1])) {
			cases[i].run();
			printf("%s: %d wrong\n", argv[1], failures);
			return failures != 0;
		}
	return 2;
}
