// SPDX-License-Identifier: GPL-2.0

//! What the administrator can read in `/sys/kernel/debug/vfio/type1`: what each container has mapped.
//!
//! Containers are told apart by their groups, which the file `containers` of `vfio.ko` has as well.

use crate::{
    abi,
    container::Container, //
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};
use vfio_kapi::{
    debugfs::{
        DebugFile,
        Folder, //
    },
    registry::{
        Entry,
        Registered,
        Registry, //
    },
};

static CONTAINERS: Registry<Container> = Registry::new();

impl Registered for Container {
    fn registry() -> &'static Registry<Self> {
        &CONTAINERS
    }
}

pub(crate) fn init() -> Result {
    CONTAINERS.init()
}

/// Makes the file; none without memory.
pub(crate) fn add() -> Option<Folder<()>> {
    let folder = abi::debugfs_folder(c"type1").ok()?;
    folder.file::<Mappings>(c"containers");
    Some(folder)
}

/// What `vfio.ko` has of a container, which is in the list as long.
pub(crate) struct Listed(pub(crate) Entry<Container>);

impl core::ops::Deref for Listed {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.0
    }
}

struct Mappings;

impl DebugFile for Mappings {
    type Data = ();
    type OwnerModule = crate::LocalModule;

    fn show(_data: &(), out: &SeqFile) -> Result {
        CONTAINERS.for_each(|container| show_container(container, out));
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
