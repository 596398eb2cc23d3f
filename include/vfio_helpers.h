/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions and macros of the kernel that Rust cannot call, as functions.
 * Each is one call; logic does not belong here.
 */
#ifndef _VFIO_HELPERS_H
#define _VFIO_HELPERS_H

#include <linux/mm.h>

bool vfio_helper_pfn_valid(unsigned long pfn);

#endif /* _VFIO_HELPERS_H */
