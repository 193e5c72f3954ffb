//! The end of the stages, one after the other.

use tracing::{error, info, warn};

use super::{Lifecycle, LifecycleError, failure};
use crate::error_chain;

/// Ends every stage in order. What does not end in its time is left behind, named in the log, and dropped with the
/// process.
pub(super) async fn drain(life: &mut Lifecycle) {
    for stage in 0..life.stages.len() {
        let (name, within) = (life.stages[stage].name, life.stages[stage].within);
        if life.running.iter().any(|running| running.stage == stage) {
            info!(stage = name, "stopping");
        }
        life.stages[stage].stop.cancel();
        // Cancel-safe: a task that has ended is reported by the next call.
        if tokio::time::timeout(within, until_ended(life, stage))
            .await
            .is_err()
        {
            let left = life.running.iter().filter(|running| running.stage == stage);
            let left: Vec<_> = left.map(|running| running.name).collect();
            warn!(
                stage = name,
                left = left.join(", "),
                "not everything ended in time"
            );
        }
    }
}

async fn until_ended(life: &mut Lifecycle, stage: usize) {
    while life.running.iter().any(|running| running.stage == stage) {
        let Some((name, ended)) = life.next_end().await else {
            return;
        };
        match ended {
            Ok(Ok(())) => {}
            ended => tell(&failure(name, ended)),
        }
    }
}

fn tell(failure: &LifecycleError) {
    match failure {
        LifecycleError::Panicked { .. } => error!(error = error_chain(failure), "at the end of the process"),
        _ => warn!(error = error_chain(failure), "at the end of the process"),
    }
}
