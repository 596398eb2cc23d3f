// SPDX-License-Identifier: GPL-2.0

//! Backends that give containers their I/O address spaces.
//!
//! A backend implements [`IommuDriver`]; a [`Registration`] makes it known to `vfio.ko` by the
//! kernel's C interface, so that it works with either `vfio.ko`.
//!
//! C header: `drivers/vfio/vfio.h`, `struct vfio_iommu_driver_ops`

use crate::{
    group_kind::GroupKind,
    iommu_backend::IommuBackend,
    iommu_group::IommuGroup,
    pin::PinnedPage,
    uaccess::UserArg,
    versions::{
        this_module,
        ModuleMetadata, //
    },
    vfio_device::VfioDevice, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    pin::Pin,
    ptr::NonNull,
    sync::atomic::{
        AtomicUsize,
        Ordering, //
    },
};
use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong,
        c_void, //
    },
    mm::MmWithUser,
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{
        Completion,
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};
use vfio_bindings as vb;

/// What is to be done with memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// It is read.
    pub read: bool,
    /// It is written.
    pub write: bool,
    /// Something else (`IOMMU_CACHE`, ...), which no mapping is for.
    pub other: bool,
}

/// A promise of a backend to drivers of emulated devices, which get plain pointers to pages.
///
/// # Safety
///
/// What [`PageSlots::set`] was called with in a successful [`IommuDriver::pin_pages`] must be kept, not
/// dropped, until [`IommuDriver::unpin_pages`] has taken it back as often, or the drivers were told of
/// the unmapping by [`DeviceList::notify_unmap`], or the container is released.
pub unsafe trait KeepsPages {}

/// A backend; an instance is what one container has of it.
///
/// All methods may sleep.
pub trait IommuDriver: KeepsPages + Send + Sync + Sized + 'static {
    /// The name, as in `vfio-iommu-type1`.
    const NAME: &'static CStr;

    /// The module that the code is in.
    type OwnerModule: ModuleMetadata;

    /// Whether it serves emulated devices: the methods from [`Self::pin_pages`] on.
    const EMULATED: bool = false;

    /// Whether it supports an extension (`VFIO_CHECK_EXTENSION`); in general, or in a container. An
    /// IOMMU type (`VFIO_SET_IOMMU`) is an extension as well. Zero means that it does not.
    fn check_extension(this: Option<&Self>, extension: usize) -> usize;

    /// Makes the instance for a container that was told to use the type `kind`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such type, `EPERM`, `ENOMEM`.
    fn open(kind: usize) -> Result<impl PinInit<Self, Error>>;

    /// The container is closed; the instance is dropped next. Groups may still be there.
    fn release(&self) {}

    /// Any ioctl of the container that `vfio.ko` does not handle.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for one that is not known.
    fn ioctl(&self, devices: &DeviceList, cmd: u32, arg: UserArg) -> Result<isize>;

    /// A group joins the container.
    ///
    /// # Errors
    ///
    /// Nothing has changed then.
    fn attach_group(&self, group: &IommuGroup, kind: GroupKind) -> Result;

    /// A group that has joined leaves the container.
    fn detach_group(&self, devices: &DeviceList, group: &IommuGroup);

    /// Pins the pages at I/O addresses from `iova` on for a driver, for these accesses,
    /// as many as there are slots.
    ///
    /// # Errors
    ///
    /// No page is pinned for this call then.
    fn pin_pages(
        &self,
        devices: &DeviceList,
        group: &IommuGroup,
        iova: u64,
        access: Access,
        pages: &mut PageSlots<'_>,
    ) -> Result {
        let _ = (devices, group, iova, access, pages);
        Err(EINVAL)
    }

    /// Takes back one [`Self::pin_pages`] of each of `pages` pages from `iova` on.
    fn unpin_pages(&self, iova: u64, pages: u64) {
        let _ = (iova, pages);
    }

    /// Reads or writes the memory at I/O addresses from `iova` on for a driver.
    ///
    /// # Errors
    ///
    /// A part may have been copied.
    fn dma_rw(&self, iova: u64, data: DmaData<'_>) -> Result {
        let _ = (iova, data);
        Err(EINVAL)
    }
}

/// Where a driver wants to have pointers to pinned pages. It need not have written to it.
pub struct PageSlots<'a>(&'a mut [MaybeUninit<*mut bindings::page>]);

