// SPDX-License-Identifier: GPL-2.0

//! The life of a VFIO device, as `vfio.ko` sees it.
//!
//! A device is an [`OwnedDevice`] while it is made and when it goes. Between registration and
//! unregistration it is a [`CoreDevice`]: the field `group`, whose type is private to `vfio.ko`,
//! points to what the core adds to it. Unregistration waits for all [`Registered`], so holding one
//! of these is holding the device.
//!
//! C header: [`include/linux/vfio.h`](srctree/include/linux/vfio.h), `struct vfio_device`

use crate::{
    chrdev::{
        Class,
        DeviceNode, //
    },
    debugfs::Folder,
    device_open::Dma,
    holders::Holders,
    iommu_backend::Translation,
    iommufd::IommufdCtx,
    pseudo_fs::PseudoInode,
    uaccess::UserString,
    versions,
    vfio_device::VfioDevice, //
};
use core::{
    alloc::Layout,
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::{
        allocator::KVmalloc,
        Allocator,
        NumaNode, //
    },
    bindings, container_of,
    device::Device,
    error::to_result,
    ffi, new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};
use vfio_bindings as vb;

/// A device that nobody else uses: not yet, or not any more. Frees it when dropped.
///
/// # Invariants
///
/// The memory is a zeroed or initialized device, allocated by [`Self::alloc`] and ours.
pub struct OwnedDevice {
    raw: NonNull<vb::vfio_device>,
    initialized: bool,
}

impl OwnedDevice {
    /// Allocates a device of `size` bytes, which is zero but for its parent and operations.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is smaller than what VFIO needs, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `parent` must stay valid until the device is freed, and the functions of `ops` must be callable
    /// for devices of this size, as the header says.
    pub unsafe fn alloc(
        size: usize,
        parent: &Device,
        ops: &'static vb::vfio_device_ops,
    ) -> Result<Self> {
        if size < size_of::<vb::vfio_device>() {
            return Err(EINVAL);
        }
        let layout =
            Layout::from_size_align(size, align_of::<vb::vfio_device>()).map_err(|_| EINVAL)?;
        let memory = KVmalloc::alloc(layout, GFP_KERNEL | __GFP_ZERO, NumaNode::NO_NODE)?;
        let raw: NonNull<vb::vfio_device> = memory.cast();
        // SAFETY: New memory, large enough.
        unsafe {
            (*raw.as_ptr()).dev = core::ptr::from_ref(parent).cast_mut().cast();
            (*raw.as_ptr()).ops = ops;
            bindings::init_completion(&raw mut (*raw.as_ptr()).comp);
        }
        // INVARIANT: New and zeroed.
        Ok(Self {
            raw,
            initialized: false,
        })
    }

    /// Takes a device back that was published.
    ///
    /// # Safety
    ///
    /// `dev` must be the device in a published VFIO device, the last reference to which is gone.
    pub unsafe fn from_released(dev: *mut bindings::device) -> Self {
        // SAFETY: By the contract of this function.
        let raw = unsafe { container_of!(dev, vb::vfio_device, device) };
        // INVARIANT: Nobody else uses it, by the contract.
        Self {
            // SAFETY: A pointer to a field is not null, nor is one to the whole.
            raw: unsafe { NonNull::new_unchecked(raw) },
            initialized: true,
        }
    }

    /// The C device, for calls into the kernel.
    pub fn as_raw(&mut self) -> *mut vb::vfio_device {
        self.raw.as_ptr()
    }

    /// The number of the device.
    pub fn index(&self) -> u32 {
        // SAFETY: The device is ours.
        unsafe { (*self.raw.as_ptr()).index }
    }

    /// Gives the device its number.
    pub fn set_index(&mut self, index: u32) {
        // SAFETY: The device is ours.
        unsafe { (*self.raw.as_ptr()).index = index };
    }

