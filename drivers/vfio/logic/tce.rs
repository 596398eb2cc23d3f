// SPDX-License-Identifier: GPL-2.0

//! DMA windows of POWER: tables of translation control entries (TCEs), one for each page of the IOMMU.
//!
//! C headers: [`arch/powerpc/include/asm/iommu.h`](srctree/arch/powerpc/include/asm/iommu.h),
//! [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h)

use crate::{
    dma::{
        MAP_READ,
        MAP_WRITE, //
    },
    errno::{
        self,
        Errno,
        Result, //
    },
};

/// `VFIO_SPAPR_TCE_IOMMU`: locked memory is accounted by the window, once.
pub const V1: u64 = 2;
/// `VFIO_SPAPR_TCE_v2_IOMMU`: memory is registered before it is mapped, and windows are made on demand.
pub const V2: u64 = 7;

/// The binary logarithm of the pages of the window that is there without being asked for.
pub const DEFAULT_PAGE_SHIFT: u32 = 12;

/// Where a window is, and what its table looks like.
///
/// # Invariants
///
/// All entries have I/O addresses below 2^64, and there is at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    page_shift: u32,
    first: u64,
    entries: u64,
    level_entries: u64,
}

/// Entries of a table: `count` of them from `first` on, counted from the start of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// The first entry.
    pub first: u64,
    /// How many there are; may be none.
    pub count: u64,
}

impl Entries {
    /// The entry after the last. All are in a table, so this is a number.
    pub const fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

impl Window {
    /// A window of `entries` pages of `1 << page_shift` bytes, the first of which is page number `first` of
    /// the bus. If the table has several levels, each part of the lowest one has `level_entries`; else this
    /// is zero.
    ///
    /// `None` if there can be no such window.
    pub fn new(page_shift: u32, first: u64, entries: u64, level_entries: u64) -> Option<Self> {
        let last = first.checked_add(entries.checked_sub(1)?)?;
        if page_shift >= u64::BITS || last > u64::MAX >> page_shift {
            return None;
        }
        if level_entries != 0 && !level_entries.is_power_of_two() {
            return None;
        }
        Some(Self {
            page_shift,
            first,
            entries,
            level_entries,
        })
    }

    /// The binary logarithm of the size of its pages.
    pub const fn page_shift(&self) -> u32 {
        self.page_shift
    }

    /// The size of its pages, in bytes.
    pub const fn page_size(&self) -> u64 {
        1 << self.page_shift
    }

    /// Its first I/O address.
    pub const fn start(&self) -> u64 {
        self.first << self.page_shift
    }

    /// Its last I/O address.
    pub const fn last(&self) -> u64 {
        ((self.first + (self.entries - 1)) << self.page_shift) | (self.page_size() - 1)
    }

    /// The number of its pages.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// All of them.
    pub const fn all(&self) -> Entries {
        Entries {
            first: 0,
            count: self.entries,
        }
    }

    /// The number of the bus for the page that is `index` of the table.
    pub const fn bus_page(&self, index: u64) -> Option<u64> {
        if index < self.entries {
            Some(self.first + index)
        } else {
            None
        }
    }

    /// Whether an I/O address is in the window.
    pub const fn contains(&self, iova: u64) -> bool {
        let page = iova >> self.page_shift;
        page >= self.first && page - self.first < self.entries
    }

    /// Whether a number of bytes, or an address, is a multiple of the page.
    pub const fn is_aligned(&self, value: u64) -> bool {
        value & (self.page_size() - 1) == 0
    }

    /// The entries for `size` bytes from `iova` on.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are not whole pages, or not all in the window.
    pub fn range(&self, iova: u64, size: u64) -> Result<Entries> {
        if !self.is_aligned(size) {
            return Err(errno::EINVAL.because("the size is no multiple of the window's page"));
        }
        if !self.is_aligned(iova) {
            return Err(errno::EINVAL.because("the address is no multiple of the window's page"));
        }
        let page = iova >> self.page_shift;
        let count = size >> self.page_shift;
        match page.checked_sub(self.first) {
            Some(first) if first <= self.entries && count <= self.entries - first => {
                Ok(Entries { first, count })
            }
            _ => Err(errno::EINVAL.because("it reaches beyond the window")),
        }
    }

