// SPDX-License-Identifier: GPL-2.0

//! PCI: drivers, and functions as VFIO handles them.
//!
//! C header: [`include/linux/pci.h`](srctree/include/linux/pci.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    device::Core,
    error::to_result,
    pci,
    prelude::*,
    str::CStr,
    sync::aref::ARef, //
};
use vfio_bindings as vb;

pub mod bar;
pub mod bus_notifier;
pub mod config;
pub mod config_shadow;
pub mod core_driver;
pub mod core_region;
pub mod driver;
#[cfg(CONFIG_EEH)]
pub mod eeh;
pub mod facts;
pub mod intx;
#[cfg(CONFIG_VFIO_PCI_VGA)]
pub mod legacy_vga;
pub mod msi;
pub mod pcie;
pub mod reset;
pub mod rom;
pub mod sriov;
pub mod vga;
pub mod vpd;

use facts::is_virtfn;

/// The C structure of a PCI function, for calls into the kernel.
#[inline]
pub fn raw(pdev: &pci::Device) -> *mut bindings::pci_dev {
    // `pci::Device` is transparent over the C structure, whatever its context.
    core::ptr::from_ref(pdev).cast_mut().cast()
}

/// Makes a reference from a C pointer.
///
/// # Safety
///
/// `pdev` must be valid for `'a`.
#[inline]
pub unsafe fn from_raw<'a>(pdev: *mut bindings::pci_dev) -> &'a pci::Device {
    // SAFETY: By the contract of this function; the type is transparent over the C structure.
    unsafe { &*pdev.cast() }
}

/// Makes a reference that shows that the device lock of a function is held.
///
/// # Safety
///
/// `pdev` must be valid and bound, and its device lock held by this thread, for `'a`.
#[inline]
pub unsafe fn from_raw_locked<'a>(pdev: *mut bindings::pci_dev) -> &'a pci::Device<Core<'a>> {
    // SAFETY: By the contract of this function; the type is transparent over the C structure.
    unsafe { &*pdev.cast() }
}

/// The function at an address, if there is one.
pub fn find(domain: u16, bus: u8, devfn: u8) -> Option<ARef<pci::Device>> {
    // SAFETY: Any address may be asked for.
    let pdev =
        unsafe { bindings::pci_get_domain_bus_and_slot(domain.into(), bus.into(), devfn.into()) };
    // SAFETY: The function was returned with a reference, which is ours now; `pci::Device` is
    // transparent over the C structure.
    NonNull::new(pdev.cast()).map(|pdev| unsafe { ARef::from_raw(pdev) })
}

/// The address of a function, such as `0000:00:03.0`.
pub fn name(pdev: &pci::Device) -> &CStr {
    AsRef::<kernel::device::Device>::as_ref(pdev).name()
}

/// The number of the PCI segment ("domain").
pub fn domain(pdev: &pci::Device) -> u16 {
    // SAFETY: The device and with it its bus are valid.
    unsafe { vb::vfio_helper_pci_domain_nr((*raw(pdev)).bus) as u16 }
}

/// The number of the bus.
pub fn bus_number(pdev: &pci::Device) -> u8 {
    // SAFETY: As in `domain`.
    unsafe { (*(*raw(pdev)).bus).number }
}

/// Device and function number.
pub fn devfn(pdev: &pci::Device) -> u8 {
    // SAFETY: The device is valid; the field never changes. Device and function fit in 8 bits.
    unsafe { (*raw(pdev)).devfn as u8 }
}

/// Whether the header is that of an endpoint, not of a bridge.
pub fn is_endpoint(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid; the field is set when the device is found.
    u32::from(unsafe { (*raw(pdev)).hdr_type }) == bindings::PCI_HEADER_TYPE_NORMAL
}

