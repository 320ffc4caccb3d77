//! The connection against a naive endpoint that reads the whole buffer at once.

#[path = "support/cuts.rs"]
mod cuts;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/streams.rs"]
mod streams;

use cuts::{Told, Way, fault_of, feed, replies};
use oracle::{Reply, Seen, Verdict, judge};
use proptest::prelude::*;
use sansocket::{Error, Role, utf8};
use streams::{Settings, Stream, settings};

fn assert_agree(settings: &Settings, expected: &Verdict, told: &Told) {
    assert_eq!(told.seen, expected.seen);
    assert_eq!(told.error.map(fault_of), expected.fault);
    assert_eq!(replies(settings.role, told), expected.replies);
    if let Some((_, parts)) = &told.unfinished {
        let (_, arrived) = expected.unfinished.as_ref().expect("the oracle knows the message too");
        assert!(arrived.starts_with(parts), "parts that nobody sent");
        assert!(told.error.is_some() || arrived == parts, "bytes were held back");
    }
    match (told.error, told.seen.last()) {
        (Some(Error::Policy(_)), _) => assert_eq!(expected.replies.last(), Some(&Reply::Fail(1008))),
        (None, Some(Seen::Close(code, _))) => {
            let summary = told.summary.as_deref().unwrap_or_default();
            assert!(
                summary.contains(&format!("CloseCode({code})")) && summary.contains("clean: true"),
                "{summary}"
            );
        }
        _ => {}
    }
}

fn with(
    stream: impl Fn(Role) -> BoxedStrategy<Stream>,
) -> impl Strategy<Value = (Settings, Stream, Vec<usize>)> {
    (settings(), streams::cuts()).prop_flat_map(move |(settings, cuts)| {
        let stream = stream(settings.role);
        (Just(settings), stream, Just(cuts))
    })
}

fn check(settings: &Settings, bytes: &[u8], cuts: &[usize]) {
    let expected = judge(&settings.rules, bytes);
    let Settings { role, config, .. } = settings;
    for (cuts, way) in [(&[bytes.len()][..], Way::Receive), (cuts, Way::Receive), (cuts, Way::Direct)] {
        assert_agree(settings, &expected, &feed(*role, config, bytes, cuts, way, usize::MAX));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    // conf: FG-01 FG-02 FG-03 FG-05 FG-11 CT-05 CL-01 CL-02 CL-03 CL-04 CL-12 FR-09 U8-04
    #[test]
    fn valid_streams((settings, Stream(bytes), cuts) in with(streams::valid)) {
        check(&settings, &bytes, &cuts);
    }

    // conf: FL-01 FL-02 FL-03 CC-09
    #[test]
    fn damaged_streams((settings, Stream(bytes), cuts) in with(streams::damaged)) {
        check(&settings, &bytes, &cuts);
    }

    // conf: FR-02 FR-03 FR-06 FR-07 CT-01 CT-02 MK-02 MK-04
    #[test]
    fn noise((settings, Stream(bytes), cuts) in with(streams::noise)) {
        check(&settings, &bytes, &cuts);
    }

    // conf: FR-08 FR-11 FR-12 MK-05
    #[test]
    fn frames_alone((Settings { role, .. }, Stream(bytes), cuts) in with(streams::stream)) {
        cuts::decode(role, &bytes, &cuts);
    }

    // conf: U8-02 U8-03 U8-05
    #[test]
    fn text_is_validated_as_by_the_grammar(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            proptest::collection::vec(
                proptest::sample::select(b"a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5".to_vec()),
                0..9,
            ),
        ],
        cuts in streams::cuts(),
    ) {
        let expected = oracle::utf8(&bytes);
        match (utf8::validate(&bytes), expected) {
            (Ok(text), oracle::Utf8::Valid) => assert_eq!(text.as_bytes(), bytes),
            (Err(error), oracle::Utf8::Invalid(valid) | oracle::Utf8::Incomplete(valid)) => {
                assert_eq!(error.valid_up_to, valid as u64);
            }
            (other, expected) => panic!("{other:?} instead of {expected:?}"),
        }
        piecewise(&bytes, &cuts);
    }
}

// conf: FR-01 FR-02 FR-03
#[test]
fn lengths_at_the_edges_in_every_form() {
    for (role, key) in [(Role::Server, Some([1, 2, 3, 4])), (Role::Client, None)] {
        for len in [0, 1, 125, 126, 127, 65534, 65535, 65536] {
            for extended in [0, 2, 8] {
                let bytes = oracle::frame(0x82, key, &vec![9; len], Some(extended));
                cuts::decode(role, &bytes, &[bytes.len()]);
                cuts::decode(role, &bytes, &[3, 1, 1000]);
            }
        }
    }
}

/// Piece by piece: fails with the very piece in which the grammar is broken.
fn piecewise(bytes: &[u8], cuts: &[usize]) {
    let mut validator = utf8::Validator::new();
    let mut cuts = cuts.iter().copied().cycle();
    let (mut at, mut text) = (0, String::new());
    while at < bytes.len() {
        let end = (at + cuts.next().unwrap_or(1)).min(bytes.len());
        match (validator.push(&bytes[at..end]), oracle::utf8(&bytes[..end])) {
            (Err(error), oracle::Utf8::Invalid(valid)) => {
                assert_eq!(error.valid_up_to, valid as u64);
                return;
            }
            (Ok(piece), oracle::Utf8::Valid | oracle::Utf8::Incomplete(_)) => {
                text.extend(piece.carried);
                text.push_str(piece.text);
            }
            (other, expected) => panic!("{other:?} instead of {expected:?} after {end} bytes"),
        }
        at = end;
    }
    let whole = oracle::utf8(bytes);
    assert_eq!(validator.finish().is_ok(), whole == oracle::Utf8::Valid);
    let valid = if let oracle::Utf8::Incomplete(valid) = whole { valid } else { bytes.len() };
    assert_eq!(text.as_bytes(), &bytes[..valid]);
}
