//! Output into the caller's sink: validated, whole or not at all, in order (RFC 6455 §6.1).

mod support;

use sansocket::{
    CloseCode, Config, Connection, Fin, Input, Message, Prepared, Role, SendError, Sink, SliceSink,
};
use support::wire::{self, BINARY, CLOSE, FIN, PING, PONG, TEXT};
use support::{NOW, ROLES, Seen, Session, connection, failing_keys};

type Command = fn(&mut Connection, &mut SliceSink<'_>) -> Result<(), SendError>;

/// Every command that writes a frame, with the frame's first byte and payload length.
const COMMANDS: [(Command, u8, usize); 10] = [
    (|c, out| c.send("hello", out), FIN | TEXT, 5),
    (|c, out| c.send("", out), FIN | TEXT, 0),
    (|c, out| c.send(&[7; 125], out), FIN | BINARY, 125),
    (|c, out| c.send(&[7; 126], out), FIN | BINARY, 126),
    (|c, out| c.send_fragment("part", Fin::More, out), TEXT, 4),
    (|c, out| c.send_prepared(&Prepared::new("prepared"), out), FIN | TEXT, 8),
    (|c, out| c.ping(b"ping", out), FIN | PING, 4),
    (|c, out| c.pong(&[1; 125], out), FIN | PONG, 125),
    (|c, out| c.close(NOW, CloseCode::NORMAL, "reason", out), FIN | CLOSE, 8),
    (|c, out| c.close_without_code(NOW, out), FIN | CLOSE, 0),
];

fn frame_len(role: Role, payload: usize) -> usize {
    let header = if payload < 126 { 2 } else { 4 };
    header + payload + if role == Role::Client { 4 } else { 0 }
}

#[test]
fn a_full_sink_never_holds_half_a_frame() {
    // conf: FG-09
    for role in ROLES {
        for (command, first, payload) in COMMANDS {
            let needed = frame_len(role, payload);
            let mut memory = vec![0; needed + 4];
            for size in 0..=memory.len() {
                let mut connection = connection(role, Config::default());
                let mut out = SliceSink::new(&mut memory[..size]);
                let result = command(&mut connection, &mut out);
                if size < needed {
                    assert_eq!(result, Err(SendError::Full { needed }), "{role:?} {first:02x} into {size}");
                    assert_eq!(out.filled(), b"");
                    // The connection is as before: with room the same command succeeds.
                    let mut room = vec![0; needed];
                    let mut out = SliceSink::new(&mut room);
                    assert_eq!(command(&mut connection, &mut out), Ok(()), "the exact room is enough");
                    assert_eq!(wire::parse(role, out.filled()).len(), 1);
                } else {
                    assert_eq!(result, Ok(()));
                    let frames = wire::plain(role, out.filled());
                    assert_eq!((frames.len(), frames[0].0, frames[0].1.len()), (1, first, payload));
                    assert_eq!(out.room(), size - needed);
                }
            }
        }
    }
}

#[test]
fn a_conversation_goes_through_a_sink_of_any_size() {
    // conf: FG-09 CT-05 CT-07 CL-04
    for role in ROLES {
        let smallest = frame_len(role, 125);
        for size in smallest..smallest + 20 {
            let bytes = [
                wire::ping(role, b"1"),
                wire::text(role, "hello"),
                wire::ping(role, &[2; 125]),
                wire::fragments(role, 2, &[b"wor", b"ld"]),
                wire::close(role, 1000, "bye"),
            ];
            let mut connection = connection(role, Config::default());
            let (mut memory, mut written) = (vec![0; size], Vec::new());
            let mut bytes = bytes.concat();
            let mut input = Input::new(&mut bytes);
            let mut out = SliceSink::new(&mut memory);
            loop {
                let event = connection.receive(NOW, &mut input, &mut out).unwrap();
                if let Some(sansocket::Event::Message(message)) = &event {
                    while let Err(SendError::Full { .. }) = connection.send(message, &mut out) {
                        written.extend_from_slice(out.filled());
                        out.clear();
                    }
                }
                if event.is_none() && out.filled().is_empty() {
                    break;
                }
                if event.is_none() || size % 3 == 0 {
                    written.extend_from_slice(out.filled());
                    out.clear();
                }
            }
            assert!(input.is_empty() && !connection.wants_write());
            let expected = [
                (FIN | PONG, b"1".to_vec()),
                (FIN | TEXT, b"hello".to_vec()),
                (FIN | PONG, vec![2; 125]),
                (FIN | BINARY, b"world".to_vec()),
                (FIN | CLOSE, wire::close_body(1000, "")),
            ];
            assert_eq!(wire::plain(role, &written), expected, "{role:?} {size}");
            assert!(connection.summary().unwrap().clean);
        }
    }
}

#[test]
fn a_reply_that_waits_tells_the_room_it_needs() {
    // conf: CT-06 FG-09
    for role in ROLES {
        let mut connection = connection(role, Config::default());
        let mut bytes = wire::ping(role, &[5; 100]);
        let mut none = SliceSink::new(&mut []);
        connection.receive(NOW, &mut Input::new(&mut bytes), &mut none).unwrap();
        let needed = frame_len(role, 100);
        assert_eq!(connection.send("x", &mut none), Err(SendError::Full { needed }));
        let envelope = connection.envelope(&Message::from("x")).map(|_| ());
        assert_eq!(envelope, Err(SendError::Full { needed }), "an envelope has no output to put it in");
        let mut memory = vec![0; needed];
        let mut out = SliceSink::new(&mut memory);
        assert_eq!(connection.send("x", &mut out), Err(SendError::Full { needed: frame_len(role, 1) }));
        assert_eq!(wire::plain(role, out.filled()), [(FIN | PONG, vec![5; 100])], "what fits has left");
        assert!(!connection.wants_write());
    }
}

#[test]
fn what_one_side_sends_the_other_receives() {
    // conf: FG-01 FG-09 CL-04 CT-05
    for step in [1, 2, 3, 7, 100_000] {
        let (mut client, mut server) = (Session::new(Role::Client), Session::new(Role::Server));
        let Session { connection, out, .. } = &mut client;
        connection.send("hello", out).unwrap();
        connection.send_fragment("gr", Fin::More, out).unwrap();
        connection.ping(b"are you there", out).unwrap();
        connection.send_fragment("üße", Fin::Final, out).unwrap();
        connection.send(vec![7u8; 70_000], out).unwrap();
        connection.close(NOW, CloseCode::NORMAL, "bye", out).unwrap();
        server.feed_cut(&client.out, step).unwrap();
        let seen = [
            Seen::text("hello"),
            Seen::ping(b"are you there"),
            Seen::text("grüße"),
            Seen::binary(&[7; 70_000]),
            Seen::close(CloseCode::NORMAL, "bye"),
        ];
        assert_eq!(server.seen, seen, "in steps of {step}");
        client.feed_cut(&server.out, step).unwrap();
        let seen = [Seen::pong(b"are you there"), Seen::close(CloseCode::NORMAL, "")];
        assert_eq!(client.seen, seen, "in steps of {step}");
        assert!(client.connection.summary().unwrap().clean && server.connection.summary().unwrap().clean);
    }
}

#[test]
#[expect(clippy::needless_borrows_for_generic_args, reason = "references are among what is tested")]
fn every_type_that_can_be_sent_gives_the_same_frame() {
    // conf: FG-09 U8-07
    for role in ROLES {
        let mut session = Session::new(role);
        let Session { connection, out, .. } = &mut session;
        connection.send("text", out).unwrap();
        connection.send(String::from("text"), out).unwrap();
        connection.send(&String::from("text"), out).unwrap();
        connection.send(Message::from("text"), out).unwrap();
        connection.send(&Message::from("text").into_owned(), out).unwrap();
        connection.send_prepared(&Prepared::new("text"), out).unwrap();
        connection.send(&b"data"[..], out).unwrap();
        connection.send(b"data", out).unwrap();
        connection.send(b"data".to_vec(), out).unwrap();
        connection.send(&b"data".to_vec(), out).unwrap();
        connection.send(bytes::Bytes::from_static(b"data"), out).unwrap();
        let (text, data) = ((FIN | TEXT, b"text".to_vec()), (FIN | BINARY, b"data".to_vec()));
        assert_eq!(session.sent(), [vec![text; 6], vec![data; 5]].concat());
    }
}

#[test]
fn keys_are_not_spent_on_frames_without_room() {
    // conf: MK-06 MK-09
    let mut client = Connection::client(Config::default(), failing_keys(1), NOW);
    for _ in 0..5 {
        let full = client.send("hello", &mut SliceSink::new(&mut [0; 10]));
        assert_eq!(full, Err(SendError::Full { needed: 11 }));
    }
    let mut out = Vec::new();
    client.send("hello", &mut out).unwrap();
    let before = out.clone();
    assert_eq!(client.send("hello", &mut out), Err(SendError::MaskKey));
    assert_eq!(out, before);
}
