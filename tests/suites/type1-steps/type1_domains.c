// SPDX-License-Identifier: GPL-2.0
/*
 * Containers with groups of several kinds of IOMMUs (a PCI device's, and those of vfio_test_iommu.ko): what may be
 * mapped, in which pages, as groups join and leave in every order; what is mapped already and does not suit a group that
 * joins; page tables that cannot be updated. Prints what is answered, what is locked and what is pinned.
 *
 * usage: type1_domains PCI-DEVICE
 *        type1_domains PCI-DEVICE cut: an IOMMU that does not unmap what it is told to; C unpins that
 *        type1_domains PCI-DEVICE tracked: dirty pages, of another size all at once; C writes where it has no memory
 */
#include "../transcript.h"
#include "../emulated/emulated.h"

/* Those after USABLE cannot be used with most others, or not at all. */
#define KINDS 9
#define USABLE 6

static const char *names[KINDS] = {
	NULL, "vfio-test-iommu.0", "vfio-test-iommu.1", "vfio-test-iommu.2", "vfio-test-iommu.3", "vfio-test-iommu.4",
	"vfio-test-iommu.5", "vfio-test-iommu.6", "vfio-test-iommu.7",
};

static int container, group[KINDS];
static long pins_before;
static char *ram;

static void state(const char *what, int64_t ret)
{
	printf("  %s = %lld, locked %ld, pins %ld\n", what, (long long)ret, locked_kib(),
	       pins_of_all() - pins_before);
}

static int64_t result(int ret)
{
	return ret < 0 ? -errno : ret;
}

static void param(const char *module, const char *name, int value)
{
	char path[120];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	f = fopen(path, "w");
	if (!f)
		fail("%s", path);
	fprintf(f, "%d", value);
	fclose(f);
}

static void info(const char *when)
{
	struct {
		struct vfio_iommu_type1_info info;
		uint8_t rest[512 - sizeof(struct vfio_iommu_type1_info)];
	} answer = { { .argsz = sizeof(answer) } };
	int64_t ret = result(ioctl(container, VFIO_IOMMU_GET_INFO, &answer));

	printf("  info %s = %lld, coherent %d\n", when, (long long)ret, ioctl(container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU));
	for (size_t i = 0; i < sizeof(answer) / 4 && !ret; i += 8) {
		const uint32_t *w = (uint32_t *)&answer + i;

		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			printf("    %08x %08x %08x %08x %08x %08x %08x %08x\n", w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]);
	}
}

static int64_t join(int k)
{
	return result(ioctl(group[k], VFIO_GROUP_SET_CONTAINER, &container));
}

static int64_t leave(int k)
{
	return result(ioctl(group[k], VFIO_GROUP_UNSET_CONTAINER));
}

static int64_t begin(int k)
{
	int64_t ret = join(k);

	return ret ? ret : result(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
}

/* The edges of what any of them reserves or cannot reach. */
static const uint64_t edges[] = {
	0, 0xf000, 0x10000, 0x37f000, 0x380000, 0x390000, 0x397000, 0x398000, 0x3c0000, 0x3df000, 0x3e0000, 0x3e1000, 0x7fff000,
	0x8000000, 0xfedff000, 0xfee00000, 0xfef00000, 0x1fffff000, 0x200000000, 0x7ffffff000, 0x8000000000, 0xfffffff00000,
	0xffffffeff000, 0xfffffffff000, 0x1000000000000, -PAGE,
};

static void map_edges(bool all)
{
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		int ret = map(container, edges[i], ram, PAGE, 3);

		if (all || ret)
			printf("  map %llx = %d\n", (long long)edges[i], ret);
	}
	state("unmap all", unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL));
}

/* Two kinds in this order; the first leaves, and comes back. */
static void pair(int a, int b)
{
	printf("%s, %s\n", names[a], names[b]);
	state("first", begin(a));
	info("of the first");
	map_edges(false);
	state("map", map(container, 0x100000, ram, 0x80000, 3));
	state("second", join(b));
	info("of both");
	map_edges(false);
	state("map", map(container, 0x100000, ram, 0x80000, 3));
	state("map for reading", map(container, 0x200000, ram, 0x3000, 1));
	state("first leaves", leave(a));
	info("of the second");
	map_edges(false);
	state("map", map(container, 0x100000, ram, 0x80000, 3));
	state("first joins again", join(a));
	info("of both again");
	state("unmap", unmap(container, 0x100000, 0x80000, 0));
	state("second leaves", leave(b));
	info("at the end");
	state("first leaves", leave(a));
	info("of none");
}

