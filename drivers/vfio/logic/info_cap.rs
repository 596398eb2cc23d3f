// SPDX-License-Identifier: GPL-2.0

//! The chain of capabilities behind an INFO structure, as bytes.
//!
//! Each capability starts with a header of 8 bytes (`id: u16`, `version: u16`, `next: u32`) at a
//! multiple of 8. `next` is where the next header is, or 0 in the last one. While a chain is built
//! it counts from the start of the chain.
//!
//! uAPI: `struct vfio_info_cap_header`

/// The size of a header, and what capabilities are aligned to, in bytes.
pub const HEADER: usize = 8;

const NEXT: usize = 4;

/// The size of a capability with its padding; `None` if there is no such number.
pub fn padded(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(HEADER)
}

fn next(chain: &[u8], at: usize) -> Option<usize> {
    let field = at.checked_add(NEXT)?;
    let bytes = chain.get(field..field.checked_add(4)?)?;
    usize::try_from(u32::from_ne_bytes(bytes.try_into().ok()?)).ok()
}

fn set_next(chain: &mut [u8], at: usize, next: usize) -> Option<()> {
    let field = at.checked_add(NEXT)?;
    let bytes = chain.get_mut(field..field.checked_add(4)?)?;
    bytes.copy_from_slice(&u32::try_from(next).ok()?.to_ne_bytes());
    Some(())
}

/// Makes the zeroed bytes from `at` on the last capability of a chain.
pub fn link(chain: &mut [u8], at: usize, id: u16, version: u16) {
    let Some(header) = at.checked_add(NEXT).and_then(|end| chain.get_mut(at..end)) else {
        return;
    };
    let (id_bytes, version_bytes) = header.split_at_mut(2);
    id_bytes.copy_from_slice(&id.to_ne_bytes());
    version_bytes.copy_from_slice(&version.to_ne_bytes());

    if at == 0 {
        return;
    }
    let mut last = 0;
    // A link that does not lead on ends the chain: such a one cannot be made here.
    while let Some(next) = next(chain, last).filter(|next| *next > last && *next < at) {
        last = next;
    }
    set_next(chain, last, at);
}

/// Makes the links count from `offset` bytes before the chain's start.
pub fn shift(chain: &mut [u8], offset: usize) {
    let mut at = 0;
    while let Some(to) = next(chain, at).filter(|to| *to > at) {
        if to
            .checked_add(offset)
            .and_then(|next| set_next(chain, at, next))
            .is_none()
        {
            return;
        }
        at = to;
    }
}
