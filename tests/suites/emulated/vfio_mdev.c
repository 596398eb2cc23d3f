// SPDX-License-Identifier: GPL-2.0
/*
 * Uses mediated devices of the kernel's samples (mtty, mdpy, mbochs) by all that VFIO has for them, right and wrong,
 * and prints what was answered. Lines with FAILED are wrong whatever the C modules say.
 *
 * usage: vfio_mdev SECTION
 */
#include "mdev.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <linux/pci_regs.h>
#include <linux/serial_reg.h>

#define CHECK(condition, ...) ({ if (!(condition)) { printf("FAILED: " __VA_ARGS__); printf("\n"); } })

/* Where a region is in a device's file. */
static uint64_t offset_of(int device, uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("GET_REGION_INFO %u", index);
	return info.offset;
}

static struct vfio_user make(const char *type, int number)
{
	int error = create_mdev(type, uuid(number));

	if (error) {
		errno = -error;
		fail("creating %s", type);
	}
	return open_all(uuid(number), VFIO_TYPE1v2_IOMMU);
}

static void unmake(struct vfio_user *u, int number)
{
	close_all(u);
	CHECK(!remove_mdev(uuid(number)), "removing %d", number);
}

static void information(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	for (uint32_t index = 0; index < 7; index++) {
		struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = index };

		ASK(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq), "GET_IRQ_INFO %u before GET_INFO", index);
	}
	for (uint32_t argsz = 0; argsz <= sizeof(info); argsz += 4) {
		memset(&info, 0, sizeof(info));
		info.argsz = argsz;
		TWICE(ioctl(device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO %u", argsz);
		hex("info", &info, sizeof(info));
	}
	for (uint32_t index = 0; index < 12; index++) {
		struct vfio_region_info region = { .argsz = sizeof(region), .index = index };
		struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = index };

		ASK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region), "GET_REGION_INFO %u", index);
		hex("region", &region, sizeof(region));
		ASK(ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &irq), "GET_IRQ_INFO %u", index);
		hex("irq", &irq, sizeof(irq));
	}
	for (uint32_t argsz = 0; argsz <= 96; argsz += 8) {
		uint8_t bytes[128] = {};

		memcpy(bytes, &argsz, 4);
		bytes[8] = 9;
		ASK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, bytes), "GET_REGION_INFO 9 with %u", argsz);
		hex("region", bytes, 96);
	}
	ASK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, BAD), "GET_REGION_INFO to nowhere");
	ASK(ioctl(device, VFIO_DEVICE_GET_INFO, BAD), "GET_INFO to nowhere");
	ASK(ioctl(device, VFIO_DEVICE_IOEVENTFD, BAD), "IOEVENTFD");
	ASK(ioctl(device, _IO(';', 200), 0), "an ioctl that is none");
}

/* --- what sysfs has ---------------------------------------------------------------------------------------- */

static void show(const char *type, const char *file)
{
	char path[PATH_MAX], text[128] = {};
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/mdev_bus/%.*s/mdev_supported_types/%s/%s", (int)strcspn(type, "-"), type,
		 type, file);
	f = fopen(path, "r");
	if (f && !fgets(text, sizeof(text), f))
		text[0] = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
	printf("%s %s: %s\n", type, file, f ? text : "none");
}

