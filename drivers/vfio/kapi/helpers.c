// SPDX-License-Identifier: GPL-2.0
#include <linux/aperture.h>
#include <linux/debugfs.h>
#include <linux/fault-inject-usercopy.h>
#include <linux/instrumented.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <linux/unroll.h>
#include <linux/vgaarb.h>

#include <vfio_helpers.h>

bool vfio_helper_access_ok(unsigned long addr, unsigned long size)
{
	return access_ok((void __user *)addr, size);
}

int vfio_helper_aperture_remove_conflicting_pci_devices(struct pci_dev *pdev,
							const char *name)
{
	return aperture_remove_conflicting_pci_devices(pdev, name);
}

unsigned long vfio_helper_array_index_nospec(unsigned long index,
					     unsigned long size)
{
	return array_index_nospec(index, size);
}

void vfio_helper_cond_resched(void)
{
	cond_resched();
}

struct workqueue_struct *vfio_helper_create_singlethread_workqueue(const char *name)
{
	return create_singlethread_workqueue(name);
}

/*
 * Structures of the uAPI, whose sizes the compiler knows: a few moves, where copy_from_user() and
 * copy_to_user() begin with what pays for larger ones only. clang cannot unroll what may jump out
 * of the assembler's code, and would warn. KASAN, KCSAN and fault injection see these copies, too.
 */
#ifdef CONFIG_CC_IS_GCC
#define unrolled_by(count) unrolled_count(count)
#else
#define unrolled_by(count)
#endif

static __always_inline int copy_words_from_user(void *to, const void __user *from, size_t size)
{
	might_fault();
	if (should_fail_usercopy())
		return -EFAULT;
	instrument_copy_from_user_before(to, from, size);
	scoped_user_read_access_size(from, size, efault) {
		size_t at;
		u64 word;
		u32 half;

		unrolled_by(4)
		for (at = 0; at + sizeof(word) <= size; at += sizeof(word)) {
			unsafe_get_user(word, (const u64 __user *)(from + at), efault);
			put_unaligned(word, (u64 *)(to + at));
		}
		if (at < size) {
			unsafe_get_user(half, (const u32 __user *)(from + at), efault);
			put_unaligned(half, (u32 *)(to + at));
		}
	}
	instrument_copy_from_user_after(to, from, size, 0);
	return 0;
efault:
	instrument_copy_from_user_after(to, from, size, size);
	return -EFAULT;
}

static __always_inline int copy_words_to_user(void __user *to, const void *from, size_t size)
{
	might_fault();
	if (should_fail_usercopy())
		return -EFAULT;
	instrument_copy_to_user(to, from, size);
	scoped_user_write_access_size(to, size, efault) {
		size_t at;

		unrolled_by(4)
		for (at = 0; at + sizeof(u64) <= size; at += sizeof(u64))
			unsafe_put_user(get_unaligned((const u64 *)(from + at)),
					(u64 __user *)(to + at), efault);
		if (at < size)
			unsafe_put_user(get_unaligned((const u32 *)(from + at)),
					(u32 __user *)(to + at), efault);
	}
	return 0;
efault:
	return -EFAULT;
}

int vfio_helper_copy16_from_user(void *to, const void __user *from)
{
	return copy_words_from_user(to, from, 16);
}

int vfio_helper_copy16_to_user(void __user *to, const void *from)
{
	return copy_words_to_user(to, from, 16);
}

int vfio_helper_copy20_from_user(void *to, const void __user *from)
{
	return copy_words_from_user(to, from, 20);
}

int vfio_helper_copy24_to_user(void __user *to, const void *from)
{
	return copy_words_to_user(to, from, 24);
}

int vfio_helper_copy32_from_user(void *to, const void __user *from)
{
	return copy_words_from_user(to, from, 32);
}

int vfio_helper_copy32_to_user(void __user *to, const void *from)
{
	return copy_words_to_user(to, from, 32);
}

void vfio_helper_debug(const char *message)
{
	pr_debug_ratelimited("%s\n", message);
}

struct dentry *vfio_helper_debugfs_create_dir(const char *name, struct dentry *parent)
{
	return debugfs_create_dir(name, parent);
}

void vfio_helper_debugfs_create_file(const char *name, umode_t mode,
				     struct dentry *parent, void *data,
				     const struct file_operations *fops)
{
	debugfs_create_file(name, mode, parent, data, fops);
}

struct dentry *vfio_helper_debugfs_lookup(const char *name, struct dentry *parent)
{
	return debugfs_lookup(name, parent);
}

