// SPDX-License-Identifier: GPL-2.0

//! Making a device known to VFIO, and taking it back.

use crate::{
    power,
    sriov,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::{
    pci::Device as PciDevice,
    prelude::*, //
};
use vfio_kapi::{
    pci::{
        self,
        facts,
        sriov as hw,
        vga, //
    },
    runtime_pm, //
};
use vfio_logic::pci::hides_legacy_vga;

/// Whether the device can be registered.
///
/// # Errors
///
/// `EINVAL` if the driver did not do its part, or this is a bridge; `EBUSY` for a physical function
/// with virtual functions.
pub(crate) fn check(dev: &Device) -> Result {
    let pdev = dev.pdev();

    if !dev.is_drvdata() || dev.vfio().driver_name().is_none() {
        dev_warn!(pdev, "driver lacks drvdata or a name\n");
        return Err(EINVAL);
    }
    if !pci::is_endpoint(pdev) || !dev.vfio().has_complete_ops() {
        return Err(EINVAL);
    }
    // Somebody may use the virtual functions; who, could not be told later. To remove them here would
    // unbind their drivers, which may wait for a user for long.
    if hw::num_vfs(pdev) != 0 {
        dev_warn!(pdev, "Cannot bind to PF with SR-IOV enabled\n");
        return Err(EBUSY);
    }
    Ok(())
}

/// Whether no other function is hot reset with this one.
pub(crate) fn is_alone(dev: &Device) -> bool {
    pci::is_on_root_bus(dev.pdev()) || facts::is_virtfn(dev.pdev())
}

/// Prepares all that a registered device needs.
///
/// # Errors
///
/// `ENOMEM`; that of the VGA arbiter or of a framebuffer driver. Nothing is left to be undone.
pub(crate) fn prepare(dev: &Device) -> Result {
    sriov::init(dev)?;
    prepare_vga(dev).inspect_err(|_| sriov::uninit(dev))?;
    power::probe(dev);
    // The kernel does not know in which state a function is that had no driver: the first transition
    // must be to D0.
    let _ = power::set_state(dev, power::D0);
    Ok(())
}

/// Lets the device suspend while nobody uses it.
pub(crate) fn allow_suspend(dev: &Device) {
    let pdev = dev.pdev().as_ref();
    runtime_pm::allow(pdev);
    if !dev.has(Flag::DisableIdleD3) {
        runtime_pm::put(pdev);
    }
}

/// Undoes [`allow_suspend`].
pub(crate) fn forbid_suspend(dev: &Device) {
    let pdev = dev.pdev().as_ref();
    if !dev.has(Flag::DisableIdleD3) {
        runtime_pm::get_noresume(pdev);
    }
    runtime_pm::forbid(pdev);
}

/// Undoes [`prepare`].
pub(crate) fn unprepare(dev: &Device) {
    sriov::uninit(dev);
    let client = dev.state().vga.lock().take();
    drop(client);
}

/// Registers a VGA function with the arbiter, and makes the firmware's framebuffer go.
fn prepare_vga(dev: &Device) -> Result {
    let pdev = dev.pdev();
    if !pci::is_vga(pdev) {
        return Ok(());
    }
    vga::remove_firmware_framebuffers(pdev, dev.vfio().driver_name().ok_or(EINVAL)?)?;
    let client = if cfg!(CONFIG_VFIO_PCI_VGA) && !dev.has(Flag::DisableVga) {
        vga::Client::register::<AllRanges>(pdev)?
    } else {
        vga::Client::register::<HidesLegacy>(pdev)?
    };
    *dev.state().vga.lock() = Some(client);
    Ok(())
}

/// The user gets the legacy ranges.
struct AllRanges;

impl vga::Decoder for AllRanges {
    fn decodes(_pdev: &PciDevice, _single: bool) -> u32 {
        vga::NORMAL | vga::LEGACY
    }
}

/// The user gets no legacy ranges, so others may have them.
struct HidesLegacy;

impl vga::Decoder for HidesLegacy {
    fn decodes(pdev: &PciDevice, single: bool) -> u32 {
        let root = pci::is_on_root_bus(pdev);
        let neighbour = !root && vga::has_neighbour(pdev);
        if hides_legacy_vga(single, false, root, neighbour) {
            vga::NORMAL
        } else {
            vga::NORMAL | vga::LEGACY
        }
    }
}
