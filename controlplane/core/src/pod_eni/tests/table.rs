//! Every phase, pod, node and NetworkInterface that a record with a made ENI can meet, and the plan for it.

use terway_crds::NetworkInterfaceStatus;

use super::*;

const PHASES: [Phase; 6] = [
    Phase::Initial,
    Phase::Binding,
    Phase::Bind,
    Phase::Detaching,
    Phase::Unbind,
    Phase::Deleting,
];
const PODS: [PodState; 3] = [PodState::Living, PodState::Leaving, PodState::Gone];
const NODES: [&str; 4] = ["with trunk", "without trunk", "without instance", "unknown"];
const INTERFACES: [&str; 5] = ["missing", "detached", "attaching", "attached", "leaving"];

/// A row covers every combination of its lists; an empty list stands for all values.
struct Row {
    phases: &'static [Phase],
    pods: &'static [PodState],
    nodes: &'static [&'static str],
    interfaces: &'static [&'static str],
    plan: &'static str,
}

const fn row(
    phases: &'static [Phase],
    pods: &'static [PodState],
    nodes: &'static [&'static str],
    interfaces: &'static [&'static str],
    plan: &'static str,
) -> Row {
    Row {
        phases,
        pods,
        nodes,
        interfaces,
        plan,
    }
}

use Phase::{Bind, Binding, Deleting, Detaching, Initial, Unbind};
use PodState::{Gone, Leaving, Living};

const BEGINNING: &[Phase] = &[Initial, Binding];
const TRUNK: &[&str] = &["with trunk"];

const TABLE: &[Row] = &[
    row(BEGINNING, &[Leaving, Gone], &[], &[], "wait: Pod"),
    row(
        BEGINNING,
        &[Living],
        &["unknown", "without instance"],
        &[],
        "wait: NoNode",
    ),
    row(BEGINNING, &[Living], &["without trunk"], &[], "wait: NoTrunk"),
    row(
        BEGINNING,
        &[Living],
        TRUNK,
        &["missing"],
        "MakeInterface, wait: Interfaces",
    ),
    row(
        BEGINNING,
        &[Living],
        TRUNK,
        &["detached"],
        "SetTarget, wait: Interfaces",
    ),
    row(
        BEGINNING,
        &[Living],
        TRUNK,
        &["attaching", "leaving"],
        "wait: Interfaces",
    ),
    row(
        BEGINNING,
        &[Living],
        TRUNK,
        &["attached"],
        "SetStatus, wait: Done",
    ),
    row(&[Bind], &[], TRUNK, &["missing"], "MakeInterface, wait: Done"),
    row(
        &[Bind],
        &[],
        &["without trunk", "without instance", "unknown"],
        &["missing"],
        "wait: Done",
    ),
    row(
        &[Bind],
        &[],
        &[],
        &["detached", "attaching", "leaving"],
        "wait: Unattached",
    ),
    row(&[Bind], &[], &[], &["attached"], "SetStatus, wait: Done"),
    row(&[Detaching], &[Living, Leaving], &[], &[], "wait: PodLives"),
    row(
        &[Detaching],
        &[Gone],
        &[],
        &["attached", "attaching"],
        "SetTarget, wait: Interfaces",
    ),
    row(
        &[Detaching],
        &[Gone],
        &[],
        &["missing", "detached", "leaving"],
        "SetStatus, wait: Done",
    ),
    row(&[Unbind], &[], &[], &[], "wait: Done"),
    row(&[Deleting], &[], &[], &[], "DeleteRecord, wait: Done"),
];

fn has<T: PartialEq>(list: &[T], value: &T) -> bool {
    list.is_empty() || list.contains(value)
}

fn node_named(kind: &str) -> Option<NodeFacts> {
    match kind {
        "with trunk" => Some(node()),
        "without trunk" => Some(NodeFacts {
            trunk_on: None,
            ..node()
        }),
        "without instance" => Some(NodeFacts {
            instance_id: String::new(),
            ..node()
        }),
        _ => None,
    }
}

