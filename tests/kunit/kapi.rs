// SPDX-License-Identifier: GPL-2.0

//! Tests of the pieces of `vfio_kapi` that need no device and no process of a user.

use kernel::prelude::*;

/// Something that there is a list of.
struct Listed(u32);

static LISTED: vfio_kapi::registry::Registry<Listed> = vfio_kapi::registry::Registry::new();

impl vfio_kapi::registry::Registered for Listed {
    fn registry() -> &'static vfio_kapi::registry::Registry<Self> {
        &LISTED
    }
}

static ONCE: vfio_kapi::module_static::ModuleStatic<u32> =
    vfio_kapi::module_static::ModuleStatic::new();

static CLASS: vfio_kapi::chrdev::Class =
    vfio_kapi::chrdev::Class::new(c"vfio_kunit", c"vfio_kunit/");

/// What two threads tell each other.
#[pin_data]
struct Meeting {
    #[pin]
    steps: kernel::sync::Mutex<u32>,
    #[pin]
    changed: vfio_kapi::wait::KillableCondVar,
}

#[kunit_tests(vfio_kapi)]
mod tests {
    use super::*;
    use kernel::{
        new_mutex,
        str::CString,
        sync::Arc,
        workqueue, //
    };
    use vfio_kapi::{
        chrdev::ChrdevRegion,
        device_set::DeviceSets,
        eventfd::{
            EventFd,
            EventFdSlot, //
        },
        holders::Holders,
        ida::Ida,
        info_cap::OwnedInfoCaps,
        interval_tree::IntervalTree,
        new_killable_condvar,
        new_rwsem,
        nospec,
        ratelimit::RateLimit,
        refusal,
        registry::Entry,
        rwsem::RwSem,
        task,
        uaccess::{
            self,
            UserArg, //
        },
        uuid,
        versions::{
            self,
            new_spinlock_irq,
            SpinLockIrq, //
        },
        virqfds::{
            SerialQueue,
            Virqfds, //
        }, //
    };

    #[test]
    fn rwsem_has_many_readers_or_one_writer() -> Result {
        let sem: Pin<KBox<RwSem<u32>>> = KBox::pin_init(new_rwsem!(1, "kunit"), GFP_KERNEL)?;
        {
            let (one, two) = (sem.read(), sem.try_read().ok_or(EBUSY)?);
            assert_eq!(*one + *two, 2);
            assert!(sem.try_write().is_none());
        }
        {
            let mut writer = sem.write();
            *writer = 5;
            assert!(sem.try_read().is_none());
            assert!(sem.try_write().is_none());
        }
        assert_eq!(*sem.read_killable()?, 5);
        *sem.try_write().ok_or(EBUSY)? = 6;
        assert_eq!(*sem.read(), 6);
        Ok(())
    }

