// SPDX-License-Identifier: GPL-2.0
/*
 * Dma-bufs of BARs: whom they can be attached to, where they say the memory is, and that nobody has them mapped while
 * the device's memory is not to be accessed. Usage: dma_buf rules|revoke|waits|leave|race|path BDF
 */
#include "../transcript.h"
#include "importer.h"

#include <pthread.h>
#include <time.h>
#include <linux/pci_regs.h>

static const char *bdf;
static struct vfio_user u;

static int export(int device, unsigned int count, const uint64_t *ranges)
{
	static _Thread_local union {
		struct vfio_device_feature f;
		char bytes[1024];
	} arg;
	struct vfio_device_feature_dma_buf *get = (void *)arg.f.data;

	memset(&arg, 0, sizeof(arg));
	arg.f.argsz = sizeof(arg);
	arg.f.flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF;
	get->open_flags = O_RDWR | O_CLOEXEC;
	get->nr_ranges = count;
	for (unsigned int i = 0; i < count; i++) {
		get->dma_ranges[i].offset = ranges[2 * i];
		get->dma_ranges[i].length = ranges[2 * i + 1];
	}
	return ioctl(device, VFIO_DEVICE_FEATURE, &arg);
}

static int export_page(int device)
{
	return export(device, 1, (const uint64_t[]){ PAGE, PAGE });
}

static int attach(int fd, int buf, int how)
{
	return attach_buffer(fd, buf, bdf, how);
}

static uint64_t bar_start(void)
{
	char path[PATH_MAX];
	unsigned long long start;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", bdf);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llx", &start) != 1)
		fail("%s", path);
	fclose(file);
	return start;
}

static void state(int fd, const char *when)
{
	struct importer_state s = {};
	long ret = ioctl(fd, IMPORTER_STATE, &s);

	say(ret, "%s: mapped %u, entries %u, bytes %llx at BAR + %llx, told %u", when, s.mapped, s.entries,
	    (unsigned long long)s.size, (unsigned long long)(s.mapped ? s.address - bar_start() : 0), s.told);
}

static uint16_t config_word(uint16_t at)
{
	uint16_t value = 0;

	if (pread(u.device, &value, 2, (VFIO_PCI_CONFIG_REGION_INDEX * 1ULL << 40) + at) != 2)
		fail("config read");
	return value;
}

static void set_config_word(uint16_t at, uint16_t value)
{
	if (pwrite(u.device, &value, 2, (VFIO_PCI_CONFIG_REGION_INDEX * 1ULL << 40) + at) != 2)
		fail("config write");
}

static void set_memory(bool on)
{
	uint16_t command = config_word(PCI_COMMAND) & ~PCI_COMMAND_MEMORY;

	set_config_word(PCI_COMMAND, command | (on ? PCI_COMMAND_MEMORY : 0));
}

static uint16_t capability(uint8_t id)
{
	uint16_t at = config_word(PCI_CAPABILITY_LIST) & 0xff;

	while (at && (config_word(at) & 0xff) != id)
		at = config_word(at) >> 8;
	return at;
}

static void low_power(uint32_t feature)
{
	struct vfio_device_feature arg = { .argsz = sizeof(arg), .flags = VFIO_DEVICE_FEATURE_SET | feature };

	ASK(ioctl(u.device, VFIO_DEVICE_FEATURE, &arg), "feature %u", feature);
}

static long hot_reset(void)
{
	struct { struct vfio_pci_hot_reset r; int group; } r = { { .argsz = sizeof(r), .count = 1 }, u.group };

	return ioctl(u.device, VFIO_DEVICE_PCI_HOT_RESET, &r);
}

