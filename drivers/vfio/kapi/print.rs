// SPDX-License-Identifier: GPL-2.0

//! Messages in the kernel log, beyond what `pr_info!` and the like do.
//!
//! C header: [`include/linux/printk.h`](srctree/include/linux/printk.h)

use kernel::{
    bindings,
    prelude::*,
    str::CStr, //
};

/// Prints a line without the name of the module before it.
pub fn info(line: &CStr) {
    // SAFETY: The format takes a string. It starts with `KERN_INFO`.
    unsafe { bindings::_printk(c"\x016%s\n".as_char_ptr(), line.as_char_ptr()) };
}
