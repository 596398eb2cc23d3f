// SPDX-License-Identifier: GPL-2.0
/*
 * Has a device open while something happens to it, and tells what the user sees:
 *
 *   vfio_events DDDD:BB:DD.F [NAME]   (by this name with options, if it is not the address alone)
 *   vfio_events pull DDDD:BB:DD.F     (takes out what is behind this port)
 *
 * It prints "ready", then what arrives at the device's eventfds. Words on its input make it look:
 *
 *   state   events so far, configuration space, BAR 0 by read and by mmap, DEVICE_GET_INFO
 *   reset   DEVICE_RESET
 *   sleep   LOW_POWER_ENTRY; doze: with an eventfd for who wakes it up (WAKE); wake: LOW_POWER_EXIT
 *   D0, D3  the power state by the device's own register
 *   map     maps a page of BAR 0; peek: reads it, which wakes nobody up
 *   intx    INTx to an eventfd (INTX)
 *   word    reads a word of configuration space
 *   close   closes everything and ends
 *
 * Each is followed by "end". The kernel repeats its request for the device as long as it waits: how often is not told.
 */
#include "../vfio_user.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>

static struct vfio_user user;
static int events[4];
static const char *const names[] = { "ERR", "REQ", "WAKE", "INTX" };
static uint64_t seen[4];
static volatile uint32_t *page;
static sigjmp_buf fault;

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

static void take(int which)
{
	uint64_t count;

	if (read(events[which], &count, sizeof(count)) != sizeof(count))
		return;
	if (!seen[which])
		printf("event %s\n", names[which]);
	seen[which] += count;
}

static struct vfio_region_info region(uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(user.device, VFIO_DEVICE_GET_REGION_INFO, &info))
		printf("region %u: %s\n", index, error_name(errno));
	return info;
}

/* But for ROM address and interrupt line: the firmware sets them, and has not seen a device that was plugged in. */
static void show_config(void)
{
	struct vfio_region_info info = region(VFIO_PCI_CONFIG_REGION_INDEX);
	uint32_t value;

	for (uint64_t at = 0; at < info.size; at += 4) {
		ssize_t ret = pread(user.device, &value, 4, info.offset + at);

		if (ret != 4)
			printf("config %03llx: %zd %s\n", (long long)at, ret, error_name(errno));
		else if (at == PCI_ROM_ADDRESS)
			continue;
		else if (at == PCI_INTERRUPT_LINE)
			printf("config %03llx: %06x\n", (long long)at, value >> 8);
		else if (value)
			printf("config %03llx: %08x\n", (long long)at, value);
	}
}

static void show_bar(void)
{
	struct vfio_region_info info = region(VFIO_PCI_BAR0_REGION_INDEX);
	volatile uint32_t *bar;
	uint32_t value;
	ssize_t ret;

	ret = pread(user.device, &value, 4, info.offset + 8);
	printf("BAR 0: read %zd %s %08x\n", ret, ret < 0 ? error_name(errno) : "", ret == 4 ? value : 0);
	bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, user.device, info.offset);
	if (bar == MAP_FAILED) {
		printf("BAR 0: mmap %s\n", error_name(errno));
		return;
	}
	if (sigsetjmp(fault, 1))
		printf("BAR 0: SIGBUS\n");
	else
		printf("BAR 0: mapped %08x\n", bar[2]);
	munmap((void *)bar, PAGE);
}

static void show_state(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	printf("ERR %llu REQ %s\n", (long long)seen[0], seen[1] ? "yes" : "no");
	if (ioctl(user.device, VFIO_DEVICE_GET_INFO, &info))
		printf("GET_INFO: %s\n", error_name(errno));
	else
		printf("GET_INFO: flags %x regions %u irqs %u\n", info.flags, info.num_regions, info.num_irqs);
	show_config();
	show_bar();
}

/* Lets the device access memory, and report errors. */
static void enable(void)
{
	off_t config = region(VFIO_PCI_CONFIG_REGION_INDEX).offset;
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, control;
	uint8_t at, id = 0;

	if (pwrite(user.device, &command, 2, config + PCI_COMMAND) != 2)
		fail("the command register");
	for (at = PCI_CAPABILITY_LIST; id != PCI_CAP_ID_EXP; at++)
		if (pread(user.device, &at, 1, config + at) != 1 || !at || pread(user.device, &id, 1, config + at) != 1)
			fail("the PCI Express capability");
	config += at - 1 + PCI_EXP_DEVCTL;
	if (pread(user.device, &control, 2, config) != 2)
		fail("Device Control");
	control |= PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE;
	if (pwrite(user.device, &control, 2, config) != 2)
		fail("Device Control");
}

/* The register with the power state. */
static off_t power_control(void)
{
	off_t config = region(VFIO_PCI_CONFIG_REGION_INDEX).offset;
	uint8_t at = PCI_CAPABILITY_LIST, id;

	do {
		if (pread(user.device, &at, 1, config + at) != 1 || !at || pread(user.device, &id, 1, config + at) != 1)
			fail("the power management capability");
	} while (id != PCI_CAP_ID_PM && ++at);
	return config + at + PCI_PM_CTRL;
}

