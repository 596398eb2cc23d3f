// SPDX-License-Identifier: GPL-2.0
/*
 * What a user can make of a device that was given to him: everything he writes to configuration space, seen from the other
 * side; registers that would move the device into somebody else's memory, wake its DMA or unmask the host's interrupt;
 * interrupts without end.
 *
 * usage: attack config|bars|asleep|interrupts|intx|storm BDF BDF2
 * The devices, in groups of their own, are bound to vfio-pci.
 */
#include "attack.h"

#include <setjmp.h>
#include <sys/mman.h>

static struct vfio_user u;
static int status; /* of runtime power management */

static uint64_t region_offset(unsigned index, uint64_t *size)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("region %u", index);
	*size = info.size;
	return info.offset;
}

static sigjmp_buf on_fault;

static void faulted(int number)
{
	siglongjmp(on_fault, number);
}

/* The first word of a mapping, or that it faults. */
static void look_at(const char *what, volatile uint32_t *p)
{
	int number = sigsetjmp(on_fault, 1);

	if (number)
		printf("%s: %s\n", what, number == SIGBUS ? "SIGBUS" : "SIGSEGV");
	else
		printf("%s: %08x\n", what, *p);
}

static void read_region(const char *what)
{
	uint64_t size, at = region_offset(0, &size);
	uint32_t value = 0;

	errno = 0;
	say(pread(u.device, &value, 4, at), "%s: read", what);
	printf("%s: %08x\n", what, value);
}

static volatile uint32_t *map_region(void)
{
	uint64_t size, at = region_offset(0, &size);
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, u.device, at);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

/* --- configuration space: what reaches the device ------------------------------------------------------------------ */

#define NEAR 64

static uint8_t as_found[4096];

static unsigned take(uint8_t *to, unsigned at, unsigned end)
{
	ssize_t len = end > at ? pread(real, to + at, end - at, at) : 0;

	return len < 0 ? 0 : len;
}

/* Bits that change by themselves, or by the kernel's power management of links. */
static uint8_t steady(unsigned at)
{
	static unsigned exp, pm;

	if (!exp && !pm) {
		exp = capability(PCI_CAP_ID_EXP);
		pm = capability(PCI_CAP_ID_PM);
	}
	if (exp && at == exp + PCI_EXP_LNKCTL)
		return ~PCI_EXP_LNKCTL_ASPMC;
	if (pm && at == pm + PCI_PM_CTRL + 1)
		return 0x7f; /* PME status */
	return 0xff;
}

/* What a user must not have changed, whatever he wrote. */
static void still_ours(const char *when)
{
	static const unsigned enables[][3] = {
		{ PCI_CAP_ID_MSI, PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE }, { PCI_CAP_ID_MSIX, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE } };

	for (unsigned at = PCI_BASE_ADDRESS_0; at < PCI_BASE_ADDRESS_5 + 4; at += 4)
		EXPECT(real_at(at, 4) == *(uint32_t *)(as_found + at), "%s: BAR at %x is %08x", when, at, real_at(at, 4));
	EXPECT(real_at(PCI_ROM_ADDRESS, 4) == *(uint32_t *)(as_found + PCI_ROM_ADDRESS), "%s: the ROM moved", when);
	EXPECT(real_at(PCI_INTERRUPT_LINE, 1) == as_found[PCI_INTERRUPT_LINE], "%s: interrupt line", when);
	for (size_t i = 0; i < ARRAY_SIZE(enables); i++) {
		unsigned at = capability(enables[i][0]);

		if (at)
			EXPECT(!(real_at(at + enables[i][1], 2) & enables[i][2]), "%s: capability %u is enabled", when, enables[i][0]);
	}
}

static void write_and_compare(unsigned at, uint32_t value, unsigned end)
{
	static uint8_t before[4096], now[4096];
	unsigned from = at >= 256 ? at - at % NEAR : 256, to = from + NEAR < end ? from + NEAR : end;
	char when[32];

	take(before, 0, 256);
	take(before, from, to);
	printf("%03x <- %08x: %ld", at, value, set_config(u.device, at, 4, value));
	take(now, 0, 256);
	take(now, from, to);
	for (unsigned i = 0; i < to; i++) {
		if (i == 256)
			i = from;
		if ((before[i] ^ now[i]) & steady(i))
			printf(" %03x:%02x>%02x", i, before[i], now[i]);
	}
	printf("\n");
	snprintf(when, sizeof(when), "%03x <- %08x", at, value);
	still_ours(when);
}

