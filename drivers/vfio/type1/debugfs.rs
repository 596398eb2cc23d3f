// SPDX-License-Identifier: GPL-2.0

//! What the administrator can read in `/sys/kernel/debug/vfio/type1`: what each container has mapped.
//!
//! Containers are told apart by their groups, which the file `containers` of `vfio.ko` has as well.

use crate::{
    abi,
    container::Container, //
};
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
    module_static::ModuleStatic, //
};

/// All containers. Who reads the file keeps none of them beyond the lock, so that they end when
/// `vfio.ko` says so.
static CONTAINERS: ModuleStatic<Mutex<KVec<Arc<Container>>>> = ModuleStatic::new();

pub(crate) fn init() -> Result {
    CONTAINERS.init(new_mutex!(KVec::new(), "vfio_type1_containers"))
}

/// Makes the file; none without memory.
pub(crate) fn add() -> Option<Folder<()>> {
    let folder = abi::debugfs_folder(c"type1").ok()?;
    folder.file::<Mappings>(c"containers");
    Some(folder)
}

/// A container while it is in the list.
pub(crate) struct Listed(Arc<Container>);

impl Listed {
    /// Adds a container to the list.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(container: Arc<Container>) -> Result<Self> {
        CONTAINERS
            .get()
            .lock()
            .push(container.clone(), GFP_KERNEL)?;
        Ok(Self(container))
    }
}

impl core::ops::Deref for Listed {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.0
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut containers = CONTAINERS.get().lock();
        containers.retain(|other| !Arc::ptr_eq(other, &self.0));
        if containers.is_empty() {
            // Nothing may be left in the static when the module goes.
            *containers = KVec::new();
        }
    }
}

struct Mappings;

impl DebugFile for Mappings {
    type Data = ();
    type OwnerModule = crate::LocalModule;

    fn show(_data: &(), out: &SeqFile) -> Result {
        for container in CONTAINERS.get().lock().iter() {
            show_container(container, out);
        }
        Ok(())
    }
}

fn show_container(container: &Container, out: &SeqFile) {
    // Held for long only while a group joins or leaves.
    let Some(state) = container.state.try_lock() else {
        seq_print!(out, "container: busy\n");
        return;
    };
    let groups = &state.groups;
    seq_print!(out, "container with groups");
    for group in groups {
        seq_print!(out, " {}", group.group.id());
    }
    let mut mappings = 0u64;
    let mut bytes = 0u64;
    let mut locked = 0u64;
    let mut extents = 0u64;
    let mut pins = 0u64;
    for dma in state.dmas.values() {
        mappings += 1;
        bytes = bytes.saturating_add(dma.size());
        locked = locked.saturating_add(dma.locked);
        extents = extents.saturating_add(dma.io.extents() as u64);
        pins = pins.saturating_add(dma.pins.keys().count() as u64);
    }
    seq_print!(
        out,
        ":\n\tmappings: {mappings}, {} more possible\n",
        state.available
    );
    seq_print!(out, "\tmapped: {} KiB\n", bytes >> 10);
    seq_print!(out, "\tlocked pages: {locked}\n");
    seq_print!(out, "\textents: {extents}\n");
    seq_print!(out, "\tpages pinned by drivers: {pins}\n");
    if state.tracking {
        seq_print!(out, "\tdirty pages: tracked\n");
    }
}
