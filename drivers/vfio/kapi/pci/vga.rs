// SPDX-License-Identifier: GPL-2.0

//! VGA: the arbiter of the legacy ranges, and the console that has to leave.
//!
//! C header: [`include/linux/vgaarb.h`](srctree/include/linux/vgaarb.h)

use super::raw;
use kernel::{
    bindings,
    error::to_result,
    ffi::c_uint,
    pci,
    prelude::*,
    str::CStr,
    sync::aref::ARef, //
};
use vfio_bindings as vb;

/// Ports and memory outside the legacy ranges.
pub const NORMAL: u32 = vb::VGA_RSRC_NORMAL_IO | vb::VGA_RSRC_NORMAL_MEM;
/// The legacy ports and the legacy memory.
pub const LEGACY: u32 = vb::VGA_RSRC_LEGACY_IO | vb::VGA_RSRC_LEGACY_MEM;

/// Makes the drivers of firmware framebuffers on the function let go of it. May sleep.
///
/// # Errors
///
/// That of `aperture_remove_conflicting_pci_devices()`.
pub fn remove_firmware_framebuffers(pdev: &pci::Device, driver: &CStr) -> Result {
    // SAFETY: Both are valid for the call.
    to_result(unsafe {
        vb::vfio_helper_aperture_remove_conflicting_pci_devices(raw(pdev), driver.as_char_ptr())
    })
}

/// Answers the arbiter which ranges a function decodes.
pub trait Decoder: 'static {
    /// The ranges, of [`NORMAL`] and [`LEGACY`]. `single` says that there is no other VGA device.
    /// Called with the arbiter's locks held: must not sleep.
    fn decodes(pdev: &pci::Device, single: bool) -> u32;
}

/// A registration of a function with the arbiter, ended when dropped.
pub struct Client(ARef<pci::Device>);

impl Client {
    /// Registers the function, and tells what it decodes from now on.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the arbiter does not know the function.
    pub fn register<T: Decoder>(pdev: &pci::Device) -> Result<Self> {
        /// What the function decodes, when another VGA adapter comes or goes.
        ///
        /// Called by: `vga_arbiter_notify_clients()`, as the argument of `vga_client_register()`.
        ///
        /// Context: the VGA arbiter, its spinlock held.
        ///
        /// # Safety
        ///
        /// For the arbiter only.
        unsafe extern "C" fn set_decode<T: Decoder>(
            pdev: *mut bindings::pci_dev,
            single: bool,
        ) -> c_uint {
            // SAFETY: The arbiter passes the function that is registered, which is valid.
            T::decodes(unsafe { super::from_raw(pdev) }, single)
        }

        // SAFETY: The device is valid and stays so by the reference that the result holds; the
        // callback is good for any valid device.
        to_result(unsafe {
            vb::vfio_helper_vga_client_register(raw(pdev), Some(set_decode::<T>))
        })?;
        set_legacy_decoding(pdev, T::decodes(pdev, false));
        Ok(Self(pdev.into()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: The device is valid.
        unsafe { vb::vfio_helper_vga_client_register(raw(&self.0), None) };
        set_legacy_decoding(&self.0, NORMAL | LEGACY);
    }
}

/// Tells the arbiter which ranges the function decodes.
fn set_legacy_decoding(pdev: &pci::Device, decodes: u32) {
    // SAFETY: The device is valid.
    unsafe { vb::vfio_helper_vga_set_legacy_decoding(raw(pdev), decodes) };
}

/// Whether there is another VGA device below the bridge that `pdev` is below.
pub fn has_neighbour(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid, and so is its bus.
    let last_bus = unsafe { bindings::pci_bus_max_busnr((*raw(pdev)).bus) };
    let class = bindings::PCI_CLASS_DISPLAY_VGA << 8;
    let mut other = core::ptr::null_mut();
    loop {
        // SAFETY: The argument is null or what the last call returned, whose reference it takes over.
        other = unsafe { bindings::pci_get_class(class, other) };
        if other.is_null() {
            return false;
        }
        // SAFETY: The call returned a reference, held until the next.
        let tmp = unsafe { super::from_raw(other) };
        if super::same(tmp, pdev)
            || super::domain(tmp) != super::domain(pdev)
            || super::is_on_root_bus(tmp)
        {
            continue;
        }
        let bus = super::bus_number(tmp);
        if bus >= super::bus_number(pdev) && bus <= last_bus {
            // SAFETY: The reference is this function's.
            unsafe { bindings::pci_dev_put(other) };
            return true;
        }
    }
}
