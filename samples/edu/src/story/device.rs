// SPDX-License-Identifier: GPL-2.0

//! Opening the device: what it says of itself, and its configuration space.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Context;
use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::edu;
use crate::host::PciDevice;
use crate::ioctl;
use crate::pci;
use crate::story::open::Opened;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// The names of the regions, by their index.
const REGIONS: [&str; vfio::VFIO_PCI_NUM_REGIONS as usize] = [
    "BAR 0", "BAR 1", "BAR 2", "BAR 3", "BAR 4", "BAR 5", "ROM", "config", "VGA",
];

/// The names of the interrupts, by their index.
const IRQS: [&str; vfio::VFIO_PCI_NUM_IRQS as usize] = ["INTx", "MSI", "MSI-X", "ERR", "REQ"];

/// An open device.
pub struct Device {
    /// The device's file.
    pub file: File,
    /// Whether it can be reset.
    pub resettable: bool,
    /// BAR 0, as `VFIO_DEVICE_GET_REGION_INFO` describes it.
    pub bar: vfio::vfio_region_info,
    /// Where the configuration space is in the file.
    config: u64,
}

impl Device {
    /// Reads a 16-bit register of the configuration space.
    pub fn config16(&self, register: u64) -> Result<u16> {
        let mut bytes = [0; 2];
        self.read_config(register, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// Reads a 32-bit register of the configuration space.
    pub fn config32(&self, register: u64) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read_config(register, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Reads bytes of the configuration space.
    fn read_config(&self, register: u64, bytes: &mut [u8]) -> Result<()> {
        let read = self.file.read_exact_at(bytes, self.config + register);
        read.with_context(|| format!("reading {register:#x} of the configuration space"))
    }

    /// Writes bytes to the configuration space.
    fn write_config(&self, register: u64, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all_at(bytes, self.config + register);
        written.with_context(|| format!("writing {register:#x} of the configuration space"))
    }

    /// `VFIO_DEVICE_SET_IRQS`: the `action` (`VFIO_IRQ_SET_ACTION_*`) on interrupt 0 of `index`,
    /// without data.
    pub fn irq(&self, index: u32, action: u32) -> ioctl::Result<()> {
        let flags = vfio::VFIO_IRQ_SET_DATA_NONE | action;
        ioctl::set_irqs(&self.file, index, flags, 1, &[])
    }

    /// `VFIO_DEVICE_SET_IRQS`: the eventfd `fd` for the `action` on interrupt 0 of `index`.
    pub fn irq_eventfd(&self, index: u32, action: u32, fd: i32) -> ioctl::Result<()> {
        let flags = vfio::VFIO_IRQ_SET_DATA_EVENTFD | action;
        ioctl::set_irqs(&self.file, index, flags, 1, &[fd])
    }

    /// `VFIO_DEVICE_SET_IRQS`: gives up all interrupts of `index`.
    pub fn irq_off(&self, index: u32) -> ioctl::Result<()> {
        let flags = vfio::VFIO_IRQ_SET_DATA_NONE | vfio::VFIO_IRQ_SET_ACTION_TRIGGER;
        ioctl::set_irqs(&self.file, index, flags, 0, &[])
    }
}

/// Opens the device through its group and looks at it.
pub fn open(t: &mut Transcript, opened: &Opened, host: &PciDevice) -> Result<Device> {
    t.chapter("The device");
    t.refused(
        "a device that is not in the group",
        ioctl::device_fd(&opened.group, c"ffff:ff:1f.7"),
        libc::ENODEV,
    )?;
    let file = t.succeed(
        &format!("open {}", host.address),
        ioctl::device_fd(&opened.group, &host.name()?),
    )?;
    let info = ioctl::device_info(&file)?;
    t.require(
        "device flags",
        info.flags & vfio::VFIO_DEVICE_FLAGS_PCI != 0,
        "a PCI device",
        Hex(info.flags),
    )?;
    let resettable = info.flags & vfio::VFIO_DEVICE_FLAGS_RESET != 0;
    t.require(
        "number of regions",
        info.num_regions >= vfio::VFIO_PCI_NUM_REGIONS,
        "9 or more",
        info.num_regions,
    )?;
    t.equal(
        "number of interrupt indexes",
        info.num_irqs,
        vfio::VFIO_PCI_NUM_IRQS,
    )?;

    let (bar, config) = regions(t, &file)?;
    irqs(t, &file)?;
    let device = Device {
        file,
        resettable,
        bar,
        config,
    };
    config_space(t, &device)?;
    Ok(device)
}

/// Looks at the regions; BAR 0, and where the configuration space is.
fn regions(t: &mut Transcript, file: &File) -> Result<(vfio::vfio_region_info, u64)> {
    for (index, name) in (0..).zip(REGIONS) {
        match ioctl::region_info(file, index) {
            Ok(region) => t.note(format!(
                "region {index} {name:6} size {:#8x} at {:#14x} {}",
                region.size,
                region.offset,
                region_flags(region.flags)
            )),
            Err(error) => t.note(format!("region {index} {name:6} {error}")),
        }
    }
    let bar = ioctl::region_info(file, vfio::VFIO_PCI_BAR0_REGION_INDEX)?;
    t.equal("size of BAR 0", Hex(bar.size), Hex(edu::BAR_SIZE))?;
    let all = vfio::VFIO_REGION_INFO_FLAG_READ
        | vfio::VFIO_REGION_INFO_FLAG_WRITE
        | vfio::VFIO_REGION_INFO_FLAG_MMAP;
    t.equal(
        "BAR 0 can be read, written, mapped",
        Hex(bar.flags & all),
        Hex(all),
    )?;
    let config = ioctl::region_info(file, vfio::VFIO_PCI_CONFIG_REGION_INDEX)?;
    t.require(
        "size of the configuration space",
        config.size >= pci::CONFIG_SIZE as u64,
        "256 or more",
        config.size,
    )?;
    t.refused(
        "the VGA region of what is no graphics card",
        ioctl::region_info(file, vfio::VFIO_PCI_VGA_REGION_INDEX),
        libc::EINVAL,
    )?;
    Ok((bar, config.offset))
}

/// Region flags in words.
fn region_flags(flags: u32) -> String {
    let words = [
        (vfio::VFIO_REGION_INFO_FLAG_READ, "read"),
        (vfio::VFIO_REGION_INFO_FLAG_WRITE, "write"),
        (vfio::VFIO_REGION_INFO_FLAG_MMAP, "mmap"),
        (vfio::VFIO_REGION_INFO_FLAG_CAPS, "caps"),
    ];
    set_words(flags, &words)
}

/// Interrupt flags in words.
fn irq_flags(flags: u32) -> String {
    let words = [
        (vfio::VFIO_IRQ_INFO_EVENTFD, "eventfd"),
        (vfio::VFIO_IRQ_INFO_MASKABLE, "maskable"),
        (vfio::VFIO_IRQ_INFO_AUTOMASKED, "automasked"),
        (vfio::VFIO_IRQ_INFO_NORESIZE, "noresize"),
    ];
    set_words(flags, &words)
}

/// The words of the bits set in `flags`.
fn set_words(flags: u32, words: &[(u32, &str)]) -> String {
    let set: Vec<&str> = words
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, word)| *word)
        .collect();
    set.join(" ")
}

/// Looks at the interrupts.
fn irqs(t: &mut Transcript, file: &File) -> Result<()> {
    for (index, name) in (0..).zip(IRQS) {
        let irq = ioctl::irq_info(file, index)?;
        t.note(format!(
            "interrupt {index} {name:5} count {} {}",
            irq.count,
            irq_flags(irq.flags)
        ));
    }
    for (index, count) in [
        (vfio::VFIO_PCI_INTX_IRQ_INDEX, 1),
        (vfio::VFIO_PCI_MSI_IRQ_INDEX, 1),
        (vfio::VFIO_PCI_MSIX_IRQ_INDEX, 0),
        (vfio::VFIO_PCI_REQ_IRQ_INDEX, 1),
    ] {
        let name = IRQS[index as usize];
        let irq = ioctl::irq_info(file, index)?;
        t.equal(&format!("number of {name} interrupts"), irq.count, count)?;
    }
    let intx = ioctl::irq_info(file, vfio::VFIO_PCI_INTX_IRQ_INDEX)?;
    t.equal(
        "INTx is",
        irq_flags(intx.flags).as_str(),
        "eventfd maskable automasked",
    )
}

/// Reads the configuration space and switches the device on.
fn config_space(t: &mut Transcript, device: &Device) -> Result<()> {
    let mut config = [0; pci::CONFIG_SIZE];
    let read = device.file.read_exact_at(&mut config, device.config);
    t.succeed("read the configuration space", read)?;
    t.equal(
        "vendor and device ID",
        Hex(device.config32(pci::VENDOR_ID)?),
        Hex(edu::VENDOR_DEVICE),
    )?;
    let chain = t.succeed("walk the capability chain", pci::capabilities(&config))?;
    for capability in &chain {
        t.note(format!(
            "{:#04x}: capability {:#04x}, {}",
            capability.offset,
            capability.id,
            capability.name()
        ));
    }
    let has_msi = chain.iter().any(|cap| cap.id == pci::CAP_ID_MSI);
    t.require(
        "MSI is in the chain",
        has_msi,
        "yes",
        if has_msi { "yes" } else { "no" },
    )?;

    let bar = device.config32(pci::BASE_ADDRESS_0)?;
    device.write_config(pci::BASE_ADDRESS_0, &u32::MAX.to_le_bytes())?;
    let sized = device.config32(pci::BASE_ADDRESS_0)?;
    device.write_config(pci::BASE_ADDRESS_0, &bar.to_le_bytes())?;
    t.equal(
        "size of BAR 0 found by writing ones to its (virtual) register",
        Hex(pci::bar_size(sized)),
        Hex(edu::BAR_SIZE),
    )?;
    t.equal(
        "BAR 0 put back",
        Hex(device.config32(pci::BASE_ADDRESS_0)?),
        Hex(bar),
    )?;

    let on = pci::COMMAND_MEMORY | pci::COMMAND_MASTER;
    let command = device.config16(pci::COMMAND)?;
    t.equal(
        "a fresh device may not start DMA",
        Hex(command & pci::COMMAND_MASTER),
        Hex(0),
    )?;
    device.write_config(pci::COMMAND, &(command | on).to_le_bytes())?;
    t.equal(
        "memory and DMA switched on in the command register",
        Hex(device.config16(pci::COMMAND)? & on),
        Hex(on),
    )
}
