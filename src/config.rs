//! What an application can set, with every default in one place.

use core::time::Duration;

use crate::error::ConfigError;

#[cfg(feature = "deflate")]
use crate::deflate::Deflate;

/// Limits, deadlines and the way of delivery of a connection.
///
/// One configuration, in an `Arc`, serves any number of connections. Every default is finite and meant to be safe
/// on the open internet. Each value is set by the method of its name and read as a field.
///
/// ```
/// use core::time::Duration;
/// use sansocket::Config;
///
/// let config = Config::new().max_message_size(64 * 1024).ping_interval(Duration::from_secs(5));
/// assert_eq!(config.max_message_size, 65_536);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// As [set](Self::max_message_size()). In bytes.
    pub max_message_size: usize,
    /// As [set](Self::max_frame_size()). In bytes; `usize::MAX` if only the message limit counts.
    pub max_frame_size: usize,
    /// As [set](Self::max_fragments()).
    pub max_fragments: u32,
    /// As [set](Self::max_empty_fragments()).
    pub max_empty_fragments: u32,
    /// As [set](Self::max_queued_output()). In bytes.
    pub max_queued_output: usize,
    /// As [set](Self::delivery()).
    pub delivery: Delivery,
    /// As [set](Self::ping_interval()).
    pub ping_interval: Option<Duration>,
    /// As [set](Self::pong_timeout()).
    pub pong_timeout: Option<Duration>,
    /// As [set](Self::idle_timeout()).
    pub idle_timeout: Option<Duration>,
    /// As [set](Self::message_timeout()).
    pub message_timeout: Option<Duration>,
    /// As [set](Self::write_timeout()).
    pub write_timeout: Option<Duration>,
    /// As [set](Self::close_timeout()).
    pub close_timeout: Option<Duration>,
    /// As [set](Self::deflate()).
    #[cfg(feature = "deflate")]
    pub deflate: Option<Deflate>,
}

