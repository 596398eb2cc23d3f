// SPDX-License-Identifier: GPL-2.0

//! What the administrator can read in `/sys/kernel/debug/vfio`.
//!
//! `groups` and `containers` are there while the module is loaded; each device has a folder, named as
//! its parent, which drivers add to. Reading waits for no lock that is held while a backend maps or
//! unmaps, nor for one that is held while a file is removed: what is being changed is shown as busy.

use kernel::{
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        Arc,
        Mutex, //
    },
};
use vfio_kapi::{
    debugfs::{
        DebugFile,
        Folder, //
    },
    device_lifecycle::{
        Registered,
        Registration, //
    },
    iommu_group::DriverName,
    module_static::ModuleStatic,
};
use vfio_logic::migration;

use crate::{
    container::Container,
    group::{
        self,
        Group, //
    },
};

static ROOT: ModuleStatic<Mutex<Option<Arc<Folder<()>>>>> = ModuleStatic::new();

pub(crate) fn init() -> Result {
    ROOT.init(new_mutex!(None, "vfio::debugfs::ROOT"))
}

/// The folder is there while this exists.
pub(crate) struct Root(());

impl Root {
    pub(crate) fn new() -> Result<Self> {
        let root = Arc::new(Folder::new(c"vfio", ())?, GFP_KERNEL)?;
        // Nothing fails from here on: whoever has opened one of them keeps the module.
        root.file::<Groups>(c"groups");
        root.file::<Containers>(c"containers");
        *ROOT.get().lock() = Some(root);
        Ok(Self(()))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let root = ROOT.get().lock().take();
        // Not under the lock: it waits for readers.
        drop(root);
    }
}

/// Makes the folder of a device. Without memory it has none, and works nevertheless.
pub(crate) fn add_device(registration: &mut Registration<Group>) {
    let Some(root) = ROOT.get().lock().clone() else {
        return;
    };
    let device = registration.device();
    let Ok(folder) = Folder::inside(&root, device.parent().name(), device.clone()) else {
        return;
    };
    folder.file::<Users>(c"users");
    if device.can_migrate() {
        let migration = folder.subfolder(c"migration");
        migration.file::<MigrationState>(c"state");
        migration.file::<MigrationFeatures>(c"features");
    }
    registration.set_files(folder);
}

/// Who has a device open, one line.
struct Users;

impl DebugFile for Users {
    type Data = Registered<Group>;
    type OwnerModule = crate::LocalModule;

    fn show(device: &Registered<Group>, out: &SeqFile) -> Result {
        if let Some(names) = device.holders().names()? {
            seq_print!(out, "{}\n", &*names);
        }
        Ok(())
    }
}

/// The state of a device's migration, by its name.
struct MigrationState;

impl DebugFile for MigrationState {
    type Data = Registered<Group>;
    type OwnerModule = crate::LocalModule;
    const MODE: u16 = 0o444;

    fn show(device: &Registered<Group>, out: &SeqFile) -> Result {
        let name = migration::name(device.migration_state().map_err(|_| EINVAL)?);
        seq_print!(out, "{}\n", name.unwrap_or("Invalid"));
        Ok(())
    }
}

/// What a device can of migration, a line each.
struct MigrationFeatures;

impl DebugFile for MigrationFeatures {
    type Data = Registered<Group>;
    type OwnerModule = crate::LocalModule;
    const MODE: u16 = 0o444;

    fn show(device: &Registered<Group>, out: &SeqFile) -> Result {
        for (flag, name) in migration::FEATURES {
            if device.migration_flags() & flag != 0 {
                seq_print!(out, "{name}\n");
            }
        }
        if device.can_log_dma() {
            seq_print!(out, "dirty-tracking\n");
        }
        Ok(())
    }
}

/// The groups: whether each is viable, who has it open, where it is.
struct Groups;

impl DebugFile for Groups {
    type Data = ();
    type OwnerModule = crate::LocalModule;

    fn show(_data: &(), out: &SeqFile) -> Result {
        for group in group::all()? {
            show_group(&group, out);
        }
        Ok(())
    }
}

fn show_group(group: &Group, out: &SeqFile) {
    seq_print!(out, "group {}:\n", group.name());
    seq_print!(out, "\tdevices:");
    group.for_each_device(|device| seq_print!(out, " {}", device.parent().name()));
    seq_print!(out, "\n");

    let Some(state) = group.state.try_lock() else {
        seq_print!(out, "\tbusy\n");
        return;
    };
    let Some(iommu_group) = state.iommu_group.clone() else {
        seq_print!(out, "\tviable: no, the last device is going\n");
        return;
    };
    let view = group.view(&state);
    let opener = state.opener;
    let users = state.users;
    let container = state.container.as_ref().map(|container| container.id);
    drop(state);

    // Who has it by an iommufd claims its DMA too, unless another driver is in the way.
    let mut blocked = false;
    group.for_each_blocker(&iommu_group, |_| blocked = true);
    let by_iommufd = (view.attached || view.bound > 0) && !blocked;
    if container.is_some() || by_iommufd || !iommu_group.dma_owner_claimed() {
        seq_print!(out, "\tviable: yes\n");
    } else {
        seq_print!(out, "\tviable: no");
        let mut blockers = false;
        group.for_each_blocker(&iommu_group, |device| {
            blockers = true;
            seq_print!(out, ", {} has driver {}", device.name(), DriverName(device));
        });
        if !blockers {
            seq_print!(out, ", somebody else owns its DMA");
        }
        seq_print!(out, "\n");
    }
    if let Some(opener) = opener {
        seq_print!(out, "\topened by: {opener}\n");
    }
    if let Some(container) = container {
        seq_print!(
            out,
            "\tcontainer: {container}\n\topen files of devices: {users}\n"
        );
    } else if view.attached {
        seq_print!(out, "\tcontainer: an iommufd\n");
    }
    if view.bound > 0 {
        seq_print!(out, "\tdevices bound to an iommufd: {}\n", view.bound);
    }
}

/// The containers that have groups: who opened each, and what is behind it.
struct Containers;

impl DebugFile for Containers {
    type Data = ();
    type OwnerModule = crate::LocalModule;

    fn show(_data: &(), out: &SeqFile) -> Result {
        let mut seen: KVec<Arc<Container>> = KVec::new();
        for group in group::all()? {
            let Some(state) = group.state.try_lock() else {
                seq_print!(out, "group {}: busy\n", group.name());
                continue;
            };
            let Some(container) = state.container.clone() else {
                continue;
            };
            drop(state);
            if !seen.iter().any(|other| Arc::ptr_eq(other, &container)) {
                container.show(out);
                seen.push(container, GFP_KERNEL)?;
            }
        }
        Ok(())
    }
}
