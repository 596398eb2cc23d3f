// SPDX-License-Identifier: GPL-2.0

//! The BARs of a device while it is open, as C drivers see them in `barmap`.

use super::PciCoreDevice;
use crate::{
    mmio::Mmio,
    pci, //
};
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::c_void,
    prelude::*, //
};

/// The number of BARs.
pub const NUM_BARS: u32 = 6;

/// The address from which on pointers are errors. To ask the kernel takes a call.
const FIRST_ERROR: usize = (bindings::MAX_ERRNO as usize).wrapping_neg();

/// What `barmap` says of a BAR that is not there.
fn error(errno: Error) -> *mut c_void {
    errno.to_ptr()
}

impl<S> PciCoreDevice<S> {
    /// Reserves and maps each BAR. One that cannot be has its error, which [`Self::bar`] gives.
    ///
    /// # Safety
    ///
    /// The device must be opening: nobody may look at its BARs meanwhile, and they must be unmapped.
    pub unsafe fn map_bars(&self) {
        for bar in 0..NUM_BARS {
            let map = self.map_bar(bar).unwrap_or_else(error);
            // SAFETY: The index is in range, and nobody looks by the contract of this function.
            unsafe { (*self.as_raw()).barmap[bar as usize] = map };
        }
    }

    fn map_bar(&self, bar: u32) -> Result<*mut c_void> {
        if pci::has_unmappable_bars(self.pdev()) || pci::resource_len(self.pdev(), bar) == 0 {
            return Err(ENODEV);
        }
        let (pdev, bit) = (self.pdev_raw(), 1 << bar);
        // SAFETY: The device is valid; the name is static.
        if unsafe { bindings::pci_request_selected_regions(pdev, bit, c"vfio".as_char_ptr()) } != 0
        {
            dev_dbg!(self.pdev(), "Failed to reserve region {}\n", bar);
            return Err(EBUSY);
        }
        // SAFETY: The device is valid and the BAR is reserved.
        let map = unsafe { bindings::pci_iomap(pdev, bar as i32, 0) };
        if map.is_null() {
            dev_dbg!(self.pdev(), "Failed to iomap region {}\n", bar);
            // SAFETY: It was reserved above.
            unsafe { bindings::pci_release_selected_regions(pdev, bit) };
            return Err(ENOMEM);
        }
        Ok(map)
    }

    /// Undoes [`Self::map_bars`]; errors stay, as C drivers know it.
    ///
    /// # Safety
    ///
    /// The device must be closing: there must be no result of [`Self::bar`] any more.
    pub unsafe fn unmap_bars(&self) {
        for bar in 0..NUM_BARS {
            // SAFETY: The index is in range, and nobody looks by the contract of this function.
            let slot = unsafe { &mut (*self.as_raw()).barmap[bar as usize] };
            let Ok(map) = from_err_ptr(*slot) else {
                continue;
            };
            *slot = core::ptr::null_mut();
            if !map.is_null() {
                // SAFETY: It was mapped and reserved by `map_bars`.
                unsafe {
                    bindings::pci_iounmap(self.pdev_raw(), map);
                    bindings::pci_release_selected_regions(self.pdev_raw(), 1 << bar);
                }
            }
        }
    }

    /// The memory or ports of a BAR of an open device.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no BAR of that number; `ENODEV` if it is not implemented; `EBUSY` or
    /// `ENOMEM` if it could not be reserved or mapped when the device was opened.
    #[inline(always)]
    pub fn bar(&self, bar: u32) -> Result<Mmio<'_>> {
        // SAFETY: The structure is valid. `barmap` is only written to by `map_bars` and `unmap_bars`,
        // which nothing runs beside by their contracts.
        let map = unsafe { (*self.as_raw()).barmap.get(bar as usize).copied() }.ok_or(EINVAL)?;
        if map.is_null() || map.addr() >= FIRST_ERROR {
            return Err(from_err_ptr(map).err().unwrap_or(ENODEV));
        }
        // SAFETY: The whole BAR is mapped; `unmap_bars` is not called before the result is gone.
        Ok(unsafe { Mmio::from_raw(map, pci::resource_len(self.pdev(), bar)) })
    }
}
