//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};

use crate::data::Encoding;

const AFTER_HELP: &str = "\
On a terminal:
  Each line that you enter is sent as a message. '>' marks what you sent,
  '<' what you received, '*' what happened to the connection. Control
  characters of the peer are escaped. Ctrl-C closes the connection and waits
  for the answer; a second Ctrl-C ends wscat immediately. Ctrl-D closes too.

  /ping [TEXT]             sends a ping; its pong is shown with the time it took
  /pong [TEXT]             sends a pong that nobody asked for
  /close [CODE [REASON]]   closes, with code 1000 by default
  /text [TEXT]             sends TEXT as it stands, also an empty one
  /binary HEX              sends a binary message, given as hex digits
  /base64 BASE64           sends a binary message, given as base64
  /help                    lists these commands
  //TEXT                   sends a text message that begins with one slash

In a pipe (the standard input or output is no terminal):
  Each line of the input is sent as a text message; each message received is a
  line of the output, binary messages as hex. All else goes to the standard
  error. The end of the input closes the connection; what the server sends
  before its answer is still printed. With --binary=raw bytes go both ways as
  they come. Nothing is escaped unless it goes to a terminal.

Exit status:
  0       closed with 1000, without a code, or with the code that you sent
  1       another failure
  2       wrong command line, URL, header, certificate file or input
  3       no connection: name, address, proxy, or no answer in time
  4       TLS failed: a certificate is not trusted or refused, and so on
  5       the server answered with another HTTP status than 101
  6       the peer broke the protocol or exceeded a limit
  7       the connection was lost without a closing handshake, or timed out
  11-24   the peer closed with 1001 to 1014 (1008 is 18, 1011 is 21)
  30, 40  the peer closed with 3000 to 3999, with 4000 to 4999
  130     Ctrl-C before the connection was open, or twice

Examples:
  wscat wss://echo.example/
  wscat -u me:secret -s chat.v2 -H 'X-Room: 7' wss://chat.example/
  wscat --ca ca.pem --cert me.pem --key me.key wss://intern.example/
  echo '{\"op\":\"subscribe\"}' | wscat -n wss://feed.example/ | jq .
  echo hello | wscat -q -1 ws://127.0.0.1:9001/
  wscat --binary=raw wss://device.example/firmware <image.bin";

