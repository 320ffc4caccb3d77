//! Close codes: which are accepted, sent and echoed (RFC 6455 §7.4).

mod support;

use sansocket::{CloseCode, Config, Error, Limit, ProtocolError, Role, SendError, State};
use support::wire::{self, CLOSE, FIN};
use support::{NOW, ROLES, Row, Seen, Session, accept, connection, reject};

/// The codes of §7.4 and of the IANA registry that may be on the wire, written down once more.
fn on_the_wire(code: u16) -> bool {
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code)
        || (3000..5000).contains(&code)
}

fn refused_on_receipt(codes: &[u16]) {
    for role in ROLES {
        for &code in codes {
            for reason in ["", "why"] {
                let error = ProtocolError::InvalidCloseCode(CloseCode::new(code));
                reject(role, &wire::close(role, code, reason), error, CloseCode::PROTOCOL_ERROR);
            }
        }
    }
}

fn refused_on_sending(codes: &[u16]) {
    for role in ROLES {
        for &code in codes {
            let mut session = Session::new(role);
            let code = CloseCode::new(code);
            let refused = session.connection.close(NOW, code, "why", &mut session.out);
            assert_eq!(refused, Err(SendError::InvalidCloseCode(code)), "{role:?}");
            assert_eq!((session.out.len(), session.connection.state()), (0, State::Open), "nothing happened");
            session.connection.close(NOW, CloseCode::NORMAL, "", &mut session.out).unwrap();
        }
    }
}

fn accepted_and_echoed(codes: &[u16]) {
    for role in ROLES {
        for &code in codes {
            let close = wire::close(role, code, "why");
            accept(role, &close, &[Seen::close(CloseCode::new(code), "why")]);
            let mut session = Session::new(role);
            session.feed(&close).unwrap();
            assert_eq!(session.sent(), [(FIN | CLOSE, code.to_be_bytes().to_vec())]);
        }
    }
}

#[test]
fn codes_that_are_only_reported_are_never_written() {
    // conf: CC-01
    refused_on_sending(&[1005, 1006, 1015]);
    for role in ROLES {
        let mut out = Vec::new();
        connection(role, Config::default()).close(NOW, CloseCode::new(1014), "", &mut out).unwrap();
    }
}

#[test]
fn codes_that_are_only_reported_are_refused_from_a_peer() {
    // conf: CC-02
    refused_on_receipt(&[1005, 1006, 1015]);
    accepted_and_echoed(&[1007, 1014]);
}

#[test]
fn codes_below_1000_are_not_used() {
    // conf: CC-03
    let codes = [0, 1, 256, 998, 999];
    refused_on_receipt(&codes);
    refused_on_sending(&codes);
    accepted_and_echoed(&[1000]);
}

#[test]
fn registered_codes_are_accepted_and_echoed() {
    // conf: CC-04
    accepted_and_echoed(&[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]);
}

#[test]
fn undefined_codes_are_refused() {
    // conf: CC-05
    let codes = [1004, 1016, 1017, 1100, 2000, 2999];
    refused_on_receipt(&codes);
    refused_on_sending(&codes);
}

#[test]
fn codes_of_libraries_and_applications_are_free() {
    // conf: CC-06
    let codes = [3000, 3001, 3999, 4000, 4001, 4999];
    accepted_and_echoed(&codes);
    for role in ROLES {
        for code in codes {
            let mut session = Session::new(role);
            session.connection.close(NOW, CloseCode::new(code), "why", &mut session.out).unwrap();
            assert_eq!(session.sent(), [(FIN | CLOSE, wire::close_body(code, "why"))]);
        }
    }
}

#[test]
fn codes_from_5000_on_are_refused() {
    // conf: CC-07
    let codes = [5000, 5001, 9999, 0x8000, 65535];
    refused_on_receipt(&codes);
    refused_on_sending(&codes);
}

#[test]
fn every_code_is_judged_the_same_in_both_directions() {
    // conf: CC-01 CC-02 CC-03 CC-04 CC-05 CC-06 CC-07
    for code in 0..=u16::MAX {
        let valid = on_the_wire(code);
        assert_eq!(CloseCode::new(code).is_sendable(), valid, "{code}");
        for role in ROLES {
            let mut session = Session::new(role);
            assert_eq!(session.feed(&wire::close(role, code, "")).is_ok(), valid, "{code}");
        }
        let mut out = Vec::new();
        let sent = connection(Role::Client, Config::default()).close(NOW, CloseCode::new(code), "", &mut out);
        assert_eq!(sent.is_ok(), valid, "{code}");
        assert_eq!(out.is_empty(), !valid, "{code}");
    }
}

#[test]
fn a_server_does_not_miss_an_extension() {
    // conf: CC-08
    let code = CloseCode::MANDATORY_EXTENSION;
    let mut out = Vec::new();
    let mut server = connection(Role::Server, Config::default());
    assert_eq!(server.close(NOW, code, "", &mut out), Err(SendError::InvalidCloseCode(code)));
    assert_eq!((out.len(), server.state()), (0, State::Open));
    let mut client = connection(Role::Client, Config::default());
    client.close(NOW, code, "permessage-deflate", &mut out).unwrap();
    assert_eq!(
        wire::plain(Role::Client, &out),
        [(FIN | CLOSE, wire::close_body(1010, "permessage-deflate"))]
    );
}

#[test]
fn each_cause_has_its_code() {
    // conf: CC-09
    for role in ROLES {
        reject(role, &[0x70], ProtocolError::ReservedBits(7), CloseCode::new(1002));
        let mut session = Session::new(role);
        let error = session.feed(&wire::frame(role, FIN | 1, b"\xFF")).unwrap_err();
        assert_eq!(error.close_code(), Some(CloseCode::new(1007)));
        let big = Row::new(role, &wire::binary(role, b"12345")).config(Config::new().max_frame_size(4));
        big.reject(Error::TooBig { limit: 4 }, CloseCode::new(1009));
        let many = wire::fragments(role, 2, &[b"1", b"2"]);
        let many = Row::new(role, &many).config(Config::new().max_fragments(1));
        many.reject(Error::Policy(Limit::Fragments), CloseCode::new(1008));
    }
    assert_eq!(Error::Timeout(sansocket::Deadline::Pong).close_code(), Some(CloseCode::new(1011)));
    assert_eq!(Error::Timeout(sansocket::Deadline::Message).close_code(), Some(CloseCode::new(1008)));
    assert_eq!(Error::Timeout(sansocket::Deadline::Idle).close_code(), Some(CloseCode::new(1001)));
    for silent in [Error::UnexpectedEof, Error::MaskKey, Error::Timeout(sansocket::Deadline::Close)] {
        assert_eq!(silent.close_code(), None);
    }
}
