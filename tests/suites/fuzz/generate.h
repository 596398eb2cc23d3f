/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Makes the script of an episode from a seed: bursts of steps on one subject, most of them nearly right. It looks at the
 * devices as sysfs shows them, never at what a call answers, so the same seed gives the same script on all modules.
 *
 * What the C modules do not survive is left out: see the comments, and Documentation/differences.rst.
 */
#ifndef FUZZ_GENERATE_H
#define FUZZ_GENERATE_H

#include "ops.h"

static struct script *out;
static bool dirty_episode; /* dirty pages are tracked; see `iova` */
static bool node_episode; /* devices are used by their own nodes, where there are any */

static void emit(enum op op, const uint64_t *args, unsigned count)
{
	struct step *step = &out->steps[out->count];

	if (out->count == MAX_STEPS)
		return;
	out->count++;
	memset(step, 0, sizeof(*step));
	step->op = op;
	memcpy(step->a, args, count * sizeof(*args));
}

#define EMIT(op, ...) do { \
	const uint64_t args_[] = { __VA_ARGS__ }; \
	_Static_assert(ARRAY_SIZE(args_) <= ARGS, "too many arguments"); \
	emit(op, args_, ARRAY_SIZE(args_)); \
} while (0)

static uint64_t odd_number(void)
{
	static const uint64_t some[] = {
		0, 1, 2, 3, 4, 5, 7, 8, 12, 16, 19, 20, 24, 31, 32, 33, 63, 255, 256, 2047, 2048, 4095, 4096, 0xffff,
		0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0x100000000, 1ULL << 39, (1ULL << 40) - 1,
		1ULL << 40, 1ULL << 62, INT64_MAX - 8, INT64_MAX, 1ULL << 63, UINT64_MAX - 8, UINT64_MAX - 3, UINT64_MAX,
	};

	return chance(4) ? next() : PICK(some);
}

/* A slot of this kind, now and then any other, or what is no descriptor. */
static uint64_t pick(unsigned first, unsigned count)
{
	if (chance(20))
		return below(SLOTS + 4);
	return first + below(chance(8) ? count : chance(4) ? 2 : 1);
}

static uint64_t container(void) { return node_episode && chance(3) ? pick(IOMMUFDS, 2) : pick(CONTAINERS, 2); }
static uint64_t group(void) { return pick(GROUPS, target_count); }
static uint64_t device(void) { return node_episode && !chance(4) ? pick(NODES, 2) : pick(DEVICES, 4); }

static uint64_t placing(void)
{
	uint64_t how = below(8);

	if (!chance(8) || how == IN_BAR)
		return chance(3) ? EDGE : PLAIN;
	return how | below(64) << 3;
}

static uint64_t argsz(uint64_t right)
{
	switch (below(8)) {
	case 0: return below(80);
	case 1: return odd_number() & 0xffffffff;
	case 2: return right + below(16);
	default: return right;
	}
}

/* Everything open and ready, as far as it is not. */
static void burst_open(void)
{
	unsigned which = chance(4) ? below(target_count) : 0;
	uint64_t type = chance(3) ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU;

	if (chance(4)) {
		for (unsigned i = CONTAINERS; i < OUTPUTS; i++)
			EMIT(CLOSE, i);
	}
	if (node_episode && !chance(4)) {
		EMIT(OPEN_IOMMUFD, IOMMUFDS, 0, 0, 0, 0, 0, 0, 1);
		EMIT(OPEN_NODE, NODES, which, 0, 0, 0, 0, 0, 1);
		EMIT(BIND, NODES, IOMMUFDS, sizeof(struct vfio_device_bind_iommufd));
		EMIT(IOAS_ALLOC, IOMMUFDS);
		EMIT(ATTACH, NODES, 2, sizeof(struct vfio_device_attach_iommufd_pt));
		return;
	}
	EMIT(OPEN_CONTAINER, CONTAINERS, 0, 0, 0, 0, 0, 0, 1);
	EMIT(OPEN_GROUP, GROUPS + which, which, 0, 0, 0, 0, 0, 1);
	EMIT(SET_CONTAINER, GROUPS + which, CONTAINERS, 0);
	EMIT(SET_IOMMU, CONTAINERS, type);
	EMIT(GET_DEVICE, GROUPS + which, which, 0, DEVICES, 0, 0, 0, 1);
	if (chance(3)) {
		which = below(target_count);
		EMIT(OPEN_GROUP, GROUPS + which, which, 0, 0, 0, 0, 0, 1);
		EMIT(SET_CONTAINER, GROUPS + which, CONTAINERS, 0);
		EMIT(GET_DEVICE, GROUPS + which, which, 0, DEVICES + 1, 0, 0, 0, 1);
	}
}

