// SPDX-License-Identifier: GPL-2.0

//! Who holds something open: for messages, and for the administrator.

use crate::task::Process;
use kernel::{
    fmt, new_mutex,
    prelude::*,
    rbtree::RBTree,
    str::CString,
    sync::{
        Arc,
        Mutex, //
    },
};

/// How many are named; more are counted.
const NAMED: usize = 16;

/// Those who hold a thing open.
#[pin_data]
pub struct Holders {
    #[pin]
    list: Mutex<List>,
}

struct List {
    /// By the order in which they came.
    entries: RBTree<u64, Process>,
    next: u64,
    count: usize,
}

impl Holders {
    /// Nobody.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                list <- new_mutex!(
                    List {
                        entries: RBTree::new(),
                        next: 0,
                        count: 0,
                    },
                    "vfio::Holders::list"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds the current process, until the result is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Holder> {
        let process = Process::current();
        let mut list = self.list.lock();
        let key = list.next;
        list.entries
            .try_create_and_insert(key, process, GFP_KERNEL_ACCOUNT)?;
        list.next = key.wrapping_add(1);
        list.count += 1;
        Ok(Holder {
            holders: self.clone(),
            key,
        })
    }

    /// The names of those who hold it; `None` if nobody does. May sleep.
    ///
    /// A text of its own, and no [`fmt::Display`]: the kernel formats its messages with interrupts
    /// off, where the lock of the list cannot be taken.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn names(&self) -> Result<Option<CString>> {
        let list = self.list.lock();
        if list.count == 0 {
            return Ok(None);
        }
        CString::try_from_fmt(fmt!("{}", *list)).map(Some)
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, process) in self.entries.values().take(NAMED).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            f.write_fmt(fmt!("{comma}{process}"))?;
        }
        match self.count.checked_sub(NAMED) {
            None | Some(0) => Ok(()),
            Some(more) => f.write_fmt(fmt!(", and {more} more")),
        }
    }
}

/// One who holds the thing open.
pub struct Holder {
    holders: Arc<Holders>,
    key: u64,
}

impl Drop for Holder {
    fn drop(&mut self) {
        let mut list = self.holders.list.lock();
        if list.entries.remove(&self.key).is_some() {
            list.count -= 1;
        }
    }
}
