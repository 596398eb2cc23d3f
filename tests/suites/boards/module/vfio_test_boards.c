// SPDX-License-Identifier: GPL-2.0
/*
 * PCI functions that are nothing but configuration space: a domain of its own, with boards that have, among them, each
 * capability that there is, standard and extended, with contents from a seed. What is written is kept, as far as the kernel
 * gets along with that; IDs, lists of capabilities and BARs, of which there are none, stay. To the IOMMU they are all the
 * device whose address is given, and so in its group.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>

#define DOMAIN 0x1000
#define BOARDS 24
/* Which of them have extended configuration space. */
#define IS_EXPRESS(board) ((board) % 2)
/* Where the extended capabilities end: what a length from the seed reaches is still within the space. */
#define EXTENDED_END 0x800

static char *device;
module_param(device, charp, 0);
MODULE_PARM_DESC(device, "Address of the function that they are to the IOMMU");

static uint seed = 1;
module_param(seed, uint, 0);
MODULE_PARM_DESC(seed, "What is in them");

struct board {
	u8 bytes[PCI_CFG_SPACE_EXP_SIZE];
	/* The bits that writes change. */
	u8 writable[PCI_CFG_SPACE_EXP_SIZE];
	u16 size;
	u8 vpd; /* where that capability is */
	u32 vpd_data[64];
};

static struct board *boards;
static struct pci_dev *real;
static struct pci_bus *bus;
static struct pci_sysdata sysdata;
static u32 state;

static u32 next_random(u32 limit)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % limit;
}

static void fill(struct board *board, unsigned int at, unsigned int len)
{
	while (len--)
		board->bytes[at++] = next_random(256);
}

static void put16(struct board *board, unsigned int at, u16 value)
{
	put_unaligned_le16(value, board->bytes + at);
}

static u16 get16(struct board *board, unsigned int at)
{
	return get_unaligned_le16(board->bytes + at);
}

/* The contents of a standard capability whose header is there, tamed; how many bytes to leave for it. */
static unsigned int standard(struct board *board, u8 id, unsigned int at)
{
	switch (id) {
	case PCI_CAP_ID_PM:
		fill(board, at + 2, 6);
		put16(board, at + PCI_PM_PMC, (get16(board, at + PCI_PM_PMC) & ~PCI_PM_CAP_VER_MASK) | 3);
		put16(board, at + PCI_PM_CTRL, get16(board, at + PCI_PM_CTRL) & ~(PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE));
		return 8;
	case PCI_CAP_ID_VPD:
		board->vpd = at;
		return 8;
	case PCI_CAP_ID_MSI:
		put16(board, at + PCI_MSI_FLAGS, (next_random(512) & ~(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QMASK)) | next_random(6) << 1);
		return 24;
	case PCI_CAP_ID_PCIX:
		fill(board, at + 2, 22);
		return 24;
	case PCI_CAP_ID_HT:
		fill(board, at + 2, 26);
		return 28;
	case PCI_CAP_ID_VNDR:
		fill(board, at + 2, 22);
		/* As long as it says, or not: it may reach into the next. */
		board->bytes[at + 2] = ((u8[]){ 24, 8, 3, 0, 30, 2 })[next_random(6)];
		return 24;
	case PCI_CAP_ID_EXP:
		fill(board, at + 2, 0x32);
		/* Version 1 or 2 of an endpoint, a legacy one, one in the root complex. */
		put16(board, at + PCI_EXP_FLAGS, ((board - boards) % 8 == 3 ? 1 : 2) | ((u8[]){ 0, 1, 9 })[next_random(3)] << 4);
		put16(board, at + PCI_EXP_DEVCTL, get16(board, at + PCI_EXP_DEVCTL) & ~PCI_EXP_DEVCTL_BCR_FLR);
		board->bytes[at + PCI_EXP_DEVCAP2] |= PCI_EXP_DEVCAP2_ATOMIC_COMP32;
		/* Transactions are never pending. */
		put16(board, at + PCI_EXP_DEVSTA, 0);
		return 0x34;
	case PCI_CAP_ID_MSIX:
		put16(board, at + PCI_MSIX_FLAGS, next_random(64));
		fill(board, at + 4, 8);
		return 12;
	case PCI_CAP_ID_SATA:
		fill(board, at + 2, 14);
		return 16;
	case PCI_CAP_ID_AF:
		board->bytes[at + 2] = 6;
		board->bytes[at + PCI_AF_CAP] = next_random(2) ? PCI_AF_CAP_TP | PCI_AF_CAP_FLR : next_random(4);
		return 8;
	case PCI_CAP_ID_EA:
		return 8;
	default:
		fill(board, at + 2, 10);
		return 12;
	}
}

