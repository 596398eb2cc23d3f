// SPDX-License-Identifier: GPL-2.0

//! VGA: the arbiter of the legacy ranges, and the console that has to leave.
//!
//! C header: [`include/linux/vgaarb.h`](srctree/include/linux/vgaarb.h)

use super::raw;
use crate::mmio::Mmio;
use kernel::{
    bindings,
    error::to_result,
    ffi::{
        c_uint,
        c_void, //
    },
    pci,
    prelude::*,
    str::CStr,
    sync::aref::ARef, //
};
use vfio_bindings as vb;
use vfio_logic::region::{
    vga_range,
    VgaRange, //
};

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
        to_result(unsafe { vb::vga_client_register(raw(pdev), Some(set_decode::<T>)) })?;
        set_legacy_decoding(pdev, T::decodes(pdev, false));
        Ok(Self(pdev.into()))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: The device is valid.
        unsafe { vb::vga_client_register(raw(&self.0), None) };
        set_legacy_decoding(&self.0, NORMAL | LEGACY);
    }
}

/// Tells the arbiter which ranges the function decodes.
fn set_legacy_decoding(pdev: &pci::Device, decodes: u32) {
    // SAFETY: The device is valid.
    unsafe { vb::vga_set_legacy_decoding(raw(pdev), decodes) };
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

/// A legacy range, mapped and routed to one function until dropped.
///
/// # Invariants
///
/// The range is mapped: by `ioport_map()` if it is one of ports, else by `ioremap()`. Once it is
/// `routed`, the arbiter's lock for it is held.
pub struct Legacy<'a> {
    pdev: &'a pci::Device,
    io: *mut c_void,
    range: VgaRange,
    routed: bool,
}

impl<'a> Legacy<'a> {
    /// Maps the range and waits until it is routed to the function.
    ///
    /// # Errors
    ///
    /// `EINVAL` if this is no legacy range; `ENOMEM`; `ERESTARTSYS` if a signal came.
    pub fn acquire(pdev: &'a pci::Device, range: VgaRange) -> Result<Self> {
        if vga_range(range.start.into())? != range {
            return Err(EINVAL);
        }
        // SAFETY: Checked to be a legacy range; these are where they are on all machines with VGA.
        let io = unsafe {
            if range.ports {
                bindings::ioport_map(range.start as usize, range.len)
            } else {
                bindings::ioremap(range.start.into(), range.len as usize)
            }
        };
        if io.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: Just mapped, and not yet routed.
        let mut legacy = Self {
            pdev,
            io,
            range,
            routed: false,
        };
        // SAFETY: The device is valid.
        to_result(unsafe { vb::vga_get(raw(pdev), legacy.resource(), 1) })?;
        // INVARIANT: The lock was just taken.
        legacy.routed = true;
        Ok(legacy)
    }

    fn resource(&self) -> u32 {
        if self.range.ports {
            vb::VGA_RSRC_LEGACY_IO
        } else {
            vb::VGA_RSRC_LEGACY_MEM
        }
    }

    /// The range.
    pub fn mmio(&self) -> Mmio<'_> {
        // SAFETY: Mapped by the type invariant, until `self` is dropped.
        unsafe { Mmio::from_raw(self.io, self.range.len.into()) }
    }
}

impl Drop for Legacy<'_> {
    fn drop(&mut self) {
        if self.routed {
            // SAFETY: The lock is held by the type invariant.
            unsafe { vb::vga_put(raw(self.pdev), self.resource()) };
        }
        // SAFETY: Mapped so by the type invariant.
        unsafe {
            if self.range.ports {
                bindings::ioport_unmap(self.io);
            } else {
                bindings::iounmap(self.io);
            }
        }
    }
}
