/* SPDX-License-Identifier: GPL-2.0 */
/* vfio_core_errors: the handlers of eventfds, INTx and ioeventfds. */
#ifndef CORE_VIRQFD_H
#define CORE_VIRQFD_H

#include <sys/epoll.h>
#include <sys/eventfd.h>

static long set_irqs(int fd, uint32_t flags, uint32_t index, int event)
{
	struct { struct vfio_irq_set set; int fd; } s = {
		.set = { .argsz = sizeof(s), .flags = flags, .index = index, .count = 1 }, .fd = event };

	if (flags & VFIO_IRQ_SET_DATA_NONE)
		s.set.argsz = sizeof(s.set);
	return ioctl(fd, VFIO_DEVICE_SET_IRQS, &s);
}

#define UNMASK (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK)
#define TRIGGER (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)

static long count_of(int event)
{
	uint64_t count;

	return read(event, &count, 8) == 8 ? (long)count : 0;
}

static void virqfd_unmask(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	int fd = u.device, trigger = eventfd(0, EFD_NONBLOCK), event = eventfd(0, EFD_NONBLOCK), other;

	TWICE(set_irqs(fd, UNMASK, 0, event), "UNMASK without TRIGGER");
	ASK(set_irqs(fd, TRIGGER, 0, trigger), "TRIGGER");
	const int bad[] = { -2, INT_MIN, 987, INT_MAX, fd, u.group, memfd_create("x", 0), epoll_create1(0) };
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		TWICE(set_irqs(fd, UNMASK, 0, bad[i]), "UNMASK bad %u", i);
	TWICE(set_irqs(fd, UNMASK, 0, -1), "UNMASK off when there is none");
	ASK(set_irqs(fd, UNMASK, 0, event), "UNMASK");
	TWICE(set_irqs(fd, UNMASK, 0, event), "UNMASK the same again");
	other = eventfd(0, EFD_NONBLOCK);
	TWICE(set_irqs(fd, UNMASK, 0, other), "UNMASK another");
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		TWICE(set_irqs(fd, UNMASK, 0, bad[i]), "UNMASK bad %u when there is one", i);
	ASK(set_irqs(fd, UNMASK, 0, -1), "UNMASK off");
	ASK(set_irqs(fd, UNMASK, 0, other), "UNMASK another");

	heading("closing the eventfd ends it");
	close(other);
	for (int i = 0; i < 500 && set_irqs(fd, UNMASK, 0, event); i++)
		usleep(10000);
	TWICE(set_irqs(fd, UNMASK, 0, event), "UNMASK again");
	ASK(set_irqs(fd, UNMASK, 0, -1), "UNMASK off");

	heading("signalled before");
	eventfd_write(event, 5);
	ASK(set_irqs(fd, UNMASK, 0, event), "UNMASK");
	usleep(20000);
	printf("left in it: %ld\n", count_of(event));
	ASK(eventfd_write(event, 3), "signal");
	usleep(20000);
	printf("left in it: %ld\n", count_of(event));
	ASK(set_irqs(fd, UNMASK, 0, -1), "UNMASK off");
	ASK(eventfd_write(event, 3), "signal");
	usleep(20000);
	printf("left in it: %ld\n", count_of(event));

	heading("one that is the trigger, too");
	ASK(set_irqs(fd, UNMASK, 0, trigger), "UNMASK by the trigger");
	ASK(eventfd_write(trigger, 1), "signal");
	ASK(set_irqs(fd, UNMASK, 0, -1), "UNMASK off");
	printf("left in it: %ld\n", count_of(trigger));

	heading("disabled and closed with one");
	ASK(set_irqs(fd, UNMASK, 0, event), "UNMASK");
	ASK(set_irqs(fd, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0), "trigger by hand");
	TWICE(set_irqs(fd, TRIGGER, 0, -1), "TRIGGER off");
	ASK(set_irqs(fd, TRIGGER, 0, trigger), "TRIGGER");
	ASK(set_irqs(fd, UNMASK, 0, event), "UNMASK");
	close_all(&u);
	ASK(eventfd_write(event, 1), "signal after all is closed");
	printf("left in it: %ld\n", count_of(event));
}

static void virqfd_ioeventfd(void)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	struct vfio_device_ioeventfd io = { .argsz = sizeof(io), .flags = 4, .offset = 0x80, .data = 5 };
	int event = eventfd(0, EFD_NONBLOCK), other;
	const int bad[] = { -2, INT_MIN, 987, INT_MAX, u.device, u.group, memfd_create("x", 0) };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		io.fd = bad[i];
		TWICE(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD bad %u", i);
	}
	io.fd = -1;
	TWICE(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD off when there is none");
	io.fd = event;
	ASK(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD");
	TWICE(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD the same again");
	io.fd = other = eventfd(0, 0);
	TWICE(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD the same with another");
	io.data = 6;
	ASK(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD other data");
	close(other);
	io.fd = -1;
	ASK(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD off after it was closed");
	TWICE(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "IOEVENTFD off again");
	io.fd = event;
	for (int i = 0; i < 1002; i++) {
		io.data = 1000 + i;
		if (ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io)) {
			say(-1, "IOEVENTFD number %d", i);
			break;
		}
	}
	close_all(&u);
	ASK(eventfd_write(event, 1), "signal after all is closed");
}

#endif /* CORE_VIRQFD_H */