static void types(void)
{
	static const char *const every[] = { "mtty-1", "mtty-2", "mdpy-vga", "mdpy-xga", "mdpy-hd", "mbochs-small" };
	char path[PATH_MAX];
	int i, error;

	for (i = 0; i < (int)ARRAY_SIZE(every); i++) {
		show(every[i], "name");
		show(every[i], "device_api");
		show(every[i], "description");
		show(every[i], "available_instances");
		ASK(create_mdev(every[i], uuid(i)) ? -1 : 0, "create %s", every[i]);
		ASK(create_mdev(every[i], uuid(i)) ? -1 : 0, "create it again");
		ASK(create_mdev(every[i], "no uuid") ? -1 : 0, "create without a name");
		show(every[i], "available_instances");
		snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/vfio-dev", uuid(i));
		ASK(access(path, F_OK), "vfio-dev of %s", every[i]);
		ASK(access(group_path(uuid(i)), F_OK), "its group");
	}
	for (i = 0; i < (int)ARRAY_SIZE(every); i++) {
		ASK(remove_mdev(uuid(i)) ? -1 : 0, "remove %s", every[i]);
		ASK(remove_mdev(uuid(i)) ? -1 : 0, "remove it again");
		show(every[i], "available_instances");
	}
	heading("as many as there can be");
	for (i = 0; !(error = create_mdev("mtty-2", uuid(i))); i++)
		;
	printf("%d devices, then %s\n", i, error_name(-error));
	while (i--)
		remove_mdev(uuid(i));
	for (i = 0; !(error = create_mdev("mdpy-vga", uuid(i))); i++)
		;
	printf("%d devices, then %s\n", i, error_name(-error));
	while (i--)
		remove_mdev(uuid(i));
	show("mtty-2", "available_instances");
	show("mdpy-vga", "available_instances");
}

/* --- a serial port ------------------------------------------------------------------------------------------ */

static struct vfio_user u;
static uint64_t port; /* offset of its registers */

static void put(int reg, uint8_t value)
{
	CHECK(pwrite(u.device, &value, 1, port + reg) == 1, "writing register %d", reg);
}

static uint8_t get(int reg)
{
	uint8_t value = 0xee;

	CHECK(pread(u.device, &value, 1, port + reg) == 1, "reading register %d", reg);
	return value;
}

static void registers(const char *when)
{
	printf("%s:", when);
	for (int reg = UART_IER; reg <= UART_SCR; reg++)
		printf(" %02x", get(reg));
	printf("\n");
}

static uint64_t count_of(int eventfd)
{
	uint64_t count = 0;
	struct pollfd p = { .fd = eventfd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && read(eventfd, &count, 8) == 8 ? count : 0;
}

static int set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const void *data, size_t size)
{
	struct {
		struct vfio_irq_set head;
		uint8_t data[64];
	} s = { .head = { sizeof(s.head) + size, flags, index, start, count } };

	memcpy(s.data, data, size);
	return ioctl(u.device, VFIO_DEVICE_SET_IRQS, &s);
}

#define TRIGGER_FD (VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD)

static void every_irq_set(int fd)
{
	static const uint32_t counts[] = { 0, 1, 2, UINT32_MAX };

	for (uint32_t index = 0; index < 7; index++)
		for (uint32_t flags = 0; flags < 128; flags++)
			for (uint32_t start = 0; start < 2; start++)
				for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
					int32_t data[2] = { flags & 4 ? fd : 1, -1 };
					int ret = set_irqs(flags, index, start, counts[i], data, sizeof(data));

					printf("SET_IRQS %u %x %u+%x = %d %s, signalled %ld\n", index, flags, start, counts[i], ret,
					       error_name(ret ? errno : 0), count_of(fd));
				}
}

