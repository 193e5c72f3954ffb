//! Leader election by a Lease. Only the leader writes; the time left on the lease is the fence of cloud calls.
//!
//! No library does this. A cloud call may be sent only while the lease surely lasts longer than the call, counted on
//! the clock of this process from before the last renewal was sent. `kube-leader-election` offers no fencing, and it
//! compares timestamps of other machines (its documentation says both). `kube-lease-manager` tells its user whether
//! the lease is held, but not for how long.

mod plan;
mod record;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use terway_cloud::Fence;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::status_code;
use plan::{Action, LeaseObservation};

/// One period of leadership of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Holder and number of the period. Every period has another id.
    pub id: String,
    /// The time since which no other process decides.
    pub since: Timestamp,
}

#[derive(Debug, Default)]
struct Held {
    lease: Option<HeldLease>,
    /// There is no lease, because no other process competes.
    alone: bool,
}

/// A lease that was ours at one moment, and is for its duration from then on.
#[derive(Debug, Clone, Copy)]
struct HeldLease {
    at: Instant,
    /// The same moment by the clock of the day. `Instant` stands still while a machine is suspended (CLOCK_MONOTONIC in
    /// clock_gettime(2)), and the lease of a suspended holder ends all the same.
    at_wall: SystemTime,
    duration: Duration,
}

impl HeldLease {
    /// Time that is certainly left. The clock that has advanced further counts. A clock of the day that somebody sets
    /// forward ends the lease too early, which does no harm.
    fn left(&self, now: Instant, wall: SystemTime) -> Duration {
        let by_wall = wall.duration_since(self.at_wall).unwrap_or_default();
        let elapsed = now.saturating_duration_since(self.at).max(by_wall);
        self.duration.saturating_sub(elapsed)
    }
}

/// This process's part in the election.
pub struct Leadership {
    held: Mutex<Held>,
    term: watch::Sender<Option<Term>>,
}

impl Fence for Leadership {
    fn remaining(&self) -> Duration {
        let held = self.held.lock();
        if held.alone {
            return Duration::MAX;
        }
        held.lease.map_or(Duration::ZERO, |lease| {
            lease.left(Instant::now(), SystemTime::now())
        })
    }
}

/// The names of the lease and of this candidate.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub namespace: String,
    pub lease: String,
    /// Pod name and pod UID, so that a new pod of the same name is another holder.
    pub identity: String,
    pub times: crate::config::Lease,
}

/// The lease was lost while this process led.
#[derive(Debug, thiserror::Error)]
#[error("the lease {lease} was not renewed in time: another process may decide now, so this one ends")]
pub struct LeaseLost {
    lease: String,
}

