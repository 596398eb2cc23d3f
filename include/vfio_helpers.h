/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel that Rust cannot call, as functions.
 * Each is one call; logic does not belong here.
 */
#ifndef _VFIO_HELPERS_H
#define _VFIO_HELPERS_H

#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>

bool vfio_helper_access_ok(unsigned long addr, unsigned long size);
void vfio_helper_cond_resched(void);
bool vfio_helper_fatal_signal_pending(void);
void vfio_helper_iommu_iotlb_gather_init(struct iommu_iotlb_gather *gather);
void vfio_helper_iommu_iotlb_sync(struct iommu_domain *domain,
				  struct iommu_iotlb_gather *gather);
void vfio_helper_mmap_write_lock(struct mm_struct *mm);
int vfio_helper_mmap_write_lock_killable(struct mm_struct *mm);
void vfio_helper_mmap_write_unlock(struct mm_struct *mm);
size_t vfio_helper_num_pages_contiguous(struct page **pages, size_t nr);
bool vfio_helper_page_reserved(struct page *page);
unsigned long vfio_helper_page_to_pfn(struct page *page);
struct page *vfio_helper_pfn_to_page(unsigned long pfn);
bool vfio_helper_pfn_valid(unsigned long pfn);
unsigned long vfio_helper_rlimit(unsigned int limit);
void vfio_helper_sg_set_page(struct scatterlist *sg, struct page *page,
			     unsigned int len);
unsigned long vfio_helper_untagged_addr_remote(struct mm_struct *mm,
					       unsigned long addr);

#endif /* _VFIO_HELPERS_H */
