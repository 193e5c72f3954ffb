//! The thread that owns the node's netlink socket, its maps and its network namespace.

use std::{fmt, os::fd::AsFd as _, sync::mpsc, thread};

use netlink_sys::Socket;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    DatapathConfig, DatapathError,
    engine::Engine,
    kernel::{
        disturbance::{self, Disturbances},
        netlink::NetlinkError,
        netns,
    },
};

type Job<E> = Box<dyn FnOnce(&mut E) + Send>;

/// Sends work to the thread, which owns an engine.
pub struct Worker<E = Engine> {
    jobs: mpsc::Sender<Job<E>>,
    /// Cancelled when the thread has ended, by a panic too.
    ended: CancellationToken,
}

impl<E> Clone for Worker<E> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            ended: self.ended.clone(),
        }
    }
}

impl<E> fmt::Debug for Worker<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Worker {
    /// Starts the thread of the datapath. It ends when the last handle is dropped.
    pub async fn start(config: DatapathConfig) -> Result<(Self, Disturbances), DatapathError> {
        let (worker, (socket, port)) = Worker::spawn(|| engine(config)).await?;
        let disturbances = Disturbances::new(socket, port).map_err(NetlinkError::Open)?;
        Ok((worker, disturbances))
    }
}

impl<E: 'static> Worker<E> {
    /// Starts a thread that makes its engine and tells `S` about it.
    async fn spawn<S: Send + 'static>(
        make: impl FnOnce() -> Result<(E, S), DatapathError> + Send + 'static,
    ) -> Result<(Self, S), DatapathError> {
        let (jobs, queue) = mpsc::channel::<Job<E>>();
        let (started, ready) = oneshot::channel();
        let ended = CancellationToken::new();
        let ending = ended.clone().drop_guard();
        thread::Builder::new()
            .name("datapath".into())
            .spawn(move || {
                // It is dropped when the thread ends, however it ends.
                let _ending = ending;
                match make() {
                    Ok((mut engine, told)) => {
                        // The caller has gone. The queue is closed then, and the loop ends.
                        let _ = started.send(Ok(told));
                        for job in queue {
                            job(&mut engine);
                        }
                    }
                    Err(error) => {
                        let _ = started.send(Err(error));
                    }
                }
            })
            .map_err(DatapathError::Thread)?;
        let told = ready.await.map_err(|_| DatapathError::Stopped)??;
        Ok((Self { jobs, ended }, told))
    }

    /// Runs a job after all jobs that were queued before. A job that has begun is finished, also when its caller no
    /// longer waits.
    pub async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut E) -> T + Send + 'static,
    ) -> Result<T, DatapathError> {
        let (answer, answered) = oneshot::channel();
        let job: Job<E> = Box::new(move |engine| {
            // The send fails when the caller has gone. Nobody needs the answer then.
            let _ = answer.send(act(engine));
        });
        self.jobs.send(job).map_err(|_| DatapathError::Stopped)?;
        answered.await.map_err(|_| DatapathError::Stopped)
    }

    /// Completes when the thread has ended while a handle is left: a job has panicked. Cancel-safe.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

fn engine(config: DatapathConfig) -> Result<(Engine, (Socket, u32)), DatapathError> {
    if let Some(host) = &config.host_netns {
        netns::enter(host.as_fd())?;
    }
    // The socket is opened before anything is made, so that no later change is missed.
    let socket = disturbance::open()?;
    let engine = Engine::start(config)?;
    let port = engine.port()?;
    Ok((engine, (socket, port)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_ends_the_thread_and_everybody_learns_of_it() {
        let (worker, ()) = Worker::spawn(|| Ok((1_u32, ()))).await.unwrap();
        assert_eq!(worker.run(|number| *number + 1).await.unwrap(), 2);
        let alive = futures::FutureExt::now_or_never(worker.ended());
        assert!(alive.is_none());
        let panicked = worker.run(|_| -> () { panic!("a job of this test") }).await;
        assert!(matches!(panicked, Err(DatapathError::Stopped)));
        let ended = tokio::time::timeout(Duration::from_secs(20), worker.ended()).await;
        assert!(ended.is_ok());
        assert!(matches!(worker.run(|_| ()).await, Err(DatapathError::Stopped)));
    }
}
