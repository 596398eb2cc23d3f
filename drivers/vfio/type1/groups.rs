// SPDX-License-Identifier: GPL-2.0

//! Groups that join and leave a container, and the domains they bring.

use crate::{
    abi,
    container::{
        Container,
        Group,
        State, //
    },
    dma::use_huge_pages,
    unmap, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfio_kapi::{
    group_kind::GroupKind,
    iommu_domain::{
        has_isolated_msi,
        reserved_regions,
        PagingDomain,
        ReservedKind,
        ReservedRegion, //
    },
    iommu_driver::DeviceList,
    iommu_group::IommuGroup,
    iommu_space::IoSpace,
    ratelimited, //
    refusal::Explain,
    refuse,
};
use vfio_logic::{
    dma::visible_page_sizes,
    iova::{
        self,
        IovaRange, //
    },
};

impl Container {
    /// A group joins; all mappings are then valid for its devices as well.
    ///
    /// # Errors
    ///
    /// `EBUSY` while the memory of a mapping is elsewhere; `EINVAL` if the group is here already, or
    /// its devices cannot use the addresses that are mapped; `EPERM` if message interrupts of its
    /// devices are not isolated and this is not allowed; `ENOMEM`; others from the IOMMU driver.
    pub(crate) fn attach(&self, group: &IommuGroup, kind: GroupKind) -> Result {
        let mut space = self.space.write();
        let mut state = self.state.lock();
        if state.vaddr_invalid != 0 {
            return Err(refuse!(
                EBUSY,
                "group {} joins: mappings wait for new addresses",
                group.id()
            ));
        }
        if state
            .groups
            .iter()
            .any(|g| g.group.as_raw() == group.as_raw())
        {
            return Err(EINVAL);
        }
        state.groups.reserve(1, GFP_KERNEL_ACCOUNT)?;

        let emulated = kind == GroupKind::Emulated;
        if !emulated {
            let usable = self.attach_domain(&mut space, &mut state, group)?;
            state.usable = usable;
            state.update_domains(&space);
        }
        // An emulated device has nothing but pinned pages to dirty.
        let group = Group {
            group: ARef::from(group),
            emulated,
            pinned_scope: emulated,
        };
        // There is room.
        let _ = state.groups.push_within_capacity(group);
        Ok(())
    }

    /// Attaches `group` to a domain of its own or one that is there, and returns what may be mapped
    /// from now on.
    fn attach_domain(
        &self,
        space: &mut IoSpace,
        state: &mut State,
        group: &IommuGroup,
    ) -> Result<KVec<IovaRange>> {
        let mut domain = PagingDomain::for_group(group)?;
        domain.attach(group)?;

        let aperture = domain.aperture();
        iova::check_aperture(&state.usable, aperture, |range| state.is_mapped(&range))
            .explain(fmt!("group {} joins", group.id()))?;

        let reserved = reserved_regions(group)?;
        let conflict = reserved
            .iter()
            .any(|r| r.kind != ReservedKind::DirectRelaxable && state.is_mapped(&r.range));
        if conflict {
            return Err(refuse!(
                EINVAL,
                "group {} joins: something is mapped where it has reserved addresses",
                group.id()
            ));
        }
        let usable = usable_ranges(space, Some(aperture), &reserved)?;

        if !abi::vfio_type1_allow_unsafe_interrupts.get() && !has_isolated_msi(group) {
            ratelimited!(pr_warn!("No interrupt remapping support.  Use the module param \"allow_unsafe_interrupts\" to enable VFIO IOMMU support on this platform\n"));
            return Err(EPERM);
        }

        // Where the IOMMU can, it is always on: KVM then need not emulate `wbinvd`.
        let coherent = domain.enforce_cache_coherency();

        for index in 0..space.domains().len() {
            let alike = space
                .domains()
                .get(index)
                .is_some_and(|d| d.same_driver(&domain) && d.is_coherent() == coherent);
            if alike {
                domain.detach(group);
                if space.attach(index, group).is_ok() {
                    return Ok(usable);
                }
                domain.attach(group)?;
            }
        }

        let msi_base = software_msi_base(&reserved);
        space.add(domain)?;
        let index = space.domains().len() - 1;
        let mut result = match msi_base {
            Some(base) => match space.set_msi_base(index, base) {
                Err(e) if e != ENODEV => Err(e),
                _ => Ok(()),
            },
            None => Ok(()),
        };
        let mut mapped = 0;
        if result.is_ok() {
            result = replay(space, state, &mut mapped);
        }
        if let Err(e) = result {
            let there = state.dmas.values().map(|dma| &dma.io).take(mapped);
            space.retire(index, there);
            return Err(e);
        }
        Ok(usable)
    }

    /// A group leaves. With the last one that has an IOMMU, what is mapped goes as well, or remains
    /// for emulated devices only.
    pub(crate) fn detach(&self, devices: &DeviceList, group: &IommuGroup) {
        let mut space = self.space.write();
        let mut state = self.state.lock();
        let found = state
            .groups
            .iter()
            .position(|g| g.group.as_raw() == group.as_raw());
        let Some(Ok(left)) = found.map(|index| state.groups.remove(index)) else {
            return;
        };

        if left.emulated {
            if state.groups.is_empty() {
                kernel::warn_on!(!devices.is_empty());
                unmap::remove_all(&space, &mut state);
            }
        } else if let Some(index) = space.detach(group) {
            if space
                .domains()
                .get(index)
                .is_some_and(|d| d.groups().is_empty())
            {
                if space.domains().len() == 1 {
                    if state.groups.is_empty() {
                        kernel::warn_on!(!devices.is_empty());
                        unmap::remove_all(&space, &mut state);
                    } else {
                        unpin_but_external(&space, &mut state);
                    }
                }
                space.retire(index, state.dmas.values().map(|dma| &dma.io));
                state.update_domains(&space);
            }
            if let Ok(usable) = state.refresh_usable(&space) {
                state.usable = usable;
            }
        }

        if !left.pinned_scope {
            state.mark_all_dirty();
        }
    }
}

impl State {
    /// Takes note of what the domains are like.
    fn update_domains(&mut self, space: &IoSpace) {
        let shift = self.page_shift();
        self.physical = !space.domains().is_empty();
        self.coherent = space.domains().iter().all(PagingDomain::is_coherent);
        let all = space
            .domains()
            .iter()
            .fold(u64::MAX, |sizes, d| sizes & d.page_sizes());
        self.page_sizes = visible_page_sizes(all, kernel::page::PAGE_SIZE as u64);
        if self.page_shift() != shift {
            self.restart_tracking();
        }
    }

    /// What may be mapped after a group has left.
    fn refresh_usable(&self, space: &IoSpace) -> Result<KVec<IovaRange>> {
        if self.usable.is_empty() {
            return Ok(KVec::new());
        }
        usable_ranges(space, None, &[])
    }
}

/// What may be mapped in the domains of `space`, and one with this aperture and these regions.
///
/// # Errors
///
/// `EINVAL` if nothing, `ENOMEM`.
fn usable_ranges(
    space: &IoSpace,
    aperture: Option<IovaRange>,
    reserved: &[ReservedRegion],
) -> Result<KVec<IovaRange>> {
    let mut all = KVec::new();
    all.extend_from_slice(reserved, GFP_KERNEL)?;
    for domain in space.domains() {
        for group in domain.groups() {
            all.extend_from_slice(&reserved_regions(group)?, GFP_KERNEL)?;
        }
    }
    let mut ranges = KVec::new();
    iova::usable(
        Iterator::chain(space.domains().iter().map(PagingDomain::aperture), aperture),
        all.iter()
            .filter(|r| r.kind != ReservedKind::DirectRelaxable)
            .map(|r| r.range),
        |range| ranges.push(range, GFP_KERNEL_ACCOUNT).map_err(Error::from),
    )?;
    Ok(ranges)
}

/// Where the kernel is to map doorbells, if the group has no real ones.
fn software_msi_base(reserved: &[ReservedRegion]) -> Option<u64> {
    if reserved.iter().any(|r| r.kind == ReservedKind::Msi) {
        return None;
    }
    reserved
        .iter()
        .rfind(|r| r.kind == ReservedKind::SoftwareMsi)
        .map(|r| r.range.start)
}

/// Maps everything in the newest domain; pins it first where only emulated devices were there.
///
/// # Errors
///
/// The first `mapped` mappings are in the newest domain, if they are in others as well; the accounting is as
/// before.
fn replay(space: &IoSpace, state: &mut State, mapped: &mut usize) -> Result {
    let huge = use_huge_pages();
    let first = space.domains().len() == 1;
    let mut result = Ok(());
    for dma in state.dmas.values_mut() {
        result = if dma.io.is_mapped() {
            space.replay(&dma.io, huge)
        } else {
            match dma.owner.mm() {
                None => Err(ENODEV),
                Some(mm) => dma.pin_all(space, &mm, huge),
            }
        };
        if result.is_err() {
            break;
        }
        *mapped += 1;
    }
    if result.is_err() && first {
        unpin_but_external(space, state);
    }
    result
}

/// Unmaps and unpins everything but what drivers have pinned, which stays accounted.
fn unpin_but_external(space: &IoSpace, state: &mut State) {
    for dma in state.dmas.values_mut() {
        space.unmap(&mut dma.io);
        dma.account_pins_only();
    }
}
