// SPDX-License-Identifier: GPL-2.0

//! What user space may ask of `VFIO_IOMMU_MAP_DMA` and `VFIO_IOMMU_UNMAP_DMA`.
//!
//! C header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::{
    errno::{
        self,
        Result, //
    },
    iova::IovaRange,
};

/// `VFIO_DMA_MAP_FLAG_READ`.
pub const MAP_READ: u32 = 1 << 0;
/// `VFIO_DMA_MAP_FLAG_WRITE`.
pub const MAP_WRITE: u32 = 1 << 1;
/// `VFIO_DMA_MAP_FLAG_VADDR`.
pub const MAP_VADDR: u32 = 1 << 2;

/// `VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP`.
pub const UNMAP_GET_DIRTY_BITMAP: u32 = 1 << 0;
/// `VFIO_DMA_UNMAP_FLAG_ALL`.
pub const UNMAP_ALL: u32 = 1 << 1;
/// `VFIO_DMA_UNMAP_FLAG_VADDR`.
pub const UNMAP_VADDR: u32 = 1 << 2;

/// Folds the IOMMU's page sizes below the CPU's into the latter: pinning cannot do less than a page.
pub const fn visible_page_sizes(pgsizes: u64, page_size: u64) -> u64 {
    let below = page_size.wrapping_sub(1);
    if pgsizes & below != 0 {
        (pgsizes & !below) | page_size
    } else {
        pgsizes
    }
}

/// The smallest size in a set of page sizes, each a bit; a set is never empty in practice.
pub const fn smallest_page(pgsizes: u64) -> u64 {
    pgsizes & pgsizes.wrapping_neg()
}

/// The binary logarithm of the smallest size in a set of page sizes. Less than the bits of a number,
/// so that any number can be shifted by it: for an empty set, as of domains without a size in common,
/// it is 63.
pub const fn page_shift(pgsizes: u64) -> u32 {
    let zeros = pgsizes.trailing_zeros();
    if zeros < u64::BITS {
        zeros
    } else {
        u64::BITS - 1
    }
}

const fn aligned(value: u64, pgsizes: u64) -> bool {
    // For an empty set the mask is all ones: nothing but zero is aligned.
    value & smallest_page(pgsizes).wrapping_sub(1) == 0
}

/// What a `VFIO_IOMMU_MAP_DMA` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRequest {
    /// The addresses of the device.
    pub range: IovaRange,
    /// The number of bytes.
    pub size: u64,
    /// The address in the process.
    pub vaddr: u64,
    /// The device may read.
    pub read: bool,
    /// The device may write.
    pub write: bool,
    /// Not a new mapping, but a new address in the process for an old one.
    pub update_vaddr: bool,
}

impl MapRequest {
    /// Checks what can be checked without knowing the container.
    ///
    /// # Errors
    ///
    /// `EINVAL` for flags that are unknown or do not go together and for an empty range, `EOVERFLOW`
    /// if a range wraps.
    #[inline]
    pub fn parse(flags: u32, vaddr: u64, iova: u64, size: u64) -> Result<Self> {
        if flags & !(MAP_READ | MAP_WRITE | MAP_VADDR) != 0 {
            return Err(errno::EINVAL.because("unknown flags"));
        }
        if size == 0 {
            return Err(errno::EINVAL.because("the size is 0"));
        }
        let range = IovaRange::new(iova, size)
            .ok_or(errno::EOVERFLOW.because("the range of device addresses wraps"))?;
        IovaRange::new(vaddr, size)
            .ok_or(errno::EOVERFLOW.because("the range of process addresses wraps"))?;
        let update_vaddr = flags & MAP_VADDR != 0;
        let access = flags & (MAP_READ | MAP_WRITE) != 0;
        if access == update_vaddr {
            return Err(errno::EINVAL.because("it needs either READ or WRITE, or VADDR"));
        }
        Ok(Self {
            range,
            size,
            vaddr,
            read: flags & MAP_READ != 0,
            write: flags & MAP_WRITE != 0,
            update_vaddr,
        })
    }

    /// Checks the alignment to the smallest page of the container.
    ///
    /// # Errors
    ///
    /// `EINVAL` if an address or the size is not a multiple.
    #[inline]
    pub fn check_alignment(&self, pgsizes: u64) -> Result {
        if aligned(self.size | self.range.start | self.vaddr, pgsizes) {
            Ok(())
        } else {
            Err(errno::EINVAL
                .because("addresses and size have to be multiples of the IOMMU's page"))
        }
    }
}

/// What kind of `VFIO_IOMMU_UNMAP_DMA` it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmapFlags {
    /// Report the dirty pages of what goes.
    pub dirty_bitmap: bool,
    /// Everything, and no range.
    pub all: bool,
    /// Keep the mappings, but forget where they are in the process.
    pub vaddr: bool,
}

impl UnmapFlags {
    /// Checks the flags.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are unknown or do not go together.
    #[inline]
    pub fn parse(flags: u32) -> Result<Self> {
        if flags & !(UNMAP_GET_DIRTY_BITMAP | UNMAP_ALL | UNMAP_VADDR) != 0 {
            return Err(errno::EINVAL.because("unknown flags"));
        }
        let parsed = Self {
            dirty_bitmap: flags & UNMAP_GET_DIRTY_BITMAP != 0,
            all: flags & UNMAP_ALL != 0,
            vaddr: flags & UNMAP_VADDR != 0,
        };
        if parsed.dirty_bitmap && (parsed.all || parsed.vaddr) {
            return Err(errno::EINVAL.because("a dirty bitmap goes with no other flag"));
        }
        Ok(parsed)
    }

    /// The range meant by `iova` and `size` in a container with these page sizes.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is empty or not aligned, or given for a request for everything; `EOVERFLOW` if
    /// it wraps.
    #[inline]
    pub fn range(&self, iova: u64, size: u64, pgsizes: u64) -> Result<IovaRange> {
        if !aligned(iova, pgsizes) {
            return Err(
                errno::EINVAL.because("the address has to be a multiple of the IOMMU's page")
            );
        }
        if self.all {
            return if iova == 0 && size == 0 {
                Ok(IovaRange::ALL)
            } else {
                Err(errno::EINVAL.because("a range is given for all"))
            };
        }
        if size == 0 || !aligned(size, pgsizes) {
            return Err(errno::EINVAL
                .because("the size has to be a multiple of the IOMMU's page, and not 0"));
        }
        IovaRange::new(iova, size).ok_or(errno::EOVERFLOW.because("the range wraps"))
    }
}

/// Whether an unmap of `range` would leave a part of `mapping`, which it overlaps.
pub const fn bisects(range: &IovaRange, mapping: &IovaRange) -> bool {
    range.overlaps(mapping) && !range.contains(mapping)
}
