// SPDX-License-Identifier: GPL-2.0

//! The capability chain that a driver appends to an INFO structure.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_info_cap`

use kernel::{
    error::to_result,
    prelude::*, //
};
use vfio_bindings as vb;

/// A capability that starts with a [`vfio_info_cap_header`](vb::vfio_info_cap_header).
///
/// # Safety
///
/// The type must be `repr(C)`, begin with a `vfio_info_cap_header` and have no padding.
pub unsafe trait InfoCapability {}

// SAFETY: The C structures start with a header and have no padding.
unsafe impl InfoCapability for vb::vfio_info_cap_header {}
// SAFETY: As above.
unsafe impl InfoCapability for vb::vfio_region_info_cap_type {}

/// A chain under construction, lent by whoever fills in the INFO structure.
///
/// # Invariants
///
/// Instances are valid C chains: `buf` is null or `kmalloc`ed and holds `size` bytes.
#[repr(transparent)]
pub struct InfoCaps(vb::vfio_info_cap);

impl InfoCaps {
    /// Borrows a chain from C.
    ///
    /// # Safety
    ///
    /// `caps` must point to a valid chain that nobody else uses during `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(caps: *mut vb::vfio_info_cap) -> &'a mut Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &mut *caps.cast() }
    }

    /// The C chain, for calls into drivers.
    #[inline]
    pub fn as_raw(&mut self) -> *mut vb::vfio_info_cap {
        &mut self.0
    }

    /// The number of bytes in the chain.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.size
    }

    /// Whether there is no capability in the chain.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a copy of `cap`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the chain is then empty.
    #[inline]
    pub fn add<T: InfoCapability>(&mut self, cap: &mut T) -> Result {
        // SAFETY: The chain is valid by the type invariant, and `cap` starts with a header and is as
        // large as said, by the contract of `InfoCapability`. Nothing in it is kept.
        to_result(unsafe {
            vb::vfio_info_add_capability(
                &mut self.0,
                core::ptr::from_mut(cap).cast(),
                size_of::<T>(),
            )
        })
    }
}
