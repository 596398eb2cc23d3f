// SPDX-License-Identifier: GPL-2.0

//! Interrupt lines and their handlers, requested and freed at run time.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use core::{
    fmt::Write,
    marker::PhantomPinned, //
};
use kernel::{
    bindings,
    error::to_result,
    fmt,
    irq::IrqReturn,
    prelude::*,
    sync::Arc, //
};

use crate::{
    pci::msi::Allocation,
    versions, //
};

/// An interrupt, by the number Linux gave it. If it is one of vectors that were allocated, they are
/// not freed before this is dropped.
#[derive(Clone)]
pub struct Line {
    irq: u32,
    _vectors: Option<Arc<Allocation>>,
}

impl Line {
    /// One that is always there.
    pub(crate) fn fixed(irq: u32) -> Self {
        Self {
            irq,
            _vectors: None,
        }
    }

    /// One of vectors.
    pub(crate) fn of(vectors: &Arc<Allocation>, irq: u32) -> Self {
        Self {
            irq,
            _vectors: Some(vectors.clone()),
        }
    }

    /// The number.
    #[inline]
    pub fn get(&self) -> u32 {
        self.irq
    }

    /// Stops the interrupt at its controller, without waiting for handlers. Any context.
    #[inline]
    pub fn disable_nosync(&self) {
        // SAFETY: May be called with any number.
        unsafe { bindings::disable_irq_nosync(self.irq) };
    }

    /// Takes back one [`Self::disable_nosync`]. The kernel warns if there was none. Any context in
    /// which the interrupt's bus lock need not sleep, which is so for INTx.
    #[inline]
    pub fn enable(&self) {
        // SAFETY: May be called with any number.
        unsafe { bindings::enable_irq(self.irq) };
    }
}

/// Whom a line is shared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Any number of handlers.
    Shared,
    /// Nobody; to be enabled at once.
    Exclusive,
    /// Nobody. The handler will stop the line at its controller, so that is to happen at once and
    /// not only when the next interrupt arrives.
    ExclusiveMasked {
        /// Whether the line is to start out enabled.
        enabled: bool,
    },
}

/// What handles an interrupt.
pub trait Handler: Send + Sync + 'static {
    /// Called at each interrupt, in hard interrupt context: must not sleep or allocate.
    fn handle(&self) -> IrqReturn;
}

/// Space for a name in `/proc/interrupts`. Longer ones are cut.
struct Name {
    bytes: [u8; Self::LEN],
    len: usize,
}

impl Name {
    const LEN: usize = 64;

    fn new(text: fmt::Arguments<'_>) -> Self {
        let mut name = Self {
            bytes: [0; Self::LEN],
            len: 0,
        };
        // Fails when the name is cut.
        let _ = name.write_fmt(text);
        name
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        // The last byte stays zero.
        let space = self
            .bytes
            .get_mut(self.len..Self::LEN - 1)
            .ok_or(core::fmt::Error)?;
        let n = space.len().min(text.len());
        for (to, from) in space.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.len += n;
        if n == text.len() {
            Ok(())
        } else {
            Err(core::fmt::Error)
        }
    }
}

/// A handler installed on a line; removed when dropped, after waiting until it no longer runs.
///
/// # Invariants
///
/// If `installed`, the handler is installed, with a pointer to the object as its argument.
#[pin_data(PinnedDrop)]
pub struct Irq<H: Handler> {
    handler: H,
    name: Name,
    // Dropped after the handler was removed.
    line: Line,
    sharing: Sharing,
    installed: bool,
    // The kernel has pointers to the object and the name, and uses them on other processors.
    #[pin]
    _pin: PhantomPinned,
}

