// SPDX-License-Identifier: GPL-2.0

//! When the memory of a device may be accessed.
//!
//! `memory_lock` is held for reading by who accesses the device's memory, and for writing by who
//! makes it inaccessible: by the memory enable bit of the command register, a low-power state or a
//! reset. Whoever takes it for that also removes the user's mappings and revokes the dma-bufs. Page
//! faults take the lock for reading, so that no mapping comes back before the device does; dma-bufs may
//! be used again when a [`Guard`] finds the memory accessible as it goes.
//!
//! Order: `dev_set->lock`, `igate`, `memory_lock`.

use crate::{
    power,
    state::Device, //
};
use kernel::bindings;
use vfio_kapi::{
    pci::config,
    rwsem::RwSemWriteGuard, //
};

/// `PCI_COMMAND_MEMORY`: the function answers accesses to its memory.
const COMMAND_MEMORY: u16 = bindings::PCI_COMMAND_MEMORY as u16;

/// Shows that nobody accesses the memory of a device, until dropped.
#[must_use = "the lock is released at once when the guard is unused"]
pub(crate) struct Guard<'a> {
    dev: &'a Device,
    // Released after `drop` looked at the device.
    _guard: RwSemWriteGuard<'a, ()>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        set_revoked(self.dev, !power::is_accessible(self.dev));
    }
}

/// Takes the dma-bufs from those who have them, or gives them back.
fn set_revoked(dev: &Device, revoked: bool) {
    #[cfg(CONFIG_VFIO_PCI_DMABUF)]
    dev.state().dma_bufs.set_revoked(revoked);
    #[cfg(not(CONFIG_VFIO_PCI_DMABUF))]
    let _ = (dev, revoked);
}

/// Removes what user space has mapped of the BARs.
///
/// `memory_lock` must be held for writing, or it comes back at once.
fn zap(dev: &Device) {
    let start = vfio_logic::region::offset(vfio_logic::region::BAR0);
    let end = vfio_logic::region::offset(vfio_logic::region::ROM);
    dev.vfio().unmap_range(start, end - start);
}

/// Waits until nobody accesses the memory of the device. The user's mappings and dma-bufs stay: this is for
/// who does not make it less accessible than it is.
pub(crate) fn lock(dev: &Device) -> Guard<'_> {
    Guard {
        dev,
        _guard: dev.memory_lock().write(),
    }
}

/// Waits until nobody accesses the memory of the device, and takes it from the user.
pub(crate) fn zap_and_lock(dev: &Device) -> Guard<'_> {
    let guard = lock(dev);
    zap(dev);
    set_revoked(dev, true);
    guard
}

/// As [`zap_and_lock`], but only if nobody accesses the memory right now.
pub(crate) fn try_zap_and_lock(dev: &Device) -> Option<Guard<'_>> {
    let guard = Guard {
        dev,
        _guard: dev.memory_lock().try_write()?,
    };
    zap(dev);
    set_revoked(dev, true);
    Some(guard)
}

/// Shows that the function answers accesses to its memory and that only the holder makes any;
/// the command register is put back when dropped.
pub(crate) struct MemoryEnabled<'a> {
    dev: &'a Device,
    /// What to put back; `None` if the function could not be asked.
    command: Option<u16>,
    // Dropped after `drop` put the command register back.
    _guard: RwSemWriteGuard<'a, ()>,
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
