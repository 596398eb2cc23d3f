// SPDX-License-Identifier: GPL-2.0
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <vfio_helpers.h>

bool vfio_helper_access_ok(unsigned long addr, unsigned long size)
{
	return access_ok((void __user *)addr, size);
}

void vfio_helper_cond_resched(void)
{
	cond_resched();
}

bool vfio_helper_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

void vfio_helper_iommu_iotlb_gather_init(struct iommu_iotlb_gather *gather)
{
	iommu_iotlb_gather_init(gather);
}

void vfio_helper_iommu_iotlb_sync(struct iommu_domain *domain,
				  struct iommu_iotlb_gather *gather)
{
	iommu_iotlb_sync(domain, gather);
}

void vfio_helper_mmap_write_lock(struct mm_struct *mm)
{
	mmap_write_lock(mm);
}

int vfio_helper_mmap_write_lock_killable(struct mm_struct *mm)
{
	return mmap_write_lock_killable(mm);
}

void vfio_helper_mmap_write_unlock(struct mm_struct *mm)
{
	mmap_write_unlock(mm);
}

size_t vfio_helper_num_pages_contiguous(struct page **pages, size_t nr)
{
	return num_pages_contiguous(pages, nr);
}

bool vfio_helper_page_reserved(struct page *page)
{
	return PageReserved(page);
}

unsigned long vfio_helper_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

struct page *vfio_helper_pfn_to_page(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

bool vfio_helper_pfn_valid(unsigned long pfn)
{
	return pfn_valid(pfn);
}

unsigned long vfio_helper_rlimit(unsigned int limit)
{
	return rlimit(limit);
}

void vfio_helper_sg_set_page(struct scatterlist *sg, struct page *page,
			     unsigned int len)
{
	sg_set_page(sg, page, len, 0);
}

unsigned long vfio_helper_untagged_addr_remote(struct mm_struct *mm,
					       unsigned long addr)
{
	return untagged_addr_remote(mm, addr);
}
