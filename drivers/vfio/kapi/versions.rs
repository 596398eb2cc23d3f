// SPDX-License-Identifier: GPL-2.0

//! What differs between the versions of Linux that the modules are built for: here and nowhere else, but for
//! two helpers in C.
//!
//! The `Kbuild` file sets `linux_7_2` for that version.

use kernel::{
    bindings,
    device::Device,
    faux,
    ffi,
    prelude::*, //
};
use vfio_bindings as vb;

#[cfg(linux_7_2)]
pub use crate::new_spinlock_irq;
#[cfg(linux_7_2)]
pub use kernel::ModuleMetadata;
#[cfg(not(linux_7_2))]
pub use kernel::{
    module::{
        this_module,
        ModuleMetadata, //
    },
    new_spinlock_irq,
    sync::{
        rcu::synchronize_rcu,
        SpinLockIrq, //
    },
};
#[cfg(linux_7_2)]
pub(crate) use linux_7_2::raw_init;
#[cfg(linux_7_2)]
pub use linux_7_2::{
    synchronize_rcu,
    this_module,
    SpinLockIrq, //
};
#[cfg(not(linux_7_2))]
pub(crate) use pin_init::raw_init;

/// The table of a driver that binds to devices by `driver_override` only: a static or a constant of this name.
#[cfg(not(linux_7_2))]
#[macro_export]
macro_rules! override_only_table {
    ($table:ident) => {
        kernel::module_device_table!(
            "pci",
            $crate::pci::driver::DeviceId,
            $table,
            @none,
            [$crate::pci::driver::DeviceId::VFIO_OVERRIDE]
        );
    };
}

/// The table of a driver that binds to devices by `driver_override` only: a static or a constant of this name.
#[cfg(linux_7_2)]
#[macro_export]
macro_rules! override_only_table {
    ($table:ident) => {
        const $table: kernel::device_id::IdArray<$crate::pci::driver::DeviceId, (), 1> =
            kernel::device_id::IdArray::new_without_index([(
                $crate::pci::driver::DeviceId::VFIO_OVERRIDE,
                (),
            )]);
        kernel::module_device_table!("pci", OVERRIDE_ONLY_TABLE, $table);
    };
}

/// `EBADFD`; Linux 7.2 has no constant for it.
pub fn ebadfd() -> Error {
    errno(bindings::EBADFD)
}

/// `ENOSYS`; likewise.
pub fn enosys() -> Error {
    errno(bindings::ENOSYS)
}

/// `EOPNOTSUPP`; likewise.
pub fn eopnotsupp() -> Error {
    errno(bindings::EOPNOTSUPP)
}

fn errno(number: u32) -> Error {
    Error::from_errno(-(number as ffi::c_int))
}

/// What an interrupt handler answers.
pub(crate) fn irqreturn(number: u32) -> bindings::irqreturn_t {
    #[cfg(not(linux_7_2))]
    return bindings::irqreturn(number);
    #[cfg(linux_7_2)]
    number
}

/// A device of the faux bus.
pub(crate) fn faux_device(registration: &faux::Registration) -> *mut bindings::device {
    #[cfg(not(linux_7_2))]
    let registration: &faux::Device<kernel::device::Bound> = registration.as_ref();
    #[cfg(not(linux_7_2))]
    let device: &Device<kernel::device::Bound> = registration.as_ref();
    #[cfg(linux_7_2)]
    let device: &Device = registration.as_ref();
    core::ptr::from_ref(device).cast_mut().cast()
}

/// Takes note in `device` of whether it is to be used past its group without IOMMU, which Linux 7.2 does not offer.
///
/// # Safety
///
/// `device` is valid, and nobody else has it yet.
pub(crate) unsafe fn set_noiommu(device: *mut vb::vfio_device, noiommu: bool) {
    #[cfg(not(linux_7_2))]
    // SAFETY: By the contract of this function.
    unsafe {
        vb::vfio_device::set_noiommu_raw(device, noiommu.into())
    };
    #[cfg(linux_7_2)]
    let _ = (device, noiommu);
}

