// SPDX-License-Identifier: GPL-2.0

//! Mappings of BARs into user space.
//!
//! Pages come by faults, with `memory_lock` held for reading; whoever makes the memory inaccessible
//! removes them all with the lock held for writing (see [`crate::memory`]).
//!
//! Order: `mmap_lock` or a VMA lock of the process, `memory_lock`.

use crate::{
    power,
    region,
    state::{
        Device,
        State, //
    }, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use vfio_kapi::{
    explain,
    pci,
    pci_core_device::DeviceFaults,
    refuse,
    vma::{
        Fault,
        FaultResult,
        NewVma, //
    }, //
};
use vfio_logic::region as rules;

/// What there is to be done for a mapping.
#[derive(PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Pages of a BAR are to come by faults.
    Faults,
    /// The driver that added the region has done it.
    Done,
}

/// Checks a mapping that the user asks for.
///
/// # Errors
///
/// `EINVAL` if it is private, or not all of it is in a BAR that can be mapped; that of the BAR; that of
/// a driver that added the region.
pub(crate) fn prepare(dev: &Device, vma: &mut NewVma) -> Result<Outcome> {
    if !vma.is_shared() {
        return Err(refuse!(EINVAL, "mmap of a region: it is not MAP_SHARED"));
    }
    let page_size = PAGE_SIZE as u64;
    let pos = vma.page_offset().checked_mul(page_size).ok_or(EINVAL)?;
    let (index, _) = rules::split(pos);
    if index >= rules::NUM_REGIONS {
        let added = region::added(dev, index)?;
        if added.flags() & region::MMAP == 0 {
            return Err(EINVAL);
        }
        dev.region_mmap(added, vma)?;
        return Ok(Outcome::Done);
    }
    let bar_len = |bar| {
        let mappable = dev.is_mappable(bar);
        mappable.then(|| pci::resource_len(dev.pdev(), bar))
    };
    let bar = explain!(
        rules::mmap(vma.page_offset(), vma.len(), page_size, bar_len),
        "mmap at {pos:#x}"
    )?;
    // The BAR must be reserved for us.
    dev.bar(bar)?;
    Ok(Outcome::Faults)
}

impl DeviceFaults for State {
    fn fault(dev: &Device, fault: Fault<'_>, order: u32) -> FaultResult {
        let Some(block) = fault.block(order) else {
            return FaultResult::FALLBACK;
        };
        let page_shift = PAGE_SIZE.trailing_zeros();
        // The mapping was checked when it was made: nothing of this overflows.
        let pos = fault.mapping_page_offset() << page_shift;
        let (bar, start) = rules::split(pos);
        let page = (start >> page_shift) + block;

        let _guard = dev.memory_lock().read();
        if !power::is_accessible(dev) {
            return FaultResult::SIGBUS;
        }
        fault.insert_bar(dev.pdev(), bar, page, order)
    }
}
