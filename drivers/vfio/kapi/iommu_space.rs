// SPDX-License-Identifier: GPL-2.0

//! I/O address spaces: pages of processes, pinned and mapped for devices.
//!
//! The rule that makes this safe lives here: pages are unpinned only after no device can reach them
//! any more. An [`IoSpace`] owns its domains, and a domain leaves it only to be destroyed; an
//! [`IoMapping`] owns the pins of its pages and gives them back only after [`IoSpace::unmap`] or
//! [`IoSpace::unmap_each`] took the translations out of every domain of the space. What the IOMMU does
//! not unmap stays pinned.

use crate::{
    iommu_domain::{
        PagingDomain,
        UnmapGather, //
    },
    iommu_group::IommuGroup,
    pin, //
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::{
    page::PAGE_SHIFT,
    prelude::*, //
};

mod fill;
mod mapping;
mod unmap;

pub use mapping::IoMapping;

/// Domains that translate alike.
pub struct IoSpace {
    id: u64,
    domains: KVec<PagingDomain>,
    spare: fill::Spare,
}

impl IoSpace {
    /// A space without domains.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Numbers are not used twice: 64 bits do not run out.
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            domains: KVec::new(),
            spare: fill::Spare::new(),
        }
    }

    /// The domains, oldest first.
    #[inline]
    pub fn domains(&self) -> &[PagingDomain] {
        &self.domains
    }

    /// Adds `domain`, in which nothing is mapped yet; see [`Self::replay`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the domain is destroyed then.
    pub fn add(&mut self, domain: PagingDomain) -> Result {
        Ok(self.domains.push(domain, GFP_KERNEL_ACCOUNT)?)
    }

    /// Takes the translations of `mappings`, which are to be all that are in it, out of a domain and destroys
    /// it. No device uses its translations afterwards. The mappings stay in other domains.
    pub fn retire<'m>(&mut self, index: usize, mappings: impl Iterator<Item = &'m IoMapping>) {
        // If there is such a domain.
        let Ok(domain) = self.domains.remove(index) else {
            return;
        };
        let mut mappings = mappings
            .filter(|mapping| mapping.space == self.id)
            .peekable();
        // Without any there is nothing to be flushed.
        if mappings.peek().is_none() {
            return;
        }
        UnmapGather::with(&domain, |gather| {
            for mapping in mappings {
                gather.unmap(mapping.iova(), mapping.done << PAGE_SHIFT);
                pin::cond_resched();
            }
        });
    }

    /// As [`PagingDomain::attach`], for a domain of this space.
    pub fn attach(&mut self, index: usize, group: &IommuGroup) -> Result {
        self.domains.get_mut(index).ok_or(EINVAL)?.attach(group)
    }

    /// Detaches `group` from the domain it is attached to, and tells which one that is.
    pub fn detach(&mut self, group: &IommuGroup) -> Option<usize> {
        self.domains
            .iter_mut()
            .position(|domain| domain.detach(group))
    }

    /// As [`PagingDomain::set_msi_base`], for a domain of this space.
    pub fn set_msi_base(&mut self, index: usize, base: u64) -> Result {
        self.domains
            .get_mut(index)
            .ok_or(EINVAL)?
            .set_msi_base(base)
    }
}

impl Default for IoSpace {
    fn default() -> Self {
        Self::new()
    }
}