    /// Gives the device the inode that mappings of its files belong to.
    pub fn set_inode(&mut self, inode: PseudoInode) {
        drop(self.take_inode());
        // SAFETY: The device is ours.
        unsafe { (*self.raw.as_ptr()).inode = inode.into_raw() };
    }

    fn take_inode(&mut self) -> Option<PseudoInode> {
        // SAFETY: The device is ours.
        let field = unsafe { &mut (*self.raw.as_ptr()).inode };
        let inode = NonNull::new(core::mem::replace(field, core::ptr::null_mut()))?;
        // SAFETY: Only `set_inode` sets the field.
        Some(unsafe { PseudoInode::from_raw(inode) })
    }

    /// Lets the driver initialize its part. Drivers may put the device into a set here.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it has done so; those of the driver.
    pub fn driver_init(&mut self) -> Result {
        if self.initialized {
            return Err(EBUSY);
        }
        // SAFETY: The device is ours, and set up as far as drivers may expect.
        unsafe {
            if let Some(init) = (*(*self.raw.as_ptr()).ops).init {
                to_result(init(self.raw.as_ptr()))?;
            }
        }
        self.initialized = true;
        Ok(())
    }

    /// Hands the device to its driver, as the first reference to `struct device`.
    ///
    /// `release` is called when the last reference is gone.
    ///
    /// # Safety
    ///
    /// The driver must have initialized its part. `release` must be callable in that case, and pass the
    /// device to [`Self::from_released`].
    pub unsafe fn publish(
        self,
        class: &'static Class,
        release: unsafe extern "C" fn(*mut bindings::device),
    ) -> *mut vb::vfio_device {
        let raw = ManuallyDrop::new(self).raw.as_ptr();
        // SAFETY: The device was ours until now.
        unsafe {
            let dev = &raw mut (*raw).device;
            bindings::device_initialize(dev);
            (*dev).release = Some(release);
            (*dev).class = class.as_raw();
            (*dev).parent = (*raw).dev;
        }
        raw
    }
}

impl Drop for OwnedDevice {
    fn drop(&mut self) {
        let raw = self.raw.as_ptr();
        if self.initialized {
            // SAFETY: The device is ours and was initialized by the driver.
            unsafe {
                if let Some(release) = (*(*raw).ops).release {
                    release(raw);
                }
            }
        }
        drop(self.take_inode());
        // SAFETY: The memory is ours by the type invariant.
        unsafe { bindings::kvfree(raw.cast()) };
    }
}

/// What the core adds to a registered device.
struct State<G> {
    group: Arc<G>,
    /// Where the device's DMA goes while it is open.
    dma: Pin<KBox<SpinLock<Option<Dma>>>>,
    /// Its node, if it has one.
    _node: Option<DeviceNode<G>>,
    /// Who has it open.
    holders: Arc<Holders>,
}

/// A device that a driver is about to register.
///
/// # Invariants
///
/// The device is published and not registered, and nobody else registers it.
pub struct UnregisteredDevice(NonNull<vb::vfio_device>);

impl UnregisteredDevice {
    /// Makes one from what a driver passes to register a device.
    ///
    /// # Safety
    ///
    /// `raw` must be a published device that is not registered, and that nobody registers or puts the
    /// last reference of while this exists.
    pub unsafe fn from_raw(raw: NonNull<vb::vfio_device>) -> Self {
        // INVARIANT: By the contract of this function.
        Self(raw)
    }

    /// The C device, for calls into the kernel.
    pub fn as_raw(&self) -> NonNull<vb::vfio_device> {
        self.0
    }

    /// Whether the driver put it into a set.
    pub fn has_set(&self) -> bool {
        // SAFETY: The device is valid, and only set up by us.
        unsafe { !(*self.0.as_ptr()).dev_set.is_null() }
    }

    /// Takes note of whether the device is to be used though there is no IOMMU behind it.
    pub fn set_noiommu(&mut self, noiommu: bool) {
        // SAFETY: The device is ours to set up.
        unsafe { versions::set_noiommu(self.0.as_ptr(), noiommu) };
    }

