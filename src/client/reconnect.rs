//! When a client connects again, and what becomes of its messages meanwhile (RFC 6455 §7.2.3).

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::io;

use super::retry_after::retry_after;
use super::{ConnectError, ProxyFailure};
use crate::engine::{Error, HandshakeError};
use crate::handshake::{Refusal, random_nonce};
use crate::{CloseCode, Initiator, SendError, Summary};

/// How a client connects again after its connection ended: delays, stop condition, what becomes of messages meanwhile.
///
/// The delays are those of RFC 6455 §7.2.3: before the first retry a random one of up to 5 s, so that the clients of a
/// server that was restarted do not come all at once; with each further consecutive failure twice as long, of which
/// the second half is random, up to 60 s. A connection that lived for 10 s resets the count of failures; one that ended
/// before counts as a failure, so that a server which accepts and drops is not asked in a loop. The first attempt of all is
/// made immediately.
///
/// A server or proxy that refuses with `Retry-After` (RFC 9110 §10.2.3) is not asked again before that time, up to
/// [`longest_retry_after`](Self::longest_retry_after).
///
/// ```
/// use std::time::Duration;
/// use sansocket::client::{Reconnect, WhileAway};
///
/// let policy = Reconnect::new()
///     .first_delay(Duration::from_millis(500))
///     .longest_delay(Duration::from_secs(30))
///     .max_failures(10)
///     .while_away(WhileAway::Queue(1000))
///     .observe(|event| eprintln!("{event}"));
/// # let _ = policy;
/// ```
#[derive(Clone)]
pub struct Reconnect {
    first_delay: Duration,
    longest_delay: Duration,
    longest_retry_after: Duration,
    settled_after: Duration,
    max_failures: Option<u32>,
    pub(super) while_away: WhileAway,
    stop_when: Option<Arc<StopWhen>>,
    observer: Option<Arc<Observer>>,
}

const NANOS: u128 = 1_000_000_000;

type StopWhen = dyn Fn(&Lost<'_>) -> bool + Send + Sync;
type Observer = dyn Fn(&ReconnectEvent<'_>) + Send + Sync;

impl Reconnect {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            first_delay: Duration::from_secs(5),
            longest_delay: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(3600),
            settled_after: Duration::from_secs(10),
            max_failures: None,
            while_away: WhileAway::Refuse,
            stop_when: None,
            observer: None,
        }
    }

    /// The longest delay before the first retry; the delay is random below it. Default 5 s.
    #[must_use]
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// The upper bound for a delay that the client chooses. Default 60 s.
    #[must_use]
    pub fn longest_delay(mut self, delay: Duration) -> Self {
        self.longest_delay = delay;
        self
    }

    /// The upper bound for the delay that a server may ask for with `Retry-After`. Default 1 h; zero ignores the header.
    ///
    /// Clients that receive the same time reconnect spread over [`first_delay`](Self::first_delay) after it.
    #[must_use]
    pub fn longest_retry_after(mut self, delay: Duration) -> Self {
        self.longest_retry_after = delay;
        self
    }

    /// How long a connection lives before it counts as a success and delays begin anew. Default 10 s.
    #[must_use]
    pub fn settled_after(mut self, time: Duration) -> Self {
        self.settled_after = time;
        self
    }

    /// Stops after so many consecutive failures. Default: never.
    #[must_use]
    pub fn max_failures(mut self, most: u32) -> Self {
        self.max_failures = Some(most);
        self
    }

    /// Sets what becomes of messages while there is no connection. Default: [`WhileAway::Refuse`].
    #[must_use]
    pub fn while_away(mut self, what: WhileAway) -> Self {
        self.while_away = what;
        self
    }

    /// Stops reconnecting when the predicate returns `true`. Default: [`Lost::is_final`].
    #[must_use]
    pub fn stop_when(mut self, stop: impl Fn(&Lost<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.stop_when = Some(Arc::new(stop));
        self
    }

    /// Calls `observer` on every state change. Default: none.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&ReconnectEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    fn stops_after(&self, lost: &Lost<'_>, failures: u32) -> bool {
        let wants_to = self.stop_when.as_ref().map_or_else(|| lost.is_final(), |stop| stop(lost));
        wants_to || self.max_failures.is_some_and(|most| failures >= most)
    }

    /// `random` is the place between the shortest and the longest delay after so many failures.
    fn delay(&self, failures: u32, asked: Option<Duration>, random: u32) -> Duration {
        let own = self.own_delay(failures, random);
        let asked = asked.map(|asked| asked.min(self.longest_retry_after)).unwrap_or_default();
        if asked <= own {
            return own;
        }
        asked.saturating_add(between(Duration::ZERO, self.first_delay, random))
    }

    fn own_delay(&self, failures: u32, random: u32) -> Duration {
        let retries = failures.saturating_sub(1);
        let doubled = 2_u32.checked_pow(retries).and_then(|factor| self.first_delay.checked_mul(factor));
        let high = doubled.unwrap_or(Duration::MAX).min(self.longest_delay);
        let low = if retries == 0 { Duration::ZERO } else { high / 2 };
        between(low, high, random)
    }
}

