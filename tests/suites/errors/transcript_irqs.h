/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_transcript: interrupts. */
#ifndef TRANSCRIPT_IRQS_H
#define TRANSCRIPT_IRQS_H

#include <poll.h>
#include <sys/eventfd.h>
#include <linux/pci_regs.h>

static long set_irqs(int fd, uint32_t flags, uint32_t index, uint32_t start, uint32_t count, const void *data, size_t size)
{
	uint8_t buffer[sizeof(struct vfio_irq_set) + 256];
	struct vfio_irq_set *set = (void *)buffer;

	memset(buffer, 0, sizeof(buffer));
	*set = (struct vfio_irq_set){ .argsz = sizeof(*set) + size, .flags = flags, .index = index, .start = start,
		.count = count };
	if (size)
		memcpy(set->data, data, size);
	return ioctl(fd, VFIO_DEVICE_SET_IRQS, set);
}

static void counts(const int *events, int n, const char *when)
{
	printf("events %s:", when);
	usleep(2000);
	for (int i = 0; i < n; i++) {
		uint64_t count = 0;

		if (read(events[i], &count, 8) != 8)
			count = 0;
		printf(" %llu", (long long)count);
	}
	printf("\n");
}

/* Which interrupts the kernel has for the device. */
static void proc_interrupts(void)
{
	char line[1000], *name;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f && fgets(line, sizeof(line), f)) {
		name = strstr(line, "vfio-");
		if (name)
			printf("  /proc/interrupts: %s", name);
	}
	if (f)
		fclose(f);
}

static void off(int fd)
{
	for (uint32_t index = 0; index < 5; index++)
		set_irqs(fd, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 0, NULL, 0);
}

static void section_irqs(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	int fd = u.device, events[8], bad[8];
	uint8_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };

	for (int i = 0; i < 8; i++) {
		events[i] = eventfd(0, EFD_NONBLOCK);
		bad[i] = i == 1 ? 987 : events[i];
	}
	heading("the whole matrix, nothing enabled");
	for (uint32_t index = 0; index < 7; index++)
		for (uint32_t flags = 0; flags < 64; flags++)
			for (uint32_t count = 0; count < 3; count++) {
				size_t size = flags & VFIO_IRQ_SET_DATA_EVENTFD ? 4 * count : flags & VFIO_IRQ_SET_DATA_BOOL ? count : 0;

				ASK(set_irqs(fd, flags, index, 0, count, events, size), "SET_IRQS %u flags %x count %u", index,
				    flags, count);
				off(fd);
			}
	counts(events, 8, "left over");

	heading("wrong sizes");
	for (uint32_t argsz = 0; argsz <= 28; argsz += 4) {
		struct vfio_irq_set set[2] = { { .argsz = argsz, .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = 0, .count = 1 } };

		TWICE(ioctl(fd, VFIO_DEVICE_SET_IRQS, set), "SET_IRQS argsz %u", argsz);
		off(fd);
	}
	TWICE(ioctl(fd, VFIO_DEVICE_SET_IRQS, BAD), "SET_IRQS bad pointer");
	for (uint32_t index = 0; index < 5; index++) {
		const uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

		TWICE(set_irqs(fd, flags, index, 1, 1, events, 4), "index %u start 1", index);
		TWICE(set_irqs(fd, flags, index, 0xffffffff, 1, events, 4), "index %u start max", index);
		TWICE(set_irqs(fd, flags, index, 0xffffffff, 0xffffffff, events, 4), "index %u start and count max", index);
		TWICE(set_irqs(fd, flags, index, 0, 0x40000001, events, 4), "index %u count huge", index);
		TWICE(set_irqs(fd, flags, index, 0, 4096, events, 4), "index %u count 4096", index);
		off(fd);
	}

	for (uint32_t index = 0; index < 5; index++) {
		const uint32_t ev = VFIO_IRQ_SET_DATA_EVENTFD, none = VFIO_IRQ_SET_DATA_NONE, yes = VFIO_IRQ_SET_DATA_BOOL;
		const uint32_t trigger = VFIO_IRQ_SET_ACTION_TRIGGER, mask = VFIO_IRQ_SET_ACTION_MASK;
		const uint32_t unmask_ = VFIO_IRQ_SET_ACTION_UNMASK;
		int minus[4] = { -1, -1, -1, -1 };

		printf("# index %u\n", index);
		for (uint32_t n = 1; n <= 4; n++) {
			ASK(set_irqs(fd, ev | trigger, index, 0, n, bad, 4 * n), "enable %u, the second bad", n);
			proc_interrupts();
			ASK(set_irqs(fd, ev | trigger, index, 0, n, events, 4 * n), "enable %u", n);
			proc_interrupts();
			ASK(set_irqs(fd, none | trigger, index, 0, n, NULL, 0), "trigger %u", n);
			counts(events, 8, "after trigger");
			ones[1] = 0;
			ASK(set_irqs(fd, yes | trigger, index, 0, n, ones, n), "trigger %u by bool", n);
			counts(events, 8, "after trigger by bool");
			ASK(set_irqs(fd, none | mask, index, 0, 1, NULL, 0), "mask");
			ASK(set_irqs(fd, none | trigger, index, 0, 1, NULL, 0), "trigger masked");
			counts(events, 8, "masked");
			ASK(set_irqs(fd, none | unmask_, index, 0, 1, NULL, 0), "unmask");
			counts(events, 8, "unmasked");
			ASK(set_irqs(fd, ev | unmask_, index, 0, 1, events + 7, 4), "unmask by eventfd");
			TWICE(set_irqs(fd, ev | unmask_, index, 0, 1, events + 6, 4), "unmask by another eventfd");
			ASK(set_irqs(fd, ev | unmask_, index, 0, 1, minus, 4), "unmask eventfd off");
			for (uint32_t other = 0; other < 3; other++)
				if (other != index)
					TWICE(set_irqs(fd, ev | trigger, other, 0, 1, events + 4, 4), "enable %u meanwhile", other);
			ASK(set_irqs(fd, ev | trigger, index, 0, 1, events + 4, 4), "another eventfd");
			ASK(set_irqs(fd, none | trigger, index, 0, 1, NULL, 0), "trigger");
			counts(events, 8, "after trigger");
			ASK(set_irqs(fd, ev | trigger, index, 0, n, minus, 4 * n), "eventfds off");
			proc_interrupts();
			ASK(set_irqs(fd, none | trigger, index, 0, 1, NULL, 0), "trigger");
			ASK(set_irqs(fd, ev | trigger, index, n, 1, events, 4), "one more than there are");
			ASK(set_irqs(fd, ev | trigger, index, 0, 1, (int[]){ fd }, 4), "no eventfd at all");
			TWICE(set_irqs(fd, none | trigger, index, 0, 0, NULL, 0), "disable");
			proc_interrupts();
			counts(events, 8, "at the end");
		}
	}
	heading("closing with interrupts enabled");
	for (uint32_t index = 0; index < 5; index++)
		ASK(set_irqs(fd, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 1, events, 4), "enable %u", index);
	close_all(&u);
	proc_interrupts();
}

