//! What is offered, what is answered, and what is refused.

use sansocket::deflate::{Agreed, Deflate};
use sansocket::handshake::{
    Acceptance, ClientRequest, ClientStep, Extension, Extensions, HandshakeLimits, Offer, ResponseError,
    ServerHandshake, ServerStep, accept_key,
};
use sansocket::{Config, WebSocketUri};

use super::support::NOW;
use super::{agree, open};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a server answers to the offers of a header line.
pub(crate) fn choose(offers: &str, deflate: &Deflate) -> Option<(String, Agreed)> {
    let headers: [(&str, &[u8]); 2] =
        [("sec-websocket-version", b"13"), ("sec-websocket-extensions", offers.as_bytes())];
    let offer = Offer::from_headers(headers).unwrap();
    let (extension, agreed) = offer.choose_deflate(deflate)?;
    // What is answered is always something that may be answered.
    offer.negotiate(None, Extensions::from_iter([extension.clone()])).unwrap();
    // The whole way through a server's handshake gives the same.
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: {offers}\r\n\r\n"
    );
    let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, request.as_bytes());
    let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
    let mut response = Vec::new();
    let config = Config::new().deflate(deflate.clone());
    let accepted = request.accept(&Acceptance::new().with_config(&config), &mut response).unwrap();
    let line = format!("Sec-WebSocket-Extensions: {extension}\r\n");
    assert!(String::from_utf8(response).unwrap().contains(&line));
    assert_eq!(accepted.into_connection(config, NOW).0.deflate(), Some(agreed));
    Some((extension.to_string(), agreed))
}

#[track_caller]
pub(crate) fn answer(offers: &str, deflate: &Deflate) -> (String, Agreed) {
    choose(offers, deflate).expect("an answer")
}

/// (send window, send takeover, receive window, receive takeover)
fn numbers(agreed: Agreed) -> (u8, bool, u8, bool) {
    let Agreed { .. } = agreed;
    (
        agreed.send_window_bits(),
        agreed.send_takeover(),
        agreed.receive_window_bits(),
        agreed.receive_takeover(),
    )
}

// conf: PD-08, PD-09, PD-10, PD-07, PD-32, EX-03
#[test]
fn answers_of_a_server() {
    let wide = Deflate::dedicated().window_bits(15).peer_window_bits(15);
    let narrow = Deflate::dedicated().window_bits(12).peer_window_bits(11);
    for (offer, deflate, wanted, agreed) in [
        ("", &wide, "", (15, true, 15, true)),
        ("; client_no_context_takeover", &wide, "", (15, true, 15, true)),
        ("; server_no_context_takeover", &wide, "; server_no_context_takeover", (15, false, 15, true)),
        ("; client_max_window_bits", &wide, "", (15, true, 15, true)),
        ("; client_max_window_bits=15", &wide, "", (15, true, 15, true)),
        ("; client_max_window_bits=10", &wide, "; client_max_window_bits=10", (15, true, 10, true)),
        ("; client_max_window_bits=8", &wide, "", (15, true, 15, true)),
        ("; server_max_window_bits=15", &wide, "; server_max_window_bits=15", (15, true, 15, true)),
        ("; server_max_window_bits=\"9\"", &wide, "; server_max_window_bits=9", (9, true, 15, true)),
        ("; server_max_window_bits=8", &wide, "; server_max_window_bits=8", (8, true, 15, true)),
        ("", &narrow, "", (15, true, 15, true)),
        ("; client_max_window_bits", &narrow, "; client_max_window_bits=11", (15, true, 11, true)),
        ("; client_max_window_bits=9", &narrow, "; client_max_window_bits=9", (15, true, 9, true)),
        ("; client_max_window_bits=14", &narrow, "; client_max_window_bits=11", (15, true, 11, true)),
        ("; server_max_window_bits=14", &narrow, "; server_max_window_bits=12", (12, true, 15, true)),
        ("; server_max_window_bits=10", &narrow, "; server_max_window_bits=10", (10, true, 15, true)),
    ] {
        let got = answer(&format!("permessage-deflate{offer}"), deflate);
        assert_eq!(got.0, format!("permessage-deflate{wanted}"), "{offer}");
        assert_eq!(numbers(got.1), agreed, "{offer}");
    }
    let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for offer in
        ["", "; client_max_window_bits=9", "; server_no_context_takeover; client_no_context_takeover"]
    {
        let got = answer(&format!("permessage-deflate{offer}"), &Deflate::shared());
        assert_eq!((got.0.as_str(), numbers(got.1)), (both, (15, false, 15, false)));
    }
    let got = answer("permessage-deflate; server_max_window_bits=9", &Deflate::shared());
    assert_eq!(got.0, format!("{both}; server_max_window_bits=9"));
}

