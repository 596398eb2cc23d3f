// SPDX-License-Identifier: GPL-2.0

//! What a SET_IRQS of a PCI device asks for.
//!
//! uAPI header: [`include/uapi/linux/vfio.h`](srctree/include/uapi/linux/vfio.h),
//! `struct vfio_irq_set`

use crate::errno::{
    Result,
    EINVAL,
    ENOTTY, //
};

pub use crate::irq_set::{
    DATA_BOOL,
    DATA_EVENTFD,
    DATA_NONE, //
};

/// `VFIO_IRQ_SET_ACTION_MASK`.
pub const ACTION_MASK: u32 = 1 << 3;
/// `VFIO_IRQ_SET_ACTION_UNMASK`.
pub const ACTION_UNMASK: u32 = 1 << 4;
/// `VFIO_IRQ_SET_ACTION_TRIGGER`.
pub const ACTION_TRIGGER: u32 = 1 << 5;

/// `VFIO_PCI_INTX_IRQ_INDEX`.
pub const INTX: u32 = 0;
/// `VFIO_PCI_MSI_IRQ_INDEX`.
pub const MSI: u32 = 1;
/// `VFIO_PCI_MSIX_IRQ_INDEX`.
pub const MSIX: u32 = 2;
/// `VFIO_PCI_ERR_IRQ_INDEX`.
pub const ERR: u32 = 3;
/// `VFIO_PCI_REQ_IRQ_INDEX`.
pub const REQ: u32 = 4;
/// `VFIO_PCI_NUM_IRQS`.
pub const NUM: u32 = 5;

/// How the device delivers its interrupts right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Not at all.
    None,
    /// By its interrupt pin.
    Intx,
    /// By MSI.
    Msi,
    /// By MSI-X.
    MsiX,
}

impl Delivery {
    /// The index that SET_IRQS has for it; [`NUM`] for none.
    #[inline]
    pub const fn index(self) -> u32 {
        match self {
            Self::None => NUM,
            Self::Intx => INTX,
            Self::Msi => MSI,
            Self::MsiX => MSIX,
        }
    }
}

/// An interrupt that is not the device's but tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The device had an error that is not recovered from.
    Err,
    /// The host wants the device back.
    Req,
}

/// What of the device's state decides what a SET_IRQS means.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// How interrupts are delivered.
    pub delivery: Delivery,
    /// Whether there is an eventfd for [`Notice::Err`].
    pub has_err: bool,
    /// Whether there is an eventfd for [`Notice::Req`].
    pub has_req: bool,
}

impl State {
    fn has(&self, notice: Notice) -> bool {
        match notice {
            Notice::Err => self.has_err,
            Notice::Req => self.has_req,
        }
    }
}

/// The eventfds for consecutive vectors, as user space wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fds<'a>(&'a [u8]);

impl<'a> Fds<'a> {
    /// The descriptors of `count` vectors.
    fn new(data: &'a [u8], count: u32) -> Result<Self> {
        let len = usize::try_from(count).ok().and_then(|n| n.checked_mul(4));
        len.and_then(|len| data.get(..len)).map(Self).ok_or(EINVAL)
    }

    /// The descriptors; `None` for no eventfd.
    pub fn iter(self) -> impl Iterator<Item = Option<i32>> + 'a {
        self.0.chunks_exact(4).map(|fd| match *fd {
            [a, b, c, d] => Some(i32::from_ne_bytes([a, b, c, d])).filter(|&fd| fd >= 0),
            _ => None,
        })
    }

    /// The descriptor where there is just one, as it is.
    fn single(self) -> Result<i32> {
        match *self.0 {
            [a, b, c, d] => Ok(i32::from_ne_bytes([a, b, c, d])),
            _ => Err(EINVAL),
        }
    }
}

/// Which of the vectors named are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// All of them.
    All,
    /// Those whose byte is not zero.
    Bools(&'a [u8]),
}

impl Which<'_> {
    /// Whether the `i`th of them is meant.
    #[inline]
    pub fn contains(self, i: u32) -> bool {
        match self {
            Self::All => true,
            Self::Bools(bools) => usize::try_from(i)
                .ok()
                .and_then(|i| bools.get(i))
                .is_some_and(|&b| b != 0),
        }
    }
}

