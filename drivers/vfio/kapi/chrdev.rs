// SPDX-License-Identifier: GPL-2.0

//! Character devices with a class, a node and data.
//!
//! C headers: [`include/linux/cdev.h`](srctree/include/linux/cdev.h),
//! [`include/linux/device/class.h`](srctree/include/linux/device/class.h)

use crate::{
    device_lifecycle::Registered,
    fops::{
        FileOperations,
        FileOps,
        Opens, //
    },
    ida::Ida, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    container_of,
    device::Device,
    error::to_result,
    ffi,
    prelude::*,
    str::CStr,
    sync::Arc, //
};

/// The largest minor number.
pub const MINOR_MAX: u32 = (1 << bindings::MINORBITS) - 1;

/// A class of devices: a folder of `/sys/class`, and one of `/dev`. To be put into a `static`.
#[repr(C)]
pub struct Class {
    // First, so that a pointer to it is one to the whole.
    class: UnsafeCell<bindings::class>,
    node_dir: &'static CStr,
}

// SAFETY: The structure is only changed by the kernel while it is registered.
unsafe impl Sync for Class {}

impl Class {
    /// A class `name` whose nodes are in the folder `node_dir` of `/dev` (with a `/` at its end).
    // `as_char_ptr` cannot be called in a `const fn`.
    #[allow(clippy::disallowed_methods)]
    pub const fn new(name: &'static CStr, node_dir: &'static CStr) -> Self {
        Self {
            class: UnsafeCell::new(bindings::class {
                name: name.as_ptr().cast(),
                devnode: Some(Self::devnode),
                ..pin_init::zeroed()
            }),
            node_dir,
        }
    }

    /// Adds the class to `/sys/class`.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is one of that name, `ENOMEM`.
    pub fn register(&'static self) -> Result<ClassRegistration> {
        // SAFETY: The class is static and filled in.
        to_result(unsafe { bindings::class_register(self.as_raw()) })?;
        Ok(ClassRegistration(self))
    }

    pub(crate) fn as_raw(&'static self) -> *const bindings::class {
        self.class.get()
    }

    /// The name and mode of a node of the class.
    ///
    /// Called by: `device_get_devnode()`, as `class.devnode`.
    ///
    /// Context: udev's or devtmpfs's question for a name; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, with a device of a class made by `new`.
    unsafe extern "C" fn devnode(
        dev: *const bindings::device,
        _mode: *mut bindings::umode_t,
    ) -> *mut ffi::c_char {
        // SAFETY: `dev` is a valid device of a class made by `new`, where the class comes first.
        let (class, dev): (&Self, &Device) =
            unsafe { (&*(*dev).class.cast(), Device::from_raw(dev.cast_mut())) };
        // SAFETY: The format takes two strings.
        unsafe {
            bindings::kasprintf(
                bindings::GFP_KERNEL,
                c"%s%s".as_char_ptr(),
                class.node_dir.as_char_ptr(),
                dev.name().as_char_ptr(),
            )
        }
    }
}

/// Keeps a [`Class`] registered.
pub struct ClassRegistration(&'static Class);

impl Drop for ClassRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered when this was made.
        unsafe { bindings::class_unregister(self.0.as_raw()) };
    }
}

/// A range of device numbers: all minors of one major.
#[pin_data(PinnedDrop)]
pub struct ChrdevRegion {
    first: bindings::dev_t,
    #[pin]
    minors: Ida,
}

impl ChrdevRegion {
    /// Takes a major number for `name`, as shown in `/proc/devices`.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is none left, `ENOMEM`.
    pub fn new(name: &'static CStr) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                minors <- Ida::new(),
                first: {
                    let mut first = 0;
                    // SAFETY: `first` is valid for writes, and the name is static.
                    to_result(unsafe {
                        bindings::alloc_chrdev_region(
                            &mut first,
                            0,
                            MINOR_MAX + 1,
                            name.as_char_ptr(),
                        )
                    })?;
                    first
                },
            }? Error),
            GFP_KERNEL,
        )
    }
}

/// The node that a VFIO device registered with a `G` gets: a number of a region, and what opening it does.
pub struct DeviceNode<G> {
    /// Keeps the region while the device has a number of it.
    region: Arc<ChrdevRegion>,
    fops: *const bindings::file_operations,
    _group: PhantomData<fn(G)>,
}

// SAFETY: The table is static and constant.
unsafe impl<G> Send for DeviceNode<G> {}
// SAFETY: As above.
unsafe impl<G> Sync for DeviceNode<G> {}

impl<G: 'static> DeviceNode<G> {
    /// One with the device's own number as minor, opened by `fops`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `fops` is not for devices.
    pub fn new<F>(region: &Arc<ChrdevRegion>, fops: &'static FileOperations<F>) -> Result<Self>
    where
        F: FileOps<Node = Registered<G>>,
    {
        if fops.opens() != Opens::Device {
            return Err(EINVAL);
        }
        Ok(Self {
            region: region.clone(),
            fops: fops.as_raw(),
            _group: PhantomData,
        })
    }
}

#[cfg(CONFIG_VFIO_DEVICE_CDEV)]
impl<G> DeviceNode<G> {
    /// Sets up the node of a device that is not registered yet.
    ///
    /// # Safety
    ///
    /// The device must be valid and ours, and be registered with this `G` or not at all.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the device's number is larger than [`MINOR_MAX`].
    pub(crate) unsafe fn prepare(&self, raw: *mut vfio_bindings::vfio_device) -> Result {
        // SAFETY: By the contract of this function; the operations are static.
        unsafe {
            if (*raw).index > MINOR_MAX {
                return Err(EINVAL);
            }
            (*raw).device.devt = self.region.first | (*raw).index;
            bindings::cdev_init(&raw mut (*raw).cdev, self.fops);
            (*raw).cdev.owner = (*self.fops).owner;
        }
        Ok(())
    }
}