impl PageSlots<'_> {
    /// The number of slots; at least one.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells the driver of `page`, which has to exist until the driver has unpinned it; see
    /// [`KeepsPages`].
    #[inline]
    pub fn set(&mut self, index: usize, page: &PinnedPage) {
        if let Some(slot) = self.0.get_mut(index) {
            slot.write(page.as_raw());
        }
    }

    /// Takes back all that was told.
    pub fn clear(&mut self) {
        self.0.fill(MaybeUninit::new(core::ptr::null_mut()));
    }
}

/// What a driver wants to be copied.
pub enum DmaData<'a> {
    /// From the memory of the process to here.
    Read(&'a mut [u8]),
    /// From here to the memory of the process.
    Write(&'a [u8]),
}

/// Lets the current kernel thread use the address space of a process; gives it back when dropped.
struct BorrowedMm<'a>(&'a MmWithUser);

impl Drop for BorrowedMm<'_> {
    fn drop(&mut self) {
        // SAFETY: `kthread_use_mm` was called for it by `with_mm`.
        unsafe { bindings::kthread_unuse_mm(self.0.as_raw()) };
    }
}

/// Calls `f` where user addresses are those of `mm`.
///
/// # Errors
///
/// `EFAULT` in a task that has another address space.
fn with_mm<R>(mm: &MmWithUser, f: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: `current` is always valid.
    let own = unsafe { (*kernel::task::Task::current_raw()).mm };
    if own == mm.as_raw() {
        return f();
    }
    if !own.is_null() {
        return Err(EFAULT);
    }
    // SAFETY: Only a kernel thread has no address space, and `mm` has users.
    unsafe { bindings::kthread_use_mm(mm.as_raw()) };
    let _borrowed = BorrowedMm(mm);
    f()
}

/// Writes `data` to `vaddr` in the process that has `mm`.
///
/// # Errors
///
/// `EFAULT` if it cannot be written, or if the current task is another process.
pub fn write_to_mm(mm: &MmWithUser, vaddr: usize, data: &[u8]) -> Result {
    with_mm(mm, || {
        UserSlice::new(UserPtr::from_addr(vaddr), data.len())
            .writer()
            .write_slice(data)
    })
}

/// Reads `data` from `vaddr` in the process that has `mm`.
///
/// # Errors
///
/// `EFAULT` if it cannot be read, or if the current task is another process.
pub fn read_from_mm(mm: &MmWithUser, vaddr: usize, data: &mut [u8]) -> Result {
    with_mm(mm, || {
        UserSlice::new(UserPtr::from_addr(vaddr), data.len())
            .reader()
            .read_slice(data)
    })
}

/// The open devices of a container whose drivers want to know of unmaps.
///
/// A list through `iommu_entry` of the devices, ended by null.
#[pin_data]
pub struct DeviceList {
    #[pin]
    first: Mutex<First>,
    count: AtomicUsize,
}

struct First(*mut bindings::list_head);

// SAFETY: The devices are not tied to a thread.
unsafe impl Send for First {}

impl DeviceList {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            first <- new_mutex!(First(core::ptr::null_mut()), "vfio_iommu_devices"),
            count: AtomicUsize::new(0),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Tells the drivers that the `size` bytes from `iova` on are about to be unmapped. They unpin
    /// what they have pinned there, so no lock that this needs may be held.
    pub fn notify_unmap(&self, iova: u64, size: u64) {
        let first = self.first.lock();
        let mut entry = first.0;
        while !entry.is_null() {
            // SAFETY: What is in the list is embedded in a device, which is open and so is valid,
            // together with its operations; `link` has checked that `dma_unmap` is there.
            unsafe {
                let device = kernel::container_of!(entry, vb::vfio_device, iommu_entry);
                if let Some(dma_unmap) = (*(*device).ops).dma_unmap {
                    dma_unmap(device, iova, size);
                }
                entry = (*entry).next;
            }
        }
    }

