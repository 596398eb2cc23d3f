// SPDX-License-Identifier: GPL-2.0

//! Telling why user space was refused, for those who ask for it.
//!
//! An errno does not say which of many rules it stands for. Where user space cannot see it, a refusal
//! goes through [`refuse!`](crate::refuse) or [`Explain::explain`], which say it in the log if dynamic
//! debugging is on for the module (`dyndbg=+p` as its parameter, or
//! `/proc/dynamic_debug/control`), rate-limited.
//!
//! C header: [`include/linux/dynamic_debug.h`](srctree/include/linux/dynamic_debug.h)

use crate::task::Process;
use kernel::{
    error::Error,
    fmt,
    prelude::*,
    str::NullTerminatedFormatter, //
};
use vfio_bindings as vb;
use vfio_logic::errno::Errno;

/// Says that the current process is refused something, and why. The error passes through.
#[cold]
#[inline(never)]
pub fn refused(err: Error, why: fmt::Arguments<'_>) -> Error {
    let process = Process::current();
    let errno = err.to_errno();
    debug(fmt!("vfio: refused {process}: {why} (error {errno})"));
    err
}

fn debug(message: fmt::Arguments<'_>) {
    // What does not fit is left out.
    let mut buffer = [0; 256];
    if let Some(mut text) = NullTerminatedFormatter::new(&mut buffer) {
        let _ = core::fmt::Write::write_fmt(&mut text, message);
    }
    // SAFETY: The buffer ends with a zero, and is only read.
    unsafe { vb::vfio_helper_debug(buffer.as_ptr().cast()) };
}

/// Answers with the error given first, having said why if debugging is on.
///
/// The rest is a message as for `pr_info!`, without a newline.
#[macro_export]
macro_rules! refuse {
    ($err:expr, $($why:tt)+) => {
        $crate::refusal::refused($err, ::kernel::prelude::fmt!($($why)+))
    };
}

/// Says why a rule refuses `what`. Out of the way of what is not refused.
#[cold]
#[inline(never)]
pub fn explained(errno: Errno, what: &dyn fmt::Display) -> Error {
    match errno.why() {
        Some(why) => refused(errno.into(), fmt!("{what}: {why}")),
        None => errno.into(),
    }
}

/// As [`Explain::explain`], with a message as for `pr_info!` that is only made if it is needed.
#[macro_export]
macro_rules! explain {
    ($result:expr, $($what:tt)+) => {
        $result.map_err(|errno| {
            $crate::refusal::explained(errno, &::kernel::prelude::fmt!($($what)+))
        })
    };
}

/// What a rule answers, and why.
pub trait Explain<T> {
    /// Says why the rule refuses `what`, if it does.
    ///
    /// # Errors
    ///
    /// That of the rule.
    fn explain(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> Explain<T> for vfio_logic::errno::Result<T> {
    #[inline]
    fn explain(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|errno| explained(errno, &what))
    }
}
