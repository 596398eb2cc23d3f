/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a step does. Each notes what it was answered, without anything that differs from run to run.
 */
#ifndef FUZZ_STEPS_H
#define FUZZ_STEPS_H

#include "targets.h"

#include <poll.h>
#include <sched.h>
#include <sys/uio.h>
#include <time.h>

#define RAM_PAGES 64UL
#define MAPS 6

static uint8_t *ram, pattern[0x10000];
static struct { uint8_t *at; size_t length; unsigned target, region; uint64_t offset; } maps[MAPS];
static int mailbox[2] = { -1, -1 }; /* descriptors that are on their way */
static pid_t leaving; /* who takes a device away */
static bool unsettled; /* edu may have raised its interrupt */

static inline const struct target *device_of(uint64_t number)
{
	return &targets[number < SLOTS ? target_of[number] : 0];
}

static inline uint64_t region_size(const struct target *t, uint64_t region)
{
	return region < ARRAY_SIZE(t->size) ? t->size[region] : 0;
}

/* An offset into a region: plain, or counted from the region's end (bit 60), or negative (bit 61). */
#define FROM_END (1ULL << 60)
#define NEGATIVE (1ULL << 61)

static inline uint64_t offset_of(uint64_t code, uint64_t size)
{
	if (code & FROM_END)
		return size + (int32_t)code;
	if (code & NEGATIVE)
		return -(uint64_t)(uint32_t)code;
	return code;
}

/* Whether writing there has no effect but on what is read back, which `scrub` clears. */
static inline bool may_write(const struct target *t, uint64_t region, uint64_t at, uint64_t size)
{
	uint64_t end = at + size, all = region_size(t, region);

	unsettled |= t->id == EDU;
	transcript->written = true;
	if (region >= 6)
		return region != VFIO_PCI_CONFIG_REGION_INDEX;
	if (!size || at >= all || end < at)
		return true;
	if (!(t->writable & 1u << region))
		return false;
	if (t->id == EDU)
		return (at >= 4 && end <= 8) || (at >= 0x64 && end <= 0x68) || (at >= 0x80 && end <= 0x98);
	if (t->id == IVSHMEM && region == 2)
		return end <= 0x10000 || (at >= all / 2 && end <= all / 2 + 0x10000) || (at >= all - 0x10000 && end <= all);
	return true;
}

