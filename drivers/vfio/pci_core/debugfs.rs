// SPDX-License-Identifier: GPL-2.0

//! What the administrator can read in `/sys/kernel/debug/vfio/<device>/pci`.
//!
//! The parameters of a driver may change at any time; a device keeps those that it was bound with.

use crate::state::{
    Device,
    Flag, //
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};
use vfio_kapi::debugfs::{
    DebugFile,
    Folder, //
};

/// How a device was set up by its driver.
pub(crate) struct Policy {
    nointxmask: bool,
    disable_idle_d3: bool,
}

impl Policy {
    pub(crate) fn of(dev: &Device) -> Self {
        Self {
            nointxmask: dev.has(Flag::Nointxmask),
            disable_idle_d3: dev.has(Flag::DisableIdleD3),
        }
    }
}

/// Gives a device its files, until [`remove`].
pub(crate) fn add(dev: &Device, folder: Folder<Policy>) {
    folder.file::<NoIntxMask>(c"nointxmask");
    folder.file::<DisableIdleD3>(c"disable_idle_d3");
    *dev.state().debugfs.lock() = Some(folder);
}

/// Removes the files of a device, if it has them.
pub(crate) fn remove(dev: &Device) {
    let folder = dev.state().debugfs.lock().take();
    drop(folder);
}

fn yes_or_no(out: &SeqFile, yes: bool) {
    seq_print!(out, "{}\n", if yes { 'Y' } else { 'N' });
}

struct NoIntxMask;

impl DebugFile for NoIntxMask {
    type Data = Policy;
    type OwnerModule = crate::LocalModule;
    const MODE: u16 = 0o444;

    fn show(policy: &Policy, out: &SeqFile) -> Result {
        yes_or_no(out, policy.nointxmask);
        Ok(())
    }
}

struct DisableIdleD3;

impl DebugFile for DisableIdleD3 {
    type Data = Policy;
    type OwnerModule = crate::LocalModule;
    const MODE: u16 = 0o444;

    fn show(policy: &Policy, out: &SeqFile) -> Result {
        yes_or_no(out, policy.disable_idle_d3);
        Ok(())
    }
}
