//! The cloud answers with an error, late, with half an answer, or not at all.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use cloudsim::Fault;
use cloudsim::fault::Point;
use cloudsim::world::Span;

use super::{Plan, Scene, Stuck, Take, Trouble, Withhold};
use crate::scenario::Play;

/// Faults that are in force from the start of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    pub faults: Vec<Fault>,
    pub lifted_after: Option<Duration>,
}

#[async_trait]
impl Trouble for Faults {
    async fn make(&self, scene: &Scene) -> Result<()> {
        for fault in &self.faults {
            scene.inject(fault.clone());
        }
        if let Some(after) = self.lifted_after {
            tokio::time::sleep(after).await;
            scene.lane.cloud.clear_faults();
        }
        Ok(())
    }
}

/// A fault that hits some calls of each of these actions.
fn some(actions: &[&str], share: f64, times: u64, fault: &Fault) -> Faults {
    let of = |action: &&str| Fault {
        action: Some((*action).to_owned()),
        probability: Some(share),
        times: Some(times),
        ..fault.clone()
    };
    Faults {
        faults: actions.iter().map(of).collect(),
        lifted_after: None,
    }
}

fn code(code: &str) -> Fault {
    Fault {
        code: Some(code.to_owned()),
        ..Fault::default()
    }
}

/// Delay of a reply for which nobody waits any more: longer than the call timeout of the runs.
const TOO_LATE: Span = Span::millis(1_600);

/// The kinds of faults by name, each for the calls of a play.
pub fn kinds(play: Play) -> Vec<(&'static str, Faults)> {
    let mutating = play.mutating();
    let mut all = mutating.to_vec();
    all.push("DescribeNetworkInterfaces");
    let reset = |at| Fault {
        reset: Some(at),
        ..Fault::default()
    };
    let silent = |at| Fault {
        silent: Some(at),
        ..Fault::default()
    };
    // Shorter than `cloudConsistency` of the runs, which the control plane relies on.
    let stale = Fault {
        stale: Some(Span::millis(300)),
        ..Fault::default()
    };
    let half = Fault {
        half_reply: true,
        ..Fault::default()
    };
    let late = Fault {
        delay_reply: Some(TOO_LATE),
        ..Fault::default()
    };
    let slow = Fault {
        delay: Some(Span::millis(700)),
        ..Fault::default()
    };
    vec![
        ("throttling", some(&all, 0.3, 3, &code("Throttling"))),
        ("throttling-user", some(&all, 0.3, 3, &code("Throttling.User"))),
        ("throttling-api", some(&all, 0.3, 3, &code("Throttling.Api"))),
        ("unavailable", some(&all, 0.3, 4, &code("ServiceUnavailable"))),
        ("internal-error", some(&all, 0.3, 4, &code("InternalError"))),
        ("timeout", some(mutating, 0.3, 2, &late)),
        ("slow", some(mutating, 0.5, 4, &slow)),
        ("reset-before", some(&all, 0.3, 4, &reset(Point::Before))),
        ("reset-after", some(&all, 0.3, 4, &reset(Point::After))),
        ("silent-before", some(mutating, 0.2, 2, &silent(Point::Before))),
        ("silent-after", some(mutating, 0.2, 2, &silent(Point::After))),
        (
            "stale-describe",
            some(&["DescribeNetworkInterfaces"], 0.7, 1_000, &stale),
        ),
        ("half-reply", some(&all, 0.3, 4, &half)),
        // Refused for good, as far as anybody can tell, until somebody corrects the cause.
        (
            "attach-refused",
            Faults {
                faults: vec![Fault {
                    action: Some("AttachNetworkInterface".to_owned()),
                    status: Some(400),
                    ..code("InvalidParameter.Invalid")
                }],
                lifted_after: Some(Duration::from_secs(4)),
            },
        ),
        (
            "credentials-revoked",
            Faults {
                faults: vec![Fault {
                    status: Some(404),
                    ..code("InvalidAccessKeyId.NotFound")
                }],
                lifted_after: Some(Duration::from_secs(2)),
            },
        ),
        (
            "credentials-expired",
            Faults {
                faults: vec![Fault {
                    status: Some(403),
                    ..code("InvalidSecurityToken.Expired")
                }],
                lifted_after: Some(Duration::from_secs(2)),
            },
        ),
    ]
}

/// A run for each kind of trouble that the cloud can make.
pub fn each_fault() -> Vec<Plan> {
    let plan = |play: Play, name: &str| Plan {
        patience: Duration::from_secs(30) + play.patience(),
        ..Plan::quiet(play, &format!("fault:{name}"))
    };
    let mut plans: Vec<Plan> = Vec::new();
    for play in Play::ALL {
        plans.extend(
            kinds(play)
                .into_iter()
                .map(|(name, faults)| plan(play, name).with(faults)),
        );
        for action in ["AttachNetworkInterface", "DetachNetworkInterface"] {
            plans.push(plan(play, &format!("stuck-{action}")).with(Stuck { action, times: 2 }));
        }
        plans.push(plan(play, "taken:before-use").with(Take::DeleteUnused));
    }
    let plan = |name: &str| plan(Play::Members, name);
    plans.push(plan("taken:detached").with(Take::DetachReleased));
    plans.push(plan("taken:deleted").with(Take::DeleteReleased));
    plans.push(swept("taken:from-living", Take::DetachLiving));
    plans.push(swept("taken:deleted-living", Take::DeleteLiving));
    plans.push(swept("taken:trunk", Take::DeleteTrunk));
    for (name, after_choice) in [("vswitch-full", false), ("vswitch-full-after-choice", true)] {
        plans.push(plan(name).with(Withhold {
            time: Duration::from_secs(2),
            after_choice,
        }));
    }
    plans
}

/// A run in which the sweep of the cloud has to notice what somebody has done.
fn swept(name: &str, take: Take) -> Plan {
    let mut plan = Plan::quiet(Play::Members, &format!("fault:{name}")).with(take);
    plan.patience += Duration::from_secs(30);
    plan.times.sweep = Duration::from_secs(1);
    plan
}