static void burst_infos(void)
{
	switch (below(8)) {
	case 0: EMIT(DEVICE_INFO, device(), argsz(sizeof(struct vfio_device_info)), placing(), chance(4) ? odd_number() : 0); break;
	case 1:
	case 2: EMIT(REGION_INFO, device(), chance(6) ? odd_number() : below(12), argsz(chance(2) ? 128 : 32), placing(), 0); break;
	case 3: EMIT(IRQ_INFO, device(), chance(6) ? odd_number() : below(7), argsz(16), placing(), 0); break;
	case 4: EMIT(HOT_INFO, device(), argsz(chance(2) ? 256 : 12), placing(), chance(6) ? odd_number() : 0); break;
	case 5: EMIT(IOMMU_INFO, container(), argsz(chance(2) ? 128 : 16), placing()); break;
	case 6: EMIT(GROUP_STATUS, group(), argsz(8), placing()); break;
	default: EMIT(EXTENSION, container(), chance(8) ? odd_number() : below(14)); break;
	}
}

static void burst_irqs(void)
{
	static const uint64_t datas[] = { 1, 2, 4, 4, 4 }, actions[] = { 32, 32, 32, 8, 16 };
	uint64_t flags = PICK(datas) | PICK(actions), index = below(5), start = 0, count = !chance(4), size = 0;

	if ((index == 1 || index == 2) && targets[0].msix && !chance(3)) {
		start = chance(2) ? 0 : below(6);
		count = below(6);
	}
	if (!chance(3)) {
		/* As it has to be. */
		EMIT(SET_IRQS, device(), flags, targets[0].msi && index > 2 ? 1 : index, start, count, 0, 0,
		     next() & (chance(6) ? 0xf3f333f33f33f33fULL : 0x3333333333333333ULL));
		if (chance(3))
			EMIT(EVENTS);
		return;
	}
	if (chance(4)) {
		flags = 1 | 32;
		start = count = 0;
	} else if (chance(8)) {
		size = odd_number() & 0xffffffff;
	}
	if (chance(12))
		flags = chance(2) ? below(64) : odd_number();
	if (chance(12))
		index = odd_number();
	if (chance(12))
		start = odd_number();
	if (chance(12))
		count = odd_number();
	EMIT(SET_IRQS, device(), flags, index, start, count, size, placing(), next());
	if (chance(3))
		EMIT(EVENTS);
	else if (chance(6))
		EMIT(SIGNAL, below(4), chance(8) ? odd_number() : 1);
	if (targets[0].id == EDU && chance(5))
		EMIT(EDU_IRQ, DEVICES, below(2));
}

static uint64_t config_offset(const struct target *t)
{
	uint64_t at;

	switch (below(10)) {
	case 0: return FROM_END | (uint32_t)(int32_t)(below(16) - 12);
	case 1: return odd_number() & ~(FROM_END | NEGATIVE);
	case 2: return NEGATIVE | below(16);
	case 3:
	case 4: return below(t->size[VFIO_PCI_CONFIG_REGION_INDEX]);
	case 5: return below(64);
	default:
		/* In a capability, or across its start. */
		at = t->cap_count ? t->caps[below(t->cap_count)] : 0x40;
		return at + below(24) - 3;
	}
}

