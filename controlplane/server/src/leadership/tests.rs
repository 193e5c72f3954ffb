//! The election against an API server that lives in the test.

use serde_json::json;

use super::*;
use crate::config;
use crate::testing::ApiServer;

/// The path of the lease, with and without its API group.
const LEASE: &str = "namespaces/kube-system/leases/terway-controlplane";
const LEASE_PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/terway-controlplane";

fn holder(server: &ApiServer) -> String {
    let lease = server.object(LEASE).unwrap_or_default();
    lease["spec"]["holderIdentity"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Another process writes the lease, as one that took it would.
fn take_over(server: &ApiServer, holder: &str) {
    let mut lease = server.object(LEASE).unwrap();
    lease["spec"]["holderIdentity"] = json!(holder);
    server.put_at(LEASE_PATH, lease);
}

/// Times that are as short as a loaded machine allows.
fn candidate(identity: &str) -> Candidate {
    Candidate {
        namespace: "kube-system".into(),
        lease: "terway-controlplane".into(),
        identity: identity.into(),
        times: config::Lease {
            duration: Duration::from_secs(3),
            renew_deadline: Duration::from_secs(1),
            retry_period: Duration::from_millis(20),
        },
    }
}

/// A process that competes until its token is cancelled.
struct Process {
    leadership: Arc<Leadership>,
    release: CancellationToken,
    competing: tokio::task::JoinHandle<Result<(), LeaseLost>>,
}

impl Process {
    fn start(server: &ApiServer, identity: &str) -> Self {
        let (leadership, release) = (Leadership::new(), CancellationToken::new());
        let (competes, client, stop) = (leadership.clone(), server.client(), release.clone());
        let candidate = candidate(identity);
        let competing = tokio::spawn(async move { competes.compete(client, candidate, stop).await });
        Self {
            leadership,
            release,
            competing,
        }
    }

    async fn term(&self) -> Term {
        let term = self.leadership.wait_for_term();
        tokio::time::timeout(Duration::from_secs(30), term).await.unwrap()
    }

    async fn stop(self) {
        self.release.cancel();
        self.competing.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_of_two_leads_and_the_other_takes_over_at_once_when_the_lease_is_given_back() {
    let server = ApiServer::default();
    let first = Process::start(&server, "first");
    let term = first.term().await;
    assert_eq!(holder(&server), "first");
    assert!(first.leadership.remaining() > Duration::from_secs(1));
    let second = Process::start(&server, "second");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!second.leadership.leads() && second.leadership.remaining().is_zero());
    let fence = first.leadership.clone();
    let given_back = Instant::now();
    first.stop().await;
    assert!(fence.remaining().is_zero(), "a released lease fences every call");
    let next = second.term().await;
    assert!(
        given_back.elapsed() < candidate("").times.duration,
        "it did not wait for the end of the lease"
    );
    assert_eq!(holder(&server), "second");
    assert_ne!(next.id, term.id);
    second.stop().await;
    assert_eq!(holder(&server), "");
}

#[tokio::test]
async fn a_holder_that_cannot_renew_in_time_ends() {
    let server = ApiServer::default();
    let process = Process::start(&server, "first");
    process.term().await;
    server.fall_silent();
    let lost = tokio::time::timeout(Duration::from_secs(30), process.competing)
        .await
        .unwrap();
    assert!(
        lost.unwrap()
            .unwrap_err()
            .to_string()
            .contains("terway-controlplane")
    );
}

#[tokio::test]
async fn a_holder_whose_lease_another_process_wrote_ends_and_leaves_that_lease_alone() {
    let server = ApiServer::default();
    let process = Process::start(&server, "first");
    process.term().await;
    take_over(&server, "thief");
    let lost = tokio::time::timeout(Duration::from_secs(30), process.competing)
        .await
        .unwrap();
    assert!(lost.unwrap().is_err());
    assert_eq!(holder(&server), "thief");
}

#[tokio::test]
async fn without_an_election_a_process_leads_and_no_call_is_fenced() {
    let leadership = Leadership::new();
    assert!(leadership.remaining().is_zero());
    leadership.lead_alone("only");
    assert!(leadership.wait_for_term().await.id.starts_with("only/"));
    assert_eq!(leadership.remaining(), Duration::MAX);
}

#[test]
fn a_machine_that_was_suspended_does_not_believe_in_its_lease() {
    let held = HeldLease {
        at: Instant::now(),
        at_wall: SystemTime::now(),
        duration: Duration::from_secs(15),
    };
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    assert_eq!(held.left(held.at + second, held.at_wall + second), 14 * second);
    // The monotonic clock stood still for an hour.
    assert_eq!(held.left(held.at + second, held.at_wall + hour), Duration::ZERO);
    // Somebody set the clock of the day back.
    assert_eq!(held.left(held.at + 2 * second, held.at_wall - hour), 13 * second);
    assert_eq!(held.left(held.at + hour, held.at_wall - hour), Duration::ZERO);
}
