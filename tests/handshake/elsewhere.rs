//! Handshakes that another library does: the pieces without the HTTP (RFC 6455 §4.2, RFC 8441 §5).

use sansocket::handshake::{Extensions, NegotiationError, Offer, RequestError, accept_key};

use crate::support::{ACCEPT, KEY};

type Header<'a> = (&'a str, &'a [u8]);

const VERSION: Header<'_> = ("Sec-WebSocket-Version", b"13");

#[test]
fn an_offer_is_read_from_any_headers() {
    // conf: SQ-10 SQ-12 SQ-13 SQ-15 SA-04 SA-05
    let headers: Vec<Header<'_>> = vec![
        (":path", b"/chat"),
        ("sec-websocket-protocol", b"a, b"),
        ("ORIGIN", b"https://App.Example"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-extensions", b"x-a"),
        ("sec-websocket-protocol", b"c"),
        ("sec-websocket-extensions", b"x-b; p"),
    ];
    let offer = Offer::from_headers(headers.iter().copied()).unwrap();
    assert_eq!(offer.key(), None, "HTTP/2 has none");
    assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(offer.origin_is_one_of(["https://app.example"]));
    let answer = Extensions::parse([&b"x-b"[..]]).unwrap();
    let negotiated = offer.negotiate(Some("c"), answer.clone()).unwrap();
    assert_eq!((negotiated.subprotocol.as_deref(), &negotiated.extensions), (Some("c"), &answer));
    let refused = offer.negotiate(Some("d"), answer).unwrap_err();
    assert!(matches!(refused, NegotiationError::SubprotocolNotOffered(_)));
    let unknown = Extensions::parse([&b"x-c"[..]]).unwrap();
    assert!(matches!(offer.negotiate(None, unknown), Err(NegotiationError::ExtensionNotOffered(_))));
    let twice = Extensions::parse([&b"x-a, x-b, x-a"[..]]).unwrap();
    assert!(matches!(offer.negotiate(None, twice), Err(NegotiationError::ExtensionRepeated(_))));
}

#[test]
fn the_key_is_checked_where_there_is_one() {
    // conf: SQ-07 SQ-09 SA-03
    let read = |keys: &[&str]| {
        let keys = keys.iter().map(|key| ("sec-websocket-key", key.as_bytes()));
        Offer::from_headers([VERSION].into_iter().chain(keys).collect::<Vec<_>>())
    };
    assert_eq!(read(&[KEY]).unwrap().key().map(accept_key).as_deref(), Some(ACCEPT));
    assert_eq!(read(&["short"]), Err(RequestError::Key));
    assert_eq!(read(&[KEY, KEY]), Err(RequestError::Key));
}

#[test]
fn the_same_faults_get_the_same_errors() {
    // conf: SQ-10 SQ-11 SQ-12 SQ-14 SQ-15
    let read = |headers: &[Header<'_>]| Offer::from_headers(headers.iter().copied()).unwrap_err();
    assert_eq!(read(&[]), RequestError::Version);
    assert_eq!(read(&[VERSION, VERSION]), RequestError::Version);
    assert_eq!(read(&[("sec-websocket-version", b"8")]).status(), 426);
    assert_eq!(read(&[VERSION, ("origin", b"a"), ("origin", b"a")]), RequestError::Origin);
    assert_eq!(read(&[VERSION, ("sec-websocket-protocol", b"a,a")]), RequestError::Subprotocols);
    let extensions = read(&[VERSION, ("sec-websocket-extensions", b"a;")]);
    assert!(matches!(extensions, RequestError::Extensions(_)));
    // Values that no HTTP parser has looked at do no harm.
    assert_eq!(read(&[VERSION, ("sec-websocket-protocol", b"a\r\nEvil: 1")]), RequestError::Subprotocols);
    assert_eq!(read(&[VERSION, ("sec-websocket-key", b"\0")]), RequestError::Key);
}
