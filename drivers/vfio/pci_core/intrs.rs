// SPDX-License-Identifier: GPL-2.0

//! Interrupts: from the device to the user's eventfds.
//!
//! Which requests are valid when is in `vfio_logic::irq`. Here they are carried out, under the mutex
//! `igate`, which is taken before `memory_lock`. What runs in interrupt context never takes it: it
//! has an object of its own, that is freed after its handler is removed.

mod err_req;
mod intx;
mod msi;

pub(crate) use err_req::{
    signal_err,
    signal_req, //
};

use crate::state::{
    Device,
    Flag, //
};
use intx::Intx;
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};
use msi::Msi;
use vfio_kapi::{
    eventfd::EventFd,
    explain,
    pci::intx as pin, //
};
use vfio_logic::irq::{
    self as rules,
    Fds,
    Notice,
    Request, //
};

/// The interrupts of a device and the eventfds they signal. Those for notices are replaced with `igate` held.
#[pin_data]
pub(crate) struct Intrs {
    #[pin]
    igate: Mutex<Delivery>,
}

/// How interrupts are delivered.
enum Delivery {
    None,
    Intx(Intx),
    Msi(Msi),
}

impl Delivery {
    fn rules(&self) -> rules::Delivery {
        match self {
            Self::None => rules::Delivery::None,
            Self::Intx(_) => rules::Delivery::Intx,
            Self::Msi(msi) if msi.is_msix() => rules::Delivery::MsiX,
            Self::Msi(_) => rules::Delivery::Msi,
        }
    }

    /// Makes this the way interrupts are delivered, after the one there was has been ended.
    fn set(&mut self, dev: &Device, new: Self) {
        *self = new;
        dev.set_irq_type(self.rules().index());
    }

    /// Ends delivery. Nothing happens if there is none.
    fn disable(&mut self, dev: &Device) {
        match core::mem::replace(self, Self::None) {
            Self::None => return,
            Self::Intx(intx) => drop(intx),
            Self::Msi(msi) => {
                msi.disable(dev);
                // The PCI core allows the pin again when it ends MSI.
                if dev.has(Flag::Nointx) {
                    pin::set_enabled(dev.pdev(), false);
                }
            }
        }
        self.set(dev, Self::None);
    }

    /// Starts delivery by MSI or MSI-X. Returns how many vectors there are if they are too few.
    fn enable_msi(
        &mut self,
        dev: &Device,
        msix: bool,
        count: u32,
        start: u32,
        fds: Fds<'_>,
    ) -> Result<c_int> {
        let mut msi = match Msi::enable(dev, msix, count)? {
            Ok(msi) => msi,
            Err(available) => return Ok(c_int::try_from(available)?),
        };
        // The function has them on: who reads or writes its configuration space meanwhile is to see that.
        dev.set_irq_type(if msix { rules::MSIX } else { rules::MSI });
        if !msix {
            dev.set_msi_qmax(rules::msi_qmax(count));
        }
        let set = msi.set_block(dev, start, fds);
        self.set(dev, Self::Msi(msi));
        if let Err(err) = set {
            self.disable(dev);
            return Err(err);
        }
        Ok(0)
    }
}

impl Intrs {
    /// No interrupts.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            igate <- new_mutex!(Delivery::None),
        })
    }
}

/// The eventfd open as `fd`, if there is to be one.
fn eventfd(fd: Option<i32>) -> Result<Option<EventFd>> {
    fd.map(EventFd::from_fd).transpose()
}

/// Carries out a SET_IRQS, whose `data` has been fetched and is as long as `count` says.
///
/// Returns zero, or the number of vectors there are if more were asked for.
///
/// # Errors
///
/// Those of [`rules::decide`] and of what it decides to do; nothing has changed then, except that
/// vectors that were to get other eventfds have none.
pub(crate) fn set_irqs(
    dev: &Device,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    data: &[u8],
) -> Result<c_int> {
    let state = dev.state();
    let mut delivery = state.intrs.igate.lock();

    // What is not asked for need not be known.
    let has = |of, notice| index == of && dev.has_notice(notice);
    let now = rules::State {
        delivery: delivery.rules(),
        has_err: has(rules::ERR, Notice::Err),
        has_req: has(rules::REQ, Notice::Req),
    };
    match (
        explain!(
            rules::decide(&now, flags, index, start, count, data),
            "SET_IRQS {flags:#x} of {count} from {start} on of index {index}"
        )?,
        &mut *delivery,
    ) {
        (Request::Nothing, _) => {}

        (Request::IntxEnable(fd), delivery) => {
            let intx = Intx::enable(dev, eventfd(fd)?)?;
            delivery.set(dev, Delivery::Intx(intx));
        }
        (Request::IntxReplace(fd), Delivery::Intx(intx)) => intx.replace(eventfd(fd)?),
        (Request::IntxSignal, Delivery::Intx(intx)) => intx.signal(),
        (Request::IntxMask, Delivery::Intx(intx)) => {
            intx.mask();
        }
        (Request::IntxUnmask, Delivery::Intx(intx)) => intx.unmask(),
        (Request::IntxUnmaskBy(fd), Delivery::Intx(intx)) => intx.unmask_by(fd)?,

        (
            Request::MsiEnable {
                msix,
                count,
                start,
                fds,
            },
            delivery,
        ) => {
            return delivery.enable_msi(dev, msix, count, start, fds);
        }
        (Request::MsiSet { start, fds }, Delivery::Msi(msi)) => msi.set_block(dev, start, fds)?,
        (
            Request::MsiSignal {
                start,
                count,
                which,
            },
            Delivery::Msi(msi),
        ) => {
            msi.signal(start, count, which);
        }

        (Request::IntxDisable | Request::MsiDisable, delivery) => delivery.disable(dev),

        (Request::NoticeSignal(notice), _) => {
            dev.signal_notice(notice);
        }
        (Request::NoticeSet(notice, fd), _) => dev.set_notice(notice, eventfd(fd)?)?,

        // The rules do not ask for what the delivery cannot do.
        _ => return Err(EINVAL),
    }
    Ok(0)
}

/// Ends delivery: the device is being closed.
pub(crate) fn disable(dev: &Device) {
    dev.state().intrs.igate.lock().disable(dev);
}

/// Gives up the eventfds for notices: the device is closed.
pub(crate) fn close_device(dev: &Device) {
    let state = dev.state();
    let _igate = state.intrs.igate.lock();
    for notice in [Notice::Err, Notice::Req] {
        // To remove one does not fail.
        let _ = dev.set_notice(notice, None);
    }
}

/// Masks the pin: the user disabled it in the command register, or the device is about to sleep.
/// Returns whether it was in use and not masked before.
pub(crate) fn intx_mask(dev: &Device) -> bool {
    match &*dev.state().intrs.igate.lock() {
        Delivery::Intx(intx) => intx.mask(),
        // Without delivery by the pin the function still follows the command register.
        _ => {
            if dev.has(Flag::Pci23) {
                pin::set_enabled(dev.pdev(), false);
            }
            false
        }
    }
}

/// Unmasks the pin, unless the user disabled it in the command register, and signals the user again
/// if the device asserts it.
pub(crate) fn intx_unmask(dev: &Device) {
    match &*dev.state().intrs.igate.lock() {
        Delivery::Intx(intx) => intx.unmask(),
        _ => {
            if dev.has(Flag::Pci23) {
                pin::set_enabled(dev.pdev(), true);
            }
        }
    }
}
