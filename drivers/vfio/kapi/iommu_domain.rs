// SPDX-License-Identifier: GPL-2.0

//! I/O page tables, and the groups of devices that translate through them.
//!
//! C header: [`include/linux/iommu.h`](srctree/include/linux/iommu.h)

use crate::{
    iommu_group::IommuGroup,
    pin, //
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_void,
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef,
};
use vfio_bindings as vb;
use vfio_logic::iova::IovaRange;

/// Why addresses are reserved in a group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ReservedKind {
    /// Firmware wants them mapped one to one, but nobody minds if they are not.
    DirectRelaxable,
    /// The doorbell of message interrupts, not translated.
    Msi,
    /// Where the kernel may map the doorbell of message interrupts.
    SoftwareMsi,
    /// Any other reason.
    Other,
}

/// Addresses that the devices of a group cannot use for DMA.
#[derive(Clone, Copy)]
pub struct ReservedRegion {
    /// The addresses.
    pub range: IovaRange,
    /// The reason.
    pub kind: ReservedKind,
}

/// The reserved regions of the devices of `group`, in no order. Empty ones are left out.
///
/// # Errors
///
/// `ENOMEM`, and what the IOMMU driver returns.
pub fn reserved_regions(group: &IommuGroup) -> Result<KVec<ReservedRegion>> {
    let mut head = bindings::list_head::default();
    let head_ptr = &raw mut head;
    // SAFETY: The pointer is valid.
    unsafe {
        (*head_ptr).next = head_ptr;
        (*head_ptr).prev = head_ptr;
    }

    // SAFETY: The group is valid, and the list head is initialized and stays in place.
    let ret = unsafe { bindings::iommu_get_group_resv_regions(group.as_raw(), head_ptr) };

    let mut regions = KVec::new();
    let mut result = to_result(ret);
    // SAFETY: `head_ptr` is valid.
    let mut pos = unsafe { (*head_ptr).next };
    while pos != head_ptr {
        // SAFETY: Every entry but the head is embedded in a region as its field `list`.
        let region = unsafe { kernel::container_of!(pos, bindings::iommu_resv_region, list) };
        // SAFETY: The function handed the list over to us, and nothing was freed yet.
        let (start, length, kind, next) = unsafe {
            (
                (*region).start,
                (*region).length,
                (*region).type_,
                (*pos).next,
            )
        };
        if result.is_ok() {
            if let Some(range) = IovaRange::new(start, length as u64) {
                let kind = match kind {
                    bindings::iommu_resv_type_IOMMU_RESV_DIRECT_RELAXABLE => {
                        ReservedKind::DirectRelaxable
                    }
                    bindings::iommu_resv_type_IOMMU_RESV_MSI => ReservedKind::Msi,
                    bindings::iommu_resv_type_IOMMU_RESV_SW_MSI => ReservedKind::SoftwareMsi,
                    _ => ReservedKind::Other,
                };
                result = regions
                    .push(ReservedRegion { range, kind }, GFP_KERNEL)
                    .map_err(Error::from);
            }
        }
        // SAFETY: The entries are `kmalloc`ed copies that belong to us; this one is not used again.
        unsafe { bindings::kfree(region.cast()) };
        pos = next;
    }
    result.map(|()| regions)
}

/// Whether message interrupts of the devices of `group` cannot reach where they should not.
pub fn has_isolated_msi(group: &IommuGroup) -> bool {
    // SAFETY: The group is valid.
    unsafe { bindings::iommu_group_has_isolated_msi(group.as_raw()) }
}

/// How much is mapped or unmapped in one go, unless there are larger pages.
const STEP: u64 = 1 << 30;

/// I/O page tables that belong to us, and the groups attached to them.
///
/// Dropping it detaches the groups, which ends all its translations.
///
/// # Invariants
///
/// The pointer is to a paging domain that this owns. Exactly `groups` are attached to it.
pub struct PagingDomain {
    raw: NonNull<bindings::iommu_domain>,
    groups: KVec<ARef<IommuGroup>>,
    coherent: bool,
}

// SAFETY: A domain is not tied to a thread.
unsafe impl Send for PagingDomain {}
// SAFETY: Mapping and unmapping of ranges that do not overlap may run at the same time, as they do
// for the kernel's own DMA API; attaching and detaching take `&mut self`.
unsafe impl Sync for PagingDomain {}

