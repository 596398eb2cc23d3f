// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/vfio`, each as one safe function of an open file.
//!
//! C header: `include/uapi/linux/vfio.h`. Numbers and structures come from `vfio-bindings`.
//! Every function answers what the kernel answered: a value, or the errno as [`io::Error`].

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::raw::c_int;
use std::os::raw::c_ulong;

use vfio_bindings::bindings::vfio;
use vmm_sys_util::ioctl::ioctl;
use vmm_sys_util::ioctl::ioctl_with_mut_ptr;
use vmm_sys_util::ioctl::ioctl_with_mut_ref;
use vmm_sys_util::ioctl::ioctl_with_ptr;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl::ioctl_with_val;
use vmm_sys_util::ioctl_io_nr;

use crate::memory::DmaBuffer;

/// The numbers, as functions made by rust-vmm's macro.
mod nr {
    use super::*;

    const TYPE: u32 = vfio::VFIO_TYPE as u32;
    const BASE: u32 = vfio::VFIO_BASE;

    ioctl_io_nr!(GET_API_VERSION, TYPE, BASE);
    ioctl_io_nr!(CHECK_EXTENSION, TYPE, BASE + 1);
    ioctl_io_nr!(SET_IOMMU, TYPE, BASE + 2);
    ioctl_io_nr!(GROUP_GET_STATUS, TYPE, BASE + 3);
    ioctl_io_nr!(GROUP_SET_CONTAINER, TYPE, BASE + 4);
    ioctl_io_nr!(GROUP_UNSET_CONTAINER, TYPE, BASE + 5);
    ioctl_io_nr!(GROUP_GET_DEVICE_FD, TYPE, BASE + 6);
    ioctl_io_nr!(DEVICE_GET_INFO, TYPE, BASE + 7);
    ioctl_io_nr!(DEVICE_GET_REGION_INFO, TYPE, BASE + 8);
    ioctl_io_nr!(DEVICE_GET_IRQ_INFO, TYPE, BASE + 9);
    ioctl_io_nr!(DEVICE_SET_IRQS, TYPE, BASE + 10);
    ioctl_io_nr!(DEVICE_RESET, TYPE, BASE + 11);
    ioctl_io_nr!(IOMMU_GET_INFO, TYPE, BASE + 12);
    ioctl_io_nr!(IOMMU_MAP_DMA, TYPE, BASE + 13);
    ioctl_io_nr!(IOMMU_UNMAP_DMA, TYPE, BASE + 14);
}

/// Turns an ioctl's return value into a result.
fn check(ret: c_int) -> io::Result<u32> {
    u32::try_from(ret).map_err(|_| io::Error::last_os_error())
}

/// `sizeof` as `argsz` wants it.
fn argsz<T>() -> u32 {
    size_of::<T>() as u32
}

/// An ioctl without argument.
fn call(file: &File, nr: c_ulong) -> io::Result<u32> {
    // SAFETY: the callers pass ioctls which take no argument.
    check(unsafe { ioctl(file, nr) })
}

/// An ioctl whose argument is a number.
fn call_with(file: &File, nr: c_ulong, value: u32) -> io::Result<u32> {
    // SAFETY: the callers pass ioctls whose argument is a plain number.
    check(unsafe { ioctl_with_val(file, nr, c_ulong::from(value)) })
}

/// An ioctl which fills in `arg`, a structure whose `argsz` does not exceed its size.
fn fill<T>(file: &File, nr: c_ulong, mut arg: T) -> io::Result<T> {
    // SAFETY: the callers pass the ioctl's own structure with `argsz` set to its size, so the
    // kernel stays inside `arg`, and any bytes are valid in these structures of integers.
    check(unsafe { ioctl_with_mut_ref(file, nr, &mut arg) })?;
    Ok(arg)
}

/// `VFIO_GET_API_VERSION` on a container.
pub fn api_version(container: &File) -> io::Result<u32> {
    call(container, nr::GET_API_VERSION())
}

/// `VFIO_CHECK_EXTENSION` on a container.
pub fn check_extension(container: &File, extension: u32) -> io::Result<u32> {
    call_with(container, nr::CHECK_EXTENSION(), extension)
}

/// `VFIO_SET_IOMMU` on a container.
pub fn set_iommu(container: &File, iommu: u32) -> io::Result<()> {
    call_with(container, nr::SET_IOMMU(), iommu).map(drop)
}

/// `VFIO_IOMMU_GET_INFO` with room for the fixed part alone: `argsz` then tells the whole size.
pub fn iommu_info(container: &File) -> io::Result<vfio::vfio_iommu_type1_info> {
    let arg = vfio::vfio_iommu_type1_info {
        argsz: argsz::<vfio::vfio_iommu_type1_info>(),
        ..Default::default()
    };
    fill(container, nr::IOMMU_GET_INFO(), arg)
}

/// `VFIO_IOMMU_GET_INFO` with room for `size` bytes; the answer with its capability chain.
pub fn iommu_info_bytes(container: &File, size: u32) -> io::Result<Vec<u8>> {
    let mut words = vec![0u64; (size as usize).div_ceil(size_of::<u64>())];
    let Some(first) = words.first_mut() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // `argsz` is the first of the two 32-bit fields which open the structure.
    *first = u64::from_ne_bytes({
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&size.to_ne_bytes());
        bytes
    });
    // SAFETY: `words` has at least the `size` bytes which `argsz` promises.
    check(unsafe { ioctl_with_mut_ptr(container, nr::IOMMU_GET_INFO(), words.as_mut_ptr()) })?;
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.truncate(size as usize);
    Ok(bytes)
}

