// SPDX-License-Identifier: GPL-2.0

//! Tests of the pieces of `vfio_kapi` that need no device.

use kernel::prelude::*;

#[kunit_tests(vfio_kapi)]
mod tests {
    use kernel::prelude::*;
    use vfio_kapi::{
        eventfd::{
            EventFd,
            EventFdSlot, //
        },
        ida::Ida,
        info_cap::OwnedInfoCaps,
        interval_tree::IntervalTree,
        nospec,
        ratelimit::RateLimit,
        uaccess::UserArg,
        uuid, //
    };

    #[test]
    fn interval_tree_refuses_overlaps() -> Result {
        let mut tree = IntervalTree::with_capacity(4)?;
        assert!(tree.is_empty());
        tree.insert(0x1000, 0x1fff)?;
        tree.insert(0x3000, 0x3fff)?;
        for (start, last) in [
            (0x1000, 0x1fff),
            (0, 0x1000),
            (0x1fff, 0x3000),
            (0, usize::MAX),
            (5, 4),
        ] {
            assert_eq!(tree.insert(start, last), Err(EINVAL));
        }
        tree.insert(0x2000, 0x2fff)?;
        tree.insert(0x4000, usize::MAX)?;
        assert_eq!(tree.insert(0, 0xfff), Err(ENOSPC));
        assert_eq!(tree.len(), 4);
        Ok(())
    }

    #[test]
    fn ida_gives_the_smallest() -> Result {
        let ida = KBox::pin_init(Ida::new(), GFP_KERNEL)?;
        assert!(ida.first().is_none());
        for wanted in 0..70 {
            assert_eq!(ida.alloc_max(69)?, wanted);
        }
        assert_eq!(ida.alloc_max(69), Err(ENOSPC));
        assert_eq!(ida.alloc(7), Err(ENOSPC));
        ida.free(7);
        assert!(!ida.contains(7) && ida.contains(8));
        ida.alloc(7)?;
        for id in 0..69 {
            ida.free(id);
        }
        assert_eq!(ida.first(), Some(69));
        // What is still in use is freed with the set.
        Ok(())
    }

    #[test]
    fn info_caps_are_padded_and_linked() -> Result {
        let mut owned = OwnedInfoCaps::new();
        let caps = owned.get_mut();
        assert!(caps.is_empty());
        caps.append(12, 3, 1)?;
        let second = caps.append(8, 4, 2)?;
        assert_eq!(second.len(), 8);
        assert_eq!(caps.len(), 24);
        caps.shift(100);
        let bytes = caps.bytes_mut();
        assert_eq!(bytes.get(..8), Some(&[3u8, 0, 1, 0, 116, 0, 0, 0][..]));
        assert_eq!(bytes.get(8..16), Some(&[0u8; 8][..]));
        assert_eq!(bytes.get(16..), Some(&[4u8, 0, 2, 0, 0, 0, 0, 0][..]));
        Ok(())
    }

    #[test]
    fn info_caps_survive_absurd_sizes() -> Result {
        let mut owned = OwnedInfoCaps::new();
        let caps = owned.get_mut();
        caps.append(8, 1, 1)?;
        assert!(caps.append(usize::MAX, 1, 1).is_err());
        assert!(caps.is_empty());
        caps.append(8, 1, 1)?;
        assert_eq!(caps.len(), 8);
        Ok(())
    }

    #[test]
    fn rate_limit_lets_ten_through() {
        let limit = RateLimit::new();
        let allowed = (0..100).filter(|_| limit.allow()).count();
        // Five seconds may end on the way, once.
        assert!(allowed == 10 || allowed == 20);
    }

    #[test]
    fn eventfds_of_nonsense_are_refused() {
        assert!(EventFd::from_fd(-1).is_err());
        assert!(EventFd::from_fd(i32::MAX).is_err());
        let slot = EventFdSlot::new(None);
        assert!(slot.is_empty());
        assert!(!slot.signal());
        slot.replace(None);
        assert!(slot.is_empty());
    }

    #[test]
    fn no_user_memory_in_a_kernel_thread() {
        let arg = UserArg::new(0x1000);
        assert_eq!(arg.read_bytes(&mut [0; 4]), Err(EFAULT));
        assert_eq!(arg.write_bytes(&[0]), Err(EFAULT));
        assert_eq!(
            UserArg::new(usize::MAX).read_bytes(&mut [0; 8]),
            Err(EFAULT)
        );
    }

    #[test]
    fn indexes_stay_inside() {
        for i in 0..10 {
            assert_eq!(nospec::index(i, 10), i);
        }
        assert_eq!(nospec::index(10, 10), 0);
        assert_eq!(nospec::index(usize::MAX, 10), 0);
    }

    #[test]
    fn uuids_differ() {
        assert!(uuid::random() != uuid::random());
    }
}
