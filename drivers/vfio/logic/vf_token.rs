// SPDX-License-Identifier: GPL-2.0

//! The token that the users of a physical function and of its virtual functions share.
//!
//! The driver of a physical function can harm those of its virtual functions. So while the physical
//! function is a VFIO device too, who opens one of them has to know the token of the other users.

use crate::errno::{
    Result,
    EACCES,
    EINVAL, //
};

/// A token: an UUID, in the order it is written in.
pub type Token = [u8; 16];

/// Where the digits of the sixteen bytes of an UUID are in its written form.
const DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
/// The length of the written form.
const LEN: usize = 36;

/// Reads an UUID.
fn parse_uuid(text: &[u8]) -> Option<Token> {
    let text = text.get(..LEN)?;
    for (i, c) in text.iter().enumerate() {
        let dash = matches!(i, 8 | 13 | 18 | 23);
        if dash != (*c == b'-') {
            return None;
        }
    }
    let mut token = Token::default();
    for (byte, at) in token.iter_mut().zip(DIGITS) {
        let digit = |i| char::from(*text.get(i)?).to_digit(16);
        *byte = u8::try_from(digit(at)? << 4 | digit(at + 1)?).ok()?;
    }
    Some(token)
}

/// What the user of `VFIO_GROUP_GET_DEVICE_FD` wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Another device.
    No,
    /// This device, showing a token or not.
    Yes(Option<Token>),
}

/// Compares what the user wrote with the name of a device. Options may follow the name, each after a
/// space: `vf_token=` and an UUID.
///
/// # Errors
///
/// `EINVAL` if it is this device, but an option is unknown, given twice or not well-formed.
pub fn parse(text: &[u8], name: &[u8]) -> Result<Match> {
    const OPTION: &[u8] = b"vf_token=";

    let Some(mut rest) = text.strip_prefix(name) else {
        return Ok(Match::No);
    };
    if rest.first().is_some_and(|c| *c != b' ') {
        return Ok(Match::No);
    }
    let mut token = None;
    while let Some((first, after)) = rest.split_first() {
        if *first == b' ' {
            rest = after;
            continue;
        }
        let value = rest.strip_prefix(OPTION).filter(|_| token.is_none());
        let value = value.ok_or(EINVAL)?;
        token = Some(parse_uuid(value).ok_or(EINVAL)?);
        rest = value.get(LEN..).unwrap_or_default();
    }
    Ok(Match::Yes(token))
}

/// What a function has to do with tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// A virtual function whose physical function is a VFIO device with this token.
    Virtual(&'a Token),
    /// A virtual function of another driver's physical function.
    Foreign,
    /// A physical function with this token, and whether virtual functions of it are open.
    Physical(&'a Token, bool),
    /// Neither.
    Plain,
}

/// Why somebody may not open a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A token is necessary.
    Required,
    /// It is another token.
    Incorrect,
    /// There is no token, as the physical function is not a VFIO device.
    NotBound,
    /// There is no token, as this is no SR-IOV function.
    NotSriov,
}

impl Refusal {
    /// The errno that user space sees.
    pub const fn errno(self) -> crate::errno::Errno {
        match self {
            Self::Required | Self::Incorrect => EACCES,
            Self::NotBound | Self::NotSriov => EINVAL,
        }
    }
}

/// Whether somebody who shows `token`, or none, may open a function; `Some` if the token is then to
/// become that of the function.
///
/// # Errors
///
/// Why not.
pub fn check(
    role: Role<'_>,
    token: Option<&Token>,
) -> core::result::Result<Option<Token>, Refusal> {
    match (role, token) {
        (Role::Virtual(_) | Role::Physical(_, true), None) => Err(Refusal::Required),
        (Role::Virtual(own) | Role::Physical(own, true), Some(token)) => {
            if own == token {
                Ok(None)
            } else {
                Err(Refusal::Incorrect)
            }
        }
        (Role::Physical(_, false), token) => Ok(token.copied()),
        (Role::Foreign, Some(_)) => Err(Refusal::NotBound),
        (Role::Plain, Some(_)) => Err(Refusal::NotSriov),
        (Role::Foreign | Role::Plain, None) => Ok(None),
    }
}
