// SPDX-License-Identifier: GPL-2.0

//! IOMMU backends, as `vfio.ko` uses them: type1, sPAPR or whatever registers.
//!
//! C header: `drivers/vfio/vfio.h`, `struct vfio_iommu_driver_ops`. The side that provides such a
//! table is the trait in `iommu_driver.rs`.

use crate::{
    group_kind::GroupKind,
    iommu_group::IommuGroup,
    vfio_device::VfioDevice, //
};
use core::{
    ffi::c_void,
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi,
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        Arc, //
    },
};
use vfio_bindings as vb;

/// A registered backend.
///
/// # Invariants
///
/// The table is valid while this exists, or for as long as there is a reference to the module that
/// owns it.
pub struct IommuBackend(NonNull<vb::vfio_iommu_driver_ops>);

// SAFETY: The table is constant.
unsafe impl Send for IommuBackend {}
// SAFETY: As above.
unsafe impl Sync for IommuBackend {}

impl IommuBackend {
    /// Takes note of a table.
    ///
    /// # Safety
    ///
    /// `ops` must stay valid and constant until the object is dropped, and after that for as long as
    /// there is a reference to `ops.owner`. Its functions must keep to what the header says.
    pub unsafe fn from_raw(ops: NonNull<vb::vfio_iommu_driver_ops>) -> Self {
        // INVARIANT: By the contract of this function.
        Self(ops)
    }

    fn ops(&self) -> &vb::vfio_iommu_driver_ops {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// Whether it wants to hear of devices that are opened; `None` if it wants half of it.
    pub fn wants_devices(&self) -> Option<bool> {
        let ops = self.ops();
        (ops.register_device.is_some() == ops.unregister_device.is_some())
            .then_some(ops.register_device.is_some())
    }

    /// Whether both are one table.
    pub fn is(&self, ops: *const vb::vfio_iommu_driver_ops) -> bool {
        core::ptr::eq(self.0.as_ptr(), ops)
    }

    /// Takes a reference to the module, unless it is going.
    pub fn get(&self) -> Option<LiveBackend> {
        // SAFETY: The owner is valid while its table is registered.
        let live = unsafe { bindings::try_module_get(self.ops().owner) };
        // INVARIANT: There is a reference now. Not `then_some`, which would make and drop one that there
        // is not.
        live.then(|| LiveBackend(self.0))
    }
}

/// A backend that cannot be unloaded.
///
/// # Invariants
///
/// Owns a reference to the module of the table, which is valid.
pub struct LiveBackend(NonNull<vb::vfio_iommu_driver_ops>);

// SAFETY: The table is constant.
unsafe impl Send for LiveBackend {}
// SAFETY: As above.
unsafe impl Sync for LiveBackend {}

impl LiveBackend {
    fn ops(&self) -> &vb::vfio_iommu_driver_ops {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// The name of the backend, as in `vfio-iommu-type1`; may be empty.
    pub fn name(&self) -> &CStr {
        let name = self.ops().name;
        if name.is_null() {
            return c"";
        }
        // SAFETY: A string as constant as the table.
        unsafe { CStr::from_char_ptr(name) }
    }

    /// Asks for an extension (`VFIO_CHECK_EXTENSION`) without an instance: more than 0 is yes.
    pub fn check_extension(&self, extension: usize) -> isize {
        self.ops().ioctl.map_or(0, |ioctl| {
            // SAFETY: This ioctl takes a number and no instance.
            unsafe {
                ioctl(
                    core::ptr::null_mut(),
                    crate::uapi::CHECK_EXTENSION,
                    extension,
                )
            }
        })
    }

    /// Makes an instance of type `kind` (`VFIO_TYPE1v2_IOMMU`, ...).
    ///
    /// # Errors
    ///
    /// Those of the backend.
    pub fn open(self, kind: usize) -> Result<OpenBackend> {
        let open = self.ops().open.ok_or(EINVAL)?;
        // SAFETY: Takes any number.
        let data = from_err_ptr(unsafe { open(kind) })?;
        // INVARIANT: A new instance.
        Ok(OpenBackend {
            data,
            kind,
            backend: self,
        })
    }
}

impl Drop for LiveBackend {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant.
        unsafe { bindings::module_put(self.ops().owner) };
    }
}

/// An instance of a backend: one address space, or several. Goes when dropped, with all its mappings.
///
/// # Invariants
///
/// `data` is an instance of the backend that was not released.
pub struct OpenBackend {
    data: *mut c_void,
    kind: usize,
    backend: LiveBackend,
}

// SAFETY: Backends do their own locking.
unsafe impl Send for OpenBackend {}
// SAFETY: As above.
unsafe impl Sync for OpenBackend {}

impl OpenBackend {
    fn ops(&self) -> &vb::vfio_iommu_driver_ops {
        self.backend.ops()
    }

    /// The name of the backend, as in `vfio-iommu-type1`.
    pub fn name(&self) -> &CStr {
        self.backend.name()
    }

    /// The type that user space has chosen (`VFIO_TYPE1v2_IOMMU`, ...).
    pub fn kind(&self) -> usize {
        self.kind
    }

