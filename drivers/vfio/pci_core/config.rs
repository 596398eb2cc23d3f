// SPDX-License-Identifier: GPL-2.0

//! Configuration space as the user sees it.
//!
//! What the user may see and do is decided in [`vfio_logic::config`]; here it is done.
//!
//! Order: `write_lock`, `memory_lock`. User memory is copied with neither held, since it may be a BAR
//! of this very device, the page fault of which takes `memory_lock`.

mod function;

use crate::state::{
    Device,
    Flag, //
    State,
};
use core::pin::Pin;
use function::Hardware;
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};
use vfio_kapi::{
    pci::{
        config,
        config_shadow::{
            ConfigShadow,
            HasConfigShadow, //
        },
        facts, //
    },
    uaccess::UserArg, //
};
use vfio_logic::config::{
    access::Access,
    emulation::{
        Emulation,
        State as EmulationState, //
    },
    regs::header,
    shadow::Shadow, //
};

/// What there is to configuration space per device.
#[pin_data]
pub(crate) struct Config {
    shadow: ConfigShadow,
    state: EmulationState,
    /// Held over a write, which may take several steps in the emulation and the hardware.
    #[pin]
    write_lock: Mutex<()>,
}

impl Config {
    /// That of a device that nobody has opened yet.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            shadow: ConfigShadow::new()?,
            state: EmulationState::default(),
            write_lock <- new_mutex!((), "vfio_pci_config"),
        })
    }
}

impl HasConfigShadow for State {
    fn config_shadow(self: Pin<&Self>) -> &ConfigShadow {
        &self.get_ref().config.shadow
    }
}

/// What is kept for the device.
fn config(dev: &Device) -> &Config {
    &dev.state().get_ref().config
}

/// The emulated bytes, as many as the device has.
fn shadow(dev: &Device) -> Shadow<'_> {
    let shadow = &config(dev).shadow;
    let size = config::size(dev.pdev());
    let (data, owners) = (shadow.data().as_slice(), shadow.owners().as_slice());
    Shadow::new(data.get(..size).unwrap_or(data), owners)
}

/// The emulation.
fn emulation(dev: &Device) -> Emulation<'_, Hardware<'_>> {
    Emulation {
        state: &config(dev).state,
        shadow: shadow(dev),
        function: Hardware(dev),
    }
}

/// Prepares configuration space for a new user. The device must be enabled, in D0.
///
/// # Errors
///
/// That of an access to the device; nothing is left to be undone.
///
/// C function: `vfio_config_init()`.
pub(crate) fn init(dev: &Device) -> Result {
    let extended = emulation(dev).init()?;
    dev.set(Flag::ExtendedCaps, extended);
    dev.set_host_bars(config(dev).state.bars());
    dev.publish_config_shadow();
    Ok(())
}

/// Ends what [`init()`] began; there is no user any more.
///
/// C function: `vfio_config_free()`.
pub(crate) fn free(dev: &Device) {
    dev.retract_config_shadow();
}

/// Reads or writes `count` bytes at `pos` of the file, in or out of the region of configuration space.
///
/// # Errors
///
/// `EFAULT` if there is no such register or user memory cannot be accessed, and that of a failed
/// access to hardware. What came before in the same call has been done.
///
/// C function: `vfio_pci_config_rw()`.
// Inline: what it answers would go through memory.
#[inline(always)]
pub(crate) fn rw<const WRITE: bool>(
    dev: &Device,
    buf: UserArg,
    count: usize,
    pos: u64,
) -> Result<usize> {
    const OFFSET_MASK: u64 = vfio_logic::region::offset(1) - 1;

    let pos = usize::try_from(pos & OFFSET_MASK)?;
    let mut done = 0;
    while done < count {
        let at = pos.checked_add(done).ok_or(EFAULT)?;
        done += rw_single::<WRITE>(dev, buf.offset(done), count - done, at)? as usize;
    }
    Ok(done)
}

/// Reads or writes the first piece of `count` bytes at `pos` of configuration space, as many as are in
/// one register and one capability; their number is returned.
///
/// # Errors
///
/// As for [`rw`].
///
/// C function: `vfio_pci_config_rw_single()`.
// Not inline in its two callers: then what it calls would not be inline in it.
#[inline(never)]
pub(crate) fn rw_single<const WRITE: bool>(
    dev: &Device,
    buf: UserArg,
    count: usize,
    pos: usize,
) -> Result<u32> {
    let emulation = emulation(dev);
    let access = Access::first(&emulation.shadow, pos, count)?;
    if WRITE {
        if !access.drops_writes() {
            let value = u32::try_from(buf.read_le(access.width.into())?)?;
            let _guard = config(dev).write_lock.lock();
            emulation.write(&access, value)?;
        }
    } else {
        let value = emulation.read(&access)?;
        buf.write_le(access.width.into(), value.into())?;
    }
    // CAST: No more than four.
    Ok(access.width.bytes() as u32)
}

/// Whether accesses to the memory of the device are answered.
///
/// The memory enable bit of a VF is in its physical function, so the user's says nothing. Takes no
/// lock; the answer holds for as long as the caller has `memory_lock`.
///
/// C function: `__vfio_pci_memory_enabled()`.
#[inline]
pub(crate) fn memory_enabled(dev: &Device) -> bool {
    let pdev = dev.pdev();
    let shadow = &config(dev).shadow;
    let command = Shadow::new(shadow.data(), shadow.owners()).word(header::COMMAND);
    facts::is_awake(pdev)
        && (facts::no_command_memory(pdev) || command & header::COMMAND_MEMORY != 0)
}

/// The INTx pin that the user sees: 1 for INTA#, 0 for none.
pub(crate) fn interrupt_pin(dev: &Device) -> u8 {
    shadow(dev).byte(header::INTERRUPT_PIN)
}
