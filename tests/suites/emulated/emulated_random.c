// SPDX-License-Identifier: GPL-2.0
/*
 * Random calls of user space and of an emulated device's driver
 * (vfio_test_emulated.ko) on one type1 container, from a seed; groups with an
 * IOMMU join and leave.
 *
 * usage: emulated_random <group> <device> <steps> <seed> [<group>...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../type1/type1.h"
#include "module/vfio_test_emulated.h"

#define PAGE 4096ull
#define MEM (8ull << 20)

struct dirty {
	struct vfio_iommu_type1_dirty_bitmap d;
	struct vfio_iommu_type1_dirty_bitmap_get g;
};

/* The number of pages of the mapping at each page, 0 where none begins. */
static unsigned int mapped[64];

/*
 * Each mapping by itself: the C module overwrites what is behind the bitmap of
 * one that is not at a multiple of 64 pages from the start of the range.
 */
static void each_dirty(int container, int i)
{
	for (unsigned int page = 0; page < 64; page++) {
		uint64_t bits = 0;
		struct dirty dirty = {
			.d = { sizeof(dirty), VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
			.g = { page * PAGE, mapped[page] * PAGE,
			       { PAGE, sizeof(bits), (void *)&bits } },
		};
		int ret;

		if (!mapped[page])
			continue;
		ret = ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
		printf("%d dirty %x+%x = %d %d bits %lx\n", i, page, mapped[page],
		       ret, ret ? errno : 0, bits);
	}
}

int main(int argc, char **argv)
{
	int container, group, device, more[8], nmore = argc - 5, i, ret;
	long steps = atol(argv[3]);
	uint64_t big[32];
	char path[64];
	char *mem;

	state = strtoull(argv[4], NULL, 0) * 2654435761u + 88172645463325252ull;
	mem = mmap((void *)0x10000000000, MEM, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (i = 0; i < (int)(MEM / 8); i++)
		((uint64_t *)mem)[i] = i * 0x9e3779b97f4a7c15ull;
	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR);
	if (container < 0 || group < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		perror("open");
		return 2;
	}
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, argv[2]);
	if (device < 0) {
		perror(argv[2]);
		return 2;
	}
	for (i = 0; i < nmore && i < 8; i++) {
		snprintf(path, sizeof(path), "/dev/vfio/%s", argv[i + 5]);
		more[i] = open(path, O_RDWR);
	}

	for (i = 0; i < steps; i++) {
		struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };
		struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap) };
		struct dirty dirty = { .d.argsz = sizeof(dirty) };
		struct test_emulated c = { 0 };
		uint64_t asked;
		int n;

		switch (below(20)) {
		case 0 ... 3:
			map.flags = below(4) ? 3 : below(3) + 1;
			map.iova = below(64) * PAGE;
			map.size = (below(16) + 1) * PAGE;
			map.vaddr = (uint64_t)mem + below(MEM / PAGE + 8) * PAGE;
			ret = ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
			if (!ret)
				mapped[map.iova / PAGE] = map.size / PAGE;
			printf("%d map %x %llx %llx = %d %d lck %ld\n", i, map.flags,
			       map.iova, map.size, ret, ret ? errno : 0, locked_kib());
			break;
		case 4 ... 5:
			unmap.iova = below(8) ? below(64) * PAGE : 0;
			unmap.size = (below(64) + 1) * PAGE;
			if (!below(10)) {
				unmap.iova = unmap.size = 0;
				unmap.flags = 2;
			}
			asked = unmap.size;
			ret = ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap);
			for (unsigned int page = 0; !ret && page < 64; page++)
				if (unmap.flags || (page * PAGE >= unmap.iova &&
						    page * PAGE - unmap.iova < asked))
					mapped[page] = 0;
			printf("%d unmap %llx = %d %d %llx lck %ld\n", i, unmap.iova,
			       ret, ret ? errno : 0, unmap.size, locked_kib());
			break;
		case 6 ... 7:
			if (!nmore)
				break;
			n = below(nmore);
			if (below(2)) {
				ret = ioctl(more[n], VFIO_GROUP_SET_CONTAINER, &container);
				printf("%d join %d = %d %d lck %ld\n", i, n, ret,
				       ret ? errno : 0, locked_kib());
			} else {
				ret = ioctl(more[n], VFIO_GROUP_UNSET_CONTAINER);
				printf("%d leave %d = %d %d lck %ld\n", i, n, ret,
				       ret ? errno : 0, locked_kib());
			}
			break;
		case 8:
			dirty.d.flags = 1 << below(3);
			if (dirty.d.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP) {
				each_dirty(container, i);
				break;
			}
			ret = ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &dirty);
			printf("%d dirty %x = %d %d\n", i, dirty.d.flags, ret,
			       ret ? errno : 0);
			break;
		case 9:
			memset(big, 0, sizeof(big));
			memcpy(big, &(uint32_t){ sizeof(big) }, sizeof(uint32_t));
			ret = ioctl(container, VFIO_IOMMU_GET_INFO, big);
			printf("%d info = %d %x ext %d\n", i, ret, hash(big, sizeof(big)),
			       ioctl(container, VFIO_CHECK_EXTENSION, 10));
			break;
		default:
			c.command = below(5);
			if (c.command == TEST_POKE)
				c.command = TEST_NOTIFIED;
			c.iova = below(72) * PAGE;
			c.count = below(4) + 1;
			c.prot = below(3) + 1;
			if (c.command == TEST_READ || c.command == TEST_WRITE) {
				c.iova += below(PAGE);
				c.count = below(64) + 1;
				memset(c.data, i, sizeof(c.data));
			}
			ret = write(device, &c, sizeof(c));
			printf("%d command %u %llx %u %x = %d %d data %x lck %ld\n", i,
			       c.command, c.iova, c.count, c.prot, ret, c.ret,
			       hash(c.data, sizeof(c.data)), locked_kib());
			break;
		}
	}
	close(device);
	for (i = 0; i < nmore && i < 8; i++)
		close(more[i]);
	close(group);
	close(container);
	printf("end lck %ld memory %x\n", locked_kib(), hash(mem, MEM));
	return 0;
}
