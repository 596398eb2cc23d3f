// SPDX-License-Identifier: GPL-2.0

//! Devices that iommufd uses.

use proptest::prelude::*;
use vfio_logic::errno::*;
use vfio_logic::iommufd::*;

proptest! {
    #[test]
    fn bind_takes_one_flag_and_descriptors(
        flags in prop_oneof![0u32..3, any::<u32>()],
        fd in prop_oneof![-2i32..3, any::<i32>()],
    ) {
        let expected = match (fd, flags) {
            (..=-1, _) | (_, 2..) => Err(EINVAL),
            (_, flags) => Ok(flags == 1),
        };
        prop_assert_eq!(bind(flags, fd), expected);
    }

    #[test]
    fn a_pasid_needs_a_driver_and_room(
        flags in prop_oneof![Just(0), Just(1), any::<u32>()],
        argsz in 0u32..40,
        full in 12usize..20,
        supported: bool,
    ) {
        let expected = match flags {
            0 => Ok(false),
            2.. => Err(EINVAL),
            // That it is not supported is said first.
            _ if !supported => Err(EOPNOTSUPP),
            _ if (argsz as usize) < full => Err(EINVAL),
            _ => Ok(true),
        };
        prop_assert_eq!(has_pasid(flags, argsz, full, supported), expected);
    }

    #[test]
    fn only_numbers_and_groups_own(answer: i32) {
        let owned = Ownership::from_answer(answer);
        prop_assert_eq!(owned.is_owned(), answer > 0 || answer == -ENOENT.get());
        prop_assert_eq!(
            owned.devid(),
            match answer {
                1.. => answer as u32,
                -2 => 0,
                _ => u32::MAX,
            }
        );
    }
}

#[test]
fn ownership() {
    assert_eq!(Ownership::from_answer(0), Ownership::None);
    assert_eq!(Ownership::from_answer(7), Ownership::Bound(7));
    assert_eq!(Ownership::from_answer(-2), Ownership::ByGroup);
    assert_eq!(Ownership::from_answer(-19), Ownership::None);
    assert_eq!(Ownership::from_answer(-22), Ownership::None);
}

#[test]
fn a_reset_is_proved_by_files_or_by_the_iommufd() {
    for files in [0, 1, 2, u32::MAX] {
        assert_eq!(hot_reset(0, files, true).is_ok(), files == 0);
        assert_eq!(hot_reset(0, files, false).is_ok(), files != 0);
        for flags in [1, 1 << 31, u32::MAX] {
            assert_eq!(hot_reset(flags, files, true), Err(EINVAL));
            assert_eq!(hot_reset(flags, files, false), Err(EINVAL));
        }
    }
}
