// SPDX-License-Identifier: GPL-2.0
/*
 * Devices driven for real: DMA, interrupts by MSI-X. Where there is no IOMMU, DMA is by physical address.
 *
 * usage: vfio_hardware igb|nvme BDF
 */
#include "../noiommu/noiommu.h"

#include <poll.h>
#include <sys/eventfd.h>

static struct vfio_user user;
static volatile void *bar;
static bool iommu;

static uint32_t get32(unsigned long reg)
{
	return *(volatile uint32_t *)(bar + reg);
}

static void set32(unsigned long reg, uint32_t value)
{
	*(volatile uint32_t *)(bar + reg) = value;
}

static void set64(unsigned long reg, uint64_t value)
{
	set32(reg, value);
	set32(reg + 4, value >> 32);
}

/* Opens the device, maps BAR 0, allows memory access and DMA. */
static void start(const char *bdf)
{
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info region = { .argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX };
	uint16_t command;

	iommu = !strstr(group_path(bdf), "noiommu");
	user = iommu ? open_all(bdf, VFIO_TYPE1v2_IOMMU) : open_all_noiommu(bdf);
	if (ioctl(user.device, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    ioctl(user.device, VFIO_DEVICE_GET_REGION_INFO, &region))
		fail("GET_REGION_INFO");
	if (pread(user.device, &command, sizeof(command), config.offset + 4) != sizeof(command))
		fail("read the command register");
	command |= 6;
	if (pwrite(user.device, &command, sizeof(command), config.offset + 4) != sizeof(command))
		fail("write the command register");
	/* The MSI-X table may be in it: only its first pages are needed. */
	bar = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, user.device, region.offset);
	if (bar == MAP_FAILED)
		fail("map BAR 0");
}

static void set_vectors(unsigned int count, const int *fds)
{
	char buffer[sizeof(struct vfio_irq_set) + 8 * sizeof(int)] = {};
	struct vfio_irq_set *set = (void *)buffer;

	set->argsz = sizeof(*set) + count * sizeof(int);
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER;
	set->flags |= count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE;
	set->index = VFIO_PCI_MSIX_IRQ_INDEX;
	set->count = count;
	if (count)
		memcpy(set->data, fds, count * sizeof(int));
	expect(error_of(ioctl(user.device, VFIO_DEVICE_SET_IRQS, set)), 0, "SET_IRQS, %u MSI-X vectors", count);
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	if (fd < 0)
		fail("eventfd");
	return fd;
}

/* How many interrupts have come; waits for one if `one`. */
static long interrupts(int fd, bool one)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&wait, 1, one ? 20000 : 100) > 0 && read(fd, &count, sizeof(count)) != sizeof(count))
		fail("read an eventfd");
	return count;
}

/* --- igb: vectors raised by writing to EICS ---------------------------------------------------- */

#define GPIE 0x1514
#define GPIE_MSIX (1u << 4)
#define EICS 0x1520
#define EIMS 0x1524
#define EIMC 0x1528

static void igb(void)
{
	int fds[3], i, j;

	for (i = 0; i < 3; i++)
		fds[i] = new_eventfd();
	set_vectors(3, fds);
	set32(GPIE, GPIE_MSIX);
	set32(EIMS, 7);
	for (i = 0; i < 3; i++) {
		set32(EICS, 1u << i);
		for (j = 0; j < 3; j++)
			expect_value(interrupts(fds[j], i == j), i == j, "interrupts");
	}
	set32(EIMC, 7);
	set_vectors(0, NULL);
}

/* --- nvme: identification, blocks read and written ---------------------------------------------- */

struct command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t nsid, cdw2, cdw3;
	uint64_t metadata, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status;
};

struct page {
	volatile void *memory;
	uint64_t address; /* the device's */
};

/* Mapped below 4 GiB, to an address that says nothing of where the page is, and beside no other. */
static struct page map_page(struct page page)
{
	static uint64_t next = 0x10000000;
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = 3, .vaddr = (uintptr_t)page.memory,
		.iova = next, .size = PAGE };

	if (ioctl(user.container, VFIO_IOMMU_MAP_DMA, &map))
		fail("MAP_DMA");
	page.address = next;
	next += 3 * PAGE;
	return page;
}

static struct page new_page(void)
{
	struct page page;
	uint64_t entry;
	int fd;

	page.memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
	if (page.memory == MAP_FAILED)
		fail("a page");
	if (iommu)
		return map_page(page);
	fd = open("/proc/self/pagemap", O_RDONLY);
	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)page.memory / PAGE * 8) != 8 || !(entry >> 63) || !(entry << 9))
		fail("pagemap");
	close(fd);
	page.address = (entry & ((1UL << 55) - 1)) * PAGE;
	return page;
}