/* Memory of the device goes, or comes back. */
static void memory_off_or_on(void)
{
	EMIT(CONFIG_WRITE, device(), PCI_COMMAND, 2, chance(2) ? PCI_COMMAND_MEMORY : 0, 0);
}

static void burst_config(void)
{
	const struct target *t = &targets[chance(4) ? below(target_count) : 0];
	uint64_t value = chance(3) ? (chance(2) ? ~0ULL : 0) : chance(2) ? 1ULL << below(32) : next(), at;

	switch (below(10)) {
	case 0: /* Command: decoding on and off, interrupts; never DMA. */
		value = (next() & 0x403) | 2 * !chance(3);
		EMIT(CONFIG_WRITE, device(), 4, 1 + below(2), value, placing());
		break;
	case 1:
		EMIT(CONFIG_WRITE, device(), 0x10 + below(32), 1 + below(4), value, placing());
		break;
	case 2:
		if (t->pm)
			EMIT(CONFIG_WRITE, device(), t->pm + PCI_PM_CTRL, 2, chance(2) ? 0 : 3, 0);
		break;
	case 3:
	case 4:
		at = config_offset(t);
		/* The command register is the first case; a reset in a hundred is enough. */
		if (at / 4 == 1 || at == 3 || (t->slow && t->exp && at / 4 == (t->exp + PCI_EXP_DEVCTL) / 4 && !chance(10)))
			break;
		/* Virtual, but with these bits on the device would be reset. */
		EMIT(CONFIG_WRITE, device(), at, chance(8) ? below(9) : 1 << below(3), value, placing());
		break;
	default:
		EMIT(CONFIG_READ, device(), config_offset(t), chance(4) ? below(9) : chance(8) ? below(8192) : 1 << below(3), placing());
		break;
	}
}

static uint64_t region_offset(const struct target *t, uint64_t region)
{
	uint64_t size = region < 9 ? t->size[region] : 0;

	switch (below(8)) {
	case 0: return FROM_END | (uint32_t)(int32_t)(below(24) - 12);
	case 1: return odd_number() & ~(FROM_END | NEGATIVE);
	case 2: return NEGATIVE | below(5000);
	case 3: return size ? below(size) & ~7ULL : 0;
	default: return below(chance(2) ? 0x100 : 0x1000) & (chance(4) ? ~0ULL : ~3ULL);
	}
}

static uint64_t region(const struct target *t)
{
	uint64_t index = 0;

	if (chance(5))
		return chance(6) ? below(1 << 23) : below(12);
	for (unsigned i = 0; i < 8 && !t->size[index]; i++)
		index = below(6);
	return index;
}

static void burst_regions(void)
{
	const struct target *t = &targets[0];
	uint64_t index = region(t), at = region_offset(t, index), size = chance(3) ? below(chance(8) ? 1024 : 24) : 1 << below(4);

	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return;
	if (chance(8))
		memory_off_or_on();
	if (chance(3))
		EMIT(REGION_READ, device(), index, below(0x40) * 4, 4, 0);
	else if (chance(2))
		EMIT(REGION_READ, device(), index, at, size, placing());
	else
		EMIT(REGION_WRITE, device(), index, at, size % 200, placing(), next());
}

