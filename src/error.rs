//! What can go wrong, the peer's faults apart from the caller's, and the one table from error to close code.

use core::fmt;
use core::time::Duration;

use crate::close_code::CloseCode;

/// Why an open connection failed.
///
/// The connection stays failed: every later receive returns the same error. The fitting Close frame
/// ([`close_code`](Self::close_code)) has been queued already; all that is left to the caller is to write out what
/// waits and to follow the connection's answer about the transport.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of RFC 6455. Close code 1002.
    Protocol(ProtocolError),
    /// A text message or a close reason is not UTF-8 (RFC 6455 §8.1). Close code 1007.
    InvalidUtf8(InvalidUtf8),
    /// The compressed data of a message cannot be inflated (RFC 7692 §7.2.2). Close code 1007.
    #[cfg(feature = "deflate")]
    InvalidDeflate,
    /// A frame or message exceeds the limit that the configuration sets for it, or memory. Close code 1009.
    TooBig {
        /// The limit in bytes; where memory is the limit, what of the message it held.
        limit: usize,
    },
    /// A message came in more pieces than a [`Limit`] allows. Close code 1008.
    Policy(Limit),
    /// A deadline passed. The close code depends on the deadline.
    Timeout(Deadline),
    /// The stream ended without a Close frame; reported as 1006, nothing is sent.
    UnexpectedEof,
    /// The source of masking keys failed, so that a client cannot send any more.
    MaskKey,
    /// The caller's fault: [`Connection::lend`](crate::Connection::lend) was not given the bytes in which
    /// [`locate`](crate::Connection::locate) found the event, which is lost. Close code 1011.
    BytesNotLent,
    /// The caller's fault: the connection was made with a configuration with which no connection can work. Nothing is
    /// sent or received.
    InvalidConfig(ConfigError),
}

impl Error {
    /// The code of the Close frame that this error sends, `None` where nothing is sent.
    ///
    /// This is the only place that chooses a code (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(_) => Some(CloseCode::PROTOCOL_ERROR),
            Self::InvalidUtf8(_) => Some(CloseCode::INVALID_PAYLOAD),
            #[cfg(feature = "deflate")]
            Self::InvalidDeflate => Some(CloseCode::INVALID_PAYLOAD),
            Self::TooBig { .. } => Some(CloseCode::TOO_BIG),
            Self::Policy(_) | Self::Timeout(Deadline::Message) => Some(CloseCode::POLICY_VIOLATION),
            Self::Timeout(Deadline::Pong) | Self::BytesNotLent => Some(CloseCode::INTERNAL_ERROR),
            Self::Timeout(Deadline::Idle) => Some(CloseCode::GOING_AWAY),
            Self::Timeout(_) | Self::UnexpectedEof | Self::MaskKey | Self::InvalidConfig(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::InvalidUtf8(error) => error.fmt(f),
            #[cfg(feature = "deflate")]
            Self::InvalidDeflate => f.write_str("compressed message cannot be inflated"),
            Self::TooBig { limit } => write!(f, "message exceeds the limit of {limit} bytes"),
            Self::Policy(limit) => limit.fmt(f),
            Self::Timeout(deadline) => deadline.fmt(f),
            Self::UnexpectedEof => f.write_str("stream ended without a close frame"),
            Self::MaskKey => f.write_str("no masking key to be had from the random source"),
            Self::BytesNotLent => f.write_str("lend was not given all bytes that locate took"),
            Self::InvalidConfig(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<InvalidUtf8> for Error {
    fn from(error: InvalidUtf8) -> Self {
        Self::InvalidUtf8(error)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::InvalidConfig(error)
    }
}

/// A setting of a [`Config`](crate::Config) with which no connection can work: a time under
/// [`MIN_TIME`](Self::MIN_TIME).
///
/// [`Config::validate`](crate::Config::validate) finds it, and so does everything that opens a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`ping_interval`](crate::Config::ping_interval()): pings would leave as fast as pongs come.
    PingInterval,
    /// [`pong_timeout`](crate::Config::pong_timeout()): no peer could answer a ping in time.
    PongTimeout,
    /// [`idle_timeout`](crate::Config::idle_timeout()): every connection would be idle from the start.
    IdleTimeout,
    /// [`message_timeout`](crate::Config::message_timeout()): a message that comes in two reads would be late.
    MessageTimeout,
    /// [`write_timeout`](crate::Config::write_timeout()): a peer that is slower than this side for a moment would be lost.
    WriteTimeout,
    /// [`close_timeout`](crate::Config::close_timeout()): no peer could answer a Close frame in time.
    CloseTimeout,
}

impl ConfigError {
    /// The shortest time that an interval or a timeout can be set to: 1 ms. To switch one off, set it to `None`.
    pub const MIN_TIME: Duration = Duration::from_millis(1);

    /// The name of the setting, which is that of its field and of its method.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::PingInterval => "ping_interval",
            Self::PongTimeout => "pong_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::MessageTimeout => "message_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::CloseTimeout => "close_timeout",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is too short: set at least {:?}, or None", self.setting(), Self::MIN_TIME)
    }
}

impl core::error::Error for ConfigError {}

/// A rule of RFC 6455 that the peer broke, in the order of the RFC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A server received a frame without a mask (§5.1).
    MaskMissing,
    /// A client received a masked frame (§5.1).
    MaskUnexpected,
    /// A reserved bit is set that no negotiated extension defines (§5.2).
    ReservedBits(u8),
    /// The opcode is reserved, 3 to 7 or 11 to 15 (§5.2).
    ReservedOpcode(u8),
    /// A length in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (§5.2).
    LengthOutOfRange,
    /// A continuation frame with no message to continue (§5.4).
    UnexpectedContinuation,
    /// A new message before the last fragment of the one in progress (§5.4).
    UnfinishedMessage,
    /// A control frame with a payload over 125 bytes (§5.5).
    ControlTooLong,
    /// A control frame in fragments (§5.5).
    ControlFragmented,
    /// A Close frame with a body of one byte (§5.5.1).
    CloseBodyTooShort,
    /// A Close frame with a code that must not be on the wire (§7.4).
    InvalidCloseCode(CloseCode),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaskMissing => f.write_str("frame of a client without a mask"),
            Self::MaskUnexpected => f.write_str("frame of a server with a mask"),
            Self::ReservedBits(bits) => write!(f, "reserved bits {bits:03b} without an extension"),
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode {opcode}"),
            Self::LengthNotMinimal => f.write_str("length not in its shortest form"),
            Self::LengthOutOfRange => f.write_str("length of more than 63 bits"),
            Self::UnexpectedContinuation => f.write_str("continuation frame without a message"),
            Self::UnfinishedMessage => f.write_str("new message inside a fragmented one"),
            Self::ControlTooLong => f.write_str("control frame of more than 125 bytes"),
            Self::ControlFragmented => f.write_str("fragmented control frame"),
            Self::CloseBodyTooShort => f.write_str("close frame with a body of one byte"),
            Self::InvalidCloseCode(code) => write!(f, "close code {} not allowed on the wire", code.get()),
        }
    }
}