/* Sleeps as long as it says, whatever signals arrive. */
static inline void rest(unsigned microseconds)
{
	struct timespec left = { microseconds / 1000000, microseconds % 1000000 * 1000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

/*
 * Interrupts and work that are on their way arrive: this process, which yields to all others, runs on each processor
 * once, after those that wait there. Only edu raises interrupts; all else is done when the call returns.
 */
static inline void settle(void)
{
	cpu_set_t set;

	if (!unsettled)
		return;
	unsettled = false;
	for (int cpu = 1; cpu >= 0; cpu--) {
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		/* It is not if the machine has one. */
		if (!sched_setaffinity(0, sizeof(set), &set))
			rest(200);
	}
	CPU_SET(1, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* --- opening, closing, passing on --------------------------------------------------------------------------------- */

/* Some steps open only what is not open (the last argument). */
static bool is_there(unsigned slot, const uint64_t *a)
{
	if (!a[7] || slots[slot % SLOTS] < 0)
		return false;
	note(" there");
	return true;
}

static void x_open_container(const uint64_t *a)
{
	if (is_there(a[0], a))
		return;
	keep(a[0], open("/dev/vfio/vfio", O_RDWR), 0);
}

static void x_open_group(const uint64_t *a)
{
	static const int flags[] = { O_RDWR, O_RDWR | O_CLOEXEC, O_RDONLY, O_WRONLY };

	/* With an iommufd for a container, C lets a second user open the group while a device of it is open. */
	if (transcript->compatible)
		return note(" skipped");
	if (is_there(a[0], a))
		return;
	keep(a[0], open(targets[a[1] % target_count].group, flags[a[2] % 4]), a[1] % target_count);
}

static void x_close(const uint64_t *a)
{
	int fd = slot(a[0]);

	if (a[0] >= SLOTS || fd < 0)
		return note(" none");
	note_call(close(fd));
	slots[a[0]] = -1;
}

static void x_dup(const uint64_t *a)
{
	keep(a[1] % SLOTS, dup(slot(a[0])), a[0] < SLOTS ? target_of[a[0]] : 0);
}

static void send_fd(int fd, char target)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec part = { &target, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	if (mailbox[0] < 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, mailbox))
		fail("socketpair");
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	note(" sent %ld", (long)sendmsg(mailbox[0], &message, 0));
}

/* The descriptor waits in a socket: it stays open with none of ours left. */
static void x_park(const uint64_t *a)
{
	send_fd(slot(a[0]), a[0] < SLOTS ? target_of[a[0]] : 0);
	if (a[1] && a[0] < SLOTS && slots[a[0]] >= 0) {
		close(slots[a[0]]);
		slots[a[0]] = -1;
	}
}

static void x_unpark(const uint64_t *a)
{
	char target, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec part = { &target, 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *head;
	int fd;

	if (mailbox[0] < 0 || recvmsg(mailbox[1], &message, 0) <= 0 || !(head = CMSG_FIRSTHDR(&message)))
		return note(" none");
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	keep(a[0], fd, target);
}

/* The socket goes, with what is in it. */
static void x_drop_parked(const uint64_t *a)
{
	(void)a;
	for (int i = 0; i < 2; i++) {
		if (mailbox[i] >= 0)
			close(mailbox[i]);
		mailbox[i] = -1;
	}
}

/* --- any descriptor ----------------------------------------------------------------------------------------------- */

static void x_ioctl(const uint64_t *a)
{
	uint32_t words[64] = { a[4] };
	uint64_t state = a[3];

	for (unsigned i = 1; i < ARRAY_SIZE(words); i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		words[i] = a[3] & 1 ? state >> 33 & state >> 40 : 1;
	}
	note_call(ioctl(slot(a[0]), a[1], place(a[2], words, sizeof(words))));
}

static void x_fops(const uint64_t *a)
{
	uint8_t buf[16] = {};
	struct iovec parts[2] = { { buf, 4 }, { buf + 4, 4 } };
	struct pollfd set = { .fd = slot(a[0]), .events = POLLIN | POLLOUT | POLLPRI };
	struct stat st;
	int fd = slot(a[0]), ret;
	void *p;

	/* Reading an eventfd is `events`. */
	if (a[0] >= OUTPUTS && a[0] < BUFFERS)
		return note(" skipped");
	switch (a[1]) {
	case 0: return note_call(read(fd, buf, 4));
	case 1: return note_call(pwrite(fd, buf, 0, 0));
	case 2: return note_call(lseek(fd, a[2], a[3] % 5));
	case 3:
		/* The one call here that a signal ends. */
		while ((ret = poll(&set, 1, 0)) < 0 && errno == EINTR)
			;
		note(" %d %x", ret, set.revents);
		return;
	case 4: return note_call(fcntl(fd, F_GETFL) & ~O_LARGEFILE);
	case 5: return note_call(fcntl(fd, F_GETFD));
	case 6: return note_call(preadv(fd, parts, 2, a[2]));
	case 7: return note_call(fsync(fd));
	case 8: return note_call(ftruncate(fd, 0));
	case 9: return note_call(fstat(fd, &st) ? -1 : (long)(st.st_mode & S_IFMT));
	case 10:
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, a[2] & -PAGE);
		note(" %s", p == MAP_FAILED ? error_name(errno) : "mapped");
		if (p != MAP_FAILED)
			munmap(p, PAGE);
		return;
	default:
		/* An eventfd, which may be in any slot by now, must not make anybody wait. */
		return note_call(fcntl(fd, F_SETFL, O_NONBLOCK | (a[2] & 1 ? O_APPEND : 0)));
	}
}

/* --- container and group ------------------------------------------------------------------------------------------ */

static void x_set_container(const uint64_t *a)
{
	int fd = slot(a[1]);
	long ret = ioctl(slot(a[0]), VFIO_GROUP_SET_CONTAINER, place(a[2], &fd, sizeof(fd)));

	if (!ret && a[1] >= IOMMUFDS && a[1] < SLOTS)
		transcript->compatible = true;
	note_call(ret);
}

static void x_unset_container(const uint64_t *a)
{
	note_call(ioctl(slot(a[0]), VFIO_GROUP_UNSET_CONTAINER, a[1]));
}

static void x_group_status(const uint64_t *a)
{
	struct vfio_group_status status = { .argsz = a[1] };

	note_call(ioctl(slot(a[0]), VFIO_GROUP_GET_STATUS, place(a[2], &status, sizeof(status))));
}

static void x_get_device(const uint64_t *a)
{
	static const char *const tails[] = { "", " ", " vf_token=", " vf_token=00112233-4455-6677-8899-aabbccddeeff", "x" };
	char name[128];

	if (is_there(a[3], a))
		return;
	if (a[2] == 5)
		name[0] = 0;
	else
		snprintf(name, sizeof(name), "%s%s", targets[a[1] % target_count].bdf, tails[a[2] % 5]);
	keep(a[3], ioctl(slot(a[0]), VFIO_GROUP_GET_DEVICE_FD, place(a[4], name, strlen(name) + 1)), a[1] % target_count);
}

static void x_extension(const uint64_t *a)
{
	note_call(ioctl(slot(a[0]), VFIO_CHECK_EXTENSION, a[1]));
}

static void x_set_iommu(const uint64_t *a)
{
	note_call(ioctl(slot(a[0]), VFIO_SET_IOMMU, a[1]));
}

/* --- DMA ---------------------------------------------------------------------------------------------------------- */

static void x_iommu_info(const uint64_t *a)
{
	uint32_t words[32] = { a[1] };
	long ret = ioctl(slot(a[0]), VFIO_IOMMU_GET_INFO, place(a[2], words, sizeof(words)));

	/* C writes the second part of the answer first, ours is written in one go. */
	if (ret < 0 && errno == EFAULT)
		argument.length = 0;
	note_call(ret);
}

/* Memory to map: ours (0), a number as it is (1), a mapping of a BAR (2); the kind is in the upper byte. */
#define ADDRESS(kind, value) ((uint64_t)(kind) << 56 | (value))

static uint64_t address(uint64_t code)
{
	uint64_t value = code << 8 >> 8;

	switch (code >> 56) {
	case 0:
		return (uint64_t)ram + value;
	case 2:
		return (uint64_t)maps[(value >> 40) % MAPS].at + (uint32_t)value;
	default:
		return (uint64_t)((int64_t)(code << 8) >> 8);
	}
}

static void x_map(const uint64_t *a)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = a[5], .flags = a[1], .vaddr = address(a[2]), .iova = a[3], .size = a[4] };

	note_call(ioctl(slot(a[0]), VFIO_IOMMU_MAP_DMA, place(a[6], &map, sizeof(map))));
}

static union {
	uint8_t bytes[PAGE];
	uint64_t words[PAGE / 8];
} bitmap;

static void note_bitmap(void)
{
	size_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bitmap.words); i++)
		if (bitmap.words[i])
			bits += __builtin_popcountll(bitmap.words[i]);
	if (bits)
		note(" bits %zu %08x", bits, hash(bitmap.bytes, sizeof(bitmap)));
}

