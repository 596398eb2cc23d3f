// SPDX-License-Identifier: GPL-2.0
/*
 * A user has his device reach for what he has not mapped for it: memory of his own and of everybody, mappings of his other
 * container, interrupts of the host, registers of another device; after he has unmapped, closed, or was killed; asleep.
 *
 * usage: attack_dma unmapped|message|peer BDF BDF2     (BDF: edu that reaches all addresses, BDF2: any edu)
 *        attack_dma later BDF BDF2                     (BDF: edu that is not reset when it is closed)
 *        attack_dma table BDF BDF2                     (BDF: igb)
 *        attack_dma asleep BDF BDF2                    (BDF: NVMe)
 */
#include "attack_edu.h"

#include <setjmp.h>
#include <time.h>
#include <sys/mman.h>

#define SECRET 0x5ec7e7b00c0ffee5
#define MARK 0x0123456789abcdef
#define EVIL 0xe11ee11ee11ee11e
#define IOVA (16 * MIB)

static struct vfio_user u, v;
/* What only root is told: where BAR 0 of the other device is, and a page of this process. */
static uint64_t bar2, physical;
static volatile uint64_t *private;
static int real2;

static long unmap(int container, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .iova = iova, .size = size };

	return ioctl(container, VFIO_IOMMU_UNMAP_DMA, &arg) ? -1 : (long)arg.size;
}

static void open_edus(void)
{
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	v = open_all(bdf2, VFIO_TYPE1v2_IOMMU);
	let_it(u.device);
	let_it(v.device);
}

/* --- what is not mapped --------------------------------------------------------------------------------------------- */

/* The device neither writes there, where `at` is what there is, nor reads it. */
static void out_of_reach(uint64_t address, volatile uint64_t *at, const char *what)
{
	*at = SECRET;
	fill_buffer(&u, EVIL);
	dma(u.device, address, 8, EDU_TO_MEMORY);
	EXPECT(*at == SECRET, "%s: the device has written there: %lx", what, *at);
	*at = SECRET;
	dma(u.device, address, 8, 0);
	EXPECT(buffer_of(&u) != SECRET, "%s: the device has read it", what);
	printf("%s: tried\n", what);
}

/* That a device can, so that nothing is proved by one that does not work. */
static void within_reach(struct vfio_user *user, uint64_t address, volatile uint64_t *at, const char *what)
{
	*at = SECRET;
	dma(user->device, address, 8, 0);
	EXPECT(buffer_of(user) == SECRET, "%s: the device cannot read it", what);
	fill_buffer(user, EVIL);
	dma(user->device, address, 8, EDU_TO_MEMORY);
	EXPECT(*at == EVIL, "%s: the device cannot write there", what);
}

