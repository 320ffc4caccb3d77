//! A URI that is taken has parts that are safe in a request, and its parts make the same URI again.

#![no_main]

mod meter;

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use sansocket::WebSocketUri;
use sansocket::handshake::ClientRequest;

fuzz_target!(|text: &str| {
    let parse = || WebSocketUri::parse(text);
    let Ok(uri) = meter::within(3 * text.len() + 256, parse) else { return };
    let scheme = if uri.is_secure() { "wss" } else { "ws" };
    let again = format!("{scheme}://{}{}", uri.authority(), uri.resource_name());
    let again = WebSocketUri::parse(&again).expect("its parts make a URI");
    assert_eq!(
        (uri.host(), uri.port(), uri.resource_name()),
        (again.host(), again.port(), again.resource_name())
    );

    let mut request = Vec::new();
    ClientRequest::new(uri).start([1; 16], Duration::ZERO, &mut request).expect("the request can be sent");
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut headers);
    assert!(parsed.parse(&request).expect("a valid request").is_complete());
    assert_eq!(parsed.headers.iter().filter(|header| header.name == "Host").count(), 1);
});
