//! A client and a server of this crate against each other.

use proptest::prelude::*;
use sansocket::handshake::{
    Acceptance, ClientRequest, ClientStep, Extension, HandshakeLimits, Response, ServerHandshake, ServerStep,
};

use crate::support::*;

/// Carries the request over in pieces of `step` bytes, and the answer back.
fn run(client: &ClientRequest, acceptance: &Acceptance, step: usize) -> (ClientStep, Option<String>) {
    let mut request = Vec::new();
    let mut waiting = client.start(NONCE, NOW, &mut request).unwrap();
    let mut response = Vec::new();
    let mut chosen = None;
    let mut server = ServerHandshake::new(HandshakeLimits::default(), NOW);
    for piece in request.chunks(step) {
        match server.receive(NOW, piece).unwrap() {
            ServerStep::NeedMore(next) => server = next,
            ServerStep::Request { request, consumed } => {
                assert_eq!(consumed, piece.len());
                chosen = request.choose_subprotocol(["v2", "v1"]).map(str::to_owned);
                request.accept(acceptance, &mut response).unwrap();
                break;
            }
        }
    }
    for piece in response.chunks(step) {
        match waiting.receive(NOW, piece).unwrap() {
            ClientStep::NeedMore(next) => waiting = next,
            done => return (done, chosen),
        }
    }
    (ClientStep::NeedMore(waiting), chosen)
}

#[test]
fn they_agree_on_everything_in_any_pieces() {
    // conf: CQ-01 CR-06 SA-03 SA-04 SA-05 EX-06
    let a = Extension::new("x-a").unwrap().with_param("p", "1").unwrap();
    let b = Extension::new("x-b").unwrap();
    let client = client()
        .subprotocol("v1")
        .subprotocol("v2")
        .extension(&a)
        .extension(&b)
        .origin("null")
        .header("X", "y");
    let acceptance =
        Acceptance::new().subprotocol("v2").extension(&b).extension(&a).header("Set-Cookie", "k=v");
    for step in [1, 2, 3, 7, 64, 1000] {
        let (ClientStep::Open { opened, .. }, chosen) = run(&client, &acceptance, step) else {
            panic!("{step}")
        };
        assert_eq!(chosen.as_deref(), Some("v2"));
        assert_eq!(opened.negotiated().subprotocol.as_deref(), Some("v2"));
        assert_eq!(opened.negotiated().extensions.as_str(), "x-b, x-a; p=1");
        assert_eq!(opened.response().header("set-cookie"), Some(&b"k=v"[..]));
    }
}

#[test]
fn a_refusal_arrives_as_it_was_written() {
    // conf: SA-06 CR-01 CR-20
    let mut request = Vec::new();
    client().start(NONCE, NOW, &mut request).unwrap();
    for (response, versions) in [
        (Response::new(403).header("X-Why", "because").body("no entry\n"), 0),
        (Response::new(426).body("no entry\n"), 1),
    ] {
        let server = ServerHandshake::new(HandshakeLimits::default(), NOW);
        let Ok(ServerStep::Request { request, .. }) = server.receive(NOW, &request) else { panic!() };
        let mut out = Vec::new();
        request.reject(&response, &mut out).unwrap();
        let Connected::Refused(refusal) = connect(&client(), &out) else { panic!() };
        assert_eq!((refusal.body(), refusal.is_complete()), (&b"no entry\n"[..], true));
        assert_eq!(refusal.supported_versions().count(), versions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_a_client_can_send_a_server_can_read(
        uri in "wss?://[a-z0-9.-]{1,10}(:[0-9]{1,4})?(/[!-~é]{0,10})?",
        names in prop::collection::hash_set("[!-~]{1,6}", 0..4),
        extensions in prop::collection::vec(("[!-~]{1,4}", "[!-~]{1,3}", "[!-~]{1,3}"), 0..4),
        header in ("[!-~]{1,8}", "[\t -~é]{0,12}"),
    ) {
        // conf: CQ-01 CQ-09 CQ-11 CQ-12 UR-05
        let Ok(uri) = uri.parse() else { return Ok(()) };
        let mut client = ClientRequest::new(uri).header(&header.0, &header.1);
        for name in &names {
            client = client.subprotocol(name);
        }
        for (name, param, value) in &extensions {
            let extension = Extension::new(name).and_then(|ext| ext.with_flag(param)?.with_param(param, value));
            let Ok(extension) = extension else { continue };
            client = client.extension(&extension);
        }
        let mut out = Vec::new();
        if client.start(NONCE, NOW, &mut out).is_ok() {
            let Served::Request(request, rest) = serve_pieces(HandshakeLimits::default(), [&out[..]]) else {
                return Err(TestCaseError::fail(out.escape_ascii().to_string()));
            };
            prop_assert!(rest.is_empty());
            prop_assert_eq!(request.head().target(), client.uri().resource_name());
            prop_assert_eq!(request.subprotocols().collect::<std::collections::HashSet<_>>(), names.iter().map(String::as_str).collect());
            prop_assert_eq!(request.head().header(&header.0), Some(header.1.trim_matches([' ', '\t']).as_bytes()));
        } else {
            prop_assert!(out.is_empty());
        }
    }
}

#[test]
fn every_state_can_wait_in_another_thread() {
    fn check<T: Send + Sync + 'static>() {}
    check::<ServerHandshake>();
    check::<sansocket::handshake::Request>();
    check::<sansocket::handshake::Accepted>();
    check::<sansocket::handshake::RefusedRequest>();
    check::<sansocket::handshake::RequestHead>();
    check::<sansocket::handshake::Offer>();
    check::<ClientRequest>();
    check::<sansocket::handshake::ClientHandshake>();
    check::<sansocket::handshake::Opened>();
    check::<sansocket::handshake::Refusal>();
}
