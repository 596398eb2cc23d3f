// SPDX-License-Identifier: GPL-2.0

//! What drivers of particular devices call besides: registers that they have mapped, configuration space, and
//! memory for others to reach.

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
use crate::dma_buf;
use crate::{
    config,
    rdwr::Io,
    region,
    state::Device, //
};
use kernel::{
    bindings,
    error::from_result,
    ffi::{
        c_char,
        c_int,
        c_void, //
    },
    prelude::*, //
};
use vfio_bindings as vb;
use vfio_kapi::{
    mmio::Mmio,
    uaccess::UserArg, //
};
use vfio_logic::{
    config::range::overlap,
    io::Width, //
};

type CDevice = vb::vfio_pci_core_device;

same_as_c! {
    vfio_pci_config_rw_single,
    vfio_pci_core_do_io_rw,
    vfio_pci_core_iowrite8,
    vfio_pci_core_iowrite16,
    vfio_pci_core_iowrite32,
    vfio_pci_core_iowrite64,
    vfio_pci_core_ioread8,
    vfio_pci_core_ioread16,
    vfio_pci_core_ioread32,
    vfio_pci_core_ioread64,
    __vfio_pci_memory_enabled,
    vfio_pci_core_range_intersect_range,
    vfio_pci_dma_buf_iommufd_map,
}

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
same_as_c! {
    vfio_pci_core_fill_phys_vec,
    vfio_pci_core_get_dmabuf_phys,
}

/// Reads or writes `count` bytes at `io + off`, which the caller has mapped.
///
/// Context: process context of the user; may sleep.
///
/// # Safety
///
/// `core` must be initialized and not released during the call; `io` must be mapped for `off +
/// count` bytes.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_do_io_rw(
    core: *mut CDevice,
    test_mem: bool,
    io: *mut c_void,
    buf: *mut c_char,
    off: bindings::loff_t,
    count: usize,
    x_start: usize,
    x_end: usize,
    iswrite: bool,
    max_width: vb::vfio_pci_io_width,
) -> isize {
    region::size_or_errno((|| {
        let off = u64::try_from(off)?;
        let end = off.checked_add(count as u64).ok_or(EINVAL)?;
        // SAFETY: By the contract of this function; the caller has mapped what is accessed.
        let (dev, mmio) = unsafe { (Device::from_raw(core), Mmio::from_raw(io, end)) };
        let io = Io {
            dev,
            mmio,
            memory: test_mem,
            hole: x_start as u64..x_end as u64,
            max_width: Width::at_most(max_width.into()),
        };
        io.rw(UserArg::new(buf as usize), off, count, iswrite)
    })())
}

macro_rules! io_accessors {
    ($($read:ident, $write:ident: $ty:ty, $width:ident;)*) => {$(
        /// Writes to what the caller has mapped.
        ///
        /// Context: where `test_mem` is set: process context, `memory_lock` is taken for reading,
        /// may sleep; else any.
        ///
        /// # Safety
        ///
        /// `core` must be initialized and not released during the call; `io` must be mapped for as
        /// many bytes as are written.
        #[no_mangle]
        pub(crate) unsafe extern "C" fn $write(
            core: *mut CDevice,
            test_mem: bool,
            val: $ty,
            io: *mut c_void,
        ) -> c_int {
            // SAFETY: By the contract of this function; the caller has mapped what is accessed.
            let io = unsafe { one_access(core, test_mem, io, size_of::<$ty>()) };
            from_result(|| {
                io.access(|io| io.write(0, Width::$width, val.into()))?;
                Ok(0)
            })
        }

        /// Reads from what the caller has mapped.
        ///
        /// Context: where `test_mem` is set: process context, `memory_lock` is taken for reading,
        /// may sleep; else any.
        ///
        /// # Safety
        ///
        /// `core` must be initialized and not released during the call; `io` must be mapped for as
        /// many bytes as are read; `val` must be valid for writing.
        #[no_mangle]
        pub(crate) unsafe extern "C" fn $read(
            core: *mut CDevice,
            test_mem: bool,
            val: *mut $ty,
            io: *mut c_void,
        ) -> c_int {
            // SAFETY: By the contract of this function; the caller has mapped what is accessed.
            let io = unsafe { one_access(core, test_mem, io, size_of::<$ty>()) };
            from_result(|| {
                let value = io.access(|io| io.read(0, Width::$width))?;
                // SAFETY: `val` is for this function to write to.
                // CAST: As many bytes as were read.
                unsafe { val.write(value as $ty) };
                Ok(0)
            })
        }
    )*};
}

io_accessors! {
    vfio_pci_core_ioread8, vfio_pci_core_iowrite8: u8, One;
    vfio_pci_core_ioread16, vfio_pci_core_iowrite16: u16, Two;
    vfio_pci_core_ioread32, vfio_pci_core_iowrite32: u32, Four;
    vfio_pci_core_ioread64, vfio_pci_core_iowrite64: u64, Eight;
}

/// A single access of `len` bytes.
///
/// # Safety
///
/// `core` must be initialized and not released, `io` mapped for `len` bytes, both for `'a`.
unsafe fn one_access<'a>(core: *mut CDevice, memory: bool, io: *mut c_void, len: usize) -> Io<'a> {
    Io {
        // SAFETY: By the contract of this function.
        dev: unsafe { Device::from_raw(core) },
        // SAFETY: By the contract of this function.
        mmio: unsafe { Mmio::from_raw(io, len as u64) },
        memory,
        hole: 0..0,
        max_width: Width::Eight,
    }
}

