//! Faults of the stream below the halves of a connection, and streams that fail in words of their own.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, ErrorKind};

use sansocket::tokio::{Error, WebSocket};
use sansocket::{CloseCode, Config, Message};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::adapter::HARMLESS;
use crate::adapters::talk::{Seen, Talk, seen};
use crate::support::{Call, Fault, Patience, Scripted, insist, once, run, server};

type Ws<F> = WebSocket<Scripted<F>>;

/// A whole conversation by the halves of a connection, which meet again at the end.
async fn by_halves<F: FnMut(usize, Call) -> Fault + Unpin>(
    ws: Ws<F>,
    patience: Patience,
) -> (Ws<F>, Vec<Message<'static>>, Result<(), Error>) {
    let (mut receiver, mut sender) = ws.split();
    let mut seen = Vec::new();
    let _ = insist!(patience, sender.send("first of all"), sender.flush());
    let verdict = loop {
        match insist!(patience, receiver.recv(), receiver.recv()) {
            Ok(Some(message)) => {
                if message.len() < 1000 {
                    let _ = insist!(patience, sender.feed(&message), sender.flush());
                } else {
                    let _ = insist!(patience, sender.send(&message), sender.flush());
                }
                seen.push(message);
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let ws = receiver.reunite(sender).map_err(|_| "not the same").unwrap();
    (ws, seen, verdict)
}

// conf: FG-09 CL-16
#[test]
fn halves_lose_and_double_nothing_and_end_with_their_stream() {
    for talk in Talk::all() {
        let over = |fault, at, patience| {
            let stream = Scripted::new(talk.script(), 30_000, once(fault, at));
            let config = Config::new().max_queued_output(10_000);
            run(by_halves(WebSocket::over(stream, talk.connection(config)), patience))
        };
        let (ws, received, verdict) = over(Fault::None, 0, Patience::ENDLESS);
        verdict.unwrap();
        assert!(received == Talk::said());
        let reference = ws.into_parts().transport.sent;
        let first = Message::from("first of all");
        let data: Vec<_> = talk
            .heard(&reference)
            .into_iter()
            .filter(|seen| matches!(seen, Seen::Text(_) | Seen::Binary(_)))
            .collect();
        assert!(data == core::iter::once(&first).chain(&received).map(seen).collect::<Vec<_>>());
        let deadly = Fault::DEADLY.map(|fault| (fault, Patience::ENDLESS));
        for (fault, patience) in HARMLESS.into_iter().chain(deadly) {
            let untouched = (0..1000).any(|at| {
                let (ws, seen, verdict) = over(fault, at, patience);
                let place = format!("{talk:?} {fault:?} at {at}, {patience:?}: {verdict:?}");
                let stream = ws.stream();
                assert!(reference.starts_with(&stream.sent), "{place}");
                assert!(received.starts_with(&seen), "{place}");
                let summary = ws.summary().unwrap();
                assert_eq!(verdict.is_ok(), summary.code == CloseCode::new(3456), "{place}");
                let lost = stream.lost_by_flush(at, fault);
                assert_eq!(summary.clean, verdict.is_ok() && stream.sent == reference && !lost, "{place}");
                if matches!(fault, Fault::Short | Fault::Nothing(_)) || stream.calls.len() <= at {
                    assert!(summary.clean && seen == received, "{place}");
                }
                stream.calls.len() <= at
            });
            assert!(untouched);
        }
    }
}

/// A stream that reports its own time-out, or what only streams that do not wait say, each time it is asked.
struct Impatient(ErrorKind);

impl AsyncRead for Impatient {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

#[tokio::test]
async fn a_time_out_of_the_stream_itself_is_its_failure() {
    for kind in [ErrorKind::TimedOut, ErrorKind::WouldBlock] {
        let mut ws = server(Impatient(kind), Config::new());
        for _ in 0..2 {
            assert!(matches!(ws.recv().await, Err(Error::Io(_))), "{kind:?}");
        }
        assert!(ws.send("too late").await.is_err());
    }
}
