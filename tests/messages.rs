//! What turns into messages, what they compare to, and what can be kept of them.

use std::borrow::Cow;
use std::sync::Arc;

use sansocket::{Binary, Chunk, CloseCode, CloseFrame, Event, Kind, Message, Text};

#[test]
fn what_is_text_becomes_text() {
    let owned = String::from("text");
    let messages: [Message<'_>; 6] = [
        "text".into(),
        (&owned).into(),
        owned.clone().into(),
        Arc::<str>::from("text").into(),
        Cow::Borrowed("text").into(),
        Cow::<str>::Owned(owned.clone()).into(),
    ];
    for message in messages {
        assert_eq!(message, "text");
        assert_eq!(message, *"text");
        assert_ne!(message, "other");
        assert_eq!(message.kind(), Kind::Text);
        let text = message.into_text().unwrap();
        assert_eq!("text", text);
        assert_eq!(*"text", text);
        assert_eq!(text, owned);
        assert_eq!(owned, text);
        assert_eq!(String::from(text), owned);
    }
}

#[test]
fn what_is_bytes_becomes_binary() {
    let owned = b"bytes".to_vec();
    let messages: [Message<'_>; 7] = [
        b"bytes".into(),
        (&owned).into(),
        owned.as_slice().into(),
        owned.clone().into(),
        owned.clone().into_boxed_slice().into(),
        Cow::Borrowed(owned.as_slice()).into(),
        Cow::<[u8]>::Owned(owned.clone()).into(),
    ];
    for message in messages {
        assert_ne!(message, "bytes", "which is text");
        let Err(Message::Binary(bytes)) = message.into_text() else { panic!() };
        assert_eq!(bytes, owned);
        assert_eq!(owned, bytes);
        assert_eq!(bytes, *b"bytes");
        assert_eq!(b"bytes"[..], bytes);
        assert_eq!(bytes, Binary::from(b"bytes"));
    }
}

#[test]
fn events_outlive_their_input() {
    let keep = || {
        let input = *b"input";
        let text = String::from("text");
        let mut chunk = Chunk::new(Kind::Text, &input);
        chunk.last = true;
        [
            Event::Message(Message::from(&text)),
            Event::Chunk(chunk),
            Event::Ping(Binary::from(&input)),
            Event::Pong(Binary::from(&input)),
            Event::Close(CloseFrame::new(CloseCode::NORMAL, Text::from(text.as_str()))),
        ]
        .map(Event::into_owned)
    };
    let [message, chunk, ping, pong, close] = keep();
    assert_eq!(message, Event::Message("text".into()));
    let Event::Chunk(chunk) = chunk else { panic!("{chunk:?}") };
    assert_eq!((chunk.kind, chunk.first, chunk.last), (Kind::Text, false, true));
    assert_eq!(chunk.payload, b"input");
    assert_eq!((ping, pong), (Event::Ping(b"input".into()), Event::Pong(b"input".into())));
    assert_eq!(close, Event::Close(CloseFrame::new(CloseCode::NORMAL, "text".into())));
}