static void x_unmap(const uint64_t *a)
{
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap b;
	} unmap = { { .argsz = a[4], .flags = a[1], .iova = a[2], .size = a[3] },
		    { .pgsize = a[6], .size = a[7], .data = (void *)bitmap.bytes } };

	memset(&bitmap, 0, sizeof(bitmap));
	note_call(ioctl(slot(a[0]), VFIO_IOMMU_UNMAP_DMA, place(a[5], &unmap, sizeof(unmap))));
	note_bitmap();
}

static void x_dirty(const uint64_t *a)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap d;
		struct vfio_iommu_type1_dirty_bitmap_get g;
	} get = { { .argsz = a[4], .flags = a[1] },
		  { .iova = a[2], .size = a[3], .bitmap = { .pgsize = a[6], .size = a[7], .data = (void *)bitmap.bytes } } };

	memset(&bitmap, 0, sizeof(bitmap));
	note_call(ioctl(slot(a[0]), VFIO_IOMMU_DIRTY_PAGES, place(a[5], &get, sizeof(get))));
	note_bitmap();
}

static void x_locked(const uint64_t *a)
{
	char text[2048], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	(void)a;
	close(fd);
	text[len < 0 ? 0 : len] = 0;
	at = strstr(text, "VmLck:");
	note(" %ld", at ? atol(at + 6) : -1);
}

