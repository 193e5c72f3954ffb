//! Named tasks that live and end together.

use std::future::Future;
use std::io;
use std::time::Duration;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long everything may take to end. Shorter than the grace that the chart gives the pod (10 s).
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// The tasks of the process. The end of one before a stop is asked for is the end of all.
#[derive(Default)]
pub struct Lifecycle {
    /// Cancelled when the process is to end.
    pub stopping: CancellationToken,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Lifecycle {
    /// Let SIGTERM and SIGINT ask for a stop.
    pub fn stop_on_signals(&self) -> io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.stopping.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            info!(signal = name, "stopping");
            stop.cancel();
        });
        Ok(())
    }

    /// Run a task that ends by itself when a stop is asked for.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Run a task that never ends by itself, and that can be dropped at any point.
    pub fn spawn_endless(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.spawn(name, async move {
            tokio::select! {
                () = task => Err(anyhow!("it ended by itself")),
                () = stopping.cancelled() => Ok(()),
            }
        });
    }

    /// Wait for a stop to be asked for, or for a task to fail; then let all end.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let result = loop {
            // Cancel-safe: a task that has ended is reported by the next call.
            let ended = tokio::select! {
                ended = self.tasks.join_next() => ended,
                () = self.stopping.cancelled() => break Ok(()),
            };
            match ended {
                Some(Ok((_, Ok(())))) if self.stopping.is_cancelled() => {}
                Some(Ok((name, Ok(())))) => break Err(anyhow!("the {name} ended before its time")),
                Some(Ok((name, Err(error)))) => break Err(error.context(format!("the {name} failed"))),
                Some(Err(panic)) => break Err(anyhow!(panic).context("a task panicked")),
                None => break Ok(()),
            }
        };
        self.stopping.cancel();
        self.drain().await;
        result
    }

    async fn drain(mut self) {
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                match ended {
                    Ok((_, Ok(()))) => {}
                    Ok((name, Err(error))) => {
                        warn!(name, error = format!("{error:#}"), "ended with an error")
                    }
                    Err(panic) => error!(error = %panic, "a task panicked"),
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
            warn!("not everything ended in time");
        }
    }
}
