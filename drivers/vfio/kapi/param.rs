// SPDX-License-Identifier: GPL-2.0

//! Module parameters that can be written at run time.
//!
//! `module!` only knows parameters that are set at load time, so a module declares its parameters
//! in a C file (`params.c`, `module_param_named()`), and sees them as statics of the types here:
//!
//! ```ignore
//! // abi.rs
//! unsafe extern "C" {
//!     // SAFETY: `params.c` defines it as a `bool`, and only the parameter core writes to it.
//!     pub(crate) safe static vfio_nointxmask: BoolParam;
//! }
//! ```
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use core::cell::UnsafeCell;

macro_rules! param {
    ($(#[$doc:meta])* $name:ident: $c:literal as $inner:ty) => {
        $(#[$doc])*
        ///
        #[doc = concat!("On the C side this is a `", $c, "`. User space may write to it at any time through sysfs.")]
        #[repr(transparent)]
        pub struct $name(UnsafeCell<$inner>);

        // SAFETY: It is only read by `get`, in a single volatile access.
        unsafe impl Sync for $name {}

        impl $name {
            /// The value right now.
            #[inline]
            pub fn get(&self) -> $inner {
                // SAFETY: The pointer is valid for reads as it comes from `self`. The parameter core
                // writes to it concurrently, in one store; this is the kernel's `READ_ONCE()`.
                unsafe { self.0.get().read_volatile() }
            }
        }
    };
}

param! {
    /// A parameter that is on or off.
    BoolParam: "bool" as bool
}

param! {
    /// A parameter that is a number.
    UintParam: "unsigned int" as u32
}

/// A text that is set when the module is loaded, in a buffer of `N` bytes that it need not fill.
///
/// On the C side this is a `char[N]` of `module_param_string()` with permissions 0: nothing writes
/// to it once the module is being initialized.
#[repr(transparent)]
pub struct StringParam<const N: usize>([u8; N]);

impl<const N: usize> StringParam<N> {
    /// The buffer. The text ends at the first zero byte.
    #[inline]
    pub fn get(&self) -> &[u8] {
        &self.0
    }
}
