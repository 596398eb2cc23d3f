// SPDX-License-Identifier: GPL-2.0

//! What a rule answers when it refuses.

use vfio_logic::errno::{
    EINVAL,
    ENOTTY, //
};

#[test]
fn a_reason_is_kept_and_makes_no_difference_to_user_space() {
    let told = EINVAL.because("it is not");
    assert_eq!(EINVAL.why(), None);
    assert_eq!(told.why(), Some("it is not"));
    assert_eq!(told.because("nor is this").why(), Some("nor is this"));
    assert_eq!((told.get(), EINVAL.get()), (22, 22));
    assert_eq!(told, EINVAL);
    assert_ne!(told, ENOTTY.because("it is not"));
}
