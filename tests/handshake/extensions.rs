//! Lists of extensions (RFC 6455 §9.1).

use sansocket::handshake::{Extension, ExtensionError, Extensions, RequestError};

use crate::support::*;

fn parse(lines: &[&str]) -> Result<String, ExtensionError> {
    Extensions::parse(lines.iter().map(|line| line.as_bytes())).map(|list| list.to_string())
}

#[test]
fn the_grammar() {
    // conf: EX-01 SQ-15
    for (lines, canonical) in [
        (&["foo"][..], "foo"),
        (&["foo;bar"], "foo; bar"),
        (&["foo ; bar = 1\t;baz=\"2\" , quux"], "foo; bar=1; baz=2, quux"),
        (&[", ,foo,,\t,bar,"], "foo, bar"),
        (&["foo, bar; x", "baz"], "foo, bar; x, baz"),
        (&["", "foo", ","], "foo"),
        (&["foo;a;a=1;a=2"], "foo; a; a=1; a=2"),
        (&["!#$%&'*+-.^_`|~09azAZ"], "!#$%&'*+-.^_`|~09azAZ"),
        (&["  foo  "], "foo"),
        (
            &["deflate-stream", "mux; max-channels=4; flow-control, deflate-stream"],
            "deflate-stream, mux; max-channels=4; flow-control, deflate-stream",
        ),
        (&[], ""),
    ] {
        assert_eq!(parse(lines).as_deref(), Ok(canonical), "{lines:?}");
        let request = lines
            .iter()
            .fold(Lines::request(), |request, line| request.add(format!("Sec-WebSocket-Extensions: {line}")));
        assert_eq!(crate::support::request(&request).extensions().as_str(), canonical);
        if !canonical.is_empty() {
            assert_eq!(parse(&[canonical]).as_deref(), Ok(canonical), "the canonical form stays as it is");
        }
    }
    for (line, error) in [
        ("", ExtensionError::Empty),
        (" ,\t, ", ExtensionError::Empty),
        (";", ExtensionError::Name),
        ("=1", ExtensionError::Name),
        ("\"foo\"", ExtensionError::Name),
        ("foo, ;", ExtensionError::Name),
        ("foo bar", ExtensionError::Separator),
        ("foo/bar", ExtensionError::Separator),
        ("foo=1", ExtensionError::Separator),
        ("foo;a b", ExtensionError::Separator),
        ("foo;a=1 2", ExtensionError::Separator),
        ("foo;a=\"1\"2", ExtensionError::Separator),
        ("foo;a=1=2", ExtensionError::Separator),
        ("foo;", ExtensionError::Parameter),
        ("foo;;a", ExtensionError::Parameter),
        ("foo; ,", ExtensionError::Parameter),
        ("a;=1", ExtensionError::Parameter),
        ("foo;\"a\"", ExtensionError::Parameter),
        ("foo;a=", ExtensionError::Value),
        ("foo;a=,", ExtensionError::Value),
        ("foo;a=;b", ExtensionError::Value),
        ("foo;a=(1)", ExtensionError::Value),
        ("foo;a=\u{e9}", ExtensionError::Value),
        ("\u{e9}", ExtensionError::Name),
    ] {
        assert_eq!(parse(&[line]), Err(error), "{line}");
        let (refused, _) =
            refused(&Lines::request().add(format!("Sec-WebSocket-Extensions: {line}")).bytes(), 400);
        assert_eq!(refused, RequestError::Extensions(error), "{line}");
    }
}

#[test]
fn a_quoted_value_is_a_token_inside() {
    // conf: EX-02 SQ-15
    for value in ["\"10\"", "\"\\1\\0\"", "\"1\\0\"", "10", " \"10\" "] {
        assert_eq!(parse(&[&format!("foo;x={value}")]).as_deref(), Ok("foo; x=10"), "{value}");
    }
    for value in [
        "\"\"",
        "\"",
        "\"1",
        "\"1\\",
        "\"1\\\"",
        "\"1 2\"",
        "\"1,2\"",
        "\"1;2\"",
        "\"\\\"\"",
        "\"\\\\\"",
        "\"\\\u{e9}\"",
        "\"=\"",
    ] {
        assert_eq!(parse(&[&format!("foo;x={value}")]), Err(ExtensionError::Value), "{value}");
        refused(&Lines::request().add(format!("Sec-WebSocket-Extensions: foo;x={value}")).bytes(), 400);
    }
    // A quote does not reach over the end of its line.
    assert_eq!(parse(&["foo;x=\"1", "2\""]), Err(ExtensionError::Value));
}

#[test]
fn offers_keep_their_order_and_parameters() {
    // conf: EX-03
    let lines = Lines::request()
        .add("Sec-WebSocket-Extensions: x-unknown; constructor=__proto__, permessage-deflate; server_max_window_bits=10")
        .add("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits");
    let request = request(&lines);
    let offers: Vec<_> = request.extensions().iter().collect();
    let names: Vec<_> = offers.iter().map(Extension::name).collect();
    assert_eq!(names, ["x-unknown", "permessage-deflate", "permessage-deflate"]);
    assert_eq!(offers[0].params().collect::<Vec<_>>(), [("constructor", Some("__proto__"))]);
    assert_eq!(offers[1].params().collect::<Vec<_>>(), [("server_max_window_bits", Some("10"))]);
    assert_eq!(offers[2].params().collect::<Vec<_>>(), [("client_max_window_bits", None)]);
    assert!(request.extensions().contains("x-unknown"));
    assert!(!request.extensions().contains("x-unknow"));
    assert!(!request.extensions().contains("constructor"));
    let again: Extensions = offers.into_iter().collect();
    assert_eq!(&again, request.extensions());
}

#[test]
fn one_extension_is_parsed_from_text() {
    // conf: EX-01
    assert_eq!("a ;b=\"c\"".parse::<Extension<'_>>().unwrap().to_string(), "a; b=c");
    assert_eq!("a, b".parse::<Extension<'_>>(), Err(ExtensionError::Separator));
    assert_eq!("".parse::<Extension<'_>>(), Err(ExtensionError::Empty));
    assert_eq!("a\r\nb".parse::<Extension<'_>>(), Err(ExtensionError::Separator));
}
