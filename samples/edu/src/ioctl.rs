// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/vfio`, each as one safe function of an open file.
//!
//! C header: `include/uapi/linux/vfio.h`. Numbers and structures come from `vfio-bindings`.
//! Every function answers what the kernel answered: a value, or which call failed with which errno.

#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::raw::c_int;
use std::os::raw::c_ulong;

use vfio_bindings::bindings::vfio;
use vmm_sys_util::ioctl::ioctl;
use vmm_sys_util::ioctl::ioctl_expr;
use vmm_sys_util::ioctl::ioctl_with_mut_ptr;
use vmm_sys_util::ioctl::ioctl_with_mut_ref;
use vmm_sys_util::ioctl::ioctl_with_ptr;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl::ioctl_with_val;
use vmm_sys_util::ioctl::_IOC_NONE;

use crate::memory::DmaBuffer;

/// An ioctl of VFIO.
struct Call {
    name: &'static str,
    number: c_ulong,
}

impl Call {
    /// The ioctl `name`, `offset` after the first of VFIO's.
    const fn new(name: &'static str, offset: u32) -> Self {
        Self {
            name,
            number: ioctl_expr(
                _IOC_NONE,
                vfio::VFIO_TYPE as u32,
                vfio::VFIO_BASE + offset,
                0,
            ),
        }
    }

    /// Turns the ioctl's return value into a result.
    fn check(&self, ret: c_int) -> Result<u32> {
        u32::try_from(ret).map_err(|_| Failure {
            call: self.name,
            error: io::Error::last_os_error(),
        })
    }
}

const GET_API_VERSION: Call = Call::new("VFIO_GET_API_VERSION", 0);
const CHECK_EXTENSION: Call = Call::new("VFIO_CHECK_EXTENSION", 1);
const SET_IOMMU: Call = Call::new("VFIO_SET_IOMMU", 2);
const GROUP_GET_STATUS: Call = Call::new("VFIO_GROUP_GET_STATUS", 3);
const GROUP_SET_CONTAINER: Call = Call::new("VFIO_GROUP_SET_CONTAINER", 4);
const GROUP_UNSET_CONTAINER: Call = Call::new("VFIO_GROUP_UNSET_CONTAINER", 5);
const GROUP_GET_DEVICE_FD: Call = Call::new("VFIO_GROUP_GET_DEVICE_FD", 6);
const DEVICE_GET_INFO: Call = Call::new("VFIO_DEVICE_GET_INFO", 7);
const DEVICE_GET_REGION_INFO: Call = Call::new("VFIO_DEVICE_GET_REGION_INFO", 8);
const DEVICE_GET_IRQ_INFO: Call = Call::new("VFIO_DEVICE_GET_IRQ_INFO", 9);
const DEVICE_SET_IRQS: Call = Call::new("VFIO_DEVICE_SET_IRQS", 10);
const DEVICE_RESET: Call = Call::new("VFIO_DEVICE_RESET", 11);
const IOMMU_GET_INFO: Call = Call::new("VFIO_IOMMU_GET_INFO", 12);
const IOMMU_MAP_DMA: Call = Call::new("VFIO_IOMMU_MAP_DMA", 13);
const IOMMU_UNMAP_DMA: Call = Call::new("VFIO_IOMMU_UNMAP_DMA", 14);

/// An ioctl that failed.
#[derive(Debug)]
pub struct Failure {
    call: &'static str,
    error: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.error)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// What an ioctl gave.
pub type Result<T> = std::result::Result<T, Failure>;

/// `sizeof` as `argsz` wants it.
fn argsz<T>() -> u32 {
    size_of::<T>() as u32
}

/// An ioctl without argument.
fn plain(file: &File, call: &Call) -> Result<u32> {
    // SAFETY: the callers pass ioctls which take no argument.
    call.check(unsafe { ioctl(file, call.number) })
}

/// An ioctl whose argument is a number.
fn with_value(file: &File, call: &Call, value: u32) -> Result<u32> {
    // SAFETY: the callers pass ioctls whose argument is a plain number.
    call.check(unsafe { ioctl_with_val(file, call.number, c_ulong::from(value)) })
}

/// An ioctl which fills in `arg`, a structure whose `argsz` does not exceed its size.
fn fill<T>(file: &File, call: &Call, mut arg: T) -> Result<T> {
    // SAFETY: the callers pass the ioctl's own structure with `argsz` set to its size, so the
    // kernel stays inside `arg`, and any bytes are valid in these structures of integers.
    call.check(unsafe { ioctl_with_mut_ref(file, call.number, &mut arg) })?;
    Ok(arg)
}

/// `VFIO_GET_API_VERSION` on a container.
pub fn api_version(container: &File) -> Result<u32> {
    plain(container, &GET_API_VERSION)
}

/// `VFIO_CHECK_EXTENSION` on a container.
pub fn check_extension(container: &File, extension: u32) -> Result<u32> {
    with_value(container, &CHECK_EXTENSION, extension)
}

/// `VFIO_SET_IOMMU` on a container.
pub fn set_iommu(container: &File, iommu: u32) -> Result<()> {
    with_value(container, &SET_IOMMU, iommu).map(drop)
}

/// `VFIO_IOMMU_GET_INFO` with room for the fixed part alone: `argsz` then tells the whole size.
pub fn iommu_info(container: &File) -> Result<vfio::vfio_iommu_type1_info> {
    let arg = vfio::vfio_iommu_type1_info {
        argsz: argsz::<vfio::vfio_iommu_type1_info>(),
        ..Default::default()
    };
    fill(container, &IOMMU_GET_INFO, arg)
}