static void unmapped(void)
{
	volatile uint64_t *pages = memory(4 * PAGE), *middle = pages + PAGE / 8, *end = pages + 2 * PAGE / 8;
	struct vfio_iommu_type1_dma_map reading = { sizeof(reading), VFIO_DMA_MAP_FLAG_READ, (uintptr_t)end, IOVA, PAGE };

	open_edus();
	for (unsigned i = 0; i < 4; i++)
		pages[i * PAGE / 8] = MARK;
	/* A mapping, and what is next to it in memory and in addresses. */
	ASK(map(u.container, IOVA, (void *)middle, PAGE), "map");
	within_reach(&u, IOVA, middle, "mapped");
	out_of_reach(IOVA + PAGE, end, "the page behind");
	out_of_reach(IOVA - PAGE, pages, "the page before");
	end[-1] = end[0] = MARK;
	fill_buffer(&u, EVIL);
	dma(u.device, IOVA + PAGE - 8, 16, EDU_TO_MEMORY);
	EXPECT(end[0] == MARK, "over the end of a mapping: %lx behind it", end[0]);
	out_of_reach(physical, private, "by physical address");
	/* The container of another device of his. */
	ASK(map(v.container, 2 * IOVA, (void *)end, PAGE), "map in the other container");
	within_reach(&v, 2 * IOVA, end, "the other device");
	out_of_reach(2 * IOVA, end, "mapped in the other container");
	ASK(map(v.container, IOVA, (void *)end, PAGE), "the same address in the other container");
	within_reach(&v, IOVA, end, "the other device");
	*end = *middle = SECRET;
	fill_buffer(&u, EVIL);
	dma(u.device, IOVA, 8, EDU_TO_MEMORY);
	EXPECT(*end == SECRET && *middle == EVIL, "the same address in both: %lx and %lx", *end, *middle);
	/* Unmapped while the DMA is under way: what is there afterwards stays. */
	start_dma(u.device, IOVA, 8, EDU_TO_MEMORY);
	ASK(unmap(u.container, IOVA, PAGE), "unmap");
	*middle = MARK;
	finish_dma(u.device);
	EXPECT(*middle == MARK, "unmapped while the DMA was under way: %lx", *middle);
	out_of_reach(IOVA, middle, "unmapped");
	/* For reading only. */
	ASK(ioctl(u.container, VFIO_IOMMU_MAP_DMA, &reading), "map for reading");
	*end = SECRET;
	dma(u.device, IOVA, 8, 0);
	EXPECT(buffer_of(&u) == SECRET, "for reading: the device cannot");
	fill_buffer(&u, EVIL);
	dma(u.device, IOVA, 8, EDU_TO_MEMORY);
	EXPECT(*end == SECRET, "for reading: the device has written %lx", *end);
	/* Bus mastering off. */
	ASK(map(u.container, 3 * IOVA, (void *)middle, PAGE), "map");
	within_reach(&u, 3 * IOVA, middle, "mapped again");
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	*middle = MARK;
	dma(u.device, 3 * IOVA, 8, EDU_TO_MEMORY);
	EXPECT(*middle == MARK, "no bus master: %lx", *middle);
	close_all(&v);
	close_all(&u);
}

/* --- when he is gone ------------------------------------------------------------------------------------------------ */

