// SPDX-License-Identifier: GPL-2.0
/* The C compiler's view of the headers, for check_layouts.py. It is never loaded. */
#include <linux/module.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

#include "vfio.h"

MODULE_DESCRIPTION("Types of the headers of VFIO");
MODULE_LICENSE("GPL");
