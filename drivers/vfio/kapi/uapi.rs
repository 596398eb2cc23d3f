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

        // SAFETY: A plain structure of integers and addresses in user space: the fields are listed,
        // and their types and the absence of padding are checked above.
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
    vfio_device_attach_iommufd_pt { argsz: u32, flags: u32, pt_id: u32, pasid: u32 }
    vfio_device_bind_iommufd { argsz: u32, flags: u32, iommufd: i32, out_devid: u32, token_uuid_ptr: u64 }
    vfio_device_detach_iommufd_pt { argsz: u32, flags: u32, pasid: u32 }
    vfio_device_info { argsz: u32, flags: u32, num_regions: u32, num_irqs: u32, cap_offset: u32, pad: u32 }
    vfio_region_info { argsz: u32, flags: u32, index: u32, cap_offset: u32, size: u64, offset: u64 }
    vfio_irq_info { argsz: u32, flags: u32, index: u32, count: u32 }
    vfio_device_feature_dma_logging_control { page_size: u64, num_ranges: u32, __reserved: u32, ranges: u64 }
    vfio_device_feature_dma_logging_range { iova: u64, length: u64 }
    vfio_device_feature_dma_logging_report { iova: u64, length: u64, page_size: u64, bitmap: u64 }
    vfio_device_feature_mig_data_size { stop_copy_length: u64 }
    vfio_device_feature_mig_state { device_state: u32, data_fd: i32 }
    vfio_device_feature_migration { flags: u64 }
    vfio_info_cap_header { id: u16, version: u16, next: u32 }
    vfio_device_info_cap_pci_atomic_comp { header: vfio_info_cap_header, flags: u32, reserved: u32 }
    vfio_device_ioeventfd { argsz: u32, flags: u32, offset: u64, data: u64, fd: i32, reserved: u32 }
    vfio_device_low_power_entry_with_wakeup { wakeup_eventfd: i32, reserved: u32 }
    vfio_region_info_cap_type { header: vfio_info_cap_header, type_: u32, subtype: u32 }
    vfio_iommu_type1_info { argsz: u32, flags: u32, iova_pgsizes: u64, cap_offset: u32, pad: u32 }
    vfio_iommu_type1_dma_map { argsz: u32, flags: u32, vaddr: u64, iova: u64, size: u64 }
    vfio_bitmap { pgsize: u64, size: u64, data: *mut u64 }
    vfio_eeh_pe_err { type_: u32, func: u32, addr: u64, mask: u64 }
    vfio_iommu_spapr_tce_ddw_info { pgsizes: u64, max_dynamic_windows_supported: u32, levels: u32 }
    vfio_iommu_spapr_tce_info { argsz: u32, flags: u32, dma32_window_start: u32, dma32_window_size: u32, ddw: vfio_iommu_spapr_tce_ddw_info }
    vfio_iommu_spapr_register_memory { argsz: u32, flags: u32, vaddr: u64, size: u64 }
    vfio_iommu_spapr_tce_create { argsz: u32, flags: u32, page_shift: u32, __resv1: u32, window_size: u64, levels: u32, __resv2: u32, start_addr: u64 }
    vfio_iommu_spapr_tce_remove { argsz: u32, flags: u32, start_addr: u64 }
    vfio_iommu_type1_dirty_bitmap_get { iova: u64, size: u64, bitmap: vfio_bitmap }
}

/// What `struct vfio_device_feature` starts with; the feature's data follows.
#[repr(C)]
#[derive(Zeroable)]
pub struct DeviceFeature {
    /// The size of header and data, in bytes.
    pub argsz: u32,
    /// The number of the feature, and what to do.
    pub flags: u32,
}

const _: () =
    assert!(size_of::<DeviceFeature>() == size_of::<vfio_bindings::vfio_device_feature>());

// SAFETY: Two integers of 4 bytes, without padding.
unsafe impl Uapi for DeviceFeature {}

/// What `struct vfio_eeh_pe_op` starts with; for one operation a `struct vfio_eeh_pe_err` follows.
#[repr(C)]
#[derive(Zeroable)]
pub struct EehHead {
    /// The size of both, in bytes.
    pub argsz: u32,
    /// None so far.
    pub flags: u32,
    /// What to do.
    pub op: u32,
}