/* --- the device --------------------------------------------------------------------------------------------------- */

static void x_device_info(const uint64_t *a)
{
	uint32_t words[32] = { a[1], a[3] };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_GET_INFO, place(a[2], words, sizeof(words))));
}

static void x_region_info(const uint64_t *a)
{
	uint32_t words[32] = { a[2], a[4], a[1] };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_GET_REGION_INFO, place(a[3], words, sizeof(words))));
}

static void x_irq_info(const uint64_t *a)
{
	struct vfio_irq_info info = { .argsz = a[2], .flags = a[4], .index = a[1] };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_GET_IRQ_INFO, place(a[3], &info, sizeof(info))));
}

/* a[7]: 4 bits for each eventfd, which of the four; 15 is none, 14 no eventfd, 13 a closed one. */
static void x_set_irqs(const uint64_t *a)
{
	struct {
		struct vfio_irq_set set;
		union {
			int32_t fds[40];
			uint8_t bools[160];
		};
	} arg = { .set = { .flags = a[1], .index = a[2], .start = a[3], .count = a[4] } };
	unsigned base = a[1] & VFIO_IRQ_SET_ACTION_UNMASK ? INPUTS : OUTPUTS;
	size_t size = 0, count = a[4] < 40 ? a[4] : 40;

	if (a[1] & VFIO_IRQ_SET_DATA_EVENTFD) {
		size = count * 4;
		for (unsigned i = 0; i < 40; i++) {
			unsigned which = a[7] >> i % 16 * 4 & 15;

			arg.fds[i] = which == 15 ? -1 : which == 14 ? slots[GROUPS] : which == 13 ? 9999 : slots[base + which % 4];
		}
	} else if (a[1] & VFIO_IRQ_SET_DATA_BOOL) {
		size = count;
		for (unsigned i = 0; i < 40; i++)
			arg.bools[i] = a[7] >> i & 1;
	}
	arg.set.argsz = a[5] ? a[5] : sizeof(arg.set) + size;
	unsettled |= device_of(a[0])->id == EDU;
	note_call(ioctl(slot(a[0]), VFIO_DEVICE_SET_IRQS, place(a[6], &arg, sizeof(arg.set) + size)));
}

static void take_events(bool tell)
{
	uint64_t count;

	for (unsigned i = OUTPUTS; i < BUFFERS; i++)
		if (slots[i] >= 0 && read(slots[i], &count, 8) == 8 && tell)
			note(" %d:%lu", i - OUTPUTS, count);
}

static void x_events(const uint64_t *a)
{
	(void)a;
	settle();
	/* While the driver waits for the device it asks the user for it again every ten seconds. */
	take_events(!leaving);
}

static void x_signal(const uint64_t *a)
{
	uint64_t value = a[1];

	unsettled |= targets[0].id == EDU;
	/* Only those that are eventfds. */
	note(" %ld", (long)write(slots[INPUTS + a[0] % 4], &value, sizeof(value)));
	settle();
}

