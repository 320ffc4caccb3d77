//! Compression (RFC 7692): negotiation, both directions, limits, cuts.

#![cfg(feature = "deflate")]

#[path = "../support/compress.rs"]
mod compress;
#[path = "../support/inflate.rs"]
mod inflate;
mod negotiation;
mod properties;
mod receiving;
mod sending;
#[path = "../support/mod.rs"]
mod support;

use sansocket::deflate::{Agreed, Deflate};
use sansocket::handshake::{
    Acceptance, ClientRequest, ClientStep, HandshakeLimits, ServerHandshake, ServerStep,
};
use sansocket::{Config, Connection, Role, WebSocketUri};

use support::{NOW, counting_keys};

/// What a client's and a server's connection are told after a handshake between them.
fn agree(client: &Deflate, server: &Deflate) -> (Agreed, Agreed) {
    let (client, server) = (Config::new().deflate(client.clone()), Config::new().deflate(server.clone()));
    let (client, server) = open(client, server);
    (client.deflate().unwrap(), server.deflate().unwrap())
}

/// Both ends after a handshake between them.
fn open(client: Config, server: Config) -> (Connection, Connection) {
    let uri = WebSocketUri::parse("ws://localhost/").unwrap();
    let (mut request, mut response) = (Vec::new(), Vec::new());
    let handshake = ClientRequest::new(uri).with_config(&client).start([3; 16], NOW, &mut request).unwrap();
    let step = ServerHandshake::new(HandshakeLimits::default(), NOW).receive(NOW, &request);
    let Ok(ServerStep::Request { request, .. }) = step else { panic!("{step:?}") };
    let accepted = request.accept(&Acceptance::new().with_config(&server), &mut response).unwrap();
    let (server, _) = accepted.into_connection(server, NOW);
    let step = handshake.receive(NOW, &response);
    let Ok(ClientStep::Open { opened, .. }) = step else { panic!("{step:?}") };
    let (client, _) = opened.into_connection(client, counting_keys(), NOW);
    (client, server)
}

/// One end whose peer is played by the test, in the given class with its largest windows.
fn end(role: Role, config: Config, deflate: Deflate) -> Connection {
    let (client, server) = agree(&deflate, &deflate);
    let config = config.deflate(deflate);
    let connection = support::connection(role, config);
    connection.with_deflate(if role == Role::Client { client } else { server })
}

fn shared() -> Deflate {
    Deflate::shared().threshold(0)
}

fn dedicated() -> Deflate {
    Deflate::dedicated().window_bits(15).peer_window_bits(15).threshold(0)
}

/// Text like what JSON interfaces send, `len` bytes of it, other text for each `seed`.
fn json(seed: u32, len: usize) -> String {
    let mut text = String::new();
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (id, price) = (state >> 20, (state >> 8) % 100_000);
        text += &format!(r#"{{"id":{id},"symbol":"BTC-USD","price":{price}.5,"side":"buy"}},"#);
    }
    text.truncate(len);
    text
}

/// Bytes that nothing makes smaller.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 1 | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}