    #[test]
    fn rwsem_keeps_writers_apart() -> Result {
        let meeting = meeting()?;
        let sem = Arc::pin_init(new_rwsem!(0u32, "kunit::shared"), GFP_KERNEL)?;
        for _ in 0..4 {
            let (sem, meeting) = (sem.clone(), meeting.clone());
            workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
                for _ in 0..1000 {
                    let mut value = sem.write();
                    // Not one step, so that another writer in between would be seen.
                    let was = *value;
                    core::hint::spin_loop();
                    *value = was + 1;
                }
                *meeting.steps.lock() += 1;
                meeting.changed.notify_all();
            })?;
        }
        wait_for(&meeting, 4)?;
        assert_eq!(*sem.read(), 4000);
        Ok(())
    }

    fn meeting() -> Result<Arc<Meeting>> {
        Arc::pin_init(
            pin_init!(Meeting {
                steps <- new_mutex!(0, "kunit::steps"),
                changed <- new_killable_condvar!("kunit::changed"),
            }),
            GFP_KERNEL,
        )
    }

    fn wait_for(meeting: &Meeting, wanted: u32) -> Result {
        let mut steps = meeting.steps.lock();
        while *steps != wanted {
            let (guard, result) = meeting.changed.wait(steps);
            result?;
            steps = guard;
        }
        Ok(())
    }

    #[test]
    fn who_waits_is_woken() -> Result {
        let (meeting, other) = (meeting()?, meeting()?);
        let (theirs, answer) = (meeting.clone(), other.clone());
        workqueue::system().try_spawn(GFP_KERNEL, move || {
            for wanted in 1..=100 {
                if wait_for(&theirs, wanted).is_err() {
                    return;
                }
                *answer.steps.lock() = wanted;
                answer.changed.notify_all();
            }
        })?;
        for step in 1..=100 {
            *meeting.steps.lock() = step;
            meeting.changed.notify_all();
            wait_for(&other, step)?;
        }
        Ok(())
    }

    #[test]
    fn registry_has_what_is_alive() -> Result {
        LISTED.init()?;
        assert_eq!(LISTED.init(), Err(EBUSY));
        let sum = || {
            let mut sum = 0;
            LISTED.for_each(|listed| sum += listed.0);
            sum
        };
        assert_eq!(sum(), 0);
        let one = Entry::new(Arc::new(Listed(1), GFP_KERNEL)?)?;
        let two = Entry::new(Arc::new(Listed(20), GFP_KERNEL)?)?;
        assert_eq!((sum(), one.0, two.0), (21, 1, 20));
        drop(one);
        assert_eq!(sum(), 20);
        drop(two);
        assert_eq!(sum(), 0);
        Ok(())
    }

    #[test]
    fn statics_are_set_once() -> Result {
        ONCE.init(7)?;
        assert_eq!(*ONCE.get(), 7);
        assert_eq!(ONCE.init(8), Err(EBUSY));
        assert_eq!(*ONCE.get(), 7);
        Ok(())
    }

    #[test]
    fn numbers_and_classes_are_given_back() -> Result {
        for _ in 0..3 {
            let region = ChrdevRegion::new(c"vfio_kunit")?;
            let other = ChrdevRegion::new(c"vfio_kunit")?;
            drop(region);
            drop(other);
            // A second one of the name is refused as long as there is the first.
            drop(CLASS.register()?);
        }
        Ok(())
    }

    #[test]
    fn eventfd_handlers_have_a_queue() -> Result {
        let virqfds = KBox::pin_init(Virqfds::new(), GFP_KERNEL)?;
        for _ in 0..3 {
            virqfds.start(Arc::new(SerialQueue::new(c"vfio_kunit")?, GFP_KERNEL)?);
        }
        // Each but the last went when the next came; this ends that.
        virqfds.stop();
        virqfds.stop();
        Ok(())
    }

    #[test]
    fn sets_begin_without_devices() -> Result {
        drop(KBox::pin_init(DeviceSets::new(), GFP_KERNEL)?);
        Ok(())
    }

    #[test]
    fn nobody_holds_what_is_new() -> Result {
        assert!(Holders::new()?.names()?.is_none());
        Ok(())
    }

    #[test]
    fn interrupts_are_off_in_a_spinlock() -> Result {
        let lock: Pin<KBox<SpinLockIrq<u32>>> =
            KBox::pin_init(new_spinlock_irq!(1, "kunit::spinlock"), GFP_KERNEL)?;
        {
            let mut value = lock.lock();
            assert!(lock.try_lock().is_none());
            *value += 1;
        }
        assert_eq!(*lock.lock(), 2);
        assert!(lock.try_lock().is_some());
        Ok(())
    }

    #[test]
    fn threads_of_the_kernel_have_no_memory() -> Result {
        assert!(!task::has_mm());
        assert!(task::has_raw_io());
        let name = CString::try_from_fmt(fmt!("{}", task::comm()))?;
        assert!(name.to_bytes().starts_with(b"kunit"));
        Ok(())
    }

    #[test]
    fn refusals_keep_their_errno() {
        assert_eq!(refusal::refused(EPERM, fmt!("kunit")), EPERM);
        let told = vfio_logic::errno::EINVAL.because("kunit asks for it");
        assert_eq!(refusal::explained(told, &"nothing"), EINVAL);
        assert_eq!(versions::ebadfd().to_errno(), -77);
        assert_eq!(versions::enosys().to_errno(), -38);
        assert_eq!(versions::eopnotsupp().to_errno(), -95);
    }

    #[test]
    fn ranges_of_users_end_where_the_kernel_begins() {
        for (addr, size, wanted) in [
            (0, 0, true),
            (0x1000, 0x1000, true),
            (0x1000, usize::MAX, false),
            (usize::MAX, 1, false),
            (1 << 63, 0x1000, false),
        ] {
            assert_eq!(uaccess::is_user_range(addr, size), wanted);
        }
    }

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
