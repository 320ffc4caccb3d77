//! Happy Eyeballs: which address is tried when (RFC 8305).

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use crate::engine::{ConnectError, Error};

/// RFC 8305 §5: "One recommended value for a default delay is 250 milliseconds."
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The addresses of a host, raced for a TCP connection: a next one begins when the one before has failed, or has not
/// connected within 250 ms, and the first to connect wins.
///
/// RFC 6455 §4.1: "There MUST be no more than one connection in a CONNECTING state" to one address; there is no request
/// on any of these before one has won.
#[derive(Debug)]
pub(crate) struct Race {
    waiting: VecDeque<SocketAddr>,
    /// When the next address is due, unless one fails before.
    next: Duration,
    running: usize,
}

impl Race {
    /// `addresses` as the resolver sorted them; IPv6 and IPv4 take turns.
    pub(crate) fn new(host: &str, addresses: impl IntoIterator<Item = SocketAddr>) -> Result<Self, Error> {
        let mut unique: Vec<SocketAddr> = Vec::new();
        for address in addresses {
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        let first_is_v6 = unique.first().is_some_and(SocketAddr::is_ipv6);
        let (first, second): (Vec<_>, Vec<_>) =
            unique.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
        let (mut first, mut second) = (first.into_iter(), second.into_iter());
        let mut waiting = VecDeque::new();
        // RFC 8305 §4: "the Alternate address family should be interleaved"; the first family has at least as many turns.
        loop {
            match (first.next(), second.next()) {
                (None, None) => break,
                (one, other) => waiting.extend(one.into_iter().chain(other)),
            }
        }
        if waiting.is_empty() {
            let error = io::Error::new(io::ErrorKind::NotFound, "no address");
            return Err(ConnectError::Resolve { host: host.to_string(), error }.into());
        }
        Ok(Self { waiting, next: Duration::ZERO, running: 0 })
    }

    /// The only address, if nothing is to be raced.
    pub(crate) fn only(&self) -> Option<SocketAddr> {
        if self.waiting.len() == 1 && self.running == 0 { self.waiting.front().copied() } else { None }
    }

    /// An address that is to be tried from now on; call it until it gives none.
    pub(crate) fn start(&mut self, now: Duration) -> Option<SocketAddr> {
        if self.running > 0 && now < self.next {
            return None;
        }
        let address = self.waiting.pop_front()?;
        self.running += 1;
        self.next = now.saturating_add(ATTEMPT_DELAY);
        Some(address)
    }

    /// When [`start`](Self::start) has another address, if it has one at all.
    pub(crate) fn next_start(&self) -> Option<Duration> {
        if self.waiting.is_empty() { None } else { Some(self.next) }
    }

    /// An attempt failed; the next one is due at once. The error comes back when it was the last of all.
    pub(crate) fn failed(
        &mut self,
        address: SocketAddr,
        error: io::Error,
        now: Duration,
    ) -> Result<(), Error> {
        self.running = self.running.saturating_sub(1);
        self.next = now;
        if !self.waiting.is_empty() || self.running > 0 {
            return Ok(());
        }
        Err(ConnectError::Connect { address, error }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn race(addresses: &[&str]) -> Race {
        Race::new("host", addresses.iter().map(|address| address.parse().unwrap())).unwrap()
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let mut race = race(&["[::1]:1", "[::2]:1", "[::1]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"]);
        let mut order = Vec::new();
        let mut now = ms(0);
        while let Some(due) = race.next_start() {
            now = now.max(due);
            order.push(race.start(now).unwrap().to_string());
            assert_eq!(race.start(now), None, "one at a time");
        }
        assert_eq!(order, ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]);
        assert_eq!(now, ms(1000));
    }

    #[test]
    fn a_failure_starts_the_next_at_once_and_the_last_one_is_told() {
        let mut race = race(&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1"]);
        let first = race.start(ms(5)).unwrap();
        assert_eq!(race.next_start(), Some(ms(255)));
        race.failed(first, refused(), ms(6)).unwrap();
        let second = race.start(ms(6)).unwrap();
        assert_eq!(race.start(ms(255)), None);
        let third = race.start(ms(256)).unwrap();
        assert_eq!(race.next_start(), None);
        race.failed(third, refused(), ms(300)).unwrap();
        let Err(Error::Connect(error)) = race.failed(second, refused(), ms(400)) else { panic!() };
        assert!(matches!(*error, ConnectError::Connect { address, .. } if address == second));
    }

    #[test]
    fn a_host_without_an_address_does_not_resolve() {
        let Err(Error::Connect(error)) = Race::new("nowhere", []) else { panic!() };
        assert_eq!(error.to_string(), "cannot resolve nowhere: no address");
        assert_eq!(race(&["[::1]:1"]).only(), "[::1]:1".parse().ok());
        assert_eq!(race(&["[::1]:1", "[::2]:1"]).only(), None);
    }
}
