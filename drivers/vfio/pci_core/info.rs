// SPDX-License-Identifier: GPL-2.0

//! What a device tells of itself, and the interrupts that the user sets.

use crate::{
    config,
    intrs,
    state::{
        Device,
        Flag, //
    }, //
};
use kernel::{
    ffi::c_int,
    prelude::*, //
};
use vfio_kapi::{
    irq_set,
    pci,
    uaccess::UserArg,
    uapi::{
        vfio_device_info,
        vfio_device_info_cap_pci_atomic_comp,
        vfio_irq_info, //
    }, //
};
use vfio_logic::{
    irq,
    pci::{
        irq_flags,
        ATOMIC_COMPLETERS, //
    },
    region::NUM_REGIONS, //
};

const FLAG_RESET: u32 = vfio_kapi::uapi::VFIO_DEVICE_FLAGS_RESET;
const FLAG_PCI: u32 = vfio_kapi::uapi::VFIO_DEVICE_FLAGS_PCI;
const FLAG_CAPS: u32 = vfio_kapi::uapi::VFIO_DEVICE_FLAGS_CAPS;
const CAP_ATOMIC_COMP: u16 = vfio_kapi::uapi::VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP as u16;

/// The size of the part of `struct vfio_device_info` that has always been there.
const DEVICE_INFO_MINSZ: usize = core::mem::offset_of!(vfio_device_info, cap_offset);

/// `VFIO_DEVICE_GET_INFO`
///
/// # Errors
///
/// `EFAULT`; `EINVAL` if the argument is too short; `EIO` if the device cannot be woken up.
pub(crate) fn device(dev: &Device, arg: UserArg) -> Result {
    let mut info: vfio_device_info = pin_init::zeroed();
    arg.fill_argsz(&mut info, DEVICE_INFO_MINSZ)?;
    let argsz = info.argsz as usize;
    let added = u32::try_from(dev.regions().len())?;

    info.flags = FLAG_PCI;
    if dev.has(Flag::ResetWorks) {
        info.flags |= FLAG_RESET;
    }
    info.num_regions = NUM_REGIONS.saturating_add(added);
    info.num_irqs = irq::NUM;

    if let Some(cap) = atomic_cap(dev) {
        const START: usize = size_of::<vfio_device_info>();
        const END: usize = START + size_of::<vfio_device_info_cap_pci_atomic_comp>();
        info.flags |= FLAG_CAPS;
        // CAST: The sizes are small.
        if argsz < END {
            info.argsz = END as u32;
        } else {
            arg.offset(START).write(&cap)?;
            info.cap_offset = START as u32;
        }
    }
    arg.write_prefix(&info, argsz)
}

/// The capability that tells which AtomicOps the root port completes; `None` if it completes none.
///
/// Asking lets the function send them: for this the user needs not do more than ask, in C as well.
fn atomic_cap(dev: &Device) -> Option<vfio_device_info_cap_pci_atomic_comp> {
    if !pci::is_express(dev.pdev()) {
        return None;
    }
    let pdev = pci::physfn(dev.pdev());
    let own = pci::device_capabilities2(pdev);
    let flags = ATOMIC_COMPLETERS
        .into_iter()
        .filter(|(cap, _)| own & cap != 0 && pci::enable_atomic_ops_to_root(pdev, *cap).is_ok())
        .fold(0, |flags, (_, flag)| flags | flag);
    (flags != 0).then(|| {
        let mut cap = vfio_device_info_cap_pci_atomic_comp::default();
        cap.header.id = CAP_ATOMIC_COMP;
        cap.header.version = 1;
        cap.flags = flags;
        cap
    })
}

/// The number of interrupts of an index.
fn irq_count(dev: &Device, index: u32) -> u32 {
    match index {
        irq::INTX => u32::from(config::interrupt_pin(dev) != 0),
        irq::MSI => dev.state().msi_vectors.get(),
        irq::MSIX => dev.msix_vectors(),
        irq::ERR | irq::REQ => 1,
        _ => 0,
    }
}

/// `VFIO_DEVICE_GET_IRQ_INFO`
///
/// # Errors
///
/// `EFAULT`; `EINVAL` if the argument is too short or there is no such interrupt.
pub(crate) fn irq(dev: &Device, arg: UserArg) -> Result {
    let mut info: vfio_irq_info = pin_init::zeroed();
    arg.fill_argsz(&mut info, size_of::<vfio_irq_info>())?;
    info.flags = irq_flags(info.index, dev.has(Flag::HasDynMsix))?;
    info.count = irq_count(dev, info.index);
    arg.write(&info)
}

/// `VFIO_DEVICE_SET_IRQS`
///
/// # Errors
///
/// `EFAULT`, `ENOMEM`; those of `vfio_set_irqs_validate_and_prepare()` and [`intrs::set_irqs`].
pub(crate) fn set_irqs(dev: &Device, arg: UserArg) -> Result<c_int> {
    let mut header = irq_set::Header::read(arg)?;
    let max = irq_count(dev, header.index());
    let len = header.check(max, irq::NUM)?;

    let data = match len {
        0 => None,
        len => {
            let mut data = KVec::with_capacity(len, GFP_KERNEL_ACCOUNT)?;
            data.resize(len, 0u8, GFP_KERNEL_ACCOUNT)?;
            arg.offset(irq_set::Header::SIZE).read_bytes(&mut data)?;
            Some(data)
        }
    };
    intrs::set_irqs(
        dev,
        header.flags(),
        header.index(),
        header.start(),
        header.count(),
        data.as_deref().unwrap_or_default(),
    )
}