/// The time at `random` of 2^32 between the two.
fn between(low: Duration, high: Duration, random: u32) -> Duration {
    let span = high.saturating_sub(low);
    // At most 94 bits and 32 of them.
    let nanos = span.as_nanos() * u128::from(random) / u128::from(u32::MAX);
    let secs = u64::try_from(nanos / NANOS).unwrap_or(u64::MAX);
    low.saturating_add(Duration::new(secs, u32::try_from(nanos % NANOS).unwrap_or(0)))
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Reconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnect")
            .field("first_delay", &self.first_delay)
            .field("longest_delay", &self.longest_delay)
            .field("longest_retry_after", &self.longest_retry_after)
            .field("settled_after", &self.settled_after)
            .field("max_failures", &self.max_failures)
            .field("while_away", &self.while_away)
            .finish_non_exhaustive()
    }
}

/// What becomes of a message that is sent while there is no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhileAway {
    /// It is refused with [`Error::NotConnected`].
    Refuse,
    /// It is dropped, and sending it succeeds: for values of which only the newest counts.
    Drop,
    /// Up to this many messages are queued; further ones are refused with [`Error::NotConnected`].
    ///
    /// They leave in their order, before all later messages, inside the receiving calls of the next connection that opens.
    /// A message leaves the queue when the transport has taken all its bytes. If the connection ends before the first byte
    /// of a message is written, the message waits for the next connection. If the connection ends in the middle of a
    /// message, the message is lost and [counted](ReconnectEvent::Lost::messages_lost): it is not sent again, because the
    /// peer may have received all of it that matters. A connection that is closing takes no messages.
    Queue(usize),
}

/// How a connection ended, or an attempt at one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Lost<'a> {
    /// Connecting, or the connection, failed.
    Failed(&'a Error),
    /// The connection was closed, cleanly.
    Closed(&'a Summary<'a>),
}

impl Lost<'_> {
    /// Whether another attempt would fail in the same way; this is the default stop condition.
    ///
    /// `true` if
    /// - the connection was closed by this side, or by the server with 1000;
    /// - the URL, a header, the server's name, the proxy's URL or the configuration cannot be used;
    /// - the server, or an HTTP proxy, refused with a status of 400 to 499 other than 408, 425 and 429: 407 means that the
    ///   proxy does not accept the credentials;
    /// - a SOCKS5 proxy does not accept the credentials or offers no usable authentication, forbids the destination by its
    ///   rules, or does not support the request;
    /// - the server redirects too often or to nowhere;
    /// - the certificate of the server or proxy is not valid, one of them does not accept the client's certificate, or it has
    ///   no TLS version or cipher suite in common with the client;
    /// - the session cannot be set up because the application sends what cannot be sent, or asks for whole messages where
    ///   the configuration says chunks;
    /// - there is no runtime.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Closed(summary) => {
                summary.initiator != Initiator::Remote || summary.code == CloseCode::NORMAL
            }
            Self::Failed(Error::Handshake(error)) => match &**error {
                HandshakeError::Uri(_) | HandshakeError::TlsNeeded | HandshakeError::Request(_) => true,
                HandshakeError::Refusal(refusal) => is_final_refusal(refusal),
                _ => false,
            },
            Self::Failed(Error::Connection(crate::Error::InvalidConfig(_))) => true,
            Self::Failed(Error::Connect(error)) => is_final_connect(error),
            // The alert that refuses a client's certificate may come after the handshake (TLS 1.3).
            Self::Failed(Error::Io(error)) => is_final_tls(error),
            Self::Failed(Error::Send(error)) => {
                !matches!(error, SendError::Closed | SendError::Full { .. } | SendError::MaskKey)
            }
            Self::Failed(Error::ChunkDelivery | Error::NoRuntime) => true,
            Self::Failed(_) => false,
        }
    }

    /// Returns how long the server or proxy asked to wait with the `Retry-After` of its refusal (RFC 9110 §10.2.3).
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Failed(error) = self else { return None };
        refusal_of(error).and_then(retry_after)
    }
}

