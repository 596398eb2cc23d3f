// SPDX-License-Identifier: GPL-2.0

//! What the administrator can read in `/sys/kernel/debug/vfio/spapr_tce`: the groups, windows and registered
//! memory of each container.
//!
//! Containers are told apart by their groups, which the file `containers` of `vfio.ko` has as well.

use crate::{
    abi,
    container::{
        Container,
        State, //
    },
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
    eeh::Operation,
    registry::{
        Entry,
        Registered,
        Registry, //
    },
    tce_group::TableGroup,
    tce_table::TceTable, //
};
use vfio_logic::tce::page_sizes;

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
    let folder = abi::debugfs_folder(c"spapr_tce").ok()?;
    folder.file::<Containers>(c"containers");
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

struct Containers;

impl DebugFile for Containers {
    type Data = ();
    type OwnerModule = crate::LocalModule;

    fn show(_data: &(), out: &SeqFile) -> Result {
        // Held for long only by who maps or unmaps much.
        CONTAINERS.for_each(|container| match container.try_lock() {
            Some(state) => show_container(container.v2, &state, out),
            None => seq_print!(out, "container: busy\n"),
        });
        Ok(())
    }
}

fn show_container(v2: bool, state: &State, out: &SeqFile) {
    seq_print!(
        out,
        "container of version {} with groups",
        1 + u32::from(v2)
    );
    for group in &state.groups {
        seq_print!(out, " {}", group.group().id());
    }
    seq_print!(
        out,
        ":\n\tenabled: {}\n",
        if state.enabled { "yes" } else { "no" }
    );
    for group in &state.groups {
        show_group(group, out);
    }
    if state.default_pending {
        seq_print!(
            out,
            "\twindow 0: made when it is used, or before another one is\n"
        );
    }
    for table in state.windows.iter().flatten() {
        show_window(table, out);
    }
    for memory in &state.memory {
        let request = memory.request();
        seq_print!(
            out,
            "\tmemory: {} pages at {:#x}\n",
            request.pages,
            request.vaddr
        );
    }
}

fn show_group(group: &TableGroup, out: &SeqFile) {
    let info = group.info();
    seq_print!(out, "\tgroup {}: ", group.group().id());
    // Not waiting for an operation on it.
    match Operation::begin(group).map(|operation| operation.map(|o| o.endpoint_number())) {
        Ok(Some(Some(number))) => seq_print!(out, "PE {number:#x}"),
        Ok(Some(None)) => seq_print!(out, "no PE"),
        _ => seq_print!(out, "PE busy"),
    }
    // One that can have none but the window that is there says -1.
    let windows = info.max_windows as i32;
    seq_print!(
        out,
        ", {:#x} bytes at {:#x} without asking, {windows} windows, {} levels, pages of",
        info.dma32_size,
        info.dma32_start,
        info.limits.max_levels
    );
    show_page_sizes(info.limits.page_sizes, out);
    seq_print!(out, "\n");
}

fn show_window(table: &TceTable, out: &SeqFile) {
    let window = table.window();
    seq_print!(
        out,
        "\twindow {}: {:#x}-{:#x}, {} levels, {} pages in use, {} free, of",
        table.slot(),
        window.start(),
        window.last(),
        table.levels(),
        table.used(),
        window.entries().saturating_sub(table.used())
    );
    show_page_sizes(window.page_size(), out);
    seq_print!(out, "\n");
}

fn show_page_sizes(bits: u64, out: &SeqFile) {
    for (number, unit) in page_sizes(bits) {
        seq_print!(out, " {number} {unit}");
    }
}
