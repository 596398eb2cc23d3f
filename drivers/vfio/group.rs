// SPDX-License-Identifier: GPL-2.0

//! Groups: what user space gets access to at once, `/dev/vfio/<group>`.
//!
//! There is a group here for each IOMMU group with devices that a driver registered. Emulated
//! devices, which are in no IOMMU group, get one of their own, as user space finds devices by it. So
//! do devices without IOMMU, if they are to be used nevertheless.

use kernel::{
    device::Device,
    fmt, new_mutex,
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
};
use vfio_kapi::{
    chrdev::{
        CharDevice,
        ChrdevRegion,
        Class, //
    },
    device_lifecycle::{
        Registered,
        Registration, //
    },
    device_open::{
        DeviceGroup,
        Dma, //
    },
    group_kind::GroupKind,
    iommu_group::{
        device_iommu_capable,
        uses_dma,
        DriverName,
        IommuCap,
        IommuGroup, //
    },
    iommufd::IommufdCtx,
    kvm::KvmLink,
    module_static::ModuleStatic,
    ratelimited,
    refusal::Explain,
    taint,
    task::{
        self,
        Process, //
    },
    uaccess::UserString, //
};
use vfio_logic::group as rules;

use crate::{
    container::Container,
    group_file,
    noiommu, //
};

/// `/sys/class/vfio`, `/dev/vfio/`.
pub(crate) static CLASS: Class = Class::new(c"vfio", c"vfio/");

static GROUPS: ModuleStatic<Mutex<Groups>> = ModuleStatic::new();

/// All groups, and the numbers of their nodes.
struct Groups {
    numbers: Option<Arc<ChrdevRegion>>,
    list: KVec<Entry>,
}

struct Entry {
    iommu_group: ARef<IommuGroup>,
    /// How many devices of the group are registered.
    devices: usize,
    node: CharDevice<Arc<Group>>,
}

pub(crate) fn init() -> Result {
    GROUPS.init(new_mutex!(
        Groups {
            numbers: None,
            list: KVec::new(),
        },
        "vfio::GROUPS"
    ))
}

/// Groups can be made while this exists.
pub(crate) struct Numbers(());

impl Numbers {
    pub(crate) fn new() -> Result<Self> {
        GROUPS.get().lock().numbers = Some(ChrdevRegion::new(c"vfio")?);
        Ok(Self(()))
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let mut groups = GROUPS.get().lock();
        groups.numbers = None;
        groups.list = KVec::new();
    }
}

/// A group.
#[pin_data]
pub(crate) struct Group {
    pub(crate) kind: GroupKind,
    name: CString,
    #[pin]
    pub(crate) state: Mutex<State>,
    #[pin]
    devices: Mutex<KVec<Registration<Group>>>,
    #[pin]
    kvm: KvmLink,
}

/// What changes about a group.
pub(crate) struct State {
    /// Gone when the last device is.
    pub(crate) iommu_group: Option<ARef<IommuGroup>>,
    pub(crate) container: Option<Arc<Container>>,
    /// What user space uses in place of a container. Devices that are open keep it on their own, so it
    /// may be exchanged meanwhile.
    pub(crate) iommufd: Option<IommufdCtx>,
    /// Who has it open.
    pub(crate) opener: Option<Process>,
    /// How many files of its devices use the container.
    pub(crate) users: usize,
    /// How many of its devices are open past the group.
    bound: usize,
}

impl State {
    /// Leaves the container, if it is in one, and gives up the iommufd that it has for one.
    pub(crate) fn detach(&mut self) {
        self.detach_container();
        self.iommufd = None;
    }

    fn detach_container(&mut self) {
        if let (Some(container), Some(group)) = (self.container.take(), &self.iommu_group) {
            container.detach(group);
        }
    }
}

impl Group {
    /// Finds or makes the group of a device that is being registered, which does DMA by itself or is
    /// emulated. One that does but is in no IOMMU group gets one if the administrator has asked for
    /// that, and taints the kernel.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device is in no IOMMU group, or registered; `ENOMEM`, or those of sysfs.
    pub(crate) fn join(device: &Device, kind: GroupKind) -> Result<Arc<Self>> {
        if kind == GroupKind::Emulated {
            return Self::make(device, kind);
        }
        if let Some(iommu_group) = IommuGroup::of(device) {
            return Self::find(device, &iommu_group);
        }
        if !noiommu::is_enabled() {
            return Err(EINVAL);
        }
        let group = Self::make(device, GroupKind::NoIommu)?;
        taint::by_user();
        dev_warn!(
            device,
            "Adding kernel taint for vfio-noiommu group on device\n"
        );
        Ok(group)
    }

