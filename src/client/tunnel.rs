//! What is said to a proxy for a tunnel, and what its answers come to.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::proxy::{Credentials, Proxy, ProxyKind};
use super::{ConnectError, ProxyFailure, SocksReply, Step};
use crate::engine::Error;
use crate::engine::driver::{Input, Progress, StateMachine};
use crate::handshake::{HandshakeLimits, ResponseReader};

/// A tunnel that a proxy is asked for.
pub(crate) struct Tunnel {
    /// For errors: the proxy without its credentials.
    pub(super) proxy: String,
    protocol: Protocol,
    until: Option<Duration>,
}

enum Protocol {
    Http(Box<ResponseReader>),
    Socks(Socks),
}

impl Tunnel {
    /// To `host` (an IPv6 address without its brackets) and `port`, until `until`. Returns what is sent first, too.
    pub(super) fn new(
        proxy: &Proxy,
        (host, port): (&str, u16),
        limits: HandshakeLimits,
        until: Option<Duration>,
    ) -> Result<(Self, Vec<u8>), ProxyFailure> {
        let (protocol, output) = match proxy.kind {
            ProxyKind::Http | ProxyKind::Https => {
                (Protocol::Http(Box::new(ResponseReader::new(limits))), connect_request(host, port, proxy)?)
            }
            ProxyKind::Socks5 => {
                let socks = Socks::new(host, port, proxy.credentials.as_ref())?;
                let greeting = socks.greeting();
                (Protocol::Socks(socks), greeting)
            }
        };
        Ok((Self { proxy: proxy.to_string(), protocol, until }, output))
    }

    /// The outcome of what was read: `true` once the tunnel is there.
    fn receive(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<bool, ProxyFailure> {
        let reader = match &mut self.protocol {
            Protocol::Http(reader) => reader,
            Protocol::Socks(socks) => return socks.receive(input, output),
        };
        // RFC 9110 §9.3.6: "A client MUST ignore any Content-Length or Transfer-Encoding header fields received in a
        // successful response to CONNECT."
        match reader.read(input, |status| (200..300).contains(&status)).map_err(ProxyFailure::Response)? {
            Some((_, consumed)) => tunnel_begins(input.get(consumed..).unwrap_or_default()),
            None => {
                reader.take_refusal(false).map_or(Ok(false), |refusal| Err(ProxyFailure::Refused(refusal)))
            }
        }
    }

    /// A refusal whose body is cut by the end of the stream or of the time.
    fn refusal(&mut self, is_eof: bool) -> Option<ProxyFailure> {
        let Protocol::Http(reader) = &mut self.protocol else { return None };
        let refusal = if is_eof { reader.handle_eof() } else { reader.take_refusal(true) };
        refusal.map(ProxyFailure::Refused)
    }
}

impl StateMachine for Tunnel {
    type Outcome = ();

    fn deadline(&self) -> Option<Duration> {
        self.until
    }