/* What is mapped is where the group that joins has no addresses, or reserved ones. */
static void conflicts(int a, int b)
{
	printf("%s is mapped, %s joins\n", names[a], names[b]);
	begin(a);
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		int ret = map(container, edges[i], ram, PAGE, 3);
		int64_t joined = join(b);

		printf("  %llx: map %d, join %lld\n", (long long)edges[i], ret, (long long)joined);
		if (!joined)
			leave(b);
		unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	}
	info("after");
	state("leave", leave(a));
}

/* All at once: mappings of all kinds of pages go into each domain. */
static void everybody(void)
{
	printf("everybody\n");
	state("begin", begin(0));
	for (int i = 0; i < 20; i++)
		if (map(container, 0x100000 + i * 0x10000, ram + i * 0x10000, (i % 16 + 1) * PAGE, i % 3 + 1))
			printf("  map %d failed\n", i);
	state("map 4 MiB", map(container, 0x40000000, ram, 4 << 20, 3));
	for (int k = 1; k < USABLE; k++) {
		state("join", join(k));
		info("");
	}
	state("join again", join(1));
	state("invalidate", unmap(container, 0x40000000, 4 << 20, VFIO_DMA_UNMAP_FLAG_VADDR));
	state("leave", leave(3));
	state("join while an address is invalid", join(3));
	state("validate", map(container, 0x40000000, ram + (4 << 20), 4 << 20, VFIO_DMA_MAP_FLAG_VADDR));
	state("join", join(3));
	state("map", map(container, 0x50000000, ram, 4 << 20, 3));
	for (int k = 0; k < USABLE; k += 2)
		state("leave", leave(k));
	info("of the others");
	state("unmap", unmap(container, 0x40000000, 4 << 20, 0));
	for (int k = 0; k < USABLE; k += 2)
		state("join", join(k));
	state("unmap all", unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL));
	for (int k = 0; k < USABLE; k++)
		state("leave", leave(k));
}

/* How often the modules update page tables is theirs; what each failure leaves behind is not. */
static void failures(void)
{
	int64_t ret = -1;
	int i;

	printf("page tables that cannot be updated\n");
	begin(1);
	join(3);
	join(4);
	map(container, 0x100000, ram, 0x10000, 3);
	state("before", 0);
	for (i = 1; i < 4000; i += i < 40 ? 1 : 97) {
		param("vfio_test_iommu", "fail_map", i);
		ret = map(container, 0x40000000, ram + (1 << 20), 1 << 20, 3);
		param("vfio_test_iommu", "fail_map", 0);
		if (!ret)
			break;
		if (ret != -ENOMEM || locked_kib() != 64)
			state("a map failed", ret);
	}
	state("mapped at last", ret);
	state("unmap", unmap(container, 0x40000000, 1 << 20, 0));
	map(container, 0x40000000, ram + (1 << 20), 1 << 20, 3);
	for (i = 1; i < 4000; i += i < 40 ? 1 : 97) {
		param("vfio_test_iommu", "fail_map", i);
		ret = join(5);
		param("vfio_test_iommu", "fail_map", 0);
		if (!ret)
			break;
		if (ret != -ENOMEM || locked_kib() != 64 + 1024)
			state("a join failed", ret);
	}
	state("joined at last", ret);
	state("leave", leave(5));
	for (i = 1; i < 10; i++) {
		param("vfio_test_iommu", "fail_attach", i);
		ret = join(2);
		param("vfio_test_iommu", "fail_attach", 0);
		if (ret && ret != -ENOMEM)
			state("a join failed", ret);
		if (!ret)
			leave(2);
	}
	info("of those that stayed");
	state("joined", join(2));
	state("leave", leave(2));
	state("unmap all", unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL));
	leave(4);
	leave(3);
	state("leave", leave(1));
}

