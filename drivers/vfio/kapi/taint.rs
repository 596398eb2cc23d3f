// SPDX-License-Identifier: GPL-2.0

//! Taints: what the kernel tells of itself when somebody looks into a crash.
//!
//! C header: [`include/linux/panic.h`](srctree/include/linux/panic.h)

use kernel::bindings;

/// Marks the kernel as one in which user space asked for what makes it unreliable (`TAINT_USER`, `U`).
/// The mark stays until the next boot.
pub fn by_user() {
    // SAFETY: May be called in any context.
    unsafe { bindings::add_taint(bindings::TAINT_USER, bindings::lockdep_ok_LOCKDEP_STILL_OK) };
}