static bool master(void)
{
	return real_at(PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* What those who are gone leave behind: the page that the device is to write to, and when it was told to (ms). */
static struct legacy {
	volatile uint64_t value;
	volatile long told;
} *legacy;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* He has just left, and nothing may be written from now on. Whether the DMA was still to come. */
static bool gone(const char *how)
{
	/* It takes a tenth of a second. */
	bool to_come = now() - legacy->told < 80;

	EXPECT(!master(), "%s: the device may still do DMA", how);
	legacy->value = MARK;
	while (now() - legacy->told < 150)
		usleep(10000);
	return to_come;
}

/* Nor is it when somebody opens the device, who has not allowed it. */
static void opened_again(const char *how)
{
	EXPECT(!master(), "%s: opened again, the device may do DMA", how);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	finish_dma(u.device);
	EXPECT(legacy->value == MARK, "%s: the device has written %lx", how, legacy->value);
	close_all(&u);
}

static void begin(void)
{
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	let_it(u.device);
	if (map(u.container, IOVA, legacy, PAGE))
		fail("map");
	fill_buffer(&u, EVIL);
}

static void tell(void)
{
	start_dma(u.device, IOVA, 8, EDU_TO_MEMORY);
	legacy->told = now();
}

/* The device is closed, and all he has mapped for it is still there. */
static bool closed_device(void)
{
	bool to_come;

	begin();
	tell();
	close(u.device);
	to_come = gone("closed");
	u.device = ioctl(u.group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (u.device < 0)
		fail("GET_DEVICE_FD");
	opened_again("closed");
	return to_come;
}

/* Closes so many of what he has, in an order, and is killed. */
static bool killed(const char *closes)
{
	int ends[2];
	char byte;
	bool to_come;
	pid_t pid;

	if (pipe(ends))
		fail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		begin();
		tell();
		for (; *closes; closes++)
			close(*closes == 'c' ? u.container : *closes == 'g' ? u.group : u.device);
		(void)!write(ends[1], "", 1);
		for (;;)
			pause();
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		fail("he has not begun");
	close(ends[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	to_come = gone("killed");
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	opened_again("killed");
	return to_come;
}

/* On a slow host the DMA may be over before he is gone; then it proves nothing, and once more. */
static void later(void)
{
	static const char *const hows[] = { "", "dgc", "cgd", "gcd" };
	unsigned rounds;

	legacy = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (legacy == MAP_FAILED)
		fail("mmap");
	begin();
	within_reach(&u, IOVA, &legacy->value, "before");
	close_all(&u);
	for (rounds = 1; !closed_device() && rounds < 4; rounds++)
		;
	fprintf(stderr, "# the device closed: %u tries\n", rounds);
	for (size_t i = 0; i < ARRAY_SIZE(hows); i++) {
		for (rounds = 1; !killed(hows[i]) && rounds < 4; rounds++)
			;
		fprintf(stderr, "# killed, \"%s\" closed before: %u tries\n", hows[i], rounds);
	}
	printf("tried\n");
}

/* --- interrupts of the host ----------------------------------------------------------------------------------------- */

struct message {
	uint64_t address;
	uint32_t data;
};

/* What a device has been told to write when it interrupts. */
static struct message message_of(int config)
{
	struct message message = {};
	uint8_t at = PCI_CAPABILITY_LIST, id = 0, data;
	uint16_t flags;

	while (id != PCI_CAP_ID_MSI)
		if (pread(config, &at, 1, at) != 1 || !at || pread(config, &id, 1, at++) != 1)
			fail("no MSI");
	at--;
	if (pread(config, &flags, 2, at + PCI_MSI_FLAGS) != 2)
		fail("MSI");
	data = flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;
	if (pread(config, &message.address, data - PCI_MSI_ADDRESS_LO, at + PCI_MSI_ADDRESS_LO) < 4 ||
	    pread(config, &message.data, 2, at + data) != 2)
		fail("MSI");
	return message;
}

static void write_message(struct message message)
{
	fill_buffer(&u, message.data | (uint64_t)message.data << 32);
	dma(u.device, message.address, 4, EDU_TO_MEMORY);
}

/*
 * The device writes where messages of interrupts go. The addresses are nobody's to map; its own message comes, as long as the
 * interrupt is his. (Whose a message is that is written by DMA, QEMU's VT-d does not know; and it lets pass what has the format
 * without remapping. So that others do not come can only be tried with a table of MSI-X, below.)
 */
static void message(void)
{
	int own = eventfd(0, EFD_NONBLOCK);
	char *page = memory(2 * PAGE);
	struct message m;

	open_edus();
	ASK(map(u.container, 0xfee00000, page, PAGE), "map where messages go");
	ASK(map(u.container, 0xfef00000 - PAGE, page, PAGE), "map the end of that");
	ASK(map(u.container, 0xfee00000 - PAGE, page, 2 * PAGE), "map from before to there");
	ASK(map(u.container, 0xfef00000 - PAGE, page, 2 * PAGE), "map from there on");
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSI_IRQ_INDEX, 1, own), "MSI");
	m = message_of(real);
	EXPECT(m.address >> 20 == 0xfee, "the message is to %lx", m.address);
	write_message(m);
	EXPECT(events(own, 1) == 1, "its own message does not come");
	ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSI_IRQ_INDEX, 0, 0), "no MSI");
	events(own, 0);
	write_message(m);
	EXPECT(!events(own, 0), "an interrupt that was given back comes");
	close_all(&v);
	close_all(&u);
}

#define GPIE 0x1514
#define GPIE_MSIX (1u << 4)
#define EICS 0x1520
#define EIMS 0x1524
#define EICR 0x1580

static void set32(unsigned reg, uint32_t value)
{
	if (pwrite(u.device, &value, 4, reg) != 4)
		fail("register %x", reg);
}

static void interrupt(void)
{
	set32(EICR, 1);
	set32(EIMS, 1);
	set32(EICS, 1);
}

/* A table of MSI-X can be mapped: he has the device send another's message, and any. */
static void table(void)
{
	int own = eventfd(0, EFD_NONBLOCK), other = eventfd(0, EFD_NONBLOCK);
	unsigned cap = capability(PCI_CAP_ID_MSIX);
	uint32_t where = real_at(cap + PCI_MSIX_TABLE, 4), before[4];
	volatile uint32_t *entry;
	struct message m;

	open_edus();
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, own), "MSI-X");
	ASK(set_irq(v.device, ON_EVENT, VFIO_PCI_MSI_IRQ_INDEX, 1, other), "the other's MSI");
	entry = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, (uint64_t)(where & PCI_MSIX_TABLE_BIR) << 40);
	if (entry == MAP_FAILED || where & PCI_MSIX_TABLE_OFFSET)
		fail("mmap of the table");
	set32(GPIE, GPIE_MSIX);
	interrupt();
	EXPECT(events(own, 1) == 1, "its own interrupt does not come");
	for (unsigned i = 0; i < 4; i++)
		before[i] = entry[i];
	m = message_of(real2);
	EXPECT(m.address >> 20 == 0xfee && m.address != before[0], "the other's message is to %lx", m.address);
	entry[0] = m.address;
	entry[1] = m.address >> 32;
	entry[2] = m.data;
	interrupt();
	EXPECT(!events(other, 0), "the device has raised an interrupt of another");
	EXPECT(!events(own, 0), "its interrupt comes by the other's message");
	for (unsigned i = 0; i < 4; i++)
		entry[i] = before[i];
	interrupt();
	EXPECT(events(own, 1) >= 1, "its own interrupt does not come any more");
	printf("tried\n");
	munmap((void *)entry, PAGE);
	close_all(&v);
	close_all(&u);
}

