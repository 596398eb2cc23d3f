// SPDX-License-Identifier: GPL-2.0

//! Universally unique identifiers.
//!
//! C header: [`include/linux/uuid.h`](srctree/include/linux/uuid.h)

use kernel::bindings;

/// An identifier, in the order it is written in.
pub type Uuid = [u8; 16];

/// A new random identifier.
pub fn random() -> Uuid {
    let mut uuid = bindings::uuid_t::default();
    // SAFETY: The argument is for the function to write to.
    unsafe { bindings::uuid_gen(&mut uuid) };
    uuid.b
}

/// The identifier that a C pointer points to; `None` if it is null.
///
/// # Safety
///
/// `uuid` must be null or valid for reads.
pub unsafe fn from_raw(uuid: *const bindings::uuid_t) -> Option<Uuid> {
    // SAFETY: By the contract of this function.
    unsafe { uuid.as_ref() }.map(|uuid| uuid.b)
}
