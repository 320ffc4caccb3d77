//! The wait of a client for a free stream.

use alloc::sync::Arc;
use core::future::poll_fn;

use ::http::Request;
use ::tokio::sync::{Mutex, MutexGuard};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};

/// Sends requests one after another, so that at most one waits inside h2 for a free stream.
///
/// h2 keeps a request in its queue although the application has given up: when a stream is free it is sent, and reset.
/// Servers take a row of such requests for an attack, and end the connection with all its WebSockets.
#[derive(Clone)]
pub(super) struct Queue {
    send: SendRequest<Bytes>,
    /// The handle of a request that was given up in h2's queue.
    abandoned: Arc<Mutex<Option<SendRequest<Bytes>>>>,
}

/// A request in h2's queue. If it is dropped there, its stream is reset once it is open.
struct Queued<'a> {
    abandoned: MutexGuard<'a, Option<SendRequest<Bytes>>>,
    request: Option<(SendRequest<Bytes>, SendStream<Bytes>)>,
}

impl Queue {
    pub(super) fn new(send: SendRequest<Bytes>) -> Self {
        Self { send, abandoned: Arc::default() }
    }

    /// Returns when the stream is open. Requests are sent in the order of the calls.
    pub(super) async fn send(
        &self,
        request: Request<()>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut abandoned = self.abandoned.lock().await;
        if let Some(earlier) = &mut *abandoned {
            poll_fn(|context| earlier.poll_ready(context)).await?;
        }
        *abandoned = None;
        let mut handle = self.send.clone();
        let (response, stream) = handle.send_request(request, false)?;
        let mut queued = Queued { abandoned, request: Some((handle, stream)) };
        let stream = queued.opened().await?;
        Ok((response, stream))
    }
}

impl Queued<'_> {
    async fn opened(&mut self) -> Result<SendStream<Bytes>, h2::Error> {
        if let Some((handle, _)) = &mut self.request {
            poll_fn(|context| handle.poll_ready(context)).await?;
        }
        match self.request.take() {
            Some((_, stream)) => Ok(stream),
            None => Err(Reason::CANCEL.into()),
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some((handle, mut stream)) = self.request.take() {
            // Not by dropping it: the handle, which notices when the request has left the queue, keeps the stream alive.
            stream.send_reset(Reason::CANCEL);
            *self.abandoned = Some(handle);
        }
    }
}
