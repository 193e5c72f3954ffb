//! The handle of a running simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin;
use crate::call_log::CallRecord;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::gate::{Gate, GateError, GateView, Then};
use crate::machines::Machines;
use crate::metadata;
use crate::model::{Cloud, Eni};
use crate::state::State;

/// A simulator that runs until [`Running::shutdown`], or until it is dropped.
pub struct Running {
    pub(super) state: Arc<State>,
    pub(super) machines: Arc<Machines>,
    pub(super) address: SocketAddr,
    pub(super) admin: admin::Address,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Running {
    /// Address of the OpenAPI.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of the OpenAPI, for ECS and VPC alike.
    pub fn ecs_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the admin API listens.
    pub fn admin(&self) -> &admin::Address {
        &self.admin
    }

    /// Calls after number `since`, at most the last 50,000.
    pub fn calls_since(&self, since: u64) -> Vec<CallRecord> {
        self.state.log.since(since)
    }

    /// Number of calls so far.
    pub fn call_count(&self) -> u64 {
        self.state.log.count()
    }

    /// All ENIs of this moment, in order of creation.
    pub fn enis(&self) -> Vec<Eni> {
        self.with_cloud(|cloud| cloud.enis().cloned().collect())
    }

    /// Reads the cloud's state, or changes it without a call.
    pub fn with_cloud<R>(&self, use_it: impl FnOnce(&mut Cloud) -> R) -> R {
        let result = self.state.with_cloud(|cloud, _| use_it(cloud));
        self.state.changed.notify_one();
        result
    }

    /// Puts a fault in force and returns its id.
    pub fn inject(&self, fault: Fault) -> u64 {
        self.state.add_fault(fault)
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.state.faults.lock().clear();
    }

    /// The clock of the world.
    pub fn clock(&self) -> &Clock {
        &self.state.clock
    }

    /// Lets the cloud's time pass at once.
    pub fn advance(&self, by: Duration) {
        self.state.advance(by);
    }

    /// Puts a gate up and returns its id.
    pub fn hold(&self, gate: Gate) -> Result<u64, GateError> {
        self.state.gates.add(gate)
    }

    /// Waits until a gate is reached, at most `patience`, and returns the gate's state.
    pub async fn gate(&self, id: u64, patience: Duration) -> Option<GateView> {
        self.state.gates.wait(id, patience).await
    }

    /// Removes a gate and lets its call go or drops it. Returns whether the gate existed.
    pub fn open_gate(&self, id: u64, then: Then) -> bool {
        self.state.gates.open(id, then)
    }

    /// Removes all gates, drops the held calls, and accepts no further gates.
    pub fn close_gates(&self) {
        self.state.gates.close();
    }

    /// Serves an instance's metadata on a free port of loopback, for tests of clients that
    /// have no machine to run in. Returns the base URL.
    pub async fn serve_metadata(&self, instance: &str) -> io::Result<String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = self.state.clone();
        self.tasks.spawn(metadata::serve(
            listener,
            state,
            instance.to_owned(),
            self.stop.clone(),
        ));
        Ok(url)
    }

    /// Ends all listeners and connections, powers the machines off, and returns when all of this is done.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.state.gates.close();
        self.tasks.wait().await;
        let machines = self.machines.clone();
        // The machines report a panic themselves.
        let _ = tokio::task::spawn_blocking(move || machines.stop()).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        self.state.gates.close();
    }
}