    /// The first entry behind the part of the lowest level that `index` is in: where to go on if there is
    /// no such part.
    pub const fn behind_part(&self, index: u64) -> u64 {
        if self.level_entries == 0 {
            return index.saturating_add(1);
        }
        (index | (self.level_entries - 1)).saturating_add(1)
    }
}

/// Entries that were changed one after the other, and that the IOMMU has not been made to forget yet.
///
/// Forgetting takes time by the entry, so what is far apart is forgotten in several goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    first: u64,
    end: u64,
}

impl Stale {
    /// None yet.
    pub const fn new() -> Self {
        Self { first: 0, end: 0 }
    }

    /// Adds an entry, behind those that were added before. Answers those that are too far away to be
    /// forgotten together with it, which are to be forgotten now.
    pub fn add(&mut self, index: u64) -> Option<Entries> {
        let far = match index.checked_sub(self.end) {
            Some(gap) if gap <= Self::GAP => None,
            _ => self.take(),
        };
        if self.first == self.end {
            self.first = index;
        }
        self.end = index.saturating_add(1);
        far
    }

    /// All that were added and not answered, to be forgotten now.
    pub fn take(&mut self) -> Option<Entries> {
        let Self { first, end } = core::mem::take(self);
        match end - first {
            0 => None,
            count => Some(Entries { first, count }),
        }
    }

    /// How many unchanged entries it costs less to have forgotten than to ask twice.
    pub const GAP: u64 = 32;
}

/// What a `VFIO_IOMMU_MAP_DMA` asks for, as far as it can be told without the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapRequest {
    /// The first address of the device.
    pub iova: u64,
    /// The address in the process.
    pub vaddr: u64,
    /// The number of bytes. May be zero.
    pub size: u64,
    flags: u32,
}

/// What a device may do with a page. At least one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// The device may read.
    pub read: bool,
    /// The device may write.
    pub write: bool,
}

impl MapRequest {
    /// Checks the flags.
    ///
    /// # Errors
    ///
    /// `EINVAL` if some are unknown.
    pub fn parse(flags: u32, vaddr: u64, iova: u64, size: u64) -> Result<Self> {
        if flags & !(MAP_READ | MAP_WRITE) != 0 {
            return Err(errno::EINVAL.because("unknown flags"));
        }
        Ok(Self {
            iova,
            vaddr,
            size,
            flags,
        })
    }

    /// What is to be done in the window that the first address is in.
    ///
    /// # Errors
    ///
    /// `EINVAL` if these are not whole pages, not all of them are in the window, or the device may neither
    /// read nor write.
    pub fn place(&self, window: &Window) -> Result<(Entries, Direction)> {
        if !window.is_aligned(self.vaddr) {
            return Err(
                errno::EINVAL.because("the process address is no multiple of the window's page")
            );
        }
        let direction = Direction {
            read: self.flags & MAP_READ != 0,
            write: self.flags & MAP_WRITE != 0,
        };
        if !direction.read && !direction.write {
            return Err(errno::EINVAL.because("it needs READ or WRITE"));
        }
        Ok((window.range(self.iova, self.size)?, direction))
    }
}

/// Sizes of pages, each a bit, as people write them: a number and its unit, the smallest first.
pub fn page_sizes(bits: u64) -> impl Iterator<Item = (u32, &'static str)> {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    (0..u64::BITS)
        .filter(move |shift| bits >> shift & 1 != 0)
        .map(|shift| {
            let unit = UNITS.get((shift / 10) as usize).copied().unwrap_or("");
            (1 << (shift % 10), unit)
        })
}

/// What windows a group can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// The sizes of pages, each a bit.
    pub page_sizes: u64,
    /// How many levels a table may have; zero counts as one.
    pub max_levels: u32,
}

/// What a `VFIO_IOMMU_SPAPR_TCE_CREATE` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewWindow {
    /// The binary logarithm of the size of its pages.
    pub page_shift: u32,
    /// Its size in bytes.
    pub size: u64,
    /// The number of levels of its table.
    pub levels: u32,
}

impl NewWindow {
    /// Checks that there can be such a window. What the platform can do has the last word.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group has no such pages, for a size that is no power of two or less than a page, and
    /// for more levels than there can be.
    pub fn check(&self, limits: &GroupLimits) -> Result {
        let page_size = match 1u64.checked_shl(self.page_shift) {
            Some(size) if limits.page_sizes & size != 0 => size,
            _ => return Err(errno::EINVAL.because("the group has no pages of this size")),
        };
        if !self.size.is_power_of_two() || self.size < page_size {
            return Err(errno::EINVAL.because("the size is no power of two, or less than a page"));
        }
        // A group that can have no windows but the one that is there says so by no levels at all.
        if self.levels > limits.max_levels.max(1) {
            return Err(errno::EINVAL.because("the group's tables have fewer levels"));
        }
        Ok(())
    }
}

