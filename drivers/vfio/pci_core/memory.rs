// SPDX-License-Identifier: GPL-2.0

//! When the memory of a device may be accessed.
//!
//! `memory_lock` is held for reading by who accesses the device's memory, and for writing by who
//! makes it inaccessible: by the memory enable bit of the command register, a low-power state or a
//! reset. Whoever takes it for that also removes the user's mappings, and page faults take the lock
//! for reading, so that no mapping comes back before the device does.
//!
//! Order: `dev_set->lock`, `igate`, `memory_lock`.

use crate::state::Device;
use kernel::bindings;
use vfio_kapi::{
    pci::config,
    rwsem::RwSemWriteGuard, //
};

/// `PCI_COMMAND_MEMORY`: the function answers accesses to its memory.
const COMMAND_MEMORY: u16 = bindings::PCI_COMMAND_MEMORY as u16;

/// Shows that nobody accesses the memory of a device, until dropped.
pub(crate) type Guard<'a> = RwSemWriteGuard<'a, ()>;

/// Removes what user space has mapped of the BARs.
///
/// `memory_lock` must be held for writing, or it comes back at once.
pub(crate) fn zap(dev: &Device) {
    let start = vfio_logic::region::offset(vfio_logic::region::BAR0);
    let end = vfio_logic::region::offset(vfio_logic::region::ROM);
    dev.vfio().unmap_range(start, end - start);
}

/// Waits until nobody accesses the memory of the device, and removes the user's mappings of it.
pub(crate) fn zap_and_lock(dev: &Device) -> Guard<'_> {
    let guard = dev.memory_lock().write();
    zap(dev);
    guard
}

/// Shows that the function answers accesses to its memory and that only the holder makes any;
/// the command register is put back when dropped.
pub(crate) struct MemoryEnabled<'a> {
    dev: &'a Device,
    /// What to put back; `None` if the function could not be asked.
    command: Option<u16>,
    // Dropped after `drop` put the command register back.
    _guard: Guard<'a>,
}

/// Waits until nobody accesses the memory of the device, and turns it on for the caller.
///
/// Mappings of the user stay: this only makes more accessible than was.
pub(crate) fn memory_lock_and_enable(dev: &Device) -> MemoryEnabled<'_> {
    let guard = dev.memory_lock().write();
    let command = config::read_word(dev.pdev(), config::COMMAND).ok();
    if let Some(command) = command.filter(|command| command & COMMAND_MEMORY == 0) {
        let _ = config::write_word(dev.pdev(), config::COMMAND, command | COMMAND_MEMORY);
    }
    MemoryEnabled {
        dev,
        command,
        _guard: guard,
    }
}

impl Drop for MemoryEnabled<'_> {
    fn drop(&mut self) {
        if let Some(command) = self.command {
            let _ = config::write_word(self.dev.pdev(), config::COMMAND, command);
        }
    }
}
