// SPDX-License-Identifier: GPL-2.0

//! Containers: `/dev/vfio/vfio`.
//!
//! A container is an address space for the devices of the groups in it. It has none until user space
//! chooses a backend, which takes a group: that is what gives user space the right to use an IOMMU.
//! When the last group leaves, the backend goes, and the container is as new.
//!
//! Ioctls for the backend run without a lock, so that mappings can be made in parallel. Each holds a
//! reference, so that the backend outlives it even if the last group leaves meanwhile.

use kernel::{
    fs::{
        File,
        LocalFile, //
    },
    new_mutex, new_spinlock,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SpinLock, //
    },
};
use vfio_kapi::{
    fops::{
        FileOperations,
        FileOps, //
    },
    group_kind::GroupKind,
    iommu_backend::{
        Attachment,
        IommuBackend,
        OpenBackend,
        Translation, //
    },
    iommu_group::{
        DmaOwnership,
        IommuGroup, //
    },
    misc::{
        MiscDevice,
        MiscNode, //
    },
    module_static::ModuleStatic,
    new_rwsem,
    ratelimited,
    refusal::Explain,
    rwsem::RwSem,
    task::Process,
    uapi, //
};
use vfio_logic::group as rules;

use crate::{
    group::NodeName,
    noiommu::NoIommu, //
};

const GET_API_VERSION: u32 = uapi::ioctl(0);
const SET_IOMMU: u32 = uapi::ioctl(2);

const API_VERSION: isize = 0;

/// The backends that are registered; the newest comes last, and is asked first.
static BACKENDS: ModuleStatic<Mutex<KVec<Backend>>> = ModuleStatic::new();

struct Backend {
    table: IommuBackend,
    /// It is the one for groups without IOMMU.
    noiommu: bool,
}

/// The number of the next container.
static NEXT_ID: Atomic<u64> = Atomic::new(1);

static FOPS: FileOperations<Container> = FileOperations::misc();

pub(crate) fn init() -> Result {
    BACKENDS.init(new_mutex!(KVec::new(), "vfio::BACKENDS"))
}

/// Registers `/dev/vfio/vfio`.
pub(crate) fn register() -> Result<MiscDevice> {
    MiscDevice::register(
        &FOPS,
        &MiscNode {
            minor: 196,
            name: c"vfio",
            node: c"vfio/vfio",
            mode: 0o666,
        },
    )
}

/// Our own backend is there while this exists; and others may be.
pub(crate) struct Backends(());

impl Backends {
    pub(crate) fn new() -> Result<Self> {
        BACKENDS.get().lock().push(
            Backend {
                table: IommuBackend::of::<NoIommu>(),
                noiommu: true,
            },
            GFP_KERNEL,
        )?;
        Ok(Self(()))
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        // Nothing may be left in the static when the module goes. Ours is the last: the modules of
        // others need this one.
        *BACKENDS.get().lock() = KVec::new();
    }
}

/// Adds a backend.
///
/// # Errors
///
/// `EINVAL` if it is there already, or wants only half of what it can hear of devices; `ENOMEM`.
pub(crate) fn register_backend(
    backend: IommuBackend,
    is: impl Fn(&IommuBackend) -> bool,
) -> Result {
    if backend.wants_devices().is_none() {
        pr_warn!("IOMMU backend with only one of register_device and unregister_device\n");
        return Err(EINVAL);
    }
    let mut backends = BACKENDS.get().lock();
    if backends.iter().any(|known| is(&known.table)) {
        return Err(EINVAL);
    }
    backends.push(
        Backend {
            table: backend,
            noiommu: false,
        },
        GFP_KERNEL,
    )?;
    Ok(())
}

/// Removes a backend, if it is there. No container uses it: each that does has a reference to its
/// module.
pub(crate) fn unregister_backend(is: impl Fn(&IommuBackend) -> bool) {
    BACKENDS.get().lock().retain(|backend| !is(&backend.table));
}

/// The container that `file` is, if it is one.
pub(crate) fn from_file(file: &LocalFile) -> Option<Arc<Container>> {
    FOPS.data_of(file).map(Into::into)
}

