// SPDX-License-Identifier: GPL-2.0

//! The two kinds of memory a device and its driver share: RAM for DMA, and the device's own
//! registers mapped from a BAR. Both change behind the program's back, so every access is volatile
//! and no reference into them exists.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

/// The size of a page of the machines this runs on, in bytes.
pub const PAGE: usize = 4096;

/// A stretch of `mmap`ed address space, unmapped when dropped.
struct Mapping {
    start: *mut u8,
    size: usize,
}

impl Mapping {
    /// Maps `size` bytes: of `file` from `offset` on, or anonymous memory.
    fn new(size: usize, flags: i32, file: Option<(&File, u64)>) -> io::Result<Self> {
        let (fd, offset) = match file {
            Some((file, offset)) => (file.as_raw_fd(), offset),
            None => (-1, 0),
        };
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel picks the address, so no memory in use is replaced.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, prot, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            start: start.cast(),
            size,
        })
    }

    /// The address of the `size` bytes at `offset`.
    ///
    /// # Panics
    ///
    /// Panics if they are not all inside the mapping.
    fn at(&self, offset: usize, size: usize) -> *mut u8 {
        let end = offset.checked_add(size).expect("offset overflows");
        assert!(end <= self.size, "{offset:#x}+{size:#x} is outside");
        self.start.wrapping_add(offset)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is what `new` mapped, and nobody can reach it after this.
        unsafe { libc::munmap(self.start.cast(), self.size) };
    }
}

/// Page-aligned anonymous memory to be mapped for DMA.
pub struct DmaBuffer(Mapping);

impl DmaBuffer {
    /// Allocates `pages` zeroed pages.
    pub fn new(pages: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        Mapping::new(pages * PAGE, flags, None).map(Self)
    }

    /// Allocates `pages` zeroed pages and keeps them in RAM: not swapped out, and not replaced by a
    /// huge page. The kernel may still move them, though it has little reason to.
    pub fn locked(pages: usize) -> io::Result<Self> {
        let buffer = Self::new(pages)?;
        let (start, size) = (buffer.0.start.cast(), buffer.0.size);
        // SAFETY: both calls leave the content of the mapping as it is.
        let failed = unsafe {
            libc::madvise(start, size, libc::MADV_NOHUGEPAGE) != 0 || libc::mlock(start, size) != 0
        };
        if failed {
            return Err(io::Error::last_os_error());
        }
        Ok(buffer)
    }

    /// The size in bytes.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// The virtual address of the `size` bytes at `offset`, for `VFIO_IOMMU_MAP_DMA`.
    pub fn address(&self, offset: usize, size: usize) -> u64 {
        self.0.at(offset, size).addr() as u64
    }

    /// The buffer's start, for clients which map memory by pointer.
    pub fn pointer(&self) -> *mut u8 {
        self.0.start
    }

    /// Copies `bytes` into the buffer at `offset`.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        let to = self.0.at(offset, bytes.len());
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: `at` has checked that all of them are inside the mapping.
            unsafe { to.wrapping_add(i).write_volatile(*byte) };
        }
    }

    /// Copies `size` bytes at `offset` out of the buffer.
    pub fn read(&self, offset: usize, size: usize) -> Vec<u8> {
        let from = self.0.at(offset, size);
        (0..size)
            // SAFETY: `at` has checked that all of them are inside the mapping.
            .map(|i| unsafe { from.wrapping_add(i).read_volatile() })
            .collect()
    }
}

/// A BAR mapped into the program: 32-bit registers.
pub struct Mmio(Mapping);

impl Mmio {
    /// Maps the region of `size` bytes which `device` has at `offset`.
    pub fn new(device: &File, offset: u64, size: usize) -> io::Result<Self> {
        Mapping::new(size, libc::MAP_SHARED, Some((device, offset))).map(Self)
    }

    /// The address of the register at `offset`.
    fn register(&self, offset: usize) -> *mut u32 {
        assert!(offset % 4 == 0, "{offset:#x} is not a register");
        self.0.at(offset, 4).cast()
    }

    /// Reads the register at `offset`.
    pub fn read(&self, offset: usize) -> u32 {
        // SAFETY: inside the mapping, and aligned because the mapping starts on a page.
        u32::from_le(unsafe { self.register(offset).read_volatile() })
    }

    /// Writes the register at `offset`.
    pub fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`.
        unsafe { self.register(offset).write_volatile(value.to_le()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_keeps_what_is_written() {
        let buffer = DmaBuffer::new(2).unwrap();
        buffer.write(PAGE - 2, &[1, 2, 3, 4]);
        assert_eq!(buffer.read(PAGE - 3, 6), [0, 1, 2, 3, 4, 0]);
        assert_eq!(buffer.address(0, 1) % PAGE as u64, 0);
    }

    #[test]
    #[should_panic(expected = "is outside")]
    fn a_buffer_ends_at_its_end() {
        DmaBuffer::new(1).unwrap().read(PAGE - 1, 2);
    }
}
