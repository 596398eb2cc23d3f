// SPDX-License-Identifier: GPL-2.0
/*
 * Makes any PCI function look like Intel graphics to VFIO as long as it is loaded: vendor and class as the kernel knows
 * them, and an OpRegion, whose address is in the function's register 0xfc. If it is told to, also like one whose ROM the firmware
 * has copied to somewhere.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#define SIZE (32 * 1024)

static char *device;
module_param(device, charp, 0);
MODULE_PARM_DESC(device, "Address of the function");

static ushort id;
module_param(id, ushort, 0);
MODULE_PARM_DESC(id, "Its device ID, if another than that of the function");

static char *signature = "IntelGraphicsMem";
module_param(signature, charp, 0);
MODULE_PARM_DESC(signature, "What the OpRegion starts with");

static uint size = 8;
module_param(size, uint, 0);
MODULE_PARM_DESC(size, "Its length in KiB, as it says");

static ushort version = 0x201;
module_param(version, ushort, 0);
MODULE_PARM_DESC(version, "Its version");

static uint vbt;
module_param(vbt, uint, 0);
MODULE_PARM_DESC(vbt, "Where the VBT is, counted from the OpRegion");

static uint vbt_size;
module_param(vbt_size, uint, 0);
MODULE_PARM_DESC(vbt_size, "Its length in bytes");

static bool absent;
module_param(absent, bool, 0);
MODULE_PARM_DESC(absent, "There is no OpRegion");

static ulong rom;
module_param(rom, ulong, 0);
MODULE_PARM_DESC(rom, "Where the firmware has put a copy of its ROM");

static ulong rom_size;
module_param(rom_size, ulong, 0);
MODULE_PARM_DESC(rom_size, "The length of that copy");

static struct pci_dev *pdev;
static u8 *opregion;
static u32 old_register, old_class;
static u16 old_vendor, old_id;

static int __init fake_init(void)
{
	unsigned int domain, bus, slot, func;
	u64 rvda = vbt;
	int i;

	if (!device || sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &func) != 4)
		return -EINVAL;
	pdev = pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, func));
	if (!pdev)
		return -ENODEV;
	opregion = alloc_pages_exact(SIZE, GFP_KERNEL | GFP_DMA32);
	if (!opregion) {
		pci_dev_put(pdev);
		return -ENOMEM;
	}
	for (i = 0; i < SIZE; i++)
		opregion[i] = i % 253;
	memcpy(opregion, signature, min(strlen(signature), (size_t)16));
	put_unaligned_le32(size, opregion + 0x10);
	put_unaligned_le16(version, opregion + 0x16);
	if (version == 0x200 && vbt)
		rvda += virt_to_phys(opregion);
	put_unaligned_le64(rvda, opregion + 0x3ba);
	put_unaligned_le32(vbt_size, opregion + 0x3c2);

	pci_read_config_dword(pdev, 0xfc, &old_register);
	pci_write_config_dword(pdev, 0xfc, absent ? 0 : virt_to_phys(opregion));
	old_vendor = pdev->vendor;
	old_id = pdev->device;
	old_class = pdev->class;
	pdev->vendor = PCI_VENDOR_ID_INTEL;
	if (id)
		pdev->device = id;
	pdev->class = PCI_CLASS_DISPLAY_OTHER << 8;
	pdev->rom = rom;
	pdev->romlen = rom_size;
	return 0;
}

static void __exit fake_exit(void)
{
	pdev->vendor = old_vendor;
	pdev->device = old_id;
	pdev->class = old_class;
	pdev->rom = 0;
	pdev->romlen = 0;
	pci_write_config_dword(pdev, 0xfc, old_register);
	pci_dev_put(pdev);
	free_pages_exact(opregion, SIZE);
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_DESCRIPTION("Makes a PCI function look like Intel graphics");
MODULE_LICENSE("GPL");