    /// Whether the driver has all that a device needs which iommufd uses; always so without iommufd.
    pub fn has_iommufd_ops(&self) -> bool {
        // SAFETY: The operations are constant.
        let ops = unsafe { &*(*self.as_raw().as_ptr()).ops };
        !cfg!(CONFIG_IOMMUFD)
            || (ops.bind_iommufd.is_some()
                && ops.unbind_iommufd.is_some()
                && ops.attach_ioas.is_some()
                && ops.detach_ioas.is_some())
    }

    /// Registers the device with the name `vfio<index>` behind `prefix` as one of `group`; with a node
    /// of its own if there is one for it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device is in no set; `ENOMEM` or those of sysfs. Nothing has changed then.
    pub fn register<G: Send + Sync>(
        self,
        group: Arc<G>,
        prefix: &CStr,
        node: Option<DeviceNode<G>>,
    ) -> Result<Registration<G>> {
        if !self.has_set() {
            return Err(EINVAL);
        }
        let raw = self.0.as_ptr();
        let state = KBox::new(
            State {
                group,
                dma: KBox::pin_init(new_spinlock!(None, "vfio::State::dma"), GFP_KERNEL)?,
                _node: node,
                holders: Holders::new()?,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: The device is ours to register by the type invariant. It cannot be opened before the
        // count is set, which comes last.
        unsafe {
            to_result(bindings::dev_set_name(
                &raw mut (*raw).device,
                c"%svfio%u".as_char_ptr(),
                prefix.as_char_ptr(),
                (*raw).index,
            ))?;
            bindings::init_completion(&raw mut (*raw).comp);
            if let Some(node) = &state._node {
                node.prepare(raw)?;
            }
            self.set_state(KBox::into_raw(state));
            if let Err(err) = add(raw) {
                drop(KBox::from_raw(self.set_state::<G>(core::ptr::null_mut())));
                return Err(err);
            }
            vb::vfio_helper_refcount_set_release(&raw mut (*raw).refcount, 1);
        }
        // INVARIANT: The count is 1, and that is ours.
        Ok(Registration {
            registered: ManuallyDrop::new(Registered(self.0.cast())),
            files: None,
        })
    }
}

impl Deref for UnregisteredDevice {
    type Target = VfioDevice;

    fn deref(&self) -> &VfioDevice {
        // SAFETY: The device is valid by the type invariant.
        unsafe { VfioDevice::from_raw(self.0.as_ptr()) }
    }
}

/// Adds a device that is set up to `/sys`, and its node if it has one.
///
/// # Safety
///
/// `raw` must be a device that is not there yet.
unsafe fn add(raw: *mut vb::vfio_device) -> Result {
    // SAFETY: By the contract of this function. Without a number the `cdev` is not looked at.
    to_result(unsafe {
        #[cfg(CONFIG_VFIO_DEVICE_CDEV)]
        let ret = bindings::cdev_device_add(&raw mut (*raw).cdev, &raw mut (*raw).device);
        #[cfg(not(CONFIG_VFIO_DEVICE_CDEV))]
        let ret = bindings::device_add(&raw mut (*raw).device);
        ret
    })
}

/// Undoes [`add`].
///
/// # Safety
///
/// The device must be there.
unsafe fn del(raw: *mut vb::vfio_device) {
    // SAFETY: By the contract of this function.
    unsafe {
        #[cfg(CONFIG_VFIO_DEVICE_CDEV)]
        bindings::cdev_device_del(&raw mut (*raw).cdev, &raw mut (*raw).device);
        #[cfg(not(CONFIG_VFIO_DEVICE_CDEV))]
        bindings::device_del(&raw mut (*raw).device);
    }
}

impl VfioDevice {
    /// Exchanges the state, for those who walk the set and look at it under its lock.
    ///
    /// # Safety
    ///
    /// The device must be in a set. The state must be a boxed one or null, and nobody may use the old
    /// one but under the set's lock.
    unsafe fn set_state<G>(&self, state: *mut State<G>) -> *mut State<G> {
        // SAFETY: By the contract of this function; the device stays in its set until it is freed.
        unsafe {
            let _set = self.lock_set();
            core::mem::replace(&mut (*self.as_raw()).group, state.cast()).cast()
        }
    }
}

/// A registered device of a `G`.
///
/// # Invariants
///
/// The device is registered, and its state is a `State<G>`.
#[repr(transparent)]
pub struct CoreDevice<G>(VfioDevice, PhantomData<Arc<G>>);

impl<G> CoreDevice<G> {
    /// Makes a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `raw` must point to a device that was registered with the same `G`, and whose unregistration
    /// does not end during `'a`.
    pub unsafe fn from_raw<'a>(raw: *mut vb::vfio_device) -> &'a Self {
        // SAFETY: By the contract of this function.
        unsafe { &*raw.cast() }
    }

    /// Makes a reference from a C pointer, if the device is registered.
    ///
    /// # Safety
    ///
    /// `raw` must point to a device in a set, which is only registered with this `G`. If it is
    /// registered its unregistration must not end during `'a`; holding the set's lock is enough.
    pub unsafe fn try_from_raw<'a>(raw: *mut vb::vfio_device) -> Option<&'a Self> {
        // SAFETY: By the contract of this function.
        unsafe { (!(*raw).group.is_null()).then(|| Self::from_raw(raw)) }
    }

    fn state(&self) -> &State<G> {
        // SAFETY: By the type invariant.
        unsafe { &*(*self.as_raw()).group.cast() }
    }

    /// The group of the device.
    pub fn group(&self) -> &Arc<G> {
        &self.state().group
    }

    /// Who has the device open.
    pub fn holders(&self) -> &Arc<Holders> {
        &self.state().holders
    }

    /// Remembers where the device's DMA goes; answers with what it was.
    pub(crate) fn set_dma(&self, dma: Option<Dma>) -> Option<Dma> {
        core::mem::replace(&mut *self.state().dma.lock(), dma)
    }

    /// The address space of the container that the device's DMA goes through; `None` if it is not open
    /// or goes elsewhere.
    pub fn translation(&self) -> Option<Translation> {
        match &*self.state().dma.lock() {
            Some(Dma::Container(translation)) => Some(translation.clone()),
            _ => None,
        }
    }

    /// The iommufd that the open device's DMA is for, if any.
    pub(crate) fn iommufd(&self) -> Option<IommufdCtx> {
        match &*self.state().dma.lock() {
            Some(Dma::Iommufd(ctx)) => Some(ctx.clone()),
            _ => None,
        }
    }

    /// Whether the device is called `name`. Drivers may have rules of their own, and expect more
    /// than a name.
    ///
    /// # Errors
    ///
    /// Those of the driver, if this is the device but the rest is wrong.
    pub fn matches(&self, name: &mut UserString) -> Result<bool> {
        // SAFETY: The device is registered, so its driver may be called; the string is ours.
        unsafe {
            let Some(matches) = (*(*self.as_raw()).ops).match_ else {
                return Ok(self.parent().name().to_bytes() == name.as_c_str().to_bytes());
            };
            let ret = matches(self.as_raw(), name.as_mut_ptr());
            to_result(ret)?;
            Ok(ret > 0)
        }
    }
}

impl<G> Deref for CoreDevice<G> {
    type Target = VfioDevice;

    fn deref(&self) -> &VfioDevice {
        &self.0
    }
}

/// A use of a registered device, which keeps it registered.
///
/// # Invariants
///
/// Owns one of the counts of the device's field `refcount`.
pub struct Registered<G>(NonNull<CoreDevice<G>>);

// SAFETY: The device may be used by any thread, and the group is shared.
unsafe impl<G: Send + Sync> Send for Registered<G> {}
// SAFETY: As above.
unsafe impl<G: Send + Sync> Sync for Registered<G> {}

impl<G> Registered<G> {
    /// Takes a count of a device's registration, unless its end has begun.
    ///
    /// # Safety
    ///
    /// `raw` must point to an allocated device that is only registered with this `G`.
    #[cfg(CONFIG_VFIO_DEVICE_CDEV)]
    pub(crate) unsafe fn try_from_raw(raw: NonNull<vb::vfio_device>) -> Option<Self> {
        // SAFETY: By the contract of this function.
        let live = unsafe { try_get_registration(raw.as_ptr()) };
        // INVARIANT: There is a count now. Not `then_some`, which would make and drop one that there is
        // not.
        live.then(|| Self(raw.cast()))
    }
}

impl<G> Clone for Registered<G> {
    fn clone(&self) -> Self {
        // SAFETY: There is a count, so the device is registered.
        unsafe { bindings::refcount_inc(&raw mut (*self.as_raw()).refcount) };
        // INVARIANT: The new count is for the clone.
        Self(self.0)
    }
}

impl<G> Deref for Registered<G> {
    type Target = CoreDevice<G>;

    fn deref(&self) -> &CoreDevice<G> {
        // SAFETY: The device is registered by the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<G> Drop for Registered<G> {
    fn drop(&mut self) {
        // SAFETY: The count is ours by the type invariant.
        unsafe { put_registration(self.0.as_ptr().cast()) };
    }
}

/// Takes a count of a device's registration, unless the last one is gone.
///
/// # Safety
///
/// `device` must be allocated.
pub unsafe fn try_get_registration(device: *mut vb::vfio_device) -> bool {
    // SAFETY: By the contract of this function.
    unsafe { vb::vfio_helper_refcount_inc_not_zero_acquire(&raw mut (*device).refcount) }
}

/// Gives a count of a device's registration back.
///
/// # Safety
///
/// The caller must own a count, and does not any more.
pub unsafe fn put_registration(device: *mut vb::vfio_device) {
    // SAFETY: By the contract of this function. After the last count it is the completion that
    // keeps the device, until `complete` is through with it.
    unsafe {
        if bindings::refcount_dec_and_test(&raw mut (*device).refcount) {
            bindings::complete(&raw mut (*device).comp);
        }
    }
}

/// The registration itself: what is there from registration to unregistration, once.
///
/// Ended with [`Self::retire`]. Dropping it does that too, and waits until nobody uses the device: the
/// driver frees a device that is not registered.
pub struct Registration<G: Send + Sync + 'static> {
    registered: ManuallyDrop<Registered<G>>,
    files: Option<Folder<Registered<G>>>,
}

impl<G: Send + Sync + 'static> Registration<G> {
    /// The device.
    pub fn device(&self) -> &Registered<G> {
        &self.registered
    }

    /// Gives the device its folder in debugfs, where drivers may put more files. It goes before the
    /// device is removed from sysfs, as files of drivers are freed then.
    pub fn set_files(&mut self, files: Folder<Registered<G>>) {
        // SAFETY: The field is for this, and drivers use it only while the device is registered.
        #[cfg(CONFIG_VFIO_DEBUGFS)]
        unsafe {
            (*self.registered.as_raw()).debug_root = files.as_raw()
        };
        self.files = Some(files);
    }

    /// Removes the device from sysfs and begins to wait for its users.
    pub fn retire(self) -> Draining<G> {
        // SAFETY: Called once, as `self` is not dropped.
        unsafe { ManuallyDrop::new(self).end() }
    }

    /// # Safety
    ///
    /// Not to be called twice, nor `self` be used afterwards.
    unsafe fn end(&mut self) -> Draining<G> {
        drop(self.files.take());
        // SAFETY: By the contract of this function the count is taken once.
        let registered = unsafe { ManuallyDrop::take(&mut self.registered) };
        // SAFETY: As in `set_files`.
        #[cfg(CONFIG_VFIO_DEBUGFS)]
        unsafe {
            (*registered.as_raw()).debug_root = core::ptr::null_mut()
        };
        let device = registered.0;
        // SAFETY: The device was added on registration, and this happens once.
        unsafe { del(registered.as_raw()) };
        drop(registered);
        // INVARIANT: The device has its state until this is through with it.
        Draining {
            device,
            drained: false,
        }
    }
}

impl<G: Send + Sync + 'static> Drop for Registration<G> {
    fn drop(&mut self) {
        // SAFETY: `self` is not used any more; `retire` does not let it get here.
        drop(unsafe { self.end() });
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nobody uses the device any more.
    Done,
    /// The time was up.
    TimedOut,
    /// A signal came.
    Interrupted,
}

/// A device that is being unregistered, and may have users left. Dropping it waits for them.
///
/// # Invariants
///
/// The device is allocated and has its state. If `drained`, the last count is gone.
pub struct Draining<G> {
    device: NonNull<CoreDevice<G>>,
    drained: bool,
}

impl<G> Draining<G> {
    /// The device.
    pub fn device(&self) -> &VfioDevice {
        // SAFETY: Allocated by the type invariant.
        unsafe { VfioDevice::from_raw(self.device.as_ptr().cast()) }
    }

