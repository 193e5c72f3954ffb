//! The thread that owns the node's netlink socket, its maps and its network namespace.

use std::{fmt, os::fd::AsFd as _, sync::mpsc, thread};

use netlink_sys::Socket;
use tokio::sync::oneshot;

use super::{
    DatapathConfig, DatapathError,
    engine::Engine,
    kernel::{
        disturbance::{self, Disturbances},
        netlink::NetlinkError,
        netns,
    },
};

type Job = Box<dyn FnOnce(&mut Engine) + Send>;

/// Sends work to the thread.
#[derive(Clone)]
pub struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worker")
    }
}

impl Worker {
    /// Starts the thread. It ends when the last handle is dropped.
    pub async fn start(config: DatapathConfig) -> Result<(Self, Disturbances), DatapathError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (started, ready) = oneshot::channel();
        thread::Builder::new()
            .name("datapath".into())
            .spawn(move || match engine(config) {
                Ok((mut engine, socket, port)) => {
                    // The caller has gone. The queue is closed then, and the loop ends.
                    let _ = started.send(Ok((socket, port)));
                    for job in queue {
                        job(&mut engine);
                    }
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            })
            .map_err(DatapathError::Thread)?;
        let (socket, port) = ready.await.map_err(|_| DatapathError::Stopped)??;
        let disturbances = Disturbances::new(socket, port).map_err(NetlinkError::Open)?;
        Ok((Self { jobs }, disturbances))
    }

    /// Runs a job after all jobs that were queued before. A job that has begun is finished, also when its caller no
    /// longer waits.
    pub async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T, DatapathError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |engine| {
            // The send fails when the caller has gone. Nobody needs the answer then.
            let _ = answer.send(act(engine));
        });
        self.jobs.send(job).map_err(|_| DatapathError::Stopped)?;
        answered.await.map_err(|_| DatapathError::Stopped)
    }
}

fn engine(config: DatapathConfig) -> Result<(Engine, Socket, u32), DatapathError> {
    if let Some(host) = &config.host_netns {
        netns::enter(host.as_fd())?;
    }
    // The socket is opened before anything is made, so that no later change is missed.
    let socket = disturbance::open()?;
    let engine = Engine::start(config)?;
    let port = engine.port()?;
    Ok((engine, socket, port))
}