impl<H: Handler> Irq<H> {
    /// Installs `handler` on `line`; it may run before this returns. May sleep.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is a handler that does not share the line, or one and this does not;
    /// `ENOMEM`; what else `request_irq()` fails with.
    pub fn request(
        line: Line,
        sharing: Sharing,
        name: fmt::Arguments<'_>,
        handler: H,
    ) -> Result<Pin<KBox<Self>>> {
        let name = Name::new(name);
        KBox::try_pin_init(
            try_pin_init!(&this in Self {
                handler,
                name,
                line,
                sharing,
                installed: true,
                _pin: PhantomPinned,
                // INVARIANT: This is what the invariant says; the fields before are initialized.
                _: {
                    let this = this.as_ptr();
                    // SAFETY: The fields before are initialized, and the object is pinned.
                    unsafe { Self::install(line, *sharing, this)? };
                },
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Puts `handler` in the place of the one there is. In between, when `between` is run, there is none, and
    /// the line is shut down unless others share it. May sleep.
    ///
    /// # Errors
    ///
    /// What `request_irq()` fails with. The old handler is back then, unless that fails as well.
    pub fn exchange(self: Pin<&mut Self>, handler: H, between: impl FnOnce()) -> Result {
        // SAFETY: Nothing is moved but the handler, which is not pinned structurally.
        let this = unsafe { self.get_unchecked_mut() };
        this.uninstall();
        let old = core::mem::replace(&mut this.handler, handler);
        between();
        this.reinstall().inspect_err(|_| {
            this.handler = old;
            // What the caller is told is why the new one is not installed.
            let _ = this.reinstall();
        })
    }

    /// The line.
    #[inline]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Removes the handler, if it is installed, and waits until it no longer runs.
    fn uninstall(&mut self) {
        if !self.installed {
            return;
        }
        // SAFETY: By the type invariant the handler is installed with this argument.
        unsafe { bindings::free_irq(self.line.irq, core::ptr::from_mut(self).cast()) };
        Self::set_unlazy(&self.line, self.sharing, false);
        self.installed = false;
    }

    /// Installs the handler once more. The object must be pinned, which it is once it is made.
    fn reinstall(&mut self) -> Result {
        let this = core::ptr::from_mut(self);
        // INVARIANT: So it is if the call succeeds. Set before, as the handler may run by then.
        self.installed = true;
        // SAFETY: The fields are initialized, and stay so; the object is pinned, as `request` is the only way to
        // make one.
        let installed = unsafe { Self::install(&(*this).line, (*this).sharing, this) };
        installed.inspect_err(|_| self.installed = false)
    }

    /// Installs the handler of `this`.
    ///
    /// # Safety
    ///
    /// All fields of `this` must be initialized, and stay so and where they are until `free_irq`.
    unsafe fn install(line: &Line, sharing: Sharing, this: *mut Self) -> Result {
        let flags = match sharing {
            Sharing::Shared => bindings::IRQF_SHARED,
            Sharing::ExclusiveMasked { enabled: false } => bindings::IRQF_NO_AUTOEN,
            Sharing::Exclusive | Sharing::ExclusiveMasked { enabled: true } => 0,
        };
        Self::set_unlazy(line, sharing, true);
        // SAFETY: `this` and the name in it, which ends in a zero byte, stay valid until `free_irq`
        // by the contract of this function; `callback` takes a pointer to `this`.
        let ret = to_result(unsafe {
            bindings::request_irq(
                line.irq,
                Some(Self::callback),
                // CAST: Lossless, no platform has a shorter `unsigned long`.
                flags as c_ulong,
                (&raw const (*this).name.bytes).cast(),
                this.cast(),
            )
        });
        if ret.is_err() {
            Self::set_unlazy(line, sharing, false);
        }
        ret
    }

    fn set_unlazy(line: &Line, sharing: Sharing, on: bool) {
        if let Sharing::ExclusiveMasked { .. } = sharing {
            // CAST: Lossless, no platform has a shorter `unsigned long`.
            let flag = bindings::IRQ_DISABLE_UNLAZY as c_ulong;
            let (clear, set) = if on { (0, flag) } else { (flag, 0) };
            // SAFETY: May be called with any number.
            unsafe { bindings::irq_modify_status(line.irq, clear, set) };
        }
    }

    /// Has the handler called.
    ///
    /// Called by: `__handle_irq_event_percpu()`, as `irqaction.handler`, by `request_irq()`.
    ///
    /// Context: interrupt.
    ///
    /// # Safety
    ///
    /// For the kernel only, to which `install` gave it.
    unsafe extern "C" fn callback(_irq: c_int, this: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: `this` is what `install` gave, valid until `free_irq` returns; until then the handler is only
        // shared.
        let handler = unsafe { &(*this.cast::<Self>()).handler };
        versions::irqreturn(handler.handle() as u32)
    }
}

#[pinned_drop]
impl<H: Handler> PinnedDrop for Irq<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Nothing is moved.
        unsafe { self.get_unchecked_mut() }.uninstall();
    }
}
