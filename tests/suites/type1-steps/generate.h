/* SPDX-License-Identifier: GPL-2.0 */
/* The next step: mostly one that makes sense as things are, often one beside it, now and then nonsense. */
#ifndef GENERATE_H
#define GENERATE_H

#include "model.h"

static uint64_t random_state;

static uint64_t rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t n)
{
	return (rnd() >> 11) % n;
}

static bool one_in(uint64_t n)
{
	return !below(n);
}

#define FROM(...) ({ static const uint64_t v_[] = { __VA_ARGS__ }; v_[below(ARRAY_SIZE(v_))]; })

/* What is different from one script to the next. */
static struct {
	bool v1, emulated, unprivileged, few;
	unsigned int most;
} mood;

static struct map *any_map(void)
{
	return model.count ? &model.maps[below(model.count)] : NULL;
}

static uint64_t odd_address(void)
{
	switch (below(8)) {
	case 0:
		return 0xfee00000 + below(0x200) * PAGE - 0x100000;
	case 1:
		return -(below(64) + 1) * PAGE;
	case 2:
		return (1ull << FROM(38, 39, 40, 47, 48, 56, 57, 63)) + below(32) * PAGE - 16 * PAGE;
	case 3:
		return below(1024) * PAGE + below(PAGE);
	default:
		return below(1024) * PAGE;
	}
}

static uint64_t odd_size(void)
{
	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return -PAGE * (below(4) + 1);
	case 2:
		return below(8192);
	case 3:
		return 1ull << FROM(26, 30, 39, 43, 44, 63);
	default:
		return (below(64) + 1) * PAGE;
	}
}

/* Memory that is there, of a size for it. */
static uint64_t memory(uint64_t *size)
{
	enum area area = FROM(SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, SMALL, THP, THP, THP, HUGETLB, HUGETLB, MEMFD, MEMFD,
			      READ_ONLY, NO_ACCESS, BAR_RW, BAR_RW, BAR_RO);
	uint64_t room = area_size[area] / PAGE, pages, first;

	/* Few large ones: a million steps have to be taken. */
	switch (below(128)) {
	case 0:
		pages = 512 * (below(2) + 1);
		break;
	case 1:
		pages = below(1000) + 1;
		break;
	case 2 ... 9:
		pages = below(70) + 1;
		break;
	case 10 ... 50:
		pages = below(8) + 1;
		break;
	default:
		pages = 1;
		break;
	}
	if (pages > room)
		pages = room;
	/* Sometimes over the end. */
	first = below(room - pages + 1 + (one_in(24) ? pages : 0));
	if (one_in(8))
		first &= ~511ull;
	*size = pages * PAGE;
	return AREA(area) + first * PAGE;
}

static bool taken(uint64_t iova, uint64_t size)
{
	for (int i = 0; i < model.count; i++)
		if (overlaps(&model.maps[i], iova, iova + size - 1))
			return true;
	return false;
}

static void generate_map(struct step *s)
{
	struct map *m = any_map();
	uint64_t size, vaddr = memory(&size), iova = below(1024) * PAGE;

	if (m && one_in(3))
		/* Next to another. */
		iova = one_in(2) ? m->iova + m->size : m->iova - size;
	else if (m && one_in(12))
		iova = m->iova + m->size / PAGE / 2 * PAGE;
	else if (size >= 2 * MIB)
		iova = (1ull << 30) + below(64) * 2 * MIB + (vaddr & (2 * MIB - 1));
	for (int i = 0; i < 4 && taken(iova, size) && !one_in(8); i++)
		iova = below(4096) * PAGE;
	if (one_in(24))
		iova = odd_address();
	if (one_in(60))
		size = odd_size();
	if (one_in(60)) {
		vaddr = FROM(0, 8, PAGE, 1ull << 50, -1ull << 47, -PAGE, 0x7ffffffff000) + (one_in(4) ? below(PAGE) : 0);
		/* The program itself is not as far away, and not the same each time. */
		if (size > MIB)
			size = MIB;
	}
	*s = (struct step){ s->who, MAP, { FROM(1, 2, 3, 3, 3, 3, 3, 3), iova, vaddr, size, sizeof(struct vfio_iommu_type1_dma_map) } };
	if (one_in(50))
		s->a[0] = below(16);
	if (one_in(100))
		s->a[4] = below(40);
}

/* A new address for a mapping that waits for one, or for one that does not. */
static void generate_vaddr(struct step *s)
{
	struct map *m = any_map();
	uint64_t size, vaddr;

	for (int i = 0; i < model.count && !one_in(8); i++)
		if (model.maps[i].invalid)
			m = &model.maps[i];
	generate_map(s);
	s->a[0] = VFIO_DMA_MAP_FLAG_VADDR;
	if (!m)
		return;
	vaddr = one_in(4) ? memory(&size) : m->vaddr;
	s->a[1] = m->iova;
	s->a[2] = vaddr;
	s->a[3] = m->size + (one_in(12) ? PAGE : 0);
}

