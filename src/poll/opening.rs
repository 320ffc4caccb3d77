//! Polls the driver of openings, tunnels and lingering refusals.

#[cfg(feature = "rand")]
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};
#[cfg(feature = "rand")]
use std::time::Instant;

use super::Error;
use super::polled::Polled;
use super::runtime::Io;
use super::waiting::RECEIVER;
use crate::engine::Stream;
use crate::engine::driver::{Driver, StateMachine};

/// The stream and the outcome of a state machine.
type Outcome<S, R, M> = Result<(Polled<S, R>, <M as StateMachine>::Outcome), Error>;

/// Runs a state machine to its outcome. All state is in the future; dropping it drops the stream.
pub(crate) fn run<S, R: Io<S>, M: StateMachine>(
    mut driver: Driver<Polled<S, R>, M>,
) -> impl Future<Output = Outcome<S, R, M>> {
    poll_fn(move |context| poll(&mut driver, context))
}

/// [`run`] with a clock that began at `epoch`, perhaps before there was a stream. `output` is sent first.
#[cfg(feature = "rand")]
pub(crate) fn run_since<S, R: Io<S>, M: StateMachine>(
    stream: S,
    epoch: Instant,
    machine: M,
    output: Vec<u8>,
) -> impl Future<Output = Outcome<S, R, M>> {
    run(Driver::new(Polled::since(stream, epoch), machine, output))
}

/// A deadline counts once its timer has fired and the stream was tried once more: a task that has used up its budget finds
/// the stream pending though bytes have arrived.
fn poll<S, R: Io<S>, M: StateMachine>(
    driver: &mut Driver<Polled<S, R>, M>,
    context: &Context<'_>,
) -> Poll<Outcome<S, R, M>> {
    drop(driver.stream_mut().map(|stream| stream.begin(RECEIVER, context.waker())));
    loop {
        let (error, deadline) = match driver.proceed() {
            Ok((mut stream, outcome)) => {
                stream.end(RECEIVER, true, context.waker());
                return Poll::Ready(Ok((stream, outcome)));
            }
            Err(error) => (error, driver.deadline()),
        };
        match (error, driver.stream_mut()) {
            (Error::WouldBlock, Some(stream)) => {
                ready!(stream.poll_timer(deadline));
                stream.lift_budget();
                driver.set_alarm();
            }
            (error, _) => return Poll::Ready(Err(error)),
        }
    }
}
