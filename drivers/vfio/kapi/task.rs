// SPDX-License-Identifier: GPL-2.0

//! The task that is running.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use core::ffi::c_char;
use kernel::{
    bindings,
    fmt, //
};

/// The name of a task.
pub struct Comm([u8; 16]);

/// The name of the task that is running.
pub fn comm() -> Comm {
    let task = kernel::current!().as_ptr();
    // SAFETY: The running task is valid. A task may be renamed meanwhile; what is read is then part
    // of either name.
    let comm: [c_char; 16] = unsafe {
        (&raw const (*task).comm)
            .cast::<[c_char; 16]>()
            .read_volatile()
    };
    Comm(comm.map(|byte| byte as u8))
}

/// Whether the task that is running may do I/O past the kernel (`CAP_SYS_RAWIO`). Asking is seen by
/// the audit and security subsystems, so ask only where the answer decides.
pub fn has_raw_io() -> bool {
    // SAFETY: May be called from any task.
    unsafe { bindings::capable(bindings::CAP_SYS_RAWIO as i32) }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take_while(|byte| **byte != 0) {
            for part in byte.escape_ascii() {
                fmt::Write::write_char(f, part.into())?;
            }
        }
        Ok(())
    }
}
