// SPDX-License-Identifier: GPL-2.0

//! Message signalled interrupts of a PCI function.
//!
//! C headers: [`include/linux/pci.h`](srctree/include/linux/pci.h),
//! [`include/linux/msi.h`](srctree/include/linux/msi.h)

use super::raw;
use crate::irq::Line;
use kernel::{
    bindings,
    error::to_result,
    pci,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};
use vfio_bindings as vb;

/// Which capability the vectors are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MSI: up to 32 vectors in the configuration space.
    Msi,
    /// MSI-X: up to 2048 vectors in a table in the memory of the function.
    MsiX,
}

/// What has to be freed again.
///
/// # Invariants
///
/// The vectors are allocated, and there is only one such object for a function at a time (the PCI
/// core does not allocate when there are some).
pub(crate) struct Allocation(ARef<pci::Device>);

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: The function is valid, and by the type invariant has vectors. Handlers keep their
        // line, and so this; there are none.
        unsafe { bindings::pci_free_irq_vectors(raw(&self.0)) };
    }
}

/// The vectors of a function, all of one kind. Freed when this and all of their [`Line`]s are dropped.
pub struct Vectors {
    allocation: Arc<Allocation>,
    kind: Kind,
    len: u32,
}

impl Vectors {
    /// Allocates `count` vectors, or as many as there are. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is none, `ERANGE` if `count` is zero, and what else
    /// `pci_alloc_irq_vectors()` fails with.
    pub fn alloc(pdev: &pci::Device, count: u32, kind: Kind) -> Result<Self> {
        let flag = match kind {
            Kind::Msi => bindings::PCI_IRQ_MSI,
            Kind::MsiX => bindings::PCI_IRQ_MSIX,
        };
        // SAFETY: The function is valid.
        let ret = unsafe { bindings::pci_alloc_irq_vectors(raw(pdev), 1, count, flag) };
        to_result(ret)?;
        // INVARIANT: Just allocated.
        let allocation = Allocation(pdev.into());
        Ok(Self {
            allocation: Arc::new(allocation, GFP_KERNEL_ACCOUNT)?,
            kind,
            len: u32::try_from(ret)?,
        })
    }

    fn pdev(&self) -> &pci::Device {
        &self.allocation.0
    }

    /// The kind.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many there are; those of [`Self::alloc_at`] are not counted.
    #[inline]
    pub fn count(&self) -> u32 {
        self.len
    }

    /// The interrupt of a vector.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not allocated.
    pub fn line(&self, index: u32) -> Result<Line> {
        // SAFETY: The function is valid.
        let irq = unsafe { bindings::pci_irq_vector(raw(self.pdev()), index) };
        to_result(irq)?;
        match u32::try_from(irq) {
            Ok(irq) if irq > 0 => Ok(Line::of(&self.allocation, irq)),
            _ => Err(EINVAL),
        }
    }

    /// Whether [`Self::alloc_at`] can work.
    pub fn can_alloc_at(&self) -> bool {
        // SAFETY: The function is valid.
        self.kind == Kind::MsiX && unsafe { bindings::pci_msix_can_alloc_dyn(raw(self.pdev())) }
    }

    /// Allocates one more vector. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `pci_msix_alloc_irq_at()`.
    pub fn alloc_at(&self, index: u32) -> Result<Line> {
        // SAFETY: The function is valid, and has vectors.
        let map =
            unsafe { bindings::pci_msix_alloc_irq_at(raw(self.pdev()), index, core::ptr::null()) };
        to_result(map.index)?;
        Ok(Line::of(&self.allocation, u32::try_from(map.virq)?))
    }

    /// Writes the message of a vector to the function again, in case it lost it.
    ///
    /// The memory of the function must be enabled for MSI-X.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the vector is not allocated.
    pub fn rewrite_message(&self, index: u32) -> Result {
        let line = self.line(index)?;
        // The kernel crate's type of this name has no fields, and so no room for them.
        const _: () = assert!(size_of::<vb::msi_msg>() >= 12);
        let mut msg = pin_init::zeroed::<vb::msi_msg>();
        // SAFETY: The interrupt is that of a vector, which stays allocated for as long as `self`.
        unsafe { vb::get_cached_msi_msg(line.get(), &mut msg) };
        // SAFETY: As above.
        unsafe { vb::pci_write_msi_msg(line.get(), &mut msg) };
        Ok(())
    }
}
