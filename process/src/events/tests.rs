//! What reaches the API server, which is played by a script.

use std::collections::VecDeque;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;

/// One request to the API server.
#[derive(Debug)]
struct Asked {
    method: String,
    path: String,
    body: Value,
}

/// An API server that notes requests and refuses as many as it is told to.
#[derive(Clone, Default)]
struct ApiServer {
    asked: Arc<Mutex<VecDeque<Asked>>>,
    refuse: Arc<Mutex<usize>>,
}

impl ApiServer {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                let body: Value = serde_json::from_slice(&body)?;
                server.asked.lock().push_back(Asked {
                    method: head.method.to_string(),
                    path: head.uri.path().to_owned(),
                    body: body.clone(),
                });
                let mut refuse = server.refuse.lock();
                let (status, answer) = match *refuse {
                    0 => (200, body),
                    _ => (
                        500,
                        json!({"kind": "Status", "code": 500, "reason": "InternalError"}),
                    ),
                };
                *refuse = refuse.saturating_sub(1);
                let answer = Body::from(answer.to_string().into_bytes());
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(answer)?)
            }
        });
        Client::new(service, "default")
    }

    fn all(&self) -> Vec<Asked> {
        self.asked.lock().drain(..).collect()
    }
}

const AGENT: Limits = Limits {
    queue: 8,
    repeated: Repeated::AtMostEvery {
        same: Duration::ZERO,
        other: Duration::ZERO,
    },
    rate: None,
};

fn pod(name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: Some("shop".into()),
        name: Some(name.into()),
        uid: Some(format!("{name}-uid")),
        ..ObjectReference::default()
    }
}

fn failed(note: &str) -> EventContent {
    EventContent {
        severity: Severity::Warning,
        reason: "AllocIPFailed",
        action: "AllocIP",
        note: note.into(),
    }
}

/// Writes all that waits in the queue.
async fn write_all(server: &ApiServer, queue: Queue) {
    let stop = CancellationToken::new();
    stop.cancel();
    let writer = Writer::new(server.client(), "terway-daemon", "node1");
    writer.run(queue, stop).await;
}

#[tokio::test]
async fn an_event_names_its_object_its_reporter_and_its_cause() {
    let (server, dropped) = (ApiServer::default(), Counter::default());
    let (events, queue) = Events::new(AGENT, dropped);
    events.tell(pod("db-0"), Some(pod("other")), failed("no address is free"));
    write_all(&server, queue).await;
    let asked = server.all();
    assert_eq!(asked.len(), 1);
    let (created, event) = (&asked[0], &asked[0].body);
    assert_eq!(created.method, "POST");
    assert_eq!(created.path, "/apis/events.k8s.io/v1/namespaces/shop/events");
    assert!(event["metadata"]["name"].as_str().unwrap().starts_with("db-0."));
    assert_eq!(event["regarding"]["uid"], "db-0-uid");
    assert_eq!(event["related"]["name"], "other");
    assert_eq!(
        (&event["type"], &event["reason"]),
        (&json!("Warning"), &json!("AllocIPFailed"))
    );
    assert_eq!(
        (&event["action"], &event["note"]),
        (&json!("AllocIP"), &json!("no address is free"))
    );
    assert_eq!(event["reportingController"], "terway-daemon");
    assert_eq!(event["reportingInstance"], "node1");
    assert!(event["eventTime"].is_string() && event["series"].is_null());
}