/* Whether a handler is there for the device's interrupts. */
static bool has_handler(const struct target *t)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[1024], name[40];
	bool found = false;

	snprintf(name, sizeof(name), "(%.30s)", t->bdf);
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, name);
	if (file)
		fclose(file);
	return found;
}

/*
 * edu raises its interrupt and is served, in one step: a line that stays up, with nobody left who knows of it, would go
 * on for ever, on the C modules as well. Where nobody waits for it, it would hit those who share the line, which are
 * devices of other workers: the kernel gives up the line if they are slow.
 */
static void x_edu_irq(const uint64_t *a)
{
	const struct target *t = device_of(a[0]);
	struct vfio_irq_set unmask = { .argsz = sizeof(unmask), .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, .count = 1 };
	uint32_t one = 1, all = ~0u;

	if (t->id != EDU || a[0] < DEVICES || a[0] >= DEVICES + 4)
		return note(" skipped");
	if (!has_handler(t))
		return note(" nobody waits");
	unsettled = true;
	note(" %ld", (long)pwrite(slots[a[0]], &one, 4, 0x60));
	settle();
	if (a[1] & 1) {
		note(" %d", ioctl(slots[a[0]], VFIO_DEVICE_SET_IRQS, &unmask));
		unsettled = true;
		settle();
	}
	note(" %ld", (long)pwrite(slots[a[0]], &all, 4, 0x64));
	unsettled = true;
	x_events(a);
}

static void x_reset(const uint64_t *a)
{
	note_call(ioctl(slot(a[0]), VFIO_DEVICE_RESET, a[1]));
}

static void x_hot_info(const uint64_t *a)
{
	uint32_t words[64] = { a[1], a[3] };

	note_call(ioctl(slot(a[0]), VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, place(a[2], words, sizeof(words))));
}

/* a[4]: a byte for each descriptor, its slot. */
static void x_hot_reset(const uint64_t *a)
{
	struct { struct vfio_pci_hot_reset hot; int32_t fds[8]; } arg = { .hot = { .flags = a[2], .count = a[3] } };
	size_t count = a[3] < 8 ? a[3] : 8;

	for (unsigned i = 0; i < 8; i++)
		arg.fds[i] = slot(a[4] >> i * 8 & 255);
	arg.hot.argsz = a[1] ? a[1] : sizeof(arg.hot) + count * 4;
	note_call(ioctl(slot(a[0]), VFIO_DEVICE_PCI_HOT_RESET, place(a[5], &arg, sizeof(arg.hot) + count * 4)));
}

static void x_ioeventfd(const uint64_t *a)
{
	const struct target *t = device_of(a[0]);
	uint64_t at = offset_of(a[3], region_size(t, a[2]));
	struct vfio_device_ioeventfd arg = {
		.argsz = a[6], .flags = a[1], .offset = (a[2] << 40) + at, .data = a[4], .fd = slot(a[5]) };

	if (!may_write(t, a[2], at, a[1] & 15))
		return note(" skipped");
	note_call(ioctl(slot(a[0]), VFIO_DEVICE_IOEVENTFD, place(a[7], &arg, sizeof(arg))));
}

/* Waits for a device to fall asleep, which it does in its own time. */
static void wait_suspended(const struct target *t)
{
	char text[32] = {};

	for (int i = 0; i < 3000; i++) {
		int fd = open_sysfs(t, "power/runtime_status", O_RDONLY);
		ssize_t len = read(fd, text, sizeof(text) - 1);

		close(fd);
		if (len > 0 && !strncmp(text, "suspended", 9))
			return note(" asleep");
		rest(1000);
	}
}

