// SPDX-License-Identifier: GPL-2.0

//! `VFIO_DEVICE_SET_IRQS`.

use proptest::prelude::*;
use vfio_logic::irq_set::*;

/// The rule as the header states it, in numbers that cannot overflow.
fn expected(set: &IrqSet, num: u32, kinds: u32) -> Option<u64> {
    let end = u64::from(set.start) + u64::from(set.count);
    let each = match set.flags & DATA_TYPE_MASK {
        DATA_NONE => 0,
        DATA_BOOL => 1,
        DATA_EVENTFD => 4,
        _ => return None,
    };
    let size = u64::from(set.count) * each;
    let ok = set.argsz >= MIN_SIZE
        && set.index < kinds
        && set.flags & !(DATA_TYPE_MASK | ACTION_TYPE_MASK) == 0
        && end < u64::from(u32::MAX)
        && set.start < num
        && end <= u64::from(num)
        && u64::from(set.argsz - MIN_SIZE) >= size;
    ok.then_some(size)
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..40, (u32::MAX - 40)..=u32::MAX, any::<u32>()]
}

proptest! {
    #[test]
    fn as_the_header_says(argsz in number(), flags in prop_oneof![0u32..64, any::<u32>()], index in 0u32..6,
                          start in number(), count in number(), num in number()) {
        let set = IrqSet { argsz, flags, index, start, count };
        let answer = set.check(5).and_then(|()| set.data_size(num)).ok().map(|size| size as u64);
        prop_assert_eq!(answer, expected(&set, num, 5));
    }
}

#[test]
fn no_interrupts_of_a_kind_without_any() {
    let set = IrqSet {
        argsz: 20,
        flags: DATA_NONE | 1 << 5,
        ..IrqSet::default()
    };
    assert!(set.data_size(0).is_err());
    assert_eq!(set.check(1).and_then(|()| set.data_size(1)), Ok(0));
}
