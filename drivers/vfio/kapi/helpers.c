// SPDX-License-Identifier: GPL-2.0
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

#include <vfio_helpers.h>

unsigned long vfio_helper_array_index_nospec(unsigned long index,
					     unsigned long size)
{
	return array_index_nospec(index, size);
}

u8 vfio_helper_ioread8(const void __iomem *io)
{
	return ioread8((void __iomem *)io);
}

u16 vfio_helper_ioread16(const void __iomem *io)
{
	return ioread16((void __iomem *)io);
}

u32 vfio_helper_ioread32(const void __iomem *io)
{
	return ioread32((void __iomem *)io);
}

u64 vfio_helper_ioread64(const void __iomem *io)
{
	return ioread64((void __iomem *)io);
}

void vfio_helper_iowrite8(u8 val, void __iomem *io)
{
	iowrite8(val, io);
}

void vfio_helper_iowrite16(u16 val, void __iomem *io)
{
	iowrite16(val, io);
}

void vfio_helper_iowrite32(u32 val, void __iomem *io)
{
	iowrite32(val, io);
}

void vfio_helper_iowrite64(u64 val, void __iomem *io)
{
	iowrite64(val, io);
}

int vfio_helper_pci_domain_nr(struct pci_bus *bus)
{
	return pci_domain_nr(bus);
}

bool vfio_helper_pci_is_root_bus(struct pci_bus *bus)
{
	return pci_is_root_bus(bus);
}

struct pci_dev *vfio_helper_pci_upstream_bridge(struct pci_dev *pdev)
{
	return pci_upstream_bridge(pdev);
}

bool vfio_helper_pfn_valid(unsigned long pfn)
{
	return pfn_valid(pfn);
}

void vfio_helper_pm_runtime_get_noresume(struct device *dev)
{
	pm_runtime_get_noresume(dev);
}

void vfio_helper_pm_runtime_put(struct device *dev)
{
	pm_runtime_put(dev);
}

void vfio_helper_pm_runtime_put_noidle(struct device *dev)
{
	pm_runtime_put_noidle(dev);
}

int vfio_helper_pm_runtime_resume(struct device *dev)
{
	return pm_runtime_resume(dev);
}

int vfio_helper_pm_runtime_resume_and_get(struct device *dev)
{
	return pm_runtime_resume_and_get(dev);
}

unsigned int vfio_helper_pmd_order(void)
{
	return PMD_ORDER;
}

unsigned int vfio_helper_pud_order(void)
{
	return PUD_ORDER;
}

void vfio_helper_vma_set_io(struct vm_area_struct *vma)
{
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_PFNMAP |
			  VM_DONTEXPAND | VM_DONTDUMP);
}
