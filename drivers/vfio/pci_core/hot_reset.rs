// SPDX-License-Identifier: GPL-2.0

//! Resets of all functions of a slot or a bus.
//!
//! A hot reset is done only if all functions that it hits are VFIO devices, and if the user proves to own
//! all of them: by the files of their groups, or, if the device was opened by its own node, by having
//! bound them to the same iommufd.
//!
//! Order: `dev_set->lock`, `memory_lock` of each device in the set (all but the first are only tried,
//! because there is no order among them), the kernel's device locks (which are only tried).

use crate::{
    memory,
    power,
    state::{
        Device,
        State, //
    }, //
};
use kernel::{
    pci::Device as PciDevice,
    prelude::*, //
};
use vfio_kapi::{
    iommu_group::{
        DriverName,
        IommuGroup, //
    },
    pci::{
        self,
        reset, //
    },
    pci_core_device::set::LockedSet,
    ratelimited,
    refusal::Explain,
    refuse,
    runtime_pm,
    task::Process,
    uaccess::UserArg,
    uapi,
    vfio_file::GroupFile, //
};
use vfio_logic::iommufd::{
    self as rules,
    Ownership, //
};

/// The devices that are reset together; shows that the lock of the set is held.
pub(crate) type Set<'a> = LockedSet<'a, State>;

/// The size of `struct vfio_pci_hot_reset_info` and of `struct vfio_pci_hot_reset` without what
/// follows: three numbers.
const HEADER: usize = 12;
/// The size of `struct vfio_pci_dependent_device`.
const DEPENDENT: usize = 8;

/// Reads `argsz`, `flags` and `count`.
fn read_header(arg: UserArg) -> Result<[u32; 3]> {
    let mut header = [0; 3];
    let mut reader = arg.reader(HEADER);
    for field in &mut header {
        *field = reader.read()?;
    }
    // CAST: `HEADER` is small.
    if header[0] < HEADER as u32 {
        return Err(EINVAL);
    }
    Ok(header)
}

/// The number of functions that a reset of the slot or bus resets.
fn count(pdev: &PciDevice, scope: reset::Scope) -> Result<u32> {
    let mut count: u32 = 0;
    reset::for_each(pdev, scope, &mut |_| {
        count = count.checked_add(1).ok_or(ERANGE)?;
        Ok(())
    })?;
    if count == 0 {
        return Err(ERANGE);
    }
    Ok(count)
}

/// `VFIO_DEVICE_GET_PCI_HOT_RESET_INFO`: tells which functions a hot reset hits, by address and group;
/// or, if the device was opened by its own node, by address and number in its iommufd, and whether all
/// are owned by its user.
///
/// # Errors
///
/// `EINVAL` if the argument is too short for a header and `ENOSPC` if for the functions, whose number
/// is then told; `ENODEV` if there is no hot reset; `EPERM` if one of the functions is not isolated;
/// `EAGAIN` if one came meanwhile.
pub(crate) fn info(dev: &Device, arg: UserArg) -> Result {
    let [argsz, _, _] = read_header(arg)?;
    let scope = reset::scope(dev.pdev()).ok_or(ENODEV)?;
    let total = count(dev.pdev(), scope)?;

    let space = (argsz as usize).saturating_sub(HEADER) / DEPENDENT;
    if total as usize > space {
        write_header(arg, argsz, 0, total)?;
        return Err(ENOSPC);
    }

    let size = (total as usize).checked_mul(DEPENDENT).ok_or(ENOMEM)?;
    let mut found = KVec::<u8>::with_capacity(size, GFP_KERNEL_ACCOUNT)?;
    let mut number: u32 = 0;
    let mut flags = 0;
    {
        let set = dev.lock_set()?;
        let by_node = dev.vfio().is_opened_by_node();
        if by_node {
            flags =
                uapi::VFIO_PCI_HOT_RESET_FLAG_DEV_ID | uapi::VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
        }
        reset::for_each(dev.pdev(), scope, &mut |pdev| {
            if number >= total {
                return Err(EAGAIN);
            }
            let id = if by_node {
                let owned = set
                    .find(pdev)
                    .map_or(Ownership::None, |device| set.ownership(dev, device));
                if !owned.is_owned() {
                    flags &= !uapi::VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED;
                }
                owned.devid()
            } else {
                // CAST: The field has the bits of the number, whatever its sign.
                IommuGroup::of(pdev.as_ref()).ok_or(EPERM)?.id() as u32
            };
            found.extend_from_slice(&id.to_ne_bytes(), GFP_KERNEL)?;
            found.extend_from_slice(&pci::domain(pdev).to_ne_bytes(), GFP_KERNEL)?;
            found.extend_from_slice(&[pci::bus_number(pdev), pci::devfn(pdev)], GFP_KERNEL)?;
            number += 1;
            Ok(())
        })?;
    }
    arg.offset(HEADER).writer(found.len()).write_slice(&found)?;
    write_header(arg, argsz, flags, number)
}

fn write_header(arg: UserArg, argsz: u32, flags: u32, count: u32) -> Result {
    let mut writer = arg.writer(HEADER);
    for field in [argsz, flags, count] {
        writer.write(&field)?;
    }
    Ok(())
}