static void burst_maps(void)
{
	static const uint64_t protections[] = { 1, 3, 3, 3, 2, 0, 5, 7 };
	const struct target *t = &targets[0];
	uint64_t index = region(t), i = below(MAPS), size = index < 6 ? t->size[index] : 0, length, offset;

	if (chance(16))
		memory_off_or_on();
	switch (below(9)) {
	case 8:
		EMIT(MMAP, device(), i, index, 0, size && size <= 1 << 30 && chance(2) ? size : PAGE, chance(4) ? 1 : 3);
		EMIT(TOUCH, i, below(0x100) & ~7ULL, 2, 0);
		break;
	case 0:
	case 1:
		length = size && size <= 1 << 30 && !chance(3) ? size : (1 + below(16)) * PAGE;
		offset = chance(2) ? 0 : chance(3) ? (odd_number() & ~(FROM_END | NEGATIVE) & -PAGE) : below(16) * PAGE;
		if (chance(6))
			offset = FROM_END | (uint32_t)(-(int32_t)(below(3) * PAGE));
		EMIT(MMAP, device(), i, index, offset, chance(10) ? length + below(2 * PAGE) : length,
		     PICK(protections) | (chance(10) ? 8 : 0) | (chance(4) ? 16 : 0) | (chance(10) ? 32 : 0));
		break;
	case 2:
		EMIT(MUNMAP, i, chance(2) ? 0 : below(4), chance(2) ? 0 : 1 + below(4));
		break;
	case 3:
		EMIT(MTRICK, i, below(8), below(32));
		break;
	default:
		EMIT(TOUCH, i, (chance(3) ? below(16) * PAGE : 0) + (below(0x100) & ~7ULL), below(4), chance(3), next());
		break;
	}
}

/*
 * In C a dirty bitmap of a mapping that does not start at a multiple of 64 pages from where the query does is shifted
 * in place, beyond its end: where dirty pages are tracked, nothing starts anywhere else.
 */
static uint64_t iova(void)
{
	static const uint64_t some[] = { 0, 1, 0xfff, 0x1000, 0xfee00000, 0xfedff000, 0xfef00000, 1ULL << 32,
		(1ULL << 39) - 0x1000, 1ULL << 39, 1ULL << 47, 1ULL << 48, (1ULL << 48) - 0x1000, 1ULL << 57, 1ULL << 63,
		~0ULL - 0xfff, ~0ULL };

	if (dirty_episode)
		return below(6) * 64 * PAGE;
	return chance(8) ? PICK(some) : 0x100000 + below(32) * PAGE;
}

static uint64_t dma_size(void)
{
	static const uint64_t some[] = { 0, 1, 0xfff, 0x1001, 1ULL << 32, 1ULL << 63, ~0ULL - 0xfff, ~0ULL };

	return chance(12) ? PICK(some) : (1 + below(8)) * PAGE;
}

static uint64_t vaddr(void)
{
	if (chance(20))
		return ADDRESS(1, (odd_number() & -PAGE) << 8 >> 8);
	if (chance(8))
		return ADDRESS(2, below(MAPS) << 40 | below(8) * PAGE);
	return ADDRESS(0, below(RAM_PAGES) * PAGE + (chance(20) ? below(PAGE) : 0));
}

