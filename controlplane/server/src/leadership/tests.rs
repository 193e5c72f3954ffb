//! The election against an API server that is played by a script: one Lease, with the conflicts of a real one.

use axum::http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::config;

/// The API server as far as the election needs it.
#[derive(Clone, Default)]
struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lease: Option<Lease>,
    version: u64,
    /// Requests are not answered.
    silent: bool,
}

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                if server.0.lock().silent {
                    std::future::pending::<()>().await;
                }
                let (status, answer) = server.answer(&head.method, &body);
                let answer = Body::from(serde_json::to_vec(&answer)?);
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
            }
        });
        Client::new(service, "default")
    }

    fn answer(&self, method: &Method, body: &[u8]) -> (StatusCode, serde_json::Value) {
        let refused = |status: StatusCode, reason: &str| {
            let code = status.as_u16();
            (
                status,
                json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code}),
            )
        };
        let mut state = self.0.lock();
        if method == Method::GET {
            return match &state.lease {
                Some(lease) => (StatusCode::OK, json!(lease)),
                None => refused(StatusCode::NOT_FOUND, "NotFound"),
            };
        }
        let mut written: Lease = serde_json::from_slice(body).unwrap();
        let known = state
            .lease
            .as_ref()
            .map(|lease| lease.metadata.resource_version.clone());
        if known.is_some_and(|known| known != written.metadata.resource_version) {
            return refused(StatusCode::CONFLICT, "Conflict");
        }
        state.version += 1;
        written.metadata.resource_version = Some(state.version.to_string());
        state.lease = Some(written.clone());
        (StatusCode::OK, json!(written))
    }

    fn holder(&self) -> String {
        let state = self.0.lock();
        state
            .lease
            .as_ref()
            .map(|lease| record::holder(lease).to_owned())
            .unwrap_or_default()
    }

    /// Another process writes the lease, as one that took it would.
    fn take_over(&self, holder: &str) {
        let mut state = self.0.lock();
        state.version += 1;
        let version = state.version.to_string();
        if let Some(lease) = &mut state.lease {
            lease.metadata.resource_version = Some(version);
            lease.spec.get_or_insert_default().holder_identity = Some(holder.to_owned());
        }
    }
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
    assert_eq!(server.holder(), "first");
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
    assert_eq!(server.holder(), "second");
    assert_ne!(next.id, term.id);
    second.stop().await;
    assert_eq!(server.holder(), "");
}

#[tokio::test]
async fn a_holder_that_cannot_renew_in_time_ends() {
    let server = ApiServer::default();
    let process = Process::start(&server, "first");
    process.term().await;
    server.0.lock().silent = true;
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
    server.take_over("thief");
    let lost = tokio::time::timeout(Duration::from_secs(30), process.competing)
        .await
        .unwrap();
    assert!(lost.unwrap().is_err());
    assert_eq!(server.holder(), "thief");
}

#[tokio::test]
async fn without_an_election_a_process_leads_and_no_call_is_fenced() {
    let leadership = Leadership::new();
    assert!(leadership.remaining().is_zero());
    leadership.lead_alone("only");
    assert!(leadership.wait_for_term().await.id.starts_with("only/"));
    assert_eq!(leadership.remaining(), Duration::MAX);
}
