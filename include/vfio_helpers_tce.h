/* SPDX-License-Identifier: GPL-2.0 */
/* As vfio_helpers.h, for POWER with SPAPR_TCE_IOMMU only. */
#ifndef _VFIO_HELPERS_TCE_H
#define _VFIO_HELPERS_TCE_H

#include <linux/mm.h>

struct device;
struct eeh_pe;

unsigned int vfio_helper_compound_page_shift(struct page *page);
bool vfio_helper_eeh_enabled(void);
struct eeh_pe *vfio_helper_eeh_pe(struct device *dev);
bool vfio_helper_has_hypervisor(void);

#endif /* _VFIO_HELPERS_TCE_H */