static void all_of_config(void)
{
	static const uint32_t values[] = { 0xffffffff, 0, 0xa5a5a5a5, 0x5a5a5a5a };
	unsigned size = take(as_found, 0, sizeof(as_found)), pm = capability(PCI_CAP_ID_PM);

	for (unsigned at = 0; at < size; at += 4) {
		uint32_t shown = config_at(u.device, at, 4);

		/* Beyond the capabilities there is nothing, and much of it. */
		if (at >= 256 && !*(uint32_t *)(as_found + at) && at % 64)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(values); i++)
			write_and_compare(at, values[i], size);
		write_and_compare(at, shown, size);
		/* Wherever that was, it is awake for the next. */
		if (pm)
			set_config(u.device, pm + PCI_PM_CTRL, 2, 0);
	}
}

/* --- BARs that are moved ------------------------------------------------------------------------------------------- */

static void moved_bars(void)
{
	/* Where main memory, interrupts, the other device and nothing are. */
	uint32_t places[] = { 0, 0x100000, 0xfee00000, 0xfed90000, 0x80000000, 0xfffffff0, 0 };
	volatile uint32_t *p = map_region();
	char what[64];

	take(as_found, 0, 256);
	places[6] = real_at(PCI_BASE_ADDRESS_0, 4) ^ 0x100000;
	look_at("at first", p);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(what, sizeof(what), "moved, %zu", i);
		set_config(u.device, PCI_COMMAND, 2, 0);
		for (unsigned bar = 0; bar < 6; bar++)
			set_config(u.device, PCI_BASE_ADDRESS_0 + 4 * bar, 4, places[i]);
		set_config(u.device, PCI_ROM_ADDRESS, 4, places[i] | 1);
		still_ours(what);
		look_at("memory off", p);
		read_region("memory off");
		set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
		still_ours(what);
		look_at(what, p);
		read_region(what);
		if (i < 6)
			hex("shown", (uint32_t[]){ config_at(u.device, PCI_BASE_ADDRESS_0, 4) }, 4);
	}
}

static void command(const char *what)
{
	printf("%s: command shown %04x, in truth %04x\n", what, config_at(u.device, PCI_COMMAND, 2), real_at(PCI_COMMAND, 2));
}

/* --- asleep -------------------------------------------------------------------------------------------------------- */

static void feature(unsigned which, const char *what)
{
	struct vfio_device_feature f = { .argsz = sizeof(f), .flags = VFIO_DEVICE_FEATURE_SET | which };

	ASK(ioctl(u.device, VFIO_DEVICE_FEATURE, &f), "%s", what);
}

/* What the last step woke up is asleep again; then what the kernel sees of it, which wakes it up once more. */
static void settled(void)
{
	char text[32] = {};

	for (int tries = 0; tries < 6000 && strncmp(text, "suspended", 9); tries++) {
		usleep(10000);
		(void)!pread(status, text, sizeof(text) - 1, 0);
	}
	printf("%.9s, command %04x\n", text, real_at(PCI_COMMAND, 2));
	usleep(10000);
}

/* The kernel has it sleep whenever nobody uses it. */
static void low_power(volatile uint32_t *p, int event)
{
	unsigned pm = capability(PCI_CAP_ID_PM);

	feature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, "low power");
	settled();
	ASK(set_config(u.device, PCI_COMMAND, 2, 0x7), "command in low power");
	settled();
	read_region("in low power");
	settled();
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, event), "MSI-X in low power");
	settled();
	ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0), "no MSI-X in low power");
	settled();
	ASK(set_config(u.device, pm + PCI_PM_CTRL, 2, 3), "D3hot in low power");
	settled();
	ASK(set_config(u.device, PCI_COMMAND, 2, 0x6), "command in both");
	settled();
	look_at("mapping in both", p);
	feature(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, "full power");
	ASK(set_config(u.device, pm + PCI_PM_CTRL, 2, 0), "D0");
	command("full power");
	look_at("full power", p);
}