    fn handle(
        mut self,
        now: Duration,
        input: Input<'_>,
        output: &mut Vec<u8>,
    ) -> Result<Progress<Self, ()>, Error> {
        let failure = match input {
            Input::Bytes(bytes) => match self.receive(bytes, output) {
                Ok(true) => return Ok(Progress::Done(())),
                Ok(false) if self.until.is_none_or(|until| now < until) => {
                    return Ok(Progress::NeedMore(self));
                }
                Ok(false) => self.refusal(false),
                Err(failure) => Some(failure),
            },
            Input::EndOfStream => Some(self.refusal(true).unwrap_or(ProxyFailure::EndOfStream)),
            Input::Timeout => self.refusal(false),
            Input::Failed(error) => Some(ProxyFailure::Io(error)),
        };
        let proxy = self.proxy;
        let timed_out = ConnectError::TimedOut { step: Step::Proxy };
        Err(failure.map_or(timed_out, |failure| ConnectError::Proxy { proxy, failure }).into())
    }
}

/// What was sent may hold a password.
impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

/// Behind the proxy's answer nothing may come yet: the server, too, waits for what we say first.
const fn tunnel_begins(rest: &[u8]) -> Result<bool, ProxyFailure> {
    if rest.is_empty() { Ok(true) } else { Err(ProxyFailure::EarlyBytes) }
}

/// RFC 6455 §4.1: the example of a `CONNECT` request.
fn connect_request(host: &str, port: u16, proxy: &Proxy) -> Result<Vec<u8>, ProxyFailure> {
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    let mut reserved = RESERVED_IN_CONNECT;
    if let Some(Credentials { user, password }) = &proxy.credentials {
        let encoded = STANDARD.encode([user, &b":"[..], password].concat());
        request.extend(["Proxy-Authorization: Basic ", &encoded, "\r\n"]);
    } else {
        reserved = reserved.get(1..).unwrap_or_default();
    }
    let mut request = request.into_bytes();
    proxy.headers.write(reserved, &mut request).map_err(ProxyFailure::Header)?;
    request.extend_from_slice(b"\r\n");
    Ok(request)
}

/// Headers of a `CONNECT` that the library alone writes; the first one only if there are credentials.
const RESERVED_IN_CONNECT: &[&str] = &[
    "Proxy-Authorization",
    "Host",
    "Upgrade",
    "Connection",
    "Content-Length",
    "Transfer-Encoding",
    "Trailer",
    "TE",
    "Expect",
];

/// SOCKS5 (RFC 1928), with user and password (RFC 1929).
///
/// ```text
///  we     05 n method…            01 len user len password      05 01 00 type address port port
///  proxy          05 method                         01 status        05 reply 00 type address port port
/// ```
struct Socks {
    phase: Phase,
    /// What came of the message that is awaited.
    received: Vec<u8>,
    request: Vec<u8>,
    /// The message of RFC 1929.
    authentication: Option<Vec<u8>>,
}

#[derive(Clone, Copy)]
enum Phase {
    Method,
    Authentication,
    Reply,
}

const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

impl Socks {
    fn new(host: &str, port: u16, credentials: Option<&Credentials>) -> Result<Self, ProxyFailure> {
        let mut request = Vec::from([5, 1, 0]);
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(1);
                request.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(4);
                request.extend(address.octets());
            }
            Err(_) => {
                request.push(3);
                push_short(host.as_bytes(), &mut request)?;
            }
        }
        request.extend(port.to_be_bytes());
        let authentication = match credentials {
            None => None,
            Some(Credentials { user, password }) => {
                let mut message = Vec::from([1]);
                push_short(user, &mut message)?;
                push_short(password, &mut message)?;
                Some(message)
            }
        };
        Ok(Self { phase: Phase::Method, received: Vec::new(), request, authentication })
    }

    fn greeting(&self) -> Vec<u8> {
        match self.authentication {
            None => Vec::from([5, 1, NO_AUTHENTICATION]),
            Some(_) => Vec::from([5, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]),
        }
    }

    fn receive(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<bool, ProxyFailure> {
        // No message is longer than the reply with a name of 255 bytes.
        self.received.extend_from_slice(input.get(..512.min(input.len())).unwrap_or_default());
        loop {
            let phase = self.phase;
            let first = if matches!(phase, Phase::Authentication) { 1 } else { 5 };
            if self.received.first().is_some_and(|byte| *byte != first) {
                return Err(ProxyFailure::NotSocks);
            }
            match (phase, self.received.as_slice()) {
                (Phase::Method, [_, method, rest @ ..]) => {
                    match (*method, &self.authentication) {
                        (NO_AUTHENTICATION, _) => {
                            output.extend_from_slice(&self.request);
                            self.phase = Phase::Reply;
                        }
                        (USER_AND_PASSWORD, Some(message)) => {
                            output.extend_from_slice(message);
                            self.phase = Phase::Authentication;
                        }
                        (0xFF, _) => return Err(ProxyFailure::NoAuthentication),
                        _ => return Err(ProxyFailure::NotSocks),
                    }
                    self.received = rest.to_vec();
                }
                (Phase::Authentication, [_, 0, rest @ ..]) => {
                    output.extend_from_slice(&self.request);
                    self.phase = Phase::Reply;
                    self.received = rest.to_vec();
                }
                (Phase::Authentication, [_, _, ..]) => return Err(ProxyFailure::Credentials),
                // A refusal need not be whole.
                (Phase::Reply, [_, code, ..]) if *code != 0 => {
                    return Err(ProxyFailure::SocksRefused(SocksReply(*code)));
                }
                (Phase::Reply, [_, _, _, kind, first, ..]) => {
                    let address = match kind {
                        1 => 4,
                        3 => 1 + usize::from(*first),
                        4 => 16,
                        _ => return Err(ProxyFailure::NotSocks),
                    };
                    return match self.received.get(4 + address + 2..) {
                        Some(rest) => tunnel_begins(rest),
                        None => Ok(false),
                    };
                }
                _ => return Ok(false),
            }
        }
    }
}

