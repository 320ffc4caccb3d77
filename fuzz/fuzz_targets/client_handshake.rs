//! A response cut anywhere gets the same verdict as a whole one; only a right accept value opens the connection. The
//! request is one that httparse reads, the headers of the response are those that a naive parser of the tests finds.
//! The first byte is the size of the pieces.

#![no_main]

mod meter;
#[path = "../../tests/support/naive_head.rs"]
mod naive_head;

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use sansocket::WebSocketUri;
use sansocket::handshake::{ClientRequest, ClientStep, ResponseHead};

const NOW: Duration = Duration::ZERO;
/// What the key of the nonce below is answered with.
const ACCEPT: &[u8] = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI=";

/// Heap bytes, whatever is answered: the head and the body of a refusal, and both written out by this target.
const MOST: usize = 1 << 20;

fn verdict<'a>(request: &ClientRequest, bytes: &[u8], pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut sent = Vec::new();
    let mut handshake = request.start([0; 16], NOW, &mut sent).expect("the request is fine");
    let mut headers = [httparse::EMPTY_HEADER; 16];
    assert!(httparse::Request::new(&mut headers).parse(&sent).expect("a valid request").is_complete());
    let mut before = 0;
    for piece in pieces {
        handshake = match handshake.receive(NOW, piece) {
            Ok(ClientStep::NeedMore(handshake)) => handshake,
            Ok(ClientStep::Open { opened, consumed }) => {
                let accept = opened.response().header("sec-websocket-accept");
                assert_eq!(accept, Some(ACCEPT));
                compare(opened.response(), bytes);
                return format!("open {:?} {}", opened.negotiated(), before + consumed);
            }
            Ok(ClientStep::Refused(refusal)) => {
                compare(refusal.head(), bytes);
                return format!("{refusal:?} {:?}", refusal.body());
            }
            Err(error) => {
                assert!(!error.to_string().contains(char::is_control), "bytes of the peer are escaped");
                return format!("{error:?}");
            }
        };
        before += piece.len();
    }
    match handshake.handle_eof() {
        Ok(refusal) => format!("{refusal:?} {:?}", refusal.body()),
        Err(error) => format!("{error:?}"),
    }
}

/// The first final response is the one that was read.
fn compare(response: &ResponseHead, mut bytes: &[u8]) {
    loop {
        let naive = naive_head::response(bytes).expect("a blank line").expect("a head");
        if naive.first[1] == b"101" || naive.first[1][0] != b'1' {
            assert_eq!(naive.first[1], response.status().to_string().into_bytes());
            assert_eq!(naive.first[2], response.reason());
            assert!(response.headers().eq(naive.borrowed()), "other headers");
            return;
        }
        bytes = &bytes[naive.len..];
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let uri = WebSocketUri::parse("ws://localhost/").expect("it is one");
    let request = ClientRequest::new(uri).subprotocol("chat").subprotocol("v2");
    let whole = meter::within(MOST, || verdict(&request, bytes, [bytes].into_iter()));
    assert_eq!(
        whole,
        meter::within(MOST, || verdict(&request, bytes, bytes.chunks(usize::from(size).max(1))))
    );
});