const WRONG: [&str; 21] = [
    "; server_max_window_bits",
    "; server_max_window_bits=7",
    "; server_max_window_bits=16",
    "; server_max_window_bits=08",
    "; server_max_window_bits=+9",
    "; server_max_window_bits=1e1",
    "; server_max_window_bits=-9",
    "; server_max_window_bits=256",
    "; client_max_window_bits=7",
    "; client_max_window_bits=16",
    "; client_max_window_bits=010",
    "; client_max_window_bits=\"16\"",
    "; server_no_context_takeover=1",
    "; client_no_context_takeover=true",
    "; server_no_context_takeover; server_no_context_takeover",
    "; client_no_context_takeover; client_no_context_takeover",
    "; server_max_window_bits=10; server_max_window_bits=10",
    "; client_max_window_bits=10; client_max_window_bits=10",
    "; client_max_window_bits; client_max_window_bits",
    "; x",
    "; Server_No_Context_Takeover",
];

// conf: PD-02, PD-03, PD-04, PD-05
#[test]
fn offers_that_cannot_be_met_are_declined_and_the_next_one_is_tried() {
    for wrong in WRONG {
        let wrong = format!("permessage-deflate{wrong}");
        for deflate in [Deflate::shared(), Deflate::dedicated()] {
            assert_eq!(choose(&wrong, &deflate), None, "{wrong}");
            let fallback = format!("{wrong}, x-other; a=1, permessage-deflate; server_max_window_bits=10");
            assert!(answer(&fallback, &deflate).0.ends_with("; server_max_window_bits=10"));
        }
    }
    // What breaks the grammar is no offer at all.
    for broken in
        ["server_no_context_takeover=\"\"", "server_max_window_bits=", "client_max_window_bits=\"\""]
    {
        let offers = format!("permessage-deflate; {broken}");
        let headers =
            [("sec-websocket-version", &b"13"[..]), ("sec-websocket-extensions", offers.as_bytes())];
        assert!(Offer::from_headers(headers).is_err(), "{broken}");
    }
    for others in ["x-webkit-deflate-frame", "permessage-bzip2", "Permessage-Deflate", "permessage-deflate2"]
    {
        assert_eq!(choose(others, &Deflate::shared()), None);
    }
}

// conf: EX-03
#[test]
fn the_first_offer_that_can_be_met_is_taken() {
    let offers = "permessage-deflate; server_max_window_bits=10, permessage-deflate";
    assert_eq!(answer(offers, &Deflate::dedicated()).0, "permessage-deflate; server_max_window_bits=10");
    let offers = "permessage-deflate, permessage-deflate; server_max_window_bits=10";
    assert_eq!(answer(offers, &Deflate::dedicated()).0, "permessage-deflate");
}

/// Starts a client whose server sends `extensions`, and says what the client makes of it.
fn respond(config: &Config, extensions: &str) -> Result<Option<Agreed>, ResponseError> {
    let uri = WebSocketUri::parse("ws://localhost/").unwrap();
    let request = ClientRequest::new(uri).with_config(config);
    respond_to(&request, config, extensions)
}

