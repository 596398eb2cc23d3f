// SPDX-License-Identifier: GPL-2.0
/*
 * Emulated VFIO devices that pin, unpin, read and write what user space says,
 * to test the core and the IOMMU backend under them. vfio-test-emulated.0 and .1
 * want to be told of unmaps, .2 does not.
 */
#include <linux/eventfd.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#include "vfio_test_emulated.h"

#define DEVICES		3
#define PINS		64
#define MAX_PAGES	1024
#define MAX_BYTES	(4u << 20)

static int open_error;
module_param(open_error, int, 0644);
MODULE_PARM_DESC(open_error, "what open_device answers");

struct pin {
	u64 iova;
	u32 count;
	struct page **pages;
};

struct emulated {
	struct vfio_device vdev;
	/* Held while pinning and in dma_unmap, as i915 does. */
	struct mutex lock;
	struct pin pins[PINS];
	u64 notified, last_iova, last_length;
	struct eventfd_ctx *request;
};

static struct platform_device *devices[DEVICES];

static struct emulated *to_emulated(struct vfio_device *vdev)
{
	return container_of(vdev, struct emulated, vdev);
}

static int emu_init(struct vfio_device *vdev)
{
	mutex_init(&to_emulated(vdev)->lock);
	return 0;
}

static int emu_open(struct vfio_device *vdev)
{
	return open_error;
}

static struct pin *emu_find(struct emulated *e, u64 iova)
{
	for (int i = 0; i < PINS; i++)
		if (e->pins[i].count && e->pins[i].iova == iova)
			return &e->pins[i];
	return NULL;
}

static void emu_unpin(struct emulated *e, struct pin *pin, u32 count)
{
	vfio_unpin_pages(&e->vdev, pin->iova, count);
	pin->iova += (u64)count << PAGE_SHIFT;
	pin->count -= count;
	if (pin->count) {
		memmove(pin->pages, pin->pages + count,
			pin->count * sizeof(*pin->pages));
	} else {
		kvfree(pin->pages);
		pin->pages = NULL;
	}
}

static void emu_unpin_range(struct emulated *e, u64 iova, u64 length)
{
	for (int i = 0; i < PINS; i++) {
		struct pin *pin = &e->pins[i];
		u64 size = (u64)pin->count << PAGE_SHIFT;

		if (size && pin->iova <= iova + (length - 1) &&
		    pin->iova + (size - 1) >= iova)
			emu_unpin(e, pin, pin->count);
	}
}

static void emu_close(struct vfio_device *vdev)
{
	struct emulated *e = to_emulated(vdev);

	mutex_lock(&e->lock);
	emu_unpin_range(e, 0, U64_MAX);
	if (e->request)
		eventfd_ctx_put(e->request);
	e->request = NULL;
	e->notified = 0;
	mutex_unlock(&e->lock);
}

static void emu_request(struct vfio_device *vdev, unsigned int count)
{
	struct emulated *e = to_emulated(vdev);

	mutex_lock(&e->lock);
	if (e->request)
		eventfd_signal(e->request);
	mutex_unlock(&e->lock);
}

static void emu_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct emulated *e = to_emulated(vdev);

	mutex_lock(&e->lock);
	e->notified++;
	e->last_iova = iova;
	e->last_length = length;
	emu_unpin_range(e, iova, length);
	mutex_unlock(&e->lock);
}

