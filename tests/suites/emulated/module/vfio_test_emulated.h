/* SPDX-License-Identifier: GPL-2.0 */
/* What is written to a device of vfio_test_emulated.ko: it does what is asked and writes the answer back. */
#ifndef VFIO_TEST_EMULATED_H
#define VFIO_TEST_EMULATED_H

#include <linux/types.h>

enum test_command {
	TEST_PIN,	/* pages from iova on; data: 16 bytes of the first and the last page */
	TEST_UNPIN,	/* what was pinned at iova, or its first pages */
	TEST_POKE,	/* data into the first pinned page at iova, as a device writes */
	TEST_READ,	/* dma_rw of count bytes, to data or to address */
	TEST_WRITE,
	TEST_NOTIFIED,	/* ret: calls of dma_unmap so far; data: their last iova and length */
	TEST_REQUEST,	/* the eventfd (count) that tells when the device is asked back */
};

#define TEST_KTHREAD	(1 << 0)	/* dma_rw by a kernel thread */
#define TEST_RAW	(1 << 1)	/* pass on as it is, remember nothing; without memory for the pages if prot is 0 */

#define TEST_DATA 64

struct test_emulated {
	__u64 iova;
	__u32 command;
	__u32 count;	/* pages, or bytes */
	__u32 prot;
	__u32 flags;
	__s32 ret;
	__u32 reserved;
	__u64 address;	/* of a buffer in place of data, if not 0 */
	__u8 data[TEST_DATA];
};

#endif