fn refusal_of(error: &Error) -> Option<&Refusal> {
    match error {
        Error::Handshake(error) => match &**error {
            HandshakeError::Refusal(refusal) => Some(refusal),
            _ => None,
        },
        Error::Connect(error) => match &**error {
            ConnectError::Redirect(error) => Some(error.refusal()),
            ConnectError::Proxy { failure: ProxyFailure::Refused(refusal), .. } => Some(refusal),
            _ => None,
        },
        _ => None,
    }
}

fn is_final_refusal(refusal: &Refusal) -> bool {
    let status = refusal.head().status();
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}

fn is_final_connect(error: &ConnectError) -> bool {
    match error {
        ConnectError::ProxyUrl(_) | ConnectError::Redirect(_) => true,
        ConnectError::Tls(error) => is_final_tls(error.io()),
        ConnectError::Proxy { failure, .. } => match failure {
            ProxyFailure::Refused(refusal) => is_final_refusal(refusal),
            ProxyFailure::NoAuthentication
            | ProxyFailure::Credentials
            | ProxyFailure::TooLong
            | ProxyFailure::Header(_) => true,
            // RFC 1928 §6: "connection not allowed by ruleset", "Command not supported", "Address type not supported".
            ProxyFailure::SocksRefused(reply) => matches!(reply.0, 2 | 7 | 8),
            ProxyFailure::Unreachable(error) => is_final_connect(error),
            _ => false,
        },
        _ => false,
    }
}

/// Whether TLS fails by what the two ends are rather than by what happened on the way.
#[cfg(feature = "rustls")]
fn is_final_tls(error: &io::Error) -> bool {
    use rustls::{AlertDescription as Alert, Error as Tls};

    let Some(inner) = error.get_ref() else { return false };
    match inner.downcast_ref() {
        Some(Tls::InvalidCertificate(_) | Tls::PeerIncompatible(_)) => true,
        Some(Tls::AlertReceived(alert)) => matches!(
            alert,
            Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::CertificateRequired
                | Alert::ProtocolVersion
                | Alert::UnrecognisedName
        ),
        Some(_) => false,
        None => inner.is::<rustls::pki_types::InvalidDnsNameError>(),
    }
}

#[cfg(not(feature = "rustls"))]
const fn is_final_tls(_: &io::Error) -> bool {
    false
}

impl fmt::Display for Lost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Closed(summary) => write!(f, "closed: {summary}"),
        }
    }
}

/// A state change of a client that reconnects.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ReconnectEvent<'a> {
    /// An attempt begins: the first of all, or the one after so many consecutive failures.
    Connecting {
        /// How many attempts failed since a connection last lived long enough.
        failures: u32,
    },
    /// The connection is open and the session set up. Queued messages leave from now on, while you receive.
    Opened,
    /// The connection, or the attempt at one, ended.
    Lost {
        /// How.
        lost: Lost<'a>,
        /// When the next attempt begins; `None`: never.
        retry_in: Option<Duration>,
        /// How many messages were accepted with `Ok`, handed to this connection, and not written whole before it ended. They
        /// are not sent again.
        messages_lost: u64,
    },
}

impl fmt::Display for ReconnectEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { failures: 0 } => f.write_str("connecting"),
            Self::Connecting { failures: 1 } => f.write_str("connecting after 1 failure"),
            Self::Connecting { failures } => write!(f, "connecting after {failures} failures"),
            Self::Opened => f.write_str("connected"),
            Self::Lost { lost, retry_in, messages_lost } => {
                lost.fmt(f)?;
                match messages_lost {
                    0 => {}
                    1 => f.write_str("; 1 message lost")?,
                    count => write!(f, "; {count} messages lost")?,
                }
                match retry_in {
                    None => f.write_str("; not connecting again"),
                    Some(delay) => write!(f, "; connecting again in {delay:.1?}"),
                }
            }
        }
    }
}

/// The state of a client that reconnects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReconnectState {
    /// An attempt is being made.
    Connecting,
    /// The connection is open.
    Open,
    /// The next attempt begins after so long.
    Waiting(Duration),
    /// No attempt will be made any more.
    Stopped,
}

/// When to connect again, from what has happened; it has no clock and no connection.
#[derive(Debug)]
pub(crate) struct RetryState {
    policy: Reconnect,
    failures: u32,
    opened: Option<Duration>,
    /// The application has closed: whatever the next end is, it is the last.
    closing: bool,
}

