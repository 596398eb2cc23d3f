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
#[cfg(CONFIG_VFIO_PCI_DMABUF)]
use kernel::sync::Arc;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    }, //
};
use vfio_kapi::{
    debugfs::Folder,
    pci::vga,
    pci_core_device::PciCoreDevice, //
};

pub(crate) use vfio_kapi::pci_core_device::fields::Flag;

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
