//! Where a redirect leads (RFC 9110 §15.4, RFC 3986 §5).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::handshake::Refusal;
use crate::{UriError, WebSocketUri};

/// Whether this answer sends the request elsewhere.
pub(super) fn is_redirect(refusal: &Refusal) -> bool {
    matches!(refusal.head().status(), 301 | 302 | 303 | 307 | 308)
}

/// The target of a `Location` in the answer to a request for `base`; `http` and `https` stand for `ws` and `wss`.
pub(super) fn resolve(base: &WebSocketUri, location: &str) -> Result<WebSocketUri, UriError> {
    // A fragment is for whoever shows the document.
    let location = location.split('#').next().unwrap_or_default();
    let secure = base.is_secure();
    if has_scheme(location) {
        return WebSocketUri::parse(location);
    }
    if let Some(rest) = location.strip_prefix("//") {
        return parse(secure, rest);
    }
    let base_path = base.resource_name().split('?').next().unwrap_or_default();
    let (path, query) = match location.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (location, None),
    };
    let target = match (path, query) {
        ("", None) => String::from(base.resource_name()),
        ("", Some(query)) => format!("{base_path}?{query}"),
        (path, query) => {
            let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let whole = if path.starts_with('/') { path.into() } else { format!("{folder}/{path}") };
            let path = remove_dot_segments(&whole);
            query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
        }
    };
    parse(secure, &format!("{}{target}", base.authority()))
}

/// Whether both are of one origin (RFC 6454 §4).
pub(super) fn is_same_origin(one: &WebSocketUri, other: &WebSocketUri) -> bool {
    (one.is_secure(), one.host(), one.port()) == (other.is_secure(), other.host(), other.port())
}

fn parse(secure: bool, rest: &str) -> Result<WebSocketUri, UriError> {
    WebSocketUri::parse(&format!("{}://{rest}", if secure { "wss" } else { "ws" }))
}

fn has_scheme(location: &str) -> bool {
    location.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}

/// RFC 3986 §5.2.4, for a path that begins with a slash.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn references_are_resolved() {
        let base = WebSocketUri::parse("wss://host:8443/a/b/c?q=1").unwrap();
        for (location, expected) in [
            ("https://other/x?y#z", "wss://other/x?y"),
            ("HTTP://other:81", "ws://other:81/"),
            ("ws://other/", "ws://other/"),
            ("//other/x", "wss://other/x"),
            ("/x/./y/../z", "wss://host:8443/x/z"),
            ("d", "wss://host:8443/a/b/d"),
            ("./d/", "wss://host:8443/a/b/d/"),
            ("../d?e=f:g", "wss://host:8443/a/d?e=f:g"),
            ("../../../../d", "wss://host:8443/d"),
            ("..", "wss://host:8443/a/"),
            ("?r=2", "wss://host:8443/a/b/c?r=2"),
            ("", "wss://host:8443/a/b/c?q=1"),
            ("/a b/{c}|\u{e9}?[d]", "wss://host:8443/a%20b/%7Bc%7D%7C%C3%A9?%5Bd%5D"),
            ("https://other/a b", "wss://other/a%20b"),
            ("#top", "wss://host:8443/a/b/c?q=1"),
        ] {
            assert_eq!(resolve(&base, location).unwrap().to_string(), expected, "{location}");
        }
        for (location, error) in [
            ("ftp://other/", UriError::Scheme),
            ("mailto:me", UriError::Scheme),
            ("https:other", UriError::Scheme),
            ("https://", UriError::Host),
            ("https://me:pw@other/", UriError::UserInfo),
            ("/a\\b", UriError::Character { at: 17 }),
        ] {
            assert_eq!(resolve(&base, location), Err(error), "{location}");
        }
    }
}
