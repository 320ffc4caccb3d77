//! A response cut anywhere gets the same verdict as a whole one; only a right accept value opens the connection. The
//! request is one that httparse reads.
//! The first byte is the size of the pieces.

#![no_main]

mod meter;

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use sansocket::WebSocketUri;
use sansocket::handshake::{ClientRequest, ClientStep};

const NOW: Duration = Duration::ZERO;
/// What the key of the nonce below is answered with.
const ACCEPT: &[u8] = b"ICX+Yqv66kxgM0FcWaLWlFLwTAI=";

/// Heap bytes, whatever is answered: the head and the body of a refusal, and both written out by this target.
const MOST: usize = 1 << 20;

fn verdict<'a>(request: &ClientRequest, pieces: impl Iterator<Item = &'a [u8]>) -> String {
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
                return format!("open {:?} {}", opened.negotiated(), before + consumed);
            }
            Ok(ClientStep::Refused(refusal)) => return format!("{refusal:?} {:?}", refusal.body()),
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

fuzz_target!(|data: &[u8]| {
    let Some((&size, bytes)) = data.split_first() else { return };
    let uri = WebSocketUri::parse("ws://localhost/").expect("it is one");
    let request = ClientRequest::new(uri).subprotocol("chat").subprotocol("v2");
    let whole = meter::within(MOST, || verdict(&request, [bytes].into_iter()));
    assert_eq!(whole, meter::within(MOST, || verdict(&request, bytes.chunks(usize::from(size).max(1)))));
});