/// `VFIO_DEVICE_PCI_HOT_RESET`: resets the slot or bus.
///
/// # Errors
///
/// `EINVAL` for unknown flags, more groups than functions, no groups or, if the device was opened by its
/// own node, some; a descriptor that is not of a group; if one of the functions is no VFIO device or not
/// owned. `EBADF` for a descriptor that is not open. `ENODEV` if there is no hot reset. `EBUSY` if somebody
/// accesses one of the devices.
pub(crate) fn ioctl(dev: &Device, arg: UserArg) -> Result {
    let [_, flags, groups] = read_header(arg)?;
    rules::hot_reset(flags, groups, dev.vfio().is_opened_by_node()).explain("hot reset")?;
    let scope = reset::scope(dev.pdev()).ok_or(ENODEV)?;
    if groups == 0 {
        let set = dev.lock_set()?;
        return reset_set(&set, &Proof::Iommufd(dev));
    }
    // There can be no more groups than functions: user space does not decide how much is allocated.
    let functions = count(dev.pdev(), scope)?;
    if groups > functions {
        return Err(refuse!(
            EINVAL,
            "hot reset: {groups} groups for {functions} functions"
        ));
    }

    let mut fds = KVec::<i32>::with_capacity(groups as usize, GFP_KERNEL_ACCOUNT)?;
    let mut reader = arg
        .offset(HEADER)
        .reader(groups as usize * size_of::<i32>());
    for _ in 0..groups {
        fds.push(reader.read()?, GFP_KERNEL)?;
    }
    // The files keep the groups, and with them the user's ownership, until the reset is done.
    let mut files = KVec::with_capacity(groups as usize, GFP_KERNEL_ACCOUNT)?;
    for fd in &fds {
        files.push(GroupFile::from_fd(*fd)?, GFP_KERNEL)?;
    }
    let set = dev.lock_set()?;
    reset_set(&set, &Proof::Groups(&files))
}

/// What shows that devices are the user's.
enum Proof<'a> {
    /// The files of their groups.
    Groups(&'a [GroupFile]),
    /// The iommufd of this device.
    Iommufd(&'a Device),
}

impl Proof<'_> {
    fn covers(&self, device: &Device, set: &Set<'_>) -> bool {
        match self {
            Self::Groups(files) => files.iter().any(|file| file.has_device(device, set)),
            Self::Iommufd(user) => set.ownership(user, device).is_owned(),
        }
    }

    /// Says that it does not cover a device.
    fn log_lack(&self, pdev: &PciDevice) {
        let process = Process::current();
        match self {
            Self::Groups(_) => {
                let group = IommuGroup::of(pdev.as_ref()).map_or(-1, |group| group.id());
                ratelimited!(dev_warn!(
                    pdev,
                    "vfio: hot reset by {process} refused: group {group} of this device was not shown to be theirs\n"
                ));
            }
            Self::Iommufd(_) => ratelimited!(dev_warn!(
                pdev,
                "vfio: hot reset by {process} refused: neither this device nor one of its group is bound to their iommufd\n"
            )),
        }
    }
}

/// Resets all devices of the set, if there is a proof for each.
fn reset_set(set: &Set<'_>, proof: &Proof<'_>) -> Result {
    let pdev = resettable(set, log_outsider).ok_or(EINVAL)?;
    let _awake = wake_all(set)?;

    // Given back in whatever order when this returns.
    let mut guards = KVec::with_capacity(set.devices().count(), GFP_KERNEL)?;
    for dev in set.devices() {
        if !proof.covers(dev, set) {
            proof.log_lack(dev.pdev());
            return Err(EINVAL);
        }
        let guard = memory::try_zap_and_lock(dev).ok_or(EBUSY)?;
        guards.push(guard, GFP_KERNEL)?;
    }
    // The reset itself wakes the functions without restoring what they lose by that.
    for dev in set.devices() {
        let _ = power::set_state(dev, power::D0);
    }
    reset::bus(pdev)
}

/// Says which function keeps a slot or bus from being reset.
fn log_outsider(pdev: &PciDevice) {
    ratelimited!(dev_warn!(
        pdev,
        "vfio: hot reset by {} refused: it would reset this device too, whose driver is {}\n",
        Process::current(),
        DriverName(pdev.as_ref())
    ));
}

/// A function of the set to pass to [`reset::bus`]; `None` if that is not possible or would reset a
/// function that is not in the set, which is passed to `outsider`.
fn resettable<'a>(set: &'a Set<'_>, outsider: fn(&PciDevice)) -> Option<&'a PciDevice> {
    // They are all reset together, so one speaks for all.
    let pdev = set.devices().next()?.pdev();
    let scope = reset::scope(pdev)?;
    reset::for_each(pdev, scope, &mut |pdev| {
        if set.find(pdev).is_some() {
            Ok(())
        } else {
            outsider(pdev);
            Err(ENODEV)
        }
    })
    .ok()?;
    Some(pdev)
}

/// Resumes all devices of the set, and keeps them so while the result exists.
fn wake_all<'a>(set: &'a Set<'_>) -> Result<KVec<runtime_pm::Active<'a>>> {
    let mut awake = KVec::with_capacity(set.devices().count(), GFP_KERNEL)?;
    for dev in set.devices() {
        awake.push(runtime_pm::active(dev.pdev().as_ref())?, GFP_KERNEL)?;
    }
    Ok(awake)
}

/// Resets all devices of the set if nobody else has one open, and one was closed without a reset.
pub(crate) fn try_unused(set: &Set<'_>) {
    // The one that is being closed still counts.
    if set.open_count() > 1 || !set.devices().any(|dev| dev.needs_reset()) {
        return;
    }
    let Some(pdev) = resettable(set, |_| ()) else {
        return;
    };
    let Ok(_awake) = wake_all(set) else {
        return;
    };
    if reset::bus(pdev).is_ok() {
        for dev in set.devices() {
            dev.set_needs_reset(false);
        }
    }
}