static void burst_dma(void)
{
	uint64_t pgsize = chance(10) ? 1ULL << below(20) : PAGE, bytes = chance(4) ? below(70) : 64;
	uint64_t flags = 0;

	switch (below(dirty_episode ? 5 : 4)) {
	case 0:
	case 1:
		if (!chance(3)) {
			/* As it has to be, next to others. */
			EMIT(MAP, CONTAINERS, 1 + below(3), ADDRESS(0, below(RAM_PAGES - 2) * PAGE),
			     dirty_episode ? iova() : 0x100000 + below(32) * PAGE, (1 + below(2)) * PAGE, 32, 0);
			break;
		}
		EMIT(MAP, container(), chance(10) ? below(16) : 1 + below(3), vaddr(), iova(), dma_size(), argsz(32), placing());
		break;
	case 2:
		if (chance(8))
			flags = chance(2) ? VFIO_DMA_UNMAP_FLAG_ALL : below(16);
		if (dirty_episode && chance(3))
			flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
		if (!dirty_episode)
			flags &= ~VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
		if (!dirty_episode && chance(5)) {
			/* All of many; what became of them is seen by how many more there may be. */
			EMIT(UNMAP, container(), 0, 0x100000, 0x100000, 24, 0);
			EMIT(IOMMU_INFO, container(), 128, 0);
			break;
		}
		EMIT(UNMAP, container(), flags, flags == VFIO_DMA_UNMAP_FLAG_ALL && !chance(4) ? 0 : iova(),
		     flags == VFIO_DMA_UNMAP_FLAG_ALL && !chance(4) ? 0 : dma_size(),
		     flags & 1 ? argsz(sizeof(struct vfio_iommu_type1_dma_unmap) + sizeof(struct vfio_bitmap)) : argsz(24),
		     placing(), pgsize, bytes);
		break;
	case 3:
		if (chance(2))
			EMIT(LOCKED);
		else
			EMIT(IOMMU_INFO, container(), argsz(128), placing());
		break;
	default:
		flags = chance(3) ? VFIO_IOMMU_DIRTY_PAGES_FLAG_START : chance(4) ? VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP :
			VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
		EMIT(DIRTY, container(), chance(20) ? below(16) : flags, iova(), dma_size(),
		     argsz(sizeof(struct vfio_iommu_type1_dirty_bitmap) + sizeof(struct vfio_iommu_type1_dirty_bitmap_get)),
		     placing(), pgsize, bytes);
		break;
	}
}

static void burst_resets(void)
{
	const struct target *t = &targets[0];
	uint64_t flags = chance(10) ? odd_number() : 0, count = chance(10) ? odd_number() & 0xffffffff : below(4), fds = 0;

	if (t->slow && !chance(6))
		return;
	for (unsigned i = 0; i < 8; i++)
		fds |= (chance(3) ? pick(chance(2) ? DEVICES : CONTAINERS, 4) : GROUPS + below(target_count)) << i * 8;
	if (chance(2))
		EMIT(RESET, device(), chance(10) ? odd_number() : 0);
	else
		EMIT(HOT_RESET, device(), chance(10) ? argsz(16) : 0, flags, count, fds, placing());
}

static void burst_features(void)
{
	uint64_t which = chance(8) ? below(20) : chance(20) ? below(65536) : PICK(((const uint64_t[]){ 0, 3, 4, 5, 5, 10, 11, 1, 2, 6 }));
	uint64_t flags = chance(4) ? below(8) << 16 : chance(2) ? VFIO_DEVICE_FEATURE_SET : VFIO_DEVICE_FEATURE_GET;

	if (chance(20))
		flags |= odd_number() & 0xfff80000;
	if (chance(4) && which != 11) {
		static const uint64_t lengths[] = { 0, 1, 4096, 4096, 8192, 1ULL << 63, ~0ULL - 4095 };

		EMIT(DMA_BUF, device(), BUFFERS + below(2), region(&targets[0]), chance(8) ? odd_number() : 2,
		     chance(8) ? odd_number() & 0xffffffff : below(4), chance(2) ? 0 : region_offset(&targets[0], 0) & -PAGE,
		     PICK(lengths), placing());
		return;
	}
	if (which == VFIO_DEVICE_FEATURE_DMA_BUF)
		flags |= VFIO_DEVICE_FEATURE_PROBE;
	EMIT(FEATURE, device(), which | flags, argsz(chance(3) ? 8 : 48), placing(),
	     which == 4 ? INPUTS + below(4) : odd_number(), chance(2) ? 0 : next(), 0);
}

static void burst_ioeventfds(void)
{
	const struct target *t = &targets[0];
	uint64_t index = region(t), at = region_offset(t, index);

	if (t->id == EDU && chance(2)) {
		index = 0;
		at = chance(2) ? 0x64 : 4;
	}
	EMIT(IOEVENTFD, device(), chance(6) ? odd_number() : 1 << below(4), index, at, chance(4) ? next() : 1,
	     chance(4) ? SLOTS + below(3) : pick(INPUTS, 4), argsz(sizeof(struct vfio_device_ioeventfd)), placing());
	if (chance(3))
		EMIT(SIGNAL, below(4), 1);
}