/* --- registers of another device ------------------------------------------------------------------------------------- */

static void peer(void)
{
	char *bar;

	open_edus();
	set_register(v.device, EDU_SOURCE, SECRET);
	fill_buffer(&u, EVIL);
	dma(u.device, bar2 + EDU_SOURCE, 8, EDU_TO_MEMORY);
	EXPECT(get_register(v.device, EDU_SOURCE) == SECRET, "a register of the other is %lx", get_register(v.device, EDU_SOURCE));
	dma(u.device, bar2 + EDU_SOURCE, 8, 0);
	EXPECT(buffer_of(&u) != SECRET, "a register of the other was read");
	/* His own devices may reach each other, if he maps that; and not when he has unmapped it. */
	bar = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, v.device, 0);
	if (bar == MAP_FAILED)
		fail("mmap");
	ASK(map(u.container, IOVA, bar, PAGE), "map the other's registers");
	fill_buffer(&u, EVIL);
	dma(u.device, IOVA + EDU_SOURCE, 8, EDU_TO_MEMORY);
	EXPECT(get_register(v.device, EDU_SOURCE) == EVIL, "mapped: a register of the other is %lx", get_register(v.device, EDU_SOURCE));
	ASK(unmap(u.container, IOVA, PAGE), "unmap");
	set_register(v.device, EDU_SOURCE, SECRET);
	dma(u.device, IOVA + EDU_SOURCE, 8, EDU_TO_MEMORY);
	EXPECT(get_register(v.device, EDU_SOURCE) == SECRET, "unmapped: a register of the other is %lx", get_register(v.device, EDU_SOURCE));
	munmap(bar, PAGE);
	close_all(&v);
	close_all(&u);
}

/* --- asleep ----------------------------------------------------------------------------------------------------------- */

#define CC 0x14
#define CSTS 0x1c
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define DOORBELL 0x1000

static sigjmp_buf on_fault;

static void faulted(int number)
{
	siglongjmp(on_fault, number);
}

static void wait_ready(uint32_t ready)
{
	uint32_t value;

	for (int tries = 0; pread(u.device, &value, 4, CSTS) != 4 || (value & 1) != ready; tries++) {
		if (tries == 6000)
			fail("nvme: it does not become ready");
		usleep(10000);
	}
}

/* One command is there, and the controller has not been told: IDENTIFY, into the third page. */
static void one_command(volatile char *pages)
{
	volatile uint32_t *words = (volatile uint32_t *)pages;

	set32(CC, 0);
	wait_ready(0);
	memset((void *)pages, 0, 3 * PAGE);
	set32(AQA, 15 << 16 | 15);
	set32(ASQ, IOVA);
	set32(ASQ + 4, 0);
	set32(ACQ, IOVA + PAGE);
	set32(ACQ + 4, 0);
	set32(CC, 4 << 20 | 6 << 16 | 1);
	wait_ready(1);
	words[0] = 1 << 16 | 6;
	words[6] = IOVA + 2 * PAGE;
	words[10] = 1;
}

