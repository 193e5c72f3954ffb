//! Every wish and phase of an object against what the cloud shows of its ENI: what is planned, as one table.
//!
//! This process remembers nothing of the ENI. A cell has one word where a living pod makes no difference, else one for
//! a pod that lives and one for a pod that is gone. Words in capitals are steps, the others reasons to wait.

use terway_crds::NetworkInterfaceStatus;

use super::*;
use crate::testing::without_padding;

/// What was seen last; `here` is the place of the wish, `there` another instance.
const SEEN: [&str; 6] = [
    "nothing",
    "absent",
    "free",
    "in use here",
    "in use there",
    "changing",
];

/// Rows in the order of [`SEEN`].
const EXPECTED: &str = "
attach Initial    | WATCH            | later        | ATTACH         | ATTACHED         | elsewhere        | cloud
attach Binding    | WATCH            | later        | ATTACH         | ATTACHED         | elsewhere        | cloud
attach Bind       | done             | later        | TORN OFF       | done             | TORN OFF         | cloud
attach Detaching  | WATCH            | later        | ATTACH         | ATTACHED         | elsewhere        | cloud
attach Unbind     | WATCH            | later        | ATTACH         | ATTACHED         | elsewhere        | cloud
attach Deleting   | WATCH            | later        | ATTACH         | ATTACHED         | elsewhere        | cloud
attach Later      | WATCH            | later        | ATTACH         | ATTACHED         | elsewhere        | cloud
nowhere Initial   | lives/WATCH      | lives/later  | lives/DETACHED | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
nowhere Binding   | lives/WATCH      | lives/later  | lives/DETACHED | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
nowhere Bind      | lives/DETACH i-1 | lives/later  | lives/DETACHED | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
nowhere Detaching | lives/WATCH      | lives/later  | lives/DETACHED | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
nowhere Unbind    | done             | done         | done           | done             | done             | done
nowhere Deleting  | done             | done         | done           | done             | done             | done
nowhere Later     | done             | done         | done           | done             | done             | done
delete Initial    | lives/WATCH      | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
delete Binding    | lives/WATCH      | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
delete Bind       | lives/DETACH i-1 | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
delete Detaching  | lives/WATCH      | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
delete Unbind     | lives/WATCH      | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
delete Deleting   | lives/WATCH      | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
delete Later      | lives/WATCH      | lives/DELETE | lives/DELETE   | lives/DETACH i-1 | lives/DETACH i-9 | lives/cloud
";

fn interface_in(wish: &str, phase: Phase) -> NetworkInterface {
    let mut interface = interface();
    let placed = matches!(phase, Phase::Bind | Phase::Detaching);
    interface.status = Some(NetworkInterfaceStatus {
        phase,
        term: "me/1".into(),
        observed_generation: Some(1),
        ..match placed {
            true => attached(&interface, &target(), &in_use(), at(0)),
            false => NetworkInterfaceStatus::default(),
        }
    });
    match wish {
        "attach" => {}
        "nowhere" => interface.spec.attach_to = None,
        "delete" => interface.metadata.deletion_timestamp = Some(Time(at(0))),
        other => panic!("no such wish: {other}"),
    }
    interface
}

fn observation(column: &str) -> Option<EniObservation> {
    match column {
        "nothing" => None,
        "absent" => Some(EniObservation::Absent),
        "free" => seen(cloud_eni("eni-1")),
        "in use here" => seen(in_use()),
        "in use there" => seen(CloudEni {
            instance_id: Some("i-9".into()),
            ..in_use()
        }),
        "changing" => seen(CloudEni {
            status: EniStatus::Attaching,
            ..cloud_eni("eni-1")
        }),
        other => panic!("no such observation: {other}"),
    }
}

fn word(planned: Result<Step, Wait>) -> String {
    match planned {
        Ok(Step::AdoptTarget(_)) => "ADOPT".into(),
        Ok(Step::Watch) => "WATCH".into(),
        Ok(Step::LookAgain) => "LOOK AGAIN".into(),
        Ok(Step::WriteTerm) => "TERM".into(),
        Ok(Step::Attach(_)) => "ATTACH".into(),
        Ok(Step::Detach { instance_id, .. }) => format!("DETACH {instance_id}"),
        Ok(Step::Delete) => "DELETE".into(),
        Ok(Step::WriteAttached(_)) => "ATTACHED".into(),
        Ok(Step::WriteDetached) => "DETACHED".into(),
        Ok(Step::WriteTornOff) => "TORN OFF".into(),
        Ok(Step::WriteLost) => "LOST".into(),
        Ok(Step::DropFinalizer) => "GONE".into(),
        Err(Wait::Done) => "done".into(),
        Err(Wait::Cloud) => "cloud".into(),
        Err(Wait::Later(_)) => "later".into(),
        Err(Wait::HolderLives) => "lives".into(),
        Err(Wait::Elsewhere { .. }) => "elsewhere".into(),
        Err(Wait::NotFound) => "not found".into(),
        Err(Wait::Foreign(_)) => "foreign".into(),
        Err(Wait::Degraded) => "degraded".into(),
    }
}

fn cell(interface: &NetworkInterface, column: &str) -> String {
    let [living, gone] = [Holder::Living, Holder::Gone].map(|holder| {
        word(planned(
            interface,
            holder,
            &Default::default(),
            observation(column),
        ))
    });
    match living == gone {
        true => living,
        false => format!("{living}/{gone}"),
    }
}

#[test]
fn each_wish_phase_and_sight_has_its_step_or_its_reason_to_wait() {
    let phases = [
        ("Initial", Phase::Initial),
        ("Binding", Phase::Binding),
        ("Bind", Phase::Bind),
        ("Detaching", Phase::Detaching),
        ("Unbind", Phase::Unbind),
        ("Deleting", Phase::Deleting),
        ("Later", Phase::Other("Later".into())),
    ];
    let mut planned = String::new();
    for wish in ["attach", "nowhere", "delete"] {
        for (name, phase) in &phases {
            let interface = interface_in(wish, phase.clone());
            let cells = SEEN.map(|column| cell(&interface, column));
            planned += &format!("{wish} {name} | {}\n", cells.join(" | "));
        }
    }
    assert_eq!(without_padding(&planned), without_padding(EXPECTED));
}
