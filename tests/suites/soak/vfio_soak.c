// SPDX-License-Identifier: GPL-2.0
/*
 * Uses a device over and over as its user may: opens it, maps memory of several kinds and sizes, has edu read and write
 * it, takes interrupts, resets, closes, sometimes by being killed. Ends at the given time, or at an answer that is wrong.
 * Prints how often it did what.
 *
 * usage: vfio_soak <device> <seconds> <seed>
 */
#include "../proc.h"
#include "../vfio_user.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define MIB (1ull << 20)
/* Within the 28 bits that edu reaches. */
#define IOVA (16 * MIB)
#define EDU_ID 0x11e81234
/* edu's registers and its own memory. */
#define EDU_IRQ_STATUS 0x24
#define EDU_RAISE 0x60
#define EDU_ACKNOWLEDGE 0x64
#define EDU_SOURCE 0x80
#define EDU_DESTINATION 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_BUFFER 0x40000

/* Shared with the children that are killed. */
static struct counts {
	unsigned long opens, maps, accounts, dmas, interrupts, resets, kills;
} *counts;

static unsigned int seed;

static unsigned int number(unsigned int below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail("%s", what);
}

static struct vfio_region_info region(struct vfio_user *u, unsigned int index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	must(ioctl(u->device, VFIO_DEVICE_GET_REGION_INFO, &info), "region");
	return info;
}

/* What the process has locked, as its limit counts it, is what is mapped. */
static void locked(size_t bytes)
{
	unsigned long kib = locked_kib();

	if (kib != bytes / 1024)
		fail("%lu kB are locked and %zu mapped", kib, bytes / 1024);
	counts->accounts++;
}

static void mappings(struct vfio_user *u)
{
	/* Small and large, some of huge pages. */
	static const size_t sizes[] = { PAGE, 16 * PAGE, 2 * MIB, 8 * MIB };

	for (int i = 0; i < 8; i++) {
		size_t size = sizes[number(ARRAY_SIZE(sizes))];
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)memory, .iova = IOVA, .size = size,
		};
		struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap), .iova = IOVA, .size = size };

		if (memory == MAP_FAILED)
			fail("no memory");
		must(ioctl(u->container, VFIO_IOMMU_MAP_DMA, &map), "map");
		if (!i)
			locked(size);
		must(ioctl(u->container, VFIO_IOMMU_UNMAP_DMA, &unmap), "unmap");
		if (unmap.size != size)
			fail("%llu of %zu bytes unmapped", unmap.size, size);
		munmap(memory, size);
		counts->maps++;
	}
	locked(0);
}

static void interrupts(struct vfio_user *u)
{
	for (unsigned int index = VFIO_PCI_INTX_IRQ_INDEX; index <= VFIO_PCI_MSIX_IRQ_INDEX; index++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
		struct {
			struct vfio_irq_set set;
			int fd;
		} on = { .set = { .argsz = sizeof(on), .index = index, .count = 1,
				  .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER } };
		struct vfio_irq_set fire = { .argsz = sizeof(fire), .index = index, .count = 1,
					     .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER };
		struct vfio_irq_set off = fire;
		uint64_t value;

		must(ioctl(u->device, VFIO_DEVICE_GET_IRQ_INFO, &info), "interrupt");
		if (!info.count)
			continue;
		on.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		must(ioctl(u->device, VFIO_DEVICE_SET_IRQS, &on), "interrupts on");
		must(ioctl(u->device, VFIO_DEVICE_SET_IRQS, &fire), "trigger");
		if (read(on.fd, &value, sizeof(value)) != sizeof(value) || value != 1)
			fail("an interrupt is lost");
		off.count = 0;
		must(ioctl(u->device, VFIO_DEVICE_SET_IRQS, &off), "interrupts off");
		close(on.fd);
		counts->interrupts++;
	}
}

