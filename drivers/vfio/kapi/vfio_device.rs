// SPDX-License-Identifier: GPL-2.0

//! A VFIO device as C drivers, the core and IOMMU backends share it.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device`

use kernel::{
    bindings,
    device::Device,
    types::Opaque, //
};
use vfio_bindings as vb;

/// A device registered, or to be registered, with VFIO; `struct vfio_device` of the kernel.
///
/// Allocated by `_vfio_alloc_device()` of `vfio.ko` and embedded at the start of each driver's own
/// structure. What each side may do with it is in the `impl` blocks of the files that need it.
///
/// # Invariants
///
/// Instances are valid for as long as references to them, and `dev` and `ops` do not change.
#[repr(transparent)]
pub struct VfioDevice(Opaque<vb::vfio_device>);

impl VfioDevice {
    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an initialized device that stays allocated for `'a`.
    #[inline]
    pub unsafe fn from_raw<'a>(ptr: *mut vb::vfio_device) -> &'a Self {
        // SAFETY: By the contract of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast() }
    }

    /// The C device, for calls into the kernel.
    #[inline]
    pub fn as_raw(&self) -> *mut vb::vfio_device {
        self.0.get()
    }

    /// The device that the bus driver is bound to, such as a PCI function.
    #[inline]
    pub fn parent(&self) -> &Device {
        // SAFETY: `dev` is set once, by `_vfio_alloc_device()`, to a device that outlives this one
        // (it is its parent in the device model).
        unsafe { Device::from_raw((*self.as_raw()).dev) }
    }

    /// Removes what user space has mapped of the range `start..start + len` of the device's files,
    /// private copies included. The next access faults. May sleep.
    pub fn unmap_range(&self, start: u64, len: u64) {
        // SAFETY: `inode` is set by `_vfio_alloc_device()` and lives as long as the device; so does
        // its mapping. Any range will do: it is only compared with those of mappings.
        unsafe {
            bindings::unmap_mapping_range(
                (*(*self.as_raw()).inode).i_mapping,
                start as bindings::loff_t,
                len as bindings::loff_t,
                1,
            )
        };
    }
}

// SAFETY: The fields are protected as the C header says; the methods here keep to it.
unsafe impl Send for VfioDevice {}
// SAFETY: As above.
unsafe impl Sync for VfioDevice {}
