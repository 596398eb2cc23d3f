// SPDX-License-Identifier: GPL-2.0
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/pci.h>
#include <asm/eeh.h>
#include <asm/firmware.h>

#include <vfio_helpers_tce.h>

unsigned int vfio_helper_compound_page_shift(struct page *page)
{
	return page_shift(compound_head(page));
}

bool vfio_helper_eeh_enabled(void)
{
	return eeh_enabled();
}

struct eeh_pe *vfio_helper_eeh_pe(struct device *dev)
{
	return eeh_dev_to_pe(pci_dev_to_eeh_dev(to_pci_dev(dev)));
}

bool vfio_helper_has_hypervisor(void)
{
	return firmware_has_feature(FW_FEATURE_LPAR);
}