static void rules(void)
{
	const uint64_t pieces[] = { 0, PAGE, 2 * PAGE, PAGE, 8 * PAGE, 4 * PAGE };
	int fd = open_importer(), buf;

	buf = export_page(u.device);
	for (int how = 0; how < 4; how++)
		TWICE(attach(fd, buf, how) ?: ioctl(fd, IMPORTER_DETACH), "attach %d", how);
	ASK(attach(fd, buf, PEER | REVOCABLE), "attach");
	state(fd, "attached");
	TWICE(ioctl(fd, IMPORTER_MAP), "map");
	state(fd, "mapped");
	ASK(ioctl(fd, IMPORTER_UNMAP), "unmap");
	state(fd, "unmapped");
	/* The buffer goes with its last user, which is the importer. */
	ASK(ioctl(fd, IMPORTER_MAP), "map again");
	close(buf);
	state(fd, "without descriptor");
	ASK(ioctl(fd, IMPORTER_DETACH), "detach");

	buf = export(u.device, 3, pieces);
	ASK(attach(fd, buf, PEER | REVOCABLE), "attach pieces");
	ASK(ioctl(fd, IMPORTER_MAP), "map pieces");
	state(fd, "pieces");
	ASK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, buf, 0) == MAP_FAILED ? -1 : 0, "mmap of a dma-buf");
	ASK(lseek(buf, 0, SEEK_END), "size");
	close(fd);
	close(buf);
}

static void revoked_and_back(int fd, int buf, const char *what)
{
	int other = open_importer();

	state(fd, what);
	TWICE(ioctl(fd, IMPORTER_MAP), "%s: map", what);
	ASK(attach(other, buf, PEER | REVOCABLE), "%s: another attaches", what);
	close(other);
}

static void revocation(void)
{
	int fd = open_importer(), buf = export_page(u.device), late, pm = capability(PCI_CAP_ID_PM);

	ASK(attach(fd, buf, PEER | REVOCABLE | UNMAPS), "attach");
	ASK(ioctl(fd, IMPORTER_MAP), "map");

	set_memory(false);
	revoked_and_back(fd, buf, "memory off");
	ASK(late = export_page(u.device) >= 0 ? 1 : -1, "export with memory off");
	set_memory(true);
	state(fd, "memory on");
	ASK(ioctl(fd, IMPORTER_MAP), "memory on: map");
	state(fd, "memory on, mapped");
	set_memory(true);
	state(fd, "memory on once more");

	low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
	revoked_and_back(fd, buf, "low power");
	low_power(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	state(fd, "full power");
	ASK(ioctl(fd, IMPORTER_MAP), "full power: map");

	if (pm) {
		set_config_word(pm + PCI_PM_CTRL, 3);
		revoked_and_back(fd, buf, "D3hot");
		set_config_word(pm + PCI_PM_CTRL, 0);
		state(fd, "D0");
		ASK(ioctl(fd, IMPORTER_MAP), "D0: map");
	}
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	/* What a reset leaves of the command register is the device's. */
	set_memory(true);
	state(fd, "reset");
	ASK(ioctl(fd, IMPORTER_MAP), "after the reset: map");
	ASK(hot_reset(), "hot reset");
	set_memory(true);
	state(fd, "hot reset");
	ASK(ioctl(fd, IMPORTER_MAP), "after the hot reset: map");
	close(fd);
	close(buf);
}

static void *memory_off(void *done)
{
	set_memory(false);
	*(volatile bool *)done = true;
	return NULL;
}

/* One who does not unmap when told is waited for. */
static void waits(void)
{
	int fd = open_importer(), buf = export_page(u.device);
	volatile bool done = false;
	pthread_t thread;

	ASK(attach(fd, buf, PEER | REVOCABLE), "attach");
	ASK(ioctl(fd, IMPORTER_MAP), "map");
	pthread_create(&thread, NULL, memory_off, (void *)&done);
	usleep(300000);
	ASK(done, "memory is off, though mapped");
	state(fd, "told");
	ASK(ioctl(fd, IMPORTER_UNMAP), "unmap");
	pthread_join(thread, NULL);
	ASK(done, "memory is off, unmapped");
	ASK(ioctl(fd, IMPORTER_MAP), "map with memory off");
	set_memory(true);
	ASK(ioctl(fd, IMPORTER_MAP), "map with memory on");
	ASK(ioctl(fd, IMPORTER_UNMAP), "unmap again");
	close(fd);
	close(buf);
}

/* A buffer outlives the device file, but is of no use any more, not even for the next user. */
static void leave(void)
{
	int fd = open_importer(), buf = export_page(u.device);

	ASK(attach(fd, buf, PEER | REVOCABLE | UNMAPS), "attach");
	ASK(ioctl(fd, IMPORTER_MAP), "map");
	close_all(&u);
	revoked_and_back(fd, buf, "closed");
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	revoked_and_back(fd, buf, "opened again");
	set_memory(false);
	set_memory(true);
	revoked_and_back(fd, buf, "memory off and on");
	ASK(FD(export_page(u.device)), "a new one");
	/* It stays open: the device is unbound, and the modules cannot be removed before. */
}

/* The file of a buffer is gone and the buffer is not, because a descriptor opened with O_PATH has its dentry: what looks at the file of each
 * buffer that it knows finds freed memory. Unbinding waits for nobody here.
 */
static void path(void)
{
	char name[64];
	int buf, held[16], unbind;

	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++) {
		buf = export_page(u.device);
		snprintf(name, sizeof(name), "/proc/self/fd/%d", buf);
		held[i] = open(name, O_PATH | O_CLOEXEC);
		if (buf < 0 || held[i] < 0)
			fail("a buffer by its path");
		close(buf);
	}
	for (int i = 0; i < 20; i++) {
		set_memory(false);
		set_memory(true);
		/* What is opened takes the place of the files that are gone. */
		for (int n = 0; n < 4; n++)
			close(open("/dev/null", O_RDWR));
	}
	close_all(&u);
	unbind = open("/sys/bus/pci/drivers/vfio-pci/unbind", O_WRONLY);
	if (write(unbind, bdf, strlen(bdf)) < 0)
		fail("unbind");
	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		close(held[i]);
}

