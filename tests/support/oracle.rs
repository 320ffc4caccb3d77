//! A receiving endpoint written down naively from RFC 6455: whole buffer in, everything out. It shares no code with
//! the crate, remembers nothing between calls and copies as it likes.
//!
//! Where one byte breaks several rules, the first of them in this order is named: opcode, reserved bits, order of
//! fragments; then mask, FIN of control frames, length of control frames.

#![allow(dead_code, unreachable_pub, reason = "each user needs its own part")]

/// The rules that a peer can break, and the limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    ReservedOpcode(u8),
    ReservedBits(u8),
    UnexpectedContinuation,
    UnfinishedMessage,
    MaskMissing,
    MaskUnexpected,
    ControlFragmented,
    ControlTooLong,
    LengthNotMinimal,
    LengthOutOfRange,
    CloseBodyTooShort,
    InvalidCloseCode(u16),
    InvalidUtf8(u64),
    TooBig(u64),
    Fragments,
    EmptyFragments,
}

impl Fault {
    /// The code of the Close frame for it (RFC 6455 §7.4.1).
    pub fn code(&self) -> u16 {
        match self {
            Self::InvalidUtf8(_) => 1007,
            Self::Fragments | Self::EmptyFragments => 1008,
            Self::TooBig(_) => 1009,
            _ => 1002,
        }
    }
}

/// What an application sees.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, Vec<u8>),
}

/// A control frame that the endpoint answers with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    Pong(Vec<u8>),
    /// The body of the Close that answers a Close.
    Close(Vec<u8>),
    /// The code of the Close that fails the connection.
    Fail(u16),
}

/// The receiving side and what it allows.
#[derive(Clone, Debug)]
pub struct Rules {
    pub server: bool,
    /// The limit on messages; none for an endpoint that passes chunks on.
    pub max_message: Option<u64>,
    pub max_frame: u64,
    pub max_fragments: u64,
    pub max_empty_fragments: u64,
}

impl Rules {
    /// Only what RFC 6455 asks for.
    pub fn lenient(server: bool) -> Self {
        Self {
            server,
            max_message: None,
            max_frame: u64::MAX,
            max_fragments: u64::MAX,
            max_empty_fragments: u64::MAX,
        }
    }
}

/// All that can be said about a stream of bytes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    pub seen: Vec<Seen>,
    pub replies: Vec<Reply>,
    pub fault: Option<Fault>,
    /// Whole frames in front of the fault or the end, as (FIN, opcode, payload).
    pub frames: Vec<(bool, u8, Vec<u8>)>,
    /// The message that has begun and not ended: its opcode and what has arrived of it.
    pub unfinished: Option<(u8, Vec<u8>)>,
    /// Where the first frame begins that is not in `frames`: the length of the input if it ends between frames.
    pub whole: usize,
}

impl Verdict {
    pub fn is_closed(&self) -> bool {
        matches!(self.seen.last(), Some(Seen::Close(..)))
    }
}

/// What can be said about frames alone, without a look at what they carry.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Frames {
    /// Whole frames, as (FIN, opcode, payload).
    pub frames: Vec<(bool, u8, Vec<u8>)>,
    pub fault: Option<Fault>,
    /// Where the first frame begins that is not in `frames`.
    pub whole: usize,
}

/// Cuts `bytes` into frames; Close is a frame like any other.
pub fn frames(server: bool, bytes: &[u8]) -> Frames {
    let mut found = Frames::default();
    let rules = Rules::lenient(server);
    let mut in_message = false;
    loop {
        let rest = &bytes[found.whole..];
        let header = match parse_header(&rules, rest, in_message) {
            Ok(Some(header)) => header,
            Ok(None) => return found,
            Err(fault) => return Frames { fault: Some(fault), ..found },
        };
        if ((rest.len() - header.size) as u64) < header.len {
            return found;
        }
        let payload = unmasked(&header, rest);
        found.whole += header.size + payload.len();
        in_message = if header.opcode < 8 { !header.fin } else { in_message };
        found.frames.push((header.fin, header.opcode, payload));
    }
}

/// As much of the payload as is there.
fn unmasked(header: &Header, frame: &[u8]) -> Vec<u8> {
    let bytes = frame[header.size..].iter().take(usize::try_from(header.len).unwrap_or(usize::MAX));
    bytes.enumerate().map(|(i, byte)| byte ^ header.key[i % 4]).collect()
}