const _: () = assert!(core::mem::offset_of!(vfio_bindings::vfio_eeh_pe_op, op) == 8);

// SAFETY: Three integers of 4 bytes, without padding.
unsafe impl Uapi for EehHead {}

/// Where the `struct vfio_eeh_pe_err` of a `struct vfio_eeh_pe_op` is, in bytes from its start.
pub const EEH_ERR_OFFSET: usize =
    size_of::<vfio_bindings::vfio_eeh_pe_op>() - size_of::<vfio_eeh_pe_err>();

uapi_argsz! {
    DeviceFeature,
    EehHead,
    vfio_group_status,
    vfio_device_attach_iommufd_pt,
    vfio_device_bind_iommufd,
    vfio_device_detach_iommufd_pt,
    vfio_device_info,
    vfio_region_info,
    vfio_irq_info,
    vfio_device_ioeventfd,
    vfio_iommu_spapr_register_memory,
    vfio_iommu_spapr_tce_create,
    vfio_iommu_spapr_tce_info,
    vfio_iommu_spapr_tce_remove,
    vfio_iommu_type1_info,
    vfio_iommu_type1_dma_map,
    DmaUnmap,
    DirtyBitmap,
}

macro_rules! uapi_head {
    ($($(#[$doc:meta])* $name:ident of $c:ident { $($field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Zeroable)]
        pub struct $name {
            $(
                #[doc = concat!("The field `", stringify!($field), "`.")]
                pub $field: $ty,
            )*
        }

        // No padding, and where the header has them.
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*);
        const _: () = assert!(size_of::<$name>() == size_of::<vfio_bindings::$c>());
        $(const _: () = assert!(
            core::mem::offset_of!($name, $field) == core::mem::offset_of!(vfio_bindings::$c, $field)
        );)*

        // SAFETY: A plain structure of integers without padding.
        unsafe impl Uapi for $name {}
    )*};
}

// The bindings of a structure that ends in an array of any length cannot be told to be plain; these
// are what comes before it.
uapi_head! {
    /// `struct vfio_iommu_type1_dma_unmap`.
    DmaUnmap of vfio_iommu_type1_dma_unmap { argsz: u32, flags: u32, iova: u64, size: u64 }
    /// `struct vfio_device_feature_dma_buf`; the ranges follow.
    DmaBufHead of vfio_device_feature_dma_buf { region_index: u32, open_flags: u32, flags: u32, nr_ranges: u32 }
    /// `struct vfio_iommu_type1_dirty_bitmap`.
    DirtyBitmap of vfio_iommu_type1_dirty_bitmap { argsz: u32, flags: u32 }
}

pub use vfio_bindings::vfio_region_dma_range;

/// The constants of the header, by their names there.
pub use vfio_bindings::{
    VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
    VFIO_TYPE1v2_IOMMU,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
    VFIO_DEVICE_FEATURE_MIGRATION,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
    VFIO_DEVICE_FLAGS_CAPS,
    VFIO_DEVICE_FLAGS_PCI,
    VFIO_DEVICE_FLAGS_RESET,
    VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP,
    VFIO_DEVICE_IOEVENTFD_SIZE_MASK,
    VFIO_DMA_CC_IOMMU,
    VFIO_EEH,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_START,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
    VFIO_IOMMU_INFO_CAPS,
    VFIO_IOMMU_INFO_PGSIZES,
    VFIO_IOMMU_SPAPR_INFO_DDW,
    VFIO_NOIOMMU_IOMMU,
    VFIO_PCI_HOT_RESET_FLAG_DEV_ID,
    VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED,
    VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
    VFIO_REGION_INFO_CAP_TYPE,
    VFIO_REGION_INFO_FLAG_CAPS,
    VFIO_REGION_INFO_FLAG_MMAP,
    VFIO_REGION_INFO_FLAG_READ,
    VFIO_REGION_INFO_FLAG_WRITE,
    VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG,
    VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG,
    VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
    VFIO_REGION_TYPE_PCI_VENDOR_TYPE,
    VFIO_TYPE1_IOMMU,
    VFIO_UNMAP_ALL,
    VFIO_UPDATE_VADDR, //
};

macro_rules! same_as_header {
    ($($module:ident { $($rule:ident: $c:ident),* $(,)? })*) => {$(
        $(const _: () = assert!(vfio_logic::$module::$rule as u64 == vfio_bindings::$c as u64);)*
    )*};
}

