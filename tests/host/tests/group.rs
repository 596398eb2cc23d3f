// SPDX-License-Identifier: GPL-2.0

//! Groups and containers.

use proptest::prelude::*;
use std::cell::Cell;
use vfio_logic::errno::*;
use vfio_logic::group::*;

/// What user space may try with a group.
#[derive(Clone, Copy, Debug)]
enum Step {
    Open,
    Close,
    Attach,
    Detach,
    OpenDevice,
    CloseDevice,
    BindDevice,
    UnbindDevice,
    LastDeviceGoes,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop::sample::select(vec![
        Open,
        Close,
        Attach,
        Detach,
        OpenDevice,
        CloseDevice,
        Attach,
        OpenDevice,
        BindDevice,
        UnbindDevice,
        LastDeviceGoes,
    ])
}

proptest! {
    #[test]
    fn no_order_of_steps_breaks_it(steps in prop::collection::vec(step(), 0..60)) {
        let mut group = Group { present: true, ..Group::default() };
        for step in steps {
            let before = group;
            match step {
                Step::Open => if group.open(|| true).is_ok() {
                    prop_assert!(!before.opened && before.present);
                    group.opened = true;
                },
                // The devices keep the file open.
                Step::Close => if group.opened && group.users == 0 {
                    group.opened = false;
                    group.attached = false;
                },
                Step::Attach => if group.opened && group.attach().is_ok() {
                    prop_assert!(!before.attached && before.present);
                    group.attached = true;
                },
                Step::Detach => if group.opened && group.detach().is_ok() {
                    prop_assert!(before.attached && before.users == 0);
                    group.attached = false;
                },
                Step::OpenDevice => if group.open_device().is_ok() {
                    prop_assert!(before.attached);
                    group.users += 1;
                },
                // Devices are bound by their own nodes, which are there as long as they are.
                Step::BindDevice => if group.present && group.bind().is_ok() {
                    prop_assert!(!before.opened);
                    group.bound += 1;
                },
                Step::UnbindDevice => group.bound = group.bound.saturating_sub(1),
                Step::CloseDevice => group.users = group.users.saturating_sub(1),
                Step::LastDeviceGoes => if group.users == 0 && group.bound == 0 {
                    group.attached = false;
                    group.present = false;
                },
            }
            prop_assert!(group.users == 0 || group.attached);
            // Either the group is used, or its devices are.
            prop_assert!(!group.opened || group.bound == 0);
            prop_assert!(!group.attached || (group.opened && group.present));
            match group.status(|| false) {
                Ok(flags) => {
                    prop_assert!(group.present);
                    prop_assert_eq!(flags & STATUS_CONTAINER_SET != 0, group.attached);
                    prop_assert!(flags & STATUS_VIABLE != 0);
                }
                Err(err) => prop_assert!(!group.present && err == ENODEV),
            }
        }
    }

    #[test]
    fn kinds_do_not_mix(groups in 0usize..3, inside: bool, new: bool) {
        let container = Container { groups, noiommu: inside, backend: false };
        prop_assert_eq!(container.add(new).is_ok(), groups == 0 || inside == new);
        // The backend of the one kind takes no groups of the other.
        prop_assert_eq!(container.suits(new), container.add(new).is_ok());
    }

    #[test]
    fn only_groups_without_iommu_need_the_right(
        present: bool, opened: bool, noiommu: bool, raw_io: bool,
    ) {
        let group = Group { present, opened, noiommu, ..Group::default() };
        let asked = Cell::new(false);
        let ask = || { asked.set(true); raw_io };
        let expected = match (present, noiommu && !raw_io, opened) {
            (false, _, _) => Err(ENODEV),
            (true, true, _) => Err(EPERM),
            (true, false, true) => Err(EBUSY),
            (true, false, false) => Ok(()),
        };
        prop_assert_eq!(group.open(ask), expected);
        // Asking leaves traces, so it is not done for nothing.
        prop_assert_eq!(asked.get(), present && noiommu);
        prop_assert_eq!(group.permit(ask).is_ok(), !noiommu || raw_io);
    }

    #[test]
    fn no_translation_is_for_those_who_expect_none(noiommu: bool, raw_io: bool, has_ioas: bool) {
        let group = Group { present: true, noiommu, ..Group::default() };
        let expected = match (noiommu && !raw_io, has_ioas) {
            (false, false) => Ok(()),
            _ => Err(EPERM),
        };
        prop_assert_eq!(group.permit_direct(|| raw_io, || has_ioas), expected);
    }
}

#[test]
fn answers() {
    let none = Group::default();
    let idle = Group {
        present: true,
        ..none
    };
    let open = Group {
        opened: true,
        ..idle
    };
    let attached = Group {
        attached: true,
        ..open
    };
    let used = Group {
        users: 1,
        ..attached
    };
    let never = || unreachable!();
    assert_eq!(none.open(never), Err(ENODEV));
    assert_eq!(idle.open(never), Ok(()));
    assert_eq!(open.open(never), Err(EBUSY));
    assert_eq!(open.attach(), Ok(()));
    assert_eq!(attached.attach(), Err(EINVAL));
    assert_eq!(
        Group {
            present: false,
            ..open
        }
        .attach(),
        Err(ENODEV)
    );
    assert_eq!(open.detach(), Err(EINVAL));
    assert_eq!(attached.detach(), Ok(()));
    assert_eq!(used.detach(), Err(EBUSY));
    assert_eq!(open.status(|| true), Ok(0));

    let empty = Container::default();
    let full = Container { groups: 1, ..empty };
    assert_eq!(empty.set_backend(), Err(EINVAL));
    assert_eq!(full.set_backend(), Ok(()));
    assert_eq!(
        Container {
            backend: true,
            ..full
        }
        .set_backend(),
        Err(EINVAL)
    );
    assert_eq!(max_pinned(4096), 4096 / size_of::<usize>());
}
