// SPDX-License-Identifier: GPL-2.0

//! Messages that user space can cause at will: no more than ten in five seconds from each place.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use kernel::{
    bindings,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// Counts the messages of one place.
pub struct RateLimit {
    /// The number of the five seconds that `count` is of.
    window: Atomic<i64>,
    count: Atomic<i32>,
}

impl RateLimit {
    /// No messages yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            window: Atomic::new(-1),
            count: Atomic::new(0),
        }
    }

    /// Whether there may be one more message now.
    pub fn allow(&self) -> bool {
        const WINDOW_NS: i64 = 5_000_000_000;
        const BURST: i32 = 10;

        // SAFETY: May be called in any context.
        let window = unsafe { bindings::ktime_get() } / WINDOW_NS;
        // Two who race here may get some messages more.
        if self.window.load(Relaxed) != window {
            self.window.store(window, Relaxed);
            self.count.store(0, Relaxed);
        }
        let count = self.count.load(Relaxed);
        if count < BURST {
            self.count.store(count + 1, Relaxed);
        }
        count < BURST
    }
}

/// Evaluates a `pr_*!` or `dev_*!`, unless there were too many of these of late.
#[macro_export]
macro_rules! ratelimited {
    ($message:expr) => {{
        static LIMIT: $crate::ratelimit::RateLimit = $crate::ratelimit::RateLimit::new();
        if LIMIT.allow() {
            $message;
        }
    }};
}
