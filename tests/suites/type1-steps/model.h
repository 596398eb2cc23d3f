/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is mapped, by the answers so far: a plain list. It says which steps are interesting, which bits of a bitmap
 * mean something, and which steps are not taken because C is not to be compared with (model_skips()).
 */
#ifndef MODEL_H
#define MODEL_H

#include "world.h"

struct map {
	uint64_t iova, size, vaddr;
	uint32_t flags;
	bool invalid;
	/* Who mapped it, and in which of its lives: another one has other memory. */
	int who, life;
};

static struct {
	struct map maps[2048];
	int count;
	bool iommu, v2, tracking;
	bool in[GROUPS];
	bool alive[ACTORS], keeps[ACTORS], unprivileged[ACTORS];
	int life[ACTORS];
	/* Something that the model says does not fit the answer: the model is wrong, or the modules are. */
	bool lost;
} model;

static uint64_t last_of(const struct map *m)
{
	return m->iova + (m->size - 1);
}

static bool overlaps(const struct map *m, uint64_t iova, uint64_t last)
{
	return m->iova <= last && iova <= last_of(m);
}

static int physical_groups(void)
{
	int n = 0;

	for (int i = 0; i < world->groups; i++)
		n += model.in[i] && i != world->emulated_group;
	return n;
}

static bool emulated_in(void)
{
	return world->emulated_group >= 0 && model.in[world->emulated_group];
}

static struct map *map_at(uint64_t iova)
{
	for (int i = 0; i < model.count; i++)
		if (overlaps(&model.maps[i], iova, iova))
			return &model.maps[i];
	return NULL;
}

/* The bits of the pages that are mapped in the range; nobody promises anything for the others. */
static uint32_t dirty_hash(uint64_t iova, uint64_t size)
{
	const uint8_t *bits = (void *)AREA(BITS);
	uint32_t sum = 0;

	for (int i = 0; i < model.count; i++) {
		const struct map *m = &model.maps[i];
		uint64_t first = (m->iova - iova) / PAGE, set = 0;

		if (m->iova < iova || m->iova - iova >= size)
			continue;
		for (uint64_t page = first; page < first + m->size / PAGE && page / 8 < area_size[BITS]; page++)
			if (bits[page / 8] >> page % 8 & 1)
				set += page * 0x9e3779b1 + 1;
		/* In no order, as the list has none. */
		sum += hash_more(hash(&m->iova, 8), &set, 8);
	}
	return sum;
}

static bool gets_bits(const struct step *s)
{
	return s->op == DIRTY ? s->a[0] == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP
			      : s->op == UNMAP && s->a[0] == VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
}

/* Why the step is not taken, NULL if it is. It is the same for all modules. */
static const char *model_skips(const struct step *s)
{
	struct map *m;
	int found = 0;

	if (s->who >= ACTORS || !model.alive[s->who])
		return "no such actor";
	switch (s->op) {
	case UNMAP:
	case DIRTY:
		/* What C makes of no flag and of a page size of 0 is undefined. */
		if (s->op == DIRTY && !s->a[0])
			return "no flag";
		if (!gets_bits(s))
			return NULL;
		if (!s->a[3])
			return "no page size";
		/* Which of the mappings were gone when it came to the end of the bitmap's memory would not be known. */
		if (s->a[2] / PAGE / 8 > area_size[BITS])
			return "too large";
		/*
		 * Where not all that is mapped is dirty, bits that C has shifted in place are left over behind those of a
		 * mapping. One that is asked for by itself is not shifted.
		 */
		if (physical_groups())
			return NULL;
		for (int i = 0; i < model.count; i++)
			if (overlaps(&model.maps[i], s->a[1], s->a[1] + s->a[2] - 1))
				found += model.maps[i].iova == s->a[1] ? 1 : 2;
		return found > 1 ? "stale bits in C" : NULL;
	case JOIN:
		if (s->a[0] >= (uint64_t)world->groups)
			return "no such group";
		/* C pins what the current process has there. */
		if (model.iommu && !physical_groups() && (int)s->a[0] != world->emulated_group)
			for (int i = 0; i < model.count; i++)
				if (model.maps[i].who != s->who || model.maps[i].life != model.life[s->who])
					return "memory of others";
		return NULL;
	case LEAVE:
		return s->a[0] >= (uint64_t)world->groups ? "no such group" : NULL;
	case OPEN:
		if (s->who || (s->a[0] && (int)s->a[0] != world->emulated_group))
			return "not this one";
		return (s->a[0] ? world->emulated : world->device) >= 0 ? "open" : NULL;
	case CLOSE:
		if (s->who || (s->a[0] && (int)s->a[0] != world->emulated_group))
			return "not this one";
		return (s->a[0] ? world->emulated : world->device) < 0 ? "closed" : NULL;
	case SPAWN:
		return s->who || !s->a[0] || s->a[0] >= ACTORS || model.alive[s->a[0]] ? "not now" : NULL;
	case EXIT:
	case EXEC:
		return s->who || !s->a[0] || s->a[0] >= ACTORS || !model.alive[s->a[0]] ? "not now" : NULL;
	case PARAM:
		return s->who ? "not this one" : NULL;
	case PIN:
	case UNPIN:
	case RW:
	case NOTIFIED:
		return world->emulated < 0 || (s->who && !model.keeps[s->who]) ? "no device" : NULL;
	case DMA:
		m = map_at(s->a[0]);
		/* The device would write to its own registers. */
		if (m && m->vaddr + (s->a[0] - m->iova) >= AREA(BAR_RW) && m->vaddr < AREA(BITS))
			return "registers";
		return s->who || world->device < 0 || s->a[0] >> 28 ? "no device" : NULL;
	}
	return NULL;
}

