//! Tasks of a process: in which order they end, and which of them the process cannot do without.
//!
//! Tasks belong to stages. Every task is essential: when one ends before its stage is asked to, the process ends.
//! A stop, by a signal or by [`Lifecycle::stopping`], ends the stages one after the other in the order in which they
//! were declared: the tasks of a stage are told to end, the stage waits for its tasks, and then the next stage is told.

mod drain;

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Why a task failed; for people.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why the process ended otherwise than by a stop.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A task that must not end before the stop did end.
    #[error("{name} ended by itself")]
    Ended { name: &'static str },
    /// A task failed.
    #[error("{name} failed")]
    Failed {
        name: &'static str,
        #[source]
        source: Failure,
    },
    /// A task panicked.
    #[error("{name} panicked")]
    Panicked {
        name: &'static str,
        #[source]
        source: JoinError,
    },
    /// The process could not start.
    #[error("cannot start")]
    Start(#[source] Failure),
    /// The signals that ask for a stop cannot be received.
    #[error("listening for signals")]
    Signals(#[source] std::io::Error),
}

/// What becomes of the other tasks when one has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// They end in order, as after a stop.
    Drain,
    /// They are dropped at once: the failed task may be the one that gave the others the right to go on.
    DropAll,
}

/// A stage of the end. Tasks are started with it.
#[derive(Clone, Copy, Debug)]
pub struct Stage(usize);

#[derive(Debug)]
struct StageState {
    name: &'static str,
    /// Cancelled when the tasks of this stage are to end.
    stop: CancellationToken,
    /// How long the end of this stage may take.
    within: Duration,
}

#[derive(Debug)]
struct Running {
    id: Id,
    name: &'static str,
    stage: usize,
}

/// The tasks of a process. Dropping it aborts all of them.
#[derive(Debug)]
pub struct Lifecycle {
    stopping: CancellationToken,
    after_failure: AfterFailure,
    stages: Vec<StageState>,
    tasks: JoinSet<Result<(), Failure>>,
    running: Vec<Running>,
}

impl Lifecycle {
    /// A process without tasks.
    #[must_use]
    pub fn new(after_failure: AfterFailure) -> Self {
        Self {
            stopping: CancellationToken::new(),
            after_failure,
            stages: Vec::new(),
            tasks: JoinSet::new(),
            running: Vec::new(),
        }
    }

    /// Cancel it to ask for a stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Lets `stop` ask for the stop, in place of the process's own token.
    #[must_use]
    pub fn stopped_by(self, stop: CancellationToken) -> Self {
        Self {
            stopping: stop,
            ..self
        }
    }

    /// Declares the next stage of the end, which may take this long.
    pub fn stage(&mut self, name: &'static str, within: Duration) -> Stage {
        self.stages.push(StageState {
            name,
            stop: CancellationToken::new(),
            within,
        });
        Stage(self.stages.len() - 1)
    }

    /// Cancelled when the tasks of `stage` are to end.
    #[must_use]
    pub fn stop_of(&self, stage: Stage) -> CancellationToken {
        self.stages[stage.0].stop.clone()
    }

    /// Starts a task that ends by itself when its stage is asked to end.
    pub fn spawn<Work, Error>(
        &mut self,
        stage: Stage,
        name: &'static str,
        task: impl FnOnce(CancellationToken) -> Work,
    ) where
        Work: Future<Output = Result<(), Error>> + Send + 'static,
        Error: Into<Failure>,
    {
        let work = task(self.stop_of(stage));
        let id = self
            .tasks
            .spawn(async move { work.await.map_err(Into::into) })
            .id();
        self.running.push(Running {
            id,
            name,
            stage: stage.0,
        });
    }

    /// Starts a task that never ends by itself. It is dropped when its stage is asked to end, wherever it is.
    pub fn spawn_endless(
        &mut self,
        stage: Stage,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(stage, name, |stop| async move {
            match stop.run_until_cancelled_owned(task).await {
                Some(()) => Err("a task without an end came to its end"),
                None => Ok(()),
            }
        });
    }

    /// Starts a process and sees it through to its end. `start` may be dropped half-way when a stop is asked for.
    ///
    /// # Errors
    /// When `start` fails, or a task ends before the stop.
    pub async fn run<Kept, Error: Into<Failure>>(
        mut self,
        start: impl AsyncFnOnce(&mut Self) -> Result<Kept, Error>,
    ) -> Result<(), LifecycleError> {
        let stopping = self.stopping();
        // A start can be dropped half-way: what it began is a task, or has changed nothing.
        match stopping.run_until_cancelled(start(&mut self)).await {
            Some(Ok(_kept_until_the_end)) => self.finish().await,
            Some(Err(error)) => {
                let result = Err(LifecycleError::Start(error.into()));
                self.end(result).await
            }
            None => self.end(Ok(())).await,
        }
    }

    /// Waits for a stop, or for the end of a task, which is a failure; then ends all tasks.
    ///
    /// # Errors
    /// When a task ended before the stop.
    pub async fn finish(mut self) -> Result<(), LifecycleError> {
        let stopping = self.stopping();
        // Cancel-safe: a task that has ended is reported by the next call.
        let result = tokio::select! {
            () = stopping.cancelled() => Ok(()),
            Some((name, ended)) = self.next_end() => Err(failure(name, ended)),
            // Nothing runs: the process waits for the stop alone.
            else => {
                stopping.cancelled().await;
                Ok(())
            }
        };
        self.end(result).await
    }

    async fn end(mut self, result: Result<(), LifecycleError>) -> Result<(), LifecycleError> {
        if result.is_ok() || self.after_failure == AfterFailure::Drain {
            self.stopping.cancel();
            drain::drain(&mut self).await;
        }
        result
    }

    /// The next task that has ended, by name; `None` when no task is left. Cancel-safe.
    async fn next_end(&mut self) -> Option<(&'static str, Result<Result<(), Failure>, JoinError>)> {
        let (id, ended) = match self.tasks.join_next_with_id().await? {
            Ok((id, ended)) => (id, Ok(ended)),
            Err(error) => (error.id(), Err(error)),
        };
        let place = self.running.iter().position(|running| running.id == id)?;
        Some((self.running.swap_remove(place).name, ended))
    }
}

/// Lets SIGTERM and SIGINT cancel `stop`.
///
/// # Errors
/// When the signals cannot be received.
pub fn stop_on_signals(stop: CancellationToken) -> Result<(), LifecycleError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(LifecycleError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(LifecycleError::Signals)?;
    tokio::spawn(async move {
        // Cancel-safe: a signal that is lost here is not needed any more.
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        info!(signal = name, "stopping");
        stop.cancel();
    });
    Ok(())
}

/// A task ended before the stop: whatever its result, this is a failure.
fn failure(name: &'static str, ended: Result<Result<(), Failure>, JoinError>) -> LifecycleError {
    match ended {
        Ok(Ok(())) => LifecycleError::Ended { name },
        Ok(Err(source)) => LifecycleError::Failed { name, source },
        Err(source) => LifecycleError::Panicked { name, source },
    }
}

#[cfg(test)]
mod tests;