/// What [`set_noiommu`] took note of.
///
/// # Safety
///
/// `device` is valid, and that was before it was registered.
#[inline]
pub(crate) unsafe fn has_no_iommu(device: *mut vb::vfio_device) -> bool {
    #[cfg(not(linux_7_2))]
    // SAFETY: By the contract of this function. The byte has other bits, that change later.
    return unsafe { vb::vfio_device::noiommu_raw(device) != 0 };
    #[cfg(linux_7_2)]
    {
        let _ = device;
        false
    }
}

/// What the `kernel` crate of Linux 7.2 lacks, in the form that it has in 7.3.
#[cfg(linux_7_2)]
mod linux_7_2 {
    use super::ModuleMetadata;
    use kernel::{
        bindings,
        ffi,
        prelude::*,
        sync::lock::{
            Backend,
            Lock, //
        },
        types::Opaque, //
    };
    use vfio_bindings as vb;

    const THIS_MODULE: ThisModule = {
        #[allow(improper_ctypes)]
        unsafe extern "C" {
            static __this_module: Opaque<bindings::module>;
        }
        // SAFETY: The kernel makes it when it loads the module that this crate is linked into.
        unsafe { ThisModule::from_ptr(__this_module.get()) }
    };

    /// The module that the code is in. There is one in each link of this crate, so the type does not
    /// matter; later versions take it from there.
    pub const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
        &THIS_MODULE
    }

    /// Initializes what is at `slot`.
    ///
    /// # Safety
    ///
    /// `slot` is valid for writes, and what is there then does not move until it is dropped.
    pub(crate) unsafe fn raw_init<T>(slot: *mut T, init: impl PinInit<T>) {
        // SAFETY: By the contract of this function. There is no error.
        unsafe { init.__pinned_init(slot) }.unwrap_or_else(|never| match never {})
    }

    /// Waits for an RCU grace period. May sleep.
    pub fn synchronize_rcu() {
        // SAFETY: May be called wherever one may sleep.
        unsafe { bindings::synchronize_rcu() };
    }

    /// A spinlock that is held with the interrupts of its processor off.
    pub type SpinLockIrq<T> = Lock<T, SpinLockIrqBackend>;

    /// How such a lock is taken.
    pub struct SpinLockIrqBackend;

    // SAFETY: It is the kernel's spinlock; `relock` takes it as `lock` does.
    unsafe impl Backend for SpinLockIrqBackend {
        type State = bindings::spinlock_t;
        // Whether interrupts were on.
        type GuardState = ffi::c_ulong;

        unsafe fn init(
            ptr: *mut Self::State,
            name: *const ffi::c_char,
            key: *mut bindings::lock_class_key,
        ) {
            // SAFETY: By the contract of the trait.
            unsafe { bindings::__spin_lock_init(ptr, name, key) }
        }

        unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
            // SAFETY: By the contract of the trait.
            unsafe { vb::vfio_helper_spin_lock_irqsave(ptr) }
        }

        unsafe fn unlock(ptr: *mut Self::State, flags: &Self::GuardState) {
            // SAFETY: By the contract of the trait; these are the flags that `lock` gave.
            unsafe { vb::vfio_helper_spin_unlock_irqrestore(ptr, *flags) }
        }

        unsafe fn try_lock(_ptr: *mut Self::State) -> Option<Self::GuardState> {
            // Nobody tries.
            None
        }

        unsafe fn assert_is_held(ptr: *mut Self::State) {
            // SAFETY: By the contract of the trait.
            unsafe { bindings::spin_assert_is_held(ptr) }
        }
    }

    /// Makes a [`SpinLockIrq`] with a lock class of its own.
    #[macro_export]
    macro_rules! new_spinlock_irq {
        ($inner:expr $(, $name:literal)?) => {
            $crate::versions::SpinLockIrq::new(
                $inner,
                kernel::optional_name!($($name)?),
                kernel::static_lock_class!(),
            )
        };
    }
}
