// SPDX-License-Identifier: GPL-2.0

//! Messages that user space can cause, but not too many.
//!
//! C header: [`include/linux/printk.h`](srctree/include/linux/printk.h)

use kernel::{
    bindings,
    prelude::*, //
};

/// Calls `print`, unless there were many messages of this sort a moment ago.
pub fn with_limit(print: impl FnOnce()) {
    // SAFETY: The argument is a string.
    if unsafe { bindings::__printk_ratelimit(c"vfio".as_char_ptr()) } != 0 {
        print();
    }
}