static void interrupts(uint32_t index, const char *name)
{
	int fd = eventfd(0, EFD_CLOEXEC), other = eventfd(0, EFD_CLOEXEC), none = -1;
	uint8_t yes = 1, no = 0;

	heading(name);
	ASK(set_irqs(TRIGGER_FD, index, 0, 1, &u.group, 4), "a file that is no eventfd");
	ASK(set_irqs(TRIGGER_FD, index, 0, 1, &fd, 4), "an eventfd");
	put(UART_IER, UART_IER_THRI);
	printf("transmitter empty: %ld\n", count_of(fd));
	put(UART_IER, UART_IER_THRI);
	printf("again: %ld\n", count_of(fd));
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE, index, 0, 1, NULL, 0), "unmask");
	put(UART_IER, UART_IER_THRI);
	printf("after unmask: %ld\n", count_of(fd));
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_BOOL, index, 0, 1, &yes, 1), "unmask");
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_DATA_NONE, index, 0, 1, NULL, 0), "mask");
	put(UART_IER, UART_IER_THRI);
	printf("masked: %ld\n", count_of(fd));
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_BOOL, index, 0, 1, &no, 1), "unmask not");
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_BOOL, index, 0, 1, &yes, 1), "unmask");
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE, index, 0, 1, NULL, 0), "trigger by hand");
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_BOOL, index, 0, 1, &no, 1), "trigger not");
	printf("by hand: %ld\n", count_of(fd));
	ASK(set_irqs(TRIGGER_FD, index, 0, 1, &other, 4), "another eventfd");
	put(UART_IER, UART_IER_RDI);
	put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	put(UART_TX, 'x');
	printf("received: %ld and %ld\n", count_of(fd), count_of(other));
	ASK(set_irqs(TRIGGER_FD, index == VFIO_PCI_INTX_IRQ_INDEX ? VFIO_PCI_MSI_IRQ_INDEX : VFIO_PCI_INTX_IRQ_INDEX, 0, 1,
		     &fd, 4), "the other kind at the same time");
	ASK(set_irqs(TRIGGER_FD, index, 0, 1, &none, 4), "no eventfd");
	put(UART_IER, UART_IER_THRI);
	printf("without: %ld and %ld\n", count_of(fd), count_of(other));
	ASK(set_irqs(TRIGGER_FD, index, 0, 1, &fd, 4), "an eventfd");
	ASK(set_irqs(VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_NONE, index, 0, 0, NULL, 0), "disable");
	put(UART_IER, UART_IER_THRI);
	printf("disabled: %ld\n", count_of(fd));
	close(fd);
	close(other);
}

