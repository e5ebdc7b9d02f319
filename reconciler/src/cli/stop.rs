//! ^C and SIGTERM for commands that change things: the first asks them to stop at the next step
//! boundary, the second ends them at once. Other commands end by the signal itself.

use super::exit::Exit;
use super::output::Output;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Runs to the end, or to the boundary after a signal. `stop` is set by the signal.
pub(super) async fn patiently(
    stop: &Arc<AtomicBool>,
    output: Output,
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut asked = None;
    tokio::pin!(work);
    loop {
        let exit = tokio::select! {
            ended = &mut work => return ended.map(|exit| asked.unwrap_or(exit)),
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        };
        if asked.is_some() {
            return Ok(exit);
        }
        asked = Some(exit);
        stop.store(true, Ordering::Relaxed);
        output.say("stopping when the steps that run are done; once more to stop at once");
    }
}
