// SPDX-License-Identifier: GPL-2.0

//! Delivery by MSI and MSI-X.
//!
//! Vectors stay allocated until the end of delivery: another use of one then cannot fail for lack of
//! resources. Everything that writes to the function's MSI-X table happens with its memory enabled.

use crate::{
    memory,
    state::Device, //
};
use kernel::{
    irq::IrqReturn,
    prelude::*,
    sync::Arc, //
};
use vfio_kapi::{
    eventfd::EventFd,
    irq::{
        Handler,
        Irq,
        Line,
        Sharing, //
    },
    irqbypass::Producer,
    pci::msi::{
        Kind,
        Vectors, //
    }, //
};
use vfio_logic::irq::{
    Fds,
    Which, //
};

/// What is installed on a vector.
struct OnInterrupt(Arc<EventFd>);

impl Handler for OnInterrupt {
    fn handle(&self) -> IrqReturn {
        self.0.signal();
        IrqReturn::Handled
    }
}

/// A vector that signals an eventfd.
struct Active {
    // Dropped in this order: KVM stops using the interrupt before there is none.
    bypass: Option<Producer>,
    irq: Pin<KBox<Irq<OnInterrupt>>>,
    eventfd: Arc<EventFd>,
}

impl Active {
    /// Withdraws the interrupt from KVM; what is left is to be dropped with the memory enabled.
    fn into_irq(self) -> Pin<KBox<Irq<OnInterrupt>>> {
        drop(self.bypass);
        self.irq
    }
}

/// Delivery by MSI or MSI-X. Must be ended by [`Self::disable`].
pub(super) struct Msi {
    active: KVVec<Option<Active>>,
    vectors: Vectors,
}

impl Msi {
    /// Allocates `count` vectors.
    ///
    /// # Errors
    ///
    /// Those of [`Vectors::alloc`]; in the inner one, how many vectors there are if there are fewer.
    pub(super) fn enable(
        dev: &Device,
        msix: bool,
        count: u32,
    ) -> Result<core::result::Result<Self, u32>> {
        let kind = if msix { Kind::MsiX } else { Kind::Msi };
        let _memory = memory::memory_lock_and_enable(dev);
        let vectors = Vectors::alloc(dev.pdev(), count, kind)?;
        if vectors.count() < count {
            return Ok(Err(vectors.count()));
        }
        Ok(Ok(Self {
            active: KVVec::new(),
            vectors,
        }))
    }

    /// Whether this is MSI-X.
    pub(super) fn is_msix(&self) -> bool {
        self.vectors.kind() == Kind::MsiX
    }

    /// Sets the eventfds of consecutive vectors from `start` on.
    ///
    /// # Errors
    ///
    /// Those of [`Self::set_vector`]; all these vectors have no eventfd then.
    pub(super) fn set_block(&mut self, dev: &Device, start: u32, fds: Fds<'_>) -> Result {
        for (index, fd) in (start..).zip(fds.iter()) {
            if let Err(err) = self.set_vector(dev, index, fd) {
                for index in start..=index {
                    self.clear_vector(dev, index);
                }
                return Err(err);
            }
        }
        Ok(())
    }

    /// Makes a vector signal the eventfd `fd` only, or nothing.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the vector is not allocated and cannot be now, `EBADF` and `EINVAL` for what is
    /// not an eventfd, `ENOMEM`, or what [`Irq::request`] fails with. The vector has no eventfd then.
    fn set_vector(&mut self, dev: &Device, index: u32, fd: Option<i32>) -> Result {
        self.clear_vector(dev, index);
        let Some(fd) = fd else {
            return Ok(());
        };

        let line = self.line(dev, index)?;
        let slot = self.slot(index)?;
        let eventfd = Arc::new(EventFd::from_fd(fd)?, GFP_KERNEL_ACCOUNT)?;
        let irq = self.request(dev, index, line.clone(), eventfd.clone())?;
        let bypass = match Producer::register(eventfd.clone(), line) {
            Ok(producer) => Some(producer),
            Err(err) => {
                dev_info!(
                    dev.pdev(),
                    "irq bypass producer (vector {index}) registration fails: {}\n",
                    err.to_errno()
                );
                None
            }
        };
        if let Some(slot) = self.active.get_mut(slot) {
            *slot = Some(Active {
                bypass,
                irq,
                eventfd,
            });
        }
        Ok(())
    }

    /// Installs the handler of a vector.
    fn request(
        &self,
        dev: &Device,
        index: u32,
        line: Line,
        eventfd: Arc<EventFd>,
    ) -> Result<Pin<KBox<Irq<OnInterrupt>>>> {
        let _memory = memory::memory_lock_and_enable(dev);
        let x = if self.is_msix() { "x" } else { "" };
        if self.is_msix() {
            // The vector may have been allocated long ago, and the device been reset by ways that
            // nobody here knows of.
            self.vectors.rewrite_message(index)?;
        }
        Irq::request(
            line,
            Sharing::Exclusive,
            fmt!(
                "vfio-msi{x}[{index}]({})",
                dev.vfio().parent().name().to_str()?
            ),
            OnInterrupt(eventfd),
        )
    }

    /// The interrupt of a vector, which is allocated if that is possible now.
    fn line(&self, dev: &Device, index: u32) -> Result<Line> {
        match self.vectors.line(index) {
            Err(_) if self.vectors.can_alloc_at() => {
                let _memory = memory::memory_lock_and_enable(dev);
                self.vectors.alloc_at(index)
            }
            line => line,
        }
    }

    /// Makes room to note that a vector is active; returns its place.
    fn slot(&mut self, index: u32) -> Result<usize> {
        let slot = usize::try_from(index)?;
        while self.active.len() <= slot {
            self.active.push(None, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(slot)
    }

    /// Makes a vector signal nothing.
    fn clear_vector(&mut self, dev: &Device, index: u32) {
        let slot = usize::try_from(index)
            .ok()
            .and_then(|i| self.active.get_mut(i));
        if let Some(active) = slot.and_then(Option::take) {
            let irq = active.into_irq();
            let _memory = memory::memory_lock_and_enable(dev);
            drop(irq);
        }
    }

    /// Signals the eventfds of some vectors as an interrupt does.
    pub(super) fn signal(&self, start: u32, count: u32, which: Which<'_>) {
        let Ok(start) = usize::try_from(start) else {
            return;
        };
        let vectors = self.active.get(start..).unwrap_or(&[]);
        for (i, active) in (0..count).zip(vectors) {
            if let (Some(active), true) = (active, which.contains(i)) {
                active.eventfd.signal();
            }
        }
    }

    /// Ends delivery.
    pub(super) fn disable(mut self, dev: &Device) {
        for active in self.active.iter_mut().flatten() {
            active.bypass = None;
        }
        let _memory = memory::memory_lock_and_enable(dev);
        drop(self);
    }
}
