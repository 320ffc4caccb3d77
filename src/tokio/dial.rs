//! From a name to a TCP connection, within a time.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::task::Poll;
use std::io;

use ::tokio::net::{TcpStream, lookup_host};
use ::tokio::time::{Instant, timeout_at};

use super::Error;
use crate::client::{ConnectError, Race, Step};

/// Connects to the host, at the first of its addresses that answers, all before the deadline.
pub(super) async fn dial(host: &str, port: u16, deadline: Option<Instant>) -> Result<TcpStream, Error> {
    let timed_out = |step| move || ConnectError::TimedOut { step };
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => Vec::from([SocketAddr::new(address, port)]),
        Err(_) => {
            let found =
                before(deadline, lookup_host((host, port))).await.ok_or_else(timed_out(Step::Resolve))?;
            found.map_err(|error| ConnectError::Resolve { host: host.to_string(), error })?.collect()
        }
    };
    let race = run(Race::new(host, addresses)?, TcpStream::connect);
    let stream = before(deadline, race).await.ok_or_else(timed_out(Step::Connect))??;
    // Some systems refuse it once the peer has reset the connection. What came before can still be read.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// `None` if the deadline comes first.
pub(super) async fn before<T>(deadline: Option<Instant>, act: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(act.await),
        Some(deadline) => timeout_at(deadline, act).await.ok(),
    }
}

/// Runs the race, all attempts in this task.
async fn run<T, F>(mut race: Race, connect: impl Fn(SocketAddr) -> F) -> Result<T, Error>
where
    F: Future<Output = io::Result<T>>,
{
    let epoch = Instant::now();
    let mut attempts: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    loop {
        while let Some(address) = race.start(epoch.elapsed()) {
            attempts.push((address, Box::pin(connect(address))));
        }
        let ended = poll_fn(|context| {
            let mut polls = attempts.iter_mut().enumerate();
            let ended = polls.find_map(|(at, (_, attempt))| match attempt.as_mut().poll(context) {
                Poll::Ready(ended) => Some((at, ended)),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        });
        let next = race.next_start().and_then(|next| epoch.checked_add(next));
        let Some((at, ended)) = before(next, ended).await else { continue };
        let (address, _) = attempts.swap_remove(at);
        match ended {
            Ok(stream) => return Ok(stream),
            Err(error) => race.failed(address, error, epoch.elapsed())?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tokio::time::sleep;
    use core::time::Duration;

    fn addresses() -> [SocketAddr; 4] {
        [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// The first hangs, the second refuses at once, the third answers after 240 ms.
    async fn hang_refuse_answer(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            1 => core::future::pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            port => {
                sleep(Duration::from_millis(240)).await;
                Ok(port)
            }
        }
    }

    #[::tokio::test(start_paused = true)]
    async fn an_address_that_hangs_leaves_time_to_the_next_one() {
        let epoch = Instant::now();
        let won = run(Race::new("host", addresses()).unwrap(), hang_refuse_answer).await;
        assert_eq!(won.unwrap(), 3);
        let took = epoch.elapsed();
        assert!((490..=492).contains(&took.as_millis()), "{took:?}");
    }

    #[::tokio::test(start_paused = true)]
    async fn the_last_error_is_told_when_all_have_failed() {
        let epoch = Instant::now();
        let fail = async |address: SocketAddr| {
            sleep(Duration::from_millis(10)).await;
            Err::<(), _>(io::Error::other(address.to_string()))
        };
        let failed = run(Race::new("host", addresses()).unwrap(), fail).await.unwrap_err();
        assert_eq!(failed.to_string(), "cannot connect to 127.0.0.1:4: 127.0.0.1:4");
        assert!(epoch.elapsed() < Duration::from_millis(50), "each began when the one before had failed");
    }

    #[::tokio::test(start_paused = true)]
    async fn a_deadline_ends_the_race() {
        let epoch = Instant::now();
        let hang = |_| core::future::pending::<io::Result<()>>();
        let race = run(Race::new("host", addresses()).unwrap(), hang);
        assert!(before(epoch.checked_add(Duration::from_secs(3)), race).await.is_none());
        assert_eq!(epoch.elapsed().as_secs(), 3);
    }
}
