// SPDX-License-Identifier: GPL-2.0

//! One mapping of a container.

use crate::abi;
use kernel::{
    fmt,
    mm::{
        Mm,
        MmWithUser, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        Arc, //
    },
    task::Task,
};
use vfio_kapi::{
    iommu_space::IoMapping,
    locked_vm,
    pin::PinnedPage,
    ratelimited,
    task::Process, //
};
use vfio_logic::{
    dma::MapRequest,
    iova::IovaRange, //
};

/// Whose memory is mapped, and who answers for it being locked. Mappings of the same process share it.
pub(crate) struct Owner {
    /// The leader of the thread group that mapped it: its limit counts.
    task: ARef<Task>,
    /// The address space. It may have lost its users by now.
    mm: ARef<Mm>,
    /// The limit did not count when it was mapped.
    privileged: bool,
}

impl Owner {
    /// The current process, whose address space is `mm`. `last` is the last one that was asked for, which it
    /// mostly is.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn current(mm: &MmWithUser, last: &mut Option<Arc<Self>>) -> Result<Arc<Self>> {
        let privileged = locked_vm::is_privileged();
        let task = current!();
        let leader = task.group_leader();
        if let Some(last) = last {
            if last.is_mm(mm)
                && last.privileged == privileged
                && last.task.as_ptr() == leader.as_ptr()
            {
                return Ok(last.clone());
            }
        }
        let owner = Self {
            task: ARef::from(leader),
            mm: ARef::from(&**mm),
            privileged,
        };
        let owner = Arc::new(owner, GFP_KERNEL_ACCOUNT)?;
        *last = Some(owner.clone());
        Ok(owner)
    }

    /// The address space, if it still has users.
    pub(crate) fn mm(&self) -> Option<ARef<MmWithUser>> {
        self.mm.mmget_not_zero()
    }

    /// Whether its memory is that of `mm`.
    pub(crate) fn is_mm(&self, mm: &MmWithUser) -> bool {
        self.mm.as_raw() == mm.as_raw()
    }

    /// Counts `pages` as locked in `mm`, the address space of this owner, within its limit.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if that is over the limit, `EINTR` if the current task is being killed.
    pub(crate) fn account(&self, mm: &MmWithUser, pages: u64) -> Result {
        let result = locked_vm::account(mm, &self.task, pages as usize, self.privileged);
        if result == Err(ENOMEM) {
            ratelimited!(pr_warn!(
                "RLIMIT_MEMLOCK ({}) exceeded by {}: {} bytes are locked, {} more were to be\n",
                locked_vm::limit(&self.task),
                Process::of(&self.task),
                locked_vm::locked(mm) << PAGE_SHIFT,
                pages << PAGE_SHIFT
            ));
        }
        result
    }

    /// Takes `pages` back. Nothing to do if the process is gone.
    pub(crate) fn unaccount(&self, pages: u64) {
        if pages == 0 {
            return;
        }
        if let Some(mm) = self.mm() {
            locked_vm::unaccount(&mm, &self.task, pages as usize);
        }
    }
}

/// A page that a driver has pinned.
pub(crate) struct ExternalPin {
    pub(crate) page: PinnedPage,
    /// How often.
    pub(crate) refs: u32,
}

/// A mapping: addresses of devices that stand for addresses of a process.
///
/// The first address of the device is the key in the tree of the container. Everything is
/// protected by the lock of the container's state, except that while `filling` the pages behind it
/// are with the thread that maps it.
pub(crate) struct Dma {
    /// The first address in the process.
    pub(crate) vaddr: u64,
    /// The pages, unless there are only emulated devices.
    pub(crate) io: IoMapping,
    pub(crate) owner: Arc<Owner>,
    /// How many pages are accounted to the owner for it.
    pub(crate) locked: u64,
    /// What drivers have pinned, by the address of the device.
    pub(crate) pins: RBTree<u64, ExternalPin>,
    /// Which pages are dirty, while that is tracked.
    pub(crate) dirty: Option<KVVec<u64>>,
    /// It is being mapped by another thread, which must not be disturbed.
    pub(crate) filling: bool,
    /// The addresses in the process are about to change and must not be used.
    pub(crate) vaddr_invalid: bool,
}

impl Dma {
    /// Not mapped yet.
    pub(crate) fn new(request: &MapRequest, owner: Arc<Owner>, filling: bool) -> Self {
        Self {
            vaddr: request.vaddr,
            io: Self::empty_io(request),
            owner,
            locked: 0,
            pins: RBTree::new(),
            dirty: None,
            filling,
            vaddr_invalid: false,
        }
    }

    /// The pages of what is requested, before there are any.
    pub(crate) fn empty_io(request: &MapRequest) -> IoMapping {
        IoMapping::new(
            request.range.start,
            request.size,
            request.read,
            request.write,
        )
    }

    /// The number of bytes.
    pub(crate) fn size(&self) -> u64 {
        self.io.bytes()
    }

    /// The addresses of the device, where `iova` is the first.
    pub(crate) fn range(&self, iova: u64) -> IovaRange {
        // What is mapped is not empty and does not wrap.
        IovaRange {
            start: iova,
            last: iova + (self.size() - 1),
        }
    }

    /// How many pages that drivers have pinned count as locked.
    pub(crate) fn pins_accountable(&self) -> u64 {
        self.pins
            .values()
            .filter(|pin| pin.page.is_accountable())
            .count() as u64
    }

    /// Accounts `pages` instead of what is accounted now, if that is more.
    pub(crate) fn shrink_locked(&mut self, pages: u64) {
        let pages = pages.min(self.locked);
        self.owner.unaccount(self.locked - pages);
        self.locked = pages;
    }

    /// Accounts what drivers have pinned, and nothing else.
    ///
    /// Of memory that had no pages when it was mapped, and was exchanged for some that has, less was accounted until now.
    /// Where the limit, or the end of its owner, does not allow for more it stays so.
    pub(crate) fn account_pins_only(&mut self) {
        let pages = self.pins_accountable();
        let more = pages.saturating_sub(self.locked);
        if let Some(mm) = self.owner.mm() {
            if self.owner.account(&mm, more).is_ok() {
                self.locked += more;
            }
        }
        self.shrink_locked(pages);
    }
}

// What a small mapping costs: see `vfio_logic::extent`.
const _: () = assert!(
    size_of::<Dma>() + size_of::<u64>() + size_of::<kernel::bindings::rb_node>()
        <= vfio_logic::extent::NODE_BYTES as usize
);

/// What user space asked for: the name of the call, the first address and the size. For messages; it costs
/// nothing until there is one.
pub(crate) struct Asked(pub(crate) &'static str, pub(crate) u64, pub(crate) u64);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(call, iova, size) = self;
        f.write_fmt(fmt!("{call} of {size:#x} bytes at {iova:#x}"))
    }
}

/// Whether the IOMMU's large pages may be used.
pub(crate) fn use_huge_pages() -> bool {
    !abi::vfio_type1_disable_hugepages.get()
}
