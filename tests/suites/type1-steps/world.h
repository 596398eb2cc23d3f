/* SPDX-License-Identifier: GPL-2.0 */
/* What the steps are taken in: memory of every kind at fixed addresses, descriptors, actors; and how each is taken. */
#ifndef WORLD_H
#define WORLD_H

#include "step.h"
#include "../emulated/module/vfio_test_emulated.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define MIB (1ull << 20)
#define RW_PROT (PROT_READ | PROT_WRITE)

/* Far apart, so that what goes on behind one is not there. */
#define AREA(n) (0x10000000000ull + (uint64_t)(n) * (1ull << 30))

enum area { SMALL, THP, HUGETLB, MEMFD, READ_ONLY, NO_ACCESS, BAR_RW, BAR_RO, BITS, TAIL, BOUNCE, AREAS };

static const uint64_t area_size[AREAS] = {
	[SMALL] = 4 * MIB, [THP] = 4 * MIB, [HUGETLB] = 4 * MIB, [MEMFD] = 4 * MIB, [READ_ONLY] = MIB,
	[NO_ACCESS] = MIB, [BAR_RW] = MIB, [BAR_RO] = MIB, [BITS] = 64 * 1024, [TAIL] = PAGE, [BOUNCE] = PAGE,
};

/* The file behind MEMFD is smaller. */
#define MEMFD_FILE (3 * MIB)

#define EMULATED_FD 201
#define DEVICE_FD 200

#define GROUPS 8
#define ACTORS 3

/* Shared by all actors, behind the bitmap in the area BITS; found again after an exec. */
struct world {
	int container, group[GROUPS], groups, emulated_group;
	/* The devices of the first group and of the emulated one, -1 if not open; only the first actor opens and closes. */
	int device, emulated;
	uint64_t bar;
	char name[2][64];
	int to[ACTORS][2], from[ACTORS][2];
};

static struct world *world;
static int shared_fd;

static void at(enum area area, int prot, int flags, int fd, uint64_t offset)
{
	if (mmap((void *)AREA(area), area_size[area], prot, flags | MAP_FIXED, fd, offset) == MAP_FAILED)
		fail("area %d", area);
}

static void shared_memory(int fd)
{
	const uint64_t size = area_size[BITS];

	shared_fd = fd;
	at(BITS, RW_PROT, MAP_SHARED, fd, 0);
	/* Nothing is behind the bitmap. */
	world = mmap(NULL, PAGE, RW_PROT, MAP_SHARED, fd, size);
	if (world == MAP_FAILED)
		fail("world");
}