/// A byte of length, then so many bytes.
fn push_short(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ProxyFailure> {
    let len = u8::try_from(bytes.len()).map_err(|_| ProxyFailure::TooLong)?;
    out.push(len);
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(proxy: &Proxy, host: &str) -> Result<(Tunnel, Vec<u8>), ProxyFailure> {
        Tunnel::new(proxy, (host, 443), HandshakeLimits::default(), Some(Duration::from_secs(1)))
    }

    fn tunnel(proxy: &str, host: &str) -> (Tunnel, Vec<u8>) {
        start(&Proxy::parse(proxy).unwrap(), host).unwrap()
    }

    fn failure(error: Error) -> Option<ProxyFailure> {
        let Error::Connect(error) = error else { panic!("{error}") };
        match *error {
            ConnectError::Proxy { failure, .. } => Some(failure),
            ConnectError::TimedOut { step: Step::Proxy } => None,
            other => panic!("{other}"),
        }
    }

    /// Gives `input` in pieces of `size` bytes; the output, and how it ended.
    fn run((mut tunnel, mut output): (Tunnel, Vec<u8>), input: &[u8], size: usize) -> (Vec<u8>, String) {
        for piece in input.chunks(size).map(Input::Bytes).chain([Input::EndOfStream]) {
            tunnel = match tunnel.handle(Duration::ZERO, piece, &mut output) {
                Ok(Progress::Done(())) => return (output, "open".into()),
                Ok(Progress::NeedMore(tunnel)) => tunnel,
                Err(error) => return (output, failure(error).unwrap().to_string()),
            };
        }
        unreachable!()
    }

    #[test]
    fn http_proxies_are_asked_with_connect() {
        // conf: CQ-15
        let (output, _) = run(tunnel("http://u:p%3A@proxy", "server.example"), b"", 1);
        let text = String::from_utf8(output).unwrap();
        assert_eq!(
            text,
            "CONNECT server.example:443 HTTP/1.1\r\nHost: server.example:443\r\n\
             Proxy-Authorization: Basic dTpwOg==\r\n\r\n"
        );
        let (output, _) = run(tunnel("http://proxy", "::1"), b"", 1);
        assert_eq!(output, b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n");
    }

    #[test]
    fn an_http_proxy_gets_the_headers_that_were_added() {
        // conf: CQ-12 CQ-15
        let request =
            |proxy: Proxy| start(&proxy, "host").map(|(_, output)| String::from_utf8(output).unwrap());
        let proxy = Proxy::parse("https://proxy").unwrap().header("User-Agent", "test/1");
        let bearer = proxy.clone().header("Proxy-Authorization", "Bearer abc");
        assert!(!format!("{bearer:?} {bearer}").contains("abc"));
        assert_eq!(
            request(bearer).unwrap(),
            "CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\nUser-Agent: test/1\r\n\
             Proxy-Authorization: Bearer abc\r\n\r\n"
        );
        for (name, value) in [
            ("Host", "other"),
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("X", "1\r\nEvil: 1"),
            ("X\r\nEvil", "1"),
            ("", "1"),
        ] {
            let refused = request(proxy.clone().header(name, value));
            assert!(matches!(refused, Err(ProxyFailure::Header(_))), "{name}");
        }
        let twice = proxy.credentials("me", "secret").unwrap().header("proxy-authorization", "Bearer abc");
        assert!(matches!(request(twice), Err(ProxyFailure::Header(_))));
    }

    #[test]
    fn an_http_proxy_opens_refuses_or_fails_in_pieces_of_any_size() {
        // conf: CQ-15
        let long = [b"HTTP/1.1 200 ".as_slice(), &[b'a'; 20_000]].concat();
        for (input, expected) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], "open"),
            (b"HTTP/1.0 200 Connection established\r\nContent-Length: 9\r\n\r\n", "open"),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n", "open"),
            (b"HTTP/1.1 200 OK\r\nVia: one,\r\n two\r\n\r\n", "open"),
            (b"HTTP/1.1 407 Who?\r\nContent-Length: 3\r\n\r\nyou", "refused with status 407"),
            (b"HTTP/1.1 502 Bad\r\n\r\nuntil the end", "refused with status 502"),
            (b"HTTP/1.1 101 Yes\r\n\r\n", "the stream ended before the response"),
            (b"HTTP/1.1 20", "the stream ended before the response"),
            (b"", "the stream ended before the response"),
        ] {
            for size in [1, 7, 4096] {
                let (_, ended) = run(tunnel("http://proxy", "host"), input, size);
                assert_eq!(ended, expected, "{}", input.escape_ascii());
            }
        }
        for input in [&b"\x05\x00"[..], b"SSH-2.0-OpenSSH\r\n", &long, b"HTTP/1.1 200 OK\n\n"] {
            let (mut tunnel, mut output) = tunnel("http://proxy", "host");
            assert!(matches!(tunnel.receive(input, &mut output), Err(ProxyFailure::Response(_))));
        }
        let (mut tunnel, mut output) = tunnel("http://proxy", "host");
        let early = tunnel.receive(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101", &mut output);
        assert!(matches!(early, Err(ProxyFailure::EarlyBytes)));
    }

    #[test]
    fn what_came_of_a_refusal_is_shown_when_the_time_is_over() {
        let late = b"HTTP/1.1 503 Busy\r\nX: 1\r\nContent-Length: 100\r\n\r\nlat";
        for input in [Input::Timeout, Input::Bytes(b"e")] {
            let (mut tunnel, mut output) = tunnel("http://proxy", "host");
            assert!(!tunnel.receive(late, &mut output).unwrap());
            let Err(error) = tunnel.handle(Duration::from_secs(1), input, &mut output) else { panic!() };
            let Some(ProxyFailure::Refused(refusal)) = failure(error) else { panic!() };
            assert_eq!(refusal.head().header("x"), Some(&b"1"[..]));
            assert!(refusal.body().starts_with(b"lat"));
        }
        let (tunnel, mut output) = tunnel("http://proxy", "host");
        let Err(error) = tunnel.handle(Duration::from_secs(1), Input::Timeout, &mut output) else { panic!() };
        assert!(failure(error).is_none());
    }

    #[test]
    fn socks_proxies_resolve_names_and_take_addresses() {
        let reply = b"\x05\x00\x05\x00\x00\x01\x7f\0\0\x01\x04\xd2";
        for size in 1..=reply.len() {
            // A reply that comes in one piece with what goes before it is no reason to fail.
            let (output, ended) = run(tunnel("socks5://proxy", "host"), reply, size);
            assert_eq!(
                (output.as_slice(), ended.as_str()),
                (&b"\x05\x01\0\x05\x01\0\x03\x04host\x01\xbb"[..], "open")
            );
        }
        let (output, _) = run(tunnel("socks5://proxy", "10.1.2.3"), reply, 2);
        assert_eq!(output, b"\x05\x01\0\x05\x01\0\x01\x0a\x01\x02\x03\x01\xbb");
        let (output, _) = run(tunnel("socks5://proxy", "::1"), reply, 2);
        assert_eq!(output, b"\x05\x01\0\x05\x01\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb");
        for reply in
            [&b"\x05\0\x05\0\0\x03\x02ab\0\x01"[..], &[&b"\x05\0\x05\0\0\x04"[..], &[0; 18]].concat()]
        {
            assert_eq!(run(tunnel("socks5://proxy", "host"), reply, 1).1, "open");
        }
    }

    #[test]
    fn socks_proxies_may_want_user_and_password() {
        let with = "socks5://me:secret@proxy";
        let granted = b"\x05\x02\x01\0\x05\0\0\x01\x7f\0\0\x01\0\0";
        let (output, ended) = run(tunnel(with, "host"), granted, 1);
        assert_eq!(output, b"\x05\x02\0\x02\x01\x02me\x06secret\x05\x01\0\x03\x04host\x01\xbb");
        assert_eq!(ended, "open");
        for (proxy, input, expected) in [
            (with, &b"\x05\x02\x01\x01"[..], "user name and password are not accepted"),
            (with, b"\x05\xff", "none of the offered authentication methods is accepted"),
            ("socks5://proxy", b"\x05\xff", "none of the offered authentication methods is accepted"),
            ("socks5://proxy", b"\x05\x02", "the response is not socks5"),
            ("socks5://proxy", b"\x05\0\x05\x05", "refused: connection refused"),
            ("socks5://proxy", b"\x05\0\x05\x77", "refused: reply 119"),
            ("socks5://proxy", b"\x05\0\x05\0\0\x02\0", "the response is not socks5"),
            ("socks5://proxy", b"HTTP/1.1 400 Bad", "the response is not socks5"),
            ("socks5://proxy", b"\x05\0\x05\0\0\x01\0\0\0\0\0\0!", "data came after the response"),
            ("socks5://proxy", b"\x05\0\x05\0\0\x01\0\0\0\0\0", "the stream ended before the response"),
        ] {
            assert_eq!(run(tunnel(proxy, "host"), input, 64).1, expected, "{}", input.escape_ascii());
        }
        let long = Proxy::parse("socks5://proxy").unwrap();
        let long = start(&long, &"a".repeat(256));
        assert!(matches!(long, Err(ProxyFailure::TooLong)));
    }
}
