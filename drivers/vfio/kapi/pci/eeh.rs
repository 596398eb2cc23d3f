// SPDX-License-Identifier: GPL-2.0

//! Functions whose errors are handled by who they are passed through to, on POWER.
//!
//! C header: [`arch/powerpc/include/asm/eeh.h`](srctree/arch/powerpc/include/asm/eeh.h)

use super::raw;
use kernel::{
    error::to_result,
    pci,
    prelude::*,
    sync::aref::ARef, //
};
use vfio_bindings as vb;

/// A function whose partitionable endpoint the host leaves alone when it errs, until dropped.
///
/// # Invariants
///
/// The endpoint counts this function as passed through, once for this.
pub struct PassedThrough(ARef<pci::Device>);

impl PassedThrough {
    /// Takes the endpoint of a function from the host. May sleep, and resets an endpoint that has erred.
    ///
    /// # Errors
    ///
    /// `ENODEV` if errors are not handled for the function; that of bringing back what has erred.
    pub fn new(pdev: &pci::Device) -> Result<Self> {
        // SAFETY: The device is valid.
        to_result(unsafe { vb::eeh_dev_open(raw(pdev)) })?;
        // INVARIANT: Counted just now.
        Ok(Self(pdev.into()))
    }
}

impl Drop for PassedThrough {
    fn drop(&mut self) {
        // SAFETY: The device is valid, and counted by the invariant.
        unsafe { vb::eeh_dev_release(raw(&self.0)) };
    }
}
