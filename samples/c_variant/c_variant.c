// SPDX-License-Identifier: GPL-2.0
/*
 * The skeleton of a variant driver of vfio-pci in C: start here for a device whose migration,
 * regions or reset the generic driver does not know. It works on vfio-pci-core.ko in C as in Rust.
 *
 * All operations are those of the core but for the one that most drivers change: this one notes how
 * often its device is opened, and shows it as a region, that user space finds by its type.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

/* QEMU's edu. */
#define SAMPLE_VENDOR	0x1234
#define SAMPLE_DEVICE	0x11e8

#define STORY_TYPE	(VFIO_REGION_TYPE_PCI_VENDOR_TYPE | SAMPLE_VENDOR)
#define STORY_SUBTYPE	2

struct sample {
	struct vfio_pci_core_device core;	/* has to be the first */
	char story[64];
};

static struct sample *to_sample(struct vfio_pci_core_device *core)
{
	return container_of(core, struct sample, core);
}

static ssize_t story_rw(struct vfio_pci_core_device *core, char __user *buf, size_t count,
			loff_t *ppos, bool iswrite)
{
	unsigned int i = VFIO_PCI_OFFSET_TO_INDEX(*ppos) - VFIO_PCI_NUM_REGIONS;
	loff_t pos = *ppos & VFIO_PCI_OFFSET_MASK;

	if (iswrite || pos >= core->region[i].size)
		return -EINVAL;
	count = min_t(size_t, count, core->region[i].size - pos);
	if (copy_to_user(buf, to_sample(core)->story + pos, count))
		return -EFAULT;
	*ppos += count;
	return count;
}

static void story_release(struct vfio_pci_core_device *core, struct vfio_pci_region *region)
{
	/* What the region has is part of the device. */
}

static const struct vfio_pci_regops story_ops = {
	.rw = story_rw,
	.release = story_release,
};

/* Between enabling and finishing the device is there, and nobody has it yet: regions come here. */
static int sample_open(struct vfio_device *vdev)
{
	static atomic_t opened;
	struct sample *sample = container_of(vdev, struct sample, core.vdev);
	int len, ret;

	ret = vfio_pci_core_enable(&sample->core);
	if (ret)
		return ret;
	len = scnprintf(sample->story, sizeof(sample->story),
			"opened %d times since the driver was loaded\n",
			atomic_inc_return(&opened));
	ret = vfio_pci_core_register_dev_region(&sample->core, STORY_TYPE, STORY_SUBTYPE,
						&story_ops, len, VFIO_REGION_INFO_FLAG_READ, NULL);
	if (ret) {
		vfio_pci_core_disable(&sample->core);
		return ret;
	}
	vfio_pci_core_finish_enable(&sample->core);
	return 0;
}

static const struct vfio_device_ops sample_ops = {
	.name = "vfio-sample-c-variant",
	.init = vfio_pci_core_init_dev,
	.release = vfio_pci_core_release_dev,
	.open_device = sample_open,
	.close_device = vfio_pci_core_close_device,
	.ioctl = vfio_pci_core_ioctl,
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static int sample_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct sample *sample;
	int ret;

	/* driver_override brings any device here, not only those of the table. */
	if (pdev->vendor != SAMPLE_VENDOR || pdev->device != SAMPLE_DEVICE)
		return -ENODEV;
	sample = vfio_alloc_device(sample, core.vdev, &pdev->dev, &sample_ops);
	if (IS_ERR(sample))
		return PTR_ERR(sample);
	/* The core finds its device by this. */
	dev_set_drvdata(&pdev->dev, &sample->core);
	ret = vfio_pci_core_register_device(&sample->core);
	if (ret)
		vfio_put_device(&sample->core.vdev);
	return ret;
}

static void sample_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	/* Returns when nobody uses the device any more. */
	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

static const struct pci_device_id sample_ids[] = {
	/* Only if driver_override names this driver; libvirt looks for its alias, vfio_pci:... */
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(SAMPLE_VENDOR, SAMPLE_DEVICE) },
	{}
};
MODULE_DEVICE_TABLE(pci, sample_ids);

static struct pci_driver sample_driver = {
	.name = "vfio-sample-c-variant",
	.id_table = sample_ids,
	.probe = sample_probe,
	.remove = sample_remove,
	.err_handler = &vfio_pci_core_err_handlers,
	/* The group's user owns the DMA, not the kernel. */
	.driver_managed_dma = true,
};
module_pci_driver(sample_driver);

MODULE_DESCRIPTION("Skeleton of a variant driver of vfio-pci");
MODULE_LICENSE("GPL");