static void burst_life(void)
{
	unsigned which = below(target_count);

	switch (below(14)) {
	case 0: EMIT(OPEN_CONTAINER, chance(2) ? CONTAINERS + 1 : CONTAINERS); break;
	case 1: EMIT(OPEN_GROUP, GROUPS + below(2), which, chance(6) ? below(4) : 0); break;
	case 2: EMIT(SET_CONTAINER, group(), container(), placing()); break;
	case 3: EMIT(UNSET_CONTAINER, group()); break;
	case 4: EMIT(SET_IOMMU, container(), chance(3) ? below(12) : chance(2) ? 1 : 3); break;
	case 5:
	case 6: EMIT(GET_DEVICE, group(), which, chance(4) ? below(6) : 0, DEVICES + below(4), placing()); break;
	case 7: EMIT(CLOSE, pick(CONTAINERS, 2)); break;
	case 8: EMIT(CLOSE, pick(GROUPS, 2)); break;
	case 9: EMIT(CLOSE, pick(DEVICES, 4)); break;
	case 10: EMIT(CLOSE, chance(4) ? OUTPUTS + below(8) : BUFFERS + below(2)); break;
	case 11: EMIT(DUP, below(BUFFERS + 2), pick(DEVICES, 4)); break;
	case 12: EMIT(PARK, below(8), chance(2)); break;
	default:
		if (chance(4))
			EMIT(DROP_PARKED);
		else
			EMIT(UNPARK, below(8), which);
		break;
	}
}

static void burst_raw(void)
{
	uint64_t nr = chance(10) ? below(256) : below(24), request = _IO(VFIO_TYPE, VFIO_BASE + nr);

	if (chance(8))
		request = _IOC(below(4), chance(2) ? VFIO_TYPE : below(256), below(256), below(64));
	/* With groups that are not ours they would be refused, with none they reset; these have steps of their own. */
	if (targets[0].slow && (nr == 11 || nr == 13))
		return;
	EMIT(IOCTL, below(SLOTS), request, placing(), next(), argsz(chance(2) ? 64 : 24));
}

static void burst_fops(void)
{
	EMIT(FOPS, below(SLOTS), below(12), chance(2) ? odd_number() : (below(10) << 40) + below(8192), below(5));
}

static uint64_t iommufd(void) { return pick(IOMMUFDS, 2); }

static void burst_nodes(void)
{
	uint64_t id = chance(3) ? below(12) : 2, pasid = chance(8) ? odd_number() & INT32_MAX : 0, flags = chance(8) ? below(8) : 0;
	/* If the answer to a PASID cannot be written, C detaches the device; it takes some beyond INT_MAX for attached. */
	uint64_t where = flags & VFIO_DEVICE_ATTACH_PASID ? PLAIN : placing();

	if (!node_episode)
		return;
	switch (below(16)) {
	case 0: EMIT(OPEN_NODE, NODES + below(3), below(target_count), chance(10)); break;
	case 1: EMIT(OPEN_IOMMUFD, IOMMUFDS + below(2)); break;
	case 2:
	case 3: EMIT(BIND, device(), iommufd(), argsz(sizeof(struct vfio_device_bind_iommufd)), placing(), flags); break;
	case 4:
	case 5: EMIT(ATTACH, device(), id, argsz(chance(3) ? 20 : 16), where, flags, pasid); break;
	case 6: EMIT(DETACH, device(), argsz(chance(3) ? 12 : 8), placing(), flags, pasid); break;
	case 7: EMIT(IOAS_ALLOC, iommufd(), chance(10)); break;
	case 8:
	case 9: EMIT(IOAS_MAP, iommufd(), id, vaddr(), iova(), dma_size(), chance(4) ? below(16) : 7); break;
	case 10: EMIT(IOAS_UNMAP, iommufd(), id, chance(4) ? 0 : iova(), chance(4) ? ~0ULL : dma_size()); break;
	case 11: EMIT(DESTROY, iommufd(), below(12)); break;
	case 12: EMIT(HWPT_ALLOC, iommufd(), chance(3) ? below(12) : 1, id, chance(3) ? below(16) : 0); break;
	case 13: EMIT(VFIO_IOAS, iommufd(), below(4), id); break;
	case 14: EMIT(CLOSE, chance(2) ? pick(NODES, 3) : iommufd()); break;
	default:
		if (chance(2))
			EMIT(SET_CONTAINER, group(), iommufd(), placing());
		else
			EMIT(IOAS_MAP_FILE, iommufd(), id, BUFFERS + below(2), iova(), dma_size(), 7, below(4) * PAGE);
		break;
	}
}

