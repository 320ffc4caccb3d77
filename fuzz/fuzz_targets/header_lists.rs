//! Lists in headers, over several lines: extensions are what a naive reader of the grammar finds, and written they are read
//! as the same; subprotocols too. Memory is at most four times the input. The lines of the input are those of the header.

#![no_main]

mod meter;

use libfuzzer_sys::fuzz_target;
use sansocket::handshake::{Extension, Extensions, Offer};

/// (name, parameters)
type Parsed = (String, Vec<(String, Option<String>)>);

fuzz_target!(|data: &[u8]| {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let list = meter::within(4 * data.len() + 64, || Extensions::parse(lines.iter().copied()));
    match (&list, naive(&lines)) {
        (Ok(list), Some(expected)) => {
            assert_eq!(list.iter().map(|extension| parsed(&extension)).collect::<Vec<_>>(), expected);
            let again = Extensions::parse([list.as_str().as_bytes()]).expect("what it wrote is a list");
            assert_eq!(&again, list);
            assert!(list.as_str().is_ascii() && !list.as_str().contains(char::is_control));
        }
        (Err(_), None) => {}
        (ours, naive) => panic!("{ours:?} instead of {naive:?}"),
    }
    let headers = |name| lines.iter().map(move |line| (name, *line));
    let version = [("sec-websocket-version", &b"13"[..])];
    let offer = Offer::from_headers(version.into_iter().chain(headers("sec-websocket-protocol")));
    match (offer, subprotocols(&lines)) {
        (Ok(offer), Some(expected)) => assert!(offer.subprotocols().eq(expected)),
        (Err(_), None) => {}
        (ours, naive) => panic!("{:?} instead of {naive:?}", ours.map(drop)),
    }
    // As the only extension there is, each line is what it is in the list, or not one alone.
    for line in lines {
        let Ok(text) = core::str::from_utf8(line) else { continue };
        let alone = text.parse::<Extension<'_>>();
        let listed = naive(&[line]).filter(|list| list.len() == 1);
        assert_eq!(alone.ok().map(|alone| parsed(&alone)), listed.map(|mut list| list.remove(0)));
    }
});

fn parsed(extension: &Extension<'_>) -> Parsed {
    let params = extension.params().map(|(name, value)| (name.into(), value.map(Into::into)));
    (extension.name().into(), params.collect())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = bytes.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(start, |end| end + 1);
    &bytes[start..end]
}

fn token(bytes: &[u8]) -> Option<String> {
    let valid = !bytes.is_empty() && bytes.iter().all(|byte| is_token(*byte));
    valid.then(|| String::from_utf8_lossy(bytes).into_owned())
}

/// Splits at each `separator` that stands outside of quotes.
fn split(bytes: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if *byte == separator && !quoted => {
                parts.push(&bytes[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&bytes[start..]);
    parts
}

/// RFC 6455 §9.1, one pass for each level.
fn naive(lines: &[&[u8]]) -> Option<Vec<Parsed>> {
    let mut list = Vec::new();
    for line in lines {
        for element in split(line, b',') {
            if trim(element).is_empty() {
                continue;
            }
            let mut parts = split(element, b';').into_iter();
            let name = token(trim(parts.next()?))?;
            let params = parts.map(parameter).collect::<Option<Vec<_>>>()?;
            list.push((name, params));
        }
    }
    (!list.is_empty()).then_some(list)
}

fn parameter(text: &[u8]) -> Option<(String, Option<String>)> {
    let Some(equals) = text.iter().position(|byte| *byte == b'=') else {
        return Some((token(trim(text))?, None));
    };
    let (name, value) = (trim(&text[..equals]), trim(&text[equals + 1..]));
    let value = match value {
        [b'"', rest @ ..] => {
            let (mut plain, mut bytes) = (Vec::new(), rest.iter());
            loop {
                match bytes.next()? {
                    b'"' => break,
                    b'\\' => plain.push(*bytes.next()?),
                    byte => plain.push(*byte),
                }
            }
            if !bytes.as_slice().is_empty() {
                return None;
            }
            token(&plain)?
        }
        plain => token(plain)?,
    };
    Some((token(name)?, Some(value)))
}

/// RFC 6455 §4.1: a list of different tokens.
fn subprotocols(lines: &[&[u8]]) -> Option<Vec<String>> {
    let elements = lines.iter().flat_map(|line| line.split(|byte| *byte == b','));
    let mut list = Vec::new();
    for element in elements.map(trim).filter(|element| !element.is_empty()) {
        let name = token(element)?;
        if list.contains(&name) {
            return None;
        }
        list.push(name);
    }
    (!list.is_empty()).then_some(list)
}