static void set_power_state(uint16_t state)
{
	off_t at = power_control();
	ssize_t ret = pwrite(user.device, &state, 2, at);

	printf("D%u: %zd\n", state, ret);
	ret = pread(user.device, &state, 2, at);
	printf("it is in D%u: %zd\n", state & PCI_PM_CTRL_STATE_MASK, ret);
}

static void low_power(uint32_t feature)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_low_power_entry_with_wakeup entry;
	} request = {
		.feature = { .argsz = sizeof(request.feature), .flags = feature | VFIO_DEVICE_FEATURE_SET },
		.entry.wakeup_eventfd = events[2],
	};

	if (feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP)
		request.feature.argsz = sizeof(request);
	printf("low power: %s\n", error_name(ioctl(user.device, VFIO_DEVICE_FEATURE, &request) ? errno : 0));
}

static void peek(void)
{
	if (sigsetjmp(fault, 1))
		printf("BAR 0: SIGBUS\n");
	else
		printf("BAR 0: %08x\n", page[2]);
}

static void set_irq(uint32_t index, int event);

static bool obey(const char *word)
{
	bool on = true;

	if (!strcmp(word, "state")) {
		show_state();
	} else if (!strcmp(word, "reset")) {
		printf("reset: %s\n", ioctl(user.device, VFIO_DEVICE_RESET) ? error_name(errno) : "done");
	} else if (!strcmp(word, "sleep")) {
		low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
	} else if (!strcmp(word, "doze")) {
		low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP);
	} else if (!strcmp(word, "wake")) {
		low_power(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	} else if (!strcmp(word, "D0") || !strcmp(word, "D3")) {
		set_power_state(word[1] - '0');
	} else if (!strcmp(word, "map")) {
		page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, user.device, region(VFIO_PCI_BAR0_REGION_INDEX).offset);
		printf("BAR 0: mmap %s\n", error_name(page == MAP_FAILED ? errno : 0));
	} else if (!strcmp(word, "peek")) {
		peek();
	} else if (!strcmp(word, "intx")) {
		set_irq(VFIO_PCI_INTX_IRQ_INDEX, events[3]);
	} else if (!strcmp(word, "word")) {
		uint32_t value = 0;
		ssize_t ret = pread(user.device, &value, 4, region(VFIO_PCI_CONFIG_REGION_INDEX).offset);

		printf("config: %zd %08x\n", ret, value);
	} else if (!strcmp(word, "close")) {
		close_all(&user);
		on = false;
	}
	printf("end %s\n", word);
	return on;
}

static void set_irq(uint32_t index, int event)
{
	struct {
		struct vfio_irq_set set;
		int fd;
	} irq = {
		.set = { .argsz = sizeof(irq), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			 .index = index, .count = 1 },
		.fd = event,
	};

	if (ioctl(user.device, VFIO_DEVICE_SET_IRQS, &irq))
		printf("SET_IRQS %u: %s\n", index, error_name(errno));
}

/*
 * What is in the slot of a port is gone at once: QEMU takes it out when the slot's power and its indicator are switched
 * off. Both are on again before the kernel, which polls the slot, finds that its presence has changed; if it found the
 * power off it would take the slot for one that it had switched off itself.
 */
static int pull(const char *port)
{
	uint8_t at = PCI_CAPABILITY_LIST, id = 0;
	uint16_t control, off;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", port);
	fd = open(path, O_RDWR);
	for (; id != PCI_CAP_ID_EXP; at++)
		if (pread(fd, &at, 1, at) != 1 || !at || pread(fd, &id, 1, at) != 1)
			fail("the PCI Express capability of %s", port);
	at += -1 + PCI_EXP_SLTCTL;
	if (pread(fd, &control, 2, at) != 2)
		fail("Slot Control");
	off = control | PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC;
	return pwrite(fd, &off, 2, at) != 2 || pwrite(fd, &control, 2, at) != 2;
}

int main(int argc, char **argv)
{
	struct pollfd waiting[ARRAY_SIZE(events) + 1] = {};
	char word[32];
	bool on = true;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "pull"))
		return pull(argv[argc - 1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	signal(SIGBUS, on_fault);
	user = open_named(argv[1], argv[argc - 1], VFIO_TYPE1v2_IOMMU);
	for (unsigned int i = 0; i < ARRAY_SIZE(waiting); i++)
		waiting[i].events = POLLIN;
	for (unsigned int i = 0; i < ARRAY_SIZE(events); i++)
		waiting[i].fd = events[i] = eventfd(0, EFD_NONBLOCK);
	set_irq(VFIO_PCI_ERR_IRQ_INDEX, events[0]);
	set_irq(VFIO_PCI_REQ_IRQ_INDEX, events[1]);
	enable();
	printf("ready\n");
	while (on) {
		poll(waiting, ARRAY_SIZE(waiting), -1);
		for (unsigned int i = 0; i < ARRAY_SIZE(events); i++)
			take(i);
		if (waiting[ARRAY_SIZE(events)].revents & POLLIN)
			on = scanf("%31s", word) == 1 && obey(word);
		else if (waiting[ARRAY_SIZE(events)].revents)
			break;
	}
	return 0;
}
