// SPDX-License-Identifier: GPL-2.0
/*
 * Threads create, open, use and remove mediated devices; others have two emulated devices pin, unpin, read and write
 * what more threads map and unmap, while a group with an IOMMU joins and leaves. Everything has to be gone at the end.
 *
 * usage: emulated_race SECONDS PCI-DEVICE [parallel]
 *
 * "parallel": unmaps, and opening and closing the devices that pin, are not kept apart. The C modules lock up then: a
 * driver may hold a lock while it pins that it also takes in dma_unmap.
 */
#include "emulated.h"
#include "mdev.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#define MDEVS 6
#define SPACE 256 /* pages */

static volatile bool stop;
static bool parallel;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int container;
static char *mem;
static const char *pci;
static long done[16];
/* Made and not yet removed: who removes a mediated device while it is being made makes it one that stays. */
static bool there[MDEVS];
/* The kernel (mdev) never removes a device again that was to be removed before it was made to the end. */
static pthread_mutex_t changing[MDEVS];

static uint64_t random_of(uint64_t *state, uint64_t limit)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % limit;
}

#define ANY(limit) random_of(&state, limit)

static void take(void)
{
	if (!parallel)
		pthread_mutex_lock(&one_at_a_time);
}

static void give(void)
{
	if (!parallel)
		pthread_mutex_unlock(&one_at_a_time);
}

static int group_of(const char *bus, const char *name)
{
	char link[128], target[PATH_MAX], path[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/bus/%s/devices/%s/iommu_group", bus, name);
	len = readlink(link, target, sizeof(target) - 1);
	if (len < 0)
		return -1;
	target[len] = 0;
	snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(target, '/'));
	return open(path, O_RDWR | O_CLOEXEC);
}

/* --- mediated devices ---------------------------------------------------------------------------------------- */

static void use(int device, uint64_t state)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_mig_state state;
	} f;
	struct vfio_region_info region = { .argsz = sizeof(region) };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint8_t bytes[128];
	void *p;

	switch (ANY(6)) {
	case 0:
		ioctl(device, VFIO_DEVICE_GET_INFO, &info);
		break;
	case 1:
		ioctl(device, VFIO_DEVICE_RESET);
		break;
	case 2:
		f.head = (struct vfio_device_feature){
			sizeof(f), VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET };
		f.state = (struct vfio_device_feature_mig_state){ ANY(8), -1 };
		if (!ioctl(device, VFIO_DEVICE_FEATURE, &f) && f.state.data_fd >= 0) {
			if (read(f.state.data_fd, bytes, sizeof(bytes)) < 0)
				if (write(f.state.data_fd, bytes, 24) < 0)
					done[15]++;
			close(f.state.data_fd);
		}
		break;
	case 3:
		region.index = VFIO_PCI_CONFIG_REGION_INDEX;
		if (!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region) &&
		    pread(device, bytes, 64, region.offset) != 64)
			done[15]++;
		break;
	case 4:
		region.index = 0;
		ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region);
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, region.offset);
		if (p != MAP_FAILED) {
			bytes[0] = *(volatile uint8_t *)p;
			munmap(p, PAGE);
		}
		break;
	default:
		usleep(ANY(2000));
	}
}

static void open_and_use(const char *name, uint64_t state)
{
	int own = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), group = group_of("mdev", name), device = -1, again = -1;

	if (group >= 0 && !ioctl(group, VFIO_GROUP_SET_CONTAINER, &own) &&
	    !ioctl(own, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
		again = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
		/* mtty crashes when it leaves RESUMING after who opened it before has closed it in that state. */
		ioctl(device, VFIO_DEVICE_RESET);
	}
	if (ANY(2)) {
		close(group);
		group = -1;
	}
	for (int i = ANY(8); device >= 0 && i; i--)
		use(device, ANY(UINT64_MAX));
	if (ANY(2)) {
		close(own);
		own = -1;
	}
	close(device);
	close(again);
	close(group);
	close(own);
}

static void *mediated(void *arg)
{
	static const char *const types[] = { "mtty-1", "mtty-2", "mdpy-vga", "mbochs-small" };
	uint64_t state = 88172645463325252ull * ((long)arg * 2 + 3);
	char name[40];
	int number;

	while (!stop) {
		number = ANY(MDEVS);
		snprintf(name, sizeof(name), "83b8f4f2-509f-382f-3c1e-e6bfe0fb%04x", number);
		switch (ANY(4)) {
		case 0 ... 1:
			pthread_mutex_lock(&changing[number]);
			if (!create_mdev(types[ANY(ARRAY_SIZE(types))], name))
				there[number] = true;
			pthread_mutex_unlock(&changing[number]);
			/* fall through */
		case 2:
			open_and_use(name, ANY(UINT64_MAX));
			break;
		default:
			pthread_mutex_lock(&changing[number]);
			if (there[number] && !remove_mdev(name))
				there[number] = false;
			pthread_mutex_unlock(&changing[number]);
		}
		done[(long)arg]++;
	}
	return NULL;
}

