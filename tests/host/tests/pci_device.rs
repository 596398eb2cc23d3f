// SPDX-License-Identifier: GPL-2.0

//! What a PCI device is and can do, and who may open it.

use proptest::prelude::*;
use vfio_logic::{
    errno::{
        EACCES,
        EINVAL,
        EOVERFLOW, //
    },
    feature::{
        request as feature,
        Request as FeatureOp,
        GET as FEATURE_GET,
        PROBE as FEATURE_PROBE,
        SET as FEATURE_SET, //
    },
    irq,
    pci::*,
    vf_token::{
        self,
        Match,
        Refusal,
        Role,
        Token, //
    },
};

const NAME: &[u8] = b"0000:06:0d.0";

fn text(token: &Token) -> String {
    let hex: String = token.iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn parse(text: &str) -> Result<Match, vfio_logic::errno::Errno> {
    vf_token::parse(text.as_bytes(), NAME)
}

proptest! {
    #[test]
    fn a_written_token_is_read(token: Token, upper: bool, before in " {1,3}", after in " {0,3}") {
        let token_text = if upper { text(&token).to_uppercase() } else { text(&token) };
        let all = format!("0000:06:0d.0{before}vf_token={token_text}{after}");
        prop_assert_eq!(parse(&all), Ok(Match::Yes(Some(token))));
    }

    #[test]
    fn a_damaged_token_is_refused(token: Token, at in 0usize..36, c in "[\x01-/:-@G-`g-\x7f]") {
        let mut damaged = text(&token);
        prop_assume!(damaged[at..=at] != c);
        damaged.replace_range(at..=at, &c);
        prop_assert_eq!(parse(&format!("0000:06:0d.0 vf_token={damaged}")), Err(EINVAL));
    }

    #[test]
    fn a_short_or_second_token_is_refused(token: Token, len in 0usize..36) {
        let token = text(&token);
        prop_assert_eq!(parse(&format!("0000:06:0d.0 vf_token={}", &token[..len])), Err(EINVAL));
        prop_assert_eq!(parse(&format!("0000:06:0d.0 vf_token={token} vf_token={token}")), Err(EINVAL));
        prop_assert_eq!(parse(&format!("0000:06:0d.0 vf_token={token}x")), Err(EINVAL));
    }

    #[test]
    fn any_text_is_answered(text: Vec<u8>, tail: Vec<u8>) {
        let _ = vf_token::parse(&text, NAME);
        let text = [NAME, b" ", &tail].concat();
        let parsed = vf_token::parse(&text, NAME);
        prop_assert!(parsed != Ok(Match::No));
        if tail.iter().all(|c| *c == b' ') {
            prop_assert_eq!(parsed, Ok(Match::Yes(None)));
        }
    }

    #[test]
    fn who_may_open(own: Token, shown in prop::option::of(any::<Token>()), same: bool, used: bool) {
        let shown = if same { shown.map(|_| own) } else { shown };
        let check = |role| vf_token::check(role, shown.as_ref());
        let secret = match shown {
            None => Err(Refusal::Required),
            Some(token) if token == own => Ok(None),
            Some(_) => Err(Refusal::Incorrect),
        };
        prop_assert_eq!(check(Role::Virtual(&own)), secret);
        prop_assert_eq!(check(Role::Physical(&own, used)), if used { secret } else { Ok(shown) });
        let useless = |why| if shown.is_some() { Err(why) } else { Ok(None) };
        prop_assert_eq!(check(Role::Foreign), useless(Refusal::NotBound));
        prop_assert_eq!(check(Role::Plain), useless(Refusal::NotSriov));
    }

    #[test]
    fn msix_tables_are_decoded(control: u16, table: u32) {
        let t = MsixTable::decode(control, table);
        prop_assert_eq!(t.bar + t.offset, table);
        prop_assert!(t.bar < 8 && t.offset % 8 == 0 && (1..=2048).contains(&t.vectors));
        prop_assert_eq!(t.range().end - t.range().start, 16 * u64::from(control % 2048 + 1));
    }

    #[test]
    fn features(flags: u32, len in 0usize..40, supported in 0u32..4, minsz in 0usize..40) {
        let supported = supported << 16;
        let (get, set) = (flags & FEATURE_GET != 0, flags & FEATURE_SET != 0);
        let allowed = (!get || supported & FEATURE_GET != 0) && (!set || supported & FEATURE_SET != 0);
        let expected = if !allowed {
            Err(EINVAL)
        } else if flags & FEATURE_PROBE != 0 {
            Ok(FeatureOp::Probe)
        } else if (!get && !set) || len < minsz {
            Err(EINVAL)
        } else if get {
            Ok(FeatureOp::Get)
        } else {
            Ok(FeatureOp::Set)
        };
        prop_assert_eq!(feature(flags, len, supported, minsz), expected);
    }

    #[test]
    fn a_mappable_bar_shares_no_page(
        memory: bool,
        start in prop_oneof![(0u64..5).prop_map(|page| page * 4096), 0u64..20_000],
        len in 0u64..10_000,
    ) {
        match mappable(memory, start, len, 4096) {
            Mappable::No => prop_assert!(!memory || len == 0 || (len < 4096 && start % 4096 != 0)),
            Mappable::Yes => prop_assert!(memory && len >= 4096),
            Mappable::WithRestOfPage => prop_assert!(memory && start % 4096 == 0 && (1..4096).contains(&len)),
        }
    }

    #[test]
    fn dma_ranges_are_in_the_bar(start: u64, size: u64, offset: u64, len: u64) {
        let wide = |x: u64| u128::from(x);
        match dma_range(start, size, offset, len) {
            Ok(at) => {
                prop_assert!(len > 0 && wide(at) == wide(start) + wide(offset));
                prop_assert!(wide(at) + wide(len) <= wide(start) + wide(size));
            }
            Err(e) if e == EOVERFLOW => {
                prop_assert!(wide(start) + wide(offset) + wide(len) > wide(u64::MAX));
            }
            Err(e) => {
                prop_assert_eq!(e, EINVAL);
                let end = wide(start) + wide(size);
                let there = end <= wide(u64::MAX);
                prop_assert!(len == 0 || !there || wide(start) + wide(offset) + wide(len) > end);
            }
        }
    }
}

#[test]
fn names() {
    assert_eq!(parse("0000:06:0d.0"), Ok(Match::Yes(None)));
    assert_eq!(parse("0000:06:0d.0 "), Ok(Match::Yes(None)));
    assert_eq!(parse("0000:06:0d.1"), Ok(Match::No));
    assert_eq!(parse("0000:06:0d.0x"), Ok(Match::No));
    assert_eq!(parse("0000:06:0d"), Ok(Match::No));
    assert_eq!(parse("0000:06:0d.0 token"), Err(EINVAL));
}

#[test]
fn refusals() {
    assert_eq!(Refusal::Required.errno(), EACCES);
    assert_eq!(Refusal::Incorrect.errno(), EACCES);
    assert_eq!(Refusal::NotBound.errno(), EINVAL);
    assert_eq!(Refusal::NotSriov.errno(), EINVAL);
}

#[test]
fn broken_intx() {
    let broken: Vec<u16> = (0..=u16::MAX)
        .filter(|id| has_broken_intx(0x8086, *id))
        .collect();
    assert_eq!(broken.len(), 17);
    for id in [
        0x1563, 0x1572, 0x1574, 0x1580, 0x1581, 0x1583, 0x158b, 0x37d0, 0x37d1, 0x37d2,
    ] {
        assert!(broken.contains(&id));
        assert!(!has_broken_intx(0x8087, id));
    }
}

#[test]
fn interrupts() {
    assert_eq!(irq_flags(irq::INTX, true), Ok(7));
    assert_eq!(irq_flags(irq::MSI, true), Ok(9));
    assert_eq!(irq_flags(irq::MSIX, false), Ok(9));
    assert_eq!(irq_flags(irq::MSIX, true), Ok(1));
    assert_eq!(irq_flags(irq::ERR, true), Ok(9));
    assert_eq!(irq_flags(irq::REQ, true), Ok(9));
    assert_eq!(irq_flags(irq::NUM, true), Err(EINVAL));
    // Multiple Message Capable, bits 3:1.
    for log2 in 0..8u16 {
        assert_eq!(msi_vectors(log2 << 1 | 0xff81), 1 << log2);
    }
}

#[test]
fn legacy_vga() {
    for i in 0..16 {
        let bit = |n: u32| i >> n & 1 != 0;
        let hides = hides_legacy_vga(bit(0), bit(1), bit(2), bit(3));
        assert_eq!(hides, i == 0);
    }
}