impl PagingDomain {
    /// A new, empty domain that suits the first device of `group`. The group is not attached.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is no device in the group; `ENOMEM`, `EOPNOTSUPP` and others from the IOMMU
    /// driver.
    pub fn for_group(group: &IommuGroup) -> Result<Self> {
        /// Allocates a domain for the device and stops the iteration.
        ///
        /// Called by: `iommu_group_for_each_dev()`, as the argument of
        /// `iommu_group_for_each_dev()`.
        ///
        /// Context: the caller of `iommu_group_for_each_dev()`, here; may sleep.
        ///
        /// # Safety
        ///
        /// `dev` must be a valid device and `data` point to a `*mut iommu_domain`.
        unsafe extern "C" fn allocate(
            dev: *mut bindings::device,
            data: *mut c_void,
        ) -> kernel::ffi::c_int {
            // SAFETY: By the contract of this function.
            unsafe {
                *data.cast::<*mut bindings::iommu_domain>() =
                    bindings::iommu_paging_domain_alloc_flags(dev, 0)
            };
            1
        }

        let mut raw: *mut bindings::iommu_domain = core::ptr::null_mut();
        // SAFETY: The group is valid; `allocate` gets its devices and the pointer to `raw`.
        unsafe {
            bindings::iommu_group_for_each_dev(
                group.as_raw(),
                (&raw mut raw).cast(),
                Some(allocate),
            )
        };
        let raw = NonNull::new(from_err_ptr(raw)?).ok_or(ENODEV)?;
        // INVARIANT: Just allocated, for us, and nothing is attached.
        Ok(Self {
            raw,
            groups: KVec::new(),
            coherent: false,
        })
    }

    /// Attaches all devices of `group`, whose DMA ownership must have been claimed by the caller.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the domain does not suit a device, `EBUSY` if the group is in use otherwise,
    /// `ENOMEM`, and others from the IOMMU driver.
    pub fn attach(&mut self, group: &IommuGroup) -> Result {
        self.groups.reserve(1, GFP_KERNEL_ACCOUNT)?;
        // SAFETY: Domain and group are valid.
        to_result(unsafe { bindings::iommu_attach_group(self.as_raw(), group.as_raw()) })?;
        // INVARIANT: The group is attached and in the list. There is room for it.
        if self.groups.push_within_capacity(ARef::from(group)).is_err() {
            // SAFETY: It was attached above.
            unsafe { bindings::iommu_detach_group(self.as_raw(), group.as_raw()) };
            return Err(ENOMEM);
        }
        Ok(())
    }

    /// Detaches the devices of `group` if they are attached; tells whether they were.
    pub fn detach(&mut self, group: &IommuGroup) -> bool {
        let Some(index) = self
            .groups
            .iter()
            .position(|g| g.as_raw() == group.as_raw())
        else {
            return false;
        };
        // SAFETY: By the invariant the group is attached to this domain.
        unsafe { bindings::iommu_detach_group(self.as_raw(), group.as_raw()) };
        // INVARIANT: No longer attached, so no longer in the list. The index is in range.
        let _ = self.groups.remove(index);
        true
    }

    /// The groups attached.
    #[inline]
    pub fn groups(&self) -> &[ARef<IommuGroup>] {
        &self.groups
    }

    /// The addresses that can be translated at all.
    pub fn aperture(&self) -> IovaRange {
        // SAFETY: The domain is valid, and its geometry does not change.
        let geometry = unsafe { &(*self.as_raw()).geometry };
        IovaRange {
            start: geometry.aperture_start,
            last: geometry.aperture_end,
        }
    }

    /// The sizes of the pages that the tables can hold, each a bit.
    #[inline]
    pub fn page_sizes(&self) -> u64 {
        // SAFETY: The domain is valid, and the bitmap does not change.
        unsafe { (*self.as_raw()).pgsize_bitmap as u64 }
    }

    /// Makes the devices obey cache coherency even where they ask not to (PCIe no-snoop); tells
    /// whether the IOMMU can do that. Must be called before anything is mapped.
    pub fn enforce_cache_coherency(&mut self) -> bool {
        // SAFETY: The domain is valid, and so are the operations of its driver.
        self.coherent = unsafe {
            match (*(*self.as_raw()).ops).enforce_cache_coherency {
                Some(enforce) => enforce(self.as_raw()),
                None => false,
            }
        };
        self.coherent
    }

    /// Whether cache coherency is enforced.
    #[inline]
    pub fn is_coherent(&self) -> bool {
        self.coherent
    }

    /// Whether the same IOMMU driver handles both.
    pub fn same_driver(&self, other: &PagingDomain) -> bool {
        // SAFETY: Both are valid, and the operations of a domain do not change.
        unsafe { (*self.as_raw()).ops == (*other.as_raw()).ops }
    }

    /// Lets the kernel map the doorbells of message interrupts from `base` on.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the kernel does not do so here, `ENOMEM`, `EBUSY` if it was told before.
    pub fn set_msi_base(&mut self, base: u64) -> Result {
        #[cfg(CONFIG_IOMMU_DMA)]
        // SAFETY: The domain is valid, and is not used for DMA by the kernel.
        return to_result(unsafe { bindings::iommu_get_msi_cookie(self.as_raw(), base) });
        #[cfg(not(CONFIG_IOMMU_DMA))]
        {
            let _ = base;
            Err(ENODEV)
        }
    }

