// SPDX-License-Identifier: GPL-2.0

//! The capability chain that a driver appends to an INFO structure.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_info_cap`

use core::{
    alloc::Layout,
    ptr::NonNull, //
};
use kernel::{
    alloc::{
        allocator::Kmalloc,
        Allocator,
        NumaNode, //
    },
    error::to_result,
    prelude::*, //
};
use vfio_bindings as vb;
use vfio_logic::info_cap as rules;

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

// What `vfio.ko` does with chains.
impl InfoCaps {
    /// The bytes of the chain.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match NonNull::new(self.0.buf) {
            // SAFETY: By the type invariant, the buffer holds `size` bytes.
            Some(buf) => unsafe {
                core::slice::from_raw_parts_mut(buf.as_ptr().cast(), self.0.size)
            },
            None => &mut [],
        }
    }

    /// Appends a capability of `size` bytes, header included, that is zero but for its header.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the chain is then empty.
    pub fn append(&mut self, size: usize, id: u16, version: u16) -> Result<&mut [u8]> {
        let old = self.0.size;
        let new = rules::padded(size)
            .and_then(|size| old.checked_add(size))
            .and_then(|size| Layout::array::<u8>(size).ok());
        let Some((new, buf)) = new.and_then(|new| Some((new, self.realloc(new)?))) else {
            self.clear();
            return Err(ENOMEM);
        };
        // INVARIANT: Reallocated to the new size.
        self.0.buf = buf.as_ptr().cast();
        self.0.size = new.size();
        // SAFETY: The part behind the old bytes is ours and not initialized yet.
        unsafe { buf.as_ptr().add(old).write_bytes(0, new.size() - old) };

        let chain = self.bytes_mut();
        rules::link(chain, old, id, version);
        Ok(chain.get_mut(old..).unwrap_or_default())
    }

    fn realloc(&mut self, new: Layout) -> Option<NonNull<u8>> {
        let old = Layout::array::<u8>(self.0.size).ok()?;
        // SAFETY: By the type invariant the buffer is null or was made by `kmalloc` for `size` bytes.
        let buf = unsafe {
            Kmalloc::realloc(
                NonNull::new(self.0.buf.cast()),
                new,
                old,
                GFP_KERNEL,
                NumaNode::NO_NODE,
            )
        };
        buf.ok().map(NonNull::cast)
    }

    /// Makes the chain's links count from `offset` bytes before its start.
    pub fn shift(&mut self, offset: usize) {
        rules::shift(self.bytes_mut(), offset);
    }

    fn clear(&mut self) {
        // SAFETY: By the type invariant the buffer is null or `kmalloc`ed.
        unsafe { kernel::bindings::kfree(self.0.buf.cast()) };
        // INVARIANT: Empty.
        self.0 = vb::vfio_info_cap {
            buf: core::ptr::null_mut(),
            size: 0,
        };
    }
}

/// A chain that frees its memory when dropped.
pub struct OwnedInfoCaps(InfoCaps);

impl OwnedInfoCaps {
    /// An empty chain.
    #[inline]
    pub fn new() -> Self {
        Self(InfoCaps(vb::vfio_info_cap {
            buf: core::ptr::null_mut(),
            size: 0,
        }))
    }

    /// The chain.
    #[inline]
    pub fn get_mut(&mut self) -> &mut InfoCaps {
        &mut self.0
    }
}

impl Default for OwnedInfoCaps {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for OwnedInfoCaps {
    #[inline]
    fn drop(&mut self) {
        if !self.0 .0.buf.is_null() {
            self.0.clear();
        }
    }
}
