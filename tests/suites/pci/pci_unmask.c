// SPDX-License-Identifier: GPL-2.0
/*
 * The eventfd that unmasks an edu's INTx is signalled while the device still asserts it, so that a work is queued to signal the trigger;
 * and taken away while that waits. usage: pci_unmask BDF
 */
#include "../vfio_user.h"

#include <sys/eventfd.h>

#define ROUNDS 1000
#define RAISE 0x60 /* registers of edu */
#define ACKNOWLEDGE 0x64

static struct vfio_user u;

static void set_intx(uint32_t action, int fd)
{
	struct { struct vfio_irq_set set; int32_t fd; } arg = {
		{ .argsz = sizeof(arg), .flags = VFIO_IRQ_SET_DATA_EVENTFD | action, .index = VFIO_PCI_INTX_IRQ_INDEX, .count = 1 }, fd };

	if (ioctl(u.device, VFIO_DEVICE_SET_IRQS, &arg))
		fail("SET_IRQS %x", action);
}

static void set_register(uint64_t at, uint32_t value)
{
	if (pwrite(u.device, &value, sizeof(value), at) != sizeof(value))
		fail("register %llx", (unsigned long long)at);
}

int main(int argc, char **argv)
{
	int trigger = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK), again = 0;
	uint64_t count = 1;
	uint16_t memory = 2;

	if (argc != 2)
		return 2;
	u = open_all(argv[1], VFIO_TYPE1v2_IOMMU);
	if (pwrite(u.device, &memory, sizeof(memory), (VFIO_PCI_CONFIG_REGION_INDEX * 1ULL << 40) + 4) != sizeof(memory))
		fail("configuration space");
	set_intx(VFIO_IRQ_SET_ACTION_TRIGGER, trigger);
	set_register(RAISE, 1);
	for (int i = 0; i < ROUNDS; i++) {
		set_intx(VFIO_IRQ_SET_ACTION_UNMASK, unmask);
		count = 1;
		if (write(unmask, &count, sizeof(count)) != sizeof(count))
			fail("eventfd");
		set_intx(VFIO_IRQ_SET_ACTION_UNMASK, -1);
		again += read(trigger, &count, sizeof(count)) == sizeof(count);
	}
	set_register(ACKNOWLEDGE, 1);
	close_all(&u);
	printf("# signalled %d times in %d rounds\n", again, ROUNDS);
	return !again;
}
