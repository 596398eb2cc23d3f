// SPDX-License-Identifier: GPL-2.0

//! Memory that a device is given.

use std::ptr;

use anyhow::bail;
use anyhow::Result;

/// Anonymous memory, aligned to pages, which nothing in this program refers to but by pointer.
pub struct Buffer {
    address: *mut u8,
    size: usize,
}

// SAFETY: it is memory of the process, and belongs to who has this.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Allocates `size` bytes, whole pages.
    pub fn new(size: usize) -> Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            bail!("no memory: {}", std::io::Error::last_os_error());
        }
        Ok(Self {
            address: address.cast(),
            size,
        })
    }

    /// Where it is.
    pub fn pointer(&self) -> *mut u8 {
        self.address
    }

    /// Its size in bytes.
    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference to it was ever made.
        unsafe { libc::munmap(self.address.cast(), self.size) };
    }
}

/// Memory locked by this process in kB, as the kernel accounts it.
pub fn locked() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmLck:"));
    let Some(line) = line else {
        bail!("no VmLck");
    };
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