    /// Who has the device open.
    pub fn holders(&self) -> &Holders {
        // SAFETY: The device has its state by the type invariant.
        unsafe { self.device.as_ref() }.holders()
    }

    /// Whether nobody uses the device any more.
    pub fn is_drained(&mut self) -> bool {
        self.drained = self.drained
            // SAFETY: The completion is initialized.
            || unsafe { bindings::try_wait_for_completion(&raw mut (*self.device().as_raw()).comp) };
        self.drained
    }

    /// Asks the driver to get the users off, for the `count`th time.
    pub fn request(&self, count: u32) {
        let device = self.device().as_raw();
        // SAFETY: The driver is still bound, as unregistration has not ended.
        unsafe {
            if let Some(request) = (*(*device).ops).request {
                request(device, count);
            }
        }
    }

    /// Waits until nobody uses the device, for at most `seconds`; not for signals if
    /// `uninterruptible`.
    pub fn wait(&mut self, seconds: u32, uninterruptible: bool) -> Wait {
        if self.drained {
            return Wait::Done;
        }
        let jiffies = (seconds as ffi::c_ulong).saturating_mul(bindings::HZ as ffi::c_ulong);
        // SAFETY: The completion is initialized.
        let left = unsafe {
            let comp = &raw mut (*self.device().as_raw()).comp;
            if uninterruptible {
                bindings::wait_for_completion_timeout(comp, jiffies) as ffi::c_long
            } else {
                bindings::wait_for_completion_interruptible_timeout(comp, jiffies)
            }
        };
        match left {
            0 => Wait::TimedOut,
            ..0 => Wait::Interrupted,
            1.. => {
                self.drained = true;
                Wait::Done
            }
        }
    }

    /// Ends it, when nobody uses the device any more; waits for that.
    pub fn finish(self) -> Arc<G> {
        // SAFETY: Called once, as `self` is not dropped.
        unsafe { ManuallyDrop::new(self).end() }
    }

    /// # Safety
    ///
    /// Not to be called twice, nor `self` be used afterwards.
    unsafe fn end(&mut self) -> Arc<G> {
        while self.wait(u16::MAX.into(), true) != Wait::Done {}
        // SAFETY: Nobody uses the device, so nobody uses the state but under the set's lock; it is a
        // boxed `State<G>`.
        let state = unsafe { KBox::from_raw(self.device().set_state::<G>(core::ptr::null_mut())) };
        KBox::into_inner(state).group
    }
}

impl<G> Drop for Draining<G> {
    fn drop(&mut self) {
        // SAFETY: `self` is not used any more; `finish` does not let it get here.
        drop(unsafe { self.end() });
    }
}
