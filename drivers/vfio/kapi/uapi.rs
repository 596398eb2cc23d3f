// SPDX-License-Identifier: GPL-2.0

//! The structures that user space and VFIO exchange.
//!
//! They are the kernel's own, from
//! [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h); here they only become
//! readable from and writable to user memory.

use crate::uaccess::UapiArgsz;
use pin_init::Zeroable;

/// A structure that can be copied from and to user memory as bytes.
///
/// # Safety
///
/// The type has no padding, so that a copy to user space tells nothing of the kernel's stack; it
/// has no interior mutability; and all bit patterns are valid for it.
pub unsafe trait Uapi: Zeroable {
    /// The structure as bytes.
    #[inline]
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: `self` is valid for reads, and all its bytes are initialized as there is no padding.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), size_of_val(self)) }
    }

    /// The structure as bytes to be overwritten.
    #[inline]
    fn as_bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: As in `as_bytes`; whatever is written leaves a valid value, as all bit patterns are.
        unsafe {
            core::slice::from_raw_parts_mut(core::ptr::from_mut(self).cast(), size_of_val(self))
        }
    }
}

macro_rules! uapi {
    ($($name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {$(
        pub use vfio_bindings::$name;

        // No padding: the fields are as large as the structure.
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*);
        // The types are those of the header.
        const _: () = {
            const fn check(v: &$name) {
                $(let _: &$ty = &v.$field;)*
            }
            let _ = check;
        };

        // SAFETY: A plain structure of integers: the fields are listed and their types and the
        // absence of padding are checked above.
        unsafe impl Uapi for $name {}
    )*};
}

macro_rules! uapi_argsz {
    ($($name:ident),* $(,)?) => {$(
        impl UapiArgsz for $name {
            #[inline]
            fn argsz(&self) -> u32 {
                self.argsz
            }
        }
    )*};
}

// Each user of a structure lists it here; the build fails if a field is missing or differs.
uapi! {
    vfio_group_status { argsz: u32, flags: u32 }
    vfio_device_info { argsz: u32, flags: u32, num_regions: u32, num_irqs: u32, cap_offset: u32, pad: u32 }
    vfio_region_info { argsz: u32, flags: u32, index: u32, cap_offset: u32, size: u64, offset: u64 }
    vfio_irq_info { argsz: u32, flags: u32, index: u32, count: u32 }
    vfio_info_cap_header { id: u16, version: u16, next: u32 }
    vfio_device_info_cap_pci_atomic_comp { header: vfio_info_cap_header, flags: u32, reserved: u32 }
    vfio_device_ioeventfd { argsz: u32, flags: u32, offset: u64, data: u64, fd: i32, reserved: u32 }
    vfio_device_low_power_entry_with_wakeup { wakeup_eventfd: i32, reserved: u32 }
    vfio_region_info_cap_type { header: vfio_info_cap_header, type_: u32, subtype: u32 }
    vfio_iommu_type1_info { argsz: u32, flags: u32, iova_pgsizes: u64, cap_offset: u32, pad: u32 }
    vfio_iommu_type1_dma_map { argsz: u32, flags: u32, vaddr: u64, iova: u64, size: u64 }
    vfio_bitmap { pgsize: u64, size: u64, data: *mut u64 }
}

uapi_argsz! {
    vfio_group_status,
    vfio_device_info,
    vfio_region_info,
    vfio_irq_info,
    vfio_device_ioeventfd,
    vfio_iommu_type1_info,
    vfio_iommu_type1_dma_map,
}