/* Together two of them leave no address to be mapped, or one does by itself. */
static void nothing_left(void)
{
	printf("no address in common\n");
	state("begin", begin(3));
	state("join", join(6));
	state("join", join(7));
	info("after");
	state("leave", leave(3));
	state("begin with nothing", begin(7));
	state("leave", leave(7));
	state("begin", begin(6));
	info("of the other");
	state("leave", leave(6));
}

/* A group that leaves a domain which stays: its reserved addresses may be mapped again, unless they are the first ones. */
static void shared_domain(void)
{
	printf("groups that share a domain\n");
	state("begin", begin(1));
	state("join", join(8));
	info("of both");
	state("map where it is reserved", map(container, 0, ram, PAGE, 3));
	/* In C they would not be there before the domain goes. */
	state("leave", leave(8));
	state("join", join(8));
	state("leave", leave(1));
	info("of the other one");
	state("leave", leave(8));
	begin(1);
	state("map there", map(container, 0, ram, PAGE, 3));
	state("join", join(8));
	info("after");
	state("leave", leave(1));
}

static void doorbells(void)
{
	const char *path = "/sys/module/vfio_test_iommu/parameters/msi_cookies";

	printf("doorbells %ld\n", number_after(path, ""));
	begin(1);
	leave(1);
	printf("  without %ld\n", number_after(path, ""));
	begin(5);
	leave(5);
	printf("  with %ld\n", number_after(path, ""));
}

static void page_sizes(void)
{
	void *huge = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	printf("page sizes\n");
	if (huge == MAP_FAILED)
		fail("huge pages");
	for (int disable = 0; disable < 2; disable++) {
		begin(1);
		param("vfio_iommu_type1", "disable_hugepages", disable);
		param("vfio_test_iommu", "largest_shift", 0);
		state("map", map(container, 0x40000000, huge, 4 << 20, 3));
		printf("  disable_hugepages %d: largest %ld\n", disable,
		       number_after("/sys/module/vfio_test_iommu/parameters/largest_shift", ""));
		state("unmap", unmap(container, 0x40000000, 4 << 20, 0));
		leave(1);
	}
	param("vfio_iommu_type1", "disable_hugepages", 0);
	munmap(huge, 4 << 20);
}

static void isolation(void)
{
	printf("interrupts that are not isolated\n");
	param("vfio_iommu_type1", "allow_unsafe_interrupts", 0);
	state("first", begin(1));
	state("leave", leave(1));
	state("first, isolated", begin(0));
	state("map", map(container, 0x100000, ram, PAGE, 3));
	state("not isolated", join(1));
	info("of the first");
	param("vfio_iommu_type1", "allow_unsafe_interrupts", 1);
	state("allowed", join(1));
	state("leave", leave(1));
	state("leave", leave(0));
}

/* What a device may still reach stays pinned, and counts no more; everything else is unpinned. */
static void stays(const char *what, long pages)
{
	static long before;
	long now = pins_of_all() - pins_before;

	if (now - before != pages || locked_kib())
		printf("WRONG: ");
	printf("%s: %ld pages stay pinned\n", what, now - before);
	before = now;
}

