// SPDX-License-Identifier: GPL-2.0

//! What the core knows of a device beyond what C drivers see in `struct vfio_pci_core_device`.

#[cfg(CONFIG_VFIO_PCI_DMABUF)]
use crate::dma_buf::{
    self,
    DmaBufs, //
};
use crate::{
    config::Config,
    debugfs::Policy,
    intrs::Intrs,
    ioeventfd::IoEventFds,
    open::Opened,
    power::Power,
    sriov::Sriov, //
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};
use vfio_kapi::{
    debugfs::Folder,
    pci::vga,
    pci_core_device::PciCoreDevice, //
};
use vfio_logic::pci::MsixTable;

/// A PCI function behind VFIO.
pub(crate) type Device = PciCoreDevice<State>;

/// The core's own state of a [`Device`].
#[pin_data]
pub(crate) struct State {
    /// Configuration space as the user sees it.
    #[pin]
    pub(crate) config: Config,
    /// Interrupts and the eventfds they signal.
    #[pin]
    pub(crate) intrs: Intrs,
    /// INTx is not to be used: the function cannot be trusted to tell that it asserts it.
    pub(crate) nointx: Flag,
    /// INTx can be masked at the function itself, as PCI 2.3 has it.
    pub(crate) pci_2_3: Flag,
    /// The user set INTx Disable in the (virtual) command register.
    pub(crate) virq_disabled: Flag,
    /// The function can be reset alone.
    pub(crate) reset_works: Flag,
    /// The function was closed without having been reset. Changed under the lock of the device set.
    pub(crate) needs_reset: Flag,
    /// The user gets the legacy VGA ranges.
    pub(crate) has_vga: Flag,
    /// Which BARs the user may map, a bit each.
    pub(crate) mappable: Mappable,
    /// Where the MSI-X table is.
    pub(crate) msix: MsixLocation,
    /// How many MSI vectors the function can have.
    pub(crate) msi_vectors: Count,
    /// What is there only while the device is open.
    #[pin]
    pub(crate) opened: Mutex<Opened>,
    /// Power management.
    #[pin]
    pub(crate) power: Power,
    /// Virtual functions and the token of their users.
    #[pin]
    pub(crate) sriov: Sriov,
    /// Eventfds that write to device memory.
    #[pin]
    pub(crate) ioeventfds: IoEventFds,
    /// Buffers by which other devices reach the device's memory.
    #[cfg(CONFIG_VFIO_PCI_DMABUF)]
    pub(crate) dma_bufs: Arc<DmaBufs>,
    /// The registration with the VGA arbiter.
    #[pin]
    pub(crate) vga: Mutex<Option<vga::Client>>,
    /// The files in debugfs, while it is registered.
    #[pin]
    pub(crate) debugfs: Mutex<Option<Folder<Policy>>>,
}

impl State {
    /// The state of a device that nobody opened yet.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            config <- Config::new(),
            intrs <- Intrs::new(),
            nointx: Flag::new(),
            pci_2_3: Flag::new(),
            virq_disabled: Flag::new(),
            reset_works: Flag::new(),
            needs_reset: Flag::new(),
            has_vga: Flag::new(),
            mappable: Mappable(Atomic::new(0)),
            msix: MsixLocation(AtomicU64::new(0)),
            msi_vectors: Count(Atomic::new(0)),
            opened <- new_mutex!(Opened::default(), "vfio_pci_opened"),
            power <- Power::new(),
            sriov <- Sriov::new(),
            ioeventfds <- IoEventFds::new(),
            #[cfg(CONFIG_VFIO_PCI_DMABUF)]
            dma_bufs: dma_buf::none()?,
            vga <- new_mutex!(None, "vfio_pci_vga"),
            debugfs <- new_mutex!(None, "vfio_pci_debugfs"),
        })
    }
}

/// Something about a device that is so or not; each on its own, in no order with anything else.
pub(crate) struct Flag(Atomic<bool>);

impl Flag {
    /// It is not so.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(false))
    }

    /// Whether it is so right now.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Sets whether it is so.
    pub(crate) fn set(&self, value: bool) {
        self.0.store(value, Relaxed);
    }
}

/// Which BARs the user may map. Written when the device is opened, before the user has it.
pub(crate) struct Mappable(Atomic<u32>);

impl Mappable {
    /// Whether the user may map the BAR.
    pub(crate) fn has(&self, bar: u32) -> bool {
        let bit = 1u32.checked_shl(bar).unwrap_or(0);
        self.0.load(Relaxed) & bit != 0
    }

    /// Sets which BARs the user may map.
    pub(crate) fn set(&self, bars: u32) {
        self.0.store(bars, Relaxed);
    }
}

/// How many there are. Written when the device is opened, before the user has it.
pub(crate) struct Count(Atomic<u32>);

impl Count {
    /// How many there are.
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Sets how many there are.
    pub(crate) fn set(&self, count: u32) {
        self.0.store(count, Relaxed);
    }
}

/// Where the MSI-X table is. Written when the device is opened, before the user has it. Each access to a BAR
/// reads it, for which an [`Atomic`] makes a call.
pub(crate) struct MsixLocation(AtomicU64);

impl MsixLocation {
    /// Where the table is, if there is one.
    pub(crate) fn get(&self) -> Option<MsixTable> {
        let packed = self.0.load(Ordering::Relaxed);
        // CAST: These are the fields that `set` packed.
        let table = MsixTable {
            bar: (packed >> 48) as u32,
            offset: packed as u32,
            vectors: (packed >> 32) as u16,
        };
        (table.vectors != 0).then_some(table)
    }

    /// Sets where the table is.
    pub(crate) fn set(&self, table: Option<MsixTable>) {
        let packed = table.map_or(0, |t| {
            u64::from(t.bar) << 48 | u64::from(t.vectors) << 32 | u64::from(t.offset)
        });
        self.0.store(packed, Ordering::Relaxed);
    }
}
