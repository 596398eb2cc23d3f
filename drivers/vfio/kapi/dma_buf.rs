// SPDX-License-Identifier: GPL-2.0

//! Dma-bufs of device memory that the exporter can take back.
//!
//! Whoever has such a buffer lets other devices reach the memory, if their drivers can do without it
//! when told. While it is *revoked* nobody reaches the memory by it.
//!
//! Lock order: [`DmaBufs`], the reservation lock of a buffer, its count of mappings.
//!
//! C headers: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h),
//! [`include/linux/dma-buf-mapping.h`](srctree/include/linux/dma-buf-mapping.h)

use crate::versions::{
    eopnotsupp,
    this_module,
    ModuleMetadata, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_long, //
    },
    new_condvar, new_mutex,
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        CondVar,
        Mutex, //
    },
};
use vfio_bindings as vb;

pub use bindings::phys_vec as PhysRange;

/// The operations of the dma-bufs of an exporter whose buffers each own an `O`, to be put into a
/// `static`: its address is what tells them apart from those of others.
///
/// # Invariants
///
/// Dma-bufs that have these operations were made by [`DmaBufs::export`] with them.
pub struct Operations<O> {
    ops: bindings::dma_buf_ops,
    name: &'static CStr,
    _owner: PhantomData<fn() -> O>,
}

impl<O: Send + Sync + Unpin + 'static> Operations<O> {
    /// Those of the exporter called `name`, as user space sees it in `/proc/<pid>/fdinfo/<fd>`.
    #[allow(clippy::new_without_default)]
    pub const fn new(name: &'static CStr) -> Self {
        Self {
            ops: bindings::dma_buf_ops {
                attach: Some(attach::<O>),
                detach: None,
                pin: None,
                unpin: None,
                map_dma_buf: Some(map::<O>),
                unmap_dma_buf: Some(unmap::<O>),
                release: Some(release::<O>),
                begin_cpu_access: None,
                end_cpu_access: None,
                mmap: None,
                vmap: None,
                vunmap: None,
            },
            name,
            _owner: PhantomData,
        }
    }
}

/// Some ranges of the memory of a device, and what keeps them.
pub struct DeviceMemory<O> {
    ranges: Ranges,
    owner: O,
}

/// The memory of a buffer.
///
/// # Invariants
///
/// `provider` and the ranges are valid while the owner exists that they came with, and `size` is the sum
/// of the ranges.
struct Ranges {
    ranges: KVec<PhysRange>,
    provider: NonNull<bindings::p2pdma_provider>,
    size: usize,
}

// SAFETY: The provider is constant.
unsafe impl Send for Ranges {}
// SAFETY: As above.
unsafe impl Sync for Ranges {}

impl<O> DeviceMemory<O> {
    /// Some ranges of the memory of a device that stays bound to its driver as long as `owner` exists.
    ///
    /// # Safety
    ///
    /// The ranges must be of the device's memory, and they and `provider` valid as long as `owner` exists.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the ranges are empty or too large to be added up.
    pub unsafe fn from_raw(
        ranges: KVec<PhysRange>,
        provider: *mut bindings::p2pdma_provider,
        owner: O,
    ) -> Result<Self> {
        let provider = NonNull::new(provider).ok_or(EINVAL)?;
        let size = ranges
            .iter()
            .try_fold(0usize, |sum, range| sum.checked_add(range.len))
            .filter(|size| *size != 0)
            .ok_or(EINVAL)?;
        // INVARIANT: By the contract of this function.
        let ranges = Ranges {
            ranges,
            provider,
            size,
        };
        Ok(Self { ranges, owner })
    }
}

/// The dma-bufs of a device, each of which owns an `O` until [`DmaBufs::clear`].
#[pin_data]
pub struct DmaBufs<O: 'static> {
    operations: &'static Operations<O>,
    // INVARIANT: Those in here have the operations, and `release` was not called or is waiting for
    // this lock, so that they are allocated as long as it is held.
    #[pin]
    list: Mutex<KVec<Raw>>,
}

/// A dma-buf that may have nobody who uses it any more.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Raw(NonNull<bindings::dma_buf>);

