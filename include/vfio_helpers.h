/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel that Rust cannot call, as functions.
 * Each is one call; logic does not belong here.
 */
#ifndef _VFIO_HELPERS_H
#define _VFIO_HELPERS_H

#include <linux/aperture.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pm_runtime.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

bool vfio_helper_access_ok(unsigned long addr, unsigned long size);
int vfio_helper_aperture_remove_conflicting_pci_devices(struct pci_dev *pdev,
							const char *name);
unsigned long vfio_helper_array_index_nospec(unsigned long index,
					     unsigned long size);
void vfio_helper_cond_resched(void);
struct workqueue_struct *vfio_helper_create_singlethread_workqueue(const char *name);
int vfio_helper_copy16_from_user(void *to, const void __user *from);
int vfio_helper_copy16_to_user(void __user *to, const void *from);
int vfio_helper_copy20_from_user(void *to, const void __user *from);
int vfio_helper_copy24_to_user(void __user *to, const void *from);
int vfio_helper_copy32_from_user(void *to, const void __user *from);
int vfio_helper_copy32_to_user(void __user *to, const void *from);
void vfio_helper_debug(const char *message);
struct dentry *vfio_helper_debugfs_create_dir(const char *name, struct dentry *parent);
void vfio_helper_debugfs_create_file(const char *name, umode_t mode,
				     struct dentry *parent, void *data,
				     const struct file_operations *fops);
struct dentry *vfio_helper_debugfs_lookup(const char *name, struct dentry *parent);
void vfio_helper_debugfs_remove(struct dentry *dentry);
bool vfio_helper_fatal_signal_pending(void);
int vfio_helper_get_user16(u16 *value, const u16 __user *from);
int vfio_helper_get_user32(u32 *value, const u32 __user *from);
int vfio_helper_get_user64(u64 *value, const u64 __user *from);
int vfio_helper_get_user8(u8 *value, const u8 __user *from);
void vfio_helper_ida_init(struct ida *ida);
void vfio_helper_init_poll_funcptr(struct poll_table_struct *pt, poll_queue_proc qproc);
void vfio_helper_init_waitqueue_func_entry(struct wait_queue_entry *entry,
					   wait_queue_func_t func);
void vfio_helper_iommu_iotlb_gather_init(struct iommu_iotlb_gather *gather);
void vfio_helper_iommu_iotlb_sync(struct iommu_domain *domain,
				  struct iommu_iotlb_gather *gather);
u16 vfio_helper_ioread16(const void __iomem *io);
u32 vfio_helper_ioread32(const void __iomem *io);
u64 vfio_helper_ioread64(const void __iomem *io);
u8 vfio_helper_ioread8(const void __iomem *io);
void vfio_helper_iowrite16(u16 val, void __iomem *io);
void vfio_helper_iowrite32(u32 val, void __iomem *io);
void vfio_helper_iowrite64(u64 val, void __iomem *io);
void vfio_helper_iowrite8(u8 val, void __iomem *io);
void vfio_helper_list_del(struct list_head *entry);
void vfio_helper_mmap_write_lock(struct mm_struct *mm);
int vfio_helper_mmap_write_lock_killable(struct mm_struct *mm);
void vfio_helper_mmap_write_unlock(struct mm_struct *mm);
size_t vfio_helper_num_pages_contiguous(struct page **pages, size_t nr);
bool vfio_helper_page_reserved(struct page *page);
unsigned long vfio_helper_page_to_pfn(struct page *page);
int vfio_helper_pci_domain_nr(struct pci_bus *bus);
bool vfio_helper_pci_is_root_bus(struct pci_bus *bus);
struct pci_dev *vfio_helper_pci_upstream_bridge(struct pci_dev *pdev);
struct page *vfio_helper_pfn_to_page(unsigned long pfn);
bool vfio_helper_pfn_valid(unsigned long pfn);
void vfio_helper_pm_runtime_allow(struct device *dev);
void vfio_helper_pm_runtime_forbid(struct device *dev);
void vfio_helper_pm_runtime_get_noresume(struct device *dev);
void vfio_helper_pm_runtime_put(struct device *dev);
void vfio_helper_pm_runtime_put_noidle(struct device *dev);
int vfio_helper_pm_runtime_resume(struct device *dev);
int vfio_helper_pm_runtime_resume_and_get(struct device *dev);
unsigned int vfio_helper_pmd_order(void);
unsigned int vfio_helper_pud_order(void);
int vfio_helper_put_user16(u16 value, u16 __user *to);
int vfio_helper_put_user32(u32 value, u32 __user *to);
int vfio_helper_put_user64(u64 value, u64 __user *to);
int vfio_helper_put_user8(u8 value, u8 __user *to);
bool vfio_helper_queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool vfio_helper_refcount_inc_not_zero_acquire(refcount_t *refs);
void vfio_helper_refcount_set_release(refcount_t *refs, int count);
bool vfio_helper_schedule_work(struct work_struct *work);
unsigned long vfio_helper_spin_lock_irqsave(spinlock_t *lock);
void vfio_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
void vfio_helper_sg_set_pfn(struct scatterlist *sg, unsigned long pfn,
			    unsigned int len);
unsigned long vfio_helper_task_rlimit(const struct task_struct *task,
				      unsigned int limit);
unsigned long vfio_helper_untagged_addr_remote(struct mm_struct *mm,
					       unsigned long addr);
__poll_t vfio_helper_vfs_poll(struct file *file, struct poll_table_struct *pt);
int vfio_helper_vga_client_register(struct pci_dev *pdev,
				    unsigned int (*set_decode)(struct pci_dev *pdev,
							       bool state));
void vfio_helper_vga_set_legacy_decoding(struct pci_dev *pdev, unsigned int decodes);
void vfio_helper_vma_set_io(struct vm_area_struct *vma);

#endif /* _VFIO_HELPERS_H */
