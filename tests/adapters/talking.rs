//! A whole conversation of the connection under test over a scripted stream.

use sansocket::{CloseCode, Config, Event, Fin, Message};

use super::talk::{Seen, Talk, messages, seen};
use crate::adapter::{Error, WebSocket, insist, run};
use crate::support::{Call, Fault, Patience, Scripted, cut, owned};

/// By which calls the application receives and answers.
#[derive(Clone, Copy, Debug)]
pub enum Lane {
    Events,
    Owned,
    Lent,
}

const LANES: [Lane; 3] = [Lane::Events, Lane::Owned, Lane::Lent];

type Ws<F> = WebSocket<Scripted<F>>;

pub fn over<F: FnMut(usize, Call) -> Fault + Unpin>(
    talk: Talk,
    stream: Scripted<F>,
    config: Config,
) -> Ws<F> {
    WebSocket::over(stream, talk.connection(config))
}

/// Answers everything, as far as the stream lets it; returns what was received and the verdict.
pub async fn converse<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: &mut Ws<F>,
    lane: Lane,
    patience: Patience,
) -> (Vec<Event<'static>>, Result<(), Error>) {
    let mut seen = Vec::new();
    // Errors while sending show again as the verdict. What was taken is not sent again, but flushed.
    let _ = insist!(patience, ws.send("first of all"), ws.flush());
    let _ = insist!(patience, ws.send_fragment("one ", Fin::More), ws.flush());
    let _ = insist!(patience, ws.ping(b"between fragments"), ws.flush());
    let _ = insist!(patience, ws.send_fragment("message", Fin::Final), ws.flush());
    loop {
        let received = match lane {
            Lane::Events => insist!(patience, event(ws), event(ws)),
            Lane::Owned => insist!(patience, ws.recv(), ws.recv()).map(|message| message.map(Event::Message)),
            Lane::Lent => echo_lent(ws, patience).await,
        };
        match received {
            Ok(Some(event)) => {
                if let (Event::Message(message), Lane::Events | Lane::Owned) = (&event, lane) {
                    let _ = insist!(patience, ws.send(message), ws.flush());
                }
                seen.push(event);
            }
            Ok(None) => return (seen, Ok(())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

async fn event<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: &mut Ws<F>,
) -> Result<Option<Event<'static>>, Error> {
    Ok(ws.recv_event().await?.map(owned))
}

async fn echo_lent<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: &mut Ws<F>,
    patience: Patience,
) -> Result<Option<Event<'static>>, Error> {
    let (mut polls, mut tries) = (patience.first, 0);
    loop {
        let received = match cut(ws.recv_ref(), polls).await {
            Some(Err(error)) if error.is_temporary() => {
                tries += 1;
                assert!(tries < 100_000, "always too early");
                continue;
            }
            Some(received) => received?,
            None => {
                polls = patience.later;
                continue;
            }
        };
        let Some((message, mut tx)) = received else { return Ok(None) };
        if message.len() < 1000 {
            let _ = insist!(patience, tx.feed(&message), tx.flush());
        } else {
            let _ = insist!(patience, tx.send(&message), tx.flush());
        }
        return Ok(Some(Event::Message(message.into_owned())));
    }
}

pub struct Reference {
    pub script: Vec<u8>,
    pub seen: Vec<Event<'static>>,
    pub sent: Vec<u8>,
}

/// The conversation without faults, checked by itself.
fn reference(talk: Talk, lane: Lane, step: usize) -> Reference {
    let script = talk.script();
    let (received, ws) = run(async {
        let mut ws = over(talk, Scripted::new(script.clone(), step, |_, _| Fault::None), Config::new());
        let (received, verdict) = converse(&mut ws, lane, Patience::ENDLESS).await;
        verdict.unwrap();
        (received, ws)
    });
    let summary = ws.summary().unwrap();
    assert_eq!((summary.code, &*summary.reason, summary.clean), (CloseCode::new(3456), "bye", true));
    let said = Talk::said();
    assert!(messages(&received) == said, "{lane:?} {talk:?}: {} events", received.len());
    let Scripted { sent, .. } = ws.into_parts().transport;
    let first: [Message<'_>; 2] = ["first of all".into(), "one message".into()];
    let (data, controls): (Vec<_>, Vec<_>) =
        talk.heard(&sent).into_iter().partition(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_)));
    assert!(data == first.iter().chain(&said).map(seen).collect::<Vec<_>>(), "{lane:?} {talk:?}");
    let expected = [
        Seen::Ping(b"between fragments".to_vec()),
        Seen::Pong(b"alive?".to_vec()),
        Seen::Pong(b"in between".to_vec()),
        Seen::Close(3456, Vec::new()),
    ];
    assert_eq!(controls, expected);
    Reference { script, seen: received, sent }
}

/// Each role, coding and lane with its reference, and the most bytes that one call of the stream moves.
pub fn each(mut check: impl FnMut(Talk, Lane, &Reference, usize)) {
    for talk in Talk::all() {
        for lane in LANES {
            let step = 30_000;
            check(talk, lane, &reference(talk, lane, step), step);
        }
    }
}