    /// Adds a device that wants to know; ignores one that does not.
    ///
    /// # Safety
    ///
    /// The device is not in a list, and is valid until `unlink` was called for it.
    unsafe fn link(&self, device: &VfioDevice) {
        let raw = device.as_raw();
        let mut first = self.first.lock();
        // SAFETY: The device is valid. Its `iommu_entry` is for the backend, protected by our lock.
        unsafe {
            if (*(*raw).ops).dma_unmap.is_none() {
                return;
            }
            let entry = &raw mut (*raw).iommu_entry;
            (*entry).next = first.0;
            (*entry).prev = core::ptr::null_mut();
            first.0 = entry;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a device if it is in the list.
    fn unlink(&self, device: &VfioDevice) {
        // SAFETY: The device is valid; only the address of the field is taken.
        let entry = unsafe { &raw mut (*device.as_raw()).iommu_entry };
        let mut first = self.first.lock();
        let mut link: *mut *mut bindings::list_head = &raw mut first.0;
        // SAFETY: `link` points to the head or into a device in the list, which is valid.
        unsafe {
            while !(*link).is_null() {
                if *link == entry {
                    *link = (*entry).next;
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                link = &raw mut (**link).next;
            }
        }
    }
}

/// How many ioctls use an instance. The `vfio.ko` of C takes care of nothing: it may release an instance, as the
/// last group leaves, while an ioctl still waits for user memory.
#[pin_data]
struct Calls {
    /// One more than there are, until the instance is released.
    count: AtomicUsize,
    #[pin]
    none: Completion,
}

/// An ioctl in progress.
struct Call<'a>(&'a Calls);

impl Calls {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            count: AtomicUsize::new(1),
            none <- Completion::new(),
        })
    }

    #[inline]
    fn enter(&self) -> Call<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Call(self)
    }

    /// Waits until all calls have returned. There are no new ones, and this is called once.
    fn wait_for_all(&self) {
        // What they did is seen here.
        if self.count.fetch_sub(1, Ordering::AcqRel) != 1 {
            self.none.wait_for_completion();
        }
    }
}

impl Drop for Call<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.complete_all();
        }
    }
}

/// What `vfio.ko` keeps for a container.
#[pin_data]
struct Hosted<T: IommuDriver> {
    #[pin]
    devices: DeviceList,
    #[pin]
    calls: Calls,
    #[pin]
    driver: T,
}

/// The C operations of a backend.
struct Adapter<T: IommuDriver>(PhantomData<T>);

/// A static table of operations.
#[repr(transparent)]
struct Ops(vb::vfio_iommu_driver_ops);

// SAFETY: The table is never written to.
unsafe impl Sync for Ops {}

impl<T: IommuDriver> Adapter<T> {
    const OPS: Ops = Ops(vb::vfio_iommu_driver_ops {
        name: T::NAME.to_bytes_with_nul().as_ptr().cast_mut(),
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(Self::open),
        release: Some(Self::release),
        ioctl: Some(Self::ioctl),
        attach_group: Some(Self::attach_group),
        detach_group: Some(Self::detach_group),
        pin_pages: if T::EMULATED {
            Some(Self::pin_pages)
        } else {
            None
        },
        unpin_pages: if T::EMULATED {
            Some(Self::unpin_pages)
        } else {
            None
        },
        register_device: if T::EMULATED {
            Some(Self::register_device)
        } else {
            None
        },
        unregister_device: if T::EMULATED {
            Some(Self::unregister_device)
        } else {
            None
        },
        dma_rw: if T::EMULATED {
            Some(Self::dma_rw)
        } else {
            None
        },
        // Nobody calls it.
        group_iommu_domain: None,
    });