static void section_irqs_random(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	static const uint32_t data[] = { 1, 2, 4 }, action[] = { 8, 16, 32, 32, 32 };
	int events[8];

	for (int i = 0; i < 8; i++)
		events[i] = eventfd(0, EFD_NONBLOCK);
	seed = 815;
	for (int i = 0; i < 1500; i++) {
		uint32_t kind = PICK(data), what = PICK(action), index = rnd(5), start = rnd(3), count = rnd(4);
		int fds[4];

		for (int j = 0; j < 4; j++)
			fds[j] = rnd(5) ? events[rnd(8)] : -1;
		ASK(set_irqs(u.device, kind | what, index, start, count, fds, kind == 4 ? 4 * count : kind == 2 ? count : 0),
		    "SET_IRQS %u flags %x start %u count %u", index, kind | what, start, count);
		if (i % 20 == 0) {
			counts(events, 8, "so far");
			proc_interrupts();
		}
		if (rnd(30) == 0)
			off(u.device);
	}
	close_all(&u);
}

/* The same of one eventfd. What is expected may take its time on a busy host. */
static void count_of(int event, bool expected, const char *when)
{
	struct pollfd set = { .fd = event, .events = POLLIN };

	poll(&set, 1, expected ? 5000 : 100);
	counts(&event, 1, when);
}

/* Registers of igb (Intel 82576, section 8.8): the causes of its interrupt, one to set them by, those that are let through. */
enum { IGB_ICR = 0xc0, IGB_ICS = 0xc8, IGB_IMS = 0xd0, IGB_IMC = 0xd8, IGB_LINK_CHANGED = 1 << 2 };

/* The MSI capability, or 0. */
static uint8_t msi_at(int fd)
{
	uint8_t at = 0, id = 0;

	(void)!pread(fd, &at, 1, CONFIG + PCI_CAPABILITY_LIST);
	while (at && pread(fd, &id, 1, CONFIG + at) == 1 && id != PCI_CAP_ID_MSI)
		(void)!pread(fd, &at, 1, CONFIG + at + 1);
	return at;
}