macro_rules! capability {
    ($($(#[$doc:meta])* $name:ident: $field:ident)*) => {$(
        $(#[$doc])*
        #[inline]
        pub fn $name(pdev: &pci::Device) -> Option<u16> {
            // SAFETY: The device is valid; the field is set when the device is found.
            let offset = unsafe { (*raw(pdev)).$field };
            (offset != 0).then_some(offset.into())
        }
    )*};
}

capability! {
    /// Where the MSI capability is in configuration space.
    msi_capability: msi_cap
    /// Where the MSI-X capability is in configuration space.
    msix_capability: msix_cap
    /// Where the power management capability is in configuration space.
    pm_capability: pm_cap
}

/// Whether the function is a VGA display.
pub fn is_vga(pdev: &pci::Device) -> bool {
    // SAFETY: As in `is_endpoint`.
    unsafe { (*raw(pdev)).class >> 8 == bindings::PCI_CLASS_DISPLAY_VGA }
}

/// Whether the function is on a root bus, that is has no bridge above it.
pub fn is_on_root_bus(pdev: &pci::Device) -> bool {
    // SAFETY: As in `domain`.
    unsafe { vb::vfio_helper_pci_is_root_bus((*raw(pdev)).bus) }
}

/// Whether this is a physical function with an SR-IOV capability.
pub fn is_physfn(pdev: &pci::Device) -> bool {
    // SAFETY: As in `is_endpoint`.
    unsafe { bindings::pci_dev::is_physfn_raw(raw(pdev)) != 0 }
}

/// The physical function of a virtual one; any other is its own.
#[inline]
pub fn physfn(pdev: &pci::Device) -> &pci::Device {
    if is_virtfn(pdev) {
        // SAFETY: A virtual function keeps a reference to its physical function.
        unsafe { from_raw((*raw(pdev)).__bindgen_anon_1.physfn) }
    } else {
        pdev
    }
}

/// Whether two references are to the same function.
pub fn same(a: &pci::Device, b: &pci::Device) -> bool {
    core::ptr::eq(a, b)
}

/// Whether the architecture cannot map BARs for CPU access.
pub fn has_unmappable_bars(pdev: &pci::Device) -> bool {
    // SAFETY: As in `is_endpoint`.
    unsafe { bindings::pci_dev::non_mappable_bars_raw(raw(pdev)) != 0 }
}

/// The resource of a BAR, or 6 for the ROM: `(start, length, flags)`; `None` for any other number.
#[inline]
pub(crate) fn resource(pdev: &pci::Device, bar: u32) -> Option<(u64, u64, u32)> {
    if bar > bindings::PCI_ROM_RESOURCE {
        return None;
    }
    // SAFETY: The device is valid and the number is that of a resource. Resources of a bound device
    // do not change.
    let res = unsafe { &raw const (*raw(pdev)).resource[bar as usize] };
    // SAFETY: As above.
    let (start, end, flags) = unsafe { ((*res).start, (*res).end, (*res).flags) };
    // As `pci_resource_len()` has it.
    let len = match end {
        0 => 0,
        end => end.wrapping_sub(start).wrapping_add(1),
    };
    Some((start, len, flags as u32))
}

/// Where a BAR (6: the ROM) is in memory or port space; 0 if it is nowhere.
#[inline]
pub fn resource_start(pdev: &pci::Device, bar: u32) -> u64 {
    resource(pdev, bar).map_or(0, |r| r.0)
}

/// The length of a BAR (6: the ROM) in bytes; 0 if there is none.
#[inline]
pub fn resource_len(pdev: &pci::Device, bar: u32) -> u64 {
    resource(pdev, bar).map_or(0, |r| r.1)
}

/// The `IORESOURCE_*` flags of a BAR (6: the ROM); 0 if there is none.
#[inline]
pub fn resource_flags(pdev: &pci::Device, bar: u32) -> u32 {
    resource(pdev, bar).map_or(0, |r| r.2)
}

/// Whether a BAR is in memory, not in port space.
#[inline]
pub fn is_memory(pdev: &pci::Device, bar: u32) -> bool {
    resource_flags(pdev, bar) & bindings::IORESOURCE_MEM != 0
}

/// Turns the function's decoders on and wakes it up; counted. May sleep.
///
/// # Errors
///
/// That of the platform.
pub fn enable(pdev: &pci::Device) -> Result {
    // SAFETY: The device is valid.
    to_result(unsafe { bindings::pci_enable_device(raw(pdev)) })
}

/// Ends what [`enable`] began.
pub fn disable(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_disable_device(raw(pdev)) };
}

/// Keeps the function from DMA.
pub fn clear_master(pdev: &pci::Device) {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_clear_master(raw(pdev)) };
}

