/* SPDX-License-Identifier: GPL-2.0 */
/* Between vfio_test_variant.ko and variant_user: calls of what vfio-pci-core.ko exports. */
#ifndef VFIO_TEST_VARIANT_H
#define VFIO_TEST_VARIANT_H

#include <linux/types.h>

enum variant_what {
	VARIANT_IOREAD,		/* bar, offset, width, test_mem: value */
	VARIANT_IOWRITE,	/* bar, offset, width, test_mem, value */
	VARIANT_IO_RW,		/* bar, offset, count, x_start, x_end, write, max_width, test_mem; data */
	VARIANT_MEMORY_ENABLED,
	VARIANT_INTERSECT,	/* buf_start, buf_cnt, reg_start, reg_cnt: buf_offset, count, register_offset */
	VARIANT_FILL_PHYS,	/* start, len, ranges, {offset, length}...: {paddr, len}... */
	VARIANT_DMABUF_PHYS,	/* region, ranges, {offset, length}...: {paddr, len}... from BAR's start */
	VARIANT_ERROR,		/* state */
	VARIANT_REQUEST,	/* count */
	VARIANT_MATCH,		/* data: a name; */
	VARIANT_MATCH_UUID,	/* 1: the token in data; 0: none */
	VARIANT_CONFIG,		/* pos, count, write; data: pos */
	VARIANT_DUMP,		/* writes the fields into the log, as of this phase */
	VARIANT_MAPPABLE,	/* bar, whether it can be mapped from now on */
};

struct variant_call {
	__u32 what;
	__s32 reserved;
	__s64 ret;
	__u64 data;		/* address of memory of the user */
	__u64 in[10];
	__u64 out[8];
};

#define VARIANT_CALL _IO(';', 220)

/* The regions that it adds. */
#define VARIANT_REGION_TYPE 0x80001234
#define VARIANT_REGION_WINDOW 1	/* the largest memory BAR, mapped by vfio_pci_vmf_insert_pfn() */
#define VARIANT_REGION_CONFIG 2	/* configuration space, by vfio_pci_config_rw_single() */
#define VARIANT_REGION_EMPTY 3	/* may be mapped, it says, but has no operation for that */
#define VARIANT_REGION_CAP 0x4321

#endif
