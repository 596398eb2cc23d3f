// SPDX-License-Identifier: GPL-2.0

//! Devices that are used by their own nodes, `/dev/vfio/devices/vfio<n>`, and iommufd.
//!
//! The node may be opened by several, and can do nothing. One of them binds the device to an iommufd,
//! which opens it, and keeps it until the file is closed. What the device's DMA then goes through is
//! attached and detached.

use kernel::prelude::*;
use vfio_kapi::{
    device_open::{
        Blocked,
        Opened, //
    },
    iommufd::IommufdCtx,
    refusal::Explain,
    refuse,
    uaccess::UserArg,
    uapi,
    uapi::{
        vfio_device_attach_iommufd_pt,
        vfio_device_bind_iommufd,
        vfio_device_detach_iommufd_pt, //
    },
    uuid::Uuid, //
};
use vfio_logic::iommufd as rules;

use crate::{
    device_file::OpenFile,
    group::Group, //
};

pub(crate) const BIND_IOMMUFD: u32 = uapi::ioctl(18);
const ATTACH_IOMMUFD_PT: u32 = uapi::ioctl(19);
const DETACH_IOMMUFD_PT: u32 = uapi::ioctl(20);

type Device = Opened<Group>;

/// `VFIO_DEVICE_BIND_IOMMUFD`
///
/// # Errors
///
/// `EINVAL` for arguments that are wrong, for a device that was opened by its group or is bound, and for
/// a token that the driver does not expect; `E2BIG` for more arguments than are known; `EBUSY` if the
/// group is open; else those of the driver and of iommufd.
pub(crate) fn bind(file: &OpenFile, arg: UserArg) -> Result<isize> {
    const OUT_DEVID: usize = core::mem::offset_of!(vfio_device_bind_iommufd, out_devid);
    const MIN: usize = OUT_DEVID + size_of::<u32>();

    if !cfg!(CONFIG_VFIO_DEVICE_CDEV) {
        return Err(ENOTTY);
    }
    let bind: vfio_device_bind_iommufd = arg.read_extensible(MIN)?;
    let has_token = rules::bind(bind.flags, bind.iommufd).explain("BIND_IOMMUFD")?;
    if file.opened().is_some_and(|opened| !opened.is_by_node()) {
        return Err(refuse!(
            EINVAL,
            "BIND_IOMMUFD: the device was opened by its group"
        ));
    }
    let device = file.device();
    let blocked = Blocked::new(device.group())?;
    if file.opened().is_some() {
        return Err(refuse!(EINVAL, "BIND_IOMMUFD: the device is bound"));
    }
    if has_token && !device.takes_token() {
        return Err(refuse!(EINVAL, "BIND_IOMMUFD: the driver expects no token"));
    }
    let token = if has_token {
        let mut token = Uuid::default();
        UserArg::new(usize::try_from(bind.token_uuid_ptr).map_err(|_| EFAULT)?)
            .reader(token.len())
            .read_slice(&mut token)?;
        Some(token)
    } else {
        None
    };
    file.bind(
        || {
            device.match_token(token.as_ref())?;
            IommufdCtx::from_fd(bind.iommufd)
        },
        blocked,
        |id| arg.offset(OUT_DEVID).writer(size_of::<u32>()).write(&id),
    )?;
    Ok(0)
}

/// What only devices that were opened by their own node can be asked; `None` for all else.
pub(crate) fn ioctl(device: &Device, cmd: u32, arg: UserArg) -> Option<Result<isize>> {
    if !cfg!(CONFIG_VFIO_DEVICE_CDEV) || !device.is_by_node() {
        return None;
    }
    let done = match cmd {
        ATTACH_IOMMUFD_PT => attach(device, arg),
        DETACH_IOMMUFD_PT => detach(device, arg),
        _ => return None,
    };
    Some(done.map(|()| 0))
}

/// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`
fn attach(device: &Device, arg: UserArg) -> Result {
    const PT_ID: usize = core::mem::offset_of!(vfio_device_attach_iommufd_pt, pt_id);
    const PASID: usize = core::mem::offset_of!(vfio_device_attach_iommufd_pt, pasid);
    const FULL: usize = size_of::<vfio_device_attach_iommufd_pt>();

    let mut attach: vfio_device_attach_iommufd_pt = arg.read_argsz(PASID)?;
    let supported = device.knows_pasids().0;
    let has_pasid = rules::has_pasid(attach.flags, attach.argsz, FULL, supported)
        .explain("ATTACH_IOMMUFD_PT")?;
    let pasid = if has_pasid {
        Some(arg.offset(PASID).reader(size_of::<u32>()).read()?)
    } else {
        None
    };
    device.attach(pasid, &mut attach.pt_id)?;
    arg.offset(PT_ID)
        .writer(size_of::<u32>())
        .write(&attach.pt_id)
        .inspect_err(|_| {
            // User space does not know what it got.
            let _ = device.detach(pasid);
        })
}

/// `VFIO_DEVICE_DETACH_IOMMUFD_PT`
fn detach(device: &Device, arg: UserArg) -> Result {
    const PASID: usize = core::mem::offset_of!(vfio_device_detach_iommufd_pt, pasid);
    const FULL: usize = size_of::<vfio_device_detach_iommufd_pt>();

    let detach: vfio_device_detach_iommufd_pt = arg.read_argsz(PASID)?;
    let supported = device.knows_pasids().1;
    let has_pasid = rules::has_pasid(detach.flags, detach.argsz, FULL, supported)
        .explain("DETACH_IOMMUFD_PT")?;
    let pasid = if has_pasid {
        Some(arg.offset(PASID).reader(size_of::<u32>()).read()?)
    } else {
        None
    };
    device.detach(pasid)
}
