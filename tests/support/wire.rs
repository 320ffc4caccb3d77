//! Frames, byte by byte (RFC 6455 §5.2), written without the library so that the two check each other.

use sansocket::Role;

pub const FIN: u8 = 0x80;
pub const RSV1: u8 = 0x40;
pub const RSV2: u8 = 0x20;
pub const RSV3: u8 = 0x10;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The three forms of the length field, whether or not the number needs them.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Short(u8),
    Medium(u16),
    Long(u64),
}

impl Length {
    /// The form that §5.2 demands for this length.
    pub fn shortest(len: usize) -> Self {
        match len {
            0..=125 => Self::Short(len as u8),
            126..=65535 => Self::Medium(len as u16),
            _ => Self::Long(len as u64),
        }
    }
}

/// A header for the given receiver: masked for a server, not masked for a client.
pub fn header(to: Role, first: u8, length: Length) -> Vec<u8> {
    header_with_key(first, (to == Role::Server).then_some(KEY), length)
}

pub fn header_with_key(first: u8, key: Option<[u8; 4]>, length: Length) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match length {
        Length::Short(len) => bytes.push(masked | len),
        Length::Medium(len) => {
            bytes.push(masked | 126);
            bytes.extend(len.to_be_bytes());
        }
        Length::Long(len) => {
            bytes.push(masked | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    bytes.extend(key.into_iter().flatten());
    bytes
}

/// A whole frame for the given receiver, its length in the shortest form.
pub fn frame(to: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with_length(to, first, Length::shortest(payload.len()), payload)
}

pub fn frame_with_length(to: Role, first: u8, length: Length, payload: &[u8]) -> Vec<u8> {
    frame_with_key(first, (to == Role::Server).then_some(KEY), length, payload)
}

pub fn frame_with_key(first: u8, key: Option<[u8; 4]>, length: Length, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header_with_key(first, key, length);
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key.map_or(0, |key| key[i % 4])));
    bytes
}

pub fn text(to: Role, payload: &str) -> Vec<u8> {
    frame(to, FIN | TEXT, payload.as_bytes())
}

pub fn binary(to: Role, payload: &[u8]) -> Vec<u8> {
    frame(to, FIN | BINARY, payload)
}

pub fn ping(to: Role, payload: &[u8]) -> Vec<u8> {
    frame(to, FIN | PING, payload)
}

pub fn pong(to: Role, payload: &[u8]) -> Vec<u8> {
    frame(to, FIN | PONG, payload)
}

pub fn close(to: Role, code: u16, reason: &str) -> Vec<u8> {
    frame(to, FIN | CLOSE, &close_body(code, reason))
}

pub fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// One message in as many frames as there are parts.
pub fn fragments(to: Role, opcode: u8, parts: &[&[u8]]) -> Vec<u8> {
    let last = parts.len() - 1;
    let first_byte = |i| if i == last { FIN } else { 0 } | if i == 0 { opcode } else { CONTINUATION };
    parts.iter().enumerate().flat_map(|(i, part)| frame(to, first_byte(i), part)).collect()
}

/// A frame as it was read from the wire, its payload without the mask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
    pub header_len: usize,
}

/// Reads the frames that `sender` wrote. Panics unless every one is whole, without reserved bits, masked by a client
/// only, and with its length in the shortest form.
pub fn parse(sender: Role, bytes: &[u8]) -> Vec<Frame> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while let [first, second, behind @ ..] = rest {
        assert_eq!(first & 0x70, 0, "reserved bits in {rest:02x?}");
        let extended = [0, 2, 8][usize::from((second & 0x7F).saturating_sub(125))];
        let (length, behind) = behind.split_at(extended);
        let len = match extended {
            0 => usize::from(second & 0x7F),
            _ => length.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        assert!(extended == 0 || len > if extended == 2 { 125 } else { 65535 }, "length not minimal: {len}");
        assert_eq!(second & 0x80 != 0, sender == Role::Client, "mask of {sender:?} in {rest:02x?}");
        let (key, behind) = behind.split_at(if sender == Role::Client { 4 } else { 0 });
        let (payload, behind) = behind.split_at(len);
        let key = <[u8; 4]>::try_from(key).ok();
        let unmask = |(i, byte): (usize, &u8)| byte ^ key.map_or(0, |key| key[i % 4]);
        frames.push(Frame {
            first: *first,
            key,
            payload: payload.iter().enumerate().map(unmask).collect(),
            header_len: 2 + extended + key.map_or(0, |_| 4),
        });
        rest = behind;
    }
    assert!(rest.is_empty(), "half a frame: {rest:02x?}");
    frames
}

/// First byte and payload of each frame that `sender` wrote.
pub fn plain(sender: Role, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    parse(sender, bytes).into_iter().map(|frame| (frame.first, frame.payload)).collect()
}
