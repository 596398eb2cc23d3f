/* SPDX-License-Identifier: GPL-2.0 */
/* What the random type1 programs share: numbers from a seed, and what they print of the state. */
#ifndef TYPE1_H
#define TYPE1_H

#include <stdint.h>
#include "../proc.h"

static uint64_t state;

static inline uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static inline uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static inline uint32_t hash(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t h = 2166136261u;

	while (size--)
		h = (h ^ *p++) * 16777619u;
	return h;
}

#endif /* TYPE1_H */
