//! Sandboxes that go at the same time are removed together. The kernel takes some 20 ms to remove a link, and the same
//! time for many links in one act: a node that is drained does not wait for its pods one after the other.

use std::{fmt, mem, slice, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    DatapathError,
    engine::{Departure, Engine},
    worker::Worker,
};

/// Tells the caller what became of its sandbox.
type Caller = oneshot::Sender<Result<(), DatapathError>>;

/// The sandboxes that wait until the thread has time for them; clones share the list.
#[derive(Clone, Default)]
pub struct Departures(Arc<Mutex<Vec<(Departure, Caller)>>>);

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Departures")
    }
}

impl Departures {
    /// Removes a sandbox, together with all others whose removal is asked for until the thread has time.
    pub async fn delete(&self, worker: &Worker, departure: Departure) -> Result<(), DatapathError> {
        let (caller, answered) = oneshot::channel();
        self.0.lock().push((departure, caller));
        let waiting = self.clone();
        // Every caller queues a job. The first job removes the sandboxes of all callers that wait by then.
        worker.run(move |engine| waiting.carry_out(engine)).await?;
        answered.await.map_err(|_| DatapathError::Stopped)?
    }

    fn carry_out(&self, engine: &mut Engine) {
        let (all, callers): (Vec<_>, Vec<_>) = mem::take(&mut *self.0.lock()).into_iter().unzip();
        // A removal can be repeated. After a failure the sandboxes are removed one by one, and each caller is told
        // what became of its own.
        let together = all.len() > 1 && engine.delete(&all).is_ok();
        for (departure, caller) in all.iter().zip(callers) {
            let done = if together {
                Ok(())
            } else {
                engine.delete(slice::from_ref(departure))
            };
            // The send fails when the caller has gone. Nobody needs the answer then.
            let _ = caller.send(done);
        }
    }
}
