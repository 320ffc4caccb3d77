//! The exit status; `wscat --help` has the list.

use std::process::ExitCode;

use sansocket::client::tls::rustls;
use sansocket::client::{ConnectError, ProxyFailure, Step};
use sansocket::tokio::{Error, HandshakeError};
use sansocket::{CloseCode, Initiator, Summary};

/// The reason why wscat ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Done,
    Other,
    Usage,
    Unreachable,
    Tls,
    Refused,
    Protocol,
    Lost,
    /// The peer closed with this code.
    Closed(CloseCode),
    Interrupted,
}

impl Exit {
    pub const fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Tls => 4,
            Self::Refused => 5,
            Self::Protocol => 6,
            Self::Lost => 7,
            Self::Closed(code) => match code.get() {
                code @ 1000..=1014 => (code - 990) as u8,
                3000..=3999 => 30,
                4000..=4999 => 40,
                _ => 1,
            },
            Self::Interrupted => 130,
        }
    }

    /// The status of a connection that was not opened.
    pub fn of_opening(error: &Error) -> Self {
        match error {
            Error::Handshake(error) => match &**error {
                HandshakeError::Uri(_) | HandshakeError::Request(_) => Self::Usage,
                HandshakeError::Response(_) => Self::Protocol,
                HandshakeError::Refusal(_) => Self::Refused,
                HandshakeError::TlsNeeded => Self::Tls,
                _ => Self::Other,
            },
            Error::Connect(error) => Self::of_connecting(error),
            // TLS 1.3: the alert that refuses a client's certificate comes after the handshake.
            Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => Self::Tls,
            Error::Io(_) => Self::Unreachable,
            Error::Connection(sansocket::Error::InvalidConfig(_)) => Self::Usage,
            _ => Self::Other,
        }
    }

    fn of_connecting(error: &ConnectError) -> Self {
        match error {
            ConnectError::ProxyUrl(_) => Self::Usage,
            ConnectError::Proxy { failure: ProxyFailure::Header(_) | ProxyFailure::TooLong, .. } => {
                Self::Usage
            }
            ConnectError::Tls(_) | ConnectError::TimedOut { step: Step::Tls } => Self::Tls,
            ConnectError::Redirect(_) => Self::Refused,
            _ => Self::Unreachable,
        }
    }

    /// The status of a connection that was open.
    pub fn of_summary(summary: &Summary<'_>) -> Self {
        use sansocket::Error as Failure;

        match summary.error {
            Some(Failure::Timeout(_) | Failure::UnexpectedEof) => return Self::Lost,
            Some(Failure::MaskKey | Failure::InvalidConfig(_)) => return Self::Other,
            Some(_) => return Self::Protocol,
            None => {}
        }
        // The answer to our own Close frame repeats its code.
        let is_good = summary.initiator == Initiator::Local
            || matches!(summary.code, CloseCode::NORMAL | CloseCode::NO_STATUS_RECEIVED);
        match summary.code {
            CloseCode::ABNORMAL => Self::Lost,
            _ if !summary.clean => Self::Lost,
            _ if is_good => Self::Done,
            code => Self::Closed(code),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_have_their_own_status() {
        for (code, status) in [(1001, 11), (1008, 18), (1011, 21), (1014, 24), (3000, 30), (4999, 40)] {
            assert_eq!(Exit::Closed(CloseCode::new(code)).status(), status, "{code}");
        }
    }
}