/// The pages of memory that is to be registered, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterRequest {
    /// The address in the process.
    pub vaddr: u64,
    /// The number of pages; not zero.
    pub pages: u64,
}

impl RegisterRequest {
    /// Checks a range of process addresses.
    ///
    /// # Errors
    ///
    /// `EINVAL` if these are no whole pages of `page_size` bytes, a power of two, if there are none, or if
    /// they wrap.
    pub fn parse(vaddr: u64, size: u64, page_size: u64) -> Result<Self> {
        let below = page_size.wrapping_sub(1);
        if (vaddr | size) & below != 0 {
            return Err(errno::EINVAL.because("these are no whole pages"));
        }
        if size == 0 {
            return Err(errno::EINVAL.because("the size is 0"));
        }
        if vaddr.checked_add(size).is_none() {
            return Err(errno::EINVAL.because("the range wraps"));
        }
        Ok(Self {
            vaddr,
            pages: size >> page_size.trailing_zeros().min(u64::BITS - 1),
        })
    }
}

/// An operation on a partitionable endpoint: `VFIO_EEH_PE_OP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EehOp {
    /// Nothing, answered for symmetry.
    Disable,
    /// Take errors over from the host.
    Enable,
    /// Let processors reach its memory again.
    UnfreezeIo,
    /// Let its devices do DMA again.
    UnfreezeDma,
    /// Tell its state.
    GetState,
    /// End a reset.
    ResetDeactivate,
    /// Begin a hot reset.
    ResetHot,
    /// Begin a fundamental reset.
    ResetFundamental,
    /// Set its bridges up again after a reset.
    Configure,
    /// Pretend that there was an error, told by more arguments.
    InjectError,
}

impl EehOp {
    /// The operation with this number.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub const fn from_raw(op: u32) -> Result<Self> {
        Ok(match op {
            0 => Self::Disable,
            1 => Self::Enable,
            2 => Self::UnfreezeIo,
            3 => Self::UnfreezeDma,
            4 => Self::GetState,
            5 => Self::ResetDeactivate,
            6 => Self::ResetHot,
            7 => Self::ResetFundamental,
            8 => Self::Configure,
            9 => Self::InjectError,
            _ => return Err(errno::EINVAL.because("there is no such operation")),
        })
    }

    /// Whether the platform may reset its devices for it, for which it takes their locks.
    pub const fn may_reset(self) -> bool {
        match self {
            // Some devices are brought back by a reset.
            Self::Enable => true,
            Self::ResetDeactivate | Self::ResetHot | Self::ResetFundamental => true,
            Self::Disable | Self::UnfreezeIo | Self::UnfreezeDma | Self::GetState => false,
            Self::Configure | Self::InjectError => false,
        }
    }
}

/// What the platform is asked to do, which answers zero, an errno, or the number that the firmware has for what is
/// wrong: of OPAL, RTAS or the hypervisor, positive or negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformCall {
    /// Make a table.
    CreateTable,
    /// Give a group a window.
    SetWindow,
    /// Change an entry.
    Exchange,
    /// An operation on an endpoint.
    Endpoint,
}

impl PlatformCall {
    /// What the kernel itself answers. Where the firmware has the same number for something, that cannot be told.
    const fn errnos(self) -> &'static [Errno] {
        use errno::*;
        match self {
            Self::CreateTable => &[EPERM, ENOMEM, EEXIST, ENODEV, EINVAL, ENODATA, EOVERFLOW],
            Self::SetWindow => &[EPERM],
            Self::Exchange => &[ENOMEM],
            Self::Endpoint => &[
                ENOENT,
                EIO,
                ENXIO,
                ENOMEM,
                EFAULT,
                EBUSY,
                ENODEV,
                EINVAL,
                ENOTTY,
                ERANGE,
                ENOTRECOVERABLE,
            ],
        }
    }

    /// The answer to user space.
    ///
    /// # Errors
    ///
    /// The errno that the kernel has answered; `EIO` for any other number.
    pub fn check(self, answer: i64) -> Result {
        if answer == 0 {
            return Ok(());
        }
        let known = |e: &&Errno| answer == -i64::from(e.get());
        match self.errnos().iter().find(known) {
            Some(e) => Err(*e),
            None => Err(errno::EIO.because("the firmware has refused")),
        }
    }
}
