// SPDX-License-Identifier: GPL-2.0

//! Power states of a device, by the user's own doing and by runtime power management.
//!
//! A device that nobody has open is suspended (unless `disable_idle_d3`). The user of an open device
//! may bring it into D3hot by its power management capability, or let runtime power management
//! suspend it (*low power*): its usage count is then lent to the kernel until the user wants the
//! device back.
//!
//! Order: `memory_lock`, [`Power::inner`].

use crate::{
    config,
    intrs,
    memory,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::{
    bindings,
    new_mutex,
    prelude::*,
    sync::Mutex, //
};
use vfio_kapi::{
    eventfd::EventFd,
    pci::{
        self,
        config as hw,
        reset::{
            self,
            SavedState, //
        }, //
    },
    refusal::Explain,
    refuse,
    runtime_pm,
    uaccess::UserArg,
    uapi::vfio_device_low_power_entry_with_wakeup, //
};
use vfio_logic::{
    feature::{
        request,
        Request,
        SET, //
    },
    irq,
    lent::Lendable, //
};

pub(crate) use vfio_kapi::pci::{
    D0,
    D3HOT, //
};

/// What there is to power management per device.
#[pin_data]
pub(crate) struct Power {
    /// The usage count of the open device.
    count: Lendable,
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    /// The configuration before D3hot, if it gets lost.
    saved: Option<SavedState>,
}

impl Power {
    /// That of a device that is not registered yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            count: Lendable::default(),
            inner <- new_mutex!(Inner { saved: None }, "vfio_pci_power"),
        })
    }
}

/// What is kept for the device.
fn power(dev: &Device) -> &Power {
    &dev.state().get_ref().power
}

/// Keeps an open device awake until dropped.
///
/// Costs next to nothing as long as the user has not lent the usage count that the open device has.
#[must_use = "the device may suspend at once when this is unused"]
pub(crate) struct Awake<'a> {
    dev: &'a Device,
    /// A usage count, unless that of the open device is relied on.
    counted: Option<runtime_pm::Active<'a>>,
}

/// Wakes an open device up if it is suspended. May sleep.
///
/// # Errors
///
/// `EIO` if that fails.
#[inline]
pub(crate) fn awake(dev: &Device) -> Result<Awake<'_>> {
    let counted = if power(dev).count.enter() {
        None
    } else {
        Some(wake_up(dev)?)
    };
    Ok(Awake { dev, counted })
}

#[cold]
fn wake_up(dev: &Device) -> Result<runtime_pm::Active<'_>> {
    runtime_pm::active(dev.pdev().as_ref()).map_err(|e| {
        vfio_kapi::ratelimited!(dev_info!(
            dev.pdev(),
            "runtime resume failed {}\n",
            e.to_errno()
        ));
        EIO
    })
}

impl Drop for Awake<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.counted.is_none() && power(self.dev).count.leave() {
            runtime_pm::put(self.dev.pdev().as_ref());
        }
    }
}

/// Finds out how the device behaves.
pub(crate) fn probe(dev: &Device) {
    let control = pci::pm_capability(dev.pdev())
        .and_then(|cap| cap.checked_add(bindings::PCI_PM_CTRL as u16))
        .and_then(|offset| hw::read_word(dev.pdev(), offset).ok());
    let keeps = bindings::PCI_PM_CTRL_NO_SOFT_RESET as u16;
    let loses = control.is_some_and(|control| control & keeps == 0);
    dev.set(Flag::NeedsPmRestore, loses);
}

/// Brings the device into `state`. For any but D0 `memory_lock` must be held for writing.
///
/// # Errors
///
/// `EBUSY` for a physical function with virtual functions; otherwise that of
/// `pci_set_power_state()`.
pub(crate) fn set_state(dev: &Device, state: bindings::pci_power_t) -> Result {
    let (pdev, power) = (dev.pdev(), power(dev));

    if state > D0 && dev.sriov_active() {
        return Err(EBUSY);
    }
    let before = pci::power_state(pdev);
    let loses = dev.has(Flag::NeedsPmRestore);
    let save = loses && before < D3HOT && state >= D3HOT;
    let restore = loses && before >= D3HOT && state <= D0;
    if save {
        reset::save_state(pdev);
    }

    pci::set_power_state(pdev, state)?;

    let mut inner = power.inner.lock();
    // The device may not have gone there because of a quirk.
    if save && pci::power_state(pdev) >= D3HOT {
        inner.saved = SavedState::store(pdev);
    } else if restore {
        if let Some(saved) = inner.saved.take() {
            saved.load(pdev)?;
            reset::restore_state(pdev);
        }
    }
    Ok(())
}

