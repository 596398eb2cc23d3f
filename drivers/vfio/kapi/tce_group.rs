// SPDX-License-Identifier: GPL-2.0

//! The DMA windows of a group on POWER, where a group is a partitionable endpoint (PE) of the host bridge.
//!
//! C header: [`arch/powerpc/include/asm/iommu.h`](srctree/arch/powerpc/include/asm/iommu.h)

use crate::{
    iommu_group::IommuGroup,
    locked_vm::LockedPages,
    tce_table::{
        Backing,
        TceTable, //
    },
};
use core::ptr::NonNull;
use kernel::{
    bindings,
    ffi::c_int,
    mm::Mm,
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef, //
};
use vfio_bindings as vb;
use vfio_logic::tce::{
    GroupLimits,
    NewWindow,
    PlatformCall, //
};

/// How many windows a group may have at most.
pub const MAX_WINDOWS: usize = vb::IOMMU_TABLE_GROUP_MAX_TABLES as usize;

/// What a group's host bridge can do.
#[derive(Clone, Copy)]
pub struct GroupInfo {
    /// The first I/O address of the window below 4 GiB.
    pub dma32_start: u32,
    /// Its size in bytes; zero if there is none.
    pub dma32_size: u32,
    /// How many windows user space can make; zero if it cannot.
    pub max_windows: u32,
    /// What these may be.
    pub limits: GroupLimits,
}

/// A group whose windows are ours, until dropped; they go with it.
///
/// # Invariants
///
/// `raw` describes the windows of the group, and nobody else changes them.
pub struct TableGroup {
    pub(crate) group: ARef<IommuGroup>,
    raw: NonNull<vb::iommu_table_group>,
}

// SAFETY: A group is not tied to a thread.
unsafe impl Send for TableGroup {}
// SAFETY: What changes the windows goes to the firmware, which has its own lock, and notes the tables of this
// group, for which there is `&mut self`.
unsafe impl Sync for TableGroup {}

impl TableGroup {
    /// Takes the windows of `group`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the group has none.
    ///
    /// # Safety
    ///
    /// The DMA of the group is claimed for the caller for as long as this exists, and there is no other for
    /// this group. A device of the group stays bound to its driver for as long.
    pub unsafe fn claimed(group: &IommuGroup) -> Result<Self> {
        // SAFETY: The group is valid. With `SPAPR_TCE_IOMMU` only the platform attaches data to groups: this.
        let raw = unsafe { bindings::iommu_group_get_iommudata(group.as_raw()) };
        // INVARIANT: Who has claimed the DMA of the group has its windows.
        Ok(Self {
            group: group.into(),
            raw: NonNull::new(raw.cast()).ok_or(ENODEV)?,
        })
    }

    /// The group.
    pub fn group(&self) -> &IommuGroup {
        &self.group
    }

    /// What its host bridge can do.
    pub fn info(&self) -> GroupInfo {
        // SAFETY: Valid by the invariant, and these fields do not change.
        let raw = unsafe { self.raw.as_ref() };
        GroupInfo {
            dma32_start: raw.tce32_start,
            dma32_size: raw.tce32_size,
            max_windows: raw.max_dynamic_windows_supported,
            limits: GroupLimits {
                page_sizes: raw.pgsizes,
                max_levels: raw.max_levels,
            },
        }
    }

    fn ops(&self) -> Option<&vb::iommu_table_group_ops> {
        // SAFETY: Valid by the invariant; the operations are static.
        unsafe { self.raw.as_ref().ops.as_ref() }
    }

    /// The table of a window, as the platform has noted it.
    fn table(&self, slot: usize) -> *mut vb::iommu_table {
        // SAFETY: Valid by the invariant, by which nobody changes it meanwhile.
        unsafe {
            (&raw const (*self.raw.as_ptr()).tables)
                .cast::<[*mut vb::iommu_table; MAX_WINDOWS]>()
                .read()
        }
        .get(slot)
        .copied()
        .unwrap_or(core::ptr::null_mut())
    }

