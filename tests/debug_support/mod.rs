//! A mark, and the search for it.
#![allow(dead_code, unreachable_pub)]

use core::error::Error;
use core::fmt::Debug;
use core::time::Duration;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
#[cfg(feature = "deflate")]
use sansocket::deflate::Deflate;
use sansocket::handshake::{
    Acceptance, ClientRequest, ClientStep, HandshakeLimits, ServerHandshake, ServerStep,
};
use sansocket::{Config, Connection, MaskKeys, WebSocketUri};

/// Four bytes that no name and no number in a debug form has.
pub const MARK: &[u8; 4] = b"QxZv";

/// The mark again and again, to this length.
pub fn mark(len: usize) -> String {
    (0..len).map(|at| char::from(MARK[at % MARK.len()])).collect()
}

/// Searches a form, in which numbers may stand in lines of their own, for any four bytes of marks.
pub fn has_mark(form: &str) -> bool {
    static SHOWN: OnceLock<Vec<String>> = OnceLock::new();
    let shown = SHOWN.get_or_init(|| {
        // In base64 the mark repeats after three of its copies.
        let encoded = STANDARD.encode(mark(30));
        let mut shown: Vec<String> = (0..16).map(|at| encoded[at..at + 8].into()).collect();
        for turn in 0..MARK.len() {
            let bytes = &mark(8).into_bytes()[turn..turn + 4];
            let listed = |show: fn(&u8) -> String| bytes.iter().map(show).collect::<Vec<_>>().join(",");
            shown.push(String::from_utf8(bytes.into()).unwrap());
            shown.push(listed(|byte| byte.to_string()));
            shown.push(listed(|byte| format!("{byte:02x}")));
        }
        shown
    });
    let form: String = form.split_ascii_whitespace().collect();
    shown.iter().any(|shown| form.contains(shown.as_str()))
}

/// Neither debug form of `value` has the mark.
#[track_caller]
pub fn check(value: &impl Debug, what: &str) {
    for form in [format!("{value:?}"), format!("{value:#?}"), format!("{value:02x?}")] {
        let shown: String = form.chars().take(4000).collect();
        assert!(!has_mark(&form), "{what}: {} characters: {shown}", form.len());
        assert!(form.len() < 64 << 10, "{what}: {} characters: {shown}", form.len());
    }
}

/// No form of `error` and of its causes has the mark.
#[track_caller]
pub fn check_error(error: &dyn Error, what: &str) {
    let mut next = Some(error);
    while let Some(error) = next {
        for form in [format!("{error}"), format!("{error:#}"), format!("{error:?}"), format!("{error:#?}")] {
            assert!(!has_mark(&form), "{what}: {form}");
        }
        next = error.source();
    }
}

/// Configurations that differ in compression: none, and both ways of it.
pub fn compressions(config: &Config) -> Vec<(Config, &'static str)> {
    let plain = (config.clone(), "plain");
    #[cfg(feature = "deflate")]
    return vec![
        plain,
        (config.clone().deflate(Deflate::shared()), "compressed"),
        (config.clone().deflate(Deflate::dedicated()), "compressed with context takeover"),
    ];
    #[cfg(not(feature = "deflate"))]
    vec![plain]
}

/// A client and a server after a handshake; the client's masking keys are the mark.
pub fn pair(config: &Config) -> (Connection, Connection) {
    let (mut request, mut response) = (Vec::new(), Vec::new());
    let uri = WebSocketUri::parse("ws://localhost/").unwrap();
    let client = ClientRequest::new(uri).with_config(config);
    let client = client.start([7; 16], Duration::ZERO, &mut request).unwrap();
    let server = ServerHandshake::new(HandshakeLimits::default(), Duration::ZERO);
    let Ok(ServerStep::Request { request, .. }) = server.receive(Duration::ZERO, &request) else { panic!() };
    let accepted = request.accept(&Acceptance::new().with_config(config), &mut response).unwrap();
    let Ok(ClientStep::Open { opened, .. }) = client.receive(Duration::ZERO, &response) else { panic!() };
    let keys = MaskKeys::from_fn(|| Ok(*MARK));
    (
        opened.into_connection(config.clone(), keys, Duration::ZERO).0,
        accepted.into_connection(config.clone(), Duration::ZERO).0,
    )
}
