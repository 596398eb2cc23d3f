/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The steps by number and name, and their text: "name a0 a1 ...", numbers in hexadecimal.
 */
#ifndef FUZZ_OPS_H
#define FUZZ_OPS_H

#include "lives.h"

/* Steps that change the course: the runner sees to them. */
#define x_fork NULL
#define x_join NULL

#define OPS(op) \
	op(OPEN_CONTAINER, open_container) op(OPEN_GROUP, open_group) op(CLOSE, close) op(DUP, dup) op(PARK, park) \
	op(UNPARK, unpark) op(DROP_PARKED, drop_parked) op(FORK, fork) op(JOIN, join) op(DIE, die) op(IOCTL, ioctl) \
	op(FOPS, fops) op(SET_CONTAINER, set_container) op(UNSET_CONTAINER, unset_container) op(GROUP_STATUS, group_status) \
	op(GET_DEVICE, get_device) op(EXTENSION, extension) op(SET_IOMMU, set_iommu) op(IOMMU_INFO, iommu_info) op(MAP, map) \
	op(UNMAP, unmap) op(DIRTY, dirty) op(LOCKED, locked) op(DEVICE_INFO, device_info) op(REGION_INFO, region_info) \
	op(IRQ_INFO, irq_info) op(SET_IRQS, set_irqs) op(EVENTS, events) op(SIGNAL, signal) op(EDU_IRQ, edu_irq) op(RESET, reset) \
	op(HOT_INFO, hot_info) op(HOT_RESET, hot_reset) op(IOEVENTFD, ioeventfd) op(FEATURE, feature) op(DMA_BUF, dma_buf) \
	op(CONFIG_READ, config_read) op(CONFIG_WRITE, config_write) op(REGION_READ, region_read) \
	op(REGION_WRITE, region_write) op(MMAP, mmap) op(MUNMAP, munmap) op(TOUCH, touch) op(MTRICK, mtrick) \
	op(UNBIND, unbind) op(REMOVE, remove) op(TICK, tick) op(LINGER, linger) op(KILL, kill) op(OPEN_NODE, open_node) op(OPEN_IOMMUFD, open_iommufd) op(BIND, bind) op(ATTACH, attach) \
	op(DETACH, detach) op(IOAS_ALLOC, ioas_alloc) op(IOAS_MAP, ioas_map) op(IOAS_UNMAP, ioas_unmap) \
	op(DESTROY, destroy) op(HWPT_ALLOC, hwpt_alloc) op(VFIO_IOAS, vfio_ioas) op(IOAS_MAP_FILE, ioas_map_file)

#define OP_NUMBER(number, name) number,
#define OP_ENTRY(number, name) [number] = { #name, x_##name },

enum op { OPS(OP_NUMBER) OP_COUNT };

static const struct {
	const char *name;
	void (*run)(const uint64_t *a);
} ops[] = { OPS(OP_ENTRY) };

/* Whether files or mappings may go at this step, or processes that have them. Steps that only ask or set something are told here. */
static inline bool lets_go(unsigned op)
{
	switch (op) {
	case GROUP_STATUS: case EXTENSION: case IOMMU_INFO: case MAP: case UNMAP: case DIRTY: case LOCKED: case DEVICE_INFO:
	case REGION_INFO: case IRQ_INFO: case SET_IRQS: case EVENTS: case SIGNAL: case EDU_IRQ: case RESET: case HOT_INFO:
	case HOT_RESET: case IOEVENTFD: case CONFIG_READ: case CONFIG_WRITE: case REGION_READ: case REGION_WRITE: case TOUCH: case TICK:
		return false;
	default:
		return true;
	}
}

/* A name and all numbers take less than this. */
#define STEP_TEXT 256

/* Each step of each run is written: printf would take a tenth of the time of all. */
static inline void format_step(char to[STEP_TEXT], const struct step *step)
{
	char *at = stpcpy(to, ops[step->op].name);
	int last = ARGS;

	while (last && !step->a[last - 1])
		last--;
	for (int i = 0; i < last; i++) {
		int digits = step->a[i] ? (67 - __builtin_clzll(step->a[i])) / 4 : 1;

		*at++ = ' ';
		while (digits--)
			*at++ = "0123456789abcdef"[step->a[i] >> digits * 4 & 15];
	}
	*at = 0;
}

static inline bool parse_step(char *line, struct step *step)
{
	char *word = strtok(line, " \n");

	memset(step, 0, sizeof(*step));
	for (unsigned op = 0; word && op < OP_COUNT; op++) {
		if (strcmp(word, ops[op].name))
			continue;
		step->op = op;
		for (int i = 0; i < ARGS && (word = strtok(NULL, " \n")); i++)
			step->a[i] = strtoull(word, NULL, 16);
		return true;
	}
	return false;
}

#endif