static void x_feature(const uint64_t *a)
{
	uint32_t words[12] = { a[2], a[1] };
	unsigned which = a[1] & VFIO_DEVICE_FEATURE_MASK;
	long ret;

	for (unsigned i = 0; i < 3; i++)
		memcpy(words + 2 + 2 * i, a + 4 + i, 8);
	if (which == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP)
		words[2] = slot(a[4]);
	ret = ioctl(slot(a[0]), VFIO_DEVICE_FEATURE, place(a[3], words, sizeof(words)));
	note_call(ret);
	if (!ret && (a[1] & VFIO_DEVICE_FEATURE_SET) && !(a[1] & VFIO_DEVICE_FEATURE_PROBE) && which >= 3 && which <= 4) {
		transcript->low_power = true;
		wait_suspended(device_of(a[0]));
	}
}

static void x_dma_buf(const uint64_t *a)
{
	struct {
		struct vfio_device_feature f;
		struct vfio_device_feature_dma_buf_ {
			uint32_t region_index, open_flags, flags, nr_ranges;
			struct { uint64_t offset, length; } ranges[4];
		} get;
	} arg = { { .flags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		  { .region_index = a[2], .open_flags = a[3], .nr_ranges = a[4] } };
	uint64_t at = offset_of(a[5], region_size(device_of(a[0]), a[2]));

	/* Of a device that sleeps, C hands out memory that is not there. */
	if (transcript->low_power)
		return note(" skipped");
	for (unsigned i = 0; i < 4; i++) {
		arg.get.ranges[i].offset = at + (a[6] == PAGE ? i * PAGE : 0);
		arg.get.ranges[i].length = a[6];
	}
	arg.f.argsz = sizeof(arg);
	keep(a[1], ioctl(slot(a[0]), VFIO_DEVICE_FEATURE, place(a[7], &arg, sizeof(arg))), 0);
}

/* --- regions ------------------------------------------------------------------------------------------------------ */

/* Of a register that does not fit before the end of memory C writes the part that does, ours nothing. */
static void note_read(long ret)
{
	if (ret < 0 && errno == EFAULT)
		argument.length = 0;
	note_call(ret);
}

#define CONFIG_AT ((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40)

static void x_config_read(const uint64_t *a)
{
	uint64_t at = offset_of(a[1], region_size(device_of(a[0]), VFIO_PCI_CONFIG_REGION_INDEX));

	note_read(pread(slot(a[0]), place(a[3], pattern, a[2]), a[2], CONFIG_AT + at));
}

static void x_config_write(const uint64_t *a)
{
	uint64_t at = offset_of(a[1], region_size(device_of(a[0]), VFIO_PCI_CONFIG_REGION_INDEX));

	note_call(pwrite(slot(a[0]), place(a[4], a + 3, 8), a[2], CONFIG_AT + at));
}

static void x_region_read(const uint64_t *a)
{
	const struct target *t = device_of(a[0]);
	uint64_t at = offset_of(a[2], region_size(t, a[1]));

	place(a[4], pattern, a[3]);
	if (a[1] < 6 && !(t->data & 1u << a[1]))
		argument.length = 0;
	note_read(pread(slot(a[0]), argument.at, a[3], (a[1] << 40) + at));
}

static void x_region_write(const uint64_t *a)
{
	const struct target *t = device_of(a[0]);
	uint64_t at = offset_of(a[2], region_size(t, a[1]));
	uint8_t bytes[256];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = a[5] >> i % 8 * 8;
	if (!may_write(t, a[1], at, a[3]) || a[3] > sizeof(bytes))
		return note(" skipped");
	note_call(pwrite(slot(a[0]), place(a[4], bytes, a[3]), a[3], (a[1] << 40) + at));
}

/* a[5]: protection; 8: private, 16: a page off alignment, 32: populate. */
static void x_mmap(const uint64_t *a)
{
	unsigned i = a[1] % MAPS;
	uint64_t offset = offset_of(a[3], (region_size(device_of(a[0]), a[2]) + PAGE - 1) & -PAGE);
	uint8_t *at = (uint8_t *)0x300000000000 + i * 0x40000000UL + (a[5] & 16 ? PAGE : 0), *got;

	got = mmap(at, a[4], a[5] & 7, MAP_FIXED | (a[5] & 8 ? MAP_PRIVATE : MAP_SHARED) | (a[5] & 32 ? MAP_POPULATE : 0),
		   slot(a[0]), (a[2] << 40) + offset);
	if (got == MAP_FAILED)
		return note(" %s", error_name(errno));
	note(" mapped");
	if (maps[i].at && maps[i].at < at)
		munmap(maps[i].at, PAGE);
	if (maps[i].at && maps[i].at + maps[i].length > at + a[4])
		munmap(at + a[4], maps[i].at + maps[i].length - (at + a[4]));
	maps[i].at = at;
	maps[i].length = a[4];
	maps[i].target = a[0] < SLOTS ? target_of[a[0]] : 0;
	maps[i].region = a[2];
	maps[i].offset = offset;
}

static void x_munmap(const uint64_t *a)
{
	unsigned i = a[0] % MAPS;

	if (!maps[i].at)
		return note(" none");
	note_call(munmap(maps[i].at + a[1] * PAGE, a[2] ? a[2] * PAGE : maps[i].length));
}

static sigjmp_buf on_fault;
static volatile sig_atomic_t may_fault;

static void faulted(int number)
{
	if (!may_fault)
		_exit(90 + number % 10);
	siglongjmp(on_fault, number);
}

static void x_touch(const uint64_t *a)
{
	unsigned i = a[0] % MAPS;
	const struct target *t = &targets[maps[i].target];
	uint64_t at = maps[i].offset + a[1];
	unsigned width = 1u << a[2] % 4;
	volatile uint8_t *p = maps[i].at + a[1];
	uint64_t value = 0;
	int number;

	if (!maps[i].at)
		return note(" none");
	if (a[3] && !may_write(t, maps[i].region, at, width))
		return note(" skipped");
	number = sigsetjmp(on_fault, 1);
	if (number) {
		may_fault = 0;
		return note(" %s", number == SIGBUS ? "SIGBUS" : "SIGSEGV");
	}
	may_fault = 1;
	if (a[3]) {
		switch (width) {
		case 1: *p = a[4]; break;
		case 2: *(volatile uint16_t *)p = a[4]; break;
		case 4: *(volatile uint32_t *)p = a[4]; break;
		default: *(volatile uint64_t *)p = a[4]; break;
		}
	} else {
		switch (width) {
		case 1: value = *p; break;
		case 2: value = *(volatile uint16_t *)p; break;
		case 4: value = *(volatile uint32_t *)p; break;
		default: value = *(volatile uint64_t *)p; break;
		}
	}
	may_fault = 0;
	if (maps[i].region < 6 && t->data & 1u << maps[i].region)
		note(" %lx", value);
	else
		note(" ok");
}

static void x_mtrick(const uint64_t *a)
{
	unsigned i = a[0] % MAPS;
	uint8_t core[16] = {};
	void *p;

	if (!maps[i].at)
		return note(" none");
	switch (a[1] % 8) {
	case 0: return note_call(mprotect(maps[i].at, PAGE, a[2] & 7));
	case 1: return note_call(madvise(maps[i].at, maps[i].length, MADV_DONTNEED));
	case 2: return note_call(madvise(maps[i].at, maps[i].length, a[2] % 26));
	case 3:
		p = mremap(maps[i].at, PAGE, 2 * PAGE, 0);
		return note(" %s", p == MAP_FAILED ? error_name(errno) : "moved");
	case 4: return note_call(msync(maps[i].at, PAGE, MS_SYNC));
	case 5: return note_call(mlock(maps[i].at, PAGE));
	case 6: return note_call(mincore(maps[i].at, PAGE, core));
	default: return note_call(mprotect(maps[i].at, maps[i].length, PROT_READ | PROT_WRITE));
	}
}

#endif