    fn make(device: &Device, kind: GroupKind) -> Result<Arc<Self>> {
        let iommu_group = IommuGroup::new(c"vfio-noiommu")?;
        iommu_group.add_device(device)?;
        GROUPS
            .get()
            .lock()
            .create(&iommu_group, kind)
            .inspect_err(|_| IommuGroup::remove_device(device))
    }

    fn find(device: &Device, iommu_group: &ARef<IommuGroup>) -> Result<Arc<Self>> {
        let mut groups = GROUPS.get().lock();
        let entry = groups
            .list
            .iter_mut()
            .find(|entry| core::ptr::eq(&*entry.iommu_group, &**iommu_group));
        let Some(entry) = entry else {
            return groups.create(iommu_group, GroupKind::Iommu);
        };
        let group = entry.node.data();
        if group.has_device(device) {
            dev_warn!(device, "device is registered with VFIO already\n");
            return Err(EINVAL);
        }
        entry.devices = entry.devices.checked_add(1).ok_or(EBUSY)?;
        Ok(group.clone())
    }

    /// Undoes [`Self::join`]. With the last device the group goes.
    pub(crate) fn leave(self: Arc<Self>, device: &Device) {
        if self.kind != GroupKind::Iommu {
            IommuGroup::remove_device(device);
        }
        let mut groups = GROUPS.get().lock();
        let Some(at) = groups
            .list
            .iter()
            .position(|entry| Arc::ptr_eq(entry.node.data(), &self))
        else {
            return;
        };
        if let Some(entry) = groups.list.get_mut(at) {
            entry.devices = entry.devices.saturating_sub(1);
            if entry.devices > 0 {
                return;
            }
        }
        // Under the lock: the name has to be free before somebody makes the group anew.
        drop(groups.list.remove(at).ok());
        drop(groups);
        // Not under the lock: an ioctl of the container that waits for memory of its user, who may
        // be the one who provides it, holds this up. That is not to stop other groups.
        let mut state = self.state.lock();
        state.detach_container();
        state.iommu_group = None;
    }

    /// What the rules look at.
    pub(crate) fn view(&self, state: &State) -> rules::Group {
        rules::Group {
            present: state.iommu_group.is_some(),
            opened: state.opener.is_some(),
            attached: state.container.is_some() || state.iommufd.is_some(),
            users: state.users,
            bound: state.bound,
            noiommu: self.kind == GroupKind::NoIommu,
        }
    }

    fn has_device(&self, device: &Device) -> bool {
        self.devices
            .lock()
            .iter()
            .any(|registration| core::ptr::eq(registration.device().parent(), device))
    }

    /// Lets devices be opened.
    pub(crate) fn add(&self, device: Registration<Self>) -> Result<(), Registration<Self>> {
        let mut devices = self.devices.lock();
        if devices.reserve(1, GFP_KERNEL).is_err() {
            return Err(device);
        }
        devices.push_within_capacity(device).map_err(|err| err.0)
    }

    /// Ends what [`Self::add`] began, for the device that `is` is true of.
    pub(crate) fn withdraw(
        &self,
        is: impl Fn(&Registered<Self>) -> bool,
    ) -> Option<Registration<Self>> {
        let mut devices = self.devices.lock();
        let at = devices
            .iter()
            .position(|registration| is(registration.device()))?;
        devices.remove(at).ok()
    }

    /// The device with this name.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none, or those of a driver that wants more than a name.
    pub(crate) fn device(&self, name: &mut UserString) -> Result<Registered<Self>> {
        // The newest first, as always.
        for registration in self.devices.lock().iter().rev() {
            if registration.device().matches(name)? {
                return Ok(registration.device().clone());
            }
        }
        Err(ENODEV)
    }

    /// Whether the IOMMU keeps DMA of all devices coherent, whatever the devices ask for.
    pub(crate) fn enforces_coherency(&self) -> bool {
        self.devices.lock().iter().all(|registration| {
            device_iommu_capable(
                registration.device().parent(),
                IommuCap::EnforceCacheCoherency,
            )
        })
    }

    /// Calls `f` for each device that a driver of VFIO registered.
    pub(crate) fn for_each_device(&self, mut f: impl FnMut(&Registered<Self>)) {
        for registration in self.devices.lock().iter() {
            f(registration.device());
        }
    }

    /// Calls `f` for each device with a driver that is not one of VFIO and uses DMA: what keeps user
    /// space from having the group.
    pub(crate) fn for_each_blocker(&self, iommu_group: &IommuGroup, mut f: impl FnMut(&Device)) {
        let _: Option<()> = iommu_group.find_device(|device| {
            if !self.has_device(device) && uses_dma(device) {
                f(device);
            }
            None
        });
    }