static bool arrived(volatile char *pages, unsigned tries)
{
	while (!pages[2 * PAGE + 4] && !*(volatile uint64_t *)(pages + PAGE + 8) && tries--)
		usleep(10000);
	return pages[2 * PAGE + 4] || *(volatile uint64_t *)(pages + PAGE + 8);
}

/* Every way to tell the controller that there is a command. */
static void ring(volatile uint32_t *doorbell, int event, const char *when)
{
	uint64_t one = 1;
	uint32_t tail = 1;

	ASK(pwrite(u.device, &tail, 4, DOORBELL), "%s: by a write", when);
	if (!sigsetjmp(on_fault, 1)) {
		*doorbell = 1;
		printf("%s: by the mapping\n", when);
	} else {
		printf("%s: the mapping faults\n", when);
	}
	(void)!write(event, &one, sizeof(one));
}

static void asleep(void)
{
	struct vfio_device_ioeventfd io = { sizeof(io), 4, DOORBELL, 1, eventfd(0, 0) };
	struct sigaction act = { .sa_handler = faulted, .sa_flags = SA_NODEFER };
	unsigned pm = capability(PCI_CAP_ID_PM);
	volatile char *pages = memory(3 * PAGE);
	volatile uint32_t *doorbell;
	uint64_t one = 1;

	sigaction(SIGBUS, &act, NULL);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	let_it(u.device);
	if (map(u.container, IOVA, (void *)pages, 3 * PAGE))
		fail("map");
	doorbell = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, DOORBELL);
	if (doorbell == MAP_FAILED)
		fail("mmap");
	ASK(ioctl(u.device, VFIO_DEVICE_IOEVENTFD, &io), "ioeventfd");
	one_command(pages);
	ASK(set_config(u.device, pm + PCI_PM_CTRL, 2, 3), "D3hot");
	ASK(set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER), "bus master");
	printf("command %04x, power %u\n", real_at(PCI_COMMAND, 2), real_at(pm + PCI_PM_CTRL, 2) & 3);
	ring(doorbell, io.fd, "asleep");
	EXPECT(!arrived(pages, 20), "asleep: the device does DMA");
	ASK(set_config(u.device, pm + PCI_PM_CTRL, 2, 0), "D0");
	ASK(set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER), "bus master");
	EXPECT(!arrived(pages, 20), "woken up: the device does what it was told when it slept");
	/* So that it is known what would have happened. */
	one_command(pages);
	(void)!write(io.fd, &one, sizeof(one));
	EXPECT(arrived(pages, 6000), "awake: the device does no DMA");
	munmap((void *)doorbell, PAGE);
	close_all(&u);
}

/* ---------------------------------------------------------------------------------------------------------------------- */

/* What root knows. */
static void look_around(void)
{
	uint64_t entry;
	char path[128];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", bdf2);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%lx", &bar2) != 1)
		fail("%s", path);
	fclose(f);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf2);
	real2 = open(path, O_RDONLY | O_CLOEXEC);
	private = memory(PAGE);
	*private = MARK;
	if (mlock((void *)private, PAGE))
		fail("mlock");
	fd = open("/proc/self/pagemap", O_RDONLY);
	if (real2 < 0 || fd < 0 || pread(fd, &entry, 8, (uintptr_t)private / PAGE * 8) != 8 || !(entry >> 63))
		fail("pagemap");
	close(fd);
	physical = (entry & ((1UL << 55) - 1)) * PAGE;
}

int main(int argc, char **argv)
{
	static const struct attack attacks[] = {
		{ "unmapped", unmapped }, { "later", later }, { "message", message }, { "table", table }, { "peer", peer }, { "asleep", asleep },
	};

	prepare(argc, argv);
	look_around();
	become_user();
	return run_attack(attacks, ARRAY_SIZE(attacks), argv[1]);
}
