// SPDX-License-Identifier: GPL-2.0

//! Which `VFIO_DEVICE_FEATURE` are well-formed.

use crate::errno::{
    Result,
    EINVAL,
    EOVERFLOW, //
};

/// The bits that are the number of the feature.
pub const INDEX_MASK: u32 = 0xffff;
/// Reads the feature.
pub const GET: u32 = 1 << 16;
/// Writes the feature.
pub const SET: u32 = 1 << 17;
/// Only asks whether the feature is there and can be read or written.
pub const PROBE: u32 = 1 << 18;

/// Checks the flags; answers the number of the feature.
///
/// # Errors
///
/// `EINVAL` if there are unknown flags, or both [`GET`] and [`SET`] without [`PROBE`].
pub fn index(flags: u32) -> Result<u32> {
    let both = GET | SET;
    if flags & !(INDEX_MASK | both | PROBE) != 0 || flags & (both | PROBE) == both {
        return Err(EINVAL.because("unknown flags, or both GET and SET"));
    }
    Ok(flags & INDEX_MASK)
}

/// What is asked of a feature that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing but that it is there.
    Probe,
    /// To read it.
    Get,
    /// To write it.
    Set,
}

/// What is asked of a feature that can do `supported` ([`GET`], [`SET`] or both) and has `min`
/// bytes of data, of which user space gave `len`.
///
/// # Errors
///
/// `EINVAL` if it cannot do that, nothing is asked, or there is too little data.
pub fn request(flags: u32, len: usize, supported: u32, min: usize) -> Result<Request> {
    let asked = flags & (GET | SET);
    if asked & !supported != 0 {
        return Err(EINVAL.because("it cannot be read, or not be written"));
    }
    if flags & PROBE != 0 {
        return Ok(Request::Probe);
    }
    if asked == 0 {
        return Err(EINVAL.because("neither GET nor SET nor PROBE"));
    }
    if len < min {
        return Err(EINVAL.because("argsz is less than its data"));
    }
    Ok(if asked & GET != 0 {
        Request::Get
    } else {
        Request::Set
    })
}

/// Checks one range to log DMA in; answers its first and last address.
///
/// # Errors
///
/// `EINVAL` if it is empty or not aligned to `page_size`, `EOVERFLOW` if it goes past the end of the
/// address space.
pub fn log_range(iova: u64, length: u64, page_size: u64) -> Result<(usize, usize)> {
    if (iova | length) & page_size.wrapping_sub(1) != 0 {
        return Err(EINVAL.because("a range is no multiple of the page size"));
    }
    let end = iova.checked_add(length).ok_or(EOVERFLOW)?;
    let last = end
        .checked_sub(1)
        .filter(|last| *last >= iova)
        .ok_or(EINVAL)?;
    let address = |value| usize::try_from(value).map_err(|_| EOVERFLOW);
    address(end)?;
    Ok((address(iova)?, address(last)?))
}

/// Checks a report of logged DMA.
///
/// # Errors
///
/// `EINVAL` if the page size is less than 4 KiB or no power of two, `EOVERFLOW` if the range goes past
/// the end of the address space.
pub fn log_report(iova: u64, length: u64, page_size: u64) -> Result {
    if page_size < 4096 || !page_size.is_power_of_two() {
        return Err(EINVAL.because("a page size that is less than 4 KiB, or no power of two"));
    }
    let end = iova.checked_add(length).ok_or(EOVERFLOW)?;
    usize::try_from(end).map(|_| ()).map_err(|_| EOVERFLOW)
}