#[cfg(not(CONFIG_VFIO_DEVICE_CDEV))]
impl<G> DeviceNode<G> {
    /// # Safety
    ///
    /// None.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: on this kernel devices have no room for a node.
    pub(crate) unsafe fn prepare(&self, _raw: *mut vfio_bindings::vfio_device) -> Result {
        let _ = (&self.region, self.fops);
        Err(crate::versions::eopnotsupp())
    }
}

#[pinned_drop]
impl PinnedDrop for ChrdevRegion {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The range was taken by `new`.
        unsafe { bindings::unregister_chrdev_region(self.first, MINOR_MAX + 1) };
    }
}

#[repr(C)]
struct Inner<T> {
    dev: bindings::device,
    cdev: bindings::cdev,
    region: Arc<ChrdevRegion>,
    data: T,
}

/// A character device that has a `T`; goes from `/dev` and `/sys` when dropped.
///
/// The `T` stays until nobody uses the device any more.
///
/// # Invariants
///
/// The device is registered, and this owns the reference that keeps it allocated.
pub struct CharDevice<T: Send + Sync + 'static>(NonNull<Inner<T>>);

// SAFETY: The kernel takes care of the device, and the data may be shared and sent.
unsafe impl<T: Send + Sync> Send for CharDevice<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for CharDevice<T> {}

impl<T: Send + Sync + 'static> CharDevice<T> {
    /// Makes a device with the next minor of `region`. It may be opened at once.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if there is no minor left, `EEXIST` if the name is taken, `ENOMEM`, or `EINVAL` if
    /// `fops` is not for character devices.
    pub fn new<F: FileOps<Node = T>>(
        class: &'static Class,
        region: &Arc<ChrdevRegion>,
        fops: &'static FileOperations<F>,
        name: &CStr,
        data: T,
    ) -> Result<Self> {
        if fops.opens() != Opens::Char {
            return Err(EINVAL);
        }
        let minor = region.minors.alloc_max(MINOR_MAX)?;
        let inner = KBox::new(
            Inner {
                dev: pin_init::zeroed(),
                cdev: pin_init::zeroed(),
                region: region.clone(),
                data,
            },
            GFP_KERNEL,
        )
        .inspect_err(|_| region.minors.free(minor))?;
        let inner = KBox::into_raw(inner);
        // SAFETY: Valid and ours. From `device_initialize` on the reference count owns the memory,
        // and `release` frees it. Class and operations are static.
        unsafe {
            bindings::device_initialize(&raw mut (*inner).dev);
            (*inner).dev.devt = region.first | minor;
            (*inner).dev.class = class.as_raw();
            (*inner).dev.release = Some(Self::release);
            bindings::cdev_init(&raw mut (*inner).cdev, fops.as_raw());
            (*inner).cdev.owner = (*fops.as_raw()).owner;
        }
        // SAFETY: The device is initialized, and the format takes one string.
        let added = to_result(unsafe {
            bindings::dev_set_name(
                &raw mut (*inner).dev,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })
        .and_then(|()| {
            // SAFETY: Both are initialized.
            to_result(unsafe {
                bindings::cdev_device_add(&raw mut (*inner).cdev, &raw mut (*inner).dev)
            })
        });
        if let Err(err) = added {
            // SAFETY: Gives up the only reference.
            unsafe { bindings::put_device(&raw mut (*inner).dev) };
            return Err(err);
        }
        // INVARIANT: Registered, and the first reference is ours.
        NonNull::new(inner).map(Self).ok_or(EINVAL)
    }

    /// Frees what a device of ours is part of.
    ///
    /// Called by: `device_release()`, as `device.release`.
    ///
    /// Context: the last reference to the device; may sleep.
    ///
    /// # Safety
    ///
    /// Only for the kernel to call, when the last reference to a device made by `new` is gone.
    unsafe extern "C" fn release(dev: *mut bindings::device) {
        // SAFETY: `dev` is in an `Inner` that `new` boxed, and the last reference to it is gone.
        let inner = unsafe { KBox::from_raw(container_of!(dev, Inner<T>, dev)) };
        inner.region.minors.free(inner.dev.devt & MINOR_MAX);
    }

    /// The data.
    pub fn data(&self) -> &T {
        // SAFETY: Allocated by the type invariant, and only shared.
        unsafe { &self.0.as_ref().data }
    }
}

impl<T: Send + Sync + 'static> Drop for CharDevice<T> {
    fn drop(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: Registered, and the reference is ours, by the type invariant.
        unsafe {
            bindings::cdev_device_del(&raw mut (*inner).cdev, &raw mut (*inner).dev);
            bindings::put_device(&raw mut (*inner).dev);
        }
    }
}

/// The data of the device that a `cdev` is in.
///
/// # Safety
///
/// `cdev` must be that of a `CharDevice<T>` that stays allocated for `'a`.
pub(crate) unsafe fn node_of_cdev<'a, T>(cdev: *mut bindings::cdev) -> &'a T {
    // SAFETY: By the contract of this function.
    unsafe { &(*container_of!(cdev, Inner<T>, cdev)).data }
}
