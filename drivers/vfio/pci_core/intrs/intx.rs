// SPDX-License-Identifier: GPL-2.0

//! Delivery by the interrupt pin.
//!
//! The rules (`vfio_logic::irq_intx`) run under a spinlock with interrupts off, as the handler, the
//! ioctl, config space and the user's unmask eventfd all get there. Eventfds are signalled outside
//! of it: the unmask eventfd has its wait queue locked when it gets there, and may be the same one.

use crate::state::{
    Device,
    Flag, //
};
use kernel::{
    irq::IrqReturn,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};
use vfio_kapi::{
    eventfd::{
        EventFd,
        EventFdSlot, //
    },
    irq::{
        Handler,
        Irq,
        Line,
        Sharing, //
    },
    pci::intx,
    versions::{
        new_spinlock_irq,
        SpinLockIrq, //
    },
    virqfd::{
        Target,
        Virqfd, //
    }, //
};
use vfio_logic::irq_intx::{
    self as rules,
    Interrupt,
    Masking, //
};

/// The pin of a function, as the rules act on it.
struct Hardware<'a> {
    dev: &'a Device,
    line: Line,
}

impl rules::Pin for Hardware<'_> {
    fn mask_function(&self) {
        intx::set_enabled(self.dev.pdev(), false);
    }

    fn check_and_mask_function(&self) -> bool {
        intx::check_and_mask(self.dev.pdev())
    }

    fn check_and_unmask_function(&self) -> bool {
        intx::check_and_unmask(self.dev.pdev())
    }

    fn disable_line(&self) {
        self.line.disable_nosync();
    }

    fn enable_line(&self) {
        self.line.enable();
    }
}

/// What the handler, the unmask eventfd and the ioctl share.
#[pin_data]
struct Shared {
    dev: ARef<Device>,
    line: Line,
    #[pin]
    rules: SpinLockIrq<rules::Intx>,
    trigger: EventFdSlot,
}

impl Shared {
    fn hardware(&self) -> Hardware<'_> {
        Hardware {
            dev: &self.dev,
            line: self.line.clone(),
        }
    }

    fn mask(&self) -> bool {
        self.rules.lock().mask(&self.hardware())
    }

    /// Returns whether the user is to be signalled.
    fn unmask(&self) -> bool {
        let mut rules = self.rules.lock();
        rules.unmask(&self.hardware(), self.dev.virq_disabled())
    }

    fn signal(&self) {
        if !self.dev.virq_disabled() {
            self.trigger.signal();
        }
    }
}

/// What is installed on the line.
struct OnInterrupt(Arc<Shared>);

impl Handler for OnInterrupt {
    fn handle(&self) -> IrqReturn {
        let shared = &*self.0;
        let what = shared.rules.lock().interrupt(&shared.hardware());
        match what {
            Interrupt::NotOurs => IrqReturn::None,
            Interrupt::Late => IrqReturn::Handled,
            Interrupt::Ours => {
                shared.signal();
                IrqReturn::Handled
            }
        }
    }
}

impl Target for Shared {
    fn wake(&self) -> bool {
        self.unmask()
    }

    fn work(&self) {
        self.signal();
    }
}

/// Delivery by the pin; ends when dropped.
pub(super) struct Intx {
    // Dropped in this order: nobody unmasks any more, then there are no more interrupts.
    unmask_by: Pin<KBox<Virqfd<Shared>>>,
    _irq: Pin<KBox<Irq<OnInterrupt>>>,
    shared: Arc<Shared>,
}

impl Intx {
    /// Starts delivery to `trigger`.
    ///
    /// The pin starts out masked if the user disabled it in the command register.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the pin is wired to nothing, `ENOMEM`, or what [`Irq::request`] fails with.
    pub(super) fn enable(dev: &Device, trigger: Option<EventFd>) -> Result<Self> {
        let pdev = dev.pdev();
        let line = intx::line(pdev).ok_or(ENODEV)?;
        let masked = dev.virq_disabled();
        let masking = if dev.has(Flag::Pci23) {
            Masking::Function
        } else {
            Masking::Controller
        };

        let shared = Arc::pin_init(
            pin_init!(Shared {
                dev: dev.into(),
                line,
                rules <- new_spinlock_irq!(rules::Intx::new(masking, masked)),
                trigger: EventFdSlot::new(trigger),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let unmask_by = KBox::pin_init(Virqfd::new(shared.clone()), GFP_KERNEL_ACCOUNT)?;

        // Interrupt Disable of the function follows the mask. Installing a handler does not change
        // it, so it is right before.
        let sharing = match masking {
            Masking::Function => {
                intx::set_enabled(pdev, !masked);
                Sharing::Shared
            }
            Masking::Controller => Sharing::ExclusiveMasked { enabled: !masked },
        };
        let _irq = Irq::request(
            shared.line.clone(),
            sharing,
            fmt!("vfio-intx({})", dev.vfio().parent().name().to_str()?),
            OnInterrupt(shared.clone()),
        )?;
        Ok(Self {
            unmask_by,
            _irq,
            shared,
        })
    }

    /// Delivers to `trigger` instead.
    pub(super) fn replace(&self, trigger: Option<EventFd>) {
        self.shared.trigger.replace(trigger);
    }

    /// Signals the user as an interrupt does.
    pub(super) fn signal(&self) {
        self.shared.signal();
    }

    /// Masks the pin; returns whether it was not before.
    pub(super) fn mask(&self) -> bool {
        self.shared.mask()
    }

    /// Unmasks the pin, and signals the user again if the device asserts it.
    pub(super) fn unmask(&self) {
        if self.shared.unmask() {
            self.shared.signal();
        }
    }

    /// Unmasks the pin whenever `fd` is signalled; when there is none, no longer does so.
    ///
    /// # Errors
    ///
    /// Those of [`Virqfd::enable`].
    pub(super) fn unmask_by(&mut self, fd: Option<i32>) -> Result {
        match fd {
            Some(fd) => self.unmask_by.as_mut().enable(fd),
            None => {
                self.unmask_by.as_mut().disable();
                Ok(())
            }
        }
    }
}
