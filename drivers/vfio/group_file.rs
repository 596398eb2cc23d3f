// SPDX-License-Identifier: GPL-2.0

//! What can be done with an open group.

use kernel::{
    device::Device,
    fmt,
    fs::{
        file::{
            flags,
            FileDescriptorReservation, //
        },
        File,
        LocalFile, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        aref::ARef,
        Arc,
        ArcBorrow, //
    },
};
use vfio_kapi::{
    device_open::Opened,
    fops::{
        FileOperations,
        FileOps, //
    },
    group_kind::GroupKind,
    iommufd::IommufdCtx,
    ratelimited,
    refusal::Explain,
    refuse,
    task::{
        self,
        Process, //
    },
    uaccess::{
        UserArg,
        UserString, //
    },
    uapi,
    uapi::vfio_group_status,
    versions::ebadfd, //
};
use vfio_logic::errno::{
    EBUSY, //
};

use crate::{
    container, device_file,
    group::{
        Group,
        State, //
    },
};

const GET_STATUS: u32 = uapi::ioctl(3);
const SET_CONTAINER: u32 = uapi::ioctl(4);
const UNSET_CONTAINER: u32 = uapi::ioctl(5);
const GET_DEVICE_FD: u32 = uapi::ioctl(6);

/// The operations of `/dev/vfio/<group>`.
pub(crate) static FOPS: FileOperations<Group> = FileOperations::char_device();

#[vtable]
impl FileOps for Group {
    type OwnerModule = crate::LocalModule;
    type Ptr = Arc<Self>;
    type Node = Arc<Self>;

    fn open(group: &Arc<Self>) -> Result<Arc<Self>> {
        let mut state = group.state.lock();
        group
            .view(&state)
            .open(task::has_raw_io)
            .inspect_err(|err| {
                if *err == EBUSY {
                    group.log_opener(&state);
                }
            })
            .explain(group.name())?;
        state.opener = Some(Process::current());
        Ok(group.clone())
    }

    fn release(group: Arc<Self>) {
        // Open devices keep the file, so there are none.
        let mut state = group.state.lock();
        state.detach();
        state.opener = None;
    }

    fn ioctl(group: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let arg = UserArg::new(arg);
        match cmd {
            GET_STATUS => group.get_status(arg),
            SET_CONTAINER => group.set_container(arg),
            UNSET_CONTAINER => group.unset_container(),
            GET_DEVICE_FD => group.get_device_fd(file, arg),
            _ => Err(ENOTTY),
        }
    }
}

/// An ioctl of a group, for messages.
struct What<'a>(&'a Group, &'static str);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{} of group {}", self.1, self.0.name()))
    }
}

impl Group {
    /// What is asked of it, for messages.
    pub(crate) fn what(&self, ioctl: &'static str) -> impl fmt::Display + '_ {
        What(self, ioctl)
    }

    /// Says who keeps another one from opening the group.
    fn log_opener(&self, state: &State) {
        if let Some(opener) = &state.opener {
            ratelimited!(pr_warn!(
                "group {} cannot be opened by {}: {opener} has it open\n",
                self.name(),
                Process::current()
            ));
        }
    }
}

/// The ioctls.
impl Group {
    fn get_status(&self, arg: UserArg) -> Result<isize> {
        let mut status: vfio_group_status = arg.read_argsz(size_of::<vfio_group_status>())?;
        {
            let state = self.state.lock();
            status.flags = self.view(&state).status(|| {
                state
                    .iommu_group
                    .as_ref()
                    .is_some_and(|group| group.dma_owner_claimed())
            })?;
        }
        arg.write(&status)?;
        Ok(0)
    }

    fn set_container(&self, arg: UserArg) -> Result<isize> {
        let fd: i32 = arg.reader(size_of::<i32>()).read()?;
        let file = LocalFile::fget(u32::try_from(fd).map_err(|_| EBADF)?)?;

        let mut state = self.state.lock();
        let view = self.view(&state);
        view.attach().explain(self.what("SET_CONTAINER"))?;
        let Some(container) = container::from_file(&file) else {
            let iommufd = IommufdCtx::from_file(&file).map_err(|_| ebadfd())?;
            match self.kind {
                GroupKind::NoIommu => iommufd.set_no_iommu()?,
                GroupKind::Iommu | GroupKind::Emulated => iommufd.make_compat_ioas()?,
            }
            state.iommufd = Some(iommufd);
            return Ok(0);
        };
        view.permit(task::has_raw_io)
            .explain(self.what("SET_CONTAINER"))?;
        let iommu_group = state.iommu_group.clone().ok_or(ENODEV)?;
        container
            .attach(&iommu_group, self.kind)
            .inspect_err(|err| {
                if *err == EPERM {
                    self.log_blockers(&iommu_group);
                }
            })?;
        state.container = Some(container);
        Ok(0)
    }

    fn unset_container(&self) -> Result<isize> {
        let mut state = self.state.lock();
        self.view(&state)
            .detach()
            .explain(self.what("UNSET_CONTAINER"))?;
        state.detach();
        Ok(0)
    }

    fn get_device_fd(&self, file: &File, arg: UserArg) -> Result<isize> {
        let mut name = UserString::read(arg, PAGE_SIZE)?;
        let device = self.device(&mut name).map_err(|err| {
            if err != ENODEV {
                // That of the driver, which has its own message.
                return err;
            }
            refuse!(
                err,
                "GET_DEVICE_FD of group {}: no device has that name",
                self.name()
            )
        })?;
        let parent: ARef<Device> = device.parent().into();
        let reserved = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
        let opened = Opened::by_group(device, file.into())?;
        let device_file = device_file::by_group(opened)?;
        if self.kind == GroupKind::NoIommu {
            dev_warn!(
                parent,
                "vfio-noiommu device opened by user ({}:{})\n",
                task::comm(),
                kernel::current!().pid(),
            );
        }
        let fd = reserved.reserved_fd();
        reserved.fd_install(device_file.finish());
        Ok(fd as isize)
    }
}