    /// An ioctl of the container.
    ///
    /// # Errors
    ///
    /// Those of the backend.
    #[inline]
    pub fn ioctl(&self, cmd: u32, arg: usize) -> Result<isize> {
        let ioctl = self.ops().ioctl.ok_or(ENOTTY)?;
        // SAFETY: The instance is valid by the type invariant; `arg` comes from user space, and the
        // backend takes it for nothing else.
        let ret = unsafe { ioctl(self.data, cmd, arg) };
        match ret {
            0.. => Ok(ret),
            _ => Err(i32::try_from(ret).map_or(EINVAL, Error::from_errno)),
        }
    }
}

impl Drop for OpenBackend {
    fn drop(&mut self) {
        if let Some(release) = self.ops().release {
            // SAFETY: The instance is valid by the type invariant, and nobody uses it any more.
            unsafe { release(self.data) };
        }
    }
}

/// A group whose devices may use an address space; they may not any more when it is dropped.
///
/// # Invariants
///
/// The group is attached to the backend, by this.
pub struct Attachment {
    backend: Arc<OpenBackend>,
    // Backends keep the pointer.
    group: ARef<IommuGroup>,
}

impl Attachment {
    /// Lets the devices of a group use the address space.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; those of the backend.
    pub fn new(
        backend: &Arc<OpenBackend>,
        group: &ARef<IommuGroup>,
        kind: GroupKind,
    ) -> Result<Arc<Self>> {
        let attach = backend.ops().attach_group.ok_or(ENODEV)?;
        // SAFETY: Both are valid, and the group stays so while it is attached; the backend looks after
        // groups that it has already.
        to_result(unsafe { attach(backend.data, group.as_raw(), kind.as_raw()) })?;
        // INVARIANT: Attached just now.
        let attachment = Self {
            backend: backend.clone(),
            group: group.clone(),
        };
        Ok(Arc::new(attachment, GFP_KERNEL_ACCOUNT)?)
    }

    /// The group.
    pub fn group(&self) -> &IommuGroup {
        &self.group
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Some(detach) = self.backend.ops().detach_group {
            // SAFETY: The group is attached by the type invariant.
            unsafe { detach(self.backend.data, self.group.as_raw()) };
        }
    }
}

/// The address space that an open device's DMA goes through. Keeps the device's group attached.
#[derive(Clone)]
pub struct Translation(Arc<Attachment>);

impl Translation {
    /// That of the devices of the group attached by `attachment`.
    pub fn through(attachment: &Arc<Attachment>) -> Self {
        Self(attachment.clone())
    }

    /// Tells the backend of a device that uses it.
    ///
    /// # Safety
    ///
    /// The device must stay allocated until [`Self::unregister_device`].
    pub(crate) unsafe fn register_device(&self, device: &VfioDevice) {
        if let Some(register) = self.0.backend.ops().register_device {
            // SAFETY: Both are valid, and the device stays so by the contract of this function.
            unsafe { register(self.0.backend.data, device.as_raw()) };
        }
    }

    /// Undoes [`Self::register_device`].
    ///
    /// # Safety
    ///
    /// The device must be registered.
    pub(crate) unsafe fn unregister_device(&self, device: &VfioDevice) {
        if let Some(unregister) = self.0.backend.ops().unregister_device {
            // SAFETY: By the contract of this function.
            unsafe { unregister(self.0.backend.data, device.as_raw()) };
        }
    }

    /// Pins what is mapped at `iova`, one page for each entry of `pages`; answers how many it pinned.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if the backend cannot; else those of the backend.
    pub fn pin_pages(
        &self,
        iova: bindings::dma_addr_t,
        prot: ffi::c_int,
        pages: &mut [MaybeUninit<*mut bindings::page>],
    ) -> Result<ffi::c_int> {
        let pin = self.0.backend.ops().pin_pages.ok_or(ENOTTY)?;
        let npage = ffi::c_int::try_from(pages.len()).map_err(|_| E2BIG)?;
        // SAFETY: All are valid, and `pages` has `npage` entries.
        let pinned = unsafe {
            pin(
                self.0.backend.data,
                self.0.group.as_raw(),
                iova,
                npage,
                prot,
                pages.as_mut_ptr().cast(),
            )
        };
        to_result(pinned)?;
        Ok(pinned)
    }

    /// Undoes [`Self::pin_pages`]. The backend ignores what is not pinned.
    ///
    /// # Safety
    ///
    /// Nobody may use the pages any more who counts on their being pinned by the device.
    pub unsafe fn unpin_pages(&self, iova: bindings::dma_addr_t, npage: ffi::c_int) {
        if let Some(unpin) = self.0.backend.ops().unpin_pages {
            // SAFETY: The instance is valid; for the rest by the contract of this function.
            unsafe { unpin(self.0.backend.data, iova, npage) };
        }
    }

    /// Copies between kernel memory and what is mapped at `iova`.
    ///
    /// # Safety
    ///
    /// `data` must be valid for `len` bytes: for reads if `write`, else for writes.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if the backend cannot; else those of the backend.
    pub unsafe fn dma_rw(
        &self,
        iova: bindings::dma_addr_t,
        data: NonNull<c_void>,
        len: usize,
        write: bool,
    ) -> Result {
        let rw = self.0.backend.ops().dma_rw.ok_or(ENOTTY)?;
        // SAFETY: The instance is valid, and the buffer by the contract of this function.
        to_result(unsafe { rw(self.0.backend.data, iova, data.as_ptr(), len, write) })
    }
}