// `vfio_logic` sees no header of the kernel, so it has constants of its own.
same_as_header! {
    dma {
        MAP_READ: VFIO_DMA_MAP_FLAG_READ,
        MAP_WRITE: VFIO_DMA_MAP_FLAG_WRITE,
        MAP_VADDR: VFIO_DMA_MAP_FLAG_VADDR,
        UNMAP_GET_DIRTY_BITMAP: VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
        UNMAP_ALL: VFIO_DMA_UNMAP_FLAG_ALL,
        UNMAP_VADDR: VFIO_DMA_UNMAP_FLAG_VADDR,
    }
    feature {
        INDEX_MASK: VFIO_DEVICE_FEATURE_MASK,
        GET: VFIO_DEVICE_FEATURE_GET,
        SET: VFIO_DEVICE_FEATURE_SET,
        PROBE: VFIO_DEVICE_FEATURE_PROBE,
    }
    iommufd {
        BIND_TOKEN: VFIO_DEVICE_BIND_FLAG_TOKEN,
        ATTACH_PASID: VFIO_DEVICE_ATTACH_PASID,
        DETACH_PASID: VFIO_DEVICE_DETACH_PASID,
    }
    irq {
        DATA_NONE: VFIO_IRQ_SET_DATA_NONE,
        DATA_BOOL: VFIO_IRQ_SET_DATA_BOOL,
        DATA_EVENTFD: VFIO_IRQ_SET_DATA_EVENTFD,
        ACTION_MASK: VFIO_IRQ_SET_ACTION_MASK,
        ACTION_UNMASK: VFIO_IRQ_SET_ACTION_UNMASK,
        ACTION_TRIGGER: VFIO_IRQ_SET_ACTION_TRIGGER,
        INTX: VFIO_PCI_INTX_IRQ_INDEX,
        MSI: VFIO_PCI_MSI_IRQ_INDEX,
        MSIX: VFIO_PCI_MSIX_IRQ_INDEX,
        ERR: VFIO_PCI_ERR_IRQ_INDEX,
        REQ: VFIO_PCI_REQ_IRQ_INDEX,
        NUM: VFIO_PCI_NUM_IRQS,
    }
    irq_set {
        DATA_TYPE_MASK: VFIO_IRQ_SET_DATA_TYPE_MASK,
        ACTION_TYPE_MASK: VFIO_IRQ_SET_ACTION_TYPE_MASK,
    }
    migration {
        STOP_COPY: VFIO_MIGRATION_STOP_COPY,
        P2P: VFIO_MIGRATION_P2P,
        PRE_COPY: VFIO_MIGRATION_PRE_COPY,
    }
    pci {
        IRQ_EVENTFD: VFIO_IRQ_INFO_EVENTFD,
        IRQ_MASKABLE: VFIO_IRQ_INFO_MASKABLE,
        IRQ_AUTOMASKED: VFIO_IRQ_INFO_AUTOMASKED,
        IRQ_NORESIZE: VFIO_IRQ_INFO_NORESIZE,
    }
    tce {
        V1: VFIO_SPAPR_TCE_IOMMU,
        V2: VFIO_SPAPR_TCE_v2_IOMMU,
    }
    region {
        BAR0: VFIO_PCI_BAR0_REGION_INDEX,
        BAR5: VFIO_PCI_BAR5_REGION_INDEX,
        ROM: VFIO_PCI_ROM_REGION_INDEX,
        CONFIG: VFIO_PCI_CONFIG_REGION_INDEX,
        VGA: VFIO_PCI_VGA_REGION_INDEX,
        NUM_REGIONS: VFIO_PCI_NUM_REGIONS,
        OFFSET_SHIFT: VFIO_PCI_OFFSET_SHIFT,
    }
}

/// `VFIO_CHECK_EXTENSION`.
pub const CHECK_EXTENSION: u32 = ioctl(1);

/// The number of the VFIO ioctl `VFIO_BASE + offset`. None has a size encoded.
#[inline]
pub const fn ioctl(offset: u32) -> u32 {
    kernel::ioctl::_IO(
        vfio_bindings::VFIO_TYPE as u32,
        vfio_bindings::VFIO_BASE + offset,
    )
}
