// SPDX-License-Identifier: GPL-2.0

//! Eventfds of a device that C drivers may look at, or signal: of errors, of requests for the device, and
//! of who wakes it up.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h),
//! `struct vfio_pci_eventfd`

use super::PciCoreDevice;
use crate::{
    eventfd::EventFd,
    versions::synchronize_rcu, //
};
use core::{
    ptr::{
        null_mut,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        Ordering::{
            AcqRel,
            Acquire,
            Relaxed, //
        }, //
    }, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::rcu, //
};
use vfio_bindings as vb;
use vfio_logic::irq::Notice;

impl<S> PciCoreDevice<S> {
    /// Where the eventfd of a notice is. The pointer is null or owns what it points to, and the reference
    /// in that; both are given up no earlier than an RCU grace period after it changed.
    fn notice(&self, which: Notice) -> &AtomicPtr<vb::vfio_pci_eventfd> {
        let raw = self.as_raw();
        // SAFETY: The structure is valid as long as `self`. Here the fields are only accessed as atomic
        // pointers; C drivers only read them, under RCU.
        unsafe {
            AtomicPtr::from_ptr(match which {
                Notice::Err => &raw mut (*raw).err_trigger,
                Notice::Req => &raw mut (*raw).req_trigger,
            })
        }
    }

    /// Signals the eventfd of a notice, if there is one; returns whether there was. May be called in any
    /// context, but not under the lock of a wait queue.
    pub fn signal_notice(&self, which: Notice) -> bool {
        let _rcu = rcu::read_lock();
        let Some(eventfd) = NonNull::new(self.notice(which).load(Acquire)) else {
            return false;
        };
        // SAFETY: It lives at least until the end of the RCU section, and owns a reference.
        unsafe { bindings::eventfd_signal_mask((*eventfd.as_ptr()).ctx, 0) };
        true
    }

    /// Whether there is an eventfd for a notice right now.
    pub fn has_notice(&self, which: Notice) -> bool {
        !self.notice(which).load(Relaxed).is_null()
    }

    /// Sets the eventfd of a notice. Each signal reaches either the old or the new.
    ///
    /// May sleep: waits for an RCU grace period if there is one to give up.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the old one stays then.
    pub fn set_notice(&self, which: Notice, eventfd: Option<EventFd>) -> Result {
        let new = match eventfd {
            None => null_mut(),
            Some(eventfd) => {
                let room = KBox::<vb::vfio_pci_eventfd>::new_uninit(GFP_KERNEL_ACCOUNT)?;
                KBox::into_raw(room.write(vb::vfio_pci_eventfd {
                    ctx: eventfd.into_raw(),
                    rcu: bindings::callback_head::default(),
                }))
            }
        };
        let old = self.notice(which).swap(new, AcqRel);
        if old.is_null() {
            return Ok(());
        }
        synchronize_rcu();
        // SAFETY: The pointer owned it, and a grace period has passed.
        let old = unsafe { KBox::from_raw(old) };
        if let Some(ctx) = NonNull::new(old.ctx) {
            // SAFETY: It owned the reference.
            drop(unsafe { EventFd::from_raw(ctx) });
        }
        Ok(())
    }

    /// Gives up all of them. May sleep.
    pub(super) fn drop_eventfds(&self) {
        for notice in [Notice::Err, Notice::Req] {
            // To remove one does not fail.
            let _ = self.set_notice(notice, None);
        }
        drop(self.replace_wakeup(None));
    }

    /// Puts `eventfd` in the place of the one that is told of who wakes the device up, which is returned.
    pub fn replace_wakeup(&self, eventfd: Option<EventFd>) -> Option<EventFd> {
        // SAFETY: The structure is valid. Here the field is only accessed as an atomic pointer; C drivers
        // only read it.
        let place = unsafe { AtomicPtr::from_ptr(&raw mut (*self.as_raw()).pm_wake_eventfd_ctx) };
        let old = place.swap(eventfd.map_or(null_mut(), EventFd::into_raw), AcqRel);
        // SAFETY: The place owned the reference.
        NonNull::new(old).map(|ctx| unsafe { EventFd::from_raw(ctx) })
    }
}
