// SPDX-License-Identifier: GPL-2.0

//! What can be done with an open device.

use kernel::{
    fs::{
        File,
        LocalFile, //
    },
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};
use vfio_kapi::{
    chrdev::{
        ChrdevRegion,
        DeviceNode, //
    },
    device_lifecycle::Registered,
    device_open::Opened,
    fops::{
        FileOperations,
        FileOps,
        NewFile, //
    },
    info_cap::OwnedInfoCaps,
    task,
    uaccess::UserArg,
    uapi,
    uapi::vfio_region_info, //
};

use crate::{
    device_cdev,
    feature,
    group::Group,
    noiommu, //
};

const GET_REGION_INFO: u32 = uapi::ioctl(8);
const FEATURE: u32 = uapi::ioctl(17);

const REGION_INFO_CAPS: u32 = uapi::VFIO_REGION_INFO_FLAG_CAPS;

/// The operations of a device that was opened by its group.
static GROUP_FOPS: FileOperations<DeviceFile> = FileOperations::anon();

/// The operations of a device that was opened by its own node.
static NODE_FOPS: FileOperations<DeviceFile> = FileOperations::device();

/// Makes the file of a device that was opened by its group.
///
/// # Errors
///
/// `ENFILE` or `ENOMEM`; the device is closed then.
pub(crate) fn by_group(opened: Device) -> Result<NewFile> {
    OpenFile::by_group(opened, &GROUP_FOPS, c"[vfio-device]")
}

/// The node of a device that gets a number of `region`.
///
/// # Errors
///
/// None.
pub(crate) fn node(region: &Arc<ChrdevRegion>) -> Result<DeviceNode<Group>> {
    DeviceNode::new(region, &NODE_FOPS)
}

/// What `file` owns, if it is that of a device.
pub(crate) fn of(file: &LocalFile) -> Option<Pin<&OpenFile>> {
    GROUP_FOPS.data_of(file).or_else(|| NODE_FOPS.data_of(file))
}

/// The kind of files of devices.
struct DeviceFile;

/// What an open file of a device owns.
pub(crate) type OpenFile = vfio_kapi::device_file::DeviceFile<Group>;

type Device = Opened<Group>;

/// The device, if it may be used.
fn opened<'a>(file: Pin<&'a OpenFile>) -> Result<&'a Device> {
    file.get_ref().opened().ok_or(EINVAL)
}

#[vtable]
impl FileOps for DeviceFile {
    type OwnerModule = crate::LocalModule;
    type Ptr = Pin<KBox<OpenFile>>;
    type Node = Registered<Group>;

    fn open(device: &Registered<Group>) -> Result<Pin<KBox<OpenFile>>> {
        if noiommu::is_for(device.group(), device) && !task::has_raw_io() {
            return Err(EPERM);
        }
        OpenFile::by_node(device)
    }

    fn read(file: Pin<&OpenFile>, to: UserArg, count: usize, pos: &mut i64) -> Result<usize> {
        opened(file)?.read(to, count, pos)
    }

    fn write(file: Pin<&OpenFile>, from: UserArg, count: usize, pos: &mut i64) -> Result<usize> {
        opened(file)?.write(from, count, pos)
    }

    #[inline]
    fn ioctl(open: Pin<&OpenFile>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if cmd == device_cdev::BIND_IOMMUFD {
            return device_cdev::bind(open.get_ref(), UserArg::new(arg));
        }
        let (device, arg) = (opened(open)?, UserArg::new(arg));
        match cmd {
            GET_REGION_INFO => get_region_info(device, arg),
            _ => {
                let _power = awake(device, device.power())?;
                if let Some(done) = device_cdev::ioctl(device, cmd, arg) {
                    return done;
                }
                match cmd {
                    FEATURE => feature::ioctl(device, arg),
                    _ => device.ioctl(cmd, arg.addr()),
                }
            }
        }
    }

    fn mmap(file: Pin<&OpenFile>, vma: &VmaNew) -> Result {
        opened(file)?.mmap(vma)
    }

    fn show_fdinfo(file: Pin<&OpenFile>, m: &SeqFile) {
        file.device().show_path(m);
    }
}

/// The result of waking a device up, if it succeeded.
#[inline]
fn awake<T>(device: &Device, power: Result<T>) -> Result<T> {
    power.map_err(|err| {
        vfio_kapi::ratelimited!(dev_info!(
            device.parent(),
            "vfio: runtime resume failed {}\n",
            err.to_errno()
        ));
        EIO
    })
}

fn get_region_info(device: &Device, arg: UserArg) -> Result<isize> {
    if !device.has_region_info() {
        return Err(EINVAL);
    }
    let _power = awake(device, device.power())?;
    let size = size_of::<vfio_region_info>();
    let mut info: vfio_region_info = pin_init::zeroed();
    arg.fill_argsz(&mut info, size)?;
    let mut caps = OwnedInfoCaps::new();
    device.region_info(&mut info, caps.get_mut())?;

    let caps = caps.get_mut();
    if !caps.is_empty() {
        info.flags |= REGION_INFO_CAPS;
        let needed = u32::try_from(caps.len())
            .ok()
            .and_then(|len| len.checked_add(size as u32))
            .ok_or(EOVERFLOW)?;
        if info.argsz < needed {
            info.argsz = needed;
            info.cap_offset = 0;
        } else {
            caps.shift(size);
            let bytes = caps.bytes_mut();
            arg.offset(size).writer(bytes.len()).write_slice(bytes)?;
            info.cap_offset = size as u32;
        }
    }
    arg.write(&info)?;
    Ok(0)
}
