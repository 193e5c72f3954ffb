//! Sandboxes that go at the same time go together: the kernel takes some 20 ms to be rid of a link, and no longer
//! for many at once. So a node that is drained does not wait for its pods one after the other.

use std::{fmt, mem, slice, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    DatapathError,
    engine::{Departure, Engine},
    worker::Worker,
};

type Answer = oneshot::Sender<Result<(), DatapathError>>;

/// Those that wait for the thread to have time for them; clones share it.
#[derive(Clone, Default)]
pub struct Departures(Arc<Mutex<Vec<(Departure, Answer)>>>);

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Departures")
    }
}

impl Departures {
    /// Removes a sandbox together with all that are asked for until its turn comes.
    pub async fn delete(&self, worker: &Worker, departure: Departure) -> Result<(), DatapathError> {
        let (answer, answered) = oneshot::channel();
        self.0.lock().push((departure, answer));
        let waiting = self.clone();
        // Each asks for a turn; the first one's does the work of those behind it too.
        worker.run(move |engine| waiting.carry_out(engine)).await?;
        answered.await.map_err(|_| DatapathError::Stopped)?
    }

    fn carry_out(&self, engine: &mut Engine) {
        let (all, answers): (Vec<_>, Vec<_>) = mem::take(&mut *self.0.lock()).into_iter().unzip();
        // Repeated one by one after a failure, each is told of its own: a removal can be repeated.
        let together = all.len() > 1 && engine.delete(&all).is_ok();
        for (departure, answer) in all.iter().zip(answers) {
            let done = if together {
                Ok(())
            } else {
                engine.delete(slice::from_ref(departure))
            };
            // A caller that has gone does not read the answer.
            let _ = answer.send(done);
        }
    }
}
