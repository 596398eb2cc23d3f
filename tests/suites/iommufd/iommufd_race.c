// SPDX-License-Identifier: GPL-2.0
/*
 * Processes with several threads do random things with shared descriptors of devices, groups and iommufds: open, bind,
 * attach, replace, detach, reset, close, in any order and all at once, while others unbind the devices from their driver.
 * Any answer will do; what counts is that the kernel survives and that everything can be removed afterwards.
 *
 * usage: iommufd_race SECONDS PROCESSES SEED BDF...
 */
#include "iommufd_user.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define SLOTS 10
#define THREADS 3

static atomic_int slots[SLOTS];
static char **devices;
static unsigned int ndevices;
static atomic_ulong bound, attached, opened, resets;

static void put(int fd, unsigned int at)
{
	int old;

	if (fd < 0)
		return;
	old = atomic_exchange(&slots[at % SLOTS], fd);
	if (old > 0)
		close(old);
}

static void all(void (*what)(int fd, unsigned int r), unsigned int r)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		what(slots[(r + i) % SLOTS], r);
}

static void bind_one(int fd, unsigned int r)
{
	for (int i = 0; i < SLOTS; i++)
		if (!bind_device(fd, slots[(r / 16 + i) % SLOTS], NULL)) {
			bound++;
			return;
		}
}

/* Numbers are handed out from 1 on, so the small ones are devices, address spaces and page tables. */
static void attach_one(int fd, unsigned int r)
{
	struct vfio_device_attach_iommufd_pt pasid = {
		.argsz = sizeof(pasid), .flags = VFIO_DEVICE_ATTACH_PASID, .pt_id = 1 + r / 8 % 8, .pasid = r / 64 % 4,
	};

	if (r % 8 == 0)
		ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &pasid);
	attached += !attach_device(fd, 1 + r / 8 % 8, NULL);
}

static void detach_one(int fd, unsigned int r)
{
	struct vfio_device_detach_iommufd_pt pasid = {
		.argsz = sizeof(pasid), .flags = VFIO_DEVICE_DETACH_PASID, .pasid = r / 64 % 4,
	};

	if (r % 8 == 0)
		ioctl(fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &pasid);
	detach_device(fd);
}

static void ioas_one(int fd, unsigned int r)
{
	uint32_t ioas = new_ioas(fd);

	if (r % 2)
		destroy(fd, 1 + r / 8 % 8);
	if (ioas > 12)
		destroy(fd, ioas);
}

static void reset_one(int fd, unsigned int r)
{
	struct { struct vfio_pci_hot_reset_info info; struct vfio_pci_dependent_device more[8]; } info = {
		.info.argsz = sizeof(info),
	};
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	ioctl(fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);
	if (r % 4 == 0)
		resets += !ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

static void container_one(int fd, unsigned int r)
{
	for (int i = 0; i < SLOTS; i++) {
		int container = slots[(r / 16 + i) % SLOTS];

		if (!ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container))
			return;
	}
}

static void use_one(int fd, unsigned int r)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .vaddr = (uint64_t)(uintptr_t)use_one & -PAGE, .iova = r % 16 * PAGE, .size = PAGE,
	};
	char buf[64];

	ioctl(fd, VFIO_DEVICE_GET_INFO, &info);
	if (!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region))
		if (pread(fd, buf, sizeof(buf), region.offset) < 0)
			errno = 0;
	ioctl(fd, VFIO_GROUP_GET_STATUS, &status);
	map.flags = 1;
	ioctl(fd, VFIO_IOMMU_MAP_DMA, &map);
	if (r % 16 == 0)
		ioctl(fd, VFIO_DEVICE_RESET);
}

static void step(unsigned int *seed)
{
	unsigned int r = rand_r(seed), at = rand_r(seed);
	const char *bdf = devices[at % ndevices];
	int fd;

	switch (r % 16) {
	case 0: case 1:
		put(open_iommufd(), at / 8);
		break;
	case 2: case 3: case 4:
		put(open_node(bdf), at / 8);
		break;
	case 5:
		put(open(group_path(bdf), O_RDWR | O_CLOEXEC), at / 8);
		break;
	case 6: case 7:
		all(bind_one, at);
		break;
	case 8:
		all(attach_one, at);
		break;
	case 9:
		all(detach_one, at);
		break;
	case 10:
		all(ioas_one, at);
		break;
	case 11:
		all(reset_one, at);
		break;
	case 12:
		all(container_one, at);
		break;
	case 13:
		for (int i = 0; i < SLOTS; i++) {
			fd = ioctl(slots[i], VFIO_GROUP_GET_DEVICE_FD, bdf);
			opened += fd >= 0;
			put(fd, rand_r(seed));
		}
		if (r & 64)
			for (int i = 0; i < SLOTS; i++)
				ioctl(slots[i], VFIO_GROUP_UNSET_CONTAINER);
		break;
	case 14:
		fd = atomic_exchange(&slots[at % SLOTS], 0);
		if (fd > 0)
			close(fd);
		break;
	default:
		all(use_one, at);
	}
}

static void *thread(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	time_t end = time(NULL) + 15;

	/* On a slow machine fewer of them, but enough to get as far as to attach a device. */
	for (int i = 0; i < 300 && time(NULL) < (attached ? end : end + 100); i++)
		step(&seed);
	return NULL;
}

static void process(unsigned int seed)
{
	pthread_t threads[THREADS];

	/* Something that does not come back, such as an ioctl: far more than a slow machine takes. */
	alarm(200);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, (void *)(uintptr_t)(seed * THREADS + i));
	if (seed % 4 == 0) {
		usleep(seed % 700 * 1000);
		raise(SIGKILL);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (seed % 8 == 1)
		printf("process %u: %lu bound, %lu attached, %lu resets, %lu opened by groups\n", seed, bound, attached, resets, opened);
	fflush(stdout);
	_exit(bound && attached ? 0 : 3);
}

int main(int argc, char **argv)
{
	int running = 0, all = 0, killed = 0, useful = 0, processes, status;
	unsigned int seed;
	time_t end, latest;

	if (argc < 5)
		return 2;
	end = time(NULL) + atoi(argv[1]);
	/* A slow machine may have done nothing useful until then. */
	latest = end + 10 * atoi(argv[1]);
	processes = atoi(argv[2]);
	seed = atoi(argv[3]);
	devices = argv + 4;
	ndevices = argc - 4;
	/* Descriptors taken from a slot may be closed by another thread: never those of the terminal. */
	for (int i = 0; i < 6; i++)
		if (open("/dev/null", O_RDWR) < 0)
			fail("/dev/null");
	while (running || time(NULL) < (useful ? end : latest)) {
		while (running < processes && time(NULL) < (useful ? end : latest)) {
			seed++;
			if (!fork())
				process(seed);
			running++;
		}
		if (wait(&status) > 0) {
			running--;
			all++;
			killed += WIFSIGNALED(status);
			useful += WIFEXITED(status) && !WEXITSTATUS(status);
		}
	}
	printf("%d processes, %d killed, %d bound and attached devices\n", all, killed, useful);
	return !useful;
}