/// A container, open or with groups in it.
#[pin_data]
pub(crate) struct Container {
    /// For messages; unique while the module is loaded.
    pub(crate) id: u64,
    opener: Process,
    #[pin]
    state: RwSem<State>,
    /// Changed only with the state held for writing. It has a lock of its own because each ioctl looks.
    #[pin]
    backend: SpinLock<Option<Arc<OpenBackend>>>,
    /// The groups in the backend, once there is one. Changed only with the state held for writing, which may take as long as
    /// mapping does. Who opens a device does not wait for that, and has a lock of its own.
    #[pin]
    attached: Mutex<KVec<Arc<Attachment>>>,
}

struct State {
    groups: KVec<Member>,
}

/// A group in a container.
struct Member {
    group: ARef<IommuGroup>,
    kind: GroupKind,
    _ownership: Option<DmaOwnership>,
}

impl State {
    /// Attaches all groups, or none.
    fn attach_all(&self, backend: &Arc<OpenBackend>) -> Result<KVec<Arc<Attachment>>> {
        let mut attached = KVec::with_capacity(self.groups.len(), GFP_KERNEL_ACCOUNT)?;
        for member in &self.groups {
            let result = Attachment::new(backend, &member.group, member.kind)
                .and_then(|new| Ok(attached.push(new, GFP_KERNEL_ACCOUNT)?));
            if let Err(err) = result {
                while let Some(last) = attached.pop() {
                    drop(last);
                }
                return Err(err);
            }
        }
        Ok(attached)
    }
}

