// SPDX-License-Identifier: GPL-2.0
#include <vfio_helpers.h>

bool vfio_helper_pfn_valid(unsigned long pfn)
{
	return pfn_valid(pfn);
}

void vfio_helper_ida_init(struct ida *ida)
{
	ida_init(ida);
}

bool vfio_helper_refcount_inc_not_zero(refcount_t *refs)
{
	return refcount_inc_not_zero(refs);
}

int vfio_helper_pm_runtime_resume_and_get(struct device *dev)
{
	return pm_runtime_resume_and_get(dev);
}

void vfio_helper_pm_runtime_put(struct device *dev)
{
	pm_runtime_put(dev);
}

void vfio_helper_list_del(struct list_head *entry)
{
	list_del(entry);
}

struct workqueue_struct *vfio_helper_create_singlethread_workqueue(const char *name)
{
	return create_singlethread_workqueue(name);
}

void vfio_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

bool vfio_helper_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	return queue_work(wq, work);
}

bool vfio_helper_schedule_work(struct work_struct *work)
{
	return schedule_work(work);
}

void vfio_helper_init_waitqueue_func_entry(struct wait_queue_entry *entry,
					   wait_queue_func_t func)
{
	init_waitqueue_func_entry(entry, func);
}

__poll_t vfio_helper_vfs_poll(struct file *file, struct poll_table_struct *pt)
{
	return vfs_poll(file, pt);
}

void vfio_helper_init_poll_funcptr(struct poll_table_struct *pt, poll_queue_proc qproc)
{
	init_poll_funcptr(pt, qproc);
}
