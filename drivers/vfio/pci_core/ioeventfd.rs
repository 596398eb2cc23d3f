// SPDX-License-Identifier: GPL-2.0

//! Eventfds that, when signalled, make the kernel write to a BAR.
//!
//! Order: [`IoEventFds::list`]; the write itself takes `memory_lock`.

use crate::{
    config,
    state::Device, //
};
use core::pin::Pin;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};
use vfio_kapi::{
    mmio,
    pci,
    refuse,
    uaccess::UserArg,
    uapi::vfio_device_ioeventfd,
    virqfd::{
        Target,
        Virqfd, //
    }, //
};
use vfio_logic::{
    io::{
        self,
        Width, //
    },
    region, //
};

/// How many a device can have: somewhere there has to be an end.
const MAX: usize = 1000;
/// `VFIO_DEVICE_IOEVENTFD_SIZE_MASK`: the flags that give the width, in bytes.
const SIZE_MASK: u32 = vfio_kapi::uapi::VFIO_DEVICE_IOEVENTFD_SIZE_MASK;
/// The size of the part of `struct vfio_device_ioeventfd` that has always been there.
const MINSZ: usize = core::mem::offset_of!(vfio_device_ioeventfd, fd) + size_of::<i32>();

/// The eventfds of a device.
#[pin_data]
pub(crate) struct IoEventFds {
    #[pin]
    list: Mutex<KVec<IoEventFd>>,
}

impl IoEventFds {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { list <- new_mutex!(KVec::new(), "vfio_pci_ioeventfds") })
    }
}

/// One eventfd, and what it makes the kernel write.
struct IoEventFd {
    // Dropped first: it waits until the write is no longer called for.
    _virqfd: Pin<KBox<Virqfd<BarWrite>>>,
    write: Arc<BarWrite>,
}

/// A write to a BAR.
struct BarWrite {
    // A reference cycle, through the state of the device: it ends when the device is closed.
    dev: ARef<Device>,
    bar: u32,
    pos: u64,
    width: Width,
    data: u64,
}

impl BarWrite {
    /// Writes, if memory accesses are answered. Must be called with `memory_lock` held if the BAR is
    /// memory.
    fn write(&self, memory: bool) {
        if memory && !config::memory_enabled(&self.dev) {
            return;
        }
        let Ok(mmio) = self.dev.bar(self.bar) else {
            return;
        };
        // Cannot fail: range and alignment were checked when the eventfd was set up.
        let _ = mmio.write(self.pos, self.width, self.data);
    }

    fn is_memory(&self) -> bool {
        pci::is_memory(self.dev.pdev(), self.bar)
    }
}

impl Target for BarWrite {
    fn wake(&self) -> bool {
        if !self.is_memory() {
            self.write(false);
            return false;
        }
        match self.dev.memory_lock().try_read() {
            Some(_guard) => {
                self.write(true);
                false
            }
            // Somebody changes whether the memory can be accessed: wait for that elsewhere.
            None => true,
        }
    }

    fn work(&self) {
        if self.is_memory() {
            let _guard = self.dev.memory_lock().read();
            self.write(true);
        } else {
            self.write(false);
        }
    }
}

/// `VFIO_DEVICE_IOEVENTFD`: makes an eventfd write to a BAR, or, with -1 for the eventfd, removes that.
///
/// # Errors
///
/// `EINVAL` for a bad argument, a range that is not in a BAR or that touches the MSI-X table; `EEXIST`
/// if there is an eventfd for the same write already, `ENODEV` if there is none to remove; `ENOSPC` if
/// there are too many; those of the BAR and of the eventfd.
pub(crate) fn ioctl(dev: &Device, arg: UserArg) -> Result {
    let request: vfio_device_ioeventfd = arg.read_argsz(MINSZ)?;
    if request.flags & !SIZE_MASK != 0 || request.fd < -1 {
        return Err(refuse!(
            EINVAL,
            "IOEVENTFD: unknown flags, or no descriptor"
        ));
    }
    let width = Width::exactly(request.flags)
        .ok_or_else(|| refuse!(EINVAL, "IOEVENTFD: not exactly one size"))?;
    let (bar, pos) = region::split(request.offset);
    if bar > region::BAR5 {
        return Err(refuse!(EINVAL, "IOEVENTFD: region {bar} is no BAR"));
    }
    let hole = dev.msix_table(bar).map_or(0..0, |table| table.range());
    if io::is_outside(pos, width, pci::resource_len(dev.pdev(), bar), &hole) {
        return Err(refuse!(
            EINVAL,
            "IOEVENTFD: {pos:#x} is not in BAR {bar}, or in the MSI-X table"
        ));
    }
    if !mmio::ANY_ALIGNMENT && !io::is_aligned(pos, width) {
        return Err(refuse!(
            EINVAL,
            "IOEVENTFD: {pos:#x} is no multiple of the size"
        ));
    }
    // Is it there at all?
    dev.bar(bar)?;

    let state = dev.state().get_ref();
    let mut list = state.ioeventfds.list.lock();
    let same = list.iter().position(|other| {
        let other = &other.write;
        (other.bar, other.pos, other.width, other.data) == (bar, pos, width, request.data)
    });
    if request.fd < 0 {
        // Dropped, that is waited for, with the list locked: nobody adds the same meanwhile.
        return match same {
            Some(i) => {
                drop(list.remove(i).map_err(|_| ENODEV)?);
                dev.set_ioeventfds(list.len());
                Ok(())
            }
            None => Err(ENODEV),
        };
    }
    if same.is_some() {
        return Err(EEXIST);
    }
    if list.len() >= MAX {
        return Err(ENOSPC);
    }
    list.reserve(1, GFP_KERNEL_ACCOUNT)?;
    let write = Arc::new(
        BarWrite {
            dev: dev.into(),
            bar,
            pos,
            width,
            data: request.data,
        },
        GFP_KERNEL_ACCOUNT,
    )?;
    let mut virqfd = KBox::pin_init(Virqfd::new(write.clone()), GFP_KERNEL_ACCOUNT)?;
    virqfd.as_mut().enable(request.fd)?;
    list.push(
        IoEventFd {
            _virqfd: virqfd,
            write,
        },
        GFP_KERNEL,
    )?;
    dev.set_ioeventfds(list.len());
    Ok(())
}

/// Removes all eventfds, and waits until none writes any more.
pub(crate) fn remove_all(dev: &Device) {
    let list = core::mem::take(&mut *dev.state().get_ref().ioeventfds.list.lock());
    drop(list);
    dev.set_ioeventfds(0);
}