static void make_memory(void)
{
	int fd = memfd_create("steps", 0);

	if (fd < 0 || ftruncate(fd, MEMFD_FILE))
		fail("memfd");
	at(SMALL, RW_PROT, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise((void *)AREA(SMALL), area_size[SMALL], MADV_NOHUGEPAGE);
	at(THP, RW_PROT, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise((void *)AREA(THP), area_size[THP], MADV_HUGEPAGE);
	at(HUGETLB, RW_PROT, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	at(MEMFD, RW_PROT, MAP_SHARED, fd, 0);
	close(fd);
	at(READ_ONLY, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(NO_ACCESS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(BAR_RW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(BAR_RO, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(TAIL, RW_PROT, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(BOUNCE, RW_PROT, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int open_device(uint64_t which)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = 6;
	bool emulated = (int)which == world->emulated_group;
	int fd = ioctl(world->group[which], VFIO_GROUP_GET_DEVICE_FD, world->name[emulated]);

	if (fd < 0)
		return -1;
	/* Numbers that nothing else has in any actor. */
	dup2(fd, EMULATED_FD - !emulated);
	close(fd);
	fd = EMULATED_FD - !emulated;
	if (emulated) {
		world->emulated = fd;
		return 0;
	}
	world->device = fd;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) || pwrite(fd, &command, 2, info.offset + 4) != 2)
		fail("configuration space");
	info.index = 0;
	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size < area_size[BAR_RW])
		fail("BAR");
	world->bar = info.offset;
	at(BAR_RW, RW_PROT, MAP_SHARED, fd, info.offset);
	at(BAR_RO, PROT_READ, MAP_SHARED, fd, info.offset);
	return 0;
}

static void forget_device(void)
{
	at(BAR_RW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	at(BAR_RO, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int close_device(uint64_t which)
{
	int *fd = (int)which == world->emulated_group ? &world->emulated : &world->device;
	int ret = close(*fd);

	*fd = -1;
	if (fd == &world->device)
		forget_device();
	return ret;
}

static int cap_lock(bool have)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -1;
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].effective |= (uint32_t)have << CAP_IPC_LOCK;
	return syscall(SYS_capset, &head, data);
}

static int set_param(uint64_t which, uint64_t value)
{
	static const char *const names[] = { "dma_entry_limit", "disable_hugepages", "allow_unsafe_interrupts" };
	char path[100], text[20];
	int fd, ret, len = sprintf(text, "%llu", (unsigned long long)value);

	sprintf(path, "/sys/module/vfio_iommu_type1/parameters/%s", names[which % ARRAY_SIZE(names)]);
	fd = open(path, O_WRONLY);
	ret = write(fd, text, len) == len ? 0 : -1;
	close(fd);
	return ret;
}

/* Writes a word to each page, as far as they can be written. */
static int touch(uint64_t address, uint64_t size)
{
	int done = 0;

	for (uint64_t end = address + size; address < end; address += PAGE, done++) {
		uint64_t word = address ^ 0x5deece66d;
		struct iovec from = { &word, 8 }, to = { (void *)address, 8 };

		if (process_vm_writev(getpid(), &from, 1, &to, 1, 0) != 8)
			break;
	}
	return done;
}

static int dirty_or_unmap(const struct step *s, struct answer *answer)
{
	static void *const where[] = { [GOOD] = (void *)AREA(BITS), [BAD] = (void *)8, [KERNEL] = (void *)(-1ull << 47),
				      [READ_ONLY_ARGUMENT] = (void *)AREA(BITS) };
	struct vfio_bitmap bitmap = { s->a[3], s->a[4], where[s->a[5] % 4] };
	struct {
		struct vfio_iommu_type1_dma_unmap u;
		struct vfio_bitmap bitmap;
	} unmap = { { s->a[6], s->a[0], s->a[1], s->a[2] }, bitmap };
	struct {
		struct vfio_iommu_type1_dirty_bitmap d;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} dirty = { { s->a[6], s->a[0] }, { s->a[1], s->a[2], bitmap } };
	int ret;

	if (s->op == DIRTY ? s->a[0] & VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP : s->a[0] & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		memset((void *)AREA(BITS), 0x5a, area_size[BITS]);
	if (s->op == DIRTY)
		return ioctl(world->container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
	if (s->a[5] == READ_ONLY_ARGUMENT) {
		memcpy((void *)AREA(TAIL), &unmap, sizeof(unmap));
		mprotect((void *)AREA(TAIL), PAGE, PROT_READ);
		ret = ioctl(world->container, VFIO_IOMMU_UNMAP_DMA, (void *)AREA(TAIL));
		/* It is not one that sets errno. */
		mprotect((void *)AREA(TAIL), PAGE, RW_PROT);
		return ret;
	}
	ret = ioctl(world->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
	answer->value = unmap.u.size;
	unmap.u.size = 0;
	answer->hash = hash(&unmap, sizeof(unmap));
	return ret;
}

static int emulated(const struct step *s, struct answer *answer)
{
	struct test_emulated c = { .iova = s->a[0], .count = s->a[1] };

	switch (s->op) {
	case PIN:
		c.command = TEST_PIN;
		c.prot = s->a[2];
		break;
	case UNPIN:
		c.command = TEST_UNPIN;
		break;
	case RW:
		c.command = s->a[2] & 1 ? TEST_WRITE : TEST_READ;
		c.flags = s->a[2] & 2 ? TEST_KTHREAD : 0;
		memset(c.data, s->a[0] >> 4, sizeof(c.data));
		break;
	default:
		c = (struct test_emulated){ .command = TEST_NOTIFIED };
		break;
	}
	if (write(world->emulated, &c, sizeof(c)) != sizeof(c))
		return -1;
	answer->value = c.ret;
	answer->hash = hash(c.data, sizeof(c.data));
	return 0;
}

static int perform_one(const struct step *s, struct answer *answer)
{
	struct vfio_iommu_type1_dma_map map;
	const uint64_t *a = s->a;
	uint8_t info[256];

	switch (s->op) {
	case MAP:
		map = (struct vfio_iommu_type1_dma_map){ a[4], a[0], a[2], a[1], a[3] };
		return ioctl(world->container, VFIO_IOMMU_MAP_DMA, &map);
	case UNMAP:
	case DIRTY:
		return dirty_or_unmap(s, answer);
	case INFO:
		memset(info, 0xa5, sizeof(info));
		memcpy(info, &a[0], 4);
		int ret = ioctl(world->container, VFIO_IOMMU_GET_INFO, info);

		answer->hash = hash(info, sizeof(info));
		return ret;
	case EXTENSION:
		return ioctl(world->container, VFIO_CHECK_EXTENSION, a[0]);
	case BAD_POINTER:
		return ioctl(world->container, (VFIO_TYPE << 8) | (VFIO_BASE + a[0]), a[1] ? AREA(TAIL) + PAGE - a[1] : 0);
	case JOIN:
		return ioctl(world->group[a[0]], VFIO_GROUP_SET_CONTAINER, &world->container);
	case LEAVE:
		return ioctl(world->group[a[0]], VFIO_GROUP_UNSET_CONTAINER);
	case SET_IOMMU:
		return ioctl(world->container, VFIO_SET_IOMMU, a[0]);
	case OPEN:
		return open_device(a[0]);
	case CLOSE:
		return close_device(a[0]);
	case RLIMIT:
		return setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ a[0], RLIM_INFINITY });
	case CAP_LOCK:
		return cap_lock(a[0]);
	case PARAM:
		return set_param(a[0], a[1]);
	case MEM_MAP:
		return mmap((void *)a[0], a[1], a[2], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0;
	case MEM_UNMAP:
		return munmap((void *)a[0], a[1]);
	case MEM_PROTECT:
		return mprotect((void *)a[0], a[1], a[2]);
	case MEM_ADVISE:
		return madvise((void *)a[0], a[1], a[2]);
	case MEM_LOCK:
		return mlock((void *)a[0], a[1]);
	case MEM_UNLOCK:
		return munlock((void *)a[0], a[1]);
	case MEM_TOUCH:
		return touch(a[0], a[1]);
	default:
		return emulated(s, answer);
	}
}

static struct answer perform(const struct step *s)
{
	struct answer answer = { 0 };

	errno = 0;
	answer.ret = perform_one(s, &answer);
	answer.error = answer.ret < 0 ? errno : 0;
	return answer;
}

/* Another actor: does what it is told. */
static void act(int who)
{
	struct answer answer = { 0 };
	struct step s;

	while (read(world->to[who][0], &s, sizeof(s)) == sizeof(s)) {
		if (s.op == EXIT)
			break;
		if (s.op == EXEC) {
			char number[2][12];

			sprintf(number[0], "%d", who);
			sprintf(number[1], "%d", shared_fd);
			execl("/proc/self/exe", "type1_steps", "actor", number[0], number[1], NULL);
			fail("exec");
		}
		answer = perform(&s);
		if (write(world->from[who][1], &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

/* It goes on here after an exec, with memory of its own. */
static void act_again(int who, int fd)
{
	struct answer answer = { 0 };

	shared_memory(fd);
	make_memory();
	if (write(world->from[who][1], &answer, sizeof(answer)) == sizeof(answer))
		act(who);
	_exit(1);
}

#endif /* WORLD_H */
