// SPDX-License-Identifier: GPL-2.0

//! What a driver on top of `vfio-pci-core.ko` adds to a device that is being opened.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

use super::{
    config,
    core_driver::CoreDevice, //
};
use crate::uaccess::UserArg;
use core::{
    marker::PhantomData,
    sync::atomic::{
        AtomicU8,
        Ordering, //
    }, //
};
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_char,
        c_void, //
    },
    prelude::*, //
};
use vfio_bindings as vb;
use vfio_logic::{
    config::shadow::OWNER_VIRTUAL,
    region, //
};

/// A region that can be read.
pub trait ReadRegion: Send + Sync + 'static {
    /// The length in bytes.
    fn size(&self) -> usize;

    /// Copies `count` bytes from `pos` on, which are all in the region, to user space.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the user's memory cannot be written; that of the region.
    fn read(&self, pos: u64, count: usize, to: UserArg) -> Result;
}

/// The operations of a region whose `data` is a `KBox<T>`.
struct Ops<T>(PhantomData<T>);

impl<T: ReadRegion> Ops<T> {
    const TABLE: vb::vfio_pci_regops = vb::vfio_pci_regops {
        rw: Some(Self::rw),
        release: Some(Self::release),
        mmap: None,
        add_capability: None,
    };

    /// Reads or writes the region.
    ///
    /// Called by: `vfio_pci_rw()`, as `vfio_pci_regops.rw`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// For `vfio-pci-core.ko` only: the position is in a region that has this table.
    unsafe extern "C" fn rw(
        core: *mut vb::vfio_pci_core_device,
        buf: *mut c_char,
        count: usize,
        ppos: *mut bindings::loff_t,
        write: bool,
    ) -> isize {
        let access = || -> Result<usize> {
            // SAFETY: The position is valid, and ours to change.
            let pos = unsafe { &mut *ppos };
            let (index, offset) = region::split(u64::try_from(*pos)?);
            let i = region::added(index).ok_or(EINVAL)?;
            // SAFETY: The device is open; it has this region, whose `data` came from `add_region` and
            // lives until `release`, which is called when nobody reads any more.
            let data = unsafe { &*(*(*core).region.add(i)).data.cast::<T>() };
            if write {
                return Err(EINVAL);
            }
            let count = region::clip(offset, count, data.size() as u64)?;
            data.read(offset, count, UserArg::new(buf as usize))?;
            *pos = pos.checked_add(i64::try_from(count)?).ok_or(EINVAL)?;
            Ok(count)
        };
        match access() {
            // CAST: No more than the region is long.
            Ok(count) => count as isize,
            Err(e) => e.to_errno() as isize,
        }
    }

    /// Frees what the region is made of.
    ///
    /// Called by: `vfio_pci_core_disable()`, as `vfio_pci_regops.release`.
    ///
    /// Context: the device closes, lock of its set held; may sleep.
    ///
    /// # Safety
    ///
    /// For `vfio-pci-core.ko` only, once, for a region that has this table.
    unsafe extern "C" fn release(
        _core: *mut vb::vfio_pci_core_device,
        region: *mut vb::vfio_pci_region,
    ) {
        // SAFETY: `data` came from `add_region`, and nobody uses it any more.
        drop(unsafe { KBox::<T>::from_raw((*region).data.cast()) });
    }
}

impl CoreDevice {
    /// Adds a region of a kind (`type` and `subtype`) that user space knows. It goes when the device is
    /// closed, or cannot be opened.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    #[inline]
    pub fn add_region<T: ReadRegion>(&self, kind: (u32, u32), region: KBox<T>) -> Result {
        let size = region.size();
        let data = KBox::into_raw(region);
        // SAFETY: The device is being opened by the type invariant. The table is a constant, and for
        // this `data`.
        let added = to_result(unsafe {
            vb::vfio_pci_core_register_dev_region(
                self.as_raw(),
                kind.0,
                kind.1,
                &Ops::<T>::TABLE,
                size,
                vb::VFIO_REGION_INFO_FLAG_READ,
                data.cast::<c_void>(),
            )
        });
        if added.is_err() {
            // SAFETY: The region was not added, so `data` is still ours.
            drop(unsafe { KBox::from_raw(data) });
        }
        added
    }

    /// Makes registers of configuration space exist in the emulation only, from `pos` on: user space
    /// reads these bytes, and what it writes does not reach the device.
    ///
    /// # Errors
    ///
    /// `EFAULT` if there are no such registers.
    #[inline]
    pub fn virtualize(&self, pos: u16, bytes: &[u8]) -> Result {
        let pos = usize::from(pos);
        let end = pos.checked_add(bytes.len()).ok_or(EFAULT)?;
        // SAFETY: The device is valid by the type invariant.
        let (data, owners) = unsafe { ((*self.as_raw()).vconfig, (*self.as_raw()).pci_config_map) };
        if end > config::size(self.pdev()) || data.is_null() || owners.is_null() {
            return Err(EFAULT);
        }
        for (at, byte) in (pos..).zip(bytes) {
            // SAFETY: Both arrays have a byte for each byte of configuration space while the device is
            // open. `vfio-pci-core` accesses them atomically or not at all while it is being opened.
            unsafe {
                AtomicU8::from_ptr(data.add(at)).store(*byte, Ordering::Relaxed);
                AtomicU8::from_ptr(owners.add(at)).store(OWNER_VIRTUAL, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
