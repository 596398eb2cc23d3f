// SPDX-License-Identifier: GPL-2.0

//! Array accesses that the CPU cannot be made to mispredict.
//!
//! C header: [`include/linux/nospec.h`](srctree/include/linux/nospec.h)

use vfio_bindings as vb;

/// `index` if it is less than `len`, else 0: also while the CPU speculates that it is.
#[inline]
pub fn index(index: usize, len: usize) -> usize {
    // SAFETY: Only calculates.
    unsafe { vb::vfio_helper_array_index_nospec(index, len) }
}
