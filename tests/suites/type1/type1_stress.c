// SPDX-License-Identifier: GPL-2.0
/*
 * Random MAP/UNMAP/DIRTY/GET_INFO calls on a type1 container, from a seed.
 *
 * usage: type1_stress <group> <steps> <seed> [v1|v2] [user|root] [<group>...]
 *
 * Further groups join and leave the container now and then.
 *
 * Prints a line for each step: the call, its result, its errno, what it wrote
 * back and how much memory is locked.  Two implementations are compared by
 * comparing what they print.
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
#include <sys/resource.h>
#include <unistd.h>

#include "type1.h"

#define PAGE 4096ull
#define MEM (64ull << 20)

static uint64_t random_iova(void)
{
	switch (below(12)) {
	case 0:
		return 0xfee00000ull + below(0x200) * PAGE - 0x100000;
	case 1:
		return -(below(64) + 1) * PAGE;
	case 2:
		return rnd();
	case 3:
		return (1ull << 39) - below(16) * PAGE;
	default:
		return below(96) * PAGE * (below(3) ? 1 : 16);
	}
}

static uint64_t random_size(void)
{
	switch (below(16)) {
	case 0:
		return 0;
	case 1:
		return rnd();
	case 2:
		return below(8192);
	case 3:
		return (below(8) + 1) << 20;
	case 4:
		return -PAGE * (below(4) + 1);
	default:
		return (below(32) + 1) * PAGE;
	}
}

int main(int argc, char **argv)
{
	int more[16], nmore = argc > 6 ? argc - 6 : 0;
	int container, group, ret, i, v1 = argc > 4 && !strcmp(argv[4], "v1");
	struct rlimit lim = { 6 << 20, 6 << 20 };
	char path[64];
	char *mem, *ro;
	long steps = atol(argv[2]);

	state = strtoull(argv[3], NULL, 0) * 2654435761u + 88172645463325252ull;
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	mem = mmap((void *)0x10000000000, MEM, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	ro = mmap((void *)0x10000000000 + MEM, 1 << 20, PROT_READ,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (mem == MAP_FAILED || ro == MAP_FAILED)
		return 2;
	madvise(mem, MEM / 2, MADV_HUGEPAGE);
	madvise(mem + MEM / 2, MEM / 2, MADV_NOHUGEPAGE);
	munmap(mem + (40 << 20), 64 << 10);

	container = open("/dev/vfio/vfio", O_RDWR);
	snprintf(path, sizeof(path), "/dev/vfio/%s", argv[1]);
	group = open(path, O_RDWR);
	if (container < 0 || group < 0 ||
	    ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU,
		  v1 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU)) {
		perror("open");
		return 2;
	}
	/* Root without CAP_IPC_LOCK has a limit. */
	setrlimit(RLIMIT_MEMLOCK, &lim);
	for (i = 6; i < argc; i++) {
		snprintf(path, sizeof(path), "/dev/vfio/%s", argv[i]);
		more[i - 6] = open(path, O_RDWR);
	}
	if (argc > 5 && !strcmp(argv[5], "user") && setresuid(65534, 65534, 65534))
		return 2;
	for (i = 0; i < 14; i++)
		printf("extension %d %d\n", i,
		       ioctl(container, VFIO_CHECK_EXTENSION, (long)i));

	for (i = 0; i < steps; i++) {
		struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };
		char ubuf[sizeof(struct vfio_iommu_type1_dma_unmap) +
			  sizeof(struct vfio_bitmap)] = { 0 };
		struct vfio_iommu_type1_dma_unmap *unmap = (void *)ubuf;
		struct vfio_bitmap *bm = (void *)unmap->data;
		char dbuf[sizeof(struct vfio_iommu_type1_dirty_bitmap) +
			  sizeof(struct vfio_iommu_type1_dirty_bitmap_get)] = { 0 };
		struct vfio_iommu_type1_dirty_bitmap *dirty = (void *)dbuf;
		struct vfio_iommu_type1_dirty_bitmap_get *get = (void *)dirty->data;
		static uint64_t bits[4096];
		uint64_t big[64] = { 0 };
		struct vfio_iommu_type1_info *info = (void *)big;

		if (nmore && !below(20)) {
			int n = below(nmore), in = below(2);

			ret = in ? ioctl(more[n], VFIO_GROUP_SET_CONTAINER, &container)
				 : ioctl(more[n], VFIO_GROUP_UNSET_CONTAINER);
			printf("%d %s %d = %d %d lck %ld\n", i, in ? "join" : "leave", n, ret,
			       ret ? errno : 0, locked_kib());
			continue;
		}
		switch (below(16)) {
		case 0 ... 6:
			map.flags = below(16) ? below(3) + 1 : below(16);
			map.iova = random_iova();
			map.size = random_size();
			map.vaddr = below(20) ? (uint64_t)mem + below(MEM / PAGE + 64) * PAGE
					      : rnd();
			if (!below(30))
				map.argsz = below(40);
			ret = ioctl(container, VFIO_IOMMU_MAP_DMA, &map);
			printf("%d map %x %llx %llx %llx = %d %d lck %ld\n", i,
			       map.flags, map.vaddr, map.iova, map.size, ret,
			       ret ? errno : 0, locked_kib());
			break;
		case 7 ... 11:
			unmap->argsz = sizeof(*unmap);
			unmap->flags = below(12) ? 0 : below(9);
			unmap->iova = random_iova();
			unmap->size = random_size();
			if (unmap->flags & 2 && below(2))
				unmap->iova = unmap->size = 0;
			if (unmap->flags & 1) {
				unmap->argsz = sizeof(ubuf) - (below(8) ? 0 : 8);
				bm->pgsize = below(8) ? 4096 : 8192;
				bm->size = below(8) ? sizeof(bits) : below(64);
				bm->data = (void *)bits;
				memset(bits, 0x5a, sizeof(bits));
			}
			ret = ioctl(container, VFIO_IOMMU_UNMAP_DMA, unmap);
			printf("%d unmap %x %llx = %d %d size %llx lck %ld bits %x\n", i,
			       unmap->flags, unmap->iova, ret, ret ? errno : 0,
			       unmap->size, locked_kib(),
			       unmap->flags & 1 ? hash(bits, sizeof(bits)) : 0);
			break;
		case 12:
			unmap->argsz = sizeof(*unmap);
			unmap->flags = VFIO_DMA_UNMAP_FLAG_ALL;
			if (below(6))
				continue;
			ret = ioctl(container, VFIO_IOMMU_UNMAP_DMA, unmap);
			printf("%d unmap all = %d %d size %llx lck %ld\n", i, ret,
			       ret ? errno : 0, unmap->size, locked_kib());
			break;
		case 13:
			dirty->argsz = sizeof(dbuf) - (below(10) ? 0 : below(50));
			dirty->flags = below(8) ? 1u << below(3) : below(9);
			/* A flagless call is undefined in C. */
			if (!dirty->flags)
				continue;
			get->iova = random_iova();
			get->size = random_size();
			get->bitmap.pgsize = below(8) ? 4096 : 1 << below(20);
			get->bitmap.size = below(8) ? sizeof(bits) : below(64);
			get->bitmap.data = (void *)bits;
			memset(bits, 0x5a, sizeof(bits));
			ret = ioctl(container, VFIO_IOMMU_DIRTY_PAGES, dirty);
			printf("%d dirty %x %llx %llx = %d %d bits %x %llx %llx %llx\n",
			       i, dirty->flags, get->iova, get->size, ret,
			       ret ? errno : 0, hash(bits, sizeof(bits)),
			       (unsigned long long)bits[0], (unsigned long long)bits[1],
			       (unsigned long long)bits[2]);
			break;
		case 14:
			info->argsz = below(4) ? sizeof(big) : below(160);
			ret = ioctl(container, VFIO_IOMMU_GET_INFO, info);
			printf("%d info = %d %d hash %x\n", i, ret, ret ? errno : 0,
			       hash(big, sizeof(big)));
			break;
		default:
			ret = ioctl(container, VFIO_TYPE << 8 | (VFIO_BASE + 12 + below(12)), 0L);
			printf("%d null = %d %d\n", i, ret, ret ? errno : 0);
			break;
		}
	}
	close(group);
	close(container);
	printf("end lck %ld\n", locked_kib());
	return 0;
}
