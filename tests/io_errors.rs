//! The kinds of `std::io::Error` that the errors of the adapters become, in every variant and through byte streams.
#![cfg(feature = "rand")]

use core::time::Duration;
use std::io::{self, ErrorKind, Write};

use sansocket::blocking::{self, Error, HandshakeError};
use sansocket::client::{ConnectError, Proxy, ProxyFailure, RedirectError, SocksReply, Step};
use sansocket::handshake::{
    AcceptError, ClientRequest, ClientRequestError, ClientStep, HandshakeLimits, NegotiationError, Refusal,
    RequestError, ResponseError, ServerHandshake, WriteResponseError,
};
use sansocket::utf8::Validator;
use sansocket::{
    CloseCode, Config, ConfigError, Deadline, Kind, Limit, ProtocolError, SendError, UriError, WebSocketUri,
};

const NOW: Duration = Duration::ZERO;

fn kind(error: impl Into<Error>) -> ErrorKind {
    let error = error.into();
    let said = error.to_string();
    let io = io::Error::from(error);
    if let Some(inner) = io.get_ref() {
        assert!(said.contains(&inner.to_string()), "{said:?} became {inner}");
    }
    io.kind()
}

fn refusal() -> Refusal {
    let uri = WebSocketUri::parse("ws://localhost/").unwrap();
    let handshake = ClientRequest::new(uri).start([7; 16], NOW, &mut Vec::new()).unwrap();
    let response = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n";
    let Ok(ClientStep::Refused(refusal)) = handshake.receive(NOW, response) else { panic!() };
    refusal
}

#[test]
fn errors_of_a_connection_have_fitting_kinds() {
    use sansocket::Error as E;

    let not_utf8 = Validator::new().push(b"\xFF").unwrap_err();
    for (error, expected) in [
        (E::Protocol(ProtocolError::MaskMissing), ErrorKind::InvalidData),
        (E::InvalidUtf8(not_utf8), ErrorKind::InvalidData),
        (E::TooBig { limit: 5 }, ErrorKind::InvalidData),
        (E::Policy(Limit::Fragments), ErrorKind::InvalidData),
        (E::UnexpectedEof, ErrorKind::UnexpectedEof),
        (E::MaskKey, ErrorKind::Other),
        (E::BytesNotLent, ErrorKind::InvalidInput),
        (E::InvalidConfig(ConfigError::PingInterval), ErrorKind::InvalidInput),
        #[cfg(feature = "deflate")]
        (E::InvalidDeflate, ErrorKind::InvalidData),
    ] {
        assert_eq!(kind(error), expected, "{error}");
    }
    for deadline in [Deadline::Pong, Deadline::Idle, Deadline::Message, Deadline::Write, Deadline::Close] {
        assert_eq!(kind(E::Timeout(deadline)), ErrorKind::TimedOut, "{deadline}");
    }
    for (error, expected) in [
        (SendError::Closed, ErrorKind::BrokenPipe),
        (SendError::Full { needed: 9 }, ErrorKind::Other),
        (SendError::MaskKey, ErrorKind::Other),
        (SendError::MessageInProgress, ErrorKind::InvalidInput),
        (SendError::KindChanged, ErrorKind::InvalidInput),
        (SendError::InvalidUtf8, ErrorKind::InvalidInput),
        (SendError::ControlTooLong { len: 126 }, ErrorKind::InvalidInput),
        (SendError::InvalidCloseCode(CloseCode::NO_STATUS_RECEIVED), ErrorKind::InvalidInput),
    ] {
        assert_eq!(kind(error), expected, "{error}");
    }
    assert_eq!(kind(Error::WouldBlock), ErrorKind::WouldBlock);
    assert_eq!(kind(Error::TimedOut), ErrorKind::TimedOut);
    assert_eq!(kind(Error::NotConnected), ErrorKind::NotConnected);
    assert_eq!(kind(Error::ChunkDelivery), ErrorKind::InvalidInput);
    for same in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::TimedOut] {
        assert_eq!(io::Error::from(Error::from(io::Error::from(same))).kind(), same);
    }
}

