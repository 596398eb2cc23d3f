// SPDX-License-Identifier: GPL-2.0
/*
 * A driver of QEMU's edu device, for guests that it is assigned to: interrupts by MSI or by INTx, and DMA of memory that is
 * mapped for each transfer. A device that fails does not bind; what was done is in the kernel log.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

/* Registers, as in QEMU's docs/specs/edu.rst. */
#define ID 0x00
#define LIVENESS 0x04
#define FACTORIAL 0x08
#define STATUS 0x20
#define STATUS_COMPUTING BIT(0)
#define STATUS_RAISE BIT(7)
#define IRQ_STATUS 0x24
#define IRQ_RAISE 0x60
#define IRQ_ACKNOWLEDGE 0x64
#define DMA_SOURCE 0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT 0x90
#define DMA_COMMAND 0x98
#define DMA_START BIT(0)
#define DMA_TO_RAM BIT(1)
#define DMA_RAISE BIT(2)

/* What it raises when a factorial or a transfer is done, and where its own memory is. */
#define RAISED_FACTORIAL BIT(0)
#define RAISED_DMA BIT(8)
#define BUFFER 0x40000

static bool msi = true;
module_param(msi, bool, 0);
MODULE_PARM_DESC(msi, "Interrupts by MSI");

static uint rounds = 10;
module_param(rounds, uint, 0);
MODULE_PARM_DESC(rounds, "Transfers there and back, interrupts of each kind");

struct edu {
	void __iomem *regs;
	struct completion raised;
	u32 why;
	uint interrupts;
};

static irqreturn_t edu_interrupt(int irq, void *data)
{
	struct edu *edu = data;
	u32 why = readl(edu->regs + IRQ_STATUS);

	if (!why)
		return IRQ_NONE;
	writel(why, edu->regs + IRQ_ACKNOWLEDGE);
	edu->why = why;
	edu->interrupts++;
	complete(&edu->raised);
	return IRQ_HANDLED;
}

/* The interrupt that was asked for comes, and is the one. */
static int edu_wait(struct edu *edu, u32 why)
{
	if (!wait_for_completion_timeout(&edu->raised, 60 * HZ))
		return -ETIMEDOUT;
	return edu->why == why ? 0 : -EIO;
}

static int edu_transfer(struct device *dev, struct edu *edu, u8 *buffer, bool to_ram)
{
	enum dma_data_direction direction = to_ram ? DMA_FROM_DEVICE : DMA_TO_DEVICE;
	dma_addr_t address = dma_map_single(dev, buffer, PAGE_SIZE, direction);
	int err;

	if (dma_mapping_error(dev, address))
		return -ENOMEM;
	writel(to_ram ? BUFFER : address, edu->regs + DMA_SOURCE);
	writel(to_ram ? address : BUFFER, edu->regs + DMA_DESTINATION);
	writel(PAGE_SIZE, edu->regs + DMA_COUNT);
	writel(DMA_START | DMA_RAISE | (to_ram ? DMA_TO_RAM : 0), edu->regs + DMA_COMMAND);
	err = edu_wait(edu, RAISED_DMA);
	dma_unmap_single(dev, address, PAGE_SIZE, direction);
	return err;
}

static int edu_dma(struct device *dev, struct edu *edu)
{
	/* The device reaches 28 bits only. */
	u8 *out = (u8 *)__get_free_page(GFP_KERNEL | GFP_DMA), *in = (u8 *)__get_free_page(GFP_KERNEL | GFP_DMA);
	int err = out && in ? 0 : -ENOMEM;
	uint i;

	for (i = 0; i < rounds && !err; i++) {
		memset(out, 0x30 + i, PAGE_SIZE);
		out[i % PAGE_SIZE] = 0xa5;
		memset(in, 0, PAGE_SIZE);
		err = edu_transfer(dev, edu, out, false);
		if (!err)
			err = edu_transfer(dev, edu, in, true);
		if (!err && memcmp(in, out, PAGE_SIZE))
			err = -EBADMSG;
	}
	free_page((unsigned long)out);
	free_page((unsigned long)in);
	return err;
}

static int edu_interrupts(struct edu *edu)
{
	int err = 0;
	u32 status;
	uint i;

	for (i = 0; i < rounds && !err; i++) {
		writel(0x100000 + i, edu->regs + IRQ_RAISE);
		err = edu_wait(edu, 0x100000 + i);
	}
	if (err)
		return err;
	writel(STATUS_RAISE, edu->regs + STATUS);
	writel(5, edu->regs + FACTORIAL);
	err = edu_wait(edu, RAISED_FACTORIAL);
	if (!err)
		err = readl_poll_timeout(edu->regs + STATUS, status, !(status & STATUS_COMPUTING), 1000, 10 * USEC_PER_SEC);
	writel(0, edu->regs + STATUS);
	if (!err && readl(edu->regs + FACTORIAL) != 120)
		err = -EBADMSG;
	return err;
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu = devm_kzalloc(&pdev->dev, sizeof(*edu), GFP_KERNEL);
	int err;

	if (!edu)
		return -ENOMEM;
	init_completion(&edu->raised);
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	edu->regs = pcim_iomap_region(pdev, 0, KBUILD_MODNAME);
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(28));
	if (err)
		return err;
	pci_set_master(pdev);
	err = pci_alloc_irq_vectors(pdev, 1, 1, msi ? PCI_IRQ_MSI : PCI_IRQ_INTX);
	if (err < 0)
		return err;
	err = request_irq(pci_irq_vector(pdev, 0), edu_interrupt, IRQF_SHARED, KBUILD_MODNAME, edu);
	if (err)
		goto free_vectors;
	writel(0x12345678, edu->regs + LIVENESS);
	if ((readl(edu->regs + ID) & 0xffff) != 0xed || readl(edu->regs + LIVENESS) != ~0x12345678)
		err = -ENODEV;
	if (!err)
		err = edu_dma(&pdev->dev, edu);
	if (!err)
		err = edu_interrupts(edu);
	dev_info(&pdev->dev, "%u interrupts by %s: %d\n", edu->interrupts, msi ? "MSI" : "INTx", err);
	free_irq(pci_irq_vector(pdev, 0), edu);
free_vectors:
	pci_free_irq_vectors(pdev);
	return err;
}

static void edu_remove(struct pci_dev *pdev)
{
	/* Everything was released when the device had been tried. */
}

static const struct pci_device_id edu_ids[] = { { PCI_DEVICE(0x1234, 0x11e8) }, {} };

static struct pci_driver edu_driver = {
	.name = KBUILD_MODNAME,
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};
module_pci_driver(edu_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Tries QEMU's edu device in a guest");
