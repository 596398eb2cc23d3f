/* SPDX-License-Identifier: GPL-2.0 */
/* What /dev/vfio-test-importer does: each open file imports one dma-buf on behalf of a PCI function. */
#ifndef VFIO_TEST_IMPORTER_H
#define VFIO_TEST_IMPORTER_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct importer_attach {
	__s32 fd;
	__u16 domain;
	__u8 bus;
	__u8 devfn;
	__u8 peer2peer;		/* the importer can reach the memory of other devices */
	__u8 revocable;		/* and do without it when told */
	__u8 unmaps;		/* unmaps when told, not only by IMPORTER_UNMAP */
	__u8 reserved;
};

struct importer_state {
	__u64 address;		/* of the first entry of the table, if mapped */
	__u64 size;		/* of all entries */
	__u32 entries;
	__u32 told;		/* how often the exporter said that mappings are void */
	__u32 mapped;
	__u32 reserved;
};

#define IMPORTER_ATTACH	_IOW('v', 0, struct importer_attach)
#define IMPORTER_DETACH	_IO('v', 1)
#define IMPORTER_MAP	_IO('v', 2)
#define IMPORTER_UNMAP	_IO('v', 3)
#define IMPORTER_STATE	_IOR('v', 4, struct importer_state)

#endif
