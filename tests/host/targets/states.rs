// SPDX-License-Identifier: GPL-2.0

//! Things with a state, and what happens to them in any order: pins, groups and containers, devices of iommufd, counts that are
//! lent, runs of pages. A model that is simpler than the rules goes along.

use super::Input;
use std::cell::Cell;
use vfio_logic::{
    errno::{
        Errno,
        EBUSY,
        EINVAL,
        ENODEV,
        ENOENT,
        EOPNOTSUPP,
        EPERM, //
    },
    extent::{
        self,
        Extent, //
    },
    group::{
        Container,
        Group, //
    },
    iommufd,
    irq_intx::{
        Interrupt,
        Intx,
        Masking,
        Pin, //
    },
    lent::Lendable,
};

/// A function that asserts its pin or not, and a line that is disabled so many times.
#[derive(Default)]
struct Hardware {
    asserted: Cell<bool>,
    masked: Cell<bool>,
    disabled: Cell<i32>,
}

impl Pin for Hardware {
    fn mask_function(&self) {
        self.masked.set(true);
    }

    fn check_and_mask_function(&self) -> bool {
        let asserts = self.asserted.get() && !self.masked.get();
        self.masked.set(self.masked.get() || asserts);
        asserts
    }

    fn check_and_unmask_function(&self) -> bool {
        let may = !self.asserted.get();
        self.masked.set(self.masked.get() && !may);
        may
    }

    fn disable_line(&self) {
        self.disabled.set(self.disabled.get() + 1);
    }

    fn enable_line(&self) {
        self.disabled.set(self.disabled.get() - 1);
    }
}

fn pins(input: &mut Input<'_>) {
    let (masking, masked) = (
        [Masking::Function, Masking::Controller][usize::from(input.u8() & 1)],
        input.bool(),
    );
    let pin = Hardware::default();
    match masking {
        Masking::Function => pin.masked.set(masked),
        Masking::Controller => pin.disabled.set(masked.into()),
    }
    let mut intx = Intx::new(masking, masked);
    for _ in 0..input.u8() {
        let was = intx.is_masked();
        match input.u8() % 6 {
            0 => match intx.interrupt(&pin) {
                Interrupt::Ours => assert!(!was && intx.is_masked()),
                Interrupt::Late => assert!(was && masking == Masking::Controller),
                Interrupt::NotOurs => {
                    assert!(masking == Masking::Function && (was || !pin.asserted.get()))
                }
            },
            1 => assert_eq!(intx.mask(&pin), !was),
            2 => {
                let again = was && masking == Masking::Function && pin.asserted.get();
                assert_eq!(intx.unmask(&pin, false), again);
                assert_eq!(intx.is_masked(), again);
            }
            3 => {
                assert!(!intx.unmask(&pin, true));
                assert_eq!(intx.is_masked(), was);
            }
            4 => pin.asserted.set(true),
            _ => pin.asserted.set(false),
        }
        match masking {
            Masking::Function => assert_eq!(pin.masked.get(), intx.is_masked()),
            Masking::Controller => assert_eq!(pin.disabled.get(), i32::from(intx.is_masked())),
        }
    }
}

/// The first rule that refuses.
fn refused(rules: &[(bool, Errno)]) -> Result<(), Errno> {
    rules
        .iter()
        .find(|rule| rule.0)
        .map_or(Ok(()), |rule| Err(rule.1))
}

/// A group and its container, as user space drives them; each step is only made if the rules let it.
fn groups(input: &mut Input<'_>) {
    let noiommu = input.bool();
    let mut group = Group {
        present: true,
        noiommu,
        ..Group::default()
    };
    let mut container = Container::default();
    let mut backend_users = 0;
    for _ in 0..input.u8() {
        let (step, raw_io) = (input.u8() % 12, input.bool());
        let (gone, may) = ((!group.present, ENODEV), !noiommu || raw_io);
        match step {
            0 => {
                let busy = group.opened || group.bound > 0;
                let wanted = refused(&[gone, (!may, EPERM), (busy, EBUSY)]);
                assert_eq!(group.open(|| raw_io), wanted);
                group.opened |= wanted.is_ok();
            }
            1 => {
                let wanted = refused(&[(group.attached, EINVAL), gone]);
                assert_eq!(group.attach(), wanted);
                if wanted.is_ok() && container.add(noiommu).is_ok() {
                    assert!(container.groups == 0 || container.noiommu == noiommu);
                    container.noiommu = noiommu;
                    container.groups += 1;
                    group.attached = true;
                }
            }
            2 => {
                let wanted = refused(&[(!group.attached, EINVAL), (group.users > 0, EBUSY)]);
                assert_eq!(group.detach(), wanted);
                if wanted.is_ok() {
                    group.attached = false;
                    container.groups -= 1;
                    container.backend &= container.groups > 0;
                }
            }
            3 => {
                let wanted = refused(&[(container.groups == 0 || container.backend, EINVAL)]);
                assert_eq!(container.set_backend(), wanted);
                container.backend |= wanted.is_ok();
            }
            4 => {
                assert_eq!(group.open_device().is_ok(), group.attached);
                if group.attached {
                    group.users += 1;
                    backend_users += 1;
                }
            }
            5 if group.users > 0 => {
                group.users -= 1;
                backend_users -= 1;
            }
            6 => {
                assert_eq!(group.bind().is_ok(), !group.opened);
                group.bound += usize::from(!group.opened);
            }
            7 => group.bound = group.bound.saturating_sub(1),
            8 => group.present = input.bool(),
            9 if group.users == 0 => group.opened = false,
            10 => {
                // A group of somebody else.
                let other = input.bool();
                let fits = container.groups == 0 || container.noiommu == other;
                assert_eq!(container.add(other).is_ok(), fits);
                assert_eq!(container.suits(other), fits);
            }
            _ => {
                let flags = match (group.present, group.attached, raw_io) {
                    (false, ..) => Err(ENODEV),
                    (_, true, _) => Ok(3),
                    (_, _, claimed) => Ok(u32::from(!claimed)),
                };
                assert_eq!(group.status(|| raw_io), flags);
                let ioas = input.bool();
                let wanted = refused(&[(!may || ioas, EPERM)]);
                assert_eq!(group.permit_direct(|| raw_io, || ioas), wanted);
            }
        }
        assert_eq!(group.users, backend_users);
        // Devices are used by the group or each for itself.
        assert!(!(group.opened && group.bound > 0));
    }
}