/// `VFIO_IOMMU_GET_INFO` with room for `size` bytes; the answer with its capability chain.
pub fn iommu_info_bytes(container: &File, size: u32) -> Result<Vec<u8>> {
    let mut words = vec![0u64; (size as usize).div_ceil(size_of::<u64>())];
    let Some(first) = words.first_mut() else {
        return Ok(Vec::new());
    };
    // `argsz` is the first of the two 32-bit fields which open the structure.
    *first = u64::from_ne_bytes({
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&size.to_ne_bytes());
        bytes
    });
    // SAFETY: `words` has at least the `size` bytes which `argsz` promises.
    IOMMU_GET_INFO.check(unsafe {
        ioctl_with_mut_ptr(container, IOMMU_GET_INFO.number, words.as_mut_ptr())
    })?;
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
) -> Result<()> {
    let arg = vfio::vfio_iommu_type1_dma_map {
        argsz: argsz::<vfio::vfio_iommu_type1_dma_map>(),
        flags,
        vaddr: buffer.address(offset, size),
        iova,
        size: size as u64,
    };
    // SAFETY: the kernel only reads `arg`. It pins the pages, so they outlive the buffer as long as
    // the mapping stands; the program reads and writes them with volatile accesses only.
    let ret = unsafe { ioctl_with_ref(container, IOMMU_MAP_DMA.number, &arg) };
    IOMMU_MAP_DMA.check(ret).map(drop)
}

/// `VFIO_IOMMU_UNMAP_DMA`: how many bytes were unmapped.
pub fn unmap_dma(container: &File, iova: u64, size: u64, flags: u32) -> Result<u64> {
    let arg = vfio::vfio_iommu_type1_dma_unmap {
        argsz: argsz::<vfio::vfio_iommu_type1_dma_unmap>(),
        flags,
        iova,
        size,
        ..Default::default()
    };
    fill(container, &IOMMU_UNMAP_DMA, arg).map(|arg| arg.size)
}

/// `VFIO_GROUP_GET_STATUS`: the `VFIO_GROUP_FLAGS_*`.
pub fn group_flags(group: &File) -> Result<u32> {
    let arg = vfio::vfio_group_status {
        argsz: argsz::<vfio::vfio_group_status>(),
        ..Default::default()
    };
    fill(group, &GROUP_GET_STATUS, arg).map(|arg| arg.flags)
}

/// `VFIO_GROUP_SET_CONTAINER`.
pub fn set_container(group: &File, container: &File) -> Result<()> {
    let fd = container.as_raw_fd();
    // SAFETY: the kernel only reads the descriptor's number.
    let ret = unsafe { ioctl_with_ref(group, GROUP_SET_CONTAINER.number, &fd) };
    GROUP_SET_CONTAINER.check(ret).map(drop)
}

/// `VFIO_GROUP_UNSET_CONTAINER`.
pub fn unset_container(group: &File) -> Result<()> {
    plain(group, &GROUP_UNSET_CONTAINER).map(drop)
}

/// `VFIO_GROUP_GET_DEVICE_FD`: opens the device called `name`.
pub fn device_fd(group: &File, name: &CStr) -> Result<File> {
    // SAFETY: the kernel only reads the string, up to its nul.
    let ret = unsafe { ioctl_with_ptr(group, GROUP_GET_DEVICE_FD.number, name.as_ptr()) };
    let fd = GROUP_GET_DEVICE_FD.check(ret)?;
    // SAFETY: the ioctl has just opened this descriptor for us; nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd as c_int) })
}

/// `VFIO_DEVICE_GET_INFO`.
pub fn device_info(device: &File) -> Result<vfio::vfio_device_info> {
    let arg = vfio::vfio_device_info {
        argsz: argsz::<vfio::vfio_device_info>(),
        ..Default::default()
    };
    fill(device, &DEVICE_GET_INFO, arg)
}

/// `VFIO_DEVICE_GET_REGION_INFO`.
pub fn region_info(device: &File, index: u32) -> Result<vfio::vfio_region_info> {
    let arg = vfio::vfio_region_info {
        argsz: argsz::<vfio::vfio_region_info>(),
        index,
        ..Default::default()
    };
    fill(device, &DEVICE_GET_REGION_INFO, arg)
}

/// `VFIO_DEVICE_GET_IRQ_INFO`.
pub fn irq_info(device: &File, index: u32) -> Result<vfio::vfio_irq_info> {
    let arg = vfio::vfio_irq_info {
        argsz: argsz::<vfio::vfio_irq_info>(),
        index,
        ..Default::default()
    };
    fill(device, &DEVICE_GET_IRQ_INFO, arg)
}

/// `VFIO_DEVICE_SET_IRQS` for `count` interrupts of `index` from the first on, with the eventfds
/// `fds` as its data (none for `VFIO_IRQ_SET_DATA_NONE`).
pub fn set_irqs(device: &File, index: u32, flags: u32, count: u32, fds: &[i32]) -> Result<()> {
    let size = argsz::<vfio::vfio_irq_set>() + size_of_val(fds) as u32;
    // The structure is five 32-bit fields, then the data: argsz, flags, index, start, count.
    let mut words = vec![size, flags, index, 0, count];
    words.extend(fds.iter().map(|fd| u32::from_ne_bytes(fd.to_ne_bytes())));
    // SAFETY: the kernel only reads, and `words` has the `argsz` bytes it promises.
    let ret = unsafe { ioctl_with_ptr(device, DEVICE_SET_IRQS.number, words.as_ptr()) };
    DEVICE_SET_IRQS.check(ret).map(drop)
}

/// `VFIO_DEVICE_RESET`.
pub fn reset(device: &File) -> Result<()> {
    plain(device, &DEVICE_RESET).map(drop)
}