/* The page tables are those of two domains, of which the second cannot be updated, or neither be unmapped. */
static void cut_short(void)
{
	begin(1);
	join(4);
	param("vfio_test_iommu", "fail_map", 2);
	param("vfio_test_iommu", "cut_unmap", 1);
	map(container, 0x100000, ram, PAGE, 3);
	stays("a map that failed", 1);
	map(container, 0x200000, ram + PAGE, 4 * PAGE, 3);
	param("vfio_test_iommu", "cut_unmap", 1);
	unmap(container, 0x200000, 4 * PAGE, 0);
	stays("an unmap", 4);
	for (int i = 0; i < 8; i++)
		map(container, 0x300000 + i * 0x10000, ram + (8 + i) * PAGE, PAGE, 3);
	param("vfio_test_iommu", "cut_unmap", 5);
	unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	stays("an unmap of 8 mappings", 1);
	for (int i = 0; i < 8; i++)
		map(container, 0x400000 + i * PAGE, ram + (16 + i) * PAGE, PAGE, 3);
	param("vfio_test_iommu", "cut_unmap", 1);
	unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	stays("an unmap of 8 in a row", 8);
	/* More pieces than are remembered. */
	for (int i = 0; i < 512; i++)
		memcpy(ram + (64 + (i * 7) % 512) * PAGE, "touched", 8);
	map(container, 0x600000, ram + 64 * PAGE, 512 * PAGE, 3);
	unmap(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
	stays("an unmap as it should be", 0);
	leave(4);
	leave(1);
	stays("at the end", 0);
}

#define TRACKED (1UL << 20)

/* So many of the pages are dirty; what is behind the bitmap is not written to. */
static void dirty(const char *when, uint64_t page, int64_t error, unsigned int count)
{
	uint64_t bits[8] = { 0 };
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {
		{ .argsz = sizeof(arg), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		{ .iova = TRACKED, .size = TRACKED, .bitmap = { page, (TRACKED / page + 63) / 64 * 8, (void *)bits } },
	};
	size_t words = arg.get.bitmap.size / 8;
	int64_t ret = result(ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &arg));
	unsigned int set = 0, behind = 0;

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		*(i < words ? &set : &behind) += __builtin_popcountll(bits[i]);
	if (ret != error || set != count || behind)
		printf("WRONG: ");
	printf("%s in pages of %llu: %lld, %u dirty, %u behind\n", when, (unsigned long long)page, (long long)ret, set, behind);
}

static void track(uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap arg = { .argsz = sizeof(arg), .flags = flags };

	if (ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &arg))
		fail("tracking %u", flags);
}

/* The smallest page of a container, which is that of its bitmaps, changes with the groups in it. */
static void tracked(void)
{
	const unsigned int small = TRACKED / PAGE, large = TRACKED / 65536;
	char *huge = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	int emulated = open_group("vfio-test-emulated.0"), other = open_group("vfio-test-iommu.8");

	if (huge == MAP_FAILED)
		fail("huge pages");
	if (ioctl(emulated, VFIO_GROUP_SET_CONTAINER, &container) || ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) ||
	    map(container, TRACKED, huge, TRACKED, 3))
		fail("an emulated group");
	track(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	dirty("with an emulated group", PAGE, 0, 0);
	if (ioctl(other, VFIO_GROUP_SET_CONTAINER, &container))
		fail("a group with larger pages");
	dirty("with another", PAGE, -EINVAL, 0);
	dirty("with another", 65536, 0, large);
	if (ioctl(other, VFIO_GROUP_UNSET_CONTAINER))
		fail("it leaves");
	dirty("without", 65536, -EINVAL, 0);
	dirty("without", PAGE, 0, small);
	dirty("again", PAGE, 0, 0);
	if (ioctl(other, VFIO_GROUP_SET_CONTAINER, &container))
		fail("a group with larger pages");
	track(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
	track(VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	dirty("tracked with both", 65536, 0, large);
	if (ioctl(other, VFIO_GROUP_UNSET_CONTAINER))
		fail("it leaves");
	dirty("without", PAGE, 0, small);
	dirty("again", PAGE, 0, 0);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		fail("usage: %s PCI-DEVICE [cut|tracked]", argv[0]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	names[0] = argv[1];
	pins_before = pins_of_all();
	container = open_container();
	for (int k = 0; k < KINDS; k++)
		group[k] = open_group(names[k]);
	ram = memory(8 << 20);
	madvise(ram, 8 << 20, MADV_NOHUGEPAGE);
	memset(ram, 1, 8 << 20);
	if (argc > 2) {
		if (!strcmp(argv[2], "cut"))
			cut_short();
		else
			tracked();
		return 0;
	}
	isolation();
	for (int k = 0; k < KINDS; k++) {
		printf("%s alone\n", names[k]);
		state("begin", begin(k));
		info("");
		map_edges(true);
		state("leave", leave(k));
	}
	for (int a = 0; a < USABLE; a++)
		for (int b = 0; b < USABLE; b++)
			if (a != b && a != 2)
				pair(a, b);
	nothing_left();
	shared_domain();
	doorbells();
	page_sizes();
	conflicts(0, 3);
	conflicts(4, 0);
	conflicts(4, 3);
	conflicts(3, 5);
	conflicts(5, 4);
	everybody();
	failures();
	for (int k = 0; k < KINDS; k++)
		close(group[k]);
	close(container);
	state("closed", 0);
	return 0;
}