/// `VFIO_IOMMU_MAP_DMA`: the pages `offset..offset + size` of `buffer` at `iova`.
///
/// `flags` are the `VFIO_DMA_MAP_FLAG_*`.
pub fn map_dma(
    container: &File,
    buffer: &DmaBuffer,
    offset: usize,
    size: usize,
    iova: u64,
    flags: u32,
) -> io::Result<()> {
    let arg = vfio::vfio_iommu_type1_dma_map {
        argsz: argsz::<vfio::vfio_iommu_type1_dma_map>(),
        flags,
        vaddr: buffer.address(offset, size),
        iova,
        size: size as u64,
    };
    // SAFETY: the kernel only reads `arg`. It pins the pages, so they outlive the buffer as long as
    // the mapping stands; the program reads and writes them with volatile accesses only.
    check(unsafe { ioctl_with_ref(container, nr::IOMMU_MAP_DMA(), &arg) }).map(drop)
}

/// `VFIO_IOMMU_UNMAP_DMA`: how many bytes were unmapped.
pub fn unmap_dma(container: &File, iova: u64, size: u64, flags: u32) -> io::Result<u64> {
    let arg = vfio::vfio_iommu_type1_dma_unmap {
        argsz: argsz::<vfio::vfio_iommu_type1_dma_unmap>(),
        flags,
        iova,
        size,
        ..Default::default()
    };
    fill(container, nr::IOMMU_UNMAP_DMA(), arg).map(|arg| arg.size)
}

/// `VFIO_GROUP_GET_STATUS`: the `VFIO_GROUP_FLAGS_*`.
pub fn group_flags(group: &File) -> io::Result<u32> {
    let arg = vfio::vfio_group_status {
        argsz: argsz::<vfio::vfio_group_status>(),
        ..Default::default()
    };
    fill(group, nr::GROUP_GET_STATUS(), arg).map(|arg| arg.flags)
}

/// `VFIO_GROUP_SET_CONTAINER`.
pub fn set_container(group: &File, container: &File) -> io::Result<()> {
    let fd = container.as_raw_fd();
    // SAFETY: the kernel only reads the descriptor's number.
    check(unsafe { ioctl_with_ref(group, nr::GROUP_SET_CONTAINER(), &fd) }).map(drop)
}

/// `VFIO_GROUP_UNSET_CONTAINER`.
pub fn unset_container(group: &File) -> io::Result<()> {
    call(group, nr::GROUP_UNSET_CONTAINER()).map(drop)
}

/// `VFIO_GROUP_GET_DEVICE_FD`: opens the device called `name`.
pub fn device_fd(group: &File, name: &str) -> io::Result<File> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the kernel only reads the string, up to its nul.
    let fd = check(unsafe { ioctl_with_ptr(group, nr::GROUP_GET_DEVICE_FD(), name.as_ptr()) })?;
    // SAFETY: the ioctl has just opened this descriptor for us; nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd as c_int) })
}

/// `VFIO_DEVICE_GET_INFO`.
pub fn device_info(device: &File) -> io::Result<vfio::vfio_device_info> {
    let arg = vfio::vfio_device_info {
        argsz: argsz::<vfio::vfio_device_info>(),
        ..Default::default()
    };
    fill(device, nr::DEVICE_GET_INFO(), arg)
}

/// `VFIO_DEVICE_GET_REGION_INFO`.
pub fn region_info(device: &File, index: u32) -> io::Result<vfio::vfio_region_info> {
    let arg = vfio::vfio_region_info {
        argsz: argsz::<vfio::vfio_region_info>(),
        index,
        ..Default::default()
    };
    fill(device, nr::DEVICE_GET_REGION_INFO(), arg)
}

/// `VFIO_DEVICE_GET_IRQ_INFO`.
pub fn irq_info(device: &File, index: u32) -> io::Result<vfio::vfio_irq_info> {
    let arg = vfio::vfio_irq_info {
        argsz: argsz::<vfio::vfio_irq_info>(),
        index,
        ..Default::default()
    };
    fill(device, nr::DEVICE_GET_IRQ_INFO(), arg)
}

/// `VFIO_DEVICE_SET_IRQS` for `count` interrupts of `index` from the first on, with the eventfds
/// `fds` as its data (none for `VFIO_IRQ_SET_DATA_NONE`).
pub fn set_irqs(device: &File, index: u32, flags: u32, count: u32, fds: &[i32]) -> io::Result<()> {
    let size = argsz::<vfio::vfio_irq_set>() + size_of_val(fds) as u32;
    // The structure is five 32-bit fields, then the data: argsz, flags, index, start, count.
    let mut words = vec![size, flags, index, 0, count];
    words.extend(fds.iter().map(|fd| u32::from_ne_bytes(fd.to_ne_bytes())));
    // SAFETY: the kernel only reads, and `words` has the `argsz` bytes it promises.
    check(unsafe { ioctl_with_ptr(device, nr::DEVICE_SET_IRQS(), words.as_ptr()) }).map(drop)
}

/// `VFIO_DEVICE_RESET`.
pub fn reset(device: &File) -> io::Result<()> {
    call(device, nr::DEVICE_RESET()).map(drop)
}
