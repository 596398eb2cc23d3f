// SPDX-License-Identifier: GPL-2.0

//! The handlers of eventfds that drivers have.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use vfio_kapi::{
    module_static::ModuleStatic,
    virqfds::{
        SerialQueue,
        Virqfds, //
    },
};

/// All handlers.
pub(crate) static VIRQFDS: ModuleStatic<Virqfds> = ModuleStatic::new();

pub(crate) fn init() -> Result {
    VIRQFDS.init(Virqfds::new())
}

/// Handlers can be enabled while this exists.
pub(crate) struct Started(());

impl Started {
    pub(crate) fn new(queue: Arc<SerialQueue>) -> Self {
        VIRQFDS.get().start(queue);
        Self(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        VIRQFDS.get().stop();
    }
}