/// Lets the function assert INTx, or not.
pub fn set_intx(pdev: &pci::Device, enable: bool) {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_intx(raw(pdev), enable.into()) };
}

/// Whether INTx can be masked at the function, and the function tells that it asserts it.
pub fn can_mask_intx(pdev: &pci::Device) -> bool {
    // SAFETY: As in `is_endpoint`.
    unsafe { bindings::pci_dev::broken_intx_masking_raw(raw(pdev)) == 0 }
}

/// Whether MSI-X vectors can be allocated one by one while MSI-X is enabled.
#[inline]
pub fn has_dynamic_msix(pdev: &pci::Device) -> bool {
    // SAFETY: The device is valid.
    unsafe { bindings::pci_msix_can_alloc_dyn(raw(pdev)) }
}

/// The power state in which a function works: `PCI_D0`.
pub const D0: bindings::pci_power_t = vb::VFIO_CONST_PCI_D0;
/// The lowest power state in which a function still has power: `PCI_D3hot`.
pub const D3HOT: bindings::pci_power_t = vb::VFIO_CONST_PCI_D3HOT;

/// Brings the function into a power state. May sleep.
///
/// # Errors
///
/// That of `pci_set_power_state()`.
pub fn set_power_state(pdev: &pci::Device, state: bindings::pci_power_t) -> Result {
    // SAFETY: The device is valid.
    let ret = unsafe { bindings::pci_set_power_state(raw(pdev), state) };
    to_result(ret)?;
    // Some platforms answer with a positive number.
    if ret == 0 {
        Ok(())
    } else {
        Err(EIO)
    }
}

/// The power state that the function is in, as the kernel last saw it.
#[inline]
pub fn power_state(pdev: &pci::Device) -> bindings::pci_power_t {
    // SAFETY: The device is valid. The field is changed by the power state functions; a stale value
    // is as good as one read a moment before.
    unsafe { (&raw const (*raw(pdev)).current_state).read_volatile() }
}

/// Whether it is a PCI Express function.
#[inline]
pub fn is_express(pdev: &pci::Device) -> bool {
    pcie::flags(pdev) != 0
}

/// Device Capabilities 2 of a PCI Express function; 0 if it has none.
#[inline]
pub fn device_capabilities2(pdev: &pci::Device) -> u32 {
    if !is_express(pdev) {
        return 0;
    }
    let mut value = 0;
    // SAFETY: The device is valid. On failure the value is zero.
    unsafe {
        bindings::pcie_capability_read_dword(
            raw(pdev),
            bindings::PCI_EXP_DEVCAP2 as i32,
            &mut value,
        )
    };
    value
}

/// Lets the function send AtomicOps to the root port, if all on the way and the root port complete
/// those of `caps` (`PCI_EXP_DEVCAP2_ATOMIC_*`).
///
/// # Errors
///
/// `EINVAL` if they do not.
pub fn enable_atomic_ops_to_root(pdev: &pci::Device, caps: u32) -> Result {
    // SAFETY: The device is valid.
    to_result(unsafe { bindings::pci_enable_atomic_ops_to_root(raw(pdev), caps) })
}

/// Prepares peer-to-peer DMA to the BARs of the function.
///
/// # Errors
///
/// `ENOMEM`. A kernel without peer-to-peer DMA is none.
pub fn init_p2pdma(pdev: &pci::Device) -> Result {
    #[cfg(CONFIG_PCI_P2PDMA)]
    // SAFETY: The device is valid and bound, so the resources are freed when it is unbound.
    match to_result(unsafe { bindings::pcim_p2pdma_init(raw(pdev)) }) {
        Err(e) if e != crate::versions::eopnotsupp() => return Err(e),
        _ => {}
    }
    let _ = pdev;
    Ok(())
}
