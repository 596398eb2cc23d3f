// SPDX-License-Identifier: GPL-2.0

//! The emulated configuration space as C drivers see it.
//!
//! `struct vfio_pci_core_device` has two pointers, `vconfig` and `pci_config_map`, to an array of a
//! byte for each byte of configuration space. A driver may fill in some of both while it opens a
//! device: the IGD code of `vfio-pci.ko` does.
//!
//! C header: [`include/linux/vfio_pci_core.h`](srctree/include/linux/vfio_pci_core.h)

use crate::pci_core_device::PciCoreDevice;
use core::{
    pin::Pin,
    sync::atomic::{
        AtomicPtr,
        AtomicU8,
        Ordering, //
    }, //
};
use kernel::{
    bindings,
    prelude::*, //
};

/// The largest configuration space: that of PCI Express.
const SIZE: usize = bindings::PCI_CFG_SPACE_EXP_SIZE as usize;

type Bytes = KBox<[AtomicU8; SIZE]>;

/// The two arrays.
///
/// Made once per device, so that who has a reference to the device may access them at any time; that
/// of conventional PCI leaves most of them unused.
pub struct ConfigShadow {
    data: Bytes,
    owners: Bytes,
}

impl ConfigShadow {
    /// Makes arrays of zeros.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        let zeros = || -> Result<Bytes> {
            let bytes = KBox::<[AtomicU8; SIZE]>::new_uninit(GFP_KERNEL | __GFP_ZERO)?;
            // SAFETY: The memory is zeroed, which is a valid value of each byte.
            Ok(unsafe { bytes.assume_init() })
        };
        Ok(Self {
            data: zeros()?,
            owners: zeros()?,
        })
    }

    /// `vconfig`: what the emulation stores at each position.
    #[inline]
    pub fn data(&self) -> &[AtomicU8; SIZE] {
        &self.data
    }

    /// `pci_config_map`: the ID of the capability that each position belongs to.
    #[inline]
    pub fn owners(&self) -> &[AtomicU8; SIZE] {
        &self.owners
    }
}

/// State of a device that has a [`ConfigShadow`].
///
/// By its signature the method can only return one that lives as long as the state: one that the
/// state owns and does not part with.
pub trait HasConfigShadow {
    /// The shadow; always the same.
    fn config_shadow(self: Pin<&Self>) -> &ConfigShadow;
}

impl<S: HasConfigShadow> PciCoreDevice<S> {
    /// Shows the shadow to C drivers. Until [`Self::retract_config_shadow`] they may write to it, as if
    /// by relaxed atomic stores.
    pub fn publish_config_shadow(&self) {
        let shadow = self.state().config_shadow();
        self.set_shadow_pointers(
            core::ptr::from_ref(shadow.data()).cast_mut().cast(),
            core::ptr::from_ref(shadow.owners()).cast_mut().cast(),
        );
    }

    /// Hides the shadow from C drivers.
    pub fn retract_config_shadow(&self) {
        self.set_shadow_pointers(core::ptr::null_mut(), core::ptr::null_mut());
    }

    /// The pointers must be null, or to arrays of [`AtomicU8`] as large as configuration space that
    /// live as long as the state.
    fn set_shadow_pointers(&self, data: *mut u8, owners: *mut u8) {
        let raw = self.as_raw();
        // SAFETY: The C structure is valid by the type invariant. Only these two functions write to the
        // fields, and others read them between the opening and the closing of the device only, so
        // that an atomic store meets no other kind of write.
        unsafe {
            AtomicPtr::from_ptr(&raw mut (*raw).vconfig).store(data, Ordering::Relaxed);
            AtomicPtr::from_ptr(&raw mut (*raw).pci_config_map).store(owners, Ordering::Relaxed);
        }
    }
}
