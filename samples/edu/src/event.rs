// SPDX-License-Identifier: GPL-2.0

//! Counting interrupts on an eventfd.

use std::io;
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use vmm_sys_util::eventfd::EventFd;

/// How long an interrupt that must come may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it must be quiet to believe that no more comes.
const QUIET: Duration = Duration::from_millis(100);

/// An eventfd whose signals are counted.
pub struct Counter(EventFd);

impl Counter {
    /// Makes one with nothing counted.
    pub fn new() -> io::Result<Self> {
        EventFd::new(libc::EFD_CLOEXEC | libc::EFD_NONBLOCK).map(Self)
    }

    /// The descriptor, for `VFIO_DEVICE_SET_IRQS`.
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// The eventfd itself.
    pub fn eventfd(&self) -> &EventFd {
        &self.0
    }

    /// Signals it from this side.
    pub fn signal(&self) -> io::Result<()> {
        self.0.write(1)
    }

    /// Takes what has been counted since the last time.
    fn take(&self) -> io::Result<u64> {
        match self.0.read() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }

    /// Waits until `expected` signals have come and then for quiet; how many came in all.
    ///
    /// With `expected` 0 this just waits for quiet, so an answer of 0 means that nothing came.
    pub fn count(&self, expected: u64) -> io::Result<u64> {
        let start = Instant::now();
        let mut seen = self.take()?;
        while seen < expected && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(1));
            seen += self.take()?;
        }
        sleep(QUIET);
        Ok(seen + self.take()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_counted_once() {
        let counter = Counter::new().unwrap();
        assert_eq!(counter.count(0).unwrap(), 0);
        counter.signal().unwrap();
        counter.signal().unwrap();
        assert_eq!(counter.count(1).unwrap(), 2);
        assert_eq!(counter.count(0).unwrap(), 0);
    }
}