impl Container {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                id: NEXT_ID.fetch_add(1, Relaxed),
                opener: Process::current(),
                state <- new_rwsem!(
                    State {
                        groups: KVec::new(),
                    },
                    "vfio::Container::state"
                ),
                backend <- new_spinlock!(None, "vfio::Container::backend"),
                attached <- new_mutex!(KVec::new(), "vfio::Container::attached"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn view(&self, state: &State) -> rules::Container {
        rules::Container {
            groups: state.groups.len(),
            backend: self.backend.lock().is_some(),
            noiommu: state
                .groups
                .first()
                .is_some_and(|first| first.kind == GroupKind::NoIommu),
        }
    }

    /// Adds a group, which is in no container.
    ///
    /// # Errors
    ///
    /// `EPERM` if the group does not fit to those that are there, or a driver of one of its devices
    /// uses DMA; `ENOMEM`, or those of the backend.
    pub(crate) fn attach(&self, group: &ARef<IommuGroup>, kind: GroupKind) -> Result {
        let mut state = self.state.write();
        self.view(&state)
            .add(kind == GroupKind::NoIommu)
            .explain(fmt!(
                "group {} for container {}",
                NodeName(kind, group),
                self.id
            ))?;
        state.groups.reserve(1, GFP_KERNEL_ACCOUNT)?;
        let ownership = match kind {
            GroupKind::Iommu => Some(DmaOwnership::claim(group)?),
            GroupKind::Emulated | GroupKind::NoIommu => None,
        };
        if let Some(backend) = self.backend() {
            self.attached.lock().reserve(1, GFP_KERNEL_ACCOUNT)?;
            let attachment = Attachment::new(&backend, group, kind)?;
            self.attached.lock().push(attachment, GFP_KERNEL_ACCOUNT)?;
        }
        state.groups.push(
            Member {
                group: group.clone(),
                kind,
                _ownership: ownership,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(())
    }

    /// Removes a group, whose devices are closed. With the last one the backend goes.
    pub(crate) fn detach(&self, group: &IommuGroup) {
        let mut state = self.state.write();
        let Some(at) = state
            .groups
            .iter()
            .position(|member| core::ptr::eq(&*member.group, group))
        else {
            return;
        };
        // It is not attached when it is given back to the drivers of the kernel.
        let attachment = {
            let mut attached = self.attached.lock();
            let at = attached
                .iter()
                .position(|one| core::ptr::eq(one.group(), group));
            at.and_then(|at| attached.remove(at).ok())
        };
        drop(attachment);
        drop(state.groups.remove(at).ok());
        if state.groups.is_empty() {
            let backend = self.backend.lock().take();
            // Unmapping everything may take long.
            drop(state);
            drop(backend);
        }
    }

    /// Tells the administrator about it.
    pub(crate) fn show(&self, out: &SeqFile) {
        seq_print!(
            out,
            "container {}:\n\topened by: {}\n",
            self.id,
            self.opener
        );
        let Some(state) = self.state.try_read() else {
            seq_print!(out, "\tbusy\n");
            return;
        };
        seq_print!(out, "\tgroups:");
        for member in &state.groups {
            seq_print!(out, " {}", NodeName(member.kind, &member.group));
        }
        match self.backend() {
            Some(backend) => seq_print!(
                out,
                "\n\tbackend: {}, type {}\n",
                backend.name(),
                backend.kind()
            ),
            None => seq_print!(out, "\n\tbackend: none\n"),
        }
    }

    /// The backend, once user space chose it.
    fn backend(&self) -> Option<Arc<OpenBackend>> {
        self.backend.lock().clone()
    }

    /// Where the devices of a member do DMA, once user space chose a backend.
    pub(crate) fn translation(&self, group: &IommuGroup) -> Option<Translation> {
        let attached = self.attached.lock();
        let attachment = attached
            .iter()
            .find(|one| core::ptr::eq(one.group(), group))?;
        Some(Translation::through(attachment))
    }

    fn check_extension(&self, extension: usize) -> Result<isize> {
        if let Some(backend) = self.backend() {
            return backend.ioctl(uapi::CHECK_EXTENSION, extension);
        }
        let view = self.view(&self.state.read());
        let mut answer = 0;
        for backend in BACKENDS.get().lock().iter().rev() {
            if !view.suits(backend.noiommu) {
                continue;
            }
            let Some(backend) = backend.table.get() else {
                continue;
            };
            answer = backend.check_extension(extension);
            if answer > 0 {
                break;
            }
        }
        Ok(answer)
    }

    fn set_iommu(&self, kind: usize) -> Result<isize> {
        let state = self.state.write();
        let view = self.view(&state);
        view.set_backend()
            .explain(fmt!("SET_IOMMU of container {}", self.id))?;
        let mut result = Err(ENODEV);
        let mut found = false;
        for backend in BACKENDS.get().lock().iter().rev() {
            if !view.suits(backend.noiommu) {
                continue;
            }
            let Some(backend) = backend.table.get() else {
                continue;
            };
            if backend.check_extension(kind) <= 0 {
                continue;
            }
            found = true;
            let opened = backend.open(kind).and_then(|opened| {
                let opened = Arc::new(opened, GFP_KERNEL_ACCOUNT)?;
                let attached = state.attach_all(&opened)?;
                Ok((opened, attached))
            });
            match opened {
                Ok(all) => {
                    result = Ok(all);
                    break;
                }
                Err(err) => result = Err(err),
            }
        }
        let (backend, attached) = result.inspect_err(|err| {
            if found {
                ratelimited!(pr_warn!(
                    "container {} of {} cannot use IOMMU type {kind}: error {}\n",
                    self.id,
                    self.opener,
                    err.to_errno()
                ));
            } else {
                ratelimited!(pr_warn!(
                    "container {} of {} wants IOMMU type {kind}, but no module is loaded that has it\n",
                    self.id,
                    self.opener
                ));
            }
        })?;
        // There were none, so nothing is dropped under the locks.
        *self.backend.lock() = Some(backend);
        *self.attached.lock() = attached;
        Ok(0)
    }
}

#[vtable]
impl FileOps for Container {
    type OwnerModule = crate::LocalModule;
    type Ptr = Arc<Self>;
    type Node = ();

    fn open(_node: &()) -> Result<Arc<Self>> {
        Self::new()
    }

    fn ioctl(container: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            GET_API_VERSION => Ok(API_VERSION),
            uapi::CHECK_EXTENSION => container.check_extension(arg),
            SET_IOMMU => container.set_iommu(arg),
            _ => container.backend().ok_or(EINVAL)?.ioctl(cmd, arg),
        }
    }
}
