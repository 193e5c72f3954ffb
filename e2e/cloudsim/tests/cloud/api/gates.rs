//! Gates hold a chosen call before its act or before its reply, also when the caller has gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Signer, admin, quick_world};
use reqwest::Method;
use serde_json::{Value, json};

const CREATE: &str = "CreateNetworkInterface";
const PLACE: [(&str, &str); 2] = [("VSwitchId", "vsw-pod-h"), ("SecurityGroupIds.1", "sg-web")];

async fn put_up(bench: &Bench, gate: Value) -> u64 {
    let (status, added) = admin(bench, Method::POST, "/v1/gates", Some(gate)).await;
    assert_eq!(status, 201, "{added}");
    added["id"].as_u64().expect("an id")
}

async fn reached(bench: &Bench, gate: u64) -> Value {
    let (status, view) = admin(bench, Method::GET, &format!("/v1/gates/{gate}?wait=10s"), None).await;
    assert_eq!((status, &view["reached"]), (200, &json!(true)), "{view}");
    view
}

async fn open(bench: &Bench, gate: u64, then: &str) {
    let path = format!("/v1/gates/{gate}?then={then}");
    assert_eq!(admin(bench, Method::DELETE, &path, None).await.0, 204);
}

/// A caller that is killed while its call is held.
async fn killed_while_held(bench: &Arc<Bench>, gate: u64) -> Value {
    let caller = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.send(&Signer::default(), CREATE, &PLACE).await })
    };
    reached(bench, gate).await;
    caller.abort();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let view = reached(bench, gate).await;
        if view["held"]["callerGone"] == true {
            return view;
        }
        assert!(Instant::now() < deadline, "the closed connection was not noticed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn outcomes(bench: &Bench) -> Vec<(u64, String)> {
    let calls = bench.running.calls_since(0);
    calls.into_iter().map(|call| (call.call, call.outcome)).collect()
}

#[tokio::test]
async fn a_call_held_before_the_act_and_dropped_never_happens() {
    let bench = Arc::new(Bench::start(quick_world()).await);
    let before = bench.running.enis().len();
    assert_eq!(bench.call("DescribeVpcs", &[]).await.0, 200);
    let gate = put_up(&bench, json!({"call": 2, "at": "before"})).await;
    let view = killed_while_held(&bench, gate).await;
    assert_eq!(
        (&view["held"]["call"], &view["held"]["action"]),
        (&json!(2), &json!(CREATE))
    );
    assert_eq!(
        bench.running.enis().len(),
        before,
        "nothing is done while it is held"
    );
    open(&bench, gate, "drop").await;
    // When the next call has been answered, the dropped call would have acted too.
    assert_eq!(bench.call("DescribeVpcs", &[]).await.0, 200);
    assert_eq!(bench.running.enis().len(), before);
    let expected = [(1, "OK"), (2, "dropped"), (3, "OK")].map(|(call, end)| (call, end.to_owned()));
    assert_eq!(outcomes(&bench), expected);
    let (_, count) = admin(&bench, Method::GET, "/v1/calls", None).await;
    assert_eq!(
        count,
        json!({"arrived": 3, "mutating": 1, "byAction": {"DescribeVpcs": 2, CREATE: 1}})
    );
}

#[tokio::test]
async fn a_call_held_before_the_act_and_let_go_happens_without_its_caller() {
    let bench = Arc::new(Bench::start(quick_world()).await);
    let before = bench.running.enis().len();
    let gate = put_up(&bench, json!({"action": CREATE, "at": "before"})).await;
    killed_while_held(&bench, gate).await;
    open(&bench, gate, "go").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while bench.running.enis().len() == before {
        assert!(Instant::now() < deadline, "the call was lost");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_call_held_after_the_act_has_happened_and_its_reply_waits() {
    let bench = Arc::new(Bench::start(quick_world()).await);
    let before = bench.running.enis().len();
    for then in ["go", "drop"] {
        let gate = put_up(&bench, json!({"mutating": true, "nth": 2, "at": "after"})).await;
        assert_eq!(bench.call("DescribeVpcs", &[]).await.0, 200);
        bench.create(&[]).await;
        let caller = {
            let bench = bench.clone();
            tokio::spawn(async move { bench.send(&Signer::default(), CREATE, &PLACE).await })
        };
        reached(&bench, gate).await;
        let log = bench.running.calls_since(0);
        let last = log.last().expect("the act is in the log");
        assert_eq!((last.outcome.as_str(), &last.reply_gates), ("OK", &vec![gate]));
        assert!(!caller.is_finished(), "the reply is held");
        open(&bench, gate, then).await;
        let reply = caller.await.expect("the caller lives");
        assert_eq!(reply.is_ok(), then == "go", "{reply:?}");
    }
    assert_eq!(bench.running.enis().len(), before + 4);
}

#[tokio::test]
async fn gates_that_can_hold_nothing_are_refused_and_a_stopping_simulator_drops_what_is_held() {
    let bench = Arc::new(Bench::start(quick_world()).await);
    assert_eq!(bench.call("DescribeVpcs", &[]).await.0, 200);
    for bad in [
        json!({"call": 0, "at": "before"}),
        json!({"call": 1, "at": "before"}),
        json!({"call": 9, "action": CREATE, "at": "before"}),
        json!({"call": 9, "nth": 1, "at": "before"}),
        json!({"call": 9}),
        json!({"call": 9, "at": "between"}),
    ] {
        let (status, answer) = admin(&bench, Method::POST, "/v1/gates", Some(bad.clone())).await;
        assert!(
            status == 422 && answer["error"].is_string(),
            "{bad}: {status} {answer}"
        );
    }
    assert_eq!(admin(&bench, Method::GET, "/v1/gates/7", None).await.0, 404);
    assert_eq!(admin(&bench, Method::DELETE, "/v1/gates/7", None).await.0, 404);
    // A gate that is removed before it is reached holds nothing.
    let gate = put_up(&bench, json!({"action": CREATE, "at": "after"})).await;
    open(&bench, gate, "drop").await;
    bench.create(&[]).await;

    let gate = put_up(&bench, json!({"action": CREATE, "at": "before"})).await;
    let caller = {
        let bench = bench.clone();
        tokio::spawn(async move { bench.send(&Signer::default(), CREATE, &PLACE).await })
    };
    reached(&bench, gate).await;
    let count = bench.running.enis().len();
    bench.running.close_gates();
    assert!(caller.await.expect("the caller lives").is_err());
    assert_eq!(bench.running.enis().len(), count);
}
