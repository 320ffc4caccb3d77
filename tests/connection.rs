//! First contact: an echo, a ping, a close, in both roles and byte by byte.

use core::time::Duration;
use sansocket::{CloseCode, Config, Connection, Event, Fin, Input, MaskKeys, TransportAction};

const NOW: Duration = Duration::ZERO;

fn keys() -> MaskKeys {
    MaskKeys::from_fn(|| Ok([1, 2, 3, 4]))
}

#[test]
fn talk() {
    for step in [1, 2, 3, 7, 1000] {
        let mut client = Connection::client(Config::default(), keys(), NOW);
        let mut server = Connection::server(Config::default(), NOW);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.send("hello", &mut to_server).unwrap();
        client.send_fragment("gr", Fin::More, &mut to_server).unwrap();
        client.ping(b"are you there", &mut to_server).unwrap();
        client.send_fragment("üße", Fin::Final, &mut to_server).unwrap();
        client.send(vec![7u8; 70000], &mut to_server).unwrap();
        client.close(NOW, CloseCode::NORMAL, "bye", &mut to_server).unwrap();
        let mut seen = Vec::new();
        for piece in to_server.chunks_mut(step) {
            let mut input = Input::new(piece);
            while let Some(event) = server.receive(NOW, &mut input, &mut to_client).unwrap() {
                match event {
                    Event::Message(message) => {
                        seen.push(message.len());
                        server.send(&message, &mut to_client).unwrap();
                    }
                    Event::Close(frame) => assert_eq!(frame.reason, "bye"),
                    _ => {}
                }
            }
        }
        assert_eq!(seen, [5, 7, 70000]);
        assert_eq!(server.transport_action(), TransportAction::ShutdownWrite);
        assert!(server.summary().unwrap().clean);
        let mut seen = Vec::new();
        for piece in to_client.chunks_mut(step) {
            let mut input = Input::new(piece);
            while let Some(event) = client.receive(NOW, &mut input, &mut to_server).unwrap() {
                seen.push(format!("{event:.20?}"));
            }
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert!(client.summary().unwrap().clean);
        assert_eq!(client.transport_action(), TransportAction::Keep);
        client.handle_eof().unwrap();
        assert_eq!(client.transport_action(), TransportAction::Drop);
    }
    assert!(size_of::<Connection>() <= 256, "{}", size_of::<Connection>());
    println!("connection {} event {}", size_of::<Connection>(), size_of::<Event<'static>>());
}