/* --- pins and mappings ------------------------------------------------------------------------------------------ */

static int device_of(int group, const char *name)
{
	return group < 0 ? -1 : ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
}

struct pinner {
	long index;
	const char *name;
	int group;
};

static void *pinning(void *arg)
{
	struct pinner *self = arg;
	uint64_t state = 88172645463325252ull * (self->index * 2 + 5), iova;
	int device = device_of(self->group, self->name);
	char *buffer = memory(16 * PAGE);

	while (!stop) {
		iova = ANY(SPACE) * PAGE;
		switch (ANY(12)) {
		case 0 ... 3:
			pin(device, iova, ANY(16) + 1, ANY(3) + 1, 0);
			break;
		case 4 ... 6:
			unpin(device, iova, 0, 0);
			break;
		case 7 ... 8:
			dma_rw(device, TEST_READ, iova + ANY(PAGE), buffer, ANY(8 * PAGE) + 1, ANY(2));
			break;
		case 9 ... 10:
			dma_rw(device, TEST_WRITE, iova + ANY(PAGE), buffer, ANY(8 * PAGE) + 1, ANY(2));
			break;
		default:
			if (ANY(8))
				break;
			take();
			close(device);
			device = device_of(self->group, self->name);
			give();
		}
		done[self->index]++;
	}
	close(device);
	return NULL;
}

static void *mapping(void *arg)
{
	uint64_t state = 88172645463325252ull * ((long)arg * 2 + 7), iova;

	while (!stop) {
		iova = ANY(SPACE) * PAGE;
		if (ANY(3)) {
			map(container, iova, mem + ANY(SPACE) * PAGE, (ANY(16) + 1) * PAGE, ANY(3) + 1);
		} else {
			take();
			if (ANY(16))
				unmap(container, iova & -(16 * PAGE), (ANY(32) + 1) * PAGE, 0);
			else
				unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
			give();
		}
		done[(long)arg]++;
	}
	return NULL;
}

static void *joining(void *arg)
{
	uint64_t state = 88172645463325252ull;
	int group = group_of("pci", pci);

	while (!stop) {
		ioctl(group, VFIO_GROUP_SET_CONTAINER, &container);
		usleep(ANY(20000));
		ioctl(group, VFIO_GROUP_UNSET_CONTAINER);
		usleep(ANY(20000));
		done[(long)arg]++;
	}
	close(group);
	return NULL;
}

int main(int argc, char **argv)
{
	struct pinner pinners[] = { { 3, "vfio-test-emulated.0", -1 }, { 4, "vfio-test-emulated.1", -1 } };
	pthread_t threads[8];
	long before, after, locked;
	int n = 0, left = 0;
	char name[40];

	if (argc < 3) {
		fprintf(stderr, "usage: %s SECONDS PCI-DEVICE [parallel]\n", argv[0]);
		return 2;
	}
	parallel = argc > 3;
	pci = argv[2];
	for (int i = 0; i < MDEVS; i++)
		pthread_mutex_init(&changing[i], NULL);
	before = pins_of_all();
	mem = memory(2 * SPACE * PAGE);
	container = open_container();
	for (size_t i = 0; i < ARRAY_SIZE(pinners); i++) {
		pinners[i].group = open_group(pinners[i].name);
		if (ioctl(pinners[i].group, VFIO_GROUP_SET_CONTAINER, &container))
			fail("SET_CONTAINER");
	}
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		fail("SET_IOMMU");
	for (long i = 0; i < 3; i++)
		pthread_create(&threads[n++], NULL, mediated, (void *)i);
	for (size_t i = 0; i < ARRAY_SIZE(pinners); i++)
		pthread_create(&threads[n++], NULL, pinning, &pinners[i]);
	pthread_create(&threads[n++], NULL, mapping, (void *)5);
	pthread_create(&threads[n++], NULL, mapping, (void *)6);
	pthread_create(&threads[n++], NULL, joining, (void *)7);
	sleep(atoi(argv[1]));
	stop = true;
	while (n)
		pthread_join(threads[--n], NULL);
	for (int i = 0; i < MDEVS; i++) {
		snprintf(name, sizeof(name), "83b8f4f2-509f-382f-3c1e-e6bfe0fb%04x", i);
		remove_mdev(name);
	}
	unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	after = pins_of_all();
	locked = locked_kib();
	close(pinners[0].group);
	close(pinners[1].group);
	close(container);
	for (int i = 0; i < MDEVS; i++) {
		char path[128];

		snprintf(path, sizeof(path), "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fb%04x", i);
		left += !access(path, F_OK);
	}
	printf("mediated %ld %ld %ld, pinning %ld %ld, mapping %ld %ld, joining %ld\n", done[0], done[1], done[2], done[3],
	       done[4], done[5], done[6], done[7]);
	printf("left: %ld pins, %ld kB, %d devices\n", after - before, locked, left);
	return after != before || locked || left;
}