struct Header {
    fin: bool,
    opcode: u8,
    key: [u8; 4],
    len: u64,
    size: usize,
}

/// Judges `bytes`, all that a peer ever sent.
pub fn judge(rules: &Rules, bytes: &[u8]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut message = Message::default();
    while verdict.fault.is_none() && !verdict.is_closed() {
        match step(rules, &bytes[verdict.whole..], &mut message, &mut verdict) {
            Ok(Some(taken)) => verdict.whole += taken,
            Ok(None) => break,
            Err(fault) => {
                verdict.replies.push(Reply::Fail(fault.code()));
                verdict.fault = Some(fault);
            }
        }
    }
    verdict.unfinished = message.opcode.map(|opcode| (opcode, message.payload));
    verdict
}

#[derive(Default)]
struct Message {
    opcode: Option<u8>,
    payload: Vec<u8>,
    announced: u128,
    fragments: u64,
    empty: u64,
}

/// Takes one frame and says how long it was; `None` while it is incomplete and so far without fault.
fn step(
    rules: &Rules,
    bytes: &[u8],
    message: &mut Message,
    verdict: &mut Verdict,
) -> Result<Option<usize>, Fault> {
    let Some(header) = parse_header(rules, bytes, message.opcode.is_some())? else { return Ok(None) };
    if header.opcode < 8 {
        announce(rules, &header, message)?;
    }
    let payload = unmasked(&header, bytes);
    let complete = payload.len() as u64 == header.len;
    if header.opcode < 8 {
        message.payload.extend_from_slice(&payload);
        if message.opcode == Some(1) {
            match utf8(&message.payload) {
                Utf8::Valid => {}
                Utf8::Incomplete(_) if !(complete && header.fin) => {}
                Utf8::Incomplete(valid) | Utf8::Invalid(valid) => {
                    return Err(Fault::InvalidUtf8(valid as u64));
                }
            }
        }
    }
    if !complete {
        return Ok(None);
    }
    let size = header.size + payload.len();
    match header.opcode {
        8 => {
            let (code, reason) = close_body(&payload)?;
            verdict.replies.push(Reply::Close(payload.iter().take(2).copied().collect()));
            verdict.seen.push(Seen::Close(code, reason));
        }
        9 => {
            verdict.replies.push(Reply::Pong(payload.clone()));
            verdict.seen.push(Seen::Ping(payload.clone()));
        }
        10 => verdict.seen.push(Seen::Pong(payload.clone())),
        _ if header.fin => {
            let whole = core::mem::take(message);
            verdict.seen.push(match whole.opcode {
                Some(1) => Seen::Text(whole.payload),
                _ => Seen::Binary(whole.payload),
            });
        }
        _ => {}
    }
    verdict.frames.push((header.fin, header.opcode, payload));
    Ok(Some(size))
}

