//! One rule, one row: input that is tried whole, cut, byte by byte and glued to valid data before it, with both ways
//! of delivery.

use sansocket::{
    CloseCode, Config, Delivery, Error, Initiator, Role, SendError, State, Summary, TransportAction,
};

use super::{NOW, Seen, Session, wire};

/// Input for one role, with what surrounds it.
#[derive(Clone, Debug)]
pub struct Row {
    role: Role,
    bytes: Vec<u8>,
    config: Config,
    delivered: Vec<Seen>,
    deliveries: &'static [Delivery],
}

/// Asserts that the connection fails with `error` and the Close code `code`; returns how many bytes that took.
pub fn reject(role: Role, bytes: &[u8], error: impl Into<Error>, code: CloseCode) -> usize {
    Row::new(role, bytes).reject(error, code)
}

/// Asserts that exactly these events come, each with its answer.
pub fn accept(role: Role, bytes: &[u8], events: &[Seen]) {
    Row::new(role, bytes).delivers(events).accept();
}

impl Row {
    pub fn new(role: Role, bytes: &[u8]) -> Self {
        Self {
            role,
            bytes: bytes.to_vec(),
            config: Config::default(),
            delivered: Vec::new(),
            deliveries: &[Delivery::Messages, Delivery::Chunks],
        }
    }

    /// What the input delivers, before its violation if it has one.
    pub fn delivers(mut self, events: &[Seen]) -> Self {
        self.delivered = events.to_vec();
        self
    }

    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// For rules that hold for whole messages alone.
    pub fn whole_messages_only(mut self) -> Self {
        self.deliveries = &[Delivery::Messages];
        self
    }

    pub fn accept(self) {
        self.try_all(|row, bytes, step, expected| {
            let mut session = Session::with(row.role, row.config.clone());
            let outcome = session.feed_cut(bytes, step);
            assert_eq!(outcome, Ok(()), "{row:02x?} in steps of {step}");
            assert_eq!(session.seen, expected, "in steps of {step}");
            let answers: Vec<_> = expected.iter().filter_map(Seen::answer).collect();
            assert_eq!(session.sent(), answers, "in steps of {step}");
        });
    }

    pub fn reject(self, error: impl Into<Error>, code: CloseCode) -> usize {
        let error = error.into();
        self.try_all(|row, bytes, step, expected| row.fails(bytes, step, expected, error, code));
        let mut session = Session::with(self.role, self.config.clone());
        session.feed_cut(&self.bytes, 1).expect_err("the row is rejected").0
    }

    fn try_all(&self, check: impl Fn(&Self, &[u8], usize, &[Seen])) {
        let before = [wire::text(self.role, "ok"), wire::ping(self.role, b"?"), wire::pong(self.role, b"!")];
        let before_seen = [Seen::text("ok"), Seen::ping(b"?"), Seen::pong(b"!")];
        let glued = [before.concat(), self.bytes.clone()].concat();
        let glued_seen = [&before_seen[..], &self.delivered].concat();
        for &delivery in self.deliveries {
            let row = Self { config: self.config.clone().delivery(delivery), ..self.clone() };
            for step in [usize::MAX, 1, 3] {
                check(&row, &self.bytes, step, &self.delivered);
                check(&row, &glued, step, &glued_seen);
            }
        }
    }

    fn fails(&self, bytes: &[u8], step: usize, expected: &[Seen], error: Error, code: CloseCode) {
        // Nothing behind the violation counts, however it is glued to it.
        let after =
            [wire::text(self.role, "late"), wire::ping(self.role, b"late"), wire::close(self.role, 1000, "")];
        let input = [bytes, &after.concat()].concat();
        let mut session = Session::with(self.role, self.config.clone());
        let (_, failed) = session.feed_cut(&input, step).expect_err("it is rejected");
        assert_eq!(failed, error, "{:02x?} in steps of {step}", self.bytes);
        assert_eq!(session.seen, expected, "what came before is delivered, nothing else, in steps of {step}");
        let mut sent = session.sent();
        let (first, body) = sent.pop().expect("a Close frame");
        assert_eq!(first, wire::FIN | wire::CLOSE);
        assert_eq!(body[..2], code.get().to_be_bytes(), "the code of {error}");
        assert_eq!(
            core::str::from_utf8(&body[2..]),
            Ok(error.to_string().as_str()),
            "the reason tells the cause"
        );
        let answers: Vec<_> = expected.iter().filter_map(Seen::answer).collect();
        assert_eq!(sent, answers, "what came before is answered, in steps of {step}");
        stays_failed(&mut session, error);
    }
}

/// Asserts that a session that failed by `error`, and has said so, takes and gives nothing more.
pub fn stays_failed(session: &mut Session, error: Error) {
    let (seen, out) = (session.seen.clone(), session.out.clone());
    let unclean = |session: &Session| {
        let Summary { code, reason, clean, error: cause, .. } =
            session.connection.summary().expect("it ended");
        assert_eq!((code, &*reason, clean, cause), (CloseCode::ABNORMAL, "", false, Some(error)));
    };
    unclean(session);
    assert_eq!(session.connection.state(), State::Closing);
    assert_eq!(session.connection.summary().map(|summary| summary.initiator), Some(Initiator::Library));
    assert_eq!(session.connection.transport_action(), TransportAction::ShutdownWrite);
    for bytes in [&b""[..], &wire::text(session.role(), "late"), &wire::close(session.role(), 1000, "")] {
        assert_eq!(session.feed(bytes), Err(error), "the same error again");
    }
    let Session { connection, out: output, .. } = session;
    assert_eq!(connection.send("x", output), Err(SendError::Closed));
    assert_eq!(connection.ping(b"x", output), Err(SendError::Closed));
    assert_eq!(connection.close(NOW, CloseCode::NORMAL, "", output), Err(SendError::Closed));
    assert_eq!(connection.handle_eof(), Err(error));
    assert_eq!(connection.handle_eof(), Err(error));
    assert_eq!(connection.state(), State::Closed);
    assert_eq!(connection.transport_action(), TransportAction::Drop);
    assert_eq!(session.feed(&wire::text(session.role(), "late")), Err(error));
    unclean(session);
    assert_eq!((&session.seen, &session.out), (&seen, &out), "nothing follows a failure");
}
