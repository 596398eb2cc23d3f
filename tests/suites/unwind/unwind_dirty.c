// SPDX-License-Identifier: GPL-2.0
/*
 * No dirty page is forgotten when a bitmap of several mappings does not arrive: user memory that ends in any of them, and
 * a cgroup without memory. The C module forgets those of the mappings before.
 *
 * usage: unwind_dirty CGROUP
 * vfio_test_emulated.ko is there; its device dirties pages.
 */
#include "../state.h"
#include "../dirty.h"
#include "../emulated/emulated.h"
#include "../cgroup.h"

#include <sys/wait.h>

#define DEVICE "vfio-test-emulated.0"
/* 64 GiB, of which nothing is touched but what the device writes: a bitmap of 2 MiB, more than a cgroup gets on credit. */
#define LARGE (16UL << 20)

/* One after the other; what follows on the first does not begin at a word of the bitmap. */
static const uint64_t sizes[] = { 5, 70, 53, 192, LARGE };
#define PAGES (5 + 70 + 53 + 192 + LARGE)
#define BYTES (PAGES / 8 + 8)

static const uint64_t dirtied[] = { 0, 4, 5, 63, 64, 74, 75, 127, 128, 130, 319, 320, 70000, PAGES - 1 };
/* The device keeps it pinned. */
static const uint64_t pinned_page = 66;

static struct vfio_user u;
static char *ram;
static int wrong;

static int get(void *bitmap)
{
	return read_dirty(u.container, 0, PAGES * PAGE, bitmap, BYTES & -8) ? -errno : 0;
}

static void dirty_pages(void)
{
	static char byte[8];

	for (size_t i = 0; i < ARRAY_SIZE(dirtied); i++)
		if (dma_rw(u.device, TEST_WRITE, dirtied[i] * PAGE, byte, 4, 0))
			fail("writing to page %lu", dirtied[i]);
}

/* What is dirty is those that were written to, if `written`, and what is pinned; no other bit is set. */
static void expect(bool written, const char *when, long k)
{
	uint64_t *bits = memory(BYTES), *expected = memory(BYTES);
	int ret = get(bits);

	if (written)
		for (size_t i = 0; i < ARRAY_SIZE(dirtied); i++)
			expected[dirtied[i] / 64] |= 1ul << dirtied[i] % 64;
	expected[pinned_page / 64] |= 1ul << pinned_page % 64;
	if (ret) {
		printf("# %s %ld: the whole bitmap: %d\n", when, k, ret);
		wrong++;
	}
	for (size_t i = 0; i < BYTES / 8; i++)
		if (bits[i] != expected[i]) {
			printf("# %s %ld: pages from %zu: %016lx, not %016lx\n", when, k, i * 64, bits[i], expected[i]);
			wrong++;
		}
	munmap(bits, BYTES);
	munmap(expected, BYTES);
}

static void result(const char *name)
{
	static int number, before;

	printf("%s %d %s\n", wrong == before ? "ok" : "not ok", ++number, name);
	before = wrong;
}

/* The bitmap ends where memory does. */
static void ends(void)
{
	static const long there[] = { 0, 8, 16, 24, 32, 40, 48, 4096, 65536, 65576, 131072, 262144, BYTES - 16 };
	char *end = memory(BYTES + 2 * PAGE);
	int ret;

	end = (char *)(((uintptr_t)end + BYTES + PAGE) & -PAGE);
	munmap(end, PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		dirty_pages();
		ret = get(end - there[i]);
		if (ret != -EFAULT) {
			printf("# a bitmap of which %ld bytes are there: %d\n", there[i], ret);
			wrong++;
		}
		expect(true, "bytes that were there:", there[i]);
		expect(false, "and once more:", there[i]);
	}
	result("bitmap-that-ends");
}

/* Another process asks, which cannot have the memory for that. */
static void no_memory(const char *cgroup)
{
	static const long room[] = { 0, 4096, 16384, 65536, 131072 };
	char *bits = memory(BYTES);
	int status;
	pid_t pid;

	memset(bits, 0, BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(room); i++) {
		dirty_pages();
		fflush(stdout);
		pid = fork();
		if (!pid) {
			enter(cgroup, room[i]);
			_exit(get(bits) == -ENOMEM ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		leave(cgroup);
		if (status && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)) {
			printf("# with %ld bytes of memory: ended with %x\n", room[i], status);
			wrong++;
		}
		expect(true, "bytes of memory:", room[i]);
		expect(false, "and once more:", room[i]);
	}
	munmap(bits, BYTES);
	result("bitmap-without-memory");
}

int main(int argc, char **argv)
{
	uint64_t iova = 0;

	if (argc != 2)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	u = open_all(DEVICE, VFIO_TYPE1v2_IOMMU);
	ram = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram == MAP_FAILED)
		fail("mmap");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++, iova += sizes[i - 1] * PAGE)
		if (map(u.container, iova, ram + iova, sizes[i] * PAGE, 3))
			fail("MAP_DMA");
	if (tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START) || pin(u.device, pinned_page * PAGE, 1, READ | WRITE, 0) != 1)
		fail("START");
	expect(false, "at first", 0);
	ends();
	no_memory(argv[1]);
	if (tracking(u.container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP))
		fail("STOP");
	close_all(&u);
	return !!wrong;
}