impl core::error::Error for ProtocolError {}

/// Bytes that are not UTF-8 (RFC 6455 §8.1, RFC 3629).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct InvalidUtf8 {
    /// How many bytes of the text, counted from its start, are valid.
    pub valid_up_to: u64,
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text is not UTF-8 after {} bytes", self.valid_up_to)
    }
}

impl core::error::Error for InvalidUtf8 {}

/// A limit on what a message is made of, which bounds the work that it can cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// Fragments of one message.
    Fragments,
    /// Empty fragments of one message.
    EmptyFragments,
    /// Final DEFLATE blocks inside of one compressed message: 16, and one for each 64 bytes of compressed data.
    #[cfg(feature = "deflate")]
    FinalBlocks,
    /// Compressed data of one message in fragments: 12 times the limit on messages, 16 bytes for each fragment, and 64 KiB.
    #[cfg(feature = "deflate")]
    CompressedBytes,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fragments => "message in too many fragments",
            Self::EmptyFragments => "message with too many empty fragments",
            #[cfg(feature = "deflate")]
            Self::FinalBlocks => "compressed message with too many final blocks",
            #[cfg(feature = "deflate")]
            Self::CompressedBytes => "message in too much compressed data for its limit",
        })
    }
}

/// A deadline of an open connection; each is set in the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Deadline {
    /// A ping was sent and no byte came since.
    Pong,
    /// No byte came for a long time.
    Idle,
    /// A message was begun and not continued.
    Message,
    /// The transport takes no output.
    Write,
    /// The peer did not complete the closing handshake.
    Close,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pong => "no sign of life after a ping",
            Self::Idle => "connection idle for too long",
            Self::Message => "message begun and not continued",
            Self::Write => "peer takes no data",
            Self::Close => "no answer to a close frame",
        })
    }
}

/// Why something was not sent. Nothing of it was written; replies that were waiting may have been.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The output has no room for the whole frame; write out what it holds and try again.
    Full {
        /// The bytes that must have room: the frame's, or those of a reply that has to leave before it.
        needed: usize,
    },
    /// A Close frame was sent or received, or the connection failed: nothing may follow (RFC 6455 §5.5.1, §6.1).
    Closed,
    /// A message is being sent in fragments, which must be finished first (RFC 6455 §5.4).
    MessageInProgress,
    /// A fragment of a text message cannot continue a binary one, nor the other way round (RFC 6455 §5.4).
    KindChanged,
    /// A text message would not be UTF-8 as a whole (RFC 6455 §8.1).
    InvalidUtf8,
    /// A control payload takes 125 bytes at most, a close reason 123 (RFC 6455 §5.5).
    ControlTooLong {
        /// The length that was asked for, in bytes.
        len: usize,
    },
    /// The close code must not be sent (RFC 6455 §7.4); see [`CloseCode::is_sendable`]. 1010 is for clients only.
    InvalidCloseCode(CloseCode),
    /// The source of masking keys failed; a frame without a fresh key is never sent (RFC 6455 §5.3).
    MaskKey,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { needed } => {
                write!(f, "output has no room for {needed} bytes: write out what it holds, then try again")
            }
            Self::Closed => f.write_str("connection is closing or closed"),
            Self::MessageInProgress => {
                f.write_str("a message is being sent in fragments: send its final one first")
            }
            Self::KindChanged => f.write_str("fragment differs in kind from the message it continues"),
            Self::InvalidUtf8 => f.write_str("text message would not be utf-8"),
            Self::ControlTooLong { len } => {
                write!(f, "control payload of {len} bytes: 125 are allowed, 123 for a close reason")
            }
            Self::InvalidCloseCode(code) => {
                write!(f, "close code {} must not be sent: use 1000, or 3000 to 4999", code.get())
            }
            Self::MaskKey => f.write_str("no masking key to be had from the random source"),
        }
    }
}

impl core::error::Error for SendError {}

/// The source of masking keys could not give one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaskKeyError;

impl fmt::Display for MaskKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no masking key to be had from the random source")
    }
}

impl core::error::Error for MaskKeyError {}

impl From<MaskKeyError> for SendError {
    fn from(_: MaskKeyError) -> Self {
        Self::MaskKey
    }
}
