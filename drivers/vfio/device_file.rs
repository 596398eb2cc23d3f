// SPDX-License-Identifier: GPL-2.0

//! What can be done with an open device.

use kernel::{
    fs::File,
    mm::virt::VmaNew,
    prelude::*,
    seq_file::SeqFile, //
};
use vfio_kapi::{
    device_open::Opened,
    fops::{
        FileOperations,
        FileOps, //
    },
    info_cap::OwnedInfoCaps,
    uaccess::UserArg,
    uapi,
    uapi::vfio_region_info, //
};

use crate::{
    feature,
    group::Group, //
};

const GET_REGION_INFO: u32 = uapi::ioctl(8);
const FEATURE: u32 = uapi::ioctl(17);
const BIND_IOMMUFD: u32 = uapi::ioctl(18);

const REGION_INFO_CAPS: u32 = uapi::VFIO_REGION_INFO_FLAG_CAPS;

/// The operations of a device that was opened by its group.
pub(crate) static FOPS: FileOperations<DeviceFile> = FileOperations::anon();

/// The file of an open device.
pub(crate) struct DeviceFile;

type Device = Opened<Group>;

#[vtable]
impl FileOps for DeviceFile {
    type Ptr = KBox<Device>;
    type Node = ();

    fn read(device: &Device, to: UserArg, count: usize, pos: &mut i64) -> Result<usize> {
        device.read(to, count, pos)
    }

    fn write(device: &Device, from: UserArg, count: usize, pos: &mut i64) -> Result<usize> {
        device.write(from, count, pos)
    }

    fn ioctl(device: &Device, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        // Not for devices that were opened by a group, and there are no others here.
        if cmd == BIND_IOMMUFD {
            return Err(ENOTTY);
        }
        let _power = device.power().map_err(|err| {
            vfio_kapi::ratelimited!(dev_info!(
                device.parent(),
                "vfio: runtime resume failed {}\n",
                err.to_errno()
            ));
            EIO
        })?;
        match cmd {
            FEATURE => feature::ioctl(device, UserArg::new(arg)),
            GET_REGION_INFO => get_region_info(device, UserArg::new(arg)),
            _ => device.ioctl(cmd, arg),
        }
    }

    fn mmap(device: &Device, vma: &VmaNew) -> Result {
        device.mmap(vma)
    }

    fn show_fdinfo(device: &Device, m: &SeqFile) {
        device.show_path(m);
    }
}

fn get_region_info(device: &Device, arg: UserArg) -> Result<isize> {
    if !device.has_region_info() {
        return Err(EINVAL);
    }
    let size = size_of::<vfio_region_info>();
    let mut info: vfio_region_info = arg.read_argsz(size)?;
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
