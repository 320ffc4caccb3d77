//! Ctrl-C and SIGTERM where the editor does not take them.

use std::process;
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use crate::exit::Exit;
use crate::output::Output;

/// Passes signals on. It has a thread and a runtime of its own: a standard output that nobody reads must not keep the second
/// Ctrl-C from ending wscat.
pub fn watch(interrupts: UnboundedSender<()>, output: Arc<Output>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _guard = runtime.enter();
    let mut signals = Signals::new()?;
    drop(_guard);
    thread::spawn(move || {
        runtime.block_on(async {
            let mut count = 0;
            loop {
                signals.next().await;
                // An editor must give the terminal back before the process ends.
                count = if output.has_editor() { 0 } else { count + 1 };
                if count > 1 {
                    process::exit(Exit::Interrupted.status().into());
                }
                let _ = interrupts.send(());
            }
        });
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // An error means that no handler can be set: then Ctrl-C ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