/* The same of an extended capability. */
static unsigned int extended(struct board *board, u16 id, unsigned int at)
{
	u8 *bytes = board->bytes + at;

	switch (id) {
	case PCI_EXT_CAP_ID_SRIOV:
		/* The kernel would use what it took for real. */
		return 0x40;
	case PCI_EXT_CAP_ID_VC:
	case PCI_EXT_CAP_ID_VC9:
	case PCI_EXT_CAP_ID_MFVC:
		bytes[PCI_VC_PORT_CAP1] = next_random(4);
		bytes[PCI_VC_PORT_CAP2] = next_random(16);
		return 0xc0;
	case PCI_EXT_CAP_ID_VNDR:
	case PCI_EXT_CAP_ID_DVSEC:
		fill(board, at + 4, 28);
		put16(board, at + 6, (u16[]){ 0x20, 0x0c, 0x2a, 0, 7 }[next_random(5)] << 4);
		return 0x20;
	case PCI_EXT_CAP_ID_REBAR:
		bytes[PCI_REBAR_CTRL] = next_random(7) << 5;
		return 0x34;
	case PCI_EXT_CAP_ID_TPH:
		fill(board, at + 4, 8);
		put16(board, at + 6, next_random(16));
		return 0x30;
	case PCI_EXT_CAP_ID_DPA:
		fill(board, at + 4, 0x2c);
		return 0x30;
	case PCI_EXT_CAP_ID_ERR:
		fill(board, at + 4, 0x28);
		return 0x2c;
	default:
		fill(board, at + 4, 0x2c);
		return 0x30;
	}
}

static void shuffle(u8 *ids, unsigned int count)
{
	for (unsigned int i = count; i > 1; i--)
		swap(ids[i - 1], ids[next_random(i)]);
}

/* Each ID once on the boards that can have it, and some that each of them has. */
static void make_boards(void)
{
	u8 ids[PCI_CAP_ID_MAX + 3], extended_ids[PCI_EXT_CAP_ID_MAX + 3], *link;
	unsigned int left = 0, extended_left = 0, at, last, used;

	for (unsigned int b = 0; b < BOARDS; b++) {
		struct board *board = &boards[b];
		unsigned int own = IS_EXPRESS(b) ? 2 : 1;

		board->size = IS_EXPRESS(b) ? PCI_CFG_SPACE_EXP_SIZE : PCI_CFG_SPACE_SIZE;
		fill(board, PCI_STD_HEADER_SIZEOF, board->size - PCI_STD_HEADER_SIZEOF);
		memset(board->writable + PCI_STD_HEADER_SIZEOF, 0xff, board->size - PCI_STD_HEADER_SIZEOF);
		put16(board, PCI_VENDOR_ID, PCI_VENDOR_ID_REDHAT);
		put16(board, PCI_DEVICE_ID, 0x7700 + b);
		put16(board, PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID_REDHAT);
		put16(board, PCI_CLASS_DEVICE, PCI_CLASS_SYSTEM_OTHER);
		put16(board, PCI_STATUS, b == 2 ? 0 : PCI_STATUS_CAP_LIST);
		board->bytes[PCI_INTERRUPT_PIN] = b % 8 == 5;
		put16(board, PCI_MIN_GNT, 0x1234);
		put_unaligned_le16(0xffff, board->writable + PCI_COMMAND);
		memset(board->writable + PCI_CACHE_LINE_SIZE, 0xff, 2);
		board->writable[PCI_BIST] = 0xff;

		link = &board->bytes[PCI_CAPABILITY_LIST];
		for (at = 0x40; ; at += used) {
			u8 id;

			if (!left) {
				/* All that there are, and some that nobody knows. */
				for (left = 0; left < ARRAY_SIZE(ids); left++)
					ids[left] = left < PCI_CAP_ID_MAX ? left + 1 : 0x40 * (left - PCI_CAP_ID_MAX);
				shuffle(ids, left);
			}
			id = own == 2 ? PCI_CAP_ID_EXP : own == 1 ? PCI_CAP_ID_PM : ids[left - 1];
			if (!own && (id == PCI_CAP_ID_EXP || id == PCI_CAP_ID_PM)) {
				left--;
				used = 0;
				continue;
			}
			/* The longest there is, or none. */
			if (at + 0x34 > PCI_CFG_SPACE_SIZE)
				break;
			*link = at;
			memset(board->bytes + at, 0, 0x34);
			board->bytes[at] = id;
			link = &board->bytes[at + 1];
			used = standard(board, id, at);
			put16(board, at, id);
			put_unaligned_le16(0, board->writable + at);
			used += next_random(2) * 4;
			if (own)
				own--;
			else
				left--;
		}
		/* The last one leads nowhere, or back, or into the middle of the first. */
		*link = b % 12 == 4 ? 0x40 : b % 12 == 9 ? 0x43 : 0;

		if (!IS_EXPRESS(b))
			continue;
		last = 0;
		for (at = 0x100; at < EXTENDED_END; at += used) {
			if (!extended_left) {
				for (extended_left = 0; extended_left < ARRAY_SIZE(extended_ids); extended_left++) {
					u8 id = extended_left + 1;

					/*
					 * The kernel talks to the first two; to VFIO they are as good as unknown. Of power
					 * budgeting C makes another register writable (Documentation/differences.rst).
					 */
					if (id == PCI_EXT_CAP_ID_DOE || id == PCI_EXT_CAP_ID_IDE || id == PCI_EXT_CAP_ID_PWR)
						id += 0x80;
					extended_ids[extended_left] = id;
				}
				shuffle(extended_ids, extended_left);
			}
			memset(board->bytes + at, 0, 0xc0);
			used = extended(board, extended_ids[extended_left - 1], at) + next_random(3) * 4;
			put_unaligned_le32(extended_ids[--extended_left] | (1 + next_random(3)) << 16, board->bytes + at);
			put_unaligned_le32(0, board->writable + at);
			if (last)
				put_unaligned_le32(get_unaligned_le32(board->bytes + last) | at << 20, board->bytes + last);
			last = at;
		}
		/* A board that makes no use of the space. */
		if (b == 11)
			put_unaligned_le32(0, board->bytes + 0x100);
	}
}

