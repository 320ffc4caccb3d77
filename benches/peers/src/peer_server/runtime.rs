//! What all servers over tokio share: one thread unless asked otherwise, a task for each connection.

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};
#[cfg(feature = "shapes")]
use tokio::sync::broadcast::{self, error::TryRecvError};

use crate::{Error, Options};

/// The threads of a runtime that has several.
const THREADS: usize = 2;

/// Serves until the process is ended.
pub fn serve<F>(options: &Options, handle: impl Fn(TcpStream) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut runtime = if options.multi_thread {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    runtime.worker_threads(THREADS).enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(&options.addr).await?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let connection = handle(stream);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    eprintln!("{error}");
                }
            });
        }
    })
}

/// Every connection's queue is a place in this one, as in the library's own example.
#[cfg(feature = "shapes")]
pub type Room<M> = broadcast::Sender<M>;

#[cfg(feature = "shapes")]
pub fn room<M: Clone>() -> Room<M> {
    broadcast::Sender::new(1 << 16)
}

/// What waits in a queue beside `first`.
#[cfg(feature = "shapes")]
pub fn waiting<M: Clone>(
    first: M,
    queue: &mut broadcast::Receiver<M>,
) -> impl Iterator<Item = Result<M, Error>> {
    let mut first = Some(first);
    std::iter::from_fn(move || match first.take() {
        Some(first) => Some(Ok(first)),
        None => match queue.try_recv() {
            Ok(message) => Some(Ok(message)),
            Err(TryRecvError::Empty) => None,
            Err(error) => Some(Err(error.into())),
        },
    })
}
