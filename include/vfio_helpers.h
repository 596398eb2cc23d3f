/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel that Rust cannot call, as functions.
 * Each is one call; logic does not belong here.
 */
#ifndef _VFIO_HELPERS_H
#define _VFIO_HELPERS_H

#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pm_runtime.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

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
void vfio_helper_ida_init(struct ida *ida);
bool vfio_helper_refcount_inc_not_zero(refcount_t *refs);
int vfio_helper_pm_runtime_resume_and_get(struct device *dev);
void vfio_helper_pm_runtime_put(struct device *dev);
void vfio_helper_list_del(struct list_head *entry);
struct workqueue_struct *vfio_helper_create_singlethread_workqueue(const char *name);
void vfio_helper_init_work(struct work_struct *work, work_func_t func);
bool vfio_helper_queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool vfio_helper_schedule_work(struct work_struct *work);
void vfio_helper_init_waitqueue_func_entry(struct wait_queue_entry *entry,
					   wait_queue_func_t func);
__poll_t vfio_helper_vfs_poll(struct file *file, struct poll_table_struct *pt);
void vfio_helper_init_poll_funcptr(struct poll_table_struct *pt, poll_queue_proc qproc);
unsigned long vfio_helper_rlimit(unsigned int limit);
void vfio_helper_sg_set_page(struct scatterlist *sg, struct page *page,
			     unsigned int len);
unsigned long vfio_helper_untagged_addr_remote(struct mm_struct *mm,
					       unsigned long addr);

#endif /* _VFIO_HELPERS_H */