/* Vital Product Data: a write of the address with the flag writes the data, one without reads it. */
static void vpd(struct board *board)
{
	u16 address = get16(board, board->vpd + PCI_VPD_ADDR);
	u32 *data = &board->vpd_data[(address & PCI_VPD_ADDR_MASK) / 4 % ARRAY_SIZE(board->vpd_data)];

	if (address & PCI_VPD_ADDR_F)
		*data = get_unaligned_le32(board->bytes + board->vpd + PCI_VPD_DATA);
	else
		put_unaligned_le32(*data, board->bytes + board->vpd + PCI_VPD_DATA);
	put16(board, board->vpd + PCI_VPD_ADDR, address ^ PCI_VPD_ADDR_F);
}

static struct board *board_of(unsigned int devfn, int where, int size)
{
	if (PCI_FUNC(devfn) || PCI_SLOT(devfn) >= BOARDS || where + size > boards[PCI_SLOT(devfn)].size)
		return NULL;
	return &boards[PCI_SLOT(devfn)];
}

static int board_read(struct pci_bus *of, unsigned int devfn, int where, int size, u32 *value)
{
	struct board *board = board_of(devfn, where, size);

	*value = ~0u;
	if (!board || of->number)
		return PCIBIOS_DEVICE_NOT_FOUND;
	*value = 0;
	memcpy(value, board->bytes + where, size);
	return PCIBIOS_SUCCESSFUL;
}

static int board_write(struct pci_bus *of, unsigned int devfn, int where, int size, u32 value)
{
	struct board *board = board_of(devfn, where, size);

	if (!board || of->number)
		return PCIBIOS_DEVICE_NOT_FOUND;
	for (int i = where; i < where + size; i++, value >>= 8)
		board->bytes[i] = (board->bytes[i] & ~board->writable[i]) | (value & board->writable[i]);
	if (board->vpd && where <= board->vpd + PCI_VPD_ADDR + 1 && where + size > board->vpd + PCI_VPD_ADDR + 1)
		vpd(board);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops operations = {
	.read = board_read,
	.write = board_write,
};

static struct resource busses = {
	.name = "test boards",
	.start = 0,
	.end = 0,
	.flags = IORESOURCE_BUS | IORESOURCE_PCI_FIXED,
};

static int __init boards_init(void)
{
	unsigned int domain, number, slot, func;
	LIST_HEAD(resources);

	if (!device || sscanf(device, "%x:%x:%x.%x", &domain, &number, &slot, &func) != 4)
		return -EINVAL;
	real = pci_get_domain_bus_and_slot(domain, number, PCI_DEVFN(slot, func));
	if (!real)
		return -ENODEV;
	boards = vcalloc(BOARDS, sizeof(*boards));
	if (!boards) {
		pci_dev_put(real);
		return -ENOMEM;
	}
	state = seed * 2654435761u | 1;
	for (unsigned int b = 0; b < BOARDS; b++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(boards[b].vpd_data); i++)
			boards[b].vpd_data[i] = i * 0x01020304;
		/* A name of 240 bytes, and the end. */
		boards[b].vpd_data[0] = 0x4100f082;
		boards[b].vpd_data[60] = 0x78434241;
	}
	make_boards();
	sysdata.domain = DOMAIN;
	sysdata.node = NUMA_NO_NODE;
	/* By this the IOMMU's driver knows on whose behalf they would access memory. */
	sysdata.vmd_dev = real;
	pci_lock_rescan_remove();
	pci_add_resource(&resources, &busses);
	bus = pci_create_root_bus(&real->dev, 0, &operations, &sysdata, &resources);
	if (bus) {
		pci_scan_child_bus(bus);
		pci_bus_add_devices(bus);
	}
	pci_unlock_rescan_remove();
	if (bus)
		return 0;
	pci_free_resource_list(&resources);
	vfree(boards);
	pci_dev_put(real);
	return -ENOMEM;
}

static void __exit boards_exit(void)
{
	pci_lock_rescan_remove();
	pci_stop_root_bus(bus);
	pci_remove_root_bus(bus);
	pci_unlock_rescan_remove();
	vfree(boards);
	pci_dev_put(real);
}

module_init(boards_init);
module_exit(boards_exit);
MODULE_DESCRIPTION("PCI functions that are nothing but configuration space");
MODULE_LICENSE("GPL");