/* edu copies a page to its own memory and back to another one, and says by MSI when that is done. */
static void dma(struct vfio_user *u)
{
	struct vfio_region_info bar = region(u, VFIO_PCI_BAR0_REGION_INDEX);
	struct vfio_region_info config = region(u, VFIO_PCI_CONFIG_REGION_INDEX);
	struct {
		struct vfio_irq_set set;
		int fd;
	} on = { .set = { .argsz = sizeof(on), .index = VFIO_PCI_MSI_IRQ_INDEX, .count = 1,
			  .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER } };
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory, .iova = IOVA, .size = 2 * PAGE,
	};
	uint16_t command = 6;
	volatile uint32_t *regs;

	if (memory == MAP_FAILED || pwrite(u->device, &command, 2, config.offset + 4) != 2)
		fail("no memory, or no bus mastering");
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, u->device, bar.offset);
	if (regs == MAP_FAILED)
		fail("BAR 0");
	must(ioctl(u->container, VFIO_IOMMU_MAP_DMA, &map), "map");
	on.fd = eventfd(0, EFD_CLOEXEC);
	must(ioctl(u->device, VFIO_DEVICE_SET_IRQS, &on), "MSI on");
	memset(memory, number(255) + 1, PAGE);
	for (int back = 0; back < 2; back++) {
		struct pollfd poller = { .fd = on.fd, .events = POLLIN };
		uint64_t value;

		regs[EDU_SOURCE / 4] = back ? EDU_BUFFER : IOVA;
		regs[EDU_DESTINATION / 4] = back ? IOVA + PAGE : EDU_BUFFER;
		regs[EDU_COUNT / 4] = PAGE;
		regs[EDU_COMMAND / 4] = 5 | back << 1;
		if (poll(&poller, 1, 60000) != 1 || read(on.fd, &value, sizeof(value)) != sizeof(value))
			fail("edu does not say that it is done");
		regs[EDU_ACKNOWLEDGE / 4] = regs[EDU_IRQ_STATUS / 4];
	}
	if (memcmp(memory, memory + PAGE, PAGE))
		fail("DMA brought something else");
	/* The mappings and the interrupt are left to be taken back when all is closed. */
	munmap((void *)regs, bar.size);
	munmap(memory, 2 * PAGE);
	close(on.fd);
	counts->dmas++;
}

static void use(const char *bdf)
{
	struct vfio_user u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t id;

	counts->opens++;
	must(ioctl(u.device, VFIO_DEVICE_GET_INFO, &info), "device");
	if (pread(u.device, &id, 4, region(&u, VFIO_PCI_CONFIG_REGION_INDEX).offset) != 4)
		fail("configuration space");
	mappings(&u);
	interrupts(&u);
	if (id == EDU_ID)
		dma(&u);
	if (info.flags & VFIO_DEVICE_FLAGS_RESET) {
		must(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
		counts->resets++;
	}
	close_all(&u);
}

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

int main(int argc, char **argv)
{
	time_t end;

	if (argc != 4)
		fail("usage: vfio_soak <device> <seconds> <seed>");
	end = now() + atol(argv[2]);
	seed = atol(argv[3]);
	counts = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	while (now() < end) {
		bool kill_it = !number(4);
		pid_t child = fork();
		int status;

		if (!child) {
			/* One that is killed does not stop by itself. */
			do
				use(argv[1]);
			while (kill_it);
			exit(0);
		}
		if (kill_it) {
			usleep(number(300000));
			kill(child, SIGKILL);
			counts->kills++;
		}
		waitpid(child, &status, 0);
		if (!kill_it && status)
			fail("the user ended with %#x", status);
		/* One that failed before it could be killed. */
		if (kill_it && !WIFSIGNALED(status))
			fail("the user ended with %#x instead of being killed", status);
	}
	printf("%lu opens %lu maps %lu accounts %lu dmas %lu interrupts %lu resets %lu kills\n", counts->opens, counts->maps,
	       counts->accounts, counts->dmas, counts->interrupts, counts->resets, counts->kills);
	return 0;
}
