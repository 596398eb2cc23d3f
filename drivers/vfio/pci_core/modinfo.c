// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>

#ifdef CONFIG_VFIO_PCI_DMABUF
MODULE_IMPORT_NS("DMA_BUF");
#endif
