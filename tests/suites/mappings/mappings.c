// SPDX-License-Identifier: GPL-2.0
/*
 * A mapping of a large BAR: how many faults it takes (huge pages make them few), what takes it away, and that it comes
 * back, whole and the same. Usage: mappings SCENE BDF BAR
 */
#include "../transcript.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <linux/pci_regs.h>

#define GIB (1UL << 30)
#define MIB (1UL << 20)
#define CONFIG (7ULL << 40)

static const char *bdf;
static struct vfio_user u;
static unsigned int bar;
static size_t size;
static uint8_t *base;

static __thread sigjmp_buf bus_error;

static void on_signal(int number)
{
	siglongjmp(bus_error, number);
}

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt + usage.ru_majflt;
}

/* Every so many bytes there is a number that says where; how many of so many were there, and how many faults it took. */
static void look_at(const uint8_t *from, size_t length, size_t step, const char *what)
{
	volatile unsigned long here = 0, other = 0, gone = 0;
	volatile size_t at;
	long before = faults();

	for (at = 0; at < length; at += step) {
		if (sigsetjmp(bus_error, 1)) {
			gone++;
			continue;
		}
		if (*(const volatile uint32_t *)(from + at) == (uint32_t)((from + at - base) >> 12))
			here++;
		else
			other++;
	}
	printf("%s: %lu are there, %lu differ, %lu are gone, faults %ld\n", what, here, other, gone, faults() - before);
}

static void look(const char *what)
{
	look_at(base, size, size > 512 * MIB ? MIB : PAGE, what);
}

/* Where it cannot be read each try is a signal. */
static void glance(const char *what)
{
	look_at(base, size, size / 16, what);
}

static uint16_t config_word(uint16_t at)
{
	uint16_t value = 0;

	if (pread(u.device, &value, 2, CONFIG + at) != 2)
		fail("config read");
	return value;
}

static void set_config_word(uint16_t at, uint16_t value)
{
	if (pwrite(u.device, &value, 2, CONFIG + at) != 2)
		fail("config write");
}

static void set_memory(bool on)
{
	set_config_word(PCI_COMMAND, (config_word(PCI_COMMAND) & ~PCI_COMMAND_MEMORY) | (on ? PCI_COMMAND_MEMORY : 0));
}

static uint16_t capability(uint8_t id)
{
	uint16_t at = config_word(PCI_CAPABILITY_LIST) & 0xff;

	while (at && (config_word(at) & 0xff) != id)
		at = config_word(at) >> 8;
	return at;
}

static void *map_at(uint8_t *where, size_t length, uint64_t offset)
{
	void *p = mmap(where, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, u.device, ((uint64_t)bar << 40) + offset);

	if (p == MAP_FAILED)
		fail("mmap of BAR %u", bar);
	return p;
}

/* Address space that starts at a multiple of 1 GiB, with room behind. */
static void reserve(void)
{
	uint8_t *p = mmap(NULL, size + 3 * GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fail("address space");
	base = (uint8_t *)(((uintptr_t)p + GIB - 1) & -GIB);
}

static void set_up(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = bar };

	u = open_all(bdf, VFIO_TYPE1v2_IOMMU);
	if (ioctl(u.device, VFIO_DEVICE_GET_REGION_INFO, &info))
		fail("GET_REGION_INFO");
	size = info.size;
	printf("BAR %u: size %zx flags %x\n", bar, size, info.flags);
	reserve();
	set_memory(true);
	map_at(base, size, 0);
	for (size_t at = 0; at < size; at += PAGE)
		if (size <= 512 * MIB || !(at & (MIB - 1)))
			*(volatile uint32_t *)(base + at) = at >> 12;
}

static void low_power(uint32_t feature)
{
	struct vfio_device_feature arg = { .argsz = sizeof(arg), .flags = VFIO_DEVICE_FEATURE_SET | feature };

	ASK(ioctl(u.device, VFIO_DEVICE_FEATURE, &arg), "feature %u", feature);
}

static long hot_reset(void)
{
	struct { struct vfio_pci_hot_reset r; int group; } r = { { .argsz = sizeof(r), .count = 1 }, u.group };

	return ioctl(u.device, VFIO_DEVICE_PCI_HOT_RESET, &r);
}

static long irqs(uint32_t index, uint32_t count, int32_t fd)
{
	struct { struct vfio_irq_set set; int32_t fd; } irq = {
		{ .argsz = sizeof(irq), .index = index, .count = count,
		  .flags = VFIO_IRQ_SET_ACTION_TRIGGER | (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE) }, fd };

	return ioctl(u.device, VFIO_DEVICE_SET_IRQS, &irq);
}