// SAFETY: Dma-bufs have their own locks.
unsafe impl Send for Raw {}

impl<O: Send + Sync + Unpin + 'static> DmaBufs<O> {
    /// None yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(operations: &'static Operations<O>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                operations,
                list <- new_mutex!(KVec::new(), "DmaBufs::list"),
            }),
            GFP_KERNEL,
        )
    }

    /// Makes a buffer, revoked at first. The owner of the memory is dropped with the last user of the
    /// buffer, or by [`Self::clear`].
    ///
    /// # Errors
    ///
    /// `ENOMEM`; that of `dma_buf_export()`.
    pub fn export<M: ModuleMetadata>(
        self: &Arc<Self>,
        memory: DeviceMemory<O>,
        open_flags: u32,
    ) -> Result<DmaBuf> {
        let DeviceMemory {
            ranges: memory,
            owner,
        } = memory;
        let size = memory.size;
        let buf = Arc::pin_init(
            pin_init!(Buf {
                memory,
                bufs: self.clone(),
                revoked: Atomic::new(true),
                mappings <- new_mutex!(0, "dma-buf mappings"),
                unmapped <- new_condvar!("dma-buf unmapped"),
                owner <- new_mutex!(Some(owner), "dma-buf owner"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        let private = Arc::into_raw(buf);
        let info = bindings::dma_buf_export_info {
            exp_name: self.operations.name.as_char_ptr(),
            owner: this_module::<M>().as_ptr(),
            ops: &raw const self.operations.ops,
            size,
            // CAST: The bits of `open()`.
            flags: open_flags as c_int,
            resv: core::ptr::null_mut(),
            priv_: private.cast_mut().cast(),
        };
        // SAFETY: The description is complete. The operations take `priv_` for what it is.
        let raw = unsafe { bindings::dma_buf_export(&raw const info) };
        let raw = from_err_ptr(raw).inspect_err(|_| {
            // SAFETY: Nobody has taken it.
            drop(unsafe { Arc::from_raw(private) })
        })?;
        // From here on dropping it releases all.
        let exported = DmaBuf(NonNull::new(raw).ok_or(ENOMEM)?);
        self.list.lock().push(Raw(exported.0), GFP_KERNEL_ACCOUNT)?;
        Ok(exported)
    }

    /// Revokes all buffers, and waits until nobody reaches the memory by them, however long that takes;
    /// or lets them be used again.
    pub fn set_revoked(&self, revoked: bool) {
        let list = self.list.lock();
        for raw in list.iter() {
            // SAFETY: It is in the list, which is locked.
            unsafe { Buf::<O>::set_revoked(*raw, revoked) };
        }
    }

    /// Revokes all buffers for good, and drops what they own.
    pub fn clear(&self) {
        let mut list = self.list.lock();
        while let Some(raw) = list.pop() {
            // SAFETY: It was in the list, which is locked.
            let owner = unsafe {
                Buf::<O>::set_revoked(raw, true);
                Buf::<O>::of(raw.0.as_ptr()).owner.lock().take()
            };
            drop(owner);
        }
    }
}

/// A dma-buf that has no file descriptor yet; if it never gets one it goes when this is dropped.
pub struct DmaBuf(NonNull<bindings::dma_buf>);

impl DmaBuf {
    /// Gives the buffer a file descriptor, which user space has from here on.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENOMEM`; `EINVAL` for flags that descriptors do not have.
    #[inline]
    pub fn into_fd(self, open_flags: u32) -> Result<c_int> {
        // SAFETY: The buffer is valid; it has the reference of `self` if this succeeds.
        // CAST: The bits of `open()`.
        let fd = unsafe { bindings::dma_buf_fd(self.0.as_ptr(), open_flags as c_int) };
        to_result(fd)?;
        core::mem::forget(self);
        Ok(fd)
    }
}

impl Drop for DmaBuf {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The reference is ours.
        unsafe { bindings::dma_buf_put(self.0.as_ptr()) };
    }
}

/// What is behind a dma-buf.
#[pin_data]
struct Buf<O: 'static> {
    memory: Ranges,
    /// The list that this is in.
    bufs: Arc<DmaBufs<O>>,
    /// Nobody may map it. Changed with the reservation lock held.
    revoked: Atomic<bool>,
    /// How many mappings there are.
    #[pin]
    mappings: Mutex<usize>,
    /// `mappings` became zero.
    #[pin]
    unmapped: CondVar,
    /// What keeps the memory; `None` once the buffer is revoked for good.
    #[pin]
    owner: Mutex<Option<O>>,
}

impl<O: Send + Sync + Unpin + 'static> Buf<O> {
    /// What is behind a dma-buf.
    ///
    /// # Safety
    ///
    /// The dma-buf must have [`Operations<O>`], and not be released during `'a`.
    unsafe fn of<'a>(raw: *mut bindings::dma_buf) -> &'a Self {
        // SAFETY: By the contract of this function, and the type invariant of `Operations`; the `Arc` is
        // only taken back by `release`.
        unsafe { &*(*raw).priv_.cast::<Self>() }
    }

    /// See [`DmaBufs::set_revoked`].
    ///
    /// Needs no reference to the dma-buf's file, which may be gone already: the file is freed before the dma-buf if something else
    /// has its dentry, such as a descriptor opened with `O_PATH`.
    ///
    /// # Safety
    ///
    /// `raw` must be in the list of its [`DmaBufs`], or have been since that was locked, and the list still be locked: `release` waits for
    /// it, and all that belongs to the dma-buf is freed after that.
    unsafe fn set_revoked(raw: Raw, revoked: bool) {
        let raw = raw.0.as_ptr();
        // SAFETY: By the contract of this function and the type invariant of `DmaBufs`.
        let buf = unsafe { Self::of(raw) };
        if buf.revoked.load(Relaxed) == revoked {
            return;
        }
        // SAFETY: The dma-buf is valid, and so is its reservation; nothing else of the kind is held.
        unsafe {
            let resv = (*raw).resv;
            // Without a context this cannot fail.
            bindings::dma_resv_lock(resv, core::ptr::null_mut());
            if revoked {
                buf.revoked.store(true, Relaxed);
            }
            bindings::dma_buf_invalidate_mappings(raw);
            bindings::dma_resv_wait_timeout(
                resv,
                bindings::dma_resv_usage_DMA_RESV_USAGE_BOOKKEEP,
                false,
                c_long::MAX as usize,
            );
            if !revoked {
                buf.revoked.store(false, Relaxed);
            }
            bindings::dma_resv_unlock(resv);
        }
        if revoked {
            let mut mappings = buf.mappings.lock();
            while *mappings != 0 {
                buf.unmapped.wait(&mut mappings);
            }
        }
    }
}

