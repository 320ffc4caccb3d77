//! `ws:` and `wss:` URIs (RFC 6455 §3).

use core::time::Duration;

use proptest::prelude::*;
use sansocket::handshake::ClientRequest;
use sansocket::{UriError, WebSocketUri};

fn parse(text: &str) -> WebSocketUri {
    WebSocketUri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> UriError {
    WebSocketUri::parse(text).expect_err(text)
}

#[test]
fn the_scheme_is_ws_or_wss_in_any_case() {
    // conf: UR-01
    assert!(!parse("ws://h/").is_secure());
    assert!(!parse("wS://h/").is_secure());
    assert!(parse("wss://h/").is_secure());
    assert!(parse("WSS://h/").is_secure());
    // As in browsers.
    assert_eq!(parse("http://h:81/x"), parse("ws://h:81/x"));
    assert_eq!(parse("HTTPS://h/x"), parse("wss://h/x"));
    assert_eq!((parse("http://h/").port(), parse("https://h/").port()), (80, 443));
    for text in [
        "httpx://h/",
        "https:/h",
        "http:h",
        "wsx://h/",
        "w://h/",
        "//h/",
        "h/",
        "",
        "ws",
        "ws:",
        "ws:/h",
        "ws:h",
        " ws://h/",
    ] {
        assert_eq!(refused(text), UriError::Scheme, "{text}");
    }
}

#[test]
fn the_port_is_the_default_one_unless_it_is_given() {
    // conf: UR-02
    assert_eq!(parse("ws://h/").port(), 80);
    assert_eq!(parse("wss://h/").port(), 443);
    assert_eq!(parse("ws://h:/").port(), 80);
    assert_eq!(parse("wss://h:").port(), 443);
    assert_eq!(parse("ws://h:443/").port(), 443);
    assert_eq!(parse("wss://h:65535/").port(), 65535);
    assert_eq!(parse("wss://[::1]:9001?x").port(), 9001);
    for port in ["65536", "99999999999999999999999", "+80", "-1", "8o", "80 ", "0x50", "80:80"] {
        assert_eq!(refused(&format!("ws://h:{port}/")), UriError::Port, "{port}");
    }
}

#[test]
fn the_resource_name_is_path_and_query() {
    // conf: UR-03 UR-08
    for (text, name) in [
        ("ws://h", "/"),
        ("ws://h/", "/"),
        ("ws://h?x", "/?x"),
        ("ws://h?", "/?"),
        ("ws://h/a/b?c=d&e=/?:@", "/a/b?c=d&e=/?:@"),
        ("ws://h//a/../b;v=1,2", "//a/../b;v=1,2"),
        ("ws://h/.well-known/x", "/.well-known/x"),
        ("ws://h:1/%41%20", "/%41%20"),
    ] {
        assert_eq!(parse(text).resource_name(), name, "{text}");
    }
}

#[test]
fn a_fragment_is_refused() {
    // conf: UR-04
    for text in ["ws://h/a#b", "ws://h/#", "ws://h#", "ws://#", "ws://h?x#y"] {
        assert_eq!(refused(text), UriError::Fragment, "{text}");
    }
    assert_eq!(parse("ws://h/a%23b").resource_name(), "/a%23b");
}

#[test]
fn every_component_is_checked() {
    // conf: UR-05
    for text in [
        "ws://",
        "ws:///",
        "ws://:80/",
        "ws://?x",
        "ws://a b/",
        "ws://h\r\nEvil: 1/",
        "ws://h\0/",
        "ws://[::1/",
        "ws://::1/",
        "ws://[]/",
        "ws://[h]/",
        "ws://[::g]/",
        "ws://[v1.x]/",
        "ws://[fe80::1%25eth0]/",
        "ws://[::1]x/",
        "ws://h]/",
        "ws://a%41/",
        "ws://h\\a/",
        "ws://h<",
        "ws://h\"/",
        "ws://[::1][::1]/",
    ] {
        let error = refused(text);
        assert!(matches!(error, UriError::Host | UriError::Port), "{text}: {error:?}");
    }
    // What browsers escape is escaped, what they refuse or drop is refused.
    for (escaped, hex) in " \"<>[]^`{|}".chars().zip("20 22 3C 3E 5B 5D 5E 60 7B 7C 7D".split(' ')) {
        assert_eq!(parse(&format!("ws://h/a{escaped}b")).resource_name(), format!("/a%{hex}b"));
        assert_eq!(parse(&format!("ws://h?a{escaped}b")).resource_name(), format!("/?a%{hex}b"));
    }
    for bad in "\r\n\0\t\\\x7f\x1b".chars() {
        for text in [format!("ws://h/a{bad}b"), format!("ws://h?a{bad}b")] {
            assert_eq!(refused(&text), UriError::Character { at: 8 }, "{text:?}");
        }
    }
    for bad in ["%", "%4", "%4g", "%g4", "%%41", "a%", "% 4"] {
        let text = format!("ws://h/{bad}");
        let at = text.find('%').unwrap();
        assert_eq!(refused(&text), UriError::PercentEncoding { at }, "{text}");
    }
    assert_eq!(refused("ws://h/%€"), UriError::PercentEncoding { at: 7 });
    let valid = parse("ws://Ex-am_p~le.com/-._~!$&'()*+,;=:@/?%2f");
    assert_eq!(valid.host(), "ex-am_p~le.com");
    assert_eq!(valid.resource_name(), "/-._~!$&'()*+,;=:@/?%2f");
}

#[test]
fn beyond_ascii_is_percent_encoded_in_path_and_query_and_refused_in_the_host() {
    // conf: UR-06
    assert_eq!(parse("ws://h/é?€=😀").resource_name(), "/%C3%A9?%E2%82%AC=%F0%9F%98%80");
    assert_eq!(refused("ws://exämple.com/"), UriError::HostNotAscii);
    assert_eq!(parse("ws://xn--exmple-cua.com/").host(), "xn--exmple-cua.com");
}

#[test]
fn user_information_is_refused() {
    // conf: UR-07
    for text in ["ws://u:p@h/", "ws://u@h", "ws://@h/", "ws://a@b@c/", "ws://[::1]@h/"] {
        assert_eq!(refused(text), UriError::UserInfo, "{text}");
    }
    assert_eq!(parse("ws://h/u@h").host(), "h");
}

#[test]
fn the_authority_names_the_port_only_if_it_is_not_the_default() {
    // conf: CQ-02
    for (text, host, authority) in [
        ("ws://Example.COM:80/", "example.com", "example.com"),
        ("ws://example.com:443/", "example.com", "example.com:443"),
        ("wss://example.com:443/", "example.com", "example.com"),
        ("wss://example.com:80/", "example.com", "example.com:80"),
        ("ws://[2001:DB8::1]/", "2001:db8::1", "[2001:db8::1]"),
        ("ws://[::ffff:1.2.3.4]:9001/", "::ffff:1.2.3.4", "[::ffff:1.2.3.4]:9001"),
        ("ws://127.0.0.1:9001", "127.0.0.1", "127.0.0.1:9001"),
    ] {
        let uri = parse(text);
        assert_eq!((uri.host(), uri.authority().as_str()), (host, authority), "{text}");
        assert_eq!(parse(&uri.to_string()), uri, "{text}");
    }
}

#[test]
fn the_debug_form_leaves_the_query_out() {
    let uri = parse("wss://h/chat?token=c2VjcmV0&a=?b");
    let request = ClientRequest::new(uri.clone()).header("Authorization", "c2VjcmV0");
    for shown in [format!("{uri:?}"), format!("{request:?}")] {
        assert!(!shown.contains("c2VjcmV0") && shown.contains("\"/chat?…\""), "{shown}");
    }
    assert_eq!(uri.to_string(), "wss://h/chat?token=c2VjcmV0&a=?b");
    assert!(format!("{:?}", parse("ws://h/chat")).contains("resource_name: \"/chat\""));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_the_uri_the_request_has_one_line_per_header(text in "wss?://(\\PC|[ -~\r\n\0]){0,30}") {
        // conf: UR-05 UR-06 CQ-12
        if let Ok(uri) = WebSocketUri::parse(&text) {
            let mut out = Vec::new();
            ClientRequest::new(uri.clone()).start([0; 16], Duration::ZERO, &mut out).unwrap();
            prop_assert!(out.is_ascii());
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            prop_assert!(request.parse(&out).unwrap().is_complete());
            prop_assert_eq!(request.path, Some(uri.resource_name()));
            prop_assert_eq!(request.headers.len(), 5);
            prop_assert_eq!(WebSocketUri::parse(&uri.to_string()), Ok(uri));
        }
    }
}
