// SPDX-License-Identifier: GPL-2.0

//! Opening a device for a user, and bringing it back to its former state afterwards.
//!
//! Every user gets a function that was reset, if it can be, and leaves one behind that was reset and
//! has the configuration that it had before. What cannot be reset alone is reset together with the
//! other functions of its bus or slot when the last of them is closed.
//!
//! Order: `dev_set->lock` (held by the callers), then those of the callees.

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
use crate::dma_buf;
use crate::{
    config,
    hot_reset::{
        self,
        Set, //
    },
    intrs,
    ioeventfd,
    memory,
    power,
    sriov,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::{
    bindings,
    page::PAGE_SIZE,
    prelude::*, //
};
use vfio_kapi::{
    pci::{
        self,
        bar::RestOfPage,
        config as hw,
        reset::{
            self,
            SavedState, //
        }, //
    },
    pci_core_device::bars::NUM_BARS,
    runtime_pm, //
};
use vfio_logic::pci as rules;

/// `PCI_COMMAND_INTX_DISABLE`
const INTX_DISABLE: u16 = bindings::PCI_COMMAND_INTX_DISABLE as u16;

/// What is there only while a device is open.
#[derive(Default)]
pub(crate) struct Opened {
    /// The configuration to go back to.
    saved: Option<SavedState>,
    /// The rests of the pages that small BARs are in.
    rests: KVec<RestOfPage>,
    /// The host leaves errors of its endpoint to the user.
    #[cfg(CONFIG_EEH)]
    passed_through: Option<pci::eeh::PassedThrough>,
}

/// Prepares the function for a user; the caller then maps its BARs.
///
/// # Errors
///
/// `EAGAIN` if it cannot be reset because a lock is held; that of waking it up, of enabling it and of
/// [`config::init`]. It is left as it was.
pub(crate) fn enable(dev: &Device) -> Result {
    let pdev = dev.pdev();

    let awake = if dev.has(Flag::DisableIdleD3) {
        None
    } else {
        Some(runtime_pm::active(pdev.as_ref())?)
    };
    // Bus mastering is not to be part of the configuration that is gone back to.
    pci::clear_master(pdev);
    pci::enable(pdev)?;
    if let Err(e) = enable_enabled(dev) {
        let saved = dev.state().opened.lock().saved.take();
        drop(saved);
        pci::disable(pdev);
        return Err(e);
    }
    // Put by `disable`.
    core::mem::forget(awake);
    Ok(())
}

fn enable_enabled(dev: &Device) -> Result {
    let pdev = dev.pdev();

    let reset = reset::try_function(pdev);
    if reset == Err(EAGAIN) {
        return reset;
    }
    dev.set(Flag::ResetWorks, reset.is_ok());
    reset::save_state(pdev);
    let saved = SavedState::store(pdev);
    if saved.is_none() {
        dev_dbg!(pdev, "vfio_pci_core_enable: Couldn't store saved state\n");
    }
    dev.state().opened.lock().saved = saved;

    dev.set(Flag::Nointx, false);
    dev.set(Flag::Pci23, false);
    if !dev.has(Flag::Nointxmask) {
        if rules::has_broken_intx(pdev.vendor_id().as_raw(), pdev.device_id()) {
            dev_info!(pdev, "Masking broken INTx support\n");
            dev.set(Flag::Nointx, true);
            pci::set_intx(pdev, false);
        } else {
            dev.set(Flag::Pci23, pci::can_mask_intx(pdev));
        }
    }
    let command = hw::read_word(pdev, hw::COMMAND).unwrap_or(!0);
    if dev.has(Flag::Pci23) && command & INTX_DISABLE != 0 {
        let _ = hw::write_word(pdev, hw::COMMAND, command & !INTX_DISABLE);
    }

    config::init(dev)?;

    let msix = pci::msix_capability(pdev).and_then(|cap| {
        let control = hw::read_word(pdev, cap.checked_add(bindings::PCI_MSIX_FLAGS as u16)?);
        let table = hw::read_dword(pdev, cap.checked_add(bindings::PCI_MSIX_TABLE as u16)?);
        Some(rules::MsixTable::decode(control.ok()?, table.ok()?))
    });
    dev.set_msix_table(msix);
    dev.set(Flag::HasDynMsix, pci::has_dynamic_msix(pdev));
    let msi = pci::msi_capability(pdev)
        .and_then(|cap| cap.checked_add(bindings::PCI_MSI_FLAGS as u16))
        .and_then(|flags| hw::read_word(pdev, flags).ok());
    dev.state()
        .msi_vectors
        .set(msi.map_or(0, rules::msi_vectors));
    let vga = cfg!(CONFIG_VFIO_PCI_VGA) && !dev.has(Flag::DisableVga) && pci::is_vga(pdev);
    dev.set(Flag::HasVga, vga);
    Ok(())
}

/// The last step of opening, after the driver had its own.
pub(crate) fn finish_enable(dev: &Device) {
    let mut rests = KVec::new();
    for bar in 0..NUM_BARS {
        let mappable = can_map(dev, bar, &mut rests);
        dev.set_mappable(bar, mappable);
    }
    #[cfg(CONFIG_EEH)]
    let passed_through = pci::eeh::PassedThrough::new(dev.pdev()).ok();
    {
        let state = dev.state();
        let mut opened = state.opened.lock();
        opened.rests = rests;
        #[cfg(CONFIG_EEH)]
        {
            opened.passed_through = passed_through;
        }
    }
    sriov::user_opened(dev);
}

/// Whether the user may map a BAR; reserves the rest of its page if necessary.
fn can_map(dev: &Device, bar: u32, rests: &mut KVec<RestOfPage>) -> bool {
    let pdev = dev.pdev();
    if pci::has_unmappable_bars(pdev) {
        return false;
    }
    let (start, len) = (pci::resource_start(pdev, bar), pci::resource_len(pdev, bar));
    match rules::mappable(pci::is_memory(pdev, bar), start, len, PAGE_SIZE as u64) {
        rules::Mappable::No => false,
        rules::Mappable::Yes => true,
        rules::Mappable::WithRestOfPage => RestOfPage::reserve(pdev, bar)
            .is_ok_and(|rest| rests.push(rest, GFP_KERNEL_ACCOUNT).is_ok()),
    }
}

/// Takes the function from its user, who has closed it: no DMA, no interrupts, no eventfds. The caller
/// then unmaps the BARs and goes on to [`disable`].
pub(crate) fn quiesce(dev: &Device) {
    let pdev = dev.pdev();

    // The device may be suspended, or in D3hot by the user's doing: a reset by power state needs D0,
    // and so does restoring what the function lost.
    power::take_back(dev);
    let _ = runtime_pm::resume(pdev.as_ref());
    {
        let _guard = memory::lock(dev);
        let _ = power::set_state(dev, power::D0);
    }
    pci::clear_master(pdev);
    intrs::disable(dev);
    ioeventfd::remove_all(dev);
    dev.set_virq_disabled(false);
}

/// Brings the function back to where it was before it was opened, and resets it.
pub(crate) fn disable(dev: &Device, set: &Set<'_>) {
    let pdev = dev.pdev();

    config::free(dev);
    let Opened { saved, rests, .. } = core::mem::take(&mut *dev.state().opened.lock());
    drop(rests);
    dev.set_needs_reset(true);

    restore(dev, saved);
    if dev.has(Flag::Pci23) {
        // Nobody is left to serve the line if the function still asserts it, and others may share it. Who enables the
        // function next allows it again.
        pci::intx::check_and_mask(pdev);
    }
    pci::disable(pdev);

    hot_reset::try_unused(set);

    if !dev.has(Flag::DisableIdleD3) {
        runtime_pm::put(pdev.as_ref());
    }
}

/// Writes the saved configuration back, with a reset in between if there is one.
fn restore(dev: &Device, saved: Option<SavedState>) {
    let pdev = dev.pdev();

    if saved
        .ok_or(ENOMEM)
        .and_then(|saved| saved.load(pdev))
        .is_err()
    {
        dev_info!(pdev, "vfio_pci_core_disable: Couldn't reload saved state\n");
        if !dev.has(Flag::ResetWorks) {
            return;
        }
        // The present configuration is better than none.
        reset::save_state(pdev);
    }
    // No interrupts during the reset.
    let _ = hw::write_word(pdev, hw::COMMAND, INTX_DISABLE);
    if dev.has(Flag::ResetWorks) && reset::try_function_without_state(pdev).is_ok() {
        dev.set_needs_reset(false);
    }
    reset::restore_state(pdev);
}

/// The user is done with the device, before it is disabled.
pub(crate) fn close(dev: &Device) {
    sriov::user_closed(dev);
    #[cfg(CONFIG_EEH)]
    {
        // Taken out first: it is not given back with the lock held.
        let passed_through = dev.state().opened.lock().passed_through.take();
        drop(passed_through);
    }
    #[cfg(CONFIG_VFIO_PCI_DMABUF)]
    dma_buf::close(dev);
}
