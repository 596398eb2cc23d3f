// SPDX-License-Identifier: GPL-2.0

//! What C drivers may look at of a device, apart from what has a file of its own here.
//!
//! These are the core's: each fact is only in the C structure, so that a driver sees what the core
//! goes by. A driver reads them where the header says so; some it sets itself when it initializes the
//! device (`nointxmask`, `disable_vga`, `disable_idle_d3`), or changes while it opens it
//! (`bar_mmap_supported`).

use super::{
    bars::NUM_BARS,
    PciCoreDevice, //
};
use core::sync::atomic::{
    AtomicI32,
    AtomicU16,
    AtomicU32,
    AtomicU8,
    Ordering::Relaxed, //
};
use kernel::ffi::c_int;
use vfio_bindings as vb;
use vfio_logic::pci::MsixTable;

type CDevice = vb::vfio_pci_core_device;

/// What is so or not about a device for as long as it is open, or bound. Bits that share bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// MSI-X vectors can be added while others are in use.
    HasDynMsix,
    /// INTx can be masked at the function itself, as PCI 2.3 has it.
    Pci23,
    /// The function can be reset alone.
    ResetWorks,
    /// It has extended capabilities.
    ExtendedCaps,
    /// The user gets the legacy VGA ranges.
    HasVga,
    /// INTx is not to be used: the function cannot be trusted to tell that it asserts it.
    Nointx,
    /// It loses its configuration on the way from D3hot to D0.
    NeedsPmRestore,
    /// Not to suspend the device while nobody uses it. Set by the driver.
    DisableIdleD3,
    /// Not to mask INTx at the function, but at the interrupt controller. Set by the driver.
    Nointxmask,
    /// Not to give legacy VGA ranges to the user. Set by the driver.
    DisableVga,
}

/// The bit-field.
type Bits = [AtomicU8; 2];

impl Flag {
    /// The bit, where the C compiler has it.
    #[inline]
    fn mask(self) -> [u8; 2] {
        let is = |other| self == other;
        let unit = CDevice::new_bitfield_1(
            is(Self::HasDynMsix),
            is(Self::Pci23),
            is(Self::ResetWorks),
            is(Self::ExtendedCaps),
            is(Self::HasVga),
            is(Self::Nointx),
            is(Self::NeedsPmRestore),
            is(Self::DisableIdleD3),
            is(Self::Nointxmask),
            is(Self::DisableVga),
        );
        // SAFETY: Both are two bytes of any value.
        unsafe { core::mem::transmute(unit) }
    }
}

impl<S> PciCoreDevice<S> {
    #[inline]
    fn bits(&self) -> &Bits {
        // SAFETY: The structure is valid as long as `self`. Here the field is only accessed as atomic
        // bytes, which have its layout; C drivers access it as if by relaxed ones.
        unsafe { &*(&raw const (*self.as_raw())._bitfield_1).cast() }
    }

    /// Whether it is so.
    #[inline]
    pub fn has(&self, which: Flag) -> bool {
        self.bits()
            .iter()
            .zip(which.mask())
            .any(|(byte, mask)| byte.load(Relaxed) & mask != 0)
    }

    /// Sets whether it is so.
    pub fn set(&self, which: Flag, value: bool) {
        for (byte, mask) in self.bits().iter().zip(which.mask()) {
            if value {
                byte.fetch_or(mask, Relaxed);
            } else {
                byte.fetch_and(!mask, Relaxed);
            }
        }
    }
}