/* Each number of messages is written. */
static void messages(int fd, uint8_t at, const char *when)
{
	printf("%s:", when);
	for (int i = 0; i < 8; i++) {
		uint16_t flags = i << 4;

		(void)!pwrite(fd, &flags, 2, CONFIG + at + PCI_MSI_FLAGS);
		(void)!pread(fd, &flags, 2, CONFIG + at + PCI_MSI_FLAGS);
		printf(" %x", flags);
	}
	printf("\n");
}

/* How many messages a function may be told to have depends on how many it has had, even if eventfds were wrong. */
static void section_msi_messages(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	const uint32_t ev = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	int closed[8] = { 987, 987, 987, 987, 987, 987, 987, 987 }, events[8];
	uint8_t at = msi_at(u.device);

	if (!at) {
		printf("none here\n");
		return;
	}
	for (int i = 0; i < 8; i++)
		events[i] = eventfd(0, EFD_NONBLOCK);
	messages(u.device, at, "before");
	for (int n = 8; n; n /= 2) {
		TWICE(set_irqs(u.device, ev, VFIO_PCI_MSI_IRQ_INDEX, 0, n, closed, 4 * n), "%d that are closed", n);
		messages(u.device, at, "refused");
		ASK(set_irqs(u.device, ev, VFIO_PCI_MSI_IRQ_INDEX, 0, n, events, 4 * n), "%d", n);
		messages(u.device, at, "on");
		off(u.device);
		messages(u.device, at, "off");
	}
	close_all(&u);
}

/* SET_IRQS does not mask MSI: who wants to writes to the mask of the capability itself, of a device that has one. */
static void section_msi_mask(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	const uint32_t ev = VFIO_IRQ_SET_DATA_EVENTFD, none = VFIO_IRQ_SET_DATA_NONE, cause = IGB_LINK_CHANGED;
	uint32_t value, ones = ~0u, zero = 0;
	int event = eventfd(0, EFD_NONBLOCK);
	uint8_t at = msi_at(u.device);
	uint16_t flags = 0;

	(void)!pread(u.device, &flags, 2, CONFIG + at + PCI_MSI_FLAGS);
	printf("MSI at %x, flags %x\n", at, flags);
	if (!(flags & PCI_MSI_FLAGS_MASKBIT) || !(flags & PCI_MSI_FLAGS_64BIT))
		fail("an MSI capability with 64 bits and a mask");
	set_command(u.device, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	ASK(set_irqs(u.device, ev | VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &event, 4), "MSI on");
	(void)!pwrite(u.device, &ones, 4, IGB_IMC);
	(void)!pread(u.device, &value, 4, IGB_ICR);
	(void)!pwrite(u.device, &cause, 4, IGB_IMS);
	counts(&event, 1, "before");
	for (int round = 0; round < 3; round++) {
		const uint32_t *mask = round == 1 ? &ones : &zero;

		ASK(pwrite(u.device, mask, 4, CONFIG + at + PCI_MSI_MASK_64), "mask %x", *mask & 1);
		(void)!pread(u.device, &value, 4, CONFIG + at + PCI_MSI_MASK_64);
		printf("mask reads %x\n", value);
		TWICE(set_irqs(u.device, none | VFIO_IRQ_SET_ACTION_MASK, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, NULL, 0), "SET_IRQS mask");
		ASK(pwrite(u.device, &cause, 4, IGB_ICS), "raise it");
		count_of(event, !*mask, "raised");
		(void)!pread(u.device, &value, 4, CONFIG + at + PCI_MSI_PENDING_64);
		printf("pending %x\n", value);
		TWICE(set_irqs(u.device, none | VFIO_IRQ_SET_ACTION_UNMASK, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, NULL, 0), "SET_IRQS unmask");
		ASK(pwrite(u.device, &zero, 4, CONFIG + at + PCI_MSI_MASK_64), "unmask");
		count_of(event, *mask, "unmasked");
		(void)!pread(u.device, &value, 4, CONFIG + at + PCI_MSI_PENDING_64);
		printf("pending %x\n", value);
		(void)!pread(u.device, &value, 4, IGB_ICR);
		printf("cause %x\n", value & cause);
		(void)!pwrite(u.device, &ones, 4, IGB_ICR);
	}
	close_all(&u);
}

#endif /* TRANSCRIPT_IRQS_H */