static volatile bool stop;

static void *exporting(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	while (!stop) {
		int buf = export_page(u.device), fd = open_importer();

		if (buf < 0)
			fail("export");
		if (!attach(fd, buf, PEER | REVOCABLE | UNMAPS))
			for (int i = rand_r(&seed) % 4; i; i--)
				ioctl(fd, rand_r(&seed) % 2 ? IMPORTER_MAP : IMPORTER_UNMAP);
		if (rand_r(&seed) % 2)
			close(buf), close(fd);
		else
			close(fd), close(buf);
	}
	return NULL;
}

static void *toggling(void *arg)
{
	while (!stop) {
		set_memory(false);
		set_memory(true);
		ioctl(u.device, VFIO_DEVICE_RESET);
	}
	return arg;
}

static void race(void)
{
	struct importer_state s = {};
	int fd = open_importer(), buf = export_page(u.device);
	pthread_t threads[4];

	ASK(attach(fd, buf, PEER | REVOCABLE | UNMAPS), "attach");
	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, i ? exporting : toggling, (void *)i);
	for (time_t end = time(NULL) + 8; time(NULL) < end;)
		ioctl(fd, IMPORTER_MAP);
	stop = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ioctl(fd, IMPORTER_STATE, &s);
	ASK(s.told > 2 ? 1 : 0, "mappings were taken");
	set_memory(false);
	ASK(ioctl(fd, IMPORTER_MAP), "map with memory off");
	set_memory(true);
	ASK(ioctl(fd, IMPORTER_MAP), "map with memory on");
	close(fd);
	close(buf);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } sections[] = {
		{ "rules", rules }, { "revoke", revocation }, { "waits", waits }, { "leave", leave }, { "race", race },
		{ "path", path },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3)
		return 2;
	bdf = argv[2];
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_memory(true);
	for (unsigned int i = 0; i < ARRAY_SIZE(sections); i++)
		if (!strcmp(argv[1], sections[i].name)) {
			sections[i].run();
			return 0;
		}
	return 2;
}
