//! The fast paths: how nearly every message is received and sent. Each does what the general path does, or nothing.

use core::ops::Range;
use core::time::Duration;

use super::Connection;
use super::send::push_frame;
use crate::config::Delivery;
use crate::frame::{FrameHeader, Opcode};
use crate::message::Kind;
use crate::role::Role;
use crate::sink::Sink;

impl Connection {
    /// Nothing has begun to end, and nothing is due first.
    #[inline(always)]
    fn is_untouched(&self) -> bool {
        self.closing.is_untouched() && self.replies.is_none()
    }

    /// The message at the start of `bytes`, unmasked, if it is there whole in one small frame and nothing is unusual. That
    /// bytes came, the caller says with [`bytes_came`](Self::bytes_came).
    ///
    /// For everything else, right or wrong, it is `None` and nothing has happened:
    /// [`locate_general`](Self::locate_general) judges. An echo of 20 bytes takes 181 instructions, without this path 471
    /// (`benches/instructions`).
    #[inline(always)]
    pub(crate) fn whole_message(&self, bytes: &mut [u8]) -> Option<(Kind, Range<usize>)> {
        if !self.is_untouched() || self.config.delivery != Delivery::Messages {
            return None;
        }
        self.decoder.decode_whole(bytes, self.most_in_a_frame())
    }

    /// Any byte of the peer is a sign of life.
    #[inline]
    pub(crate) fn bytes_came(&mut self, now: Duration) {
        self.deadlines.alive(now);
    }

    /// Whether [`whole_message`](Self::whole_message) lacks nothing but the end of the message.
    #[cfg(feature = "tokio")]
    pub(crate) fn lacks_the_end(&self, bytes: &[u8]) -> bool {
        self.is_untouched()
            && self.config.delivery == Delivery::Messages
            && self.decoder.lacks_the_end(bytes, self.most_in_a_frame())
    }

    #[inline(always)]
    fn most_in_a_frame(&self) -> usize {
        self.config.max_frame_size.min(self.config.max_message_size)
    }

    /// Sends a message from a server; `false` if nothing was done, and [`send_general`](Self::send_general) judges. An echo
    /// of 20 bytes takes 181 instructions, without this path 244 (`benches/instructions`).
    #[inline(always)]
    pub(crate) fn send_fast(&mut self, kind: Kind, payload: &[u8], out: &mut impl Sink) -> bool {
        if !self.is_untouched() || self.role != Role::Server || self.outgoing.is_some() {
            return false;
        }
        #[cfg(feature = "deflate")]
        if self.compresses {
            return false;
        }
        let header = FrameHeader::new(Opcode::from(kind), payload.len() as u64);
        push_frame(&header, payload, out).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use crate::connection::Located;
    use crate::{Config, Connection, Delivery, Error, Event, Input, MaskKeys, Message, Role};

    const NOW: Duration = Duration::from_secs(1);

    fn connection(role: Role, config: &Config) -> Connection {
        match role {
            Role::Server => Connection::server(config.clone(), Duration::ZERO),
            Role::Client => {
                Connection::client(config.clone(), MaskKeys::from_fn(|| Ok([1, 2, 3, 4])), Duration::ZERO)
            }
        }
    }

    /// Receives through [`Connection::locate_general`], which never takes the fast path.
    fn receive_general<'a>(
        connection: &mut Connection,
        input: &mut Input<'a>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, Error> {
        let Located { consumed, found } = connection.locate_general(NOW, input.rest_mut(), out)?;
        let bytes = input.take(consumed);
        found.map(|found| connection.lend(NOW, found, bytes, out)).transpose()
    }

