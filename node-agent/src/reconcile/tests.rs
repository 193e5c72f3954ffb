//! Tests of the plan and of whole rounds with a scripted kernel.

use proptest::prelude::*;
use terway_crds::Phase;
use terway_node_core::carrier::VlanId;

use super::plan::Plan;
use super::{Cause, Reconciler, Round, Skipped};
use crate::cluster::PodEniView;
use crate::server::key as sandbox_key;
use crate::testing::{Stage, bound, key, sandbox, sharing};
use crate::trouble::{CONTESTED, REASONS, Trouble};

fn plan(stage: &Stage) -> Plan {
    let sandboxes = stage.kernel.sandboxes.lock().clone();
    let made = stage.agent.memory.made();
    stage
        .agent
        .cluster
        .read(|state| Plan::new(&sandboxes, state, &made, &stage.agent.settings))
}

async fn round(stage: &Stage) -> Round {
    Reconciler::default().round(&stage.agent).await.unwrap()
}

fn running(stage: &Stage) {
    stage.pod("db-0", "u-1");
    stage.pod_eni(bound("db-0", "u-1"));
    stage.kernel.sandboxes.lock().push(sandbox("c1", "u-1"));
}

#[tokio::test]
async fn after_a_restart_running_pods_are_described_by_their_pod_enis() {
    let stage = Stage::new();
    running(&stage);
    assert!(matches!(round(&stage).await, Round::Compared(_)));
    let desired = stage.kernel.desired.lock()[0].clone();
    assert_eq!(desired.len(), 1);
    assert_eq!(desired[0].sandbox, sandbox("c1", "u-1"));
    assert_eq!(
        (
            desired[0].ip.to_string().as_str(),
            desired[0].carrier.vlan().map(VlanId::get)
        ),
        ("10.0.16.7", Some(7))
    );
    assert_eq!(stage.kernel.containers(), ["c1"]);
}

#[tokio::test]
async fn after_a_restart_ordinary_pods_are_described_by_their_shared_addresses() {
    let stage = Stage::new();
    stage.pod("db-0", "u-1");
    stage.node(sharing("db-0", "u-1", "10.0.16.9"));
    stage.kernel.sandboxes.lock().push(sandbox("c1", "u-1"));
    assert!(matches!(round(&stage).await, Round::Compared(_)));
    let desired = stage.kernel.desired.lock()[0].clone();
    assert_eq!(
        (
            desired[0].ip.to_string().as_str(),
            desired[0].carrier.vlan().map(VlanId::get)
        ),
        ("10.0.16.9", None)
    );
}

#[tokio::test]
async fn a_record_that_is_changed_under_a_running_pod_does_not_change_its_address_while_the_agent_remembers_it()
 {
    let stage = Stage::new();
    stage.pod("db-0", "u-1");
    stage.node(sharing("db-0", "u-1", "10.0.16.9"));
    stage.kernel.sandboxes.lock().push(sandbox("c1", "u-1"));
    round(&stage).await;
    stage.node(sharing("db-0", "u-1", "10.0.16.10"));
    let Round::Compared(told) = round(&stage).await else {
        panic!("the kernel was not compared");
    };
    let desired = stage.kernel.desired.lock();
    assert_eq!(desired[1], desired[0]);
    let text = &told.troubles[0].text;
    assert!(
        text.contains("10.0.16.9") && text.contains("10.0.16.10"),
        "{text}"
    );
}

#[tokio::test]
async fn a_sandbox_unlike_its_record_is_remembered_when_the_record_is_corrected() {
    let stage = Stage::new();
    stage.pod("db-0", "u-1");
    stage.kernel.sandboxes.lock().push(sandbox("c1", "u-1"));
    stage.node(sharing("db-0", "u-1", "10.0.16.10"));
    stage.kernel.apart.lock().push(sandbox("c1", "u-1"));
    round(&stage).await;
    assert!(stage.agent.memory.made().is_empty());
    stage.kernel.apart.lock().clear();
    stage.node(sharing("db-0", "u-1", "10.0.16.9"));
    round(&stage).await;
    let asked = stage.kernel.desired.lock()[1][0].ip.to_string();
    assert_eq!(asked, "10.0.16.9");
    assert_eq!(stage.agent.memory.made().len(), 1);
}

/// A DEL may end between the reading of the kernel and the end of the round.
#[tokio::test]
async fn what_is_remembered_of_a_sandbox_goes_with_it() {
    let stage = Stage::new();
    running(&stage);
    round(&stage).await;
    assert_eq!(stage.agent.memory.made().len(), 1);
    stage.kernel.sandboxes.lock().clear();
    round(&stage).await;
    assert!(stage.agent.memory.made().is_empty());
}

