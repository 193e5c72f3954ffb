//! What a pod's owner reads while an ADD waits. Time is the test's.

use std::fs::File;
use std::time::Duration;

use terway_cni_protocol::Request;
use terway_crds::Phase;
use terway_process::events::Told;

use super::add;
use crate::cluster::PodEniView;
use crate::server::add::add as serve_add;
use crate::testing::{Stage, bound};

const SECOND: Duration = Duration::from_secs(1);

fn told(stage: &mut Stage) -> Option<(&'static str, String)> {
    let Told { news, .. } = stage.announced.try_recv().ok()?;
    Some((news.reason, news.note))
}

#[tokio::test(start_paused = true)]
async fn a_waiting_pod_is_told_of_after_five_seconds_and_again_when_it_waits_for_something_else() {
    let mut stage = Stage::new();
    stage.pod("db-0", "u-1");
    let Request::Add(request) = add("c1") else {
        panic!()
    };
    let agent = stage.agent.clone();
    let adding = tokio::spawn(async move {
        let netns = File::open("/proc/self/ns/net").unwrap().into();
        let added = serve_add(&agent, request, netns, std::future::pending()).await;
        added.map(|added| added.network).unwrap()
    });
    tokio::time::sleep(4 * SECOND).await;
    assert_eq!(told(&mut stage), None, "most pods have their network by now");
    tokio::time::sleep(2 * SECOND).await;
    let (reason, note) = told(&mut stage).unwrap();
    assert_eq!(reason, "AllocIPWaits");
    assert!(
        note.starts_with("no network yet: PodENI shop/db-0 does not exist"),
        "{note}"
    );
    tokio::time::sleep(6 * SECOND).await;
    assert_eq!(told(&mut stage), None, "nothing new");
    stage.pod_eni(PodEniView {
        phase: Phase::Binding,
        ..bound("db-0", "u-1")
    });
    tokio::time::sleep(6 * SECOND).await;
    let (_, note) = told(&mut stage).unwrap();
    assert!(note.contains("is in phase Binding"), "{note}");
    stage.pod_eni(bound("db-0", "u-1"));
    adding.await.unwrap();
    assert_eq!(told(&mut stage).unwrap().0, "AllocIPSucceed");
}
