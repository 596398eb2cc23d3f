// SPDX-License-Identifier: GPL-2.0

//! User mappings of device memory, filled in by page faults.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use core::marker::PhantomData;
use kernel::{
    bindings,
    ffi::c_uint,
    pci, //
};
use vfio_bindings as vb;

/// A mapping that user space asked for and that the driver is setting up.
#[repr(transparent)]
pub struct NewVma(bindings::vm_area_struct);

impl NewVma {
    /// Borrows a mapping from C.
    ///
    /// # Safety
    ///
    /// `vma` must be the argument of an `mmap` operation in progress, and nobody else may use it
    /// during `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *mut bindings::vm_area_struct) -> &'a mut Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &mut *vma.cast() }
    }

    /// The C structure, for calls into the kernel.
    #[inline]
    pub fn as_raw(&mut self) -> *mut bindings::vm_area_struct {
        &mut self.0
    }

    /// The length in bytes; whole pages.
    #[inline]
    pub fn len(&self) -> u64 {
        // SAFETY: The mapping is borrowed.
        let (start, end) = unsafe { range(&self.0) };
        (end - start) as u64
    }

    /// Whether the mapping has no page; the kernel makes no such mapping.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where in the file the mapping starts, in pages.
    #[inline]
    pub fn page_offset(&self) -> u64 {
        self.0.vm_pgoff as u64
    }

    /// Whether writes reach the device, as opposed to a private copy.
    #[inline]
    pub fn is_shared(&self) -> bool {
        // SAFETY: `vm_flags` is the reading view of the union; the mapping is exclusively borrowed.
        let flags = unsafe { self.0.__bindgen_anon_2.vm_flags };
        flags & bindings::VM_SHARED != 0
    }

    /// Makes this an uncached mapping of device memory that the faults of `owner` fill in.
    ///
    /// # Safety
    ///
    /// `owner` must be valid for as long as the mapping or a copy of it exists, for instance because
    /// the mapped file keeps it.
    pub unsafe fn set_faults<T: Faults>(&mut self, owner: &T) {
        self.0.vm_private_data = core::ptr::from_ref(owner).cast_mut().cast();
        self.0.vm_ops = &FaultOps::<T>::OPS;
        // SAFETY: The mapping is exclusively borrowed and not yet visible to others.
        unsafe { vb::vfio_helper_vma_set_io(&mut self.0) };
    }
}

/// Start and end address of a mapping.
///
/// # Safety
///
/// `vma` must be valid, and not change its size meanwhile.
unsafe fn range(vma: *const bindings::vm_area_struct) -> (usize, usize) {
    // SAFETY: By the contract of this function. The other member of the union is for freed mappings
    // only.
    unsafe {
        let range = &raw const (*vma).__bindgen_anon_1.__bindgen_anon_1;
        ((*range).vm_start, (*range).vm_end)
    }
}

/// Who fills in the pages of a mapping.
pub trait Faults: Sync + 'static {
    /// Handles a page fault of `2^order` pages, by [`Fault::insert_bar`] or by an error.
    ///
    /// Runs with the lock of the address space or of the mapping held: may sleep, but must not touch
    /// user memory.
    fn fault(&self, fault: Fault<'_>, order: u32) -> FaultResult;
}

/// What a fault handler answers; `VM_FAULT_*` of the kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FaultResult(bindings::vm_fault_t);

impl FaultResult {
    /// The process gets `SIGBUS`.
    pub const SIGBUS: Self = Self(bindings::vm_fault_reason_VM_FAULT_SIGBUS);
    /// Not with so many pages at once: fault again with fewer.
    pub const FALLBACK: Self = Self(bindings::vm_fault_reason_VM_FAULT_FALLBACK);

    /// The C value.
    #[inline]
    pub fn into_raw(self) -> bindings::vm_fault_t {
        self.0
    }
}

/// A page fault being handled.
///
/// # Invariants
///
/// The pointer is to the argument of a fault handler in progress, for a mapping made by
/// [`NewVma::set_faults`] or by another driver for device memory.
pub struct Fault<'a>(*mut bindings::vm_fault, PhantomData<&'a ()>);

