//! Trouble with the cloud: wrong keys, a forbidden action, an endpoint that is not there. The control plane names the
//! cause, says it once and tries again sparingly. Running pods are left alone. Work goes on when the cause is gone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cloudsim::Fault;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use terway_crds::Phase;
use terway_crds::names::object;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::relay::Relay;
use crate::replica::Replica;
use crate::stage::{Stage, elastic, found, until};

/// A port of loopback that was free a moment ago.
async fn free_address() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// Status line and body of `/readyz`; empty while nobody serves it.
async fn readyz(address: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let request = "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.read_to_string(&mut answer).await;
    }
    answer
}

/// `/readyz` says `cause`, and that the process is ready all the same.
async fn readyz_names(address: &str, cause: &str) {
    let text = found(&format!("/readyz names {cause}"), || async {
        Some(readyz(address).await).filter(|text| text.contains(cause))
    })
    .await;
    assert!(
        text.starts_with("HTTP/1.1 200") && text.contains("\r\nok\n"),
        "{text}"
    );
}

async fn readyz_is_plain(address: &str) {
    until("/readyz has no note any more", || async {
        readyz(address).await.ends_with("\r\nok")
    })
    .await;
}

/// Events about the control plane's calls, oldest first.
async fn told(stage: &Stage, reason: &str) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(stage.client.clone(), object::NAMESPACE);
    let list = events
        .list(&ListParams::default())
        .await
        .expect("events can be read");
    let ours = list.items.into_iter();
    ours.filter(|event| event.reason.as_deref() == Some(reason))
        .map(|event| event.note.unwrap_or_default())
        .collect()
}

