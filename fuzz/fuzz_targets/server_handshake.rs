//! A request cut anywhere gets the same verdict as a whole one, and every verdict is an HTTP response that httparse reads.
//! A naive parser of the tests reads the same heads.
//! The first byte is the size of the pieces.

#![no_main]

mod meter;
#[path = "../../tests/support/naive_head.rs"]
mod naive_head;

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use sansocket::handshake::{
    Acceptance, HandshakeLimits, RefusedRequest, Request, RequestError, ServerHandshake, ServerStep,
};

const NOW: Duration = Duration::ZERO;

/// Heap bytes, whatever is sent.
const MOST: usize = 96 << 10;

enum Verdict {
    NeedMore,
    /// The request, and where the frames begin.
    Request(Request, usize),
    Refused(RefusedRequest),
}

fn verdict<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Verdict {
    let mut handshake = ServerHandshake::new(HandshakeLimits::default(), NOW);
    let mut before = 0;
    for piece in pieces {
        handshake = match handshake.receive(NOW, piece) {
            Ok(ServerStep::NeedMore(handshake)) => handshake,
            Ok(ServerStep::Request { request, consumed }) => {
                return Verdict::Request(request, before + consumed);
            }
            Err(refused) => return Verdict::Refused(refused),
        };
        before += piece.len();
    }
    Verdict::NeedMore
}

fn status(response: &[u8]) -> u16 {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Response::new(&mut headers);
    assert!(parsed.parse(response).expect("a valid response").is_complete());
    parsed.code.expect("a status")
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    // By default 16 KiB of a head are kept, a table of 100 headers, and the lists in them once more.
    let whole = meter::within(MOST, || verdict([bytes].into_iter()));
    let cut = meter::within(MOST, || verdict(bytes.chunks(usize::from(size).max(1))));
    let mut out = Vec::new();
    match (whole, cut) {
        (Verdict::NeedMore, Verdict::NeedMore) => {}
        (Verdict::Request(request, at), Verdict::Request(same, here)) => {
            assert_eq!((&request, at), (&same, here));
            let naive = naive_head::request(bytes).expect("a blank line").expect("a head");
            let head = request.head();
            assert_eq!(
                (&naive.first[..2], naive.len),
                (&[head.method().into(), head.target().into()][..], at)
            );
            assert!(head.headers().eq(naive.borrowed()), "other headers");
            request.accept(&Acceptance::new(), &mut out).expect("nothing was chosen that was not offered");
            assert_eq!(status(&out), 101);
        }
        (Verdict::Refused(refused), Verdict::Refused(same)) => {
            assert_eq!(refused.error(), same.error());
            // The naive parser knows no other versions.
            let error = refused.error();
            let is_head = !matches!(error, RequestError::Head(_)) && error.status() != 505;
            match naive_head::request(bytes) {
                Some(naive) if !matches!(error, RequestError::HttpVersion { .. }) => {
                    assert_eq!(is_head, naive.is_ok())
                }
                Some(naive) => assert!(is_head || naive.is_err()),
                // The first line tells the version.
                None => assert!(!is_head || matches!(error, RequestError::HttpVersion { .. })),
            }
            refused.write_response(&mut out).expect("a Vec has room");
            assert_eq!(status(&out), refused.error().status());
            assert!(!refused.to_string().contains(char::is_control), "bytes of the peer are escaped");
        }
        _ => panic!("the cut changed the verdict"),
    }
});
