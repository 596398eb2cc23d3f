// SPDX-License-Identifier: GPL-2.0
/*
 * Opens a device with everything a driver uses (mappings, BARs, interrupts) and closes it in the order asked for.
 *
 * usage: vfio_hold BDF ORDER [SECONDS]
 * ORDER is a permutation of c(ontainer), g(roup), d(evice); the file descriptors are held for SECONDS before.
 * `held` is printed once all is open. SIGTERM ends the holding; REQ, the kernel asking for the device, does so too.
 */
#include "../vfio_user.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static void irq(int fd, uint32_t index, int event)
{
	struct { struct vfio_irq_set set; int fd; } s = {
		.set = { .argsz = sizeof(s), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			 .index = index, .count = 1 },
		.fd = event,
	};

	if (ioctl(fd, VFIO_DEVICE_SET_IRQS, &s) && index == VFIO_PCI_REQ_IRQ_INDEX)
		fail("SET_IRQS %u", index);
}

int main(int argc, char **argv)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3, .size = 64 * PAGE };
	int msi = eventfd(0, 0), request = eventfd(0, 0);
	struct sigaction act = { .sa_handler = on_term };
	struct pollfd wait = { .fd = request, .events = POLLIN };
	struct vfio_user u;
	void *ram;

	if (argc < 3)
		return 2;
	sigaction(SIGTERM, &act, NULL);
	u = open_all(argv[1], VFIO_TYPE1v2_IOMMU);
	ram = mmap(NULL, map.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map.vaddr = (uint64_t)ram;
	if (ioctl(u.container, VFIO_IOMMU_MAP_DMA, &map))
		fail("MAP_DMA");
	irq(u.device, VFIO_PCI_MSI_IRQ_INDEX, msi);
	irq(u.device, VFIO_PCI_REQ_IRQ_INDEX, request);
	for (uint32_t i = 0; i < 6; i++) {
		struct vfio_region_info info = { .argsz = sizeof(info), .index = i };

		if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &info) || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		volatile uint32_t *bar = mmap(NULL, info.size, PROT_READ, MAP_SHARED, u.device, info.offset);

		if (bar == MAP_FAILED)
			fail("mmap BAR %u", i);
		(void)*bar;
		munmap((void *)bar, info.size);
	}
	printf("held\n");
	fflush(stdout);
	if (argc > 3 && !stop)
		poll(&wait, 1, atoi(argv[3]) * 1000);
	for (const char *what = argv[2]; *what; what++)
		close(*what == 'c' ? u.container : *what == 'g' ? u.group : u.device);
	return 0;
}