async fn told_once(stage: &Stage, reason: &str) -> String {
    let notes = found(&format!("the event {reason}"), || async {
        Some(told(stage, reason).await).filter(|notes| !notes.is_empty())
    })
    .await;
    assert_eq!(notes.len(), 1, "{notes:?}");
    notes.into_iter().next().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_are_named_and_noticed_when_they_are_corrected() {
    let stage = Stage::set().await;
    let health = free_address().await;
    stage.write_keys("one", "a-secret-of-another-account");
    let replica = Replica::start_as_set(&stage, "one", stage.cloud.ecs_url(), &health);
    readyz_names(&health, "does not accept the credentials").await;
    readyz_names(&health, "SignatureDoesNotMatch").await;
    let note = told_once(&stage, "CloudCallsFail").await;
    assert!(
        note.contains("SignatureDoesNotMatch") && note.contains("check the access key"),
        "{note}"
    );

    // Work piles up, and the control plane still makes one call every few seconds.
    for number in 0..10 {
        stage.pod(&format!("web-{number}"), "node1", elastic()).await;
    }
    let before = stage.cloud.call_count();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let sent = stage.cloud.call_count() - before;
    assert!(sent <= 3, "{sent} calls in 6 s");
    assert_eq!(told(&stage, "CloudCallsFail").await.len(), 1);

    stage.write_keys("one", "lab-sk");
    stage.nodes_serve().await;
    for number in 0..10 {
        stage.phase(&format!("web-{number}"), Phase::Bind).await;
    }
    readyz_is_plain(&health).await;
    told_once(&stage, "CloudCallsWork").await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forbidden_act_is_named_and_what_runs_is_left_alone() {
    let stage = Stage::set().await;
    let health = free_address().await;
    stage.write_keys("one", "lab-sk");
    let replica = Replica::start_as_set(&stage, "one", stage.cloud.ecs_url(), &health);
    stage.nodes_serve().await;
    stage.pod("runs", "node1", elastic()).await;
    let runs = stage.phase("runs", Phase::Bind).await;
    readyz_is_plain(&health).await;

    stage.cloud.inject(Fault {
        action: Some("CreateNetworkInterface".into()),
        code: Some("Forbidden.RAM".into()),
        ..Fault::default()
    });
    let before = stage.cloud.call_count();
    for number in 0..10 {
        stage.pod(&format!("web-{number}"), "node1", elastic()).await;
    }
    readyz_names(&health, "do not allow CreateNetworkInterface").await;
    let note = told_once(&stage, "CloudCallsFail").await;
    assert!(
        note.contains("Forbidden.RAM") && note.contains("RAM permissions"),
        "{note}"
    );
    // Each of the ten pods asks once at most; then one call is made at a time.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let creates = stage.cloud.calls_since(before).into_iter();
    let creates = creates
        .filter(|call| call.action == "CreateNetworkInterface")
        .count();
    assert!(creates <= 10 + 5, "{creates} calls");
    assert_eq!(stage.accepted("DetachNetworkInterface"), 0);
    let still = stage.record("runs").await.expect("the record stays");
    assert_eq!(still.spec, runs.spec);
    assert_eq!(still.status.map(|status| status.phase), Some(Phase::Bind));
    // Work that does not need the permission goes on.
    stage.remove_pod("runs").await;
    stage.record_gone("runs").await;

    stage.cloud.clear_faults();
    for number in 0..10 {
        stage.phase(&format!("web-{number}"), Phase::Bind).await;
    }
    assert_eq!(stage.pod_enis().len(), 10);
    readyz_is_plain(&health).await;
    told_once(&stage, "CloudCallsFail").await;
    told_once(&stage, "CloudCallsWork").await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_cannot_be_reached_is_named_and_waited_for() {
    let stage = Stage::set().await;
    let health = free_address().await;
    let mut way = Relay::open(stage.cloud.address()).await;
    stage.write_keys("one", "lab-sk");
    let replica = Replica::start_as_set(&stage, "one", way.url(), &health);
    stage.nodes_serve().await;
    stage.pod("runs", "node1", elastic()).await;
    stage.phase("runs", Phase::Bind).await;
    let before = stage.pod_enis();

    way.cut().await;
    for number in 0..5 {
        stage.pod(&format!("web-{number}"), "node1", elastic()).await;
    }
    readyz_names(&health, "ECS service does not answer").await;
    let note = told_once(&stage, "CloudCallsFail").await;
    assert!(
        note.contains("Unreachable") && note.contains("endpoint"),
        "{note}"
    );
    assert_eq!(stage.pod_enis(), before);
    let still = stage.record("runs").await.expect("the record stays");
    assert_eq!(still.status.map(|status| status.phase), Some(Phase::Bind));

    way.mend().await;
    for number in 0..5 {
        stage.phase(&format!("web-{number}"), Phase::Bind).await;
    }
    assert_eq!(stage.pod_enis().len(), 6);
    readyz_is_plain(&health).await;
    told_once(&stage, "CloudCallsWork").await;
    replica.stop().await;
}

/// S-022, S-043: a pod is bound soon, and with few calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_costs_one_create_one_attach_and_its_share_of_describes() {
    let stage = Stage::set().await;
    let replica = Replica::start(&stage, "one");
    stage.nodes_serve().await;
    let before = stage.cloud.call_count();
    let began = Instant::now();
    for number in 0..20 {
        let node = if number % 2 == 0 { "node1" } else { "node2" };
        stage.pod(&format!("web-{number}"), node, elastic()).await;
    }
    for number in 0..20 {
        stage.phase(&format!("web-{number}"), Phase::Bind).await;
    }
    let took = began.elapsed();
    let calls = stage.cloud.calls_since(before);
    let count = |action: &str| calls.iter().filter(|call| call.action == action).count();
    assert_eq!(
        (count("CreateNetworkInterface"), count("AttachNetworkInterface")),
        (20, 20)
    );
    // The poller's bucket holds ten calls and gets one a second.
    let describes = count("DescribeNetworkInterfaces");
    let budget = 10 + took.as_secs() as usize + 1;
    assert!(
        describes <= budget,
        "{describes} Describe calls for 20 in {took:?}"
    );
    // A new ENI is not looked at before its attachment may be done.
    let mut attached = BTreeSet::new();
    for call in &calls {
        let id = |key: &str| call.parameters.get(key).map(String::as_str);
        match call.action.as_str() {
            "AttachNetworkInterface" => attached.extend(id("NetworkInterfaceId")),
            "DescribeNetworkInterfaces" => {
                let first = id("NetworkInterfaceId.1");
                assert!(first.is_none_or(|eni| attached.contains(eni)), "{call:?}");
            }
            _ => {}
        }
    }
    // The vSwitch is looked up once for all.
    let others = calls.len() - 40 - describes;
    assert!(others <= 2, "{others} other calls");
    replica.stop().await;
}