void vfio_helper_debugfs_remove(struct dentry *dentry)
{
	debugfs_remove(dentry);
}

bool vfio_helper_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

int vfio_helper_get_user16(u16 *value, const u16 __user *from)
{
	return should_fail_usercopy() ? -EFAULT : get_user(*value, from);
}

int vfio_helper_get_user32(u32 *value, const u32 __user *from)
{
	return should_fail_usercopy() ? -EFAULT : get_user(*value, from);
}

int vfio_helper_get_user64(u64 *value, const u64 __user *from)
{
	return should_fail_usercopy() ? -EFAULT : get_user(*value, from);
}

int vfio_helper_get_user8(u8 *value, const u8 __user *from)
{
	return should_fail_usercopy() ? -EFAULT : get_user(*value, from);
}

void vfio_helper_ida_init(struct ida *ida)
{
	ida_init(ida);
}

void vfio_helper_init_poll_funcptr(struct poll_table_struct *pt, poll_queue_proc qproc)
{
	init_poll_funcptr(pt, qproc);
}

void vfio_helper_init_waitqueue_func_entry(struct wait_queue_entry *entry,
					   wait_queue_func_t func)
{
	init_waitqueue_func_entry(entry, func);
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

u8 vfio_helper_ioread8(const void __iomem *io)
{
	return ioread8((void __iomem *)io);
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

void vfio_helper_iowrite8(u8 val, void __iomem *io)
{
	iowrite8(val, io);
}

void vfio_helper_list_del(struct list_head *entry)
{
	list_del(entry);
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

struct page *vfio_helper_pfn_to_page(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

bool vfio_helper_pfn_valid(unsigned long pfn)
{
	return pfn_valid(pfn);
}

void vfio_helper_pm_runtime_allow(struct device *dev)
{
	pm_runtime_allow(dev);
}

void vfio_helper_pm_runtime_forbid(struct device *dev)
{
	pm_runtime_forbid(dev);
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

int vfio_helper_put_user16(u16 value, u16 __user *to)
{
	return should_fail_usercopy() ? -EFAULT : put_user(value, to);
}

int vfio_helper_put_user32(u32 value, u32 __user *to)
{
	return should_fail_usercopy() ? -EFAULT : put_user(value, to);
}

int vfio_helper_put_user64(u64 value, u64 __user *to)
{
	return should_fail_usercopy() ? -EFAULT : put_user(value, to);
}

int vfio_helper_put_user8(u8 value, u8 __user *to)
{
	return should_fail_usercopy() ? -EFAULT : put_user(value, to);
}

bool vfio_helper_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue_work(wq, work);
}

bool vfio_helper_refcount_inc_not_zero_acquire(refcount_t *refs)
{
	return refcount_inc_not_zero_acquire(refs);
}

void vfio_helper_refcount_set_release(refcount_t *refs, int count)
{
	refcount_set_release(refs, count);
}

bool vfio_helper_schedule_work(struct work_struct *work)
{
	return schedule_work(work);
}

unsigned long vfio_helper_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}

void vfio_helper_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}

void vfio_helper_sg_set_pfn(struct scatterlist *sg, unsigned long pfn,
			    unsigned int len)
{
	sg_set_page(sg, pfn_to_page(pfn), len, 0);
}

unsigned long vfio_helper_task_rlimit(const struct task_struct *task,
				      unsigned int limit)
{
	return task_rlimit(task, limit);
}

unsigned long vfio_helper_untagged_addr_remote(struct mm_struct *mm,
					       unsigned long addr)
{
	return untagged_addr_remote(mm, addr);
}

__poll_t vfio_helper_vfs_poll(struct file *file, struct poll_table_struct *pt)
{
	return vfs_poll(file, pt);
}

int vfio_helper_vga_client_register(struct pci_dev *pdev,
				    unsigned int (*set_decode)(struct pci_dev *pdev,
							       bool state))
{
	return vga_client_register(pdev, set_decode);
}

void vfio_helper_vga_set_legacy_decoding(struct pci_dev *pdev, unsigned int decodes)
{
	vga_set_legacy_decoding(pdev, decodes);
}

void vfio_helper_vma_set_io(struct vm_area_struct *vma)
{
	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	vm_flags_set(vma, VM_ALLOW_ANY_UNCACHED | VM_IO | VM_PFNMAP |
			  VM_DONTEXPAND | VM_DONTDUMP);
}