static void serial(void)
{
	static const char text[] = "VFIO in Rust";
	uint8_t config[0xff], byte;
	uint64_t space;
	uint32_t bar = ~0u;

	u = make("mtty-2", 1);
	heading("information");
	information(u.device);

	heading("configuration space");
	space = offset_of(u.device, VFIO_PCI_CONFIG_REGION_INDEX);
	ASK(pread(u.device, config, sizeof(config), space), "read it");
	hex("config", config, sizeof(config));
	for (int reg = PCI_BASE_ADDRESS_0; reg <= PCI_BASE_ADDRESS_5; reg += 4) {
		ASK(pwrite(u.device, &bar, 4, space + reg), "size the BAR at %x", reg);
		ASK(pread(u.device, config, 4, space + reg), "read it");
		hex("BAR", config, 4);
	}
	ASK(read(u.device, config, 4), "read at the file's position");
	ASK(lseek(u.device, space, SEEK_SET) == (off_t)space ? 0 : -1, "seek");
	ASK(pread(u.device, &byte, 1, 9ull << 40), "read in no region");
	ASK(pwrite(u.device, &byte, 1, 9ull << 40), "write in no region");
	ASK(pread(u.device, BAD, 4, space), "read to nowhere");
	ASK(pwrite(u.device, BAD, 4, space), "write from nowhere");
	ASK(pread(u.device, config, 0, space), "read nothing");
	ASK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, u.device, space) == MAP_FAILED ? -1 : 0, "mmap");

	for (int index = 0; index < 2; index++) {
		port = offset_of(u.device, index);
		heading(index ? "second port" : "first port");
		registers("at first");
		put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
		put(UART_SCR, 0x40 + index);
		for (size_t i = 0; i < sizeof(text); i++)
			put(UART_TX, text[i]);
		registers("written");
		for (size_t i = 0; i < sizeof(text); i++) {
			byte = get(UART_RX);
			CHECK(byte == (uint8_t)text[i], "character %zu is %02x", i, byte);
		}
		registers("read");
		for (int i = 0; i < 20; i++)
			put(UART_TX, i);
		registers("overrun");
		put(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
		put(UART_DLL, 12);
		put(UART_DLM, 1);
		printf("divisor %02x %02x\n", get(UART_DLL), get(UART_DLM));
		put(UART_LCR, UART_LCR_WLEN8);
		put(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_AFE);
		registers("set up");
		put(UART_FCR, UART_FCR_CLEAR_RCVR);
		registers("cleared");
	}
	port = offset_of(u.device, 0);
	interrupts(VFIO_PCI_INTX_IRQ_INDEX, "INTx");
	interrupts(VFIO_PCI_MSI_IRQ_INDEX, "MSI");
	heading("every call of SET_IRQS");
	every_irq_set(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	for (uint32_t argsz = 0; argsz < 32; argsz += 2) {
		struct { struct vfio_irq_set head; int32_t data[3]; } s = { { argsz, TRIGGER_FD, 0, 0, 1 }, { -1 } };

		TWICE(ioctl(u.device, VFIO_DEVICE_SET_IRQS, &s), "SET_IRQS with %u", argsz);
	}
	heading("reset");
	TWICE(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	registers("after reset");
	unmake(&u, 1);
}

/* --- features ------------------------------------------------------------------------------------------------- */

static void every_feature(int device)
{
	/* All but those that change the state (MIG_DEVICE_STATE), whose data is right. */
	for (uint32_t index = 0; index < 18; index++)
		for (uint32_t how = 0; how < 8; how++)
			for (uint32_t size = 0; size <= 24; size += 4) {
				struct {
					struct vfio_device_feature head;
					uint64_t data[4];
				} f = { { sizeof(f.head) + size, index | how << 16 }, { ~0ull, 4096, ~0ull, ~0ull } };
				long ret = ioctl(device, VFIO_DEVICE_FEATURE, &f);

				say(ret, "feature %u how %x size %u: %lx %lx", index, how, size, (long)f.data[0], (long)f.data[1]);
			}
	for (uint32_t argsz = 0; argsz < 8; argsz++) {
		struct vfio_device_feature f = { argsz, VFIO_DEVICE_FEATURE_MIGRATION | VFIO_DEVICE_FEATURE_PROBE };

		TWICE(ioctl(device, VFIO_DEVICE_FEATURE, &f), "a feature of %u bytes", argsz);
	}
	for (uint32_t bit = 4; bit < 32; bit++) {
		struct vfio_device_feature f = { 32, 1u << bit | VFIO_DEVICE_FEATURE_PROBE };

		TWICE(ioctl(device, VFIO_DEVICE_FEATURE, &f), "a feature of bit %u", bit);
	}
	ASK(ioctl(device, VFIO_DEVICE_FEATURE, BAD), "a feature at nowhere");
}

/* DMA logging: mtty takes whatever ranges it is given. */
static void logging(int device, uint64_t page_size, uint32_t count, uint64_t iova, uint64_t length, uint64_t step)
{
	struct vfio_device_feature_dma_logging_range *ranges = memory(512 * sizeof(*ranges));
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_dma_logging_control control;
	} f = {
		{ sizeof(f), VFIO_DEVICE_FEATURE_DMA_LOGGING_START | VFIO_DEVICE_FEATURE_SET },
		{ .page_size = page_size, .num_ranges = count, .ranges = (uint64_t)ranges },
	};

	for (int i = 0; i < 512; i++)
		ranges[i] = (struct vfio_device_feature_dma_logging_range){ iova + i * step, length };
	TWICE(ioctl(device, VFIO_DEVICE_FEATURE, &f), "log %lx x%u %lx+%lx step %lx", page_size, count, iova, length, step);
	munmap(ranges, 512 * sizeof(*ranges));
}

static void features(void)
{
	static const uint64_t sizes[] = { 0, 1, 2048, 4096, 4097, 8192, 1ull << 40, 1ull << 63 };

	u = make("mtty-2", 1);
	heading("mtty");
	every_feature(u.device);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		logging(u.device, sizes[i], 1, 0x100000, 0x100000, 0);
	for (uint32_t count = 0; count <= 257; count += count == 2 ? 253 : 1)
		logging(u.device, 4096, count, 0, 4096, 4096);
	logging(u.device, 4096, UINT32_MAX, 0, 4096, 4096);
	logging(u.device, 4096, 2, 0, 8192, 4096);
	logging(u.device, 4096, 2, 0x1000, 4096, 0);
	logging(u.device, 4096, 1, 0x800, 4096, 0);
	logging(u.device, 4096, 1, 0x1000, 0x800, 0);
	logging(u.device, 4096, 1, -4096, 4096, 0);
	logging(u.device, 4096, 1, -4096, 8192, 0);
	logging(u.device, 4096, 1, -8192, 4096, 0);
	unmake(&u, 1);
	heading("mdpy");
	u = make("mdpy-vga", 1);
	every_feature(u.device);
	unmake(&u, 1);
}

#include "mdev_migration.h"

/* --- displays ---------------------------------------------------------------------------------------------------- */

static void gradient(const uint8_t *frame, const char *when)
{
	for (int row = 0; row < 480; row++)
		for (int i = 0; i < 640 * 4; i += 4)
			if (frame[row * 640 * 4 + i] != row * 255 / 480) {
				printf("FAILED: %s: row %d is %02x\n", when, row, frame[row * 640 * 4 + i]);
				return;
			}
	printf("%s: a gradient\n", when);
}

static void map_frame(int device, const char *what, uint64_t size, uint64_t offset, int prot, int flags)
{
	void *p;

	ASK((p = mmap(NULL, size, prot, flags, device, offset)) == MAP_FAILED ? -1 : 0, "mmap %s", what);
	if (p != MAP_FAILED)
		munmap(p, size);
}

static void planes(int device)
{
	for (uint32_t flags = 0; flags < 16; flags++) {
		struct vfio_device_gfx_plane_info plane = { .argsz = sizeof(plane), .flags = flags, .drm_plane_type = 1 };
		long ret = ioctl(device, VFIO_DEVICE_QUERY_GFX_PLANE, &plane);

		say(ret, "plane %x", flags);
		hex("plane", &plane, sizeof(plane));
	}
	ASK(ioctl(device, VFIO_DEVICE_QUERY_GFX_PLANE, BAD), "a plane to nowhere");
	ASK(ioctl(device, VFIO_DEVICE_GET_GFX_DMABUF, BAD), "a buffer of nowhere");
	ASK(FD(ioctl(device, VFIO_DEVICE_GET_GFX_DMABUF, &(uint32_t){ 12345 })), "a buffer that is none");
}

static void display(void)
{
	uint64_t bar, size = 2 << 20;
	uint8_t *frame, *again, row[640 * 4], config[0xff];
	int status;
	pid_t pid;

	u = make("mdpy-vga", 1);
	information(u.device);
	ASK(pread(u.device, config, sizeof(config), offset_of(u.device, VFIO_PCI_CONFIG_REGION_INDEX)), "read config");
	hex("config", config, sizeof(config));
	planes(u.device);
	bar = offset_of(u.device, 0);
	frame = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, bar);
	CHECK(frame != MAP_FAILED, "mmap of the frame: %s", strerror(errno));
	gradient(frame, "at first");
	memset(frame, 0x77, 640 * 4);
	ASK(pread(u.device, row, sizeof(row), bar), "read a row");
	CHECK(!memcmp(row, frame, sizeof(row)), "what was written is not what is read");
	again = mmap(NULL, size, PROT_READ, MAP_SHARED, u.device, bar);
	CHECK(!memcmp(frame, again, size), "two mappings differ");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
	gradient(again, "after reset");
	munmap(again, size);
	map_frame(u.device, "a page", PAGE, bar, PROT_READ, MAP_SHARED);
	map_frame(u.device, "the second page", PAGE, bar + PAGE, PROT_READ, MAP_SHARED);
	map_frame(u.device, "privately", PAGE, bar, PROT_READ, MAP_PRIVATE);
	map_frame(u.device, "too much", size + PAGE, bar, PROT_READ, MAP_SHARED);
	map_frame(u.device, "config", PAGE, 0, PROT_READ, MAP_SHARED);
	map_frame(u.device, "to execute", PAGE, bar, PROT_READ | PROT_EXEC, MAP_SHARED);
	map_frame(u.device, "in no region", PAGE, 1ull << 50, PROT_READ, MAP_SHARED);

	heading("the mapping keeps the device");
	close_all(&u);
	gradient(frame, "after close");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		munmap(frame, size);
		_exit(!!remove_mdev(uuid(1)));
	}
	usleep(300000);
	CHECK(waitpid(pid, &status, WNOHANG) == 0, "it was removed with its memory mapped");
	gradient(frame, "while it is removed");
	munmap(frame, size);
	CHECK(waitpid(pid, &status, 0) == pid && !status, "it was not removed");
}