    /// The C domain, for calls into the kernel.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::iommu_domain {
        self.raw.as_ptr()
    }

    /// How many of the `bytes` bytes from `iova` on may be mapped or unmapped before somebody else gets the
    /// processor. The end is that of a page, whatever pages there are.
    #[inline]
    pub(crate) fn step(&self, iova: u64, bytes: u64) -> u64 {
        if bytes <= STEP {
            return bytes;
        }
        let largest = 1 << self.page_sizes().checked_ilog2().unwrap_or(0);
        let step = STEP.max(largest);
        bytes.min(step - (iova & (step - 1)))
    }

    /// Removes all translations of `bytes` bytes from `iova` on; returns how many bytes from the
    /// start are now without translation. Less than asked for only if there was a hole, or if the IOMMU
    /// driver fails. May sleep.
    #[inline]
    pub(crate) fn unmap(&self, iova: u64, bytes: u64) -> u64 {
        self.unmap_by(iova, bytes, |iova, bytes| {
            // SAFETY: The domain is valid.
            unsafe { bindings::iommu_unmap(self.as_raw(), iova, bytes) }
        })
    }

    /// Calls `unmap`, which may do less than it is told to, or more where there is a large page, until all
    /// `bytes` bytes from `iova` on are unmapped or it does nothing; returns how many are.
    #[inline]
    fn unmap_by(&self, iova: u64, bytes: u64, mut unmap: impl FnMut(usize, usize) -> usize) -> u64 {
        let mut done = 0;
        while done < bytes {
            let at = iova + done;
            let gone = unmap(at as usize, self.step(at, bytes - done) as usize);
            if gone == 0 {
                break;
            }
            done = done.saturating_add(gone as u64);
            if done < bytes {
                pin::cond_resched();
            }
        }
        done.min(bytes)
    }

    /// Where `iova` translates to; zero if nowhere, or to address zero.
    pub(crate) fn translate(&self, iova: u64) -> u64 {
        // SAFETY: The domain is valid.
        unsafe { bindings::iommu_iova_to_phys(self.as_raw(), iova) }
    }
}

impl Drop for PagingDomain {
    fn drop(&mut self) {
        for group in &self.groups {
            // SAFETY: By the invariant the group is attached to this domain.
            unsafe { bindings::iommu_detach_group(self.as_raw(), group.as_raw()) };
        }
        // SAFETY: The domain is ours, and nothing is attached to it any more.
        unsafe { bindings::iommu_domain_free(self.as_raw()) };
    }
}

/// Collects what is to be flushed from IOMMU caches after unmapping, to do it once.
///
/// # Invariants
///
/// What was unmapped with it from a domain other than `domain` has been flushed.
pub(crate) struct UnmapGather<'a> {
    domain: &'a PagingDomain,
    raw: bindings::iommu_iotlb_gather,
}

impl<'a> UnmapGather<'a> {
    /// Nothing to be flushed in `domain` yet.
    pub(crate) fn with<R>(domain: &'a PagingDomain, f: impl FnOnce(&mut Self) -> R) -> R {
        let mut gather = Self {
            domain,
            raw: bindings::iommu_iotlb_gather::default(),
        };
        // SAFETY: `raw` is valid for writes. The list in it refers to itself; `gather` is not moved
        // before the last `sync`, as it is only lent out.
        unsafe { vb::vfio_helper_iommu_iotlb_gather_init(&raw mut gather.raw) };
        let result = f(&mut gather);
        gather.sync();
        result
    }

    /// As [`PagingDomain::unmap`], but devices may use the old translations until [`Self::sync`].
    #[inline]
    pub(crate) fn unmap(&mut self, iova: u64, bytes: u64) -> u64 {
        let domain = self.domain;
        domain.unmap_by(iova, bytes, |iova, bytes| {
            // SAFETY: The domain is valid and `raw` initialized.
            unsafe { bindings::iommu_unmap_fast(domain.as_raw(), iova, bytes, &raw mut self.raw) }
        })
    }

    /// Does it for the pages numbered from `first` on up to `end`; tells whether all had translations.
    #[inline]
    pub(crate) fn unmap_pages(&mut self, first: u64, end: u64) -> bool {
        let bytes = (end - first) << PAGE_SHIFT;
        self.unmap(first << PAGE_SHIFT, bytes) == bytes
    }

    /// Flushes. Afterwards no device uses what was unmapped.
    pub(crate) fn sync(&mut self) {
        // SAFETY: The domain is valid and `raw` belongs to it.
        unsafe { vb::vfio_helper_iommu_iotlb_sync(self.domain.as_raw(), &raw mut self.raw) };
    }
}