/// Lets another device in, if it can reach the memory.
///
/// Called by: `dma_buf_dynamic_attach()`, as `dma_buf_ops.attach`.
///
/// Context: the importer's attach; may sleep.
///
/// # Safety
///
/// For the kernel only, as an operation of a dma-buf that has [`Operations<O>`].
unsafe extern "C" fn attach<O: Send + Sync + Unpin + 'static>(
    raw: *mut bindings::dma_buf,
    attachment: *mut bindings::dma_buf_attachment,
) -> c_int {
    from_result(|| {
        // SAFETY: The dma-buf is valid during the call, and has these operations; so is the attachment.
        let (buf, peer) = unsafe { (Buf::<O>::of(raw), (*attachment).peer2peer) };
        if !peer {
            return Err(eopnotsupp());
        }
        if buf.revoked.load(Relaxed) {
            return Err(ENODEV);
        }
        // SAFETY: The attachment is valid.
        if !unsafe { bindings::dma_buf_attach_revocable(attachment) } {
            return Err(eopnotsupp());
        }
        Ok(0)
    })
}

/// Maps the memory for another device.
///
/// Called by: `dma_buf_map_attachment()`, as `dma_buf_ops.map_dma_buf`.
///
/// Context: the importer, the buffer's reservation locked; may sleep.
///
/// # Safety
///
/// For the kernel only, as an operation of a dma-buf that has [`Operations<O>`].
unsafe extern "C" fn map<O: Send + Sync + Unpin + 'static>(
    attachment: *mut bindings::dma_buf_attachment,
    dir: bindings::dma_data_direction,
) -> *mut bindings::sg_table {
    // SAFETY: The attachment and its dma-buf, which has these operations, are valid during the call.
    let buf = unsafe { Buf::<O>::of((*attachment).dmabuf) };
    // The caller holds the reservation lock.
    if buf.revoked.load(Relaxed) {
        return ENODEV.to_ptr();
    }
    let memory = &buf.memory;
    // SAFETY: The attachment is valid. The buffer is not revoked, so its owner is there, and the
    // provider and the ranges are valid; they are not written to.
    let table = unsafe {
        vb::dma_buf_phys_vec_to_sgt(
            attachment,
            memory.provider.as_ptr(),
            memory.ranges.as_ptr().cast_mut(),
            memory.ranges.len(),
            memory.size,
            dir,
        )
    };
    if from_err_ptr(table).is_ok() {
        *buf.mappings.lock() += 1;
    }
    table
}