static void asleep(void)
{
	unsigned pm = capability(PCI_CAP_ID_PM);
	volatile uint32_t *p = map_region();
	int event = eventfd(0, EFD_NONBLOCK);

	take(as_found, 0, 256);
	for (int round = 0; round < 2; round++) {
		ASK(set_config(u.device, pm + PCI_PM_CTRL, 2, 3), "D3hot");
		ASK(set_config(u.device, PCI_COMMAND, 2, 0x7), "command, with DMA");
		command("asleep");
		look_at("asleep", p);
		read_region("asleep");
		still_ours("asleep");
		ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, event), "MSI-X");
		ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0), "no MSI-X");
		/* Registers of the power capability, from all states to all. */
		for (unsigned from = 0; from < 4; from++)
			for (unsigned to = 0; to < 4; to++) {
				set_config(u.device, pm + PCI_PM_CTRL, 2, from);
				set_config(u.device, pm + PCI_PM_CTRL, 2, to);
				printf("%u to %u: shown %u, in truth %u, %04x\n", from, to,
				       config_at(u.device, pm + PCI_PM_CTRL, 2) & 3, real_at(pm + PCI_PM_CTRL, 2) & 3,
				       real_at(PCI_COMMAND, 2));
			}
		ASK(ioctl(u.device, VFIO_DEVICE_RESET), "reset");
		still_ours("reset");
		ASK(set_config(u.device, pm + PCI_PM_CTRL, 2, 0), "D0");
		ASK(set_config(u.device, PCI_COMMAND, 2, 0x6), "command");
		look_at("awake", p);
		read_region("awake");
		low_power(p, event);
	}
	munmap((void *)p, PAGE);
	set_config(u.device, PCI_COMMAND, 2, 0x7);
	set_config(u.device, pm + PCI_PM_CTRL, 2, 3);
	close_all(&u);
	EXPECT(!(real_at(PCI_COMMAND, 2) & PCI_COMMAND_MASTER), "closed asleep: the device may still do DMA");
	still_ours("closed");
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, 0x6);
	read_region("opened again");
}

/* --- the host's interrupts ----------------------------------------------------------------------------------------- */

/* The host's MSI and MSI-X: enabled, addressed and masked by nobody but the host. */
static void host_msi(void)
{
	static const unsigned indices[][3] = {
		{ VFIO_PCI_MSI_IRQ_INDEX, PCI_CAP_ID_MSI, 24 }, { VFIO_PCI_MSIX_IRQ_INDEX, PCI_CAP_ID_MSIX, 12 } };
	int event = eventfd(0, EFD_NONBLOCK);
	uint64_t size, at;

	for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
		unsigned cap = capability(indices[i][1]);
		uint32_t before[6] = {}, now[6] = {};
		unsigned len = indices[i][2];

		if (!cap)
			continue;
		for (int on = 0; on < 2; on++) {
			if (on)
				ASK(set_irq(u.device, ON_EVENT, indices[i][0], 1, event), "interrupt %u", indices[i][0]);
			pread(real, before, len, cap);
			for (unsigned byte = 2; byte < len; byte++)
				for (unsigned value = 0; value < 512; value += value < 8 ? 1 : value) {
					set_config(u.device, cap + byte, 1, value);
					pread(real, now, len, cap);
					if (memcmp(before, now, sizeof(now))) {
						printf("%u, byte %u <- %02x", indices[i][1], byte, value & 0xff);
						hex(" in truth", now, sizeof(now));
					}
					/* Where the interrupt goes, and whether there are any, is the host's. */
					EXPECT(before[1] == now[1], "capability %u: the address is %08x", indices[i][1], now[1]);
					if (indices[i][1] == PCI_CAP_ID_MSIX)
						EXPECT(!memcmp(before, now, sizeof(now)), "MSI-X, byte %u <- %02x", byte, value & 0xff);
					else
						EXPECT(on || !(now[0] >> 16 & PCI_MSI_FLAGS_ENABLE), "MSI was enabled");
				}
			hex("shown", (uint32_t[]){ config_at(u.device, cap, 4), config_at(u.device, cap + 4, 4) }, 8);
		}
		ASK(set_irq(u.device, NO_IRQ, indices[i][0], 0, 0), "none");
	}
	if (capability(PCI_CAP_ID_MSIX)) {
		unsigned cap = capability(PCI_CAP_ID_MSIX);
		uint32_t table = config_at(u.device, cap + PCI_MSIX_TABLE, 4), words[16];

		at = region_offset(table & PCI_MSIX_TABLE_BIR, &size) + (table & PCI_MSIX_TABLE_OFFSET);
		set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_MSIX_IRQ_INDEX, 1, event), "MSI-X");
		memset(words, 0, sizeof(words));
		ASK(pwrite(u.device, words, sizeof(words), at), "the table of MSI-X");
		ASK(pread(u.device, words, sizeof(words), at), "the table of MSI-X");
		hex("table", words, sizeof(words));
	}
}