static void bochs(void)
{
	uint8_t *frame, *again, config[0xff], edid[64];
	uint64_t bar, size = 4 << 20;

	u = make("mbochs-small", 1);
	information(u.device);
	ASK(pread(u.device, config, sizeof(config), offset_of(u.device, VFIO_PCI_CONFIG_REGION_INDEX)), "read config");
	hex("config", config, sizeof(config));
	ASK(pread(u.device, edid, sizeof(edid), offset_of(u.device, 9)), "read EDID");
	hex("edid", edid, sizeof(edid));
	planes(u.device);
	/* Its pages are faulted in one by one. Reads of the file are those of other pages: a bug of this sample. */
	bar = offset_of(u.device, 0);
	frame = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, bar);
	CHECK(frame != MAP_FAILED, "mmap of the frame: %s", strerror(errno));
	for (uint64_t i = 0; i < size; i += 8)
		memcpy(frame + i, &i, 8);
	again = mmap(NULL, size, PROT_READ, MAP_SHARED, u.device, bar);
	for (uint64_t i = 0; i < size; i += 8)
		if (memcmp(again + i, &i, 8)) {
			printf("FAILED: the frame differs at %lx\n", i);
			break;
		}
	munmap(again, size);
	munmap(frame, size);
	map_frame(u.device, "config", PAGE, 0, PROT_READ, MAP_SHARED);
	map_frame(u.device, "privately", PAGE, bar, PROT_READ, MAP_PRIVATE);
	map_frame(u.device, "too much", size + PAGE, bar, PROT_READ, MAP_SHARED);
	unmake(&u, 1);
}

