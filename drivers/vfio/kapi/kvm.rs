// SPDX-License-Identifier: GPL-2.0

//! Virtual machines that devices are given to.
//!
//! `kvm.ko` may be absent or unloaded, so its functions are looked up by name when needed.
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    new_spinlock,
    prelude::*,
    str::CStr,
    sync::SpinLock, //
};
use vfio_bindings as vb;

type GetKvm = unsafe extern "C" fn(*mut vb::kvm) -> bool;
type PutKvm = unsafe extern "C" fn(*mut vb::kvm);

/// A function of a module that cannot be unloaded meanwhile.
struct Symbol {
    name: &'static CStr,
    addr: NonNull<core::ffi::c_void>,
}

impl Symbol {
    /// Looks a symbol up; may sleep if the module is being loaded.
    fn get(name: &'static CStr) -> Option<Self> {
        // SAFETY: The name is a valid string.
        let addr = NonNull::new(unsafe { bindings::__symbol_get(name.as_char_ptr()) })?;
        Some(Self {
            name,
            addr: addr.cast(),
        })
    }
}

impl Drop for Symbol {
    fn drop(&mut self) {
        // SAFETY: Undoes `__symbol_get`.
        unsafe { bindings::__symbol_put(self.name.as_char_ptr()) };
    }
}

const PUT: &CStr = c"kvm_put_kvm";
const GET: &CStr = c"kvm_get_kvm_safe";

/// The virtual machine that a file is linked with, if any. Not a reference: KVM takes the link away
/// before the machine goes.
#[pin_data]
pub struct KvmLink {
    #[pin]
    kvm: SpinLock<KvmPtr>,
}

struct KvmPtr(*mut vb::kvm);

// SAFETY: The pointer is only used under the lock, by functions that any thread may call.
unsafe impl Send for KvmPtr {}

impl KvmLink {
    /// No link.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            kvm <- new_spinlock!(KvmPtr(core::ptr::null_mut()), "KvmLink::kvm"),
        })
    }

    /// Sets the link, or takes it away.
    ///
    /// # Safety
    ///
    /// `kvm` must be null or point to a machine that stays allocated until this is called again.
    pub unsafe fn set(&self, kvm: *mut vb::kvm) {
        self.kvm.lock().0 = kvm;
    }

    /// A reference to the machine, unless there is none or it is going.
    pub(crate) fn get(&self) -> Option<Kvm> {
        if self.kvm.lock().0.is_null() {
            return None;
        }
        // Before the lock: looking a symbol up may sleep.
        let put = Symbol::get(PUT)?;
        let get = Symbol::get(GET)?;
        // SAFETY: The type of the function, by `linux/kvm_host.h`.
        let get_kvm =
            unsafe { core::mem::transmute::<NonNull<core::ffi::c_void>, GetKvm>(get.addr) };
        let link = self.kvm.lock();
        let kvm = NonNull::new(link.0)?;
        // SAFETY: The machine stays allocated while the lock is held.
        let live = unsafe { get_kvm(kvm.as_ptr()) };
        drop(link);
        // INVARIANT: There is a reference now. Not `then_some`, which would make and drop one that there
        // is not.
        live.then(|| Kvm { kvm, put })
    }
}

/// A reference to a virtual machine, and to the module that it needs to go.
///
/// # Invariants
///
/// Owns a reference to `kvm`; `put` is the function that gives it up.
pub(crate) struct Kvm {
    kvm: NonNull<vb::kvm>,
    put: Symbol,
}

impl Kvm {
    /// Hands the references over: to the fields `kvm` and `put_kvm` of a device.
    pub(crate) fn into_raw(self) -> (*mut vb::kvm, PutKvm) {
        // SAFETY: The type of the function, by `linux/kvm_host.h`.
        let put =
            unsafe { core::mem::transmute::<NonNull<core::ffi::c_void>, PutKvm>(self.put.addr) };
        let kvm = self.kvm.as_ptr();
        core::mem::forget(self);
        (kvm, put)
    }

    /// Gives up what [`Self::into_raw`] handed over.
    ///
    /// # Safety
    ///
    /// Both must come from one call of `into_raw`, and pass to this.
    pub(crate) unsafe fn put_raw(kvm: *mut vb::kvm, put: PutKvm) {
        // SAFETY: By the contract of this function: first the machine, then the module.
        unsafe {
            put(kvm);
            bindings::__symbol_put(PUT.as_char_ptr());
        }
    }
}

impl Drop for Kvm {
    fn drop(&mut self) {
        // SAFETY: The type of the function, by `linux/kvm_host.h`; the reference is ours.
        unsafe {
            core::mem::transmute::<NonNull<core::ffi::c_void>, PutKvm>(self.put.addr)(
                self.kvm.as_ptr(),
            )
        };
    }
}