    /// Whether both have the same kind of tables, so that one table can be the window of both.
    pub fn is_compatible(&self, other: &Self) -> bool {
        let create = |group: &Self| {
            group
                .ops()
                .and_then(|ops| ops.create_table)
                .map(|f| f as usize)
        };
        create(self) == create(other)
    }

    /// Makes an empty table for the window number `slot`, and accounts its memory to `mm`. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group cannot have such a window, `EPERM` if it cannot have any, `ENOMEM` without
    /// memory or beyond the limit of locked memory, and those of the platform.
    pub fn create_table(
        &mut self,
        slot: usize,
        window: &NewWindow,
        mm: &ARef<Mm>,
        backing: Backing,
    ) -> Result<TceTable> {
        if slot >= MAX_WINDOWS {
            return Err(EINVAL);
        }
        // The platform does not check it all.
        window.check(&self.info().limits)?;
        let ops = self.ops().ok_or(EPERM)?;
        if ops.set_window.is_none() || ops.unset_window.is_none() {
            return Err(EPERM);
        }
        let table_size = ops.get_table_size.ok_or(EPERM)?;
        let create = ops.create_table.ok_or(EPERM)?;
        // SAFETY: Arithmetic on numbers that were checked.
        let size = unsafe { table_size(window.page_shift, window.size, window.levels) };
        if size == 0 {
            return Err(EINVAL);
        }
        let locked = LockedPages::new(mm, size >> PAGE_SHIFT)?;
        let mut table = core::ptr::null_mut();
        // SAFETY: The group is valid, and its windows are ours; the arguments were checked.
        let ret = unsafe {
            create(
                self.raw.as_ptr(),
                slot as c_int,
                window.page_shift,
                window.size,
                window.levels,
                &raw mut table,
            )
        };
        PlatformCall::CreateTable.check(ret as i64)?;
        let table = NonNull::new(table).ok_or(EIO)?;
        // SAFETY: A new table, with a reference for us.
        let table = unsafe { TceTable::from_raw(table, slot, backing, mm.clone(), locked) };
        if table.is_err() {
            // Some platforms make the window with its table.
            self.unset_window(slot);
        }
        table
    }

    /// Gives the group the window of `table`, which this group or one that is compatible has made.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it has another window of that number, `EPERM` if it cannot, and those of the platform.
    /// It has no window of that number then.
    pub fn set_window(&mut self, table: &TceTable) -> Result {
        let slot = table.slot();
        let present = self.table(slot);
        if !present.is_null() && present != table.as_raw() {
            return Err(EBUSY);
        }
        let set = self.ops().and_then(|ops| ops.set_window).ok_or(EPERM)?;
        // SAFETY: Both are valid, and the windows of the group are ours. The platform takes a reference to
        // the table for as long as the window is there.
        let ret = unsafe { set(self.raw.as_ptr(), slot as c_int, table.as_raw()) };
        let mut result = PlatformCall::SetWindow
            .check(ret as i64)
            .map_err(Error::from);
        // Without memory powernv gives the device the window without that reference.
        if result.is_ok() && self.table(slot) != table.as_raw() {
            result = Err(ENOMEM);
        }
        if result.is_err() {
            self.unset_window(slot);
        }
        result
    }

    /// Takes a window away from the group, if it has it.
    pub fn unset_window(&mut self, slot: usize) {
        if slot >= MAX_WINDOWS {
            return;
        }
        if let Some(unset) = self.ops().and_then(|ops| ops.unset_window) {
            // SAFETY: The group is valid and its windows are ours. That it cannot be taken away the platform
            // has said in the log.
            unsafe { unset(self.raw.as_ptr(), slot as c_int) };
        }
    }

    /// Takes all windows away from the group that it has.
    pub fn unset_all(&mut self) {
        for slot in 0..MAX_WINDOWS {
            if !self.table(slot).is_null() {
                self.unset_window(slot);
            }
        }
    }
}

impl Drop for TableGroup {
    fn drop(&mut self) {
        self.unset_all();
    }
}
