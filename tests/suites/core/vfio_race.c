// SPDX-License-Identifier: GPL-2.0
/*
 * Processes with several threads do random things with shared descriptors of containers, groups and devices: open,
 * attach, map, use, detach, close, in any order and all at once, while others bind, unbind and unload.
 * Any answer will do; what counts is that the kernel survives and that everything can be removed afterwards.
 *
 * usage: vfio_race SECONDS PROCESSES SEED DEVICE...     (addresses of PCI functions, UUIDs of mediated devices)
 */
#include "../vfio_user.h"

#include <pthread.h>
#include <stdatomic.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>

#define SLOTS 12
#define THREADS 3

static atomic_int slots[SLOTS];
static char **devices;
static unsigned int ndevices;
static atomic_ulong done, opened;
/* Those of all processes, of the killed ones as well. */
static atomic_ulong *opened_by_all;

static const char *node(const char *name)
{
	static __thread char path[PATH_MAX];
	char link[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/bus/%s/devices/%s/iommu_group", strlen(name) > 20 ? "mdev" : "pci", name);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return "/dev/vfio/none";
	target[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/noiommu-%s", strrchr(target, '/') + 1);
	if (access(path, F_OK))
		snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	return path;
}

static void put(int fd, unsigned int at)
{
	int old;

	if (fd < 0)
		return;
	old = atomic_exchange(&slots[at % SLOTS], fd);
	if (old > 0)
		close(old);
}

static void irqs(int fd, uint32_t index, uint32_t action, int event)
{
	struct { struct vfio_irq_set set; int fd; } s = {
		.set = { .argsz = sizeof(s), .flags = VFIO_IRQ_SET_DATA_EVENTFD | action, .index = index, .count = 1 },
		.fd = event,
	};

	ioctl(fd, VFIO_DEVICE_SET_IRQS, &s);
}

static void use(int fd, unsigned int r)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = r % 9 };
	char buf[256], path[64];
	uint64_t one = 1;
	int event, other;

	switch (r % 8) {
	case 0:
		ioctl(fd, VFIO_DEVICE_GET_INFO, &info);
		break;
	case 1:
		ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region);
		if (region.flags & VFIO_REGION_INFO_FLAG_MMAP) {
			volatile uint32_t *bar = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, region.offset);

			if (bar != MAP_FAILED) {
				/* Faults of a device that is reset meanwhile kill; that is not what this is about. */
				munmap((void *)bar, 4096);
			}
		}
		break;
	case 2:
		region.index = VFIO_PCI_CONFIG_REGION_INDEX;
		if (!ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &region))
			pread(fd, buf, 64, region.offset);
		break;
	case 3:
		event = eventfd(0, EFD_NONBLOCK);
		other = eventfd(r & 64, EFD_NONBLOCK);
		irqs(fd, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, event);
		irqs(fd, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, other);
		write(other, &one, 8);
		if (r & 256)
			irqs(fd, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, -1);
		close(other);
		close(event);
		break;
	case 4:
		event = eventfd(0, EFD_NONBLOCK);
		irqs(fd, VFIO_PCI_REQ_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, event);
		close(event);
		break;
	case 5:
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		other = open(path, O_RDONLY);
		read(other, buf, sizeof(buf));
		close(other);
		break;
	case 6:
		if (!(r & 0x700))
			ioctl(fd, VFIO_DEVICE_RESET);
		break;
	case 7:
		event = eventfd(0, EFD_NONBLOCK);
		irqs(fd, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, event);
		close(event);
		break;
	}
}

static void step(unsigned int *seed, char *ram)
{
	unsigned int r = rand_r(seed), at = rand_r(seed);
	int fd = slots[r / 64 % SLOTS], other = slots[at % SLOTS];
	const char *name = devices[at % ndevices];
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .vaddr = (uint64_t)ram, .iova = (at % 16) * 0x10000ULL,
		.size = 4096 * (1 + at / 16 % 16),
	};
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = map.iova, .size = map.size };

	done++;
	switch (r % 20) {
	case 0:
		put(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), at);
		break;
	case 1: case 2:
		put(open(node(name), O_RDWR | O_CLOEXEC), at);
		break;
	case 3: case 4: case 5: {
		/* All slots, as most are not of a fitting kind. */
		for (int i = 0; i < SLOTS; i++) {
			int container = slots[(at + i) % SLOTS];

			if (!ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container))
				break;
		}
		break;
	}
	case 6:
		ioctl(fd, VFIO_GROUP_UNSET_CONTAINER);
		break;
	case 7: case 8:
		for (int i = 0; i < SLOTS; i++)
			if (ioctl(slots[i], VFIO_SET_IOMMU, at & 64 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU))
				ioctl(slots[i], VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU);
		break;
	case 9: case 10: case 11:
		for (int i = 0; i < SLOTS; i++) {
			int device = ioctl(slots[i], VFIO_GROUP_GET_DEVICE_FD, name);

			if (device >= 0) {
				opened++;
				atomic_fetch_add(opened_by_all, 1);
				put(device, rand_r(seed));
			}
		}
		break;
	case 12:
		other = atomic_exchange(&slots[at % SLOTS], 0);
		if (other > 0)
			close(other);
		break;
	case 13:
		ioctl(fd, VFIO_GROUP_GET_STATUS, &status);
		break;
	case 14: case 15:
		for (int i = 0; i < SLOTS; i++)
			ioctl(slots[i], VFIO_IOMMU_MAP_DMA, &map);
		break;
	case 16:
		for (int i = 0; i < SLOTS; i++)
			ioctl(slots[i], VFIO_IOMMU_UNMAP_DMA, &unmap);
		break;
	case 17:
		for (int i = 0; i < SLOTS; i++)
			ioctl(slots[i], VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
		break;
	default:
		for (int i = 0; i < SLOTS; i++)
			use(slots[i], r / 32);
	}
}

static void *thread(void *arg)
{
	unsigned int seed = (uintptr_t)arg;
	char *ram = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 400; i++)
		step(&seed, ram);
	return NULL;
}

static void process(unsigned int seed)
{
	const char *slowness = getenv("SLOWNESS");
	pthread_t threads[THREADS];

	/* Descriptors that are taken from a slot may be closed by another thread: never those of the terminal. */
	for (int i = 0; i < 3; i++)
		dup2(open("/dev/null", O_RDWR), i + 100);
	alarm(60 * (slowness ? atoi(slowness) : 1));
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread, (void *)(uintptr_t)(seed * THREADS + i));
	if (seed % 4 == 0) {
		usleep(seed % 900 * 1000);
		raise(SIGKILL);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (seed % 8 == 1)
		printf("process %u: %lu steps, %lu devices opened\n", seed, done, opened);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + atoi(argv[1]);
	int running = 0, processes = atoi(argv[2]), status, killed = 0, all = 0;
	unsigned int seed = atoi(argv[3]);

	opened_by_all = mmap(NULL, sizeof(*opened_by_all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (opened_by_all == MAP_FAILED)
		fail("mmap");
	devices = argv + 4;
	ndevices = argc - 4;
	while (running || time(NULL) < end) {
		while (running < processes && time(NULL) < end) {
			seed++;
			if (!fork())
				process(seed);
			running++;
		}
		if (wait(&status) > 0) {
			running--;
			all++;
			killed += WIFSIGNALED(status);
		}
	}
	printf("%d processes, %d killed, %lu devices opened\n", all, killed, *opened_by_all);
	return !*opened_by_all;
}