impl RetryState {
    pub(crate) fn new(policy: Reconnect) -> Self {
        Self { policy, failures: 0, opened: None, closing: false }
    }

    /// Whether the next end is to be the last, however it comes about.
    pub(crate) fn set_closing(&mut self, closing: bool) {
        self.closing = closing;
    }

    pub(crate) const fn is_closing(&self) -> bool {
        self.closing
    }

    pub(crate) fn connecting(&self) {
        self.notify(&ReconnectEvent::Connecting { failures: self.failures });
    }

    pub(crate) fn opened(&mut self, now: Duration) {
        self.opened = Some(now);
        self.notify(&ReconnectEvent::Opened);
    }

    /// How long to wait for the next attempt; `None`: for ever.
    pub(crate) fn ended(&mut self, now: Duration, lost: Lost<'_>, messages_lost: u64) -> Option<Duration> {
        // Without randomness all clients come together, after the longest delay.
        let random = random_nonce().map_or(u32::MAX, |[a, b, c, d, ..]| u32::from_ne_bytes([a, b, c, d]));
        self.ended_with(now, lost, messages_lost, random)
    }

    fn ended_with(
        &mut self,
        now: Duration,
        lost: Lost<'_>,
        messages_lost: u64,
        random: u32,
    ) -> Option<Duration> {
        let lived = self.opened.take().map(|opened| now.saturating_sub(opened));
        if lived.is_some_and(|lived| lived >= self.policy.settled_after) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        let stops = self.closing || self.policy.stops_after(&lost, self.failures);
        let retry_in = (!stops).then(|| self.policy.delay(self.failures, lost.retry_after(), random));
        self.notify(&ReconnectEvent::Lost { lost, retry_in, messages_lost });
        retry_in
    }

    fn notify(&self, event: &ReconnectEvent<'_>) {
        if let Some(observer) = &self.policy.observer {
            observer(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn retry() -> RetryState {
        RetryState::new(Reconnect::new())
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    // conf: CL-18
    #[test]
    fn delays_double_and_end_at_the_longest() {
        let error = Error::TimedOut;
        let delays = |random: u32| {
            let mut retry = retry();
            let mut ended = || retry.ended_with(secs(0), Lost::Failed(&error), 0, random).unwrap();
            [ended(), ended(), ended(), ended(), ended(), ended()]
        };
        assert_eq!(delays(u32::MAX), [5, 10, 20, 40, 60, 60].map(secs));
        assert_eq!(delays(0).map(|delay| delay.as_millis()), [0, 5000, 10_000, 20_000, 30_000, 30_000]);
        let mut retry = retry();
        for _ in 0..10_000 {
            retry.ended_with(secs(0), Lost::Failed(&error), 0, 7).unwrap();
        }
    }

    #[test]
    fn only_a_connection_that_lived_begins_anew() {
        let error = Error::TimedOut;
        let mut retry = retry();
        let mut now = secs(0);
        let mut delays = Vec::new();
        for lived in [0, 9, 9, 10, 0] {
            retry.opened(now);
            now += secs(lived);
            delays.push(retry.ended_with(now, Lost::Failed(&error), 0, u32::MAX).unwrap().as_secs());
        }
        assert_eq!(delays, [5, 10, 20, 5, 10]);
    }

    #[test]
    fn events_count_in_words() {
        let connecting = |failures| alloc::format!("{}", ReconnectEvent::Connecting { failures });
        assert_eq!(
            [0, 1, 2].map(connecting),
            ["connecting", "connecting after 1 failure", "connecting after 2 failures"]
        );
    }

    #[test]
    fn extreme_settings_do_not_panic() {
        let error = Error::TimedOut;
        for (first, longest) in [(Duration::MAX, Duration::MAX), (Duration::ZERO, Duration::ZERO)] {
            let policy = Reconnect::new().first_delay(first).longest_delay(longest);
            let mut retry = RetryState::new(policy);
            for random in [0, 1, u32::MAX] {
                for _ in 0..40 {
                    assert!(
                        retry.ended_with(Duration::MAX, Lost::Failed(&error), 0, random).unwrap() <= longest
                    );
                }
            }
        }
        let mut retry = RetryState::new(Reconnect::new().max_failures(2));
        assert!(retry.ended_with(secs(0), Lost::Failed(&error), 0, 0).is_some());
        assert_eq!(retry.ended_with(secs(0), Lost::Failed(&error), 0, 0), None);
    }
}
