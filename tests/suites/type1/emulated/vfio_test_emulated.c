// SPDX-License-Identifier: GPL-2.0
/*
 * An emulated VFIO device that pins, unpins, reads and writes what user space
 * says, to test the IOMMU backend under it.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/iommu.h>

enum { CMD_PIN, CMD_UNPIN, CMD_READ, CMD_WRITE, CMD_NOTIFIED };

struct command {
	__u64 iova;
	__u32 cmd;
	__u32 count;	/* pages, or bytes */
	__u32 prot;
	__s32 ret;
	__u8 data[64];
};

struct emulated {
	struct vfio_device vdev;
	struct mutex lock;
	struct { u64 iova; u32 pages; } pins[64];
	u64 notified;
};

static struct platform_device *pdev;
static struct emulated *emulated;

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
	return 0;
}

static void emu_unpin_all(struct emulated *e, u64 iova, u64 length)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(e->pins); i++) {
		u64 size = (u64)e->pins[i].pages << PAGE_SHIFT;

		if (!size || e->pins[i].iova > iova + (length - 1) ||
		    e->pins[i].iova + (size - 1) < iova)
			continue;
		vfio_unpin_pages(&e->vdev, e->pins[i].iova, e->pins[i].pages);
		e->pins[i].pages = 0;
	}
}

static void emu_close(struct vfio_device *vdev)
{
	struct emulated *e = to_emulated(vdev);

	mutex_lock(&e->lock);
	emu_unpin_all(e, 0, U64_MAX);
	mutex_unlock(&e->lock);
}

static void emu_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct emulated *e = to_emulated(vdev);

	mutex_lock(&e->lock);
	e->notified++;
	emu_unpin_all(e, iova, length);
	mutex_unlock(&e->lock);
}

static ssize_t emu_write(struct vfio_device *vdev, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	struct emulated *e = to_emulated(vdev);
	struct page *pages[16] = {};
	struct command c;
	int i;

	if (count != sizeof(c) || copy_from_user(&c, buf, sizeof(c)))
		return -EFAULT;
	mutex_lock(&e->lock);
	switch (c.cmd) {
	case CMD_PIN:
		for (i = 0; i < ARRAY_SIZE(e->pins); i++)
			if (!e->pins[i].pages)
				break;
		if (i == ARRAY_SIZE(e->pins) || c.count > ARRAY_SIZE(pages)) {
			c.ret = -E2BIG;
			break;
		}
		c.ret = vfio_pin_pages(vdev, c.iova, c.count, c.prot, pages);
		if (c.ret > 0) {
			e->pins[i].iova = c.iova;
			e->pins[i].pages = c.ret;
			memcpy(c.data, page_address(pages[0]), 16);
		}
		break;
	case CMD_UNPIN:
		c.ret = -ENOENT;
		for (i = 0; i < ARRAY_SIZE(e->pins); i++)
			if (e->pins[i].pages && e->pins[i].iova == c.iova) {
				vfio_unpin_pages(vdev, c.iova, e->pins[i].pages);
				e->pins[i].pages = 0;
				c.ret = 0;
				break;
			}
		break;
	case CMD_READ:
	case CMD_WRITE:
		c.ret = vfio_dma_rw(vdev, c.iova, c.data,
				    min(c.count, (u32)sizeof(c.data)),
				    c.cmd == CMD_WRITE);
		break;
	case CMD_NOTIFIED:
		c.ret = e->notified;
		break;
	default:
		c.ret = -EINVAL;
	}
	mutex_unlock(&e->lock);
	return copy_to_user((void __user *)buf, &c, sizeof(c)) ? -EFAULT : count;
}

static const struct vfio_device_ops emu_ops = {
	.name = "vfio-test-emulated",
	.init = emu_init,
	.open_device = emu_open,
	.close_device = emu_close,
	.write = emu_write,
	.dma_unmap = emu_dma_unmap,
};

static int emu_probe(struct platform_device *pdev)
{
	int ret;

	emulated = vfio_alloc_device(emulated, vdev, &pdev->dev, &emu_ops);
	if (IS_ERR(emulated))
		return PTR_ERR(emulated);
	ret = vfio_register_emulated_iommu_dev(&emulated->vdev);
	if (ret)
		vfio_put_device(&emulated->vdev);
	return ret;
}

static void emu_remove(struct platform_device *pdev)
{
	vfio_unregister_group_dev(&emulated->vdev);
	vfio_put_device(&emulated->vdev);
}

static struct platform_driver emu_driver = {
	.probe = emu_probe,
	.remove = emu_remove,
	.driver.name = "vfio-test-emulated",
};

static int __init emu_module_init(void)
{
	int ret = platform_driver_register(&emu_driver);

	if (ret)
		return ret;
	pdev = platform_device_register_simple("vfio-test-emulated", -1, NULL, 0);
	if (IS_ERR(pdev)) {
		platform_driver_unregister(&emu_driver);
		return PTR_ERR(pdev);
	}
	return 0;
}

static void __exit emu_module_exit(void)
{
	platform_device_unregister(pdev);
	platform_driver_unregister(&emu_driver);
}

module_init(emu_module_init);
module_exit(emu_module_exit);
MODULE_DESCRIPTION("Emulated VFIO device for tests");
MODULE_LICENSE("GPL");