#[test]
fn errors_of_an_opening_have_fitting_kinds() {
    let server = || ServerHandshake::new(HandshakeLimits::default(), NOW);
    let refused = server().receive(NOW, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_err();
    assert_eq!(*refused.error(), RequestError::NotAnUpgrade);
    for (error, expected) in [
        (HandshakeError::Uri(UriError::Scheme), ErrorKind::InvalidInput),
        (HandshakeError::TlsNeeded, ErrorKind::Unsupported),
        (HandshakeError::Request(ClientRequestError::Origin), ErrorKind::InvalidInput),
        (HandshakeError::Response(ResponseError::Accept), ErrorKind::InvalidData),
        (HandshakeError::Response(ResponseError::EndOfStream), ErrorKind::UnexpectedEof),
        (HandshakeError::Response(ResponseError::TimedOut), ErrorKind::TimedOut),
        (HandshakeError::Refusal(refusal()), ErrorKind::ConnectionRefused),
        (HandshakeError::Refused(refused), ErrorKind::InvalidData),
        (HandshakeError::Refused(server().handle_eof()), ErrorKind::UnexpectedEof),
        (HandshakeError::Refused(server().handle_timeout(Duration::MAX).unwrap_err()), ErrorKind::TimedOut),
        (HandshakeError::Accept(chosen()), ErrorKind::InvalidInput),
        (HandshakeError::Reject(WriteResponseError::Status(101)), ErrorKind::InvalidInput),
    ] {
        assert_eq!(kind(error.clone()), expected, "{error:#}");
    }
}

fn chosen() -> AcceptError {
    let offer = sansocket::handshake::Offer::from_headers([
        ("Upgrade", &b"websocket"[..]),
        ("Connection", b"upgrade"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ]);
    let none = sansocket::handshake::Extensions::new();
    let error: NegotiationError = offer.unwrap().negotiate(Some("chat"), none).unwrap_err();
    AcceptError::Negotiation(error)
}

#[test]
fn errors_of_connecting_have_fitting_kinds() {
    let reset = || io::Error::from(ErrorKind::ConnectionReset);
    let proxy = |failure| ConnectError::Proxy { proxy: "http://proxy".into(), failure };
    let address = ([127, 0, 0, 1], 1).into();
    for (error, expected) in [
        (ConnectError::TimedOut { step: Step::Tls }, ErrorKind::TimedOut),
        (ConnectError::Resolve { host: "x".into(), error: reset() }, ErrorKind::ConnectionReset),
        (ConnectError::Connect { address, error: reset() }, ErrorKind::ConnectionReset),
        (ConnectError::ProxyUrl(Proxy::parse("ftp://x").unwrap_err()), ErrorKind::InvalidInput),
        (ConnectError::Redirect(RedirectError::TooMany(refusal())), ErrorKind::Other),
        (proxy(ProxyFailure::Refused(refusal())), ErrorKind::ConnectionRefused),
        (proxy(ProxyFailure::SocksRefused(SocksReply(1))), ErrorKind::ConnectionRefused),
        (proxy(ProxyFailure::NoAuthentication), ErrorKind::ConnectionRefused),
        (proxy(ProxyFailure::Credentials), ErrorKind::ConnectionRefused),
        (proxy(ProxyFailure::TooLong), ErrorKind::InvalidInput),
        (proxy(ProxyFailure::Response(ResponseError::TooManyInterim)), ErrorKind::InvalidData),
        (proxy(ProxyFailure::NotSocks), ErrorKind::InvalidData),
        (proxy(ProxyFailure::EarlyBytes), ErrorKind::InvalidData),
        (proxy(ProxyFailure::EndOfStream), ErrorKind::UnexpectedEof),
        (proxy(ProxyFailure::Io(reset())), ErrorKind::ConnectionReset),
        (
            proxy(ProxyFailure::Unreachable(Box::new(ConnectError::Connect { address, error: reset() }))),
            ErrorKind::ConnectionReset,
        ),
    ] {
        let said = error.to_string();
        assert_eq!(kind(error), expected, "{said}");
    }
}

#[test]
fn a_blocking_message_writer_tells_the_end_by_its_kind() {
    let (mut client, server) = blocking::pair(Config::default());
    drop(server);
    assert!(client.recv().is_err());
    let error = client.message_writer(Kind::Binary).write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);

    let (mut client, _server) = blocking::pair(Config::new().write_timeout(Duration::from_millis(50)));
    let mut writer = client.message_writer(Kind::Binary);
    let error = loop {
        if let Err(error) = writer.write_all(&[7; 60_000]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use sansocket::tokio::pair;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn short() -> Config {
        Config::new().ping_interval(Duration::from_secs(1)).pong_timeout(Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_tunnel_tells_the_end_by_its_kind() {
        let (client, server) = pair(Config::default());
        drop(server);
        let error = client.into_tunnel().read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");

        // The peer does not read, so that no pong comes.
        let (client, _server) = pair(short());
        let error = client.into_tunnel().read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");

        let (client, mut server) = pair(Config::default());
        server.stream_mut().write_all(&[0x83, 0]).await.unwrap();
        let error = client.into_tunnel().read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_writer_tells_the_end_by_its_kind() {
        let (mut client, _server) = pair(Config::new().write_timeout(Duration::from_secs(1)));
        let mut writer = client.message_writer(Kind::Binary);
        let error = loop {
            if let Err(error) = writer.write_all(&[7; 60_000]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let error = client.message_writer(Kind::Binary).write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    }
}
