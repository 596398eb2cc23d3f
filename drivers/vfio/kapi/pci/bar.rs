// SPDX-License-Identifier: GPL-2.0

//! The rest of the page that a small BAR is in, reserved so that it can be mapped.

use super::raw;
use kernel::{
    bindings,
    error::to_result,
    page::PAGE_SIZE,
    pci,
    prelude::*, //
};

/// A reservation of the addresses between the end of a BAR and the end of its page.
///
/// # Invariants
///
/// The resource is in the resource tree.
pub struct RestOfPage(KBox<bindings::resource>);

impl RestOfPage {
    /// Reserves what follows a memory BAR that starts a page and does not fill it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if this is no such BAR, `EBUSY` if part of the page is in use, `ENOMEM`.
    pub fn reserve(pdev: &pci::Device, bar: u32) -> Result<Self> {
        let page = PAGE_SIZE as u64;
        let (start, len, flags) = super::resource(pdev, bar).ok_or(EINVAL)?;
        if start % page != 0 || len == 0 || len >= page {
            return Err(EINVAL);
        }
        let mut rest = KBox::new(
            bindings::resource {
                name: c"vfio sub-page reserved".as_char_ptr(),
                start: start + len,
                end: start + (page - 1),
                flags: flags as usize,
                ..pin_init::zeroed()
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        // SAFETY: The number is that of a resource, checked by `resource`; resources of a bound device
        // stay where they are, and so do their parents, the windows of the bridges above.
        let parent = unsafe { (*raw(pdev)).resource[bar as usize].parent };
        if parent.is_null() {
            return Err(EBUSY);
        }
        // SAFETY: Both are valid; the new one is in a box and so stays where it is until it is
        // released, which `drop` does.
        to_result(unsafe { bindings::request_resource(parent, &mut *rest) })?;
        // INVARIANT: It was just requested.
        Ok(Self(rest))
    }
}

impl Drop for RestOfPage {
    fn drop(&mut self) {
        // SAFETY: It is in the resource tree by the type invariant.
        unsafe { bindings::release_resource(&mut *self.0) };
    }
}

// SAFETY: The resource tree has its own lock; the box is only touched by its owner.
unsafe impl Send for RestOfPage {}
// SAFETY: There is nothing that a shared reference allows.
unsafe impl Sync for RestOfPage {}
