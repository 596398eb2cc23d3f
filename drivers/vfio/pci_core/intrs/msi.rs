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

    /// Sets the eventfds of consecutive vectors from `start` on; those without a descriptor signal nothing any
    /// more.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a vector is not allocated and cannot be now, `EBADF` and `EINVAL` for what is not an eventfd:
    /// the vectors up to that one have no eventfd then. `ENOMEM`, or what [`Irq::request`] fails with: all have
    /// the one that they had.
    pub(super) fn set_block(&mut self, dev: &Device, start: u32, fds: Fds<'_>) -> Result {
        let mut block = KVVec::new();
        for (index, fd) in (start..).zip(fds.iter()) {
            let eventfd = self.prepare(dev, index, fd);
            match eventfd.and_then(|eventfd| Ok(block.push((index, eventfd), GFP_KERNEL_ACCOUNT)?))
            {
                Ok(()) => {}
                Err(err) if err != EBADF && err != EINVAL => return Err(err),
                Err(err) => {
                    for index in start..=index {
                        // To take one away does not fail.
                        let _ = self.exchange(dev, index, &mut None);
                    }
                    return Err(err);
                }
            }
        }
        for i in 0..block.len() {
            let (done, left) = block.split_at_mut(i);
            let Some((index, eventfd)) = left.first_mut() else {
                break;
            };
            self.exchange(dev, *index, eventfd).inspect_err(|_| {
                for (index, eventfd) in done {
                    let _ = self.exchange(dev, *index, eventfd);
                }
            })?;
        }
        Ok(())
    }

    /// Gets what a vector needs to signal the eventfd `fd`, as far as nothing of it shows.
    fn prepare(
        &mut self,
        dev: &Device,
        index: u32,
        fd: Option<i32>,
    ) -> Result<Option<Arc<EventFd>>> {
        let Some(fd) = fd else {
            return Ok(None);
        };
        let slot = usize::try_from(index)?;
        if self.active.get(slot).is_none_or(Option::is_none) {
            self.line(dev, index)?;
        }
        while self.active.len() <= slot {
            self.active.push(None, GFP_KERNEL_ACCOUNT)?;
        }
        let eventfd = EventFd::from_fd(fd)?;
        Ok(Some(Arc::new(eventfd, GFP_KERNEL_ACCOUNT)?))
    }

    /// Makes a vector signal `eventfd` only, or nothing; what it has signalled before is there then instead.
    ///
    /// # Errors
    ///
    /// What [`Irq::request`] fails with; nothing has changed then.
    fn exchange(&mut self, dev: &Device, index: u32, eventfd: &mut Option<Arc<EventFd>>) -> Result {
        let slot = usize::try_from(index)?;
        let before = self.active.get_mut(slot).and_then(Option::take);
        let (now, result) = match (before, eventfd.take()) {
            (None, None) => (None, Ok(())),
            (None, Some(new)) => (Some(self.activate(dev, index, new)?), Ok(())),
            (Some(before), None) => {
                *eventfd = Some(before.eventfd.clone());
                let irq = before.into_irq();
                let _memory = memory::memory_lock_and_enable(dev);
                drop(irq);
                (None, Ok(()))
            }
            (Some(mut active), Some(new)) => {
                let result = self.redirect(dev, index, &mut active, new, eventfd);
                (Some(active), result)
            }
        };
        if let Some(place) = self.active.get_mut(slot) {
            *place = now;
        }
        result
    }

    /// Makes a vector signal an eventfd, which signals nothing yet.
    fn activate(&self, dev: &Device, index: u32, eventfd: Arc<EventFd>) -> Result<Active> {
        let line = self.vectors.line(index)?;
        let irq = self.request(dev, index, line.clone(), eventfd.clone())?;
        Ok(Active {
            bypass: producer(dev, index, &eventfd, line),
            irq,
            eventfd,
        })
    }

    /// Makes a vector signal another eventfd.
    fn redirect(
        &self,
        dev: &Device,
        index: u32,
        active: &mut Active,
        new: Arc<EventFd>,
        old: &mut Option<Arc<EventFd>>,
    ) -> Result {
        active.bypass = None;
        let result = {
            let _memory = memory::memory_lock_and_enable(dev);
            let refresh = || {
                // It does not fail, as the vector is allocated.
                let _ = self.refresh(index);
            };
            let handler = OnInterrupt(new.clone());
            active.irq.as_mut().exchange(handler, refresh)
        };
        if result.is_ok() {
            *old = Some(core::mem::replace(&mut active.eventfd, new));
        }
        active.bypass = producer(dev, index, &active.eventfd, active.irq.line().clone());
        result
    }

    /// Writes the message of a vector once more: it may have been allocated long ago, and the device been reset
    /// by ways that nobody here knows of. Its memory has to be enabled.
    fn refresh(&self, index: u32) -> Result {
        if self.is_msix() {
            self.vectors.rewrite_message(index)?;
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
        self.refresh(index)?;
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

/// Offers the interrupt of a vector to KVM. That it is not taken up costs speed only.
fn producer(dev: &Device, index: u32, eventfd: &Arc<EventFd>, line: Line) -> Option<Producer> {
    Producer::register(eventfd.clone(), line)
        .inspect_err(|err| {
            dev_info!(
                dev.pdev(),
                "irq bypass producer (vector {index}) registration fails: {}\n",
                err.to_errno()
            );
        })
        .ok()
}