/// How received data reaches the application.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Delivery {
    /// As whole messages, bounded by [`Config::max_message_size`]. The default.
    #[default]
    Messages,
    /// As it arrives, never gathered and of any length: for files, proxies and relays. The limit on the message
    /// size is not applied, all others are: raise [`Config::max_fragments`] for messages that never end.
    Chunks,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// The defaults, each stated at its setter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_message_size: 16 << 20,
            max_frame_size: usize::MAX,
            max_fragments: 128 << 10,
            max_empty_fragments: 256,
            max_queued_output: 1 << 20,
            delivery: Delivery::Messages,
            ping_interval: Some(Duration::from_secs(20)),
            pong_timeout: Some(Duration::from_secs(20)),
            idle_timeout: None,
            message_timeout: Some(Duration::from_secs(60)),
            write_timeout: Some(Duration::from_secs(30)),
            close_timeout: Some(Duration::from_secs(10)),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Checks the settings. Everything that opens a connection does so too, before anything is read or sent.
    ///
    /// ```
    /// use core::time::Duration;
    /// use sansocket::{Config, ConfigError};
    ///
    /// let flood = Config::new().ping_interval(Duration::ZERO);
    /// assert_eq!(flood.validate(), Err(ConfigError::PingInterval));
    /// assert_eq!(Config::new().ping_interval(None).validate(), Ok(()));
    /// ```
    ///
    /// # Errors
    ///
    /// The first setting with which no connection can work: an interval or timeout under
    /// [1 ms](ConfigError::MIN_TIME).
    pub const fn validate(&self) -> Result<(), ConfigError> {
        if is_too_short(self.ping_interval) {
            Err(ConfigError::PingInterval)
        } else if is_too_short(self.pong_timeout) {
            Err(ConfigError::PongTimeout)
        } else if is_too_short(self.idle_timeout) {
            Err(ConfigError::IdleTimeout)
        } else if is_too_short(self.message_timeout) {
            Err(ConfigError::MessageTimeout)
        } else if is_too_short(self.write_timeout) {
            Err(ConfigError::WriteTimeout)
        } else if is_too_short(self.close_timeout) {
            Err(ConfigError::CloseTimeout)
        } else {
            Ok(())
        }
    }

    /// The longest message in bytes, over all its fragments, that is accepted. Default 16 MiB (16,777,216), inclusive.
    ///
    /// A message over it fails the connection with 1009 as soon as a frame header announces it. Memory is taken
    /// for what has arrived, never for what was announced; what earlier messages left is lent to announced ones, up to 16 MiB in
    /// the whole process. With 0 only empty messages are accepted.
    #[must_use]
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// The longest payload of a single data frame in bytes that is accepted. Default: only the message limit counts.
    ///
    /// A frame over it fails the connection with 1009. With [`Delivery::Chunks`], where no message limit holds, it is
    /// the only limit on size. With 0 only empty frames are accepted.
    #[must_use]
    pub const fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame_size = bytes;
        self
    }

    /// The number of fragments that a message may come in. Default 131,072; more fail the connection with 1008.
    ///
    /// A message in a single frame is in no fragments: 0 refuses fragmented messages only.
    #[must_use]
    pub const fn max_fragments(mut self, fragments: u32) -> Self {
        self.max_fragments = fragments;
        self
    }

    /// The number of empty fragments within one message. Default 256; more fail the connection with 1008. With 0 none is
    /// accepted.
    #[must_use]
    pub const fn max_empty_fragments(mut self, fragments: u32) -> Self {
        self.max_empty_fragments = fragments;
        self
    }

    /// How many encoded bytes an adapter queues before it takes no further message. Default 1 MiB (1,048,576).
    ///
    /// A message that is taken is taken whole, so that the queue exceeds this by one message at the most, and by 4 KiB of
    /// answers to pings. Where several senders wait for room, each of them can add one message when its turn comes. Beyond
    /// that the answer to the latest ping waits outside of the queue, and input is still taken. With 0 each message waits
    /// until all before it have left. The core itself queues nothing.
    #[must_use]
    pub const fn max_queued_output(mut self, bytes: usize) -> Self {
        self.max_queued_output = bytes;
        self
    }

    /// Whole messages or chunks as they arrive. Default [`Delivery::Messages`].
    #[must_use]
    pub const fn delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }

    /// After this much silence of the peer a ping is sent. Default 20 s, at least 1 ms; `None` sends none.
    #[must_use]
    pub fn ping_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.ping_interval = interval.into();
        self
    }

    /// How long after such a ping the peer must have shown that it lives. Default 20 s, at least 1 ms; `None` waits for ever.
    ///
    /// Every byte of the peer counts, not only the pong, and so do bytes that it takes from a transport that was full. After
    /// that it is presumed to take as long for what is left in the kernel's buffers as the transport was full, for at most
    /// the [write timeout](Self::write_timeout()), or 30 s without one. Bytes that find room at once prove nothing.
    #[must_use]
    pub fn pong_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.pong_timeout = timeout.into();
        self
    }

    /// How long the peer may be silent, pongs included. Default `None`: with pings, a silent peer is found anyway. At
    /// least 1 ms.
    ///
    /// A peer that takes bytes from a transport that was full is not silent, as for [`pong_timeout`](Self::pong_timeout()).
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// How long a message that has begun may stay without a further byte of it. Default 60 s, at least 1 ms; `None` waits
    /// for ever.
    #[must_use]
    pub fn message_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.message_timeout = timeout.into();
        self
    }

    /// How long the transport may refuse to take a single byte of waiting output. Default 30 s, at least 1 ms; `None` waits
    /// for ever.
    #[must_use]
    pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = timeout.into();
        self
    }

    /// How long each half of closing may take: until the Close frame has left, behind the output that is queued, and
    /// from then until the peer has answered and the stream has ended. Default 10 s, at least 1 ms; `None` waits for ever.
    ///
    /// Closing so takes at most twice this time, however slowly the peer takes data, and at most this time where nothing
    /// is queued for long. The first half also bounds how long a peer that has ended its direction may take for what is
    /// still queued. To give queued messages longer, flush before you close.
    #[must_use]
    pub fn close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.close_timeout = timeout.into();
        self
    }

    /// Compresses messages where the peer agrees (RFC 7692). Default `None`: neither offered nor accepted.
    ///
    /// The limit on messages holds for what they inflate to.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, deflate: impl Into<Option<Deflate>>) -> Self {
        self.deflate = deflate.into();
        self
    }
}

const fn is_too_short(time: Option<Duration>) -> bool {
    matches!(time, Some(time) if time.as_nanos() < ConfigError::MIN_TIME.as_nanos())
}
