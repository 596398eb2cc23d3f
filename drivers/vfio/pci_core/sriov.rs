// SPDX-License-Identifier: GPL-2.0

//! Virtual functions of a device, and the token that its user shares with theirs.
//!
//! Order: the kernel's device lock of the physical function, held by the callers of [`configure`]; [`PFS`];
//! [`Sriov::pf_token`]; the token's own lock.

use crate::{
    memory,
    power,
    state::Device, //
};
use core::pin::Pin;
use kernel::{
    device::Core,
    ffi::c_int,
    new_mutex,
    pci::Device as PciDevice,
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        Arc,
        Mutex,
        SetOnce, //
    }, //
};
use vfio_kapi::{
    module_static::ModuleStatic,
    pci::{
        self,
        bus_notifier::{
            self,
            BoundDriver,
            BusEvents,
            BusNotifier, //
        },
        facts,
        sriov, //
    },
    runtime_pm,
    uuid::{
        self,
        Uuid, //
    },
    versions::enosys, //
};
use vfio_logic::vf_token::{
    check,
    parse,
    Match,
    Refusal,
    Role, //
};

/// What there is to SR-IOV per device.
#[pin_data]
pub(crate) struct Sriov {
    /// The token of this physical function.
    token: SetOnce<Arc<VfToken>>,
    /// The token of the physical function of this virtual one.
    #[pin]
    pf_token: Mutex<Option<Arc<VfToken>>>,
    /// Sees virtual functions of this physical function come.
    #[pin]
    watch: Mutex<Option<Pin<KBox<BusNotifier<Watch>>>>>,
}

impl Sriov {
    /// That of a device that is not registered yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            token: SetOnce::new(),
            pf_token <- new_mutex!(None, "vfio_pci_pf_token"),
            watch <- new_mutex!(None, "vfio_pci_vf_watch"),
        })
    }
}

/// The token of a physical function, and who uses it.
#[pin_data]
pub(crate) struct VfToken {
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    uuid: Uuid,
    /// How many virtual functions are open.
    users: u32,
}

impl VfToken {
    fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                inner <- new_mutex!(Inner { uuid: uuid::random(), users: 0 }, "vfio_pci_vf_token"),
            }),
            GFP_KERNEL,
        )
    }
}

/// A physical function whose virtual functions were made here.
pub(crate) struct Pf {
    dev: ARef<Device>,
    token: Arc<VfToken>,
}

/// All of them. Each leaves when its device is unregistered, so none is left when the module goes.
static PFS: ModuleStatic<Mutex<KVec<Pf>>> = ModuleStatic::new();

/// Prepares the module's own data, before there is a device.
///
/// # Errors
///
/// `EBUSY` if this was done before.
pub(crate) fn init_module() -> Result {
    PFS.init(new_mutex!(KVec::new(), "vfio_pci_sriov_pfs"))
}

fn is(pf: &Pf, pdev: &PciDevice) -> bool {
    pci::same(pf.dev.pdev(), pdev)
}

/// Takes the physical function out of the list, if it is there.
fn leave(pdev: &PciDevice) {
    let mut pfs = PFS.get().lock();
    pfs.retain(|pf| !is(pf, pdev));
    if pfs.is_empty() {
        // The static is not dropped: no memory may be left in it when the module goes.
        *pfs = KVec::new();
    }
}

/// What is kept for the device.
fn of(dev: &Device) -> &Sriov {
    &dev.state().get_ref().sriov
}

/// Prepares for virtual functions, or finds the physical function of a virtual one, when the device is
/// registered.
///
/// # Errors
///
/// `ENOMEM`; there is nothing to be undone then.
pub(crate) fn init(dev: &Device) -> Result {
    let (pdev, this) = (dev.pdev(), of(dev));

    if facts::is_virtfn(pdev) {
        // If the physical function is found now, it stays until this device is gone: it waits for that
        // before it removes its virtual functions.
        let pfs = PFS.get().lock();
        let pf = pfs.iter().find(|pf| is(pf, pci::physfn(pdev)));
        *this.pf_token.lock() = pf.map(|pf| pf.token.clone());
        return Ok(());
    }
    if !pci::is_physfn(pdev) {
        return Ok(());
    }
    if this.token.as_ref().is_none() {
        this.token.populate(VfToken::new()?);
    }
    let driver = dev.vfio().driver_name().ok_or(EINVAL)?;
    let driver = CString::try_from_fmt(fmt!("{}", driver.to_str()?))?;
    let watch = BusNotifier::register(Watch {
        pf: pdev.into(),
        driver,
    })?;
    *this.watch.lock() = Some(watch);
    Ok(())
}

/// Undoes [`init()`].
pub(crate) fn uninit(dev: &Device) {
    // Taken out first: dropping it waits for calls in progress.
    let watch = of(dev).watch.lock().take();
    drop(watch);
    *of(dev).pf_token.lock() = None;
}

/// Sees virtual functions of `pf` come.
struct Watch {
    pf: ARef<PciDevice>,
    driver: CString,
}

impl Watch {
    fn is_ours(&self, pdev: &PciDevice) -> bool {
        facts::is_virtfn(pdev) && pci::same(pci::physfn(pdev), &self.pf)
    }
}

impl BusEvents for Watch {
    fn added(&self, pdev: &PciDevice) {
        if !self.is_ours(pdev) {
            return;
        }
        let name = pci::name(pdev).to_str().unwrap_or("?");
        dev_info!(self.pf, "Captured SR-IOV VF {} driver_override\n", name);
        if let Err(e) = bus_notifier::set_driver_override(pdev, &self.driver) {
            dev_warn!(self.pf, "VF {}: no driver_override: {:?}\n", name, e);
        }
    }

