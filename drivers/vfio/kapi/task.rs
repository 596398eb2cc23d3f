// SPDX-License-Identifier: GPL-2.0

//! The task that is running.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use kernel::{
    bindings,
    fmt,
    prelude::*,
    task::Task, //
};

/// The name of a task.
#[derive(Clone, Copy)]
pub struct Comm([u8; 16]);

/// The name of the task that is running.
pub fn comm() -> Comm {
    comm_of(kernel::current!())
}

fn comm_of(task: &Task) -> Comm {
    let task = task.as_ptr();
    // SAFETY: The task is valid. It may be renamed meanwhile; what is read is then part of either
    // name.
    let comm = unsafe { (&raw const (*task).comm).cast::<[u8; 16]>().read_volatile() };
    Comm(comm)
}

/// A process as it was when it did something: its name and its number in the initial namespace. It may
/// have ended since. Displays as `"name" (number)`, the name with whatever is not printable escaped.
#[derive(Clone, Copy)]
pub struct Process {
    comm: Comm,
    pid: i32,
}

impl Process {
    /// The process of the task that is running.
    pub fn current() -> Self {
        Self::of(kernel::current!().group_leader())
    }

    /// The process that `leader` is the leader of.
    pub fn of(leader: &Task) -> Self {
        Self {
            comm: comm_of(leader),
            pid: leader.pid(),
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("\"{}\" ({})", self.comm, self.pid))
    }
}

/// Whether the task that is running has memory of user space; a thread of the kernel has none.
pub fn has_mm() -> bool {
    // SAFETY: The running task is valid, and nobody but itself changes the field.
    unsafe { !(*kernel::current!().as_ptr()).mm.is_null() }
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