/* A range: a mapping, several, a part of one, or any. */
static void range(uint64_t *iova, uint64_t *size)
{
	struct map *m = any_map(), *other = any_map();
	uint64_t last;

	*iova = one_in(3) ? odd_address() : below(1024) * PAGE;
	*size = one_in(4) ? odd_size() : (below(128) + 1) * PAGE;
	if (!m)
		return;
	switch (below(16)) {
	case 0 ... 7:
		*iova = m->iova;
		*size = m->size;
		break;
	case 8 ... 10:
		*iova = m->iova < other->iova ? m->iova : other->iova;
		last = last_of(m) > last_of(other) ? last_of(m) : last_of(other);
		*size = last - *iova + 1;
		break;
	case 11:
		*iova = m->iova;
		*size = m->size + (one_in(2) ? PAGE : -PAGE);
		break;
	case 12:
		*iova = m->iova + (one_in(2) ? PAGE : -PAGE);
		*size = m->size;
		break;
	case 13:
		*iova = m->iova & ~(64 * PAGE - 1);
		*size = 256 * PAGE;
		break;
	}
}

static void bitmap(struct step *s)
{
	uint64_t pages = s->a[2] / PAGE;

	s->a[3] = one_in(16) ? FROM(1, 512, 8192, 2 * MIB, 3 * PAGE) : PAGE;
	s->a[4] = one_in(12) ? below(100) : (pages + 63) / 64 * 8 + FROM(0, 0, 0, 8, 4096);
	if (one_in(200))
		s->a[4] = FROM(1ull << 28, (1ull << 28) + 8, -1ull);
	s->a[5] = one_in(40) ? 1 + below(2) : GOOD;
}

static void generate_unmap(struct step *s)
{
	*s = (struct step){ s->who, UNMAP, { 0, 0, 0, 0, 0, 0, sizeof(struct vfio_iommu_type1_dma_unmap) } };
	range(&s->a[1], &s->a[2]);
	if (one_in(40) || model.count > 400) {
		s->a[0] = VFIO_DMA_UNMAP_FLAG_ALL;
		s->a[1] = s->a[2] = 0;
	}
	if (one_in(model.tracking ? 6 : 40)) {
		s->a[0] |= VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
		s->a[6] += sizeof(struct vfio_bitmap) - (one_in(20) ? below(30) : 0);
		bitmap(s);
	}
	if (one_in(24))
		s->a[0] |= VFIO_DMA_UNMAP_FLAG_VADDR;
	if (one_in(60))
		s->a[0] = below(9);
	if (one_in(100))
		s->a[6] = below(60);
	if (one_in(80))
		s->a[5] = READ_ONLY_ARGUMENT;
}

static void generate_dirty(struct step *s)
{
	const uint64_t size = sizeof(struct vfio_iommu_type1_dirty_bitmap) + sizeof(struct vfio_iommu_type1_dirty_bitmap_get);

	*s = (struct step){ s->who, DIRTY, { one_in(8) ? 1 << below(3) : model.tracking ? 4 : 1, 0, 0, 0, 0, 0, size } };
	if (one_in(40))
		s->a[0] = below(9);
	range(&s->a[1], &s->a[2]);
	if (s->a[2] > 1ull << 30 && !one_in(20))
		s->a[2] = 512 * PAGE;
	bitmap(s);
	if (one_in(40))
		s->a[6] = below(size + 2);
}

static void generate_memory(struct step *s)
{
	/* A small part of the memory, that it does not stay full of holes. */
	uint64_t first = below(64) * 8 * PAGE, size = (below(16) + 1) * PAGE;
	enum op op = FROM(MEM_MAP, MEM_MAP, MEM_MAP, MEM_UNMAP, MEM_PROTECT, MEM_ADVISE, MEM_LOCK, MEM_UNLOCK, MEM_TOUCH, MEM_TOUCH);

	*s = (struct step){ s->who, op, { AREA(one_in(4) && op >= MEM_ADVISE ? THP : SMALL) + first, size } };
	if (op == MEM_MAP)
		s->a[2] = one_in(4) ? PROT_READ : RW_PROT;
	if (op == MEM_PROTECT)
		s->a[2] = FROM(PROT_NONE, PROT_READ, RW_PROT, RW_PROT);
	if (op == MEM_ADVISE)
		s->a[2] = FROM(MADV_DONTNEED, MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE);
}

static void generate_emulated(struct step *s)
{
	static const enum op which[] = { PIN, PIN, PIN, UNPIN, UNPIN, RW, RW, NOTIFIED };
	struct map *m = any_map();
	uint64_t iova = m && !one_in(12) ? m->iova + below(m->size > 8 * MIB ? 2048 : m->size / PAGE) * PAGE : odd_address();

	s->op = which[below(ARRAY_SIZE(which))];
	s->a[0] = s->op == RW ? iova + below(PAGE) : iova & -PAGE;
	s->a[1] = s->op == RW ? below(TEST_DATA) + 1 : s->op == PIN ? FROM(1, 1, 1, 2, 5, 40, 1000) : FROM(0, 0, 0, 1, 2);
	s->a[2] = s->op == RW ? below(4) : below(3) + 1;
}