/* A device with INTx that can be masked. BAR 0 is edu's. */
static void host_intx(void)
{
	uint64_t size, at = region_offset(0, &size);
	uint32_t one = 1, all = ~0u;
	int event = eventfd(0, EFD_NONBLOCK);

	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	command("at first");
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_INTX_IRQ_INDEX, 1, event), "INTx");
	command("INTx on");
	ASK(set_irq(u.device, MASK, VFIO_PCI_INTX_IRQ_INDEX, 1, 0), "mask");
	command("masked");
	for (unsigned value = 0; value < 8; value++) {
		/* By the word, by either byte, with the other bits going up and down. */
		set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | (value & 1));
		set_config(u.device, PCI_COMMAND + 1, 1, value & 3);
		set_config(u.device, PCI_COMMAND + 1, 1, 0);
		EXPECT(real_at(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE, "the user unmasked what the host had masked");
	}
	command("tried");
	pwrite(u.device, &one, 4, at + 0x60);
	printf("masked: %lu events\n", events(event, 0));
	ASK(set_irq(u.device, UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 1, 0), "unmask");
	printf("unmasked: %lu events\n", events(event, 1));
	command("served");
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	EXPECT(real_at(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE, "the user unmasked what the host's handler had masked");
	printf("not acknowledged: %lu events\n", events(event, 0));
	/* He masks it himself, the host unmasks. */
	pwrite(u.device, &all, 4, at + 0x64);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	ASK(set_irq(u.device, UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 1, 0), "unmask");
	command("masked by the user");
	pwrite(u.device, &one, 4, at + 0x60);
	printf("masked by the user: %lu events\n", events(event, 0));
	pwrite(u.device, &all, 4, at + 0x64);
	ASK(set_irq(u.device, NO_IRQ, VFIO_PCI_INTX_IRQ_INDEX, 0, 0), "none");
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	command("none");
}

/* The line is up, is never acknowledged, and is unmasked all the time, by ioctl and by eventfd. */
static void storm(void)
{
	uint64_t size, at = region_offset(0, &size), more = 1;
	int event = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);
	unsigned long served = 0, asked = 0;
	uint32_t one = 1, all = ~0u;
	volatile unsigned long *ticks;
	pid_t pid;

	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_INTX_IRQ_INDEX, 1, event), "INTx");
	ASK(set_irq(u.device, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 1, unmask), "unmask");
	ticks = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ticks == MAP_FAILED)
		fail("mmap");
	pid = fork();
	if (!pid)
		for (;; ++*ticks)
			usleep(1000);
	pwrite(u.device, &one, 4, at + 0x60);
	/* Long enough for a storm, and until it has gone on while others ran: that is soon, or never. */
	for (; asked < 2000 || ((served <= 10 || *ticks <= 20) && asked < 1000000); asked++) {
		uint64_t count;

		if (asked % 2)
			set_irq(u.device, UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 1, 0);
		else
			(void)!write(unmask, &more, sizeof(more));
		if (read(event, &count, sizeof(count)) == sizeof(count))
			served += count;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fprintf(stderr, "unmasked %lu times, %lu interrupts, another process woke up %lu times\n", asked, served, *ticks);
	EXPECT(served > 10, "there was no storm");
	EXPECT(served <= asked + 2, "more interrupts than were unmasked");
	EXPECT(*ticks > 20, "the storm left others no time");
	/* He leaves with the line up; whoever is next finds the device as usual. */
	close(unmask);
	close_all(&u);
	EXPECT(!(real_at(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT) || real_at(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE,
	       "the line is up, nobody serves it, and it is not masked");
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	set_config(u.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	pwrite(u.device, &all, 4, at + 0x64);
	events(event, 0);
	ASK(set_irq(u.device, ON_EVENT, VFIO_PCI_INTX_IRQ_INDEX, 1, event), "INTx");
	printf("acknowledged: %lu events\n", events(event, 0));
	pwrite(u.device, &one, 4, at + 0x60);
	printf("raised: %lu events\n", events(event, 1));
	pwrite(u.device, &all, 4, at + 0x64);
	ASK(set_irq(u.device, UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 1, 0), "unmask");
	printf("acknowledged: %lu events\n", events(event, 0));
}

int main(int argc, char **argv)
{
	static const struct attack attacks[] = {
		{ "config", all_of_config }, { "bars", moved_bars }, { "asleep", asleep }, { "interrupts", host_msi },
		{ "intx", host_intx }, { "storm", storm },
	};
	struct sigaction act = { .sa_handler = faulted, .sa_flags = SA_NODEFER };
	char path[128];
	int result;

	prepare(argc, argv);
	become_user();
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status", bdf);
	status = open(path, O_RDONLY);
	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	result = run_attack(attacks, ARRAY_SIZE(attacks), argv[1]);
	close_all(&u);
	return result;
}