#[tokio::test]
async fn trouble_is_told_on_the_node_when_it_begins_and_counted_while_it_lasts() {
    let mut stage = Stage::new();
    let mut reconciler = Reconciler::default();
    let trouble = Trouble {
        reason: REASONS[1],
        text: "a chain drops".into(),
    };
    for (troubles, told) in [
        (vec![trouble.clone()], 1),
        (vec![trouble.clone()], 0),
        (vec![], 0),
    ] {
        *stage.kernel.troubles.lock() = troubles;
        let result = reconciler.round(&stage.agent).await;
        reconciler.tell(&stage.agent, result, Cause::Quiet);
        let events: Vec<_> = std::iter::from_fn(|| stage.announced.try_recv().ok()).collect();
        assert_eq!(events.len(), told);
        for event in events {
            assert_eq!(event.about.kind.as_deref(), Some("Node"));
            assert_eq!(event.about.name.as_deref(), Some("node1"));
            assert_eq!(
                (event.news.reason, event.news.note),
                (trouble.reason, trouble.text.clone())
            );
        }
    }
}

#[tokio::test]
async fn a_fight_with_another_program_is_told() {
    let mut stage = Stage::new();
    let mut reconciler = Reconciler::default();
    stage.kernel.repaired.lock().push("add rule 512".into());
    let mut told = Vec::new();
    for _ in 0..20 {
        let result = reconciler.round(&stage.agent).await;
        reconciler.tell(&stage.agent, result, Cause::Disturbed);
        told.extend(std::iter::from_fn(|| stage.announced.try_recv().ok()));
    }
    assert_eq!(told[0].news.reason, CONTESTED);
    assert!(told[0].news.note.contains("add rule 512"), "{told:?}");
}

#[tokio::test]
async fn a_pod_eni_on_its_way_out_still_describes_what_runs() {
    let stage = Stage::new();
    running(&stage);
    stage.pod_eni(PodEniView {
        phase: Phase::Deleting,
        deleting: true,
        ..bound("db-0", "u-1")
    });
    assert_eq!(plan(&stage).desired.len(), 1);
}

#[tokio::test]
async fn without_the_lists_nothing_is_touched() {
    let stage = Stage::unsynced();
    stage.kernel.sandboxes.lock().push(sandbox("c1", "u-1"));
    let outcome = round(&stage).await;
    assert!(
        matches!(outcome, Round::Skipped(Skipped::NotSynced(_))),
        "{outcome:?}"
    );
    assert!(stage.kernel.desired.lock().is_empty());
    assert_eq!(stage.kernel.containers(), ["c1"]);
}

#[tokio::test]
async fn a_running_pod_that_nothing_describes_is_left_as_it_is_and_the_others_are_repaired() {
    let stage = Stage::new();
    running(&stage);
    stage.pod("db-1", "u-2");
    stage.pod_eni(bound("db-1", "u-2"));
    stage.kernel.sandboxes.lock().push(sandbox("c2", "u-2"));
    stage.pod_eni_gone("db-0");
    assert_eq!(plan(&stage).census().unknown, [sandbox("c1", "u-1")]);
    assert!(matches!(round(&stage).await, Round::Compared(_)));
    assert_eq!(stage.kernel.desired.lock()[0].len(), 1);
    assert_eq!(stage.kernel.containers(), ["c1", "c2"]);
}

#[tokio::test]
async fn what_was_made_is_remembered_when_its_pod_eni_is_gone() {
    let stage = Stage::new();
    running(&stage);
    round(&stage).await;
    stage.pod_eni_gone("db-0");
    assert!(matches!(round(&stage).await, Round::Compared(_)));
    let desired = stage.kernel.desired.lock();
    assert_eq!(desired[1], desired[0]);
}

#[tokio::test]
async fn the_sandbox_of_a_pod_that_is_gone_is_removed() {
    let stage = Stage::new();
    running(&stage);
    stage.pod_gone("db-0");
    round(&stage).await;
    assert!(stage.kernel.containers().is_empty());
    assert_eq!(stage.kernel.desired.lock()[0], []);
}

#[tokio::test]
async fn the_sandbox_of_a_replaced_pod_is_removed() {
    let stage = Stage::new();
    running(&stage);
    // The same name, another pod; its own sandbox is not made yet.
    stage.pod("db-0", "u-2");
    stage.pod_eni(bound("db-0", "u-2"));
    round(&stage).await;
    assert!(stage.kernel.containers().is_empty());
}