/* All that takes the memory away: nothing of the mapping is left, and all comes back. */
static void scene_revoke(void)
{
	uint16_t pm = capability(PCI_CAP_ID_PM), exp = capability(PCI_CAP_ID_EXP);
	int event = eventfd(0, EFD_NONBLOCK);

	look("mapped");
	look("again");
	set_memory(false);
	glance("memory off");
	set_memory(true);
	look("memory on");
	set_memory(true);
	look("memory on once more");
	if (pm) {
		set_config_word(pm + PCI_PM_CTRL, 3);
		glance("D3hot");
		set_config_word(pm + PCI_PM_CTRL, 0);
		look("D0");
	}
	ASK(ioctl(u.device, VFIO_DEVICE_RESET), "DEVICE_RESET");
	set_memory(true);
	look("after DEVICE_RESET");
	if (exp) {
		set_config_word(exp + PCI_EXP_DEVCTL, config_word(exp + PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_BCR_FLR);
		set_memory(true);
		look("after FLR");
	}
	ASK(hot_reset(), "HOT_RESET");
	set_memory(true);
	look("after HOT_RESET");
	low_power(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
	glance("in low power");
	low_power(VFIO_DEVICE_FEATURE_LOW_POWER_EXIT);
	look("full power");
	/* These turn the memory on for themselves: they take nothing away. */
	for (uint32_t index = VFIO_PCI_MSI_IRQ_INDEX; index <= VFIO_PCI_MSIX_IRQ_INDEX; index++) {
		ASK(irqs(index, 1, event), "interrupt %u on", index);
		ASK(irqs(index, 0, 0), "interrupt %u off", index);
	}
	look("after interrupts");
	set_memory(false);
	irqs(VFIO_PCI_MSIX_IRQ_INDEX, 1, event);
	irqs(VFIO_PCI_MSIX_IRQ_INDEX, 0, 0);
	glance("interrupts with memory off");
	set_memory(true);
	close_all(&u);
	look("closed, but mapped");
}

static void advise(int advice, const char *name)
{
	ASK(madvise(base + 4 * MIB, 6 * MIB, advice), "madvise %s", name);
}

/* Parts: holes, other rights, other places. */
static void scene_parts(void)
{
	look("mapped");
	munmap(base + 6 * MIB + 5 * PAGE, PAGE);
	look_at(base + 6 * MIB, PAGE * 5, PAGE, "before a hole");
	look_at(base + 6 * MIB + 6 * PAGE, 2 * MIB, PAGE, "behind it");
	map_at(base + 6 * MIB + 5 * PAGE, PAGE, 6 * MIB + 5 * PAGE);
	look("hole filled");
	ASK(mprotect(base + 10 * MIB + PAGE, PAGE, PROT_READ), "mprotect");
	look("a page read-only");
	ASK(mprotect(base + 12 * MIB, 2 * MIB, PROT_NONE), "mprotect");
	look_at(base + 12 * MIB, 2 * MIB, MIB / 2, "2 MiB inaccessible");
	ASK(mprotect(base + 12 * MIB, 2 * MIB, PROT_READ | PROT_WRITE), "mprotect");
	look("and back");
	ASK(mprotect(base + 14 * MIB, PAGE, PROT_READ | PROT_EXEC), "mprotect exec");
	advise(MADV_DONTNEED, "DONTNEED");
	look("after DONTNEED");
	advise(MADV_POPULATE_READ, "POPULATE_READ");
	advise(MADV_HUGEPAGE, "HUGEPAGE");
	advise(MADV_NOHUGEPAGE, "NOHUGEPAGE");
	advise(MADV_COLD, "COLD");
	advise(MADV_PAGEOUT, "PAGEOUT");
	advise(MADV_FREE, "FREE");
	advise(MADV_REMOVE, "REMOVE");
	advise(MADV_DODUMP, "DODUMP");
	advise(MADV_DONTFORK, "DONTFORK");
	advise(MADV_DOFORK, "DOFORK");
	advise(MADV_WILLNEED, "WILLNEED");
	ASK(mlock(base, PAGE), "mlock");
	look("after all of that");

	/* The same BAR at addresses that are no multiples of 2 MiB from it: small pages. */
	munmap(base, size);
	base += PAGE;
	map_at(base, size, 0);
	look_at(base, 8 * MIB, PAGE, "a page off");
	munmap(base, size);
	base -= PAGE;
	map_at(base + PAGE, size - PAGE, PAGE);
	look_at(base + PAGE, 8 * MIB - PAGE, PAGE, "but for the first page");
	munmap(base, size);
	map_at(base, 3 * MIB, 0);
	look_at(base, 3 * MIB, PAGE, "3 MiB");
	ASK(mremap(base, 3 * MIB, 4 * MIB, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, "mremap, larger");
	ASK(mremap(base, 3 * MIB, 3 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, base + size + 5 * PAGE) == MAP_FAILED ? -1 : 0,
	    "mremap, elsewhere");
	base += size + 5 * PAGE;
	look_at(base, 3 * MIB, PAGE, "elsewhere");
	set_memory(false);
	look_at(base, 3 * MIB, MIB, "elsewhere, memory off");
	set_memory(true);
	look_at(base, 3 * MIB, PAGE, "elsewhere, memory on");
	ASK(mremap(base, 3 * MIB, MIB, 0) == MAP_FAILED ? -1 : 0, "mremap, smaller");
	look_at(base, MIB, PAGE, "smaller");
	close_all(&u);
}

/* In a child, and by ways that reach memory without touching it. */
static void scene_others(void)
{
	struct iovec here = { base, 64 }, there = { (uint8_t[64]){ 0 }, 64 };
	int pipes[2], mem = open("/proc/self/mem", O_RDWR);
	uint8_t bytes[64];
	pid_t child;

	look("mapped");
	fflush(stdout);
	child = fork();
	if (!child) {
		look("child");
		set_memory(false);
		glance("child, memory off");
		set_memory(true);
		look("child, memory on");
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	look("parent, afterwards");
	fflush(stdout);
	child = fork();
	if (!child) {
		close_all(&u);
		for (;;)
			pause();
	}
	set_memory(false);
	glance("parent, memory off");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	set_memory(true);

	/* Read from the device into the device, while nothing of it is there yet. */
	ASK(pread(u.device, base + 2 * MIB, 64, ((uint64_t)bar << 40) + 8 * MIB), "BAR to BAR");
	ASK(pwrite(u.device, base + 4 * MIB, 64, ((uint64_t)bar << 40) + 6 * MIB), "BAR from BAR");
	ASK(pread(u.device, base + 2 * MIB, 4, CONFIG), "config to BAR");
	*(volatile uint32_t *)(base + 2 * MIB) = 2 * MIB >> 12;
	*(volatile uint32_t *)(base + 6 * MIB) = 6 * MIB >> 12;
	look("written to itself");
	set_memory(false);
	ASK(pread(u.device, base, 4, CONFIG), "config to BAR, memory off");
	ASK(pread(u.device, bytes, 64, (uint64_t)bar << 40), "BAR, memory off");
	set_memory(true);
	ASK(process_vm_readv(getpid(), &there, 1, &here, 1, 0), "process_vm_readv");
	ASK(process_vm_writev(getpid(), &there, 1, &here, 1, 0), "process_vm_writev");
	ASK(pread(mem, bytes, 64, (off_t)(uintptr_t)base), "/proc/self/mem");
	if (pipe(pipes))
		fail("pipe");
	ASK(write(pipes[1], base, 64), "write to a pipe");
	ASK(vmsplice(pipes[1], &here, 1, 0), "vmsplice");
	ASK(ioctl(u.container, VFIO_IOMMU_MAP_DMA, &(struct vfio_iommu_type1_dma_map){ .argsz = sizeof(struct vfio_iommu_type1_dma_map),
		.flags = 3, .vaddr = (uintptr_t)base, .iova = 1ULL << 32, .size = 4 * MIB }), "MAP_DMA of it");
	set_memory(false);
	ASK(ioctl(u.container, VFIO_IOMMU_MAP_DMA, &(struct vfio_iommu_type1_dma_map){ .argsz = sizeof(struct vfio_iommu_type1_dma_map),
		.flags = 3, .vaddr = (uintptr_t)base, .iova = 2ULL << 32, .size = 4 * MIB }), "MAP_DMA, memory off");
	set_memory(true);
	close_all(&u);
}

static volatile bool stop;
static volatile unsigned long touched, missed;

static void *touching(void *arg)
{
	unsigned int state = (uintptr_t)arg;
	volatile uint8_t *from = base;

	while (!stop) {
		if (sigsetjmp(bus_error, 1)) {
			missed++;
			continue;
		}
		(void)*(volatile uint32_t *)(from + (rand_r(&state) % (size / PAGE)) * PAGE);
		touched++;
		if (rand_r(&state) % 256 == 0)
			madvise((void *)(from + (rand_r(&state) % (size / MIB)) * MIB), MIB, MADV_DONTNEED);
	}
	return NULL;
}

/* Faults while the memory comes and goes. What is off in the end is off. */
static void scene_race(void)
{
	uint16_t pm = capability(PCI_CAP_ID_PM);
	pthread_t threads[3];

	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_create(&threads[i], NULL, touching, (void *)(i + 1));
	for (int i = 0; i < 300; i++) {
		set_memory(false);
		if (i % 3 == 0)
			sched_yield();
		set_memory(true);
		if (pm && i % 10 == 5) {
			set_config_word(pm + PCI_PM_CTRL, 3);
			set_config_word(pm + PCI_PM_CTRL, 0);
		}
		if (i % 50 == 25) {
			ioctl(u.device, VFIO_DEVICE_RESET);
			set_memory(true);
		}
		if (i % 10 == 0)
			usleep(2000);
	}
	set_memory(false);
	stop = true;
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ASK(touched > 0 && missed > 0, "touched and missed");
	glance("memory off");
	set_memory(true);
	look("memory on");
	close_all(&u);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } scenes[] = {
		{ "revoke", scene_revoke }, { "parts", scene_parts }, { "others", scene_others }, { "race", scene_race },
	};
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };

	if (argc != 4)
		return 2;
	bdf = argv[2];
	bar = atoi(argv[3]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	set_up();
	for (unsigned int i = 0; i < ARRAY_SIZE(scenes); i++)
		if (!strcmp(argv[1], scenes[i].name)) {
			scenes[i].run();
			printf("done\n");
			return 0;
		}
	return 2;
}
