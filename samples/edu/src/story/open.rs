// SPDX-License-Identifier: GPL-2.0

//! Opening the container and the group, joining them, and choosing the IOMMU.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use vfio_bindings::bindings::vfio;

use crate::host::PciDevice;
use crate::ioctl;
use crate::iommu_info::IommuCapabilities;
use crate::memory::PAGE;
use crate::transcript::Hex;
use crate::transcript::Transcript;

/// The file every container is opened by.
const CONTAINER: &str = "/dev/vfio/vfio";

/// What is between the device and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iommu {
    /// An IOMMU with page tables: `VFIO_TYPE1v2_IOMMU`.
    Type1v2,
    /// Nothing: `VFIO_NOIOMMU_IOMMU`.
    None,
}

impl Iommu {
    /// Its number, for `VFIO_SET_IOMMU`.
    pub fn number(self) -> u32 {
        match self {
            Self::Type1v2 => vfio::VFIO_TYPE1v2_IOMMU,
            Self::None => vfio::VFIO_NOIOMMU_IOMMU,
        }
    }

    /// The file of the device's group.
    fn group_path(self, device: &PciDevice) -> Result<PathBuf> {
        let prefix = match self {
            Self::Type1v2 => "",
            Self::None => "noiommu-",
        };
        Ok(Path::new("/dev/vfio").join(format!("{prefix}{}", device.group()?)))
    }
}

/// A group in a container.
pub struct Opened {
    /// The container: an IOMMU address space.
    pub container: File,
    /// The group: what the IOMMU can keep apart, here with one device.
    pub group: File,
    /// The group's file in `/dev/vfio`.
    pub group_path: PathBuf,
}

impl Opened {
    /// Opens and joins both and sets the IOMMU, without telling of each step.
    pub fn again(device: &PciDevice, iommu: Iommu) -> Result<Self> {
        let group_path = iommu.group_path(device)?;
        let container = open(CONTAINER).context(CONTAINER)?;
        let group = open(&group_path).with_context(|| group_path.display().to_string())?;
        ioctl::set_container(&group, &container)?;
        ioctl::set_iommu(&container, iommu.number())?;
        Ok(Self {
            container,
            group,
            group_path,
        })
    }
}

/// Opens a file of `/dev/vfio`.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Opens both and puts the group into the container.
pub fn container_and_group(t: &mut Transcript, device: &PciDevice, iommu: Iommu) -> Result<Opened> {
    t.chapter("The container and the group");
    let driver = device.driver().context("no driver (see bind.sh)")?;
    t.equal("the device's driver", driver.as_str(), "vfio-pci")?;
    let group_path = iommu.group_path(device)?;

    let container = t.succeed(&format!("open {CONTAINER}, a container"), open(CONTAINER))?;
    let version = ioctl::api_version(&container)?;
    t.equal("VFIO API version", version, vfio::VFIO_API_VERSION)?;
    extensions(t, &container, iommu)?;
    t.refused(
        "IOMMU information is refused to a container without a group",
        ioctl::iommu_info(&container),
        libc::EINVAL,
    )?;

    let what = format!("open {}, the device's group", group_path.display());
    let group = t.succeed(&what, open(&group_path))?;
    t.refused("a second open of the group", open(&group_path), libc::EBUSY)?;
    let flags = ioctl::group_flags(&group)?;
    t.equal(
        "group flags: viable, not yet in a container",
        Hex(flags),
        Hex(vfio::VFIO_GROUP_FLAGS_VIABLE),
    )?;
    t.succeed(
        "put the group into the container",
        ioctl::set_container(&group, &container),
    )?;
    let flags = ioctl::group_flags(&group)?;
    t.equal(
        "group flags: viable, in a container",
        Hex(flags),
        Hex(vfio::VFIO_GROUP_FLAGS_VIABLE | vfio::VFIO_GROUP_FLAGS_CONTAINER_SET),
    )?;
    t.refused(
        "the device is refused while no IOMMU guards it",
        ioctl::device_fd(&group, &device.name()?),
        libc::EINVAL,
    )?;
    Ok(Opened {
        container,
        group,
        group_path,
    })
}

