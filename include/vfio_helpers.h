/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel that Rust cannot call, as functions.
 * Each is one call; logic does not belong here.
 */
#ifndef _VFIO_HELPERS_H
#define _VFIO_HELPERS_H

#include <linux/mm.h>

struct device;
struct pci_bus;
struct pci_dev;

unsigned long vfio_helper_array_index_nospec(unsigned long index,
					     unsigned long size);
u8 vfio_helper_ioread8(const void __iomem *io);
u16 vfio_helper_ioread16(const void __iomem *io);
u32 vfio_helper_ioread32(const void __iomem *io);
u64 vfio_helper_ioread64(const void __iomem *io);
void vfio_helper_iowrite8(u8 val, void __iomem *io);
void vfio_helper_iowrite16(u16 val, void __iomem *io);
void vfio_helper_iowrite32(u32 val, void __iomem *io);
void vfio_helper_iowrite64(u64 val, void __iomem *io);
int vfio_helper_pci_domain_nr(struct pci_bus *bus);
bool vfio_helper_pci_is_root_bus(struct pci_bus *bus);
struct pci_dev *vfio_helper_pci_upstream_bridge(struct pci_dev *pdev);
bool vfio_helper_pfn_valid(unsigned long pfn);
void vfio_helper_pm_runtime_get_noresume(struct device *dev);
void vfio_helper_pm_runtime_put(struct device *dev);
void vfio_helper_pm_runtime_put_noidle(struct device *dev);
int vfio_helper_pm_runtime_resume(struct device *dev);
int vfio_helper_pm_runtime_resume_and_get(struct device *dev);
unsigned int vfio_helper_pmd_order(void);
unsigned int vfio_helper_pud_order(void);
void vfio_helper_vma_set_io(struct vm_area_struct *vma);

#endif /* _VFIO_HELPERS_H */