/// Brings the device into `state`, after removing the user's mappings where that makes its memory
/// inaccessible.
///
/// # Errors
///
/// As for [`set_state`].
pub(crate) fn lock_and_set_state(dev: &Device, state: bindings::pci_power_t) -> Result {
    let _guard = if state >= D3HOT {
        memory::zap_and_lock(dev)
    } else {
        memory::lock(dev)
    };
    set_state(dev, state)
}

/// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY`: lends the usage count, with an eventfd to be told by if
/// `with_wakeup`.
///
/// # Errors
///
/// `EINVAL` if it is lent already; those of the feature ioctl and of the eventfd.
pub(crate) fn entry(
    dev: &Device,
    flags: u32,
    arg: UserArg,
    len: usize,
    with_wakeup: bool,
) -> Result {
    let minsz = if with_wakeup {
        size_of::<vfio_device_low_power_entry_with_wakeup>()
    } else {
        0
    };
    if request(flags, len, SET, minsz).explain("LOW_POWER_ENTRY")? == Request::Probe {
        return Ok(());
    }
    let wake = if with_wakeup {
        let entry: vfio_device_low_power_entry_with_wakeup = arg.read()?;
        if entry.wakeup_eventfd < 0 {
            return Err(EINVAL);
        }
        Some(EventFd::from_fd(entry.wakeup_eventfd)?)
    } else {
        None
    };

    let _guard = memory::zap_and_lock(dev);
    if dev.pm_runtime_engaged() {
        return Err(refuse!(EINVAL, "LOW_POWER_ENTRY: it is entered already"));
    }
    dev.set_pm_runtime_engaged(true);
    dev.replace_wakeup(wake);
    if power(dev).count.lend() {
        // The caller holds a count over the ioctl: the device suspends when that is put.
        runtime_pm::put_noidle(dev.pdev().as_ref());
    }
    Ok(())
}

/// `VFIO_DEVICE_FEATURE_LOW_POWER_EXIT`: takes the usage count back, if it is lent.
///
/// # Errors
///
/// Those of the feature ioctl.
pub(crate) fn exit(dev: &Device, flags: u32, len: usize) -> Result {
    if request(flags, len, SET, 0)? != Request::Probe {
        take_back(dev);
    }
    Ok(())
}

/// Takes the usage count back, if it is lent.
pub(crate) fn take_back(dev: &Device) {
    let _guard = memory::lock(dev);
    take_back_locked(dev);
}

/// As [`take_back`], with `memory_lock` held for writing.
fn take_back_locked(dev: &Device) {
    if dev.pm_runtime_engaged() {
        dev.set_pm_runtime_engaged(false);
        runtime_pm::get_noresume(dev.pdev().as_ref());
        if power(dev).count.take_back() {
            // Somebody has relied on the old one since before it was lent.
            runtime_pm::put_noidle(dev.pdev().as_ref());
        }
        dev.replace_wakeup(None);
    }
}

/// The device is about to be suspended.
pub(crate) fn suspend(dev: &Device) {
    {
        let _guard = memory::lock(dev);
        // The user may have brought the device into D3hot. From D0 the PCI core suspends it, and
        // saves its configuration before.
        let _ = set_state(dev, D0);
    }
    // An INTx that the user himself masked stays so on resume.
    dev.set_pm_intx_masked(dev.irq_type() == irq::INTX && intrs::intx_mask(dev));
}

/// The device was resumed.
pub(crate) fn resume(dev: &Device) {
    {
        let _guard = memory::lock(dev);
        if let Some(wake) = dev.replace_wakeup(None) {
            // It was somebody else: the user is told, and the device stays awake. The PCI core has restored
            // it, so accesses may rely on the count at once.
            wake.signal();
            take_back_locked(dev);
        }
    }
    if dev.pm_intx_masked() {
        intrs::intx_unmask(dev);
    }
}

/// Whether the device's memory may be mapped: it answers, and is not about to be suspended. One that
/// has `memory_lock` gets an answer that lasts.
#[inline(always)]
pub(crate) fn is_accessible(dev: &Device) -> bool {
    !dev.pm_runtime_engaged() && config::memory_enabled(dev)
}