impl Leadership {
    /// Nobody leads yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(Held::default()),
            term: watch::Sender::new(None),
        })
    }

    /// Leads without a lease, when leader election is switched off.
    pub fn lead_alone(&self, identity: &str) {
        self.held.lock().alone = true;
        let id = format!("{identity}/{}", Timestamp::now().as_millisecond());
        self.term.send_replace(Some(Term {
            id,
            since: Timestamp::now(),
        }));
    }

    /// Waits until this process leads. Cancel safe.
    pub async fn wait_for_term(&self) -> Term {
        let mut receiver = self.term.subscribe();
        loop {
            if let Some(term) = receiver.borrow_and_update().clone() {
                return term;
            }
            // The sender lives as long as `self`, so this cannot fail.
            let _ = receiver.changed().await;
        }
    }

    /// Whether this process leads now.
    pub fn leads(&self) -> bool {
        self.term.borrow().is_some()
    }

    /// Competes for the lease and renews it until `release` is cancelled; then gives it back.
    ///
    /// # Errors
    /// When the lease was held and lost.
    pub async fn compete(
        &self,
        client: Client,
        candidate: Candidate,
        release: CancellationToken,
    ) -> Result<(), LeaseLost> {
        let api: Api<Lease> = Api::namespaced(client, &candidate.namespace);
        let mut seen = LeaseObservation::default();
        loop {
            let step = self.step(&api, &candidate, &mut seen);
            let step = tokio::time::timeout(candidate.times.renew_deadline, step);
            // Cancel safe: after an interrupted renewal, the release below reads the lease again.
            tokio::select! {
                () = release.cancelled() => break,
                in_time = step => if in_time.is_err() { warn!("the API server did not answer in time") }
            }
            if self.leads() && self.remaining() <= candidate.times.duration - candidate.times.renew_deadline {
                return Err(LeaseLost {
                    lease: candidate.lease,
                });
            }
            tokio::select! {
                () = release.cancelled() => break,
                () = tokio::time::sleep(candidate.times.retry_period) => {}
            }
        }
        self.give_back(&api, &candidate).await;
        Ok(())
    }

    /// Reads the lease, and writes it if it is ours or free. The holder does not read it: its own last write has the
    /// version, and a conflict shows that another process wrote.
    async fn step(&self, api: &Api<Lease>, candidate: &Candidate, seen: &mut LeaseObservation) {
        let (at, at_wall) = (Instant::now(), SystemTime::now());
        let lease = match seen.own.take().filter(|_| self.leads()) {
            Some(own) => Some(own),
            None => match api.get_opt(&candidate.lease).await {
                Ok(lease) => lease,
                Err(error) => return warn!(error = &error as &dyn std::error::Error, "reading the lease"),
            },
        };
        let action = plan::plan(
            lease.as_ref(),
            seen,
            &candidate.identity,
            self.leads(),
            Instant::now(),
        );
        match self.write(api, candidate, lease, action).await {
            Ok(Some(lease)) => {
                // The Lease object holds whole seconds, which are what other candidates wait for.
                let written = Duration::from_secs(candidate.times.duration.as_secs().max(1));
                let duration = candidate.times.duration.min(written);
                self.renewed(
                    &lease,
                    candidate,
                    HeldLease {
                        at,
                        at_wall,
                        duration,
                    },
                );
                seen.own = Some(lease);
            }
            Ok(None) => {}
            Err(error) if status_code(&error) == Some(409) => {}
            Err(error) => warn!(error = &error as &dyn std::error::Error, "writing the lease"),
        }
    }

    async fn write(
        &self,
        api: &Api<Lease>,
        candidate: &Candidate,
        lease: Option<Lease>,
        action: Action,
    ) -> Result<Option<Lease>, kube::Error> {
        let params = PostParams::default();
        match (action, lease) {
            (Action::Create, _) => {
                let lease = record::new(candidate, Timestamp::now());
                api.create(&params, &lease).await.map(Some)
            }
            (Action::Write { transitions }, Some(lease)) => {
                let lease = record::held(lease, candidate, transitions, Timestamp::now());
                api.replace(&candidate.lease, &params, &lease).await.map(Some)
            }
            (Action::Stand | Action::Write { .. }, _) => Ok(None),
        }
    }

    /// Notes a renewal. The lease is ours for its duration, counted from before the write was sent.
    fn renewed(&self, lease: &Lease, candidate: &Candidate, held: HeldLease) {
        self.held.lock().lease = Some(held);
        if !self.leads() {
            let number = record::transitions(lease);
            let term = Term {
                id: format!("{}/{number}", candidate.identity),
                since: Timestamp::now(),
            };
            info!(term = term.id, "leads");
            self.term.send_replace(Some(term));
        }
    }

    async fn give_back(&self, api: &Api<Lease>, candidate: &Candidate) {
        if !self.leads() {
            return;
        }
        self.held.lock().lease = None;
        let Ok(Some(lease)) = api.get_opt(&candidate.lease).await else {
            return;
        };
        if record::holder(&lease) != candidate.identity {
            return;
        }
        let free = record::free(lease, Timestamp::now());
        match api.replace(&candidate.lease, &PostParams::default(), &free).await {
            Ok(_) => info!("gave the lease back"),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "giving the lease back"),
        }
    }
}

#[cfg(test)]
mod tests;