    const fn ops() -> &'static Ops {
        <Self as StaticOps>::OPS
    }

    /// # Safety
    ///
    /// `data` must be what `open` returned, and `release` not be called for it during `'a`.
    unsafe fn hosted<'a>(data: *mut c_void) -> &'a Hosted<T> {
        // SAFETY: By the contract of this function.
        unsafe { &*data.cast() }
    }

    /// Makes what a container has of the backend.
    ///
    /// Called by: `vfio_ioctl_set_iommu()`, as `vfio_iommu_driver_ops.open`.
    ///
    /// Context: `VFIO_SET_IOMMU`, the container locked; may sleep.
    ///
    /// # Safety
    ///
    /// None; unsafe for the C signature.
    unsafe extern "C" fn open(arg: c_ulong) -> *mut c_void {
        let result = T::open(arg).and_then(|driver| {
            KBox::pin_init(
                try_pin_init!(Hosted {
                    devices <- DeviceList::new(),
                    calls <- Calls::new(),
                    driver <- driver,
                }? Error),
                GFP_KERNEL_ACCOUNT,
            )
        });
        match result {
            // SAFETY: What it points to is not moved until `release`.
            Ok(hosted) => KBox::into_raw(unsafe { Pin::into_inner_unchecked(hosted) }).cast(),
            Err(e) => e.to_ptr(),
        }
    }

    /// Frees that.
    ///
    /// Called by: `vfio_group_detach_container()`, as `vfio_iommu_driver_ops.release`.
    ///
    /// Context: the container's last group leaves, the container locked; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, and not be given to any function any more. Ioctls that were
    /// begun before are waited for.
    unsafe extern "C" fn release(data: *mut c_void) {
        // SAFETY: By the contract of this function.
        let hosted = unsafe { Pin::new_unchecked(KBox::from_raw(data.cast::<Hosted<T>>())) };
        hosted.calls.wait_for_all();
        hosted.driver.release();
    }

    /// An ioctl of the container that `vfio.ko` does not do; or what the backend can, before there
    /// is an instance.
    ///
    /// Called by: `vfio_fops_unl_ioctl()`, as `vfio_iommu_driver_ops.ioctl`.
    ///
    /// Context: process context of the user; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, or null.
    unsafe extern "C" fn ioctl(data: *mut c_void, cmd: c_uint, arg: c_ulong) -> c_long {
        let hosted = if data.is_null() {
            None
        } else {
            // SAFETY: By the contract of this function; the instance stays during the call, as it is counted.
            Some(unsafe { Self::hosted(data) })
        };
        let _call = hosted.map(|hosted| hosted.calls.enter());
        if cmd == crate::uapi::CHECK_EXTENSION {
            return T::check_extension(hosted.map(|h| &h.driver), arg) as c_long;
        }
        let result = hosted
            .ok_or(ENOTTY)
            .and_then(|h| h.driver.ioctl(&h.devices, cmd, UserArg::new(arg)));
        match result {
            Ok(value) => value as c_long,
            Err(e) => e.to_errno() as c_long,
        }
    }

    /// A group joins.
    ///
    /// Called by: `vfio_container_attach_group()`, as `vfio_iommu_driver_ops.attach_group`.
    ///
    /// Context: `VFIO_SET_IOMMU` or `VFIO_GROUP_SET_CONTAINER`, the container locked; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, and `group` be valid.
    unsafe extern "C" fn attach_group(
        data: *mut c_void,
        group: *mut bindings::iommu_group,
        kind: vb::vfio_group_type,
    ) -> c_int {
        // SAFETY: By the contract of this function; both are kept during the call.
        let (hosted, group) = unsafe { (Self::hosted(data), IommuGroup::from_raw(group)) };
        let kind = GroupKind::from_raw(kind);
        from_result(|| hosted.driver.attach_group(group, kind).map(|()| 0))
    }

    /// A group leaves.
    ///
    /// Called by: `vfio_group_detach_container()`, as `vfio_iommu_driver_ops.detach_group`.
    ///
    /// Context: a group leaves, the container locked; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, and `group` be valid.
    unsafe extern "C" fn detach_group(data: *mut c_void, group: *mut bindings::iommu_group) {
        // SAFETY: By the contract of this function; both are kept during the call.
        let (hosted, group) = unsafe { (Self::hosted(data), IommuGroup::from_raw(group)) };
        hosted.driver.detach_group(&hosted.devices, group);
    }

    /// Pins pages of the user's for a driver.
    ///
    /// Called by: `vfio_device_container_pin_pages()`, as `vfio_iommu_driver_ops.pin_pages`.
    ///
    /// Context: a driver of an open device; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, `group` be valid and `pages` have room for `npage`
    /// pointers.
    unsafe extern "C" fn pin_pages(
        data: *mut c_void,
        group: *mut bindings::iommu_group,
        iova: bindings::dma_addr_t,
        npage: c_int,
        prot: c_int,
        pages: *mut *mut bindings::page,
    ) -> c_int {
        if data.is_null() || pages.is_null() || npage <= 0 {
            return EINVAL.to_errno();
        }
        // SAFETY: By the contract of this function; all are kept during the call.
        let (hosted, group, slots) = unsafe {
            (
                Self::hosted(data),
                IommuGroup::from_raw(group),
                core::slice::from_raw_parts_mut(pages.cast(), npage as usize),
            )
        };
        let mut slots = PageSlots(slots);
        let access = Access {
            read: prot as u32 & bindings::IOMMU_READ != 0,
            write: prot as u32 & bindings::IOMMU_WRITE != 0,
            other: prot as u32 & !(bindings::IOMMU_READ | bindings::IOMMU_WRITE) != 0,
        };
        let ret = hosted
            .driver
            .pin_pages(&hosted.devices, group, iova, access, &mut slots);
        match ret {
            Ok(()) => npage,
            Err(e) => e.to_errno(),
        }
    }

    /// Unpins them.
    ///
    /// Called by: `vfio_device_container_unpin_pages()`, as `vfio_iommu_driver_ops.unpin_pages`.
    ///
    /// Context: a driver of an open device; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned.
    unsafe extern "C" fn unpin_pages(data: *mut c_void, iova: bindings::dma_addr_t, npage: c_int) {
        // SAFETY: By the contract of this function.
        let hosted = unsafe { Self::hosted(data) };
        if kernel::warn_on!(npage <= 0) {
            return;
        }
        hosted.driver.unpin_pages(iova, npage as u64);
    }

    /// A device opens that wants to know of unmappings.
    ///
    /// Called by: `vfio_device_container_register()`, as `vfio_iommu_driver_ops.register_device`.
    ///
    /// Context: the device opens, lock of its set held; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned; `device` be valid, and be unregistered before it is
    /// freed.
    unsafe extern "C" fn register_device(data: *mut c_void, device: *mut vb::vfio_device) {
        // SAFETY: By the contract of this function. A device is registered once, when it is opened
        // first.
        unsafe {
            Self::hosted(data)
                .devices
                .link(VfioDevice::from_raw(device))
        };
    }

    /// It closes.
    ///
    /// Called by: `vfio_device_container_unregister()`, as
    /// `vfio_iommu_driver_ops.unregister_device`.
    ///
    /// Context: the device closes, lock of its set held; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, and `device` be valid.
    unsafe extern "C" fn unregister_device(data: *mut c_void, device: *mut vb::vfio_device) {
        // SAFETY: By the contract of this function.
        unsafe {
            Self::hosted(data)
                .devices
                .unlink(VfioDevice::from_raw(device))
        };
    }

    /// Copies to or from the user's memory, as a device would.
    ///
    /// Called by: `vfio_device_container_dma_rw()`, as `vfio_iommu_driver_ops.dma_rw`.
    ///
    /// Context: a driver of an open device; may sleep.
    ///
    /// # Safety
    ///
    /// `data` must be what `open` returned, and `buf` have `count` initialized bytes.
    unsafe extern "C" fn dma_rw(
        data: *mut c_void,
        iova: bindings::dma_addr_t,
        buf: *mut c_void,
        count: usize,
        write: bool,
    ) -> c_int {
        if count == 0 {
            return 0;
        }
        // SAFETY: By the contract of this function; nobody else uses the buffer during the call.
        let (hosted, copy) = unsafe {
            let buf = buf.cast::<u8>();
            let copy = if write {
                DmaData::Write(core::slice::from_raw_parts(buf, count))
            } else {
                DmaData::Read(core::slice::from_raw_parts_mut(buf, count))
            };
            (Self::hosted(data), copy)
        };
        from_result(|| hosted.driver.dma_rw(iova, copy).map(|()| 0))
    }
}