fn interface_named(kind: &str) -> Option<Arc<NetworkInterface>> {
    let mut interface = NetworkInterface::default();
    interface.metadata.name = Some("eni-1".into());
    let status = |phase: Phase| NetworkInterfaceStatus {
        phase,
        ..NetworkInterfaceStatus::default()
    };
    match kind {
        "missing" => return None,
        "detached" => interface.status = Some(status(Unbind)),
        "attaching" => interface.spec.attach_to = Some(target()),
        "attached" => {
            interface.spec.attach_to = Some(target());
            interface.status = Some(NetworkInterfaceStatus {
                instance_id: "i-1".into(),
                trunk_eni_id: "trunk".into(),
                ..status(Bind)
            });
        }
        _ => interface.metadata.deletion_timestamp = Some(Time(NOW)),
    }
    Some(Arc::new(interface))
}

/// Names of the steps, and what is waited for.
fn in_words(plan: &Plan) -> String {
    let name = |debug: String| {
        let end = debug.find(|c: char| !c.is_alphanumeric()).unwrap_or(debug.len());
        debug[..end].to_owned()
    };
    let mut words: Vec<String> = plan.steps.iter().map(|step| name(format!("{step:?}"))).collect();
    words.push(format!("wait: {}", name(format!("{:?}", plan.wait))));
    words.join(", ")
}

#[test]
fn every_state_has_its_plan() {
    let mut states = 0;
    for phase in PHASES {
        for pod in PODS {
            for node in NODES {
                for interface in INTERFACES {
                    let mut given = Given::new(record());
                    given.record.spec.allocations[0].eni.id = "eni-1".into();
                    let mut status = phase_only(&given.record, phase.clone(), None);
                    status.instance_id = "i-1".into();
                    given.record.status = Some(status);
                    given.pod = pod;
                    given.node = node_named(node);
                    given.interfaces = vec![interface_named(interface)];
                    let state = format!("{phase:?}, pod {pod:?}, node {node}, interface {interface}");
                    let mut rows = TABLE.iter().filter(|row| {
                        has(row.phases, &phase)
                            && has(row.pods, &pod)
                            && has(row.nodes, &node)
                            && has(row.interfaces, &interface)
                    });
                    let row = rows.next().unwrap_or_else(|| panic!("no row: {state}"));
                    assert!(rows.next().is_none(), "two rows: {state}");
                    assert_eq!(in_words(&given.plan()), row.plan, "{state}");
                    states += 1;
                }
            }
        }
    }
    assert_eq!(states, 6 * 3 * 4 * 5);
}

/// A record that is being deleted serves its living pod as any other record does. Only what it says differs.
#[test]
fn a_deletion_changes_no_step_while_the_pod_lives() {
    for phase in [Initial, Binding, Bind] {
        for interface in INTERFACES {
            for made in [true, false] {
                let mut given = Given::new(record());
                let allocation = &mut given.record.spec.allocations[0];
                allocation.eni.id = if made { "eni-1".into() } else { String::new() };
                let mut status = phase_only(&given.record, phase.clone(), None);
                status.instance_id = "i-1".into();
                given.record.status = Some(status);
                given.interfaces = vec![interface_named(interface).filter(|_| made)];
                let state = format!("{phase:?}, made {made}, interface {interface}");
                let before = given.plan();
                given.record.metadata.deletion_timestamp = Some(Time(NOW));
                let after = given.plan();
                let said = match before.wait {
                    Wait::Done | Wait::Interfaces => Wait::PodLives,
                    ref other => other.clone(),
                };
                assert_eq!(after.wait, said, "{state}");
                let names = |plan: &Plan| plan.steps.iter().map(Step::name).collect::<Vec<_>>();
                assert_eq!(names(&after), names(&before), "{state}");
            }
        }
    }
}

#[test]
fn a_phase_of_a_newer_version_is_left_alone() {
    let mut given = Given::new(record());
    given.record.status = Some(phase_only(&given.record, Phase::Other("Frozen".into()), None));
    assert_eq!(in_words(&given.plan()), "wait: Malformed");
}