static void model_clear(void)
{
	model.count = 0;
	model.iommu = model.tracking = false;
}

static void model_unmap(const struct step *s, const struct answer *answer)
{
	uint64_t flags = s->a[0], iova = s->a[1], last = iova + (s->a[2] - 1), bytes = 0;
	bool vaddr = flags & VFIO_DMA_UNMAP_FLAG_VADDR;

	if (flags & VFIO_DMA_UNMAP_FLAG_ALL)
		last = -1ull;
	/* Version 1: nothing, if it does not begin with a mapping. */
	if (!model.v2)
		for (int i = 0; i < model.count; i++)
			if (model.maps[i].iova < iova && last_of(&model.maps[i]) >= iova)
				last = 0, iova = 1;
	for (int i = 0; i < model.count; i++) {
		struct map *m = &model.maps[i];

		if (!overlaps(m, iova, last) || last < iova)
			continue;
		bytes += m->size;
		if (vaddr)
			m->invalid = true;
		else
			model.maps[i--] = model.maps[--model.count];
	}
	if (!answer->ret && bytes != answer->value && s->a[5] != READ_ONLY_ARGUMENT)
		model.lost = true;
}

/* Takes note of an answer. */
static void model_learns(const struct step *s, const struct answer *answer)
{
	/* It is done, but cannot be told. */
	if (s->op == UNMAP && s->a[5] == READ_ONLY_ARGUMENT && answer->error == EFAULT)
		model_unmap(s, answer);
	if (answer->ret < 0)
		return;
	switch (s->op) {
	case MAP:
		if (s->a[0] & VFIO_DMA_MAP_FLAG_VADDR) {
			struct map *m = map_at(s->a[1]);

			if (!m || m->iova != s->a[1] || m->size != s->a[3] || !m->invalid) {
				model.lost = true;
				return;
			}
			m->vaddr = s->a[2];
			m->invalid = false;
			m->who = s->who;
			m->life = model.life[s->who];
			return;
		}
		if (model.count == ARRAY_SIZE(model.maps)) {
			model.lost = true;
			return;
		}
		model.maps[model.count++] = (struct map){
			s->a[1], s->a[3], s->a[2], s->a[0], false, s->who, model.life[s->who],
		};
		break;
	case UNMAP:
		model_unmap(s, answer);
		break;
	case DIRTY:
		if (s->a[0] == VFIO_IOMMU_DIRTY_PAGES_FLAG_START)
			model.tracking = true;
		else if (s->a[0] == VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)
			model.tracking = false;
		break;
	case JOIN:
		model.in[s->a[0]] = true;
		break;
	case LEAVE:
		model.in[s->a[0]] = false;
		if (!physical_groups() && !emulated_in())
			model_clear();
		break;
	case SET_IOMMU:
		model.iommu = true;
		model.v2 = s->a[0] == VFIO_TYPE1v2_IOMMU;
		break;
	case CAP_LOCK:
		model.unprivileged[s->who] = !s->a[0];
		break;
	case SPAWN:
		model.alive[s->a[0]] = true;
		model.keeps[s->a[0]] = s->a[1];
		model.unprivileged[s->a[0]] = model.unprivileged[0];
		model.life[s->a[0]]++;
		break;
	case EXIT:
		model.alive[s->a[0]] = false;
		break;
	case EXEC:
		model.unprivileged[s->a[0]] = false;
		model.life[s->a[0]]++;
		break;
	}
}

#endif /* MODEL_H */