#[tokio::test]
async fn an_object_whose_name_fills_all_room_has_events_too() {
    let server = ApiServer::default();
    let (events, queue) = Events::new(AGENT, Counter::default());
    // The cut falls behind the dash.
    for name in ["x".repeat(253), format!("{}-{}", "x".repeat(235), "y".repeat(17))] {
        events.tell(pod(&name), None, failed("no address is free"));
    }
    write_all(&server, queue).await;
    let asked = server.all();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        let name = asked.body["metadata"]["name"].as_str().unwrap();
        assert!(name.len() <= 253, "{}", name.len());
        let parts: Vec<&str> = name.split('.').collect();
        assert!(
            parts.iter().all(|part| !part.is_empty() && !part.ends_with('-')),
            "{name}"
        );
        assert_eq!(parts.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn repetitions_count_up_the_first_event() {
    let server = ApiServer::default();
    let (events, queue) = Events::new(AGENT, Counter::default());
    for _ in 0..3 {
        events.tell(pod("db-0"), None, failed("no address is free"));
    }
    events.tell(pod("db-1"), None, failed("no address is free"));
    write_all(&server, queue).await;
    let asked = server.all();
    let methods: Vec<_> = asked.iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["POST", "PATCH", "PATCH", "POST"]);
    let name = asked[0].body["metadata"]["name"].as_str().unwrap();
    assert!(
        asked[2].path.ends_with(&format!("/shop/events/{name}")),
        "{}",
        asked[2].path
    );
    assert_eq!(asked[1].body["series"]["count"], 2);
    assert_eq!(asked[2].body["series"]["count"], 3);
    assert!(asked[2].body["note"].is_null());
}

/// The API server refuses a change of the note of an event that exists.
#[tokio::test]
async fn another_cause_is_another_event_and_the_first_one_is_counted_up_when_it_is_back() {
    let server = ApiServer::default();
    let (events, queue) = Events::new(AGENT, Counter::default());
    for note in ["no address is free", "no NIC with this MAC", "no address is free"] {
        events.tell(pod("db-0"), None, failed(note));
    }
    write_all(&server, queue).await;
    let asked = server.all();
    let methods: Vec<_> = asked.iter().map(|asked| asked.method.as_str()).collect();
    assert_eq!(methods, ["POST", "POST", "PATCH"]);
    assert_eq!(asked[1].body["note"], "no NIC with this MAC");
    let name = asked[0].body["metadata"]["name"].as_str().unwrap();
    assert!(asked[2].path.ends_with(name), "{}", asked[2].path);
}

#[tokio::test]
async fn an_event_that_was_refused_is_not_counted_up() {
    let server = ApiServer::default();
    *server.refuse.lock() = 1;
    let (events, queue) = Events::new(AGENT, Counter::default());
    events.tell(pod("db-0"), None, failed("first"));
    events.tell(pod("db-0"), None, failed("second"));
    write_all(&server, queue).await;
    let asked = server.all();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        (asked[1].method.as_str(), &asked[1].body["note"]),
        ("POST", &json!("second"))
    );
}

#[tokio::test]
async fn transitions_are_told_once_each_and_never_as_a_series() {
    let server = ApiServer::default();
    let limits = Limits {
        queue: 8,
        repeated: Repeated::UntilSilent(Duration::from_secs(3600)),
        rate: None,
    };
    let (events, queue) = Events::new(limits, Counter::default());
    for note in ["no address", "no address", "no quota", "no address"] {
        events.tell(pod("db-0"), None, failed(note));
    }
    write_all(&server, queue).await;
    let notes: Vec<_> = server
        .all()
        .into_iter()
        .map(|asked| asked.body["note"].clone())
        .collect();
    assert_eq!(notes, ["no address", "no quota"]);
}

#[tokio::test]
async fn events_that_find_no_place_are_counted() {
    let dropped = Counter::default();
    let (events, queue) = Events::new(AGENT, dropped.clone());
    for number in 0..20 {
        events.tell(pod(&format!("db-{number}")), None, failed("no"));
    }
    assert_eq!(dropped.get(), 12);
    let server = ApiServer::default();
    write_all(&server, queue).await;
    assert_eq!(server.all().len(), 8);
}

#[tokio::test]
async fn a_long_note_is_cut_at_a_character_and_a_nameless_namespace_is_default() {
    let server = ApiServer::default();
    let (events, queue) = Events::new(AGENT, Counter::default());
    let node = ObjectReference {
        namespace: None,
        ..pod("node1")
    };
    events.tell(node, None, failed(&format!("x{}", "é".repeat(800))));
    write_all(&server, queue).await;
    let asked = server.all();
    let note = asked[0].body["note"].as_str().unwrap();
    assert_eq!(note.len(), MAX_NOTE - 1);
    assert!(note.chars().skip(1).all(|c| c == 'é'));
    assert_eq!(asked[0].path, "/apis/events.k8s.io/v1/namespaces/default/events");
}