    /// Everything that `bytes` lead to, and the state in which they leave the connection.
    type Outcome = (Vec<Result<Event<'static>, Error>>, Vec<u8>, crate::State, Option<Duration>);

    fn converse(connection: &mut Connection, mut bytes: Vec<u8>, cut: usize, is_fast: bool) -> Outcome {
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for piece in bytes.chunks_mut(cut) {
            let mut input = Input::new(piece);
            loop {
                let event = match is_fast {
                    true => connection.receive(NOW, &mut input, &mut out),
                    false => receive_general(connection, &mut input, &mut out),
                };
                match event {
                    Ok(None) => break,
                    Ok(Some(event)) => events.push(Ok(event.into_owned())),
                    Err(error) => {
                        events.push(Err(error));
                        break;
                    }
                }
            }
        }
        (events, out, connection.state(), connection.poll_timeout())
    }

    /// Frames of a peer, right and wrong ones, small and large, with others between and behind them.
    fn conversations(to: Role) -> Vec<Vec<u8>> {
        let frame = |first: u8, payload: &[u8]| {
            let mut frame = alloc::vec![first];
            let mask = if to == Role::Server { 0x80 } else { 0 };
            match payload.len() {
                len @ 0..=125 => frame.push(mask | len as u8),
                len @ 126..=0xFFFF => {
                    frame.push(mask | 126);
                    frame.extend((len as u16).to_be_bytes());
                }
                len => {
                    frame.push(mask | 127);
                    frame.extend((len as u64).to_be_bytes());
                }
            }
            let key = if to == Role::Server { &[7, 0, 99, 255][..] } else { &[] };
            frame.extend(key);
            frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key.get(at % 4).unwrap_or(&0)));
            frame
        };
        let mut all = Vec::new();
        for len in [0, 1, 20, 125, 126, 127, 1000, 0xFFFF, 0x10000] {
            let payload = alloc::vec![b'a'; len];
            for first in [0x81, 0x82, 0x01, 0x02, 0xC1, 0x80, 0x83, 0x89, 0x8A, 0x88] {
                all.push([frame(0x82, b"before"), frame(first, &payload), frame(0x81, b"behind")].concat());
            }
        }
        all.push(frame(0x81, &[0xFF]));
        all.push([frame(0x01, "\u{e9}".as_bytes()), frame(0x89, b"?"), frame(0x80, b"!")].concat());
        all.push([frame(0x88, &[3, 232]), frame(0x81, b"too late")].concat());
        // A length in more bytes than it needs, and a mask that is wrong for the role.
        all.push(alloc::vec![
            0x82,
            if to == Role::Server { 0xFE } else { 126 },
            0,
            5,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
            9
        ]);
        all.push(alloc::vec![0x82, if to == Role::Server { 1 } else { 0x81 }, 1, 2, 3, 4, 5]);
        all
    }

    #[test]
    fn receiving_makes_no_difference() {
        let configs = [
            Config::new(),
            Config::new().max_message_size(126),
            Config::new().max_frame_size(20),
            Config::new().delivery(Delivery::Chunks),
        ];
        for role in [Role::Server, Role::Client] {
            for config in &configs {
                for bytes in conversations(role) {
                    for cut in [usize::MAX, 40, 3] {
                        let [fast, general] = [true, false].map(|is_fast| {
                            converse(&mut connection(role, config), bytes.clone(), cut, is_fast)
                        });
                        assert_eq!(fast, general, "{role:?}, {config:?}, cut {cut}");
                    }
                }
            }
        }
    }

    #[test]
    fn sending_makes_no_difference() {
        for len in [0, 1, 125, 126, 0xFFFF, 0x10000] {
            let payload = alloc::vec![b'a'; len];
            let text = alloc::string::String::from_utf8(payload.clone()).unwrap();
            for message in [Message::from(payload), Message::from(text)] {
                for role in [Role::Server, Role::Client] {
                    for room in [0, 1, len, len + 1, len + 2, len + 4, len + 14] {
                        let send = |is_fast: bool| {
                            let mut memory = alloc::vec![0; room];
                            let mut out = crate::SliceSink::new(&mut memory);
                            let mut connection = connection(role, &Config::new());
                            let sent = match is_fast {
                                true => connection.send(&message, &mut out),
                                false => {
                                    connection.send_general(message.kind(), message.as_bytes(), &mut out)
                                }
                            };
                            (sent, out.filled().to_vec())
                        };
                        assert_eq!(send(true), send(false), "{role:?}, {len} bytes, room for {room}");
                    }
                }
            }
        }
    }
}
