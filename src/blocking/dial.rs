//! From a name to a TCP connection, within a time.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;

use super::Error;
use super::clock::Clock;
use super::mailbox::{Missing, mailbox};
use crate::client::{ConnectError, Race, Step};

/// A resolver that answers after its time, or never, keeps one thread; nothing else of it is seen.
type Resolve = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Connects to the host, at the first of its addresses that answers, all before `until`.
pub(super) fn dial(host: &str, port: u16, clock: Clock, until: Option<Duration>) -> Result<TcpStream, Error> {
    let system: Resolve = |host, port| (host, port).to_socket_addrs().map(Iterator::collect);
    let race = Race::new(host, resolve(host, port, system, clock, until)?)?;
    let stream = match race.only() {
        // It needs no thread.
        Some(address) => match connect(address, clock, until) {
            Err(_) if is_over(clock, until) => return Err(timed_out(Step::Connect)),
            connected => connected.map_err(|error| ConnectError::Connect { address, error })?,
        },
        None => run(race, connect, clock, until)?,
    };
    // Some systems refuse it once the peer has reset the connection. What came before can still be read.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn resolve(
    host: &str,
    port: u16,
    resolver: Resolve,
    clock: Clock,
    until: Option<Duration>,
) -> Result<Vec<SocketAddr>, Error> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Vec::from([SocketAddr::new(address, port)]));
    }
    let failed = |error| ConnectError::Resolve { host: host.to_string(), error };
    let (tx, rx) = mailbox();
    let name = String::from(host);
    // The resolver cannot be interrupted; whoever waits for it can.
    let lookup = move || tx.send(resolver(&name, port));
    thread::Builder::new().name("resolver".into()).spawn(lookup).map_err(failed)?;
    match rx.receive(clock, until) {
        Ok(found) => Ok(found.map_err(failed)?),
        Err(Missing::TimedOut) => Err(timed_out(Step::Resolve)),
        Err(Missing::Disconnected) => Err(failed(io::Error::other("the resolver failed")).into()),
    }
}

/// Runs the race: each attempt in a thread, which ends with the time at the latest.
fn run<T: Send + 'static>(
    mut race: Race,
    connect: fn(SocketAddr, Clock, Option<Duration>) -> io::Result<T>,
    clock: Clock,
    until: Option<Duration>,
) -> Result<T, Error> {
    let (tx, rx) = mailbox();
    loop {
        while let Some(address) = race.start(clock.now()) {
            let tx = tx.clone();
            // Whoever comes in late finds nobody, and the connection is dropped.
            let attempt = move || tx.send((address, connect(address, clock, until)));
            if let Err(error) = thread::Builder::new().name("dial".into()).spawn(attempt) {
                race.failed(address, error, clock.now())?;
            }
        }
        let next = [race.next_start(), until].into_iter().flatten().min();
        match rx.receive(clock, next) {
            Ok((_, Ok(stream))) => return Ok(stream),
            _ if is_over(clock, until) => return Err(timed_out(Step::Connect)),
            Ok((address, Err(error))) => race.failed(address, error, clock.now())?,
            Err(_) => {}
        }
    }
}

fn connect(address: SocketAddr, clock: Clock, until: Option<Duration>) -> io::Result<TcpStream> {
    match until {
        None => TcpStream::connect(address),
        Some(until) => {
            let left = clock.left(until).ok_or(io::ErrorKind::TimedOut)?;
            TcpStream::connect_timeout(&address, left)
        }
    }
}

fn is_over(clock: Clock, until: Option<Duration>) -> bool {
    until.is_some_and(|until| until <= clock.now())
}

fn timed_out(step: Step) -> Error {
    ConnectError::TimedOut { step }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_millis(400));

    fn addresses() -> [SocketAddr; 3] {
        [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    fn step_of<T>(result: Result<T, Error>) -> Option<Step> {
        match result {
            Err(Error::Connect(error)) => match *error {
                ConnectError::TimedOut { step } => Some(step),
                _ => None,
            },
            _ => None,
        }
    }

    #[test]
    fn a_resolver_that_hangs_is_not_waited_for() {
        let hangs: Resolve = |_, _| {
            thread::sleep(Duration::from_secs(2));
            Ok(Vec::new())
        };
        let clock = Clock::start();
        let until = Some(Duration::from_millis(30));
        assert_eq!(step_of(resolve("host", 1, hangs, clock, until)), Some(Step::Resolve));
        assert!(clock.now() < Duration::from_secs(1), "{:?}", clock.now());
        let dies: Resolve = |_, _| std::panic::resume_unwind(alloc::boxed::Box::new(()));
        let died = resolve("host", 1, dies, clock, None).unwrap_err();
        assert_eq!(died.to_string(), "cannot resolve host: the resolver failed");
    }

    #[test]
    fn an_address_that_hangs_leaves_time_to_the_next_one() {
        let clock = Clock::start();
        let won = run(Race::new("host", addresses()).unwrap(), hang_refuse_answer, clock, LIMIT);
        assert_eq!(won.unwrap(), 3);
        assert!(
            clock.now() >= Duration::from_millis(250),
            "the second waits for the first: {:?}",
            clock.now()
        );
    }

    /// The first hangs, the second refuses, the third answers.
    fn hang_refuse_answer(address: SocketAddr, clock: Clock, until: Option<Duration>) -> io::Result<u16> {
        match address.port() {
            1 => hang(address, clock, until),
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            port => Ok(port),
        }
    }

    fn hang(_: SocketAddr, clock: Clock, until: Option<Duration>) -> io::Result<u16> {
        thread::sleep(until.unwrap_or_default().saturating_sub(clock.now()));
        Err(io::ErrorKind::TimedOut.into())
    }

    #[test]
    fn the_time_ends_a_race_and_all_its_threads() {
        let clock = Clock::start();
        let nobody = run(Race::new("host", addresses()).unwrap(), hang, clock, LIMIT);
        assert_eq!(step_of(nobody), Some(Step::Connect));
        assert!(clock.now() < Duration::from_secs(2), "{:?}", clock.now());
        let none = run(Race::new("host", addresses()).unwrap(), hang, Clock::start(), Some(Duration::ZERO));
        assert_eq!(step_of(none), Some(Step::Connect));
    }
}
