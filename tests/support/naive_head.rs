//! Heads of HTTP/1.1 read the simple way, all at once and by RFC 9112 alone: what the library's verdicts are compared with.

#![allow(dead_code, reason = "each program uses its part")]

use core::str;

/// A complete head.
#[derive(Debug, PartialEq)]
pub struct NaiveHead {
    /// Method, target and version, or version, status and reason.
    pub first: [Vec<u8>; 3],
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many bytes it has, with what was skipped before it.
    pub len: usize,
}

impl NaiveHead {
    /// The headers as the library shows them.
    pub fn borrowed(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (str::from_utf8(name).unwrap_or_default(), &value[..]))
    }
}

/// `None` without a blank line; an error for what is no head, or larger than the default limits allow.
pub fn request(bytes: &[u8]) -> Option<Result<NaiveHead, ()>> {
    let rest = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let skipped = bytes.len() - rest.len();
    read(rest, skipped, false, |line| {
        let parts: Vec<_> = line.split(|byte| *byte == b' ').collect();
        let [method, target, version] = parts[..] else { return None };
        let is_target = |byte: &u8| byte.is_ascii_graphic() && *byte != b'#';
        let is_valid = (1..=40).contains(&method.len())
            && method.iter().all(is_tchar)
            && (1..=8192).contains(&target.len())
            && target.iter().all(is_target)
            && matches!(version, b"HTTP/1.0" | b"HTTP/1.1");
        is_valid.then(|| [method.to_vec(), target.to_vec(), version.to_vec()])
    })
}

/// As [`request`]; a folded line is read with a space.
pub fn response(bytes: &[u8]) -> Option<Result<NaiveHead, ()>> {
    read(bytes, 0, true, |line| {
        let (version, rest) = line.split_at_checked(8)?;
        let (status, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
        let reason = if reason.is_empty() { reason } else { reason.strip_prefix(b" ")? };
        let is_valid = matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
            && matches!(status, [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit))
            && reason.iter().all(is_value);
        is_valid.then(|| [version.to_vec(), status.to_vec(), reason.to_vec()])
    })
}

fn read(
    bytes: &[u8],
    skipped: usize,
    folds: bool,
    first: impl Fn(&[u8]) -> Option<[Vec<u8>; 3]>,
) -> Option<Result<NaiveHead, ()>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let len = skipped + end + 4;
    let mut lines = Vec::new();
    for line in bytes[..end].split(|byte| *byte == b'\n') {
        lines.push(line);
    }
    // All but the last one still have their CR.
    let last = lines.pop().unwrap_or_default();
    let mut whole = Vec::new();
    for line in lines {
        let Some(line) = line.strip_suffix(b"\r") else { return Some(Err(())) };
        whole.push(line);
    }
    whole.push(last);
    let Some(first) = first(whole[0]) else { return Some(Err(())) };
    let mut headers: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in &whole[1..] {
        if !line.iter().all(is_value) {
            return Some(Err(()));
        }
        if let (Some((_, value)), true, [b' ' | b'\t', ..]) = (headers.last_mut(), folds, line) {
            value.push(b' ');
            value.extend(trim(line));
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Some(Err(())) };
        if colon == 0 || !line[..colon].iter().all(is_tchar) {
            return Some(Err(()));
        }
        headers.push((line[..colon].to_vec(), trim(&line[colon + 1..]).to_vec()));
    }
    for (_, value) in &mut headers {
        *value = trim(value).to_vec();
    }
    let is_small = headers.len() <= 100 && len <= 16_384;
    Some(if is_small { Ok(NaiveHead { first, headers, len }) } else { Err(()) })
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_tchar(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte)
}

fn is_value(byte: &u8) -> bool {
    *byte == b'\t' || *byte == b' ' || byte.is_ascii_graphic() || !byte.is_ascii()
}