/* A pair of queues of one page each, and how far they are. */
struct queues {
	struct page submissions, completions;
	unsigned int number, tail, head;
	int eventfd;
};

#define CC 0x14
#define CSTS 0x1c
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define DOORBELL(n) (0x1000 + 4 * (n))
#define ENTRIES 16

/* Runs a command, which ends with an interrupt. */
static void run(struct queues *q, struct command command, const char *name)
{
	struct completion *done;

	command.id = q->tail + 1;
	memcpy((void *)q->submissions.memory + q->tail * sizeof(command), &command, sizeof(command));
	q->tail = (q->tail + 1) % ENTRIES;
	__sync_synchronize();
	set32(DOORBELL(2 * q->number), q->tail);
	expect_value(interrupts(q->eventfd, true), 1, "interrupts");
	__sync_synchronize();
	done = (void *)q->completions.memory + q->head * sizeof(*done);
	expect_value(done->id, command.id, "command done");
	expect_value(done->status >> 1, 0, name);
	q->head = (q->head + 1) % ENTRIES;
	set32(DOORBELL(2 * q->number + 1), q->head);
}

static void wait_ready(uint32_t ready)
{
	int tries;

	for (tries = 0; (get32(CSTS) & 1) != ready; tries++) {
		if (tries == 2000)
			fail("nvme does not become ready");
		usleep(10000);
	}
}

static void nvme(void)
{
	struct queues admin = { .number = 0 }, io = { .number = 1 };
	struct page data = new_page();
	int fds[2] = { new_eventfd(), new_eventfd() };
	char line[21];
	int i, wrong = 0;

	admin.submissions = new_page();
	admin.completions = new_page();
	admin.eventfd = fds[0];
	io.submissions = new_page();
	io.completions = new_page();
	io.eventfd = fds[1];
	set_vectors(2, fds);

	set32(CC, 0);
	wait_ready(0);
	set32(AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	set64(ASQ, admin.submissions.address);
	set64(ACQ, admin.completions.address);
	set32(CC, 4 << 20 | 6 << 16 | 1);
	wait_ready(1);

	run(&admin, (struct command){ .opcode = 6, .prp1 = data.address, .cdw10 = 1 }, "identify the controller");
	expect(memcmp((void *)data.memory + 4, "vfio                ", 20) ? EIO : 0, 0, "its serial number");
	run(&admin,
	    (struct command){ .opcode = 5, .prp1 = io.completions.address, .cdw10 = (ENTRIES - 1) << 16 | 1, .cdw11 = 1 << 16 | 3 },
	    "create a completion queue");
	run(&admin,
	    (struct command){ .opcode = 1, .prp1 = io.submissions.address, .cdw10 = (ENTRIES - 1) << 16 | 1, .cdw11 = 1 << 16 | 1 },
	    "create a submission queue");
	memset((void *)data.memory, 0, PAGE);
	run(&io, (struct command){ .opcode = 2, .nsid = 1, .prp1 = data.address, .cdw12 = PAGE / 512 - 1 }, "read 8 blocks");
	/* What make_disk() of the runner wrote: lines of 20 bytes, 25 with the same number. */
	for (i = 0; i < (int)(PAGE / 20); i++) {
		snprintf(line, sizeof(line), "vfio block %08d\n", i / 25);
		wrong += memcmp((void *)data.memory + i * 20, line, 20) != 0;
	}
	expect_value(wrong, 0, "lines that are not as on the disk");
	/* Blocks that are written, and forgotten before they are read. */
	for (i = 0; i < (int)PAGE; i++)
		((volatile uint8_t *)data.memory)[i] = i * 7 + i / 251;
	run(&io, (struct command){ .opcode = 1, .nsid = 1, .prp1 = data.address, .cdw10 = 64, .cdw12 = PAGE / 512 - 1 }, "write 8 blocks");
	memset((void *)data.memory, 0, PAGE);
	run(&io, (struct command){ .opcode = 2, .nsid = 1, .prp1 = data.address, .cdw10 = 64, .cdw12 = PAGE / 512 - 1 }, "read them");
	for (i = wrong = 0; i < (int)PAGE; i++)
		wrong += ((volatile uint8_t *)data.memory)[i] != (uint8_t)(i * 7 + i / 251);
	expect_value(wrong, 0, "bytes that are not as written");

	set32(CC, 0);
	wait_ready(0);
	set_vectors(0, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		fail("vfio_hardware: see its source for the usage");
	start(argv[2]);
	if (!strcmp(argv[1], "igb"))
		igb();
	else
		nvme();
	munmap((void *)bar, 4 * PAGE);
	close_all(&user);
	printf("%d failures\n", failures);
	return failures != 0;
}