/// Asks the container which extensions there are.
fn extensions(t: &mut Transcript, container: &File, iommu: Iommu) -> Result<()> {
    let type1 = [
        ("VFIO_TYPE1_IOMMU", vfio::VFIO_TYPE1_IOMMU),
        ("VFIO_TYPE1v2_IOMMU", vfio::VFIO_TYPE1v2_IOMMU),
        ("VFIO_UNMAP_ALL", vfio::VFIO_UNMAP_ALL),
    ];
    let coherent = [("VFIO_DMA_CC_IOMMU", vfio::VFIO_DMA_CC_IOMMU)];
    let vaddr = [("VFIO_UPDATE_VADDR", vfio::VFIO_UPDATE_VADDR)];
    let none = [("VFIO_NOIOMMU_IOMMU", vfio::VFIO_NOIOMMU_IOMMU)];
    // Without an IOMMU the type1 module need not be loaded; if it is, it answers.
    let (needed, others) = match iommu {
        Iommu::Type1v2 => (&type1[..], [&coherent[..], &vaddr, &none]),
        Iommu::None => (&none[..], [&type1[..], &coherent, &vaddr]),
    };
    for (name, number) in needed {
        let answer = ioctl::check_extension(container, *number)?;
        t.equal(&format!("extension {name}"), answer, 1)?;
    }
    for (name, number) in others.concat() {
        let answer = ioctl::check_extension(container, number)?;
        t.note(format!("extension {name}: {answer}"));
    }
    let unheard = ioctl::check_extension(container, 0xbad)?;
    t.equal("an extension nobody has heard of", unheard, 0)
}

/// Chooses TYPE1v2 and asks the IOMMU about itself.
pub fn iommu(t: &mut Transcript, opened: &Opened) -> Result<IommuCapabilities> {
    t.chapter("The IOMMU");
    let container = &opened.container;
    t.succeed(
        "set the container's IOMMU to TYPE1v2",
        ioctl::set_iommu(container, vfio::VFIO_TYPE1v2_IOMMU),
    )?;

    let info = ioctl::iommu_info(container)?;
    let both = vfio::VFIO_IOMMU_INFO_PGSIZES | vfio::VFIO_IOMMU_INFO_CAPS;
    t.equal(
        "information: page sizes and capabilities",
        Hex(info.flags),
        Hex(both),
    )?;
    t.require(
        "page sizes (a bit for each)",
        info.iova_pgsizes & PAGE as u64 != 0,
        "4 KiB pages among them",
        Hex(info.iova_pgsizes),
    )?;
    t.require(
        "size of the answer with its capabilities, in bytes",
        info.argsz > 24 && info.cap_offset == 0,
        "more than the fixed part, and no chain in what was too small for it",
        info.argsz,
    )?;

    let bytes = ioctl::iommu_info_bytes(container, info.argsz)?;
    let capabilities = t.succeed(
        "walk the capability chain",
        IommuCapabilities::parse(&bytes),
    )?;
    t.require(
        "capability: IOVA ranges",
        !capabilities.ranges.is_empty(),
        "at least one",
        capabilities.ranges.len(),
    )?;
    for range in &capabilities.ranges {
        t.note(format!("{:#x} - {:#x}", range.start, range.end));
    }
    let mappings = capabilities.mappings.unwrap_or(0);
    t.require(
        "capability: mappings that may still be made",
        mappings > 0,
        "at least one",
        mappings,
    )?;
    if let Some(size) = capabilities.dirty_bitmap {
        t.note(format!(
            "capability: dirty page tracking, bitmaps up to {size:#x} bytes"
        ));
    }
    for id in &capabilities.unknown {
        t.note(format!("capability {id}, which this program does not know"));
    }
    Ok(capabilities)
}