#[tokio::test]
async fn a_pod_that_only_the_watch_misses_keeps_its_sandbox() {
    let stage = Stage::new();
    running(&stage);
    round(&stage).await;
    // The watch is behind; the API server knows better.
    let pod = stage.pods.0.lock().as_ref().unwrap()[&key("db-0")].clone();
    stage.pod_gone("db-0");
    stage.pods.0.lock().as_mut().unwrap().insert(key("db-0"), pod);
    round(&stage).await;
    assert_eq!(stage.kernel.containers(), ["c1"]);
    assert_eq!(stage.kernel.desired.lock()[1].len(), 1);
    // And when it does not answer, nothing is removed either.
    *stage.pods.0.lock() = None;
    round(&stage).await;
    assert_eq!(stage.kernel.containers(), ["c1"]);
}

#[tokio::test]
async fn an_unreadable_kernel_is_an_error_not_an_empty_node() {
    let stage = Stage::new();
    running(&stage);
    *stage.kernel.blind.lock() = true;
    assert!(Reconciler::default().round(&stage.agent).await.is_err());
    assert!(stage.kernel.desired.lock().is_empty());
}

async fn rounds(stage: &Stage, reconciler: &mut Reconciler, count: usize) {
    for _ in 0..count {
        let result = reconciler.round(&stage.agent).await;
        reconciler.tell(&stage.agent, result, Cause::Other);
    }
}

#[tokio::test]
async fn status_tells_of_a_kernel_that_cannot_be_compared_until_it_can() {
    let stage = Stage::new();
    running(&stage);
    let mut reconciler = Reconciler::default();
    *stage.kernel.blind.lock() = true;
    rounds(&stage, &mut reconciler, 1).await;
    assert_eq!(*stage.agent.limited.lock(), None, "once may be chance");
    rounds(&stage, &mut reconciler, 1).await;
    assert_eq!(
        stage.agent.limited.lock().as_deref(),
        Some("the dump was cut short")
    );
    *stage.kernel.blind.lock() = false;
    rounds(&stage, &mut reconciler, 1).await;
    assert_eq!(*stage.agent.limited.lock(), None);
    assert_eq!(stage.agent.notes.sentences(), [""; 0]);
}

#[tokio::test]
async fn a_step_that_fails_is_told_and_keeps_no_other_pod_away() {
    let stage = Stage::new();
    running(&stage);
    let mut reconciler = Reconciler::default();
    stage.kernel.failing.lock().push("add rule 512: denied".into());
    rounds(&stage, &mut reconciler, 3).await;
    assert_eq!(*stage.agent.limited.lock(), None);
    let told = stage.agent.notes.sentences();
    assert_eq!(
        told,
        ["the kernel cannot be brought in order: add rule 512: denied"]
    );
    stage.kernel.failing.lock().clear();
    rounds(&stage, &mut reconciler, 1).await;
    assert_eq!(stage.agent.notes.sentences(), [""; 0]);
}

proptest! {
    /// From any left-over state: every sandbox is accounted for once, and a second round after the
    /// first removes nothing more and asks for the same.
    #[test]
    fn a_second_round_changes_nothing(
        present in prop::collection::btree_set(0u8..6, 0..6),
        pods in prop::collection::btree_set(0u8..6, 0..6),
        described in prop::collection::btree_set(0u8..6, 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stage = Stage::new();
            for n in &present {
                stage.kernel.sandboxes.lock().push(sandbox(&format!("c{n}"), &format!("u-{n}")));
            }
            for n in &pods {
                stage.pod(&format!("p-{n}"), &format!("u-{n}"));
            }
            for n in &described {
                stage.pod_eni(bound(&format!("p-{n}"), &format!("u-{n}")));
            }
            let first = plan(&stage);
            assert_eq!(first.desired.len() + first.undescribed.len(), present.len());
            let mut reconciler = Reconciler::default();
            reconciler.round(&stage.agent).await.unwrap();
            let after = stage.kernel.containers();
            assert_eq!(after.len(), present.intersection(&pods).count());
            reconciler.round(&stage.agent).await.unwrap();
            assert_eq!(stage.kernel.containers(), after);
            for n in present.intersection(&pods) {
                assert!(after.contains(&format!("c{n}")), "a running pod lost its network");
            }
            let desired = stage.kernel.desired.lock();
            assert!(desired.windows(2).all(|pair| pair[0] == pair[1]));
            for member in desired.iter().flatten() {
                assert!(stage.agent.memory.made().contains_key(&sandbox_key(&member.sandbox)));
            }
        });
    }
}