/// Takes such a mapping back.
///
/// Called by: `dma_buf_unmap_attachment()`, as `dma_buf_ops.unmap_dma_buf`.
///
/// Context: the importer, the buffer's reservation locked; may sleep.
///
/// # Safety
///
/// For the kernel only, as an operation of a dma-buf that has [`Operations<O>`].
unsafe extern "C" fn unmap<O: Send + Sync + Unpin + 'static>(
    attachment: *mut bindings::dma_buf_attachment,
    table: *mut bindings::sg_table,
    dir: bindings::dma_data_direction,
) {
    // SAFETY: As in `map`.
    let buf = unsafe { Buf::<O>::of((*attachment).dmabuf) };
    // `dma_buf_phys_vec_to_sgt()` says that none of its entries is for a processor, and
    // `sg_free_table()` frees as many entries as there are for one: all would be lost.
    // SAFETY: The table is what `map` gave for the attachment, with `nents` entries, and the owner
    // is there until it is freed, as `set_revoked` waits for that.
    unsafe {
        (*table).orig_nents = (*table).nents;
        vb::dma_buf_free_sgt(attachment, table, dir);
    }
    let mut mappings = buf.mappings.lock();
    *mappings = mappings.saturating_sub(1);
    if *mappings == 0 {
        buf.unmapped.notify_all();
    }
}

/// Frees a buffer that nobody has any more.
///
/// Called by: `dma_buf_release()`, as `dma_buf_ops.release`.
///
/// Context: the last reference to the buffer; may sleep.
///
/// # Safety
///
/// For the kernel only, as an operation of a dma-buf that has [`Operations<O>`].
unsafe extern "C" fn release<O: Send + Sync + Unpin + 'static>(raw: *mut bindings::dma_buf) {
    // SAFETY: This is the `Arc` that the dma-buf was given, and it is not taken back again.
    let buf = unsafe { Arc::<Buf<O>>::from_raw((*raw).priv_.cast()) };
    // Before the dma-buf is freed.
    buf.bufs.list.lock().retain(|other| other.0.as_ptr() != raw);
}

/// The memory of a dma-buf, for one who maps it without the help of a device.
///
/// # Safety
///
/// The attachment must be valid, and the reservation lock of its dma-buf held.
///
/// # Errors
///
/// `EOPNOTSUPP` if the dma-buf has other operations, or more than one range; `ENODEV` if it is revoked.
pub unsafe fn single_range<O: Send + Sync + Unpin + 'static>(
    attachment: *mut bindings::dma_buf_attachment,
    operations: &'static Operations<O>,
) -> Result<PhysRange> {
    // SAFETY: The attachment is valid, and so is its dma-buf.
    let raw = unsafe { (*attachment).dmabuf };
    // SAFETY: As above.
    if !core::ptr::eq(unsafe { (*raw).ops }, &raw const operations.ops) {
        return Err(eopnotsupp());
    }
    // SAFETY: It has the operations, and is not released as long as it has an attachment.
    let buf = unsafe { Buf::<O>::of(raw) };
    if buf.revoked.load(Relaxed) {
        return Err(ENODEV);
    }
    match buf.memory.ranges.as_slice() {
        [range] => Ok(*range),
        _ => Err(eopnotsupp()),
    }
}