impl Fault<'_> {
    /// Borrows a fault from C.
    ///
    /// # Safety
    ///
    /// `vmf` must be the argument of a fault handler in progress, for a mapping with `VM_PFNMAP`.
    #[inline]
    pub unsafe fn from_raw(vmf: *mut bindings::vm_fault) -> Self {
        // INVARIANT: By the contract of this function.
        Self(vmf, PhantomData)
    }

    /// The mapping. No reference, as other threads may change some of its fields meanwhile.
    fn vma(&self) -> *const bindings::vm_area_struct {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.0).__bindgen_anon_1.vma }
    }

    /// Where in the file the mapping starts, in pages.
    #[inline]
    pub fn mapping_page_offset(&self) -> u64 {
        // SAFETY: Valid by the type invariant; the field does not change while faults are handled.
        unsafe { (*self.vma()).vm_pgoff as u64 }
    }

    /// The block of `2^order` pages, aligned in the address space, around the address that faulted:
    /// how many pages it is into the mapping. `None` if not all of it is in the mapping.
    #[inline]
    pub fn block(&self, order: u32) -> Option<u64> {
        // SAFETY: Valid by the type invariant.
        let address = unsafe { (*self.0).__bindgen_anon_1.address };
        let size = kernel::page::PAGE_SIZE.checked_shl(order)?;
        // SAFETY: Valid by the type invariant.
        let (start, end) = unsafe { range(self.vma()) };
        let block = address & !(size - 1);
        if block < start || block.checked_add(size)? > end {
            return None;
        }
        Some(((block - start) >> kernel::page::PAGE_SHIFT) as u64)
    }

    /// Maps `2^order` pages of a BAR of `pdev`, from `page` of it on, where the fault is.
    ///
    /// [`FaultResult::SIGBUS`] if the BAR is not memory or does not have these pages,
    /// [`FaultResult::FALLBACK`] if they cannot be mapped at once.
    #[inline]
    pub fn insert_bar(&self, pdev: &pci::Device, bar: u32, page: u64, order: u32) -> FaultResult {
        let Some((start, len, flags)) = crate::pci::resource(pdev, bar) else {
            return FaultResult::SIGBUS;
        };
        let pages = len.div_ceil(kernel::page::PAGE_SIZE as u64);
        let count = 1u64.checked_shl(order).unwrap_or(u64::MAX);
        if flags & bindings::IORESOURCE_MEM == 0
            || page.checked_add(count).is_none_or(|end| end > pages)
        {
            return FaultResult::SIGBUS;
        }
        let pfn = (start >> kernel::page::PAGE_SHIFT) + page;
        if pfn & (count - 1) != 0 {
            return FaultResult::FALLBACK;
        }
        let Ok(pfn) = usize::try_from(pfn) else {
            return FaultResult::SIGBUS;
        };
        // SAFETY: The pages are the device's, as checked.
        unsafe { self.insert_pfn(pfn, order) }
    }

    /// Maps `2^order` page frames from `pfn` on where the fault is.
    ///
    /// # Safety
    ///
    /// User space may access these page frames as long as the mapping lasts.
    #[inline]
    pub unsafe fn insert_pfn(&self, pfn: usize, order: u32) -> FaultResult {
        if order == 0 {
            // SAFETY: The mapping is a `VM_PFNMAP` one in a fault, by the type invariant.
            return FaultResult(unsafe {
                let vmf = &(*self.0).__bindgen_anon_1;
                bindings::vmf_insert_pfn(vmf.vma, vmf.address, pfn)
            });
        }
        #[cfg(CONFIG_ARCH_SUPPORTS_PMD_PFNMAP)]
        // SAFETY: Only asks for a number.
        if order == unsafe { vb::vfio_helper_pmd_order() } {
            // SAFETY: As above; the order is that of a PMD.
            return FaultResult(unsafe { bindings::vmf_insert_pfn_pmd(self.0, pfn, false) });
        }
        #[cfg(CONFIG_ARCH_SUPPORTS_PUD_PFNMAP)]
        // SAFETY: Only asks for a number.
        if order == unsafe { vb::vfio_helper_pud_order() } {
            // SAFETY: As above; the order is that of a PUD.
            return FaultResult(unsafe { bindings::vmf_insert_pfn_pud(self.0, pfn, false) });
        }
        FaultResult::FALLBACK
    }
}

/// The C operations of a mapping whose pages `T` fills in.
struct FaultOps<T>(PhantomData<T>);

impl<T: Faults> FaultOps<T> {
    const OPS: bindings::vm_operations_struct = bindings::vm_operations_struct {
        fault: Some(Self::fault),
        #[cfg(CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP)]
        huge_fault: Some(Self::huge_fault),
        ..pin_init::zeroed()
    };

    /// Maps one page where it is touched.
    ///
    /// Called by: `__do_fault()`, as `vm_operations_struct.fault`.
    ///
    /// Context: a page fault: the VMA's or the memory map's lock held for reading; may sleep.
    ///
    /// # Safety
    ///
    /// For the kernel only, with a fault of a mapping set up with these operations.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: As the kernel calls it; a small page is order 0.
        unsafe { Self::huge_fault(vmf, 0) }
    }

    /// Maps many pages at once.
    ///
    /// Called by: `create_huge_pmd()`, `create_huge_pud()`, as `vm_operations_struct.huge_fault`.
    ///
    /// Context: a page fault: the VMA's or the memory map's lock held for reading; may sleep.
    ///
    /// # Safety
    ///
    /// For the kernel only, with a fault of a mapping set up with these operations.
    unsafe extern "C" fn huge_fault(
        vmf: *mut bindings::vm_fault,
        order: c_uint,
    ) -> bindings::vm_fault_t {
        // SAFETY: The mapping was set up by `set_faults` with a `T` that is still valid.
        let owner = unsafe { &*(*(*vmf).__bindgen_anon_1.vma).vm_private_data.cast::<T>() };
        // SAFETY: The kernel calls this with a fault of such a mapping.
        let fault = unsafe { Fault::from_raw(vmf) };
        owner.fault(fault, order).into_raw()
    }
}