static int emu_pin(struct emulated *e, struct test_emulated *c)
{
	bool raw = c->flags & TEST_RAW;
	struct page **pages;
	int i, ret;

	for (i = 0; i < PINS; i++)
		if (!e->pins[i].count)
			break;
	if (i == PINS || (!raw && c->count > MAX_PAGES))
		return -ENOBUFS;
	pages = kvcalloc(MAX_PAGES, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	ret = vfio_pin_pages(&e->vdev, c->iova, c->count, c->prot,
			     raw && !c->prot ? NULL : pages);
	if (ret > 0) {
		memcpy(c->data, page_address(pages[0]), 16);
		memcpy(c->data + 16, page_address(pages[ret - 1]), 16);
		if (!raw) {
			e->pins[i] = (struct pin){ c->iova, ret, pages };
			return ret;
		}
		vfio_unpin_pages(&e->vdev, c->iova, ret);
	} else {
		/* Nothing may be left of the pages of a failed call. */
		for (i = 0; i < MAX_PAGES; i++)
			c->data[0] |= !!pages[i];
	}
	kvfree(pages);
	return ret;
}

struct rw_work {
	struct work_struct work;
	struct emulated *e;
	struct test_emulated *c;
	void *data;
	int ret;
};

static void emu_rw_work(struct work_struct *work)
{
	struct rw_work *rw = container_of(work, struct rw_work, work);

	rw->ret = vfio_dma_rw(&rw->e->vdev, rw->c->iova, rw->data,
			      rw->c->count, rw->c->command == TEST_WRITE);
}

static int emu_rw(struct emulated *e, struct test_emulated *c)
{
	struct rw_work rw = { .e = e, .c = c, .data = c->data };

	if (c->count > (c->address ? MAX_BYTES : TEST_DATA))
		return -ENOBUFS;
	if (c->address) {
		rw.data = kvzalloc(max(c->count, 1u), GFP_KERNEL_ACCOUNT);
		if (!rw.data)
			return -ENOMEM;
		if (copy_from_user(rw.data, u64_to_user_ptr(c->address), c->count)) {
			rw.ret = -ENOBUFS;
			goto out;
		}
	}
	if (c->flags & TEST_KTHREAD) {
		INIT_WORK_ONSTACK(&rw.work, emu_rw_work);
		schedule_work(&rw.work);
		flush_work(&rw.work);
		destroy_work_on_stack(&rw.work);
	} else {
		emu_rw_work(&rw.work);
	}
	if (c->address &&
	    copy_to_user(u64_to_user_ptr(c->address), rw.data, c->count))
		rw.ret = -ENOBUFS;
out:
	if (c->address)
		kvfree(rw.data);
	return rw.ret;
}

static int emu_command(struct emulated *e, struct test_emulated *c)
{
	struct eventfd_ctx *eventfd;
	struct pin *pin;

	switch (c->command) {
	case TEST_PIN:
		return emu_pin(e, c);
	case TEST_UNPIN:
		if (c->flags & TEST_RAW) {
			vfio_unpin_pages(&e->vdev, c->iova, c->count);
			return 0;
		}
		pin = emu_find(e, c->iova);
		if (!pin || c->count > pin->count)
			return -ENOENT;
		emu_unpin(e, pin, c->count ?: pin->count);
		return 0;
	case TEST_POKE:
		pin = emu_find(e, c->iova);
		if (!pin)
			return -ENOENT;
		memcpy(page_address(pin->pages[0]), c->data, TEST_DATA);
		return 0;
	case TEST_READ:
	case TEST_WRITE:
		return emu_rw(e, c);
	case TEST_NOTIFIED:
		memcpy(c->data, &e->last_iova, 8);
		memcpy(c->data + 8, &e->last_length, 8);
		return e->notified;
	case TEST_REQUEST:
		eventfd = eventfd_ctx_fdget(c->count);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
		if (e->request)
			eventfd_ctx_put(e->request);
		e->request = eventfd;
		return 0;
	}
	return -EINVAL;
}

static ssize_t emu_write(struct vfio_device *vdev, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	struct emulated *e = to_emulated(vdev);
	struct test_emulated c;

	if (count != sizeof(c) || copy_from_user(&c, buf, sizeof(c)))
		return -EFAULT;
	mutex_lock(&e->lock);
	c.ret = emu_command(e, &c);
	mutex_unlock(&e->lock);
	return copy_to_user((void __user *)buf, &c, sizeof(c)) ? -EFAULT : count;
}

/* Nothing where there is no iommufd. */
#define IOMMUFD_OPS						\
	.bind_iommufd = vfio_iommufd_emulated_bind,		\
	.unbind_iommufd = vfio_iommufd_emulated_unbind,		\
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,	\
	.detach_ioas = vfio_iommufd_emulated_detach_ioas

static const struct vfio_device_ops emu_ops = {
	.name = "vfio-test-emulated",
	IOMMUFD_OPS,
	.init = emu_init,
	.open_device = emu_open,
	.close_device = emu_close,
	.write = emu_write,
	.request = emu_request,
	.dma_unmap = emu_dma_unmap,
};

static const struct vfio_device_ops emu_ops_without_unmap = {
	.name = "vfio-test-emulated",
	IOMMUFD_OPS,
	.init = emu_init,
	.open_device = emu_open,
	.close_device = emu_close,
	.write = emu_write,
	.request = emu_request,
};

static int emu_probe(struct platform_device *pdev)
{
	struct emulated *e;
	int ret;

	e = vfio_alloc_device(emulated, vdev, &pdev->dev,
			      pdev->id < 2 ? &emu_ops : &emu_ops_without_unmap);
	if (IS_ERR(e))
		return PTR_ERR(e);
	ret = vfio_register_emulated_iommu_dev(&e->vdev);
	if (ret)
		vfio_put_device(&e->vdev);
	else
		platform_set_drvdata(pdev, e);
	return ret;
}

static void emu_remove(struct platform_device *pdev)
{
	struct emulated *e = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&e->vdev);
	vfio_put_device(&e->vdev);
}

static struct platform_driver emu_driver = {
	.probe = emu_probe,
	.remove = emu_remove,
	.driver.name = "vfio-test-emulated",
};

static void emu_module_exit(void)
{
	for (int i = 0; i < DEVICES; i++)
		platform_device_unregister(devices[i]);
	platform_driver_unregister(&emu_driver);
}

static int __init emu_module_init(void)
{
	int ret = platform_driver_register(&emu_driver);

	for (int i = 0; i < DEVICES && !ret; i++) {
		devices[i] = platform_device_register_simple("vfio-test-emulated",
							     i, NULL, 0);
		ret = PTR_ERR_OR_ZERO(devices[i]);
		if (ret) {
			devices[i] = NULL;
			emu_module_exit();
		}
	}
	return ret;
}

module_init(emu_module_init);
module_exit(emu_module_exit);
MODULE_DESCRIPTION("Emulated VFIO devices for tests");
MODULE_LICENSE("GPL");