/* --- removal while in use ----------------------------------------------------------------------------------------- */

static pid_t remover(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		close_all(&u);
		_exit(-remove_mdev(uuid(1)));
	}
	usleep(300000);
	return pid;
}

static void removal(void)
{
	int status, out;
	char path[PATH_MAX], byte;
	pid_t pid;

	u = make("mtty-2", 1);
	must(u.device, VFIO_DEVICE_STATE_STOP_COPY, &out);
	strcpy(path, group_path(uuid(1)));
	pid = remover();
	CHECK(waitpid(pid, &status, WNOHANG) == 0, "it was removed while open");
	ASK(remove_mdev(uuid(1)) ? -1 : 0, "remove it as well");
	ASK(create_mdev("mtty-2", uuid(1)) ? -1 : 0, "create it meanwhile");
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, uuid(1))), "open it again");
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "the device works meanwhile");
	heading("a signal");
	kill(pid, SIGTERM);
	usleep(300000);
	CHECK(waitpid(pid, &status, WNOHANG) == 0, "a signal ended the waiting");
	ASK(pread(u.device, &byte, 1, offset_of(u.device, 0)), "the device works meanwhile");
	close(u.device);
	CHECK(waitpid(pid, &status, 0) == pid, "waiting for the other");
	printf("it ended with %x\n", status);
	ASK(access(path, F_OK), "its group");
	ASK(read(out, &byte, 1), "read the data");
	close(out);
	ASK(FD(ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, uuid(1))), "open it");
	close(u.group);
	close(u.container);

	heading("the group is open, the device is not");
	u = make("mtty-2", 1);
	close(u.device);
	ASK(remove_mdev(uuid(1)) ? -1 : 0, "remove it");
	ASK(ioctl(u.group, VFIO_GROUP_UNSET_CONTAINER), "UNSET_CONTAINER");
	close(u.group);
	close(u.container);
	heading("again with that name");
	u = make("mtty-2", 1);
	unmake(&u, 1);
}

static const struct {
	const char *name;
	void (*run)(void);
} sections[] = {
	{ "types", types },
	{ "serial", serial },
	{ "features", features },
	{ "arcs", arcs },
	{ "streams", streams },
	{ "display", display },
	{ "bochs", bochs },
	{ "removal", removal },
};

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(sections); i++)
		if (!strcmp(sections[i].name, argv[1])) {
			sections[i].run();
			return 0;
		}
	fprintf(stderr, "usage: %s SECTION\n", argv[0]);
	return 2;
}