fn parse_header(rules: &Rules, bytes: &[u8], in_message: bool) -> Result<Option<Header>, Fault> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 15);
    match opcode {
        3..=7 | 11..=15 => return Err(Fault::ReservedOpcode(opcode)),
        _ if rsv != 0 => return Err(Fault::ReservedBits(rsv)),
        0 if !in_message => return Err(Fault::UnexpectedContinuation),
        1 | 2 if in_message => return Err(Fault::UnfinishedMessage),
        _ => {}
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    let (masked, short) = (second & 0x80 != 0, second & 0x7F);
    match masked {
        false if rules.server => return Err(Fault::MaskMissing),
        true if !rules.server => return Err(Fault::MaskUnexpected),
        _ if opcode >= 8 && !fin => return Err(Fault::ControlFragmented),
        _ if opcode >= 8 && short > 125 => return Err(Fault::ControlTooLong),
        _ => {}
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(digits) = bytes.get(2..2 + extended) else { return Ok(None) };
    let len = match extended {
        0 => u64::from(short),
        _ => digits.iter().fold(0, |len, digit| len << 8 | u64::from(*digit)),
    };
    match extended {
        2 if len < 126 => return Err(Fault::LengthNotMinimal),
        8 if len < 65536 => return Err(Fault::LengthNotMinimal),
        8 if len > i64::MAX as u64 => return Err(Fault::LengthOutOfRange),
        _ => {}
    }
    let mut size = 2 + extended;
    let mut key = [0; 4];
    if masked {
        let Some(found) = bytes.get(size..size + 4) else { return Ok(None) };
        key.copy_from_slice(found);
        size += 4;
    }
    Ok(Some(Header { fin, opcode, key, len, size }))
}

/// The limits, each judged by the header of the frame that goes over it.
fn announce(rules: &Rules, header: &Header, message: &mut Message) -> Result<(), Fault> {
    let alone = message.opcode.is_none() && header.fin;
    message.opcode.get_or_insert(header.opcode);
    message.announced += u128::from(header.len);
    if header.len > rules.max_frame {
        return Err(Fault::TooBig(rules.max_frame));
    }
    if let Some(limit) = rules.max_message.filter(|limit| message.announced > u128::from(*limit)) {
        return Err(Fault::TooBig(limit));
    }
    if alone {
        return Ok(());
    }
    message.fragments += 1;
    message.empty += u64::from(header.len == 0);
    if message.fragments > rules.max_fragments {
        return Err(Fault::Fragments);
    }
    if message.empty > rules.max_empty_fragments {
        return Err(Fault::EmptyFragments);
    }
    Ok(())
}

/// RFC 6455 §5.5.1, §7.4.
fn close_body(body: &[u8]) -> Result<(u16, Vec<u8>), Fault> {
    if body.is_empty() {
        return Ok((1005, Vec::new()));
    }
    if body.len() == 1 {
        return Err(Fault::CloseBodyTooShort);
    }
    let code = u16::from(body[0]) * 256 + u16::from(body[1]);
    let defined = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    if !defined.contains(&code) && !(3000..5000).contains(&code) {
        return Err(Fault::InvalidCloseCode(code));
    }
    match utf8(&body[2..]) {
        Utf8::Valid => Ok((code, body[2..].to_vec())),
        Utf8::Incomplete(valid) | Utf8::Invalid(valid) => Err(Fault::InvalidUtf8(valid as u64)),
    }
}

/// How far bytes are UTF-8; the numbers count the bytes of the whole characters in front.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Utf8 {
    Valid,
    /// The last character may still be completed.
    Incomplete(usize),
    Invalid(usize),
}

/// The grammar of RFC 3629 §4, row by row.
pub fn utf8(bytes: &[u8]) -> Utf8 {
    let mut at = 0;
    while let Some(&lead) = bytes.get(at) {
        let tails: &[(u8, u8)] = match lead {
            0x00..=0x7F => &[],
            0xC2..=0xDF => &[(0x80, 0xBF)],
            0xE0 => &[(0xA0, 0xBF), (0x80, 0xBF)],
            0xE1..=0xEC | 0xEE..=0xEF => &[(0x80, 0xBF), (0x80, 0xBF)],
            0xED => &[(0x80, 0x9F), (0x80, 0xBF)],
            0xF0 => &[(0x90, 0xBF), (0x80, 0xBF), (0x80, 0xBF)],
            0xF1..=0xF3 => &[(0x80, 0xBF), (0x80, 0xBF), (0x80, 0xBF)],
            0xF4 => &[(0x80, 0x8F), (0x80, 0xBF), (0x80, 0xBF)],
            _ => return Utf8::Invalid(at),
        };
        for (i, (low, high)) in tails.iter().enumerate() {
            match bytes.get(at + 1 + i) {
                None => return Utf8::Incomplete(at),
                Some(tail) if tail < low || tail > high => return Utf8::Invalid(at),
                Some(_) => {}
            }
        }
        at += 1 + tails.len();
    }
    Utf8::Valid
}

/// Writes a frame, right or wrong: `first` is its first byte as it is, the length stands in `extended` (0, 2 or 8)
/// bytes, or in the fewest.
pub fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8], extended: Option<usize>) -> Vec<u8> {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let fewest = match payload.len() {
        0..=125 => 0,
        126..=65535 => 2,
        _ => 8,
    };
    let mut bytes = vec![first];
    match extended.unwrap_or(fewest).max(fewest) {
        0 => bytes.push(mask_bit | payload.len() as u8),
        2 => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend(key.into_iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
    bytes
}