fn arguments(input: &mut Input<'_>) {
    let (flags, argsz, fd) = (input.edge() as u32, input.edge() as u32, input.u32() as i32);
    let wanted = match (flags, fd) {
        (0 | 1, 0..) => Ok(flags == 1),
        _ => Err(EINVAL),
    };
    assert_eq!(iommufd::bind(flags, fd), wanted);
    let (full, supported) = (usize::from(input.u8()), input.bool());
    let wanted = match flags {
        0 => Ok(false),
        1 if !supported => Err(EOPNOTSUPP),
        1 if argsz as usize >= full => Ok(true),
        _ => Err(EINVAL),
    };
    assert_eq!(iommufd::has_pasid(flags, argsz, full, supported), wanted);
    let owner = iommufd::Ownership::from_answer(fd);
    let ours = fd > 0 || fd == -ENOENT.get();
    assert_eq!(owner.is_owned(), ours);
    let number = if ours { fd.max(0) as u32 } else { u32::MAX };
    assert_eq!(owner.devid(), number);
    let by_node = input.bool();
    assert_eq!(
        iommufd::hot_reset(flags, argsz, by_node).is_ok(),
        flags == 0 && (argsz == 0) == by_node
    );
}

fn counts(input: &mut Input<'_>) {
    let lendable = Lendable::default();
    let (mut users, mut lent, mut owed) = (0, false, 0);
    for _ in 0..input.u8() {
        let given = match input.u8() % 4 {
            0 => {
                assert_eq!(lendable.enter(), !lent);
                users += i32::from(!lent);
                false
            }
            1 if users > 0 => {
                users -= 1;
                lendable.leave()
            }
            2 if !lent => {
                lent = true;
                owed += 1;
                lendable.lend()
            }
            3 if lent => {
                lent = false;
                lendable.take_back()
            }
            _ => false,
        };
        owed -= i32::from(given);
        assert_eq!(owed, i32::from(lent && users > 0));
    }
}

fn pages(input: &mut Input<'_>) {
    // Addresses have 64 bits, so numbers of pages no more than this.
    const TOP: u64 = 1 << 52;
    let start = (input.edge() % TOP, input.edge() % TOP, input.bool());
    let mut run = Extent::new(start.0, start.1, start.2);
    for _ in 0..input.u8() {
        let follows = input.bool();
        let pinned = input.bool();
        let (was, count) = (run, input.edge() % TOP);
        let end = was.pfn() + was.pages();
        let pfn = if follows { end } else { input.edge() % TOP };
        let next = Extent::new(pfn, count, pinned);
        assert_eq!(
            (next.pfn(), next.pages(), next.is_pinned()),
            (pfn, count, pinned)
        );
        let wanted = end == pfn && was.is_pinned() == pinned;
        assert_eq!(run.merge(&next), wanted);
        let more = if wanted { count } else { 0 };
        assert_eq!(
            (run.pfn(), run.pages(), run.is_pinned()),
            (was.pfn(), was.pages() + more, was.is_pinned())
        );
    }
    let (bytes, fewer) = (input.edge(), input.edge());
    let budget = extent::budget(bytes);
    assert!(budget >= 4 && budget <= (bytes / 32_000).max(4));
    assert!(extent::budget(bytes.min(fewer)) <= budget);
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    while !input.is_empty() {
        match input.u8() % 5 {
            0 => pins(&mut input),
            1 => groups(&mut input),
            2 => arguments(&mut input),
            3 => counts(&mut input),
            _ => pages(&mut input),
        }
    }
}