/// Accessors of fields that are one `bool`, and change at any time.
macro_rules! flags {
    ($($(#[$doc:meta])* $get:ident, $set:ident;)*) => {
        impl<S> PciCoreDevice<S> {$(
            $(#[$doc])*
            #[inline]
            pub fn $get(&self) -> bool {
                // SAFETY: The structure is valid. Here the field is only accessed as an atomic byte, and
                // by C drivers as if so.
                unsafe { AtomicU8::from_ptr((&raw mut (*self.as_raw()).$get).cast()) }
                    .load(Relaxed) != 0
            }

            #[doc = concat!("Sets what [`Self::", stringify!($get), "`] tells.")]
            #[inline]
            pub fn $set(&self, value: bool) {
                // SAFETY: As in the function before.
                unsafe { AtomicU8::from_ptr((&raw mut (*self.as_raw()).$get).cast()) }
                    .store(value.into(), Relaxed);
            }
        )*}
    };
}

flags! {
    /// The user set INTx Disable in the (virtual) command register.
    virq_disabled, set_virq_disabled;
    /// The function was closed without having been reset. Changed under the lock of the device set.
    needs_reset, set_needs_reset;
    /// INTx was masked because the device was suspended.
    pm_intx_masked, set_pm_intx_masked;
    /// The user lent the usage count, so that the device may be suspended any time. C drivers look with
    /// [`Self::memory_lock`] held; it is changed with it held for writing.
    pm_runtime_engaged, set_pm_runtime_engaged;
    /// There are virtual functions, so the device has to stay in D0.
    sriov_active, set_sriov_active;
}

/// Fields that are one number, as atomics.
macro_rules! numbers {
    ($($name:ident: $atomic:ty = $field:ident;)*) => {
        impl<S> PciCoreDevice<S> {$(
            #[inline]
            fn $name(&self) -> &$atomic {
                // SAFETY: The structure is valid as long as `self`. Here the field is only accessed as an
                // atomic; C drivers read it, as if by relaxed loads.
                unsafe { <$atomic>::from_ptr(&raw mut (*self.as_raw()).$field) }
            }
        )*}
    };
}

numbers! {
    msix_bar: AtomicU8 = msix_bar;
    msix_size: AtomicU16 = msix_size;
    msix_offset: AtomicU32 = msix_offset;
    c_irq_type: AtomicI32 = irq_type;
    c_msi_qmax: AtomicU8 = msi_qmax;
    c_ioeventfds: AtomicI32 = ioeventfds_nr;
}

impl<S> PciCoreDevice<S> {
    /// Whether the user may map a BAR.
    #[inline]
    pub fn is_mappable(&self, bar: u32) -> bool {
        self.mappable(bar)
            .is_some_and(|byte| byte.load(Relaxed) != 0)
    }

    /// Sets whether the user may map a BAR: when the device is opened, before the user has it.
    pub fn set_mappable(&self, bar: u32, value: bool) {
        if let Some(byte) = self.mappable(bar) {
            byte.store(value.into(), Relaxed);
        }
    }

    fn mappable(&self, bar: u32) -> Option<&AtomicU8> {
        // SAFETY: The structure is valid as long as `self`. Here the field is only accessed as atomic
        // bytes, which have its layout, and by C drivers as if so.
        let bars: &[AtomicU8; NUM_BARS as usize] =
            unsafe { &*(&raw const (*self.as_raw()).bar_mmap_supported).cast() };
        bars.get(bar as usize)
    }

    /// Where the MSI-X table is, if it is in this BAR.
    #[inline]
    pub fn msix_table(&self, bar: u32) -> Option<MsixTable> {
        if u32::from(self.msix_bar().load(Relaxed)) != bar {
            return None;
        }
        let vectors = self.msix_size().load(Relaxed) / MSIX_ENTRY;
        let offset = self.msix_offset().load(Relaxed);
        (vectors != 0).then_some(MsixTable {
            bar,
            offset,
            vectors,
        })
    }

    /// How many MSI-X vectors the function has.
    #[inline]
    pub fn msix_vectors(&self) -> u32 {
        match self.msix_bar().load(Relaxed) {
            NO_BAR => 0,
            _ => u32::from(self.msix_size().load(Relaxed) / MSIX_ENTRY),
        }
    }

    /// Sets where the MSI-X table is: when the device is opened, before the user has it.
    pub fn set_msix_table(&self, table: Option<MsixTable>) {
        let Some(table) = table else {
            self.msix_bar().store(NO_BAR, Relaxed);
            return;
        };
        // No function has more than 2048 vectors; of one that had, more would be hidden than its table.
        let size = table.vectors.saturating_mul(MSIX_ENTRY);
        self.msix_size().store(size, Relaxed);
        self.msix_offset().store(table.offset, Relaxed);
        let bar = u8::try_from(table.bar).unwrap_or(NO_BAR);
        self.msix_bar().store(bar, Relaxed);
    }

    /// Tells C drivers which interrupts are in use: an index of SET_IRQS, or the number of indices
    /// for none.
    #[inline]
    pub fn set_irq_type(&self, index: u32) {
        // CAST: The index is less than ten.
        self.c_irq_type().store(index as c_int, Relaxed);
    }

    /// Which interrupts are in use, as [`Self::set_irq_type`] has it.
    #[inline]
    pub fn irq_type(&self) -> u32 {
        // CAST: It was given as this type.
        self.c_irq_type().load(Relaxed) as u32
    }

    /// How many MSI vectors were last enabled, as a power of two.
    #[inline]
    pub fn msi_qmax(&self) -> u8 {
        self.c_msi_qmax().load(Relaxed)
    }

    /// Sets how many MSI vectors the virtual configuration space says are enabled, as a power of two.
    #[inline]
    pub fn set_msi_qmax(&self, log2: u8) {
        self.c_msi_qmax().store(log2, Relaxed);
    }

    /// Tells C drivers what the host has in the BARs, the last of them being that of the ROM.
    pub fn set_host_bars(&self, bars: [u32; NUM_BARS as usize + 1]) {
        // SAFETY: The structure is valid as long as `self`. Here the field is only accessed as atomic words,
        // which have its layout; C drivers only read it.
        let places: &[AtomicU32; NUM_BARS as usize + 1] =
            unsafe { &*(&raw const (*self.as_raw()).rbar).cast() };
        for (place, bar) in places.iter().zip(bars) {
            place.store(bar, Relaxed);
        }
    }

    /// Tells C drivers how many eventfds write to memory of the device.
    pub fn set_ioeventfds(&self, count: usize) {
        // CAST: There are at most a thousand.
        self.c_ioeventfds().store(count as c_int, Relaxed);
    }
}

/// The size of an entry of an MSI-X table.
const MSIX_ENTRY: u16 = 16;
/// What `msix_bar` says if there is no table.
const NO_BAR: u8 = u8::MAX;