/// What a SET_IRQS asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Nothing, successfully.
    Nothing,
    /// Stop delivering by the pin.
    IntxDisable,
    /// Deliver by the pin, and signal the eventfd if there is one.
    IntxEnable(Option<i32>),
    /// Signal this eventfd, if any, instead of the one there was.
    IntxReplace(Option<i32>),
    /// Signal the eventfd of the pin, to test it.
    IntxSignal,
    /// Mask the pin.
    IntxMask,
    /// Unmask the pin.
    IntxUnmask,
    /// Unmask the pin whenever this eventfd is signalled, or no longer when one is.
    IntxUnmaskBy(Option<i32>),
    /// Stop delivering by MSI or MSI-X.
    MsiDisable,
    /// Allocate vectors and set the eventfds of some.
    MsiEnable {
        /// MSI-X rather than MSI.
        msix: bool,
        /// How many vectors to allocate.
        count: u32,
        /// The first vector to set.
        start: u32,
        /// The eventfds.
        fds: Fds<'a>,
    },
    /// Set the eventfds of some vectors.
    MsiSet {
        /// The first vector to set.
        start: u32,
        /// The eventfds.
        fds: Fds<'a>,
    },
    /// Signal the eventfds of some vectors, to test them.
    MsiSignal {
        /// The first vector.
        start: u32,
        /// The number of vectors.
        count: u32,
        /// Which of them.
        which: Which<'a>,
    },
    /// Signal the eventfd of a notice, to test it.
    NoticeSignal(Notice),
    /// Use this eventfd, if any, for a notice.
    NoticeSet(Notice, Option<i32>),
}

/// What comes with a request.
#[derive(Clone, Copy)]
enum Data<'a> {
    None,
    Bools(&'a [u8]),
    Fds(Fds<'a>),
}

impl<'a> Data<'a> {
    fn new(flags: u32, count: u32, data: &'a [u8]) -> Result<Self> {
        match flags & (DATA_NONE | DATA_BOOL | DATA_EVENTFD) {
            DATA_NONE => Ok(Self::None),
            DATA_BOOL => {
                let bools = usize::try_from(count).ok().and_then(|n| data.get(..n));
                bools.map(Self::Bools).ok_or(EINVAL)
            }
            DATA_EVENTFD => Fds::new(data, count).map(Self::Fds),
            _ => Err(EINVAL),
        }
    }

    /// For one interrupt without an eventfd: whether it is meant.
    fn is_meant(self) -> bool {
        !matches!(self, Self::Bools(bools) if bools.first().is_none_or(|&b| b == 0))
    }
}

const INTX_STATE: &str = "INTx is not enabled, or another kind is, or there is just one INTx";

/// What a SET_IRQS with these arguments means for a device in this state.
///
/// `data` is what follows the structure: at least as many elements as `count` says.
///
/// # Errors
///
/// `ENOTTY` for actions that the interrupt does not know, `EINVAL` for what does not fit the state
/// or is malformed.
pub fn decide<'a>(
    state: &State,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    data: &'a [u8],
) -> Result<Request<'a>> {
    let data = || Data::new(flags, count, data);
    let action = flags & (ACTION_MASK | ACTION_UNMASK | ACTION_TRIGGER);
    match (index, action) {
        (INTX, ACTION_MASK) => intx_mask(state, start, count, data()?),
        (INTX, ACTION_UNMASK) => intx_unmask(state, start, count, data()?),
        (INTX, ACTION_TRIGGER) => intx_trigger(state, start, count, data()?),
        (MSI, ACTION_TRIGGER) => msi_trigger(state, Delivery::Msi, start, count, data()?),
        (MSIX, ACTION_TRIGGER) => msi_trigger(state, Delivery::MsiX, start, count, data()?),
        (ERR, ACTION_TRIGGER) => notice_trigger(state, Notice::Err, start, count, data()?),
        (REQ, ACTION_TRIGGER) => notice_trigger(state, Notice::Req, start, count, data()?),
        _ => Err(ENOTTY.because("no such action for this kind of interrupt")),
    }
}

fn intx_mask<'a>(state: &State, start: u32, count: u32, data: Data<'_>) -> Result<Request<'a>> {
    match (state.delivery, start, count, data) {
        // Not by eventfd: nobody ever asked for it.
        (Delivery::Intx, 0, 1, Data::Fds(_)) => Err(ENOTTY.because("masking by eventfd")),
        (Delivery::Intx, 0, 1, data) if data.is_meant() => Ok(Request::IntxMask),
        (Delivery::Intx, 0, 1, _) => Ok(Request::Nothing),
        _ => Err(EINVAL.because(INTX_STATE)),
    }
}

