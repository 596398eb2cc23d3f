// SPDX-License-Identifier: GPL-2.0

//! Intel graphics: the regions that its driver needs in a virtual machine.
//!
//! One shows the OpRegion of the firmware and the Video BIOS Table. The others are configuration space
//! of the host bridge and of the LPC bridge. All can be read only.

use kernel::{
    pci,
    prelude::*,
    sync::aref::ARef, //
};
use vfio_kapi::{
    memremap::Memremap,
    pci::{
        self as kapi,
        config,
        core_driver::CoreDevice,
        core_region::ReadRegion, //
    },
    uaccess::UserArg,
    uapi, //
};
use vfio_logic::{
    config::Width,
    igd::{
        field,
        Header,
        Layout,
        Part,
        ADDRESS_REGISTER,
        OPREGION_LEN,
        VENDOR, //
    },
    io::{
        step,
        Step, //
    }, //
};

const TYPE: u32 = uapi::VFIO_REGION_TYPE_PCI_VENDOR_TYPE | VENDOR as u32;

/// How much is copied at a time.
const PIECE: usize = 256;

/// The firmware's memory.
struct OpRegion {
    layout: Layout,
    opregion: Memremap,
    vbt: Option<Memremap>,
}

impl OpRegion {
    /// Maps the OpRegion that is at a physical address.
    fn new(address: u32) -> Result<Self> {
        let opregion = Memremap::new(address.into(), OPREGION_LEN)?;
        let header = Header {
            signature: opregion.bytes(field::SIGNATURE)?,
            size: u32::from_le_bytes(opregion.bytes(field::SIZE)?),
            version: u16::from_le_bytes(opregion.bytes(field::VERSION)?),
            rvda: u64::from_le_bytes(opregion.bytes(field::RVDA)?),
            rvds: u32::from_le_bytes(opregion.bytes(field::RVDS)?),
        };
        let layout = header.layout(address)?;
        let vbt = match layout.vbt() {
            Some(vbt) => Some(Memremap::new(vbt.address, vbt.len)?),
            None => None,
        };
        Ok(Self {
            layout,
            opregion,
            vbt,
        })
    }
}

impl ReadRegion for OpRegion {
    fn size(&self) -> usize {
        self.layout.len()
    }

    fn read(&self, pos: u64, count: usize, to: UserArg) -> Result {
        let mut piece = [0; PIECE];
        let mut done = 0;
        while done < count {
            let left = (count - done).min(PIECE);
            let (part, len) = self.layout.part(pos + done as u64, left)?;
            let piece = piece.get_mut(..len).ok_or(EINVAL)?;
            match part {
                Part::OpRegion(at) => {
                    self.opregion.read(at, piece)?;
                    self.layout.patch(at, piece);
                }
                Part::Vbt(at) => self.vbt.as_ref().ok_or(EINVAL)?.read(at, piece)?,
            }
            to.offset(done).writer(len).write_slice(piece)?;
            done += len;
        }
        Ok(())
    }
}

/// Configuration space of a bridge.
struct Bridge(ARef<pci::Device>);

impl Bridge {
    /// The function 0 of a device on the first bus, which has to be Intel's and of a class.
    fn new(device: u8, class: u32) -> Result<Self> {
        let pdev = kapi::find(0, 0, device << 3).ok_or(ENODEV)?;
        if pdev.vendor_id().as_raw() != VENDOR || pdev.pci_class().as_raw() != class {
            return Err(EINVAL);
        }
        Ok(Self(pdev))
    }
}

impl ReadRegion for Bridge {
    fn size(&self) -> usize {
        config::size(&self.0)
    }

    fn read(&self, pos: u64, count: usize, to: UserArg) -> Result {
        let mut done = 0;
        while done < count {
            let at = pos + done as u64;
            let Step::Access { width, .. } =
                step(at, count - done, &(0..0), vfio_logic::io::Width::Four)
            else {
                return Err(EINVAL);
            };
            let len = width.bytes();
            let width = match len {
                1 => Width::Byte,
                2 => Width::Word,
                _ => Width::Dword,
            };
            let value = config::user_read(&self.0, usize::try_from(at)?, width)?.to_le_bytes();
            let value = value.get(..len).ok_or(EINVAL)?;
            to.offset(done).writer(len).write_slice(value)?;
            done += len;
        }
        Ok(())
    }
}

fn add<T: ReadRegion>(dev: &CoreDevice, subtype: u32, region: T) -> Result {
    dev.add_region((TYPE, subtype), KBox::new(region, GFP_KERNEL_ACCOUNT)?)
}

/// Whether these regions are for a function.
pub(crate) fn is_graphics(pdev: &pci::Device) -> bool {
    pdev.vendor_id().as_raw() == VENDOR
        && pdev.pci_class().as_raw() >> 16 == kernel::bindings::PCI_BASE_CLASS_DISPLAY
}

/// Adds the regions to a device that is being opened. Those that there is no hardware for are missing.
///
/// # Errors
///
/// `EINVAL` if the firmware's memory or a bridge is not what it has to be; `ENOMEM`; that of the
/// device if it cannot be read.
pub(crate) fn add_regions(dev: &CoreDevice) -> Result {
    match try_add_regions(dev) {
        Err(e) if e == ENODEV => Ok(()),
        other => other,
    }
}

fn try_add_regions(dev: &CoreDevice) -> Result {
    let address = config::read_dword(dev.pdev(), ADDRESS_REGISTER)?;
    if matches!(address, 0 | u32::MAX) {
        return Err(ENODEV);
    }
    add(
        dev,
        uapi::VFIO_REGION_SUBTYPE_INTEL_IGD_OPREGION,
        OpRegion::new(address)?,
    )?;
    // A guest has its OpRegion elsewhere, and may note that here.
    dev.virtualize(ADDRESS_REGISTER, &address.to_le_bytes())?;

    let host = Bridge::new(0, kernel::bindings::PCI_CLASS_BRIDGE_HOST << 8)?;
    add(dev, uapi::VFIO_REGION_SUBTYPE_INTEL_IGD_HOST_CFG, host)?;
    let lpc = Bridge::new(0x1f, kernel::bindings::PCI_CLASS_BRIDGE_ISA << 8)?;
    add(dev, uapi::VFIO_REGION_SUBTYPE_INTEL_IGD_LPC_CFG, lpc)
}
