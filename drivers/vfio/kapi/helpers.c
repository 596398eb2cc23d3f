// SPDX-License-Identifier: GPL-2.0
#include <vfio_helpers.h>

bool vfio_helper_pfn_valid(unsigned long pfn)
{
	return pfn_valid(pfn);
}
