// SPDX-License-Identifier: GPL-2.0

//! Interrupts that hardware can deliver into a virtual machine without the host taking part.
//!
//! C header: [`include/linux/irqbypass.h`](srctree/include/linux/irqbypass.h)

use crate::{
    eventfd::EventFd,
    irq::Line, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::Arc,
    types::Opaque, //
};
use vfio_bindings as vb;

/// An interrupt offered to whoever consumes the same eventfd (KVM's irqfd); withdrawn when dropped.
///
/// # Invariants
///
/// `producer` is registered, with `eventfd` as its token.
pub struct Producer {
    producer: Pin<KBox<Opaque<vb::irq_bypass_producer>>>,
    // The token must not become that of another eventfd while it is registered.
    _eventfd: Arc<EventFd>,
    // Nor the interrupt become another one.
    _line: Line,
}

impl Producer {
    /// Offers `line`, which signals `eventfd` for as long as nobody takes the offer.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is an interrupt with this eventfd; `ENOMEM`; or what the consumer refused
    /// with.
    #[inline]
    pub fn register(eventfd: Arc<EventFd>, line: Line) -> Result<Self> {
        let producer = KBox::pin_init(
            Opaque::ffi_init(|slot: *mut vb::irq_bypass_producer| {
                // SAFETY: The slot is valid for writes.
                unsafe { slot.write(Default::default()) };
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let irq = c_int::try_from(line.get())?;
        // SAFETY: The producer is zeroed but for what the function sets, without callbacks, and
        // stays where it is until `drop`.
        to_result(unsafe {
            vb::irq_bypass_register_producer(producer.get(), eventfd.as_raw(), irq)
        })?;
        // INVARIANT: Just registered.
        Ok(Self {
            producer,
            _eventfd: eventfd,
            _line: line,
        })
    }
}

impl Drop for Producer {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant it is registered.
        unsafe { vb::irq_bypass_unregister_producer(self.producer.get()) };
    }
}

// SAFETY: The manager of producers has its own lock; there is nothing else to the structure.
unsafe impl Send for Producer {}
// SAFETY: As above.
unsafe impl Sync for Producer {}