    fn bound(&self, pdev: &PciDevice, driver: &BoundDriver) {
        if !self.is_ours(pdev) || driver.is_driver_of(&self.pf) {
            return;
        }
        dev_warn!(
            self.pf,
            "VF {} bound to driver {} while PF bound to driver {}\n",
            pci::name(pdev).to_str().unwrap_or("?"),
            driver.name().to_str().unwrap_or("?"),
            self.driver.to_str().unwrap_or("?")
        );
    }
}

/// Makes `count` virtual functions, or removes all if `count` is zero. `pdev` is the function of the device, and
/// its device lock is held. Returns the number of virtual functions.
///
/// # Errors
///
/// `EINVAL` if there are some already; those of runtime power management and of
/// `pci_enable_sriov()`. There are none then.
pub(crate) fn configure(dev: &Device, pdev: &PciDevice<Core<'_>>, count: c_int) -> Result<c_int> {
    if count == 0 {
        if sriov::num_vfs(pdev) != 0 {
            sriov::disable(pdev);
            runtime_pm::put(pdev.as_ref());
        }
        dev.set_sriov_active(false);
        leave(pdev);
        return Ok(0);
    }

    let token = of(dev).token.as_ref().ok_or_else(enosys)?;
    {
        let mut pfs = PFS.get().lock();
        if pfs.iter().any(|pf| is(pf, pdev)) {
            return Err(EINVAL);
        }
        pfs.push(
            Pf {
                dev: dev.into(),
                token: token.clone(),
            },
            GFP_KERNEL,
        )?;
    }
    enable(dev, pdev, count).inspect_err(|_| {
        dev.set_sriov_active(false);
        leave(pdev);
    })?;
    Ok(count)
}

fn enable(dev: &Device, pdev: &PciDevice<Core<'_>>, count: c_int) -> Result {
    // A physical function must be in no lower power state than its virtual functions.
    let awake = runtime_pm::active(pdev.as_ref())?;
    {
        let _guard = memory::lock(dev);
        let _ = power::set_state(dev, power::D0);
        dev.set_sriov_active(true);
    }
    sriov::enable(pdev, count)?;
    // Put when the virtual functions are removed.
    core::mem::forget(awake);
    Ok(())
}

/// A user opened the device.
pub(crate) fn user_opened(dev: &Device) {
    if let Some(token) = &*of(dev).pf_token.lock() {
        let mut inner = token.inner.lock();
        inner.users = inner.users.saturating_add(1);
    }
}

/// The user closed the device.
pub(crate) fn user_closed(dev: &Device) {
    if let Some(token) = &*of(dev).pf_token.lock() {
        let mut inner = token.inner.lock();
        inner.users = inner.users.saturating_sub(1);
    }
}

/// Whether the name that the user gave, with its options, is that of the device, and the user may open it.
///
/// # Errors
///
/// `EINVAL` if the options are bad; otherwise that of the driver's `match_token_uuid`.
pub(crate) fn match_name(dev: &Device, text: &[u8]) -> Result<bool> {
    match parse(text, pci::name(dev.pdev()).to_bytes())? {
        Match::No => Ok(false),
        Match::Yes(token) => dev.vfio().match_token(token.as_ref()).map(|()| true),
    }
}

/// Whether one who shows `token`, or none, may open the device. It may become its token.
///
/// # Errors
///
/// `EACCES` if a token is necessary and this is not it; `EINVAL` if there is a token but no use for it.
pub(crate) fn match_token(dev: &Device, token: Option<&Uuid>) -> Result {
    let (pdev, this) = (dev.pdev(), of(dev));

    let result = if facts::is_virtfn(pdev) {
        match &*this.pf_token.lock() {
            Some(pf) => check(Role::Virtual(&pf.inner.lock().uuid), token),
            None => check(Role::Foreign, token),
        }
    } else if let Some(own) = this.token.as_ref() {
        let mut inner = own.inner.lock();
        check(Role::Physical(&inner.uuid, inner.users != 0), token).map(|new| {
            if let Some(new) = new {
                inner.uuid = new;
            }
            None
        })
    } else {
        check(Role::Plain, token)
    };
    match result {
        Ok(_) => Ok(()),
        Err(refusal) => {
            let why = match refusal {
                Refusal::Required => "VF token required to access device",
                Refusal::Incorrect => "Incorrect VF token provided for device",
                Refusal::NotBound => "VF token incorrectly provided, PF not bound to vfio-pci",
                Refusal::NotSriov => "VF token incorrectly provided, not a PF or VF",
            };
            vfio_kapi::ratelimited!(dev_info!(pdev, "{}\n", why));
            Err(refusal.errno().into())
        }
    }
}

/// `VFIO_DEVICE_FEATURE_PCI_VF_TOKEN`: the user of a physical function sets its token.
///
/// # Errors
///
/// `ENOTTY` if this is no physical function; those of the feature ioctl.
pub(crate) fn set_token(
    dev: &Device,
    flags: u32,
    arg: vfio_kapi::uaccess::UserArg,
    len: usize,
) -> Result {
    use vfio_logic::feature::{
        request,
        Request,
        SET, //
    };

    let token = of(dev).token.as_ref().ok_or(ENOTTY)?;
    // Reading it is not possible: it may be that of a former user.
    if request(flags, len, SET, size_of::<Uuid>())? == Request::Probe {
        return Ok(());
    }
    let mut uuid = Uuid::default();
    arg.reader(uuid.len()).read_slice(&mut uuid)?;
    token.inner.lock().uuid = uuid;
    Ok(())
}