/// Gives the table of operations a static address.
trait StaticOps {
    const OPS: &'static Ops;
}

impl<T: IommuDriver> StaticOps for Adapter<T> {
    const OPS: &'static Ops = &Adapter::<T>::OPS;
}

impl IommuBackend {
    /// The backend `T` as `vfio.ko` uses it, for one that is part of `vfio.ko` itself.
    pub fn of<T: IommuDriver>() -> Self {
        // SAFETY: The table is static and its functions keep to the contract of the header.
        unsafe { Self::from_raw(NonNull::from(&Adapter::<T>::ops().0)) }
    }
}

/// Makes a backend known to `vfio.ko`, until dropped.
///
/// # Invariants
///
/// The table is registered. It is kept because `vfio.ko` knows it by its address, and a constant
/// may have several.
pub struct Registration<T: IommuDriver>(&'static Ops, PhantomData<T>);

impl<T: IommuDriver> Registration<T> {
    /// Registers the backend.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is registered already, `ENOMEM`.
    #[inline]
    pub fn new() -> Result<Self> {
        let ops = Adapter::<T>::ops();
        // SAFETY: The table is static and its functions keep to the contract of the header.
        to_result(unsafe { vb::vfio_register_iommu_driver(&ops.0) })?;
        // INVARIANT: Just registered.
        Ok(Self(ops, PhantomData))
    }
}

impl<T: IommuDriver> Drop for Registration<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: Registered by the type invariant. Containers that use it hold a reference to the
        // module, so there are none when the module goes.
        unsafe { vb::vfio_unregister_iommu_driver(&self.0 .0) };
    }
}