fn respond_to(
    request: &ClientRequest,
    config: &Config,
    extensions: &str,
) -> Result<Option<Agreed>, ResponseError> {
    let mut out = Vec::new();
    let handshake = request.start([0; 16], NOW, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    let key = out.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let line = if extensions.is_empty() {
        String::new()
    } else {
        format!("Sec-WebSocket-Extensions: {extensions}\r\n")
    };
    let response = format!(
        "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{line}\r\n",
        accept_key(key)
    );
    match handshake.receive(NOW, response.as_bytes())? {
        ClientStep::Open { opened, .. } => {
            let keys = super::support::counting_keys();
            Ok(opened.into_connection(config.clone(), keys, NOW).0.deflate())
        }
        step => panic!("{step:?}"),
    }
}

fn offered(config: &Config) -> String {
    let uri = WebSocketUri::parse("ws://localhost/").unwrap();
    let mut out = Vec::new();
    ClientRequest::new(uri).with_config(config).start([0; 16], NOW, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    out.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: ")).unwrap_or_default().into()
}

// conf: PD-01, PD-32, EX-05
#[test]
fn offers_of_a_client() {
    let offer = |deflate| offered(&Config::new().deflate(deflate));
    assert_eq!(
        offer(Deflate::shared()),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits, \
         permessage-deflate; client_no_context_takeover; client_max_window_bits"
    );
    assert_eq!(
        offer(Deflate::dedicated()),
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12, \
         permessage-deflate; client_max_window_bits"
    );
    assert_eq!(
        offer(Deflate::shared().offer_fallback(false)),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    assert_eq!(
        offer(Deflate::dedicated().offer_fallback(false)),
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    );
    let wide = Deflate::dedicated().window_bits(15).peer_window_bits(15);
    assert_eq!(offer(wide), "permessage-deflate; client_max_window_bits");
    let tiny = Deflate::dedicated().window_bits(0).peer_window_bits(255);
    assert_eq!(
        offer(tiny),
        "permessage-deflate; client_max_window_bits=9, permessage-deflate; client_max_window_bits"
    );
    assert_eq!(offered(&Config::new()), "");
}

/// A client that offers its bounds and nothing else.
fn strict(deflate: Deflate) -> Config {
    Config::new().deflate(deflate.offer_fallback(false))
}

// conf: PD-03, PD-04, PD-05, PD-06, PD-07, PD-08, PD-11, PD-12, PD-31
#[test]
fn answers_that_a_client_takes_and_refuses() {
    let wide = Config::new().deflate(Deflate::dedicated().window_bits(15).peer_window_bits(15));
    let narrow = Config::new().deflate(Deflate::dedicated());
    let shared = Config::new().deflate(Deflate::shared());
    let (strictly_narrow, strictly_shared) = (strict(Deflate::dedicated()), strict(Deflate::shared()));
    for (config, answer, agreed) in [
        (&wide, "", (15, true, 15, true)),
        (&wide, "; client_no_context_takeover", (15, false, 15, true)),
        (&wide, "; server_no_context_takeover", (15, true, 15, false)),
        (&wide, "; server_max_window_bits=8", (15, true, 8, true)),
        (&wide, "; server_max_window_bits=15", (15, true, 15, true)),
        (&wide, "; client_max_window_bits=9", (9, true, 15, true)),
        (&wide, "; client_max_window_bits=8", (8, true, 15, true)),
        (&wide, "; client_max_window_bits=\"10\"; client_no_context_takeover", (10, false, 15, true)),
        (&strictly_narrow, "; server_max_window_bits=12", (15, true, 12, true)),
        (&strictly_shared, "; server_no_context_takeover", (15, false, 15, false)),
        // Those that fit the second element alone.
        (&narrow, "", (15, true, 15, true)),
        (&narrow, "; server_max_window_bits=14", (15, true, 14, true)),
        (&narrow, "; client_max_window_bits=9", (9, true, 15, true)),
        (&shared, "", (15, false, 15, true)),
        (&shared, "; server_max_window_bits=10", (15, false, 10, true)),
        (&narrow, "; server_max_window_bits=12", (15, true, 12, true)),
        (&narrow, "; server_max_window_bits=9; client_max_window_bits=15", (15, true, 9, true)),
        (&shared, "; server_no_context_takeover", (15, false, 15, false)),
    ] {
        let got = respond(config, &format!("permessage-deflate{answer}"));
        assert_eq!(got.map(|agreed| agreed.map(numbers)), Ok(Some(agreed)), "{answer}");
        assert_eq!(respond(config, ""), Ok(None));
    }
    let refused = |config, answer: &str| {
        assert_eq!(respond(config, answer), Err(ResponseError::Deflate), "{answer}");
    };
    for wrong in WRONG {
        refused(&wide, &format!("permessage-deflate{wrong}"));
    }
    for broken in
        ["server_no_context_takeover=\"\"", "server_max_window_bits=", "client_max_window_bits=\"\""]
    {
        let answer = respond(&wide, &format!("permessage-deflate; {broken}"));
        assert!(matches!(answer, Err(ResponseError::Extensions(_))), "{broken}: {answer:?}");
    }
    refused(&wide, "permessage-deflate; client_max_window_bits");
    // Those that fit no element.
    refused(&narrow, "permessage-deflate; server_max_window_bits=16");
    refused(&narrow, "permessage-deflate; client_max_window_bits");
    refused(&shared, "permessage-deflate; client_max_window_bits");
    refused(&strictly_narrow, "permessage-deflate");
    refused(&strictly_narrow, "permessage-deflate; server_max_window_bits=13");
    refused(&strictly_shared, "permessage-deflate");
    let not_offered = respond(&Config::new(), "permessage-deflate");
    assert!(matches!(not_offered, Err(ResponseError::ExtensionNotOffered(_))));
    let twice = respond(&wide, "permessage-deflate, permessage-deflate");
    assert!(matches!(twice, Err(ResponseError::ExtensionRepeated(_))));
}

// conf: PD-29
#[test]
fn there_is_only_one_extension_that_compresses() {
    let uri = WebSocketUri::parse("ws://localhost/").unwrap();
    let config = Config::new().deflate(Deflate::dedicated());
    // An application that offers one by itself carries it out by itself.
    for name in ["permessage-deflate", "permessage-foo"] {
        let own =
            ClientRequest::new(uri.clone()).extension(&Extension::new(name).unwrap()).with_config(&config);
        let mut out = Vec::new();
        own.start([0; 16], NOW, &mut out).unwrap();
        let line = format!("Sec-WebSocket-Extensions: {name}\r\n");
        assert!(String::from_utf8(out).unwrap().contains(&line));
        assert_eq!(respond_to(&own, &config, name), Ok(None));
    }
    // Others do not disturb.
    let beside = ClientRequest::new(uri).extension(&Extension::new("x-other").unwrap()).with_config(&config);
    let answers = "permessage-deflate; server_max_window_bits=12, x-other";
    assert!(respond_to(&beside, &config, answers).unwrap().is_some());
    // The same for a server.
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-foo, x-other, permessage-deflate\r\n\r\n"
    );
    for (own, wanted) in [("permessage-foo", false), ("permessage-deflate", false), ("x-other", true)] {
        let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, request.as_bytes());
        let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
        let acceptance = Acceptance::new().extension(&Extension::new(own).unwrap()).with_config(&config);
        let accepted = request.accept(&acceptance, &mut Vec::new()).unwrap();
        assert_eq!(accepted.negotiated().deflate.is_some(), wanted, "{own}");
    }
}

#[test]
fn both_ends_of_this_crate_agree() {
    let classes = [
        Deflate::shared(),
        Deflate::dedicated(),
        Deflate::dedicated().window_bits(9).peer_window_bits(15),
        Deflate::dedicated().window_bits(15).peer_window_bits(9),
    ];
    for client in &classes {
        for server in &classes {
            let (at_client, at_server) = agree(client, server);
            // A sender may do with less than the receiver is ready for, never the other way round.
            for (sender, receiver) in [(at_client, at_server), (at_server, at_client)] {
                assert!(sender.send_window_bits() <= receiver.receive_window_bits());
                assert!(!sender.send_takeover() || receiver.receive_takeover());
            }
        }
        // Off by default on either side.
        let on = Config::new().deflate(client.clone());
        for (client, server) in [(on.clone(), Config::new()), (Config::new(), on)] {
            let (client, server) = open(client, server);
            assert_eq!((client.deflate(), server.deflate()), (None, None));
        }
    }
    // One request can be answered in another way than the configuration says.
    let config = Config::new().deflate(Deflate::shared());
    let acceptance = Acceptance::new().deflate(None).with_config(&config);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    );
    let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, request.as_bytes());
    let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
    let accepted = request.accept(&acceptance, &mut Vec::new()).unwrap();
    assert!(accepted.negotiated().extensions.is_empty());
}
