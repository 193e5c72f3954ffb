//! Faults beyond those of the gateway's tests: silence, errors after the act, the number of a call, and
//! bad ones that are refused.

use std::time::Duration;

use crate::bench::{Bench, Signer, admin, quick_world};
use cloudsim::{Fault, Point, World};
use reqwest::Method;
use serde_json::json;

const CREATE: &str = "CreateNetworkInterface";
const PLACE: [(&str, &str); 3] = [
    ("VSwitchId", "vsw-pod-h"),
    ("SecurityGroupIds.1", "sg-web"),
    ("ClientToken", "token"),
];

#[tokio::test]
async fn a_call_without_an_answer_is_done_or_not_as_the_fault_says() {
    let bench = Bench::start(quick_world()).await;
    let before = bench.running.enis().len();
    for (at, made, outcome) in [(Point::Before, 0, "silent"), (Point::After, 1, "OK")] {
        bench.running.inject(Fault {
            action: Some(CREATE.into()),
            silent: Some(at),
            times: Some(1),
            ..Fault::default()
        });
        let signer = Signer::default();
        let call = bench.send(&signer, CREATE, &PLACE);
        let patience = Duration::from_millis(300);
        tokio::time::timeout(patience, call)
            .await
            .expect_err("the caller gives up");
        assert_eq!(bench.running.enis().len(), before + made);
        let log = bench.running.calls_since(0);
        let last = log.last().expect("a call");
        assert_eq!((last.outcome.as_str(), last.reply_lost), (outcome, true));
    }
    assert_eq!(bench.call(CREATE, &PLACE).await.0, 200);
    assert_eq!(
        bench.running.enis().len(),
        before + 1,
        "the token found what was made"
    );
}

#[tokio::test]
async fn an_error_can_be_told_though_the_act_is_done() {
    let bench = Bench::start(quick_world()).await;
    let before = bench.running.enis().len();
    bench.running.inject(Fault {
        code: Some("InternalError".into()),
        code_at: Some(Point::After),
        times: Some(1),
        ..Fault::default()
    });
    bench.refused(CREATE, &PLACE, 500, "InternalError").await;
    assert_eq!(bench.running.enis().len(), before + 1);
    let log = bench.running.calls_since(0);
    assert_eq!(
        (log[0].outcome.as_str(), log[0].told.as_deref()),
        ("OK", Some("InternalError"))
    );
    assert_eq!(bench.call(CREATE, &PLACE).await.0, 200);
    assert_eq!(bench.running.enis().len(), before + 1);
}

#[tokio::test]
async fn throttling_has_its_status_and_the_number_of_a_call_is_counted_from_the_start() {
    let bench = Bench::start(quick_world()).await;
    for (call, code) in [(2, "Throttling"), (3, "Throttling.User"), (4, "Throttling.Api")] {
        bench.running.inject(Fault {
            call: Some(call),
            code: Some(code.into()),
            ..Fault::default()
        });
    }
    let mut told = Vec::new();
    for _ in 0..5 {
        let (status, answer) = bench.call("DescribeVpcs", &[]).await;
        told.push((status, answer["Code"].as_str().unwrap_or("OK").to_owned()));
    }
    let expected = [
        (200, "OK"),
        (400, "Throttling"),
        (400, "Throttling.User"),
        (400, "Throttling.Api"),
        (200, "OK"),
    ];
    assert_eq!(told, expected.map(|(status, code)| (status, code.to_owned())));
}

#[tokio::test]
async fn a_stuck_detach_waits_until_everything_is_settled() {
    let bench = Bench::start(quick_world()).await;
    let eni = bench.create(&[]).await;
    let there = [("NetworkInterfaceId", eni.as_str()), ("InstanceId", "i-node1")];
    assert_eq!(bench.call("AttachNetworkInterface", &there).await.0, 200);
    bench.running.inject(Fault {
        action: Some("DetachNetworkInterface".into()),
        stuck: true,
        ..Fault::default()
    });
    assert_eq!(bench.call("DetachNetworkInterface", &there).await.0, 200);
    bench.running.advance(Duration::from_secs(24 * 3600));
    assert_eq!(bench.describe(&eni).await["Status"], "Detaching");
    let (status, settled) = admin(&bench, Method::POST, "/v1/enis/settle", None).await;
    assert_eq!((status, settled), (200, json!({"settled": 1})));
    assert_eq!(bench.describe(&eni).await["Status"], "Available");
}

#[tokio::test]
async fn faults_that_can_hit_nothing_or_do_nothing_are_refused() {
    let bench = Bench::start(quick_world()).await;
    for bad in [
        json!({}),
        json!({"action": CREATE}),
        json!({"code": "X", "nth": 0}),
        json!({"code": "X", "call": 0}),
        json!({"code": "X", "times": 0}),
        json!({"code": "X", "probability": 1.5}),
        json!({"code": "X", "status": 200}),
        json!({"stuck": true, "status": 500}),
        json!({"stuck": true, "codeAt": "after"}),
        json!({"reset": "between"}),
    ] {
        let (status, answer) = admin(&bench, Method::POST, "/v1/faults", Some(bad.clone())).await;
        assert_eq!(status, 422, "{bad}: {answer}");
    }
    let refused = World::from_yaml(include_str!("../../../worlds/small.yaml").trim_end()).and_then(|_| {
        World::from_yaml(&format!(
            "{}\nfaults: [{{nth: 2}}]\n",
            include_str!("../../../worlds/small.yaml")
        ))
    });
    let why = refused.expect_err("a fault that does nothing").to_string();
    assert!(why.contains("fault number 1"), "{why}");
}