/// A WebSocket client: interactive on a terminal, plain lines in a pipe.
#[derive(Debug, Parser)]
#[command(name = "wscat", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Args {
    /// ws://, wss://, http:// or https:// URL; user and password in it are sent as basic authentication
    pub url: String,

    /// Adds a header; @FILE reads one header a line
    #[arg(short = 'H', long, value_name = "NAME: VALUE|@FILE", help_heading = "Request")]
    pub header: Vec<String>,

    /// Offers a subprotocol; may be given several times, or as a list with commas
    #[arg(
        short,
        long,
        visible_alias = "protocol",
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Request"
    )]
    pub subprotocol: Vec<String>,

    /// Sends an Origin
    #[arg(short, long, help_heading = "Request")]
    pub origin: Option<String>,

    /// Sends this Host instead of the one of the URL
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Request")]
    pub host: Option<String>,

    /// Sends basic authentication
    #[arg(short, long, visible_alias = "auth", value_name = "USER:PASSWORD", help_heading = "Request")]
    pub user: Option<String>,

    /// Sends a bearer token
    #[arg(
        long,
        visible_alias = "oauth2-bearer",
        value_name = "TOKEN",
        conflicts_with = "user",
        help_heading = "Request"
    )]
    pub bearer: Option<String>,

    /// Offers compression; CLASS is shared or dedicated
    #[arg(long, visible_alias = "compressed", value_name = "CLASS", num_args = 0..=1, require_equals = true,
        default_missing_value = "shared", value_parser = ["shared", "dedicated"], help_heading = "Request")]
    pub deflate: Option<String>,

    /// Follows up to so many redirects
    #[arg(long, value_name = "N", help_heading = "Request")]
    pub redirects: Option<u8>,

    /// Follows up to 10 redirects
    #[arg(short = 'L', long, conflicts_with = "redirects", help_heading = "Request")]
    pub location: bool,

    /// Trusts the authorities in this PEM file and no others
    #[arg(long, visible_alias = "cacert", value_name = "FILE", help_heading = "TLS")]
    pub ca: Option<PathBuf>,

    /// Trusts the authorities of the operating system instead of Mozilla's list
    #[arg(long, conflicts_with_all = ["ca", "insecure"], help_heading = "TLS")]
    pub system_ca: bool,

    /// Trusts every certificate, for tests
    #[arg(short = 'k', long, visible_alias = "no-check", conflicts_with = "ca", help_heading = "TLS")]
    pub insecure: bool,

    /// The client certificate with its chain, as PEM
    #[arg(short = 'E', long, value_name = "FILE", help_heading = "TLS")]
    pub cert: Option<PathBuf>,

    /// The key of the client certificate, as PEM; default: in the file of --cert
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "TLS")]
    pub key: Option<PathBuf>,

    /// http://, https:// or socks5://[USER:PASSWORD@]HOST[:PORT]; default: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
    #[arg(short = 'x', long, value_name = "URL", help_heading = "Connection")]
    pub proxy: Option<String>,

    /// Connects without a proxy
    #[arg(long, conflicts_with = "proxy", help_heading = "Connection")]
    pub no_proxy: bool,

    /// Bounds everything up to the open connection
    #[arg(long, visible_alias = "timeout", value_name = "SECONDS", default_value = "10", value_parser = seconds,
        help_heading = "Connection")]
    pub connect_timeout: Duration,

    /// Bounds how long the closing handshake waits for the peer
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Connection")]
    pub close_timeout: Duration,

    /// Sends a ping again and again
    #[arg(long, visible_alias = "ping-interval", value_name = "SECONDS", value_parser = seconds, help_heading = "Connection")]
    pub ping: Option<Duration>,

    /// The longest message that is received
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, help_heading = "Connection")]
    pub max_message: usize,

    /// Connects again when the connection is lost or closed with another code than 1000
    #[arg(long, help_heading = "Connection")]
    pub reconnect: bool,

    /// Sends the input as binary messages; FORMAT is hex (the default) or base64, a line for each, or raw
    #[arg(short, long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "hex",
        hide_possible_values = true, help_heading = "Input and output")]
    pub binary: Option<Encoding>,

    /// Prints binary messages as hex, base64 or raw; default: as --binary, or hex
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Input and output")]
    pub binary_out: Option<Encoding>,

    /// Ends after the first message
    #[arg(short = '1', long = "once", visible_alias = "one-message", help_heading = "Input and output")]
    pub once: bool,

    /// Goes on at the end of the input, until the server closes
    #[arg(short = 'n', long, visible_alias = "no-close", help_heading = "Input and output")]
    pub keep_open: bool,

    /// Takes commands from an input that is no terminal
    #[arg(long, visible_alias = "slash", help_heading = "Input and output")]
    pub commands: bool,

    /// Neither reads nor writes the history file
    #[arg(long, help_heading = "Input and output")]
    pub no_history: bool,

    /// Uses no colors; the environment variable NO_COLOR does the same
    #[arg(long, help_heading = "Input and output")]
    pub no_color: bool,

    /// Shows both HTTP heads, TLS, and unasked pongs; secrets in headers too
    #[arg(short, long, conflicts_with = "quiet", help_heading = "Input and output")]
    pub verbose: bool,

    /// Says nothing but errors beside the messages
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = "Input and output")]
    pub quiet: bool,
}

/// A time that is longer than zero; fractions are allowed.
fn seconds(value: &str) -> Result<Duration, String> {
    let time = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| !time.is_zero()).ok_or_else(|| "must be a number of seconds above 0".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn binary_needs_no_format_and_does_not_take_the_url_for_one() {
        let args = Args::try_parse_from(["wscat", "--binary", "ws://a/"]).unwrap();
        assert_eq!((args.binary, args.url.as_str()), (Some(Encoding::Hex), "ws://a/"));
        let args = Args::try_parse_from(["wscat", "--binary=base64", "ws://a/"]).unwrap();
        assert_eq!(args.binary, Some(Encoding::Base64));
    }

    #[test]
    fn a_time_is_a_positive_number() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "x", "", "NaN", "1e40"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
