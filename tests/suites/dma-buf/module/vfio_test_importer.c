// SPDX-License-Identifier: GPL-2.0
/*
 * An importer of dma-bufs that user space drives: it maps them for a PCI function and says where they are, but does no
 * DMA. Stock kernels have importers only for hardware that QEMU does not have.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio_test_importer.h"

struct importer {
	struct mutex lock;
	struct pci_dev *pdev;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attachment;
	/* Under the reservation lock of the dma-buf: */
	struct sg_table *table;
	u32 told;
	bool unmaps;
};

static void importer_unmap(struct importer *importer)
{
	dma_resv_assert_held(importer->dmabuf->resv);
	if (importer->table)
		dma_buf_unmap_attachment(importer->attachment, importer->table, DMA_BIDIRECTIONAL);
	importer->table = NULL;
}

static void importer_invalidate(struct dma_buf_attachment *attachment)
{
	struct importer *importer = attachment->importer_priv;

	importer->told++;
	if (importer->unmaps)
		importer_unmap(importer);
}

static const struct dma_buf_attach_ops importer_p2p_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_invalidate,
};

static const struct dma_buf_attach_ops importer_no_p2p_ops = {
	.invalidate_mappings = importer_invalidate,
};

static const struct dma_buf_attach_ops importer_pinning_ops = {
	.allow_peer2peer = true,
};

static void importer_detach(struct importer *importer)
{
	if (!importer->attachment)
		return;
	dma_resv_lock(importer->dmabuf->resv, NULL);
	importer_unmap(importer);
	dma_resv_unlock(importer->dmabuf->resv);
	dma_buf_detach(importer->dmabuf, importer->attachment);
	dma_buf_put(importer->dmabuf);
	pci_dev_put(importer->pdev);
	importer->attachment = NULL;
}

static long importer_attach(struct importer *importer, struct importer_attach *arg)
{
	const struct dma_buf_attach_ops *ops = &importer_p2p_ops;
	struct dma_buf_attachment *attachment;
	struct dma_buf *dmabuf;
	struct pci_dev *pdev;

	if (importer->attachment)
		return -EBUSY;
	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	pdev = pci_get_domain_bus_and_slot(arg->domain, arg->bus, arg->devfn);
	if (!pdev) {
		dma_buf_put(dmabuf);
		return -ENXIO;
	}
	if (!arg->peer2peer)
		ops = &importer_no_p2p_ops;
	else if (!arg->revocable)
		ops = &importer_pinning_ops;
	importer->dmabuf = dmabuf;
	importer->pdev = pdev;
	importer->unmaps = arg->unmaps;
	importer->told = 0;
	attachment = dma_buf_dynamic_attach(dmabuf, &pdev->dev, ops, importer);
	if (IS_ERR(attachment)) {
		pci_dev_put(pdev);
		dma_buf_put(dmabuf);
		return PTR_ERR(attachment);
	}
	importer->attachment = attachment;
	return 0;
}

static long importer_map(struct importer *importer)
{
	struct sg_table *table;
	long ret = 0;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	if (importer->table) {
		ret = -EBUSY;
	} else {
		table = dma_buf_map_attachment(importer->attachment, DMA_BIDIRECTIONAL);
		if (IS_ERR(table))
			ret = PTR_ERR(table);
		else
			importer->table = table;
	}
	dma_resv_unlock(importer->dmabuf->resv);
	return ret;
}

static void importer_state(struct importer *importer, struct importer_state *state)
{
	struct scatterlist *entry;
	int i;

	dma_resv_lock(importer->dmabuf->resv, NULL);
	state->told = importer->told;
	if (importer->table) {
		state->mapped = 1;
		state->entries = importer->table->nents;
		state->address = sg_dma_address(importer->table->sgl);
		for_each_sgtable_dma_sg(importer->table, entry, i)
			state->size += sg_dma_len(entry);
	}
	dma_resv_unlock(importer->dmabuf->resv);
}

static long importer_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct importer *importer = file->private_data;
	struct importer_state state = {};
	struct importer_attach attach;

	guard(mutex)(&importer->lock);
	if (cmd == IMPORTER_ATTACH) {
		if (copy_from_user(&attach, (void __user *)arg, sizeof(attach)))
			return -EFAULT;
		return importer_attach(importer, &attach);
	}
	if (!importer->attachment)
		return -EINVAL;
	switch (cmd) {
	case IMPORTER_DETACH:
		importer_detach(importer);
		return 0;
	case IMPORTER_MAP:
		return importer_map(importer);
	case IMPORTER_UNMAP:
		dma_resv_lock(importer->dmabuf->resv, NULL);
		importer_unmap(importer);
		dma_resv_unlock(importer->dmabuf->resv);
		return 0;
	case IMPORTER_STATE:
		importer_state(importer, &state);
		return copy_to_user((void __user *)arg, &state, sizeof(state)) ? -EFAULT : 0;
	default:
		return -ENOTTY;
	}
}

static int importer_open(struct inode *inode, struct file *file)
{
	struct importer *importer = kzalloc_obj(*importer);

	if (!importer)
		return -ENOMEM;
	mutex_init(&importer->lock);
	file->private_data = importer;
	return 0;
}

static int importer_release(struct inode *inode, struct file *file)
{
	importer_detach(file->private_data);
	kfree(file->private_data);
	return 0;
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.release = importer_release,
	.unlocked_ioctl = importer_ioctl,
};

static struct miscdevice importer_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vfio-test-importer",
	.fops = &importer_fops,
};

module_misc_device(importer_misc);
MODULE_DESCRIPTION("Importer of dma-bufs for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