static void generate_other(struct step *s)
{
	static const uint64_t limits[] = { 0, 64 * 1024, MIB, 4 * MIB, 8 * MIB, 16 * MIB, 64 * MIB, RLIM_INFINITY };
	uint64_t who = 1 + below(ACTORS - 1);

	switch (below(12)) {
	case 0 ... 2:
		*s = (struct step){ s->who, RLIMIT, { limits[below(ARRAY_SIZE(limits))] } };
		break;
	case 3:
		*s = (struct step){ s->who, CAP_LOCK, { mood.unprivileged ? one_in(6) : !one_in(6) } };
		break;
	case 4:
		*s = (struct step){ 0, model.alive[who] ? EXIT : SPAWN, { who, one_in(4) } };
		if (model.alive[who] && one_in(3))
			s->op = EXEC;
		break;
	case 7:
		*s = (struct step){ 0, PARAM, { DMA_ENTRY_LIMIT, one_in(3) ? below(30) : 65535 } };
		break;
	case 8:
		*s = (struct step){ 0, PARAM, { DISABLE_HUGEPAGES, one_in(3) } };
		if (one_in(4))
			*s = (struct step){ 0, PARAM, { ALLOW_UNSAFE, !one_in(3) } };
		break;
	default:
		*s = (struct step){ s->who, BAD_POINTER, { below(30), FROM(0, 0, 8, 16, 24, 30) } };
		break;
	}
}

/* Groups and devices come and go, but mostly there is all that the other steps need. */
static bool generate_groups(struct step *s)
{
	int emu = mood.emulated ? world->emulated_group : -1, g = below(world->groups);

	if (g == world->emulated_group && emu < 0)
		g = 0;
	if (!physical_groups() && !emulated_in() && !one_in(8))
		*s = (struct step){ 0, JOIN, { emu >= 0 && one_in(2) ? emu : 0 } };
	else if (!model.iommu && !one_in(8))
		*s = (struct step){ 0, SET_IOMMU, { mood.v1 ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU } };
	else if (one_in(12))
		*s = (struct step){ one_in(4) ? s->who : 0, one_in(2) ? JOIN : LEAVE, { g } };
	else if (one_in(100))
		*s = (struct step){ s->who, SET_IOMMU, { below(10) } };
	else if (one_in(60) && !mood.few)
		*s = (struct step){ 0, CLOSE, { emu >= 0 && one_in(2) ? emu : 0 } };
	else if (emu >= 0 && model.in[emu] && world->emulated < 0 && one_in(4))
		*s = (struct step){ 0, OPEN, { emu } };
	else if (model.in[0] && world->device < 0 && one_in(4))
		*s = (struct step){ 0, OPEN, { 0 } };
	else
		return false;
	return true;
}

static void generate(struct step *s)
{
	struct map *m;

	memset(s, 0, sizeof(*s));
	s->who = one_in(6) ? 1 + below(ACTORS - 1) : 0;
	if (!model.alive[s->who])
		s->who = 0;
	if ((!model.iommu || one_in(4)) && generate_groups(s))
		return;
	if (one_in(2500)) {
		m = any_map();
		s->op = DMA;
		s->who = 0;
		s->a[0] = m && !one_in(3) ? m->iova + below(m->size / PAGE) * PAGE : below(1024) * PAGE;
		s->a[1] = rnd();
		return;
	}
	if (mood.emulated && world->emulated >= 0 && one_in(6)) {
		generate_emulated(s);
		return;
	}
	switch (below(100)) {
	case 0 ... 41:
		if (model.count >= (int)mood.most)
			generate_unmap(s);
		else
			generate_map(s);
		break;
	case 42 ... 67:
		generate_unmap(s);
		break;
	case 68 ... 72:
		generate_vaddr(s);
		break;
	case 73 ... 81:
		generate_dirty(s);
		break;
	case 82 ... 86:
		*s = (struct step){ s->who, INFO, { one_in(4) ? below(180) : 256 } };
		break;
	case 87 ... 88:
		*s = (struct step){ s->who, EXTENSION, { below(14) } };
		break;
	case 89 ... 96:
		generate_memory(s);
		break;
	default:
		generate_other(s);
		break;
	}
}

static void generate_begins(uint64_t seed)
{
	random_state = (seed + 1) * 0x9e3779b97f4a7c15ull;
	for (int i = 0; i < 8; i++)
		rnd();
	mood.v1 = one_in(5);
	mood.emulated = world->emulated_group >= 0 && one_in(3);
	mood.unprivileged = one_in(2);
	mood.few = one_in(2);
	mood.most = FROM(5, 30, 30, 100, 400);
}

#endif /* GENERATE_H */