fn intx_unmask<'a>(state: &State, start: u32, count: u32, data: Data<'_>) -> Result<Request<'a>> {
    match (state.delivery, start, count, data) {
        (Delivery::Intx, 0, 1, Data::Fds(fds)) => {
            Ok(Request::IntxUnmaskBy(non_negative(fds.single()?)))
        }
        (Delivery::Intx, 0, 1, data) if data.is_meant() => Ok(Request::IntxUnmask),
        (Delivery::Intx, 0, 1, _) => Ok(Request::Nothing),
        _ => Err(EINVAL.because(INTX_STATE)),
    }
}

fn intx_trigger<'a>(state: &State, start: u32, count: u32, data: Data<'_>) -> Result<Request<'a>> {
    match (state.delivery, start, count, data) {
        // Whatever `start` is, as in C.
        (Delivery::Intx, _, 0, Data::None) => Ok(Request::IntxDisable),
        (Delivery::Intx, 0, 1, Data::Fds(fds)) => {
            Ok(Request::IntxReplace(non_negative(fds.single()?)))
        }
        (Delivery::None, 0, 1, Data::Fds(fds)) => {
            Ok(Request::IntxEnable(non_negative(fds.single()?)))
        }
        (Delivery::Intx, 0, 1, data) if data.is_meant() => Ok(Request::IntxSignal),
        (Delivery::Intx, 0, 1, _) => Ok(Request::Nothing),
        _ => Err(EINVAL.because(INTX_STATE)),
    }
}

fn msi_trigger<'a>(
    state: &State,
    kind: Delivery,
    start: u32,
    count: u32,
    data: Data<'a>,
) -> Result<Request<'a>> {
    let end = start.checked_add(count).ok_or(EINVAL)?;
    match (state.delivery, data) {
        (Delivery::None, Data::Fds(fds)) => {
            let msix = kind == Delivery::MsiX;
            Ok(Request::MsiEnable {
                msix,
                count: end,
                start,
                fds,
            })
        }
        (delivery, _) if delivery != kind => {
            Err(EINVAL.because("another kind of interrupt is enabled, or none"))
        }
        (_, Data::Fds(fds)) => Ok(Request::MsiSet { start, fds }),
        (_, Data::None) if count == 0 => Ok(Request::MsiDisable),
        (_, Data::None) => Ok(Request::MsiSignal {
            start,
            count,
            which: Which::All,
        }),
        (_, Data::Bools(bools)) => Ok(Request::MsiSignal {
            start,
            count,
            which: Which::Bools(bools),
        }),
    }
}

fn notice_trigger<'a>(
    state: &State,
    notice: Notice,
    start: u32,
    count: u32,
    data: Data<'_>,
) -> Result<Request<'a>> {
    match (start, count, data) {
        (0, 0 | 1, Data::None) if !state.has(notice) => Err(EINVAL.because("no eventfd is set")),
        (0, 0, Data::None) => Ok(Request::NoticeSet(notice, None)),
        (0, 1, Data::Fds(fds)) => match fds.single()? {
            -1 => Ok(Request::NoticeSet(notice, None)),
            fd if fd >= 0 => Ok(Request::NoticeSet(notice, Some(fd))),
            _ => Err(EINVAL.because("a negative descriptor other than -1")),
        },
        (0, 1, data) if data.is_meant() && state.has(notice) => Ok(Request::NoticeSignal(notice)),
        (0, 1, _) => Ok(Request::Nothing),
        _ => Err(EINVAL.because("there is just one interrupt of this kind")),
    }
}

/// A descriptor where all negative numbers mean none.
fn non_negative(fd: i32) -> Option<i32> {
    (fd >= 0).then_some(fd)
}

/// The logarithm to base two, rounded up, of the number of MSI vectors in use; what the function's
/// Multiple Message Enable field says (PCI Local Bus 3.0, 6.8.1.3).
pub fn msi_qmax(vectors: u32) -> u8 {
    let log2 = vectors
        .checked_next_power_of_two()
        .unwrap_or(1)
        .trailing_zeros();
    u8::try_from(log2).unwrap_or(0)
}