    /// Says why user space cannot have the DMA of the group's devices.
    pub(crate) fn log_blockers(&self, iommu_group: &IommuGroup) {
        let mut found = false;
        self.for_each_blocker(iommu_group, |device| {
            found = true;
            ratelimited!(dev_warn!(
                device,
                "vfio: group {} is not viable: this device is bound to driver {}\n",
                self.name(),
                DriverName(device),
            ));
        });
        if !found && iommu_group.dma_owner_claimed() {
            ratelimited!(pr_warn!(
                "group {} is not viable: somebody else owns the DMA of its devices\n",
                self.name()
            ));
        }
    }

    /// The name of the group's node in `/dev/vfio`.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }
}

/// Displays as the name of the node of a group in `/dev/vfio`.
pub(crate) struct NodeName<'a>(pub(crate) GroupKind, pub(crate) &'a IommuGroup);

impl fmt::Display for NodeName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.0 {
            GroupKind::NoIommu => "noiommu-",
            GroupKind::Iommu | GroupKind::Emulated => "",
        };
        f.write_fmt(fmt!("{prefix}{}", self.1.id()))
    }
}

/// All groups, at this moment.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn all() -> Result<KVec<Arc<Group>>> {
    let groups = GROUPS.get().lock();
    let mut all = KVec::with_capacity(groups.list.len(), GFP_KERNEL)?;
    for entry in &groups.list {
        all.push(entry.node.data().clone(), GFP_KERNEL)?;
    }
    Ok(all)
}

impl Groups {
    fn create(&mut self, iommu_group: &ARef<IommuGroup>, kind: GroupKind) -> Result<Arc<Group>> {
        let numbers = self.numbers.as_ref().ok_or(ENODEV)?;
        let name = CString::try_from_fmt(fmt!("{}", NodeName(kind, iommu_group)))?;
        let group = Arc::pin_init(
            pin_init!(Group {
                kind,
                name,
                state <- new_mutex!(
                    State {
                        iommu_group: Some(iommu_group.clone()),
                        container: None,
                        iommufd: None,
                        opener: None,
                        users: 0,
                        bound: 0,
                    },
                    "vfio::Group::state"
                ),
                devices <- new_mutex!(KVec::new(), "vfio::Group::devices"),
                kvm <- KvmLink::new(),
            }),
            GFP_KERNEL,
        )?;
        self.list.reserve(1, GFP_KERNEL)?;
        let node = CharDevice::new(
            &CLASS,
            numbers,
            &group_file::FOPS,
            &group.name,
            group.clone(),
        )?;
        self.list.push(
            Entry {
                iommu_group: iommu_group.clone(),
                devices: 1,
                node,
            },
            GFP_KERNEL,
        )?;
        Ok(group)
    }
}

impl DeviceGroup for Group {
    fn begin_use(&self) -> Result<Dma> {
        let mut state = self.state.lock();
        self.view(&state).open_device()?;
        if let Some(iommufd) = &state.iommufd {
            return Ok(match self.kind {
                GroupKind::NoIommu => Dma::Direct(iommufd.clone()),
                GroupKind::Iommu | GroupKind::Emulated => Dma::Iommufd(iommufd.clone()),
            });
        }
        let users = state.users.checked_add(1).ok_or(EBUSY)?;
        let group = state.iommu_group.as_ref().ok_or(ENODEV)?;
        let translation = state
            .container
            .as_ref()
            .and_then(|container| container.translation(group))
            .ok_or(EINVAL)?;
        // The group stays in the container from here on.
        state.users = users;
        Ok(Dma::Container(translation))
    }

    fn end_use(&self, container: bool) {
        if container {
            let mut state = self.state.lock();
            state.users = state.users.saturating_sub(1);
        }
    }

    fn permit(&self, dma: &Dma) -> Result {
        // Nothing of the state, which may be locked for long, matters for this.
        let group = rules::Group {
            noiommu: self.kind == GroupKind::NoIommu,
            ..rules::Group::default()
        };
        match dma {
            Dma::Container(_) => group.permit(task::has_raw_io),
            Dma::Direct(iommufd) => {
                group.permit_direct(task::has_raw_io, || iommufd.compat_ioas().is_ok())
            }
            Dma::Iommufd(_) => Ok(()),
        }
        .explain(self.what("GET_DEVICE_FD"))
    }

    fn block(&self) -> Result {
        let mut state = self.state.lock();
        self.view(&state)
            .bind()
            .explain(self.what("BIND_IOMMUFD of a device"))?;
        state.bound = state.bound.checked_add(1).ok_or(EBUSY)?;
        Ok(())
    }

    fn unblock(&self) {
        let mut state = self.state.lock();
        state.bound = state.bound.saturating_sub(1);
    }

    fn kvm(&self) -> &KvmLink {
        &self.kvm
    }
}