/// Whether accesses to the memory of the device are answered.
///
/// Context: `memory_lock` held.
///
/// # Safety
///
/// `core` must be initialized, and enabled (`vfio_pci_core_enable`).
#[no_mangle]
pub(crate) unsafe extern "C" fn __vfio_pci_memory_enabled(core: *mut CDevice) -> bool {
    // SAFETY: By the contract of this function.
    config::memory_enabled(unsafe { Device::from_raw(core) })
}

/// Reads or writes one register of configuration space.
///
/// Context: process context of the user, device open; may sleep.
///
/// # Safety
///
/// `core` must be initialized and open, and not be closed during the call; `ppos` must be valid.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_config_rw_single(
    core: *mut CDevice,
    buf: *mut c_char,
    count: usize,
    ppos: *mut bindings::loff_t,
    iswrite: bool,
) -> isize {
    // SAFETY: By the contract of this function; `ppos` is the caller's.
    let (dev, pos) = unsafe { (Device::from_raw(core), *ppos) };
    region::size_or_errno((|| {
        let pos = usize::try_from(pos).map_err(|_| EFAULT)?;
        let buf = UserArg::new(buf as usize);
        let done = if iswrite {
            config::rw_single::<true>(dev, buf, count, pos)
        } else {
            config::rw_single::<false>(dev, buf, count, pos)
        }?;
        Ok(done as usize)
    })())
}

/// The bytes that a buffer and a block share.
///
/// Context: any.
///
/// # Safety
///
/// `buf_offset`, `intersect_count` and `register_offset` must be valid for writing.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_range_intersect_range(
    buf_start: bindings::loff_t,
    buf_cnt: usize,
    reg_start: bindings::loff_t,
    reg_cnt: usize,
    buf_offset: *mut bindings::loff_t,
    intersect_count: *mut usize,
    register_offset: *mut usize,
) -> bool {
    let (Ok(buf), Ok(reg)) = (u64::try_from(buf_start), u64::try_from(reg_start)) else {
        return false;
    };
    let Some(shared) = overlap(buf, buf_cnt as u64, reg, reg_cnt as u64) else {
        return false;
    };
    // SAFETY: The pointers are for this function to write to.
    // CAST: The results are no larger than the arguments.
    unsafe {
        buf_offset.write(shared.buf_offset as bindings::loff_t);
        intersect_count.write(shared.count as usize);
        register_offset.write(shared.reg_offset as usize);
    }
    true
}

/// Turns ranges of what is at `start` into physical ranges.
///
/// Context: any.
///
/// # Safety
///
/// `phys_vec` and `dma_ranges` must have `nr_ranges` elements, and nobody else may use those of
/// `phys_vec`.
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_fill_phys_vec(
    phys_vec: *mut bindings::phys_vec,
    dma_ranges: *mut vb::vfio_region_dma_range,
    nr_ranges: usize,
    start: bindings::phys_addr_t,
    len: bindings::phys_addr_t,
) -> c_int {
    from_result(|| {
        for i in 0..nr_ranges {
            // SAFETY: Both arrays have `nr_ranges` elements.
            let (range, vec) = unsafe { (&*dma_ranges.add(i), &mut *phys_vec.add(i)) };
            vec.paddr = vfio_logic::pci::dma_range(start, len, range.offset, range.length)?;
            vec.len = range.length.try_into()?;
        }
        Ok(0)
    })
}

/// Turns ranges of a BAR into physical ranges, and finds who can make them reachable for other devices.
///
/// Context: process context; may sleep.
///
/// # Safety
///
/// `core` must be registered; `provider` must be valid for writing; the rest as for
/// [`vfio_pci_core_fill_phys_vec`].
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_core_get_dmabuf_phys(
    core: *mut CDevice,
    provider: *mut *mut bindings::p2pdma_provider,
    region_index: kernel::ffi::c_uint,
    phys_vec: *mut bindings::phys_vec,
    dma_ranges: *mut vb::vfio_region_dma_range,
    nr_ranges: usize,
) -> c_int {
    // SAFETY: By the contract of this function.
    let dev = unsafe { Device::from_raw(core) };
    let pdev = dev.pdev();
    // SAFETY: The function is valid, and was prepared for peer-to-peer DMA.
    let found = unsafe { bindings::pcim_p2pdma_provider(dev.pdev_raw(), region_index as c_int) };
    // SAFETY: `provider` is for this function to write to.
    unsafe { provider.write(found) };
    if found.is_null() {
        return EINVAL.to_errno();
    }
    let (start, len) = (
        vfio_kapi::pci::resource_start(pdev, region_index),
        vfio_kapi::pci::resource_len(pdev, region_index),
    );
    // SAFETY: The caller keeps to the contract of that function.
    unsafe { vfio_pci_core_fill_phys_vec(phys_vec, dma_ranges, nr_ranges, start, len) }
}

/// The physical range of a dma-buf, for iommufd.
///
/// Context: process context, lock of the dma-buf's reservation held; may sleep.
///
/// # Safety
///
/// `attachment` must be valid, the lock of its dma-buf's reservation held, and `phys` be valid for
/// writing.
#[no_mangle]
pub(crate) unsafe extern "C" fn vfio_pci_dma_buf_iommufd_map(
    attachment: *mut bindings::dma_buf_attachment,
    phys: *mut bindings::phys_vec,
) -> c_int {
    #[cfg(CONFIG_VFIO_PCI_DMABUF)]
    return from_result(|| {
        // SAFETY: The caller has the attachment and holds the reservation lock.
        let range = unsafe { vfio_kapi::dma_buf::single_range(attachment, &dma_buf::OPERATIONS) }?;
        // SAFETY: `phys` is for this function to write to.
        unsafe { phys.write(range) };
        Ok(0)
    });
    #[cfg(not(CONFIG_VFIO_PCI_DMABUF))]
    {
        let _ = (attachment, phys);
        vfio_kapi::versions::eopnotsupp().to_errno()
    }
}
