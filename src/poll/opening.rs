//! What runs over a stream while no connection is open, polled.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, ready};

use super::Error;
use super::polled::Polled;
use super::runtime::Io;
use super::waiting::RECEIVER;
use crate::engine::Stream;
use crate::engine::driver::{Driver, StateMachine};

/// Runs a state machine to its outcome. All state is in the future; dropping it drops the stream.
pub(crate) fn run<S, R: Io<S>, M: StateMachine>(
    mut driver: Driver<Polled<S, R>, M>,
) -> impl Future<Output = Result<(Polled<S, R>, M::Outcome), Error>> {
    poll_fn(move |context| poll(&mut driver, context))
}

/// A deadline counts once its timer has fired and the stream was tried once more: a task that has used up its budget finds
/// the stream pending though bytes have arrived.
fn poll<S, R: Io<S>, M: StateMachine>(
    driver: &mut Driver<Polled<S, R>, M>,
    context: &Context<'_>,
) -> Poll<Result<(Polled<S, R>, M::Outcome), Error>> {
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
