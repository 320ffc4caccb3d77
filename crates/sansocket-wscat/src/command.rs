//! Commands and messages in lines of the input.

use sansocket::CloseCode;

use crate::data::Encoding;

/// The action that a line asks for.
#[derive(Debug, Eq, PartialEq)]
pub enum Command {
    Text(String),
    Binary(Vec<u8>),
    Ping(String),
    Pong(String),
    Close(CloseCode, String),
    Help,
    /// Not understood; the text says why.
    Wrong(String),
}

pub const HELP: &str = "\
/ping [TEXT]            sends a ping
/pong [TEXT]            sends a pong
/close [CODE [REASON]]  closes, with 1000 by default
/text [TEXT]            sends TEXT as it stands
/binary HEX             sends a binary message
/base64 BASE64          sends a binary message
/help                   lists these commands
//TEXT                  sends a text that begins with a slash
Ctrl-C or Ctrl-D closes, a second Ctrl-C ends immediately";

impl Command {
    /// Reads a line. `binary` says how lines without a command are encoded, if they are binary messages.
    pub fn parse(line: String, has_commands: bool, binary: Option<Encoding>) -> Self {
        if has_commands && let Some(command) = line.strip_prefix('/') {
            let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
            match word {
                "ping" => return Self::Ping(rest.into()),
                "pong" => return Self::Pong(rest.into()),
                "text" => return Self::Text(rest.into()),
                "binary" => return Self::binary(Encoding::Hex, rest),
                "base64" => return Self::binary(Encoding::Base64, rest),
                "close" => return Self::close(rest),
                "help" => return Self::Help,
                _ if command.starts_with('/') => return Self::Text(command.into()),
                _ => {
                    return Self::Wrong(format!(
                        "no such command: /{word}; /help lists them, // sends a slash"
                    ));
                }
            }
        }
        match binary {
            None => Self::Text(line),
            Some(encoding) => Self::binary(encoding, &line),
        }
    }

    fn binary(encoding: Encoding, text: &str) -> Self {
        encoding.decode(text).map_or_else(|error| Self::Wrong(format!("binary data {error}")), Self::Binary)
    }

    fn close(rest: &str) -> Self {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        match code.parse::<u16>() {
            Ok(code) => Self::Close(code.into(), reason.into()),
            Err(_) if rest.is_empty() => Self::Close(CloseCode::NORMAL, String::new()),
            Err(_) => Self::Wrong(format!("close code must be a number: {code}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command {
        Command::parse(line.into(), true, None)
    }

    #[test]
    fn commands_and_text_are_told_apart() {
        assert_eq!(parse("hello /ping"), Command::Text("hello /ping".into()));
        assert_eq!(parse("//ping"), Command::Text("/ping".into()));
        assert_eq!(parse("/text /ping  x"), Command::Text("/ping  x".into()));
        assert_eq!(parse("/text"), Command::Text(String::new()));
        assert_eq!(parse("/ping a b"), Command::Ping("a b".into()));
        assert_eq!(parse("/binary 0aff"), Command::Binary(vec![10, 255]));
        assert_eq!(parse("/base64 Cv8="), Command::Binary(vec![10, 255]));
        assert_eq!(parse("/close"), Command::Close(CloseCode::NORMAL, String::new()));
        assert_eq!(parse("/close 4000 see you"), Command::Close(CloseCode::new(4000), "see you".into()));
        for wrong in ["/pling", "/", "/close x", "/binary 0", "/base64 ="] {
            assert!(matches!(parse(wrong), Command::Wrong(_)), "{wrong}");
        }
    }

    #[test]
    fn without_commands_a_slash_is_text() {
        assert_eq!(Command::parse("/ping".into(), false, None), Command::Text("/ping".into()));
        assert_eq!(
            Command::parse("6869".into(), false, Some(Encoding::Hex)),
            Command::Binary(b"hi".to_vec())
        );
    }
}