static const struct {
	void (*burst)(void);
	unsigned weight;
} subjects[] = {
	{ burst_nodes, 5 },
	{ burst_infos, 4 }, { burst_irqs, 5 }, { burst_config, 6 }, { burst_regions, 4 }, { burst_maps, 5 }, { burst_dma, 5 },
	{ burst_resets, 2 }, { burst_features, 3 }, { burst_ioeventfds, 2 }, { burst_life, 4 }, { burst_raw, 2 }, { burst_fops, 1 },
};

static void burst(void)
{
	unsigned total = 0, which, steps = 1 + below(12);

	for (unsigned i = 0; i < ARRAY_SIZE(subjects); i++)
		total += subjects[i].weight;
	which = below(total);
	for (unsigned i = 0; i < ARRAY_SIZE(subjects); i++) {
		if (which < subjects[i].weight) {
			while (steps--)
				subjects[i].burst();
			return;
		}
		which -= subjects[i].weight;
	}
}

/* The script of an episode. */
static void generate(struct script *script, uint64_t seed, unsigned worker, unsigned episode, unsigned steps)
{
	bool may_unbind, may_remove;

	random_state = (seed * 64 + worker) * 1000003 + episode;
	random_state = (random_state + 1) * 0x9e3779b97f4a7c15ULL;
	for (int i = 0; i < 8; i++)
		next();
	out = script;
	out->count = 0;
	dirty_episode = chance(5);
	may_unbind = chance(8);
	may_remove = chance(8) && targets[0].removable;
	node_episode = !access("/dev/iommu", F_OK) && !chance(3);
	if (!chance(8))
		burst_open();
	while (out->count < steps) {
		burst();
		if (chance(6))
			burst_open();
		if (chance(10)) {
			/* The group leaves, and comes back. */
			for (unsigned i = 0; i < 4; i++)
				EMIT(CLOSE, DEVICES + i);
			EMIT(UNSET_CONTAINER, GROUPS + below(target_count));
			EMIT(GROUP_STATUS, GROUPS + below(target_count), 8);
			burst_open();
		}
		if (chance(4))
			EMIT(EVENTS);
		if (chance(12)) {
			/* The same in a child, which inherits everything and leaves, or is killed. */
			EMIT(FORK);
			burst();
			burst();
			if (chance(3))
				EMIT(DIE);
			EMIT(JOIN);
		}
		if (chance(12)) {
			/* The same while signals arrive. */
			EMIT(TICK, 1000 + below(5000));
			burst();
			burst();
			EMIT(TICK, 0);
		}
		if (chance(16))
			EMIT(LINGER, below(LINGERING));
		if (chance(12))
			EMIT(KILL, below(LINGERING), below(3));
		if (may_unbind && chance(6))
			EMIT(UNBIND, below(target_count));
		if (may_remove && chance(6))
			EMIT(REMOVE, below(target_count));
	}
	EMIT(EVENTS);
	EMIT(UNMAP, CONTAINERS, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, 24, 0);
	EMIT(IOMMU_INFO, CONTAINERS, 128, 0);
	EMIT(LOCKED);
}

#endif
