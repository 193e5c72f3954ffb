//! Two replicas. The lease changes hands again and again, or its holder stands still until the lease runs out.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use cloudsim::Fault;
use cloudsim::call_log::CallRecord;
use cloudsim::fault::Point;
use cloudsim::gate::Then;

use super::kill::Standing;
use super::{Plan, Scene, Trouble};
use crate::checker::{is_look, is_of};
use crate::controlplane::identity;
use crate::scenario::Play;
use crate::settings::Times;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Both replicas.
pub const TWO: &[&str] = &["one", "two"];

/// The leader is asked to end, again and again, as in a rollout.
pub struct Handover {
    pub every: Duration,
}

#[async_trait]
impl Trouble for Handover {
    async fn make(&self, scene: &Scene) -> Result<()> {
        loop {
            tokio::time::sleep(self.every).await;
            if let Some(leader) = leader(scene) {
                scene.keeper.ask_to_end(&leader)?;
                scene.did(format!("asked {leader} to end"));
            }
        }
    }
}

fn leader(scene: &Scene) -> Option<String> {
    let holder = scene.lane.view.leader();
    scene
        .keeper
        .names()
        .into_iter()
        .find(|name| identity(name) == holder)
}

/// Waits until a replica leads that is wanted.
async fn leads(scene: &Scene, is_wanted: impl Fn(&str) -> bool) -> String {
    loop {
        if let Some(name) = leader(scene).filter(|name| is_wanted(name)) {
            return name;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the leader waits for while it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// For a rate token: the cloud has just refused a call as throttled.
    Token,
    /// For the answer of a call that was done.
    Answer,
    /// For the answer of a call that was never done.
    Nothing,
}

/// The leader is stopped past the end of its lease. Another replica takes over and works. Then the first one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    pub action: &'static str,
    pub nth: u64,
    pub waits: Waits,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stall:{}#{}:{:?}", self.action, self.nth, self.waits)
    }
}

#[async_trait]
impl Trouble for Stall {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let cloud = &scene.lane.cloud;
        let gate = match self.waits {
            Waits::Token => {
                throttle_once(scene, self.action, self.nth).await;
                None
            }
            Waits::Answer => Some(Standing::put_up(
                &scene.lane,
                self.action,
                self.nth,
                Point::After,
            )?),
            Waits::Nothing => Some(Standing::put_up(
                &scene.lane,
                self.action,
                self.nth,
                Point::Before,
            )?),
        };
        if let Some(gate) = &gate {
            gate.reached().await?;
        }
        // Whoever called leads; the view may be a moment behind.
        let stalled = leads(scene, |_| true).await;
        scene.keeper.freeze(&stalled)?;
        let thaw = Thaw {
            scene,
            name: &stalled,
        };
        let since = cloud.call_count();
        let next = leads(scene, |name| name != stalled).await;
        // The new leader changes the cloud before the stalled one goes on.
        let works = |call: &CallRecord| is_of(&call.caller, &identity(&next)) && !is_look(&call.action);
        while !cloud.calls_since(since).iter().any(works) {
            tokio::time::sleep(LOOK).await;
        }
        if let Some(gate) = gate {
            gate.open(if self.waits == Waits::Nothing {
                Then::Drop
            } else {
                Then::Go
            });
        }
        cloud.clear_faults();
        drop(thaw);
        scene.did(format!("{self}: {stalled} stood still past its lease"));
        Ok(())
    }
}

/// Waits until one call was throttled, after which the caller's bucket is empty.
async fn throttle_once(scene: &Scene, action: &str, nth: u64) {
    scene.lane.cloud.inject(Fault {
        action: Some(action.to_owned()),
        nth: Some(nth),
        code: Some("Throttling".to_owned()),
        ..Fault::default()
    });
    let since = scene.lane.cloud.call_count();
    loop {
        let calls = scene.lane.cloud.calls_since(since);
        if calls
            .iter()
            .any(|call| call.action == action && call.outcome == "Throttling")
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Lets the stopped replica go on when dropped, however the trouble ends.
struct Thaw<'a> {
    scene: &'a Scene,
    name: &'a str,
}

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.scene.keeper.thaw(self.name) {
            self.scene.failed.lock().push(format!("{error:#}"));
        }
    }
}

/// A plan with two replicas and times that a call fits into.
pub fn two(play: Play, label: &str) -> Plan {
    Plan {
        replicas: TWO,
        times: Times {
            lease: Duration::from_secs(2),
            renew: Duration::from_millis(1_500),
            retry: Duration::from_millis(250),
            call: Duration::from_millis(800),
            ..Times::default()
        },
        patience: Duration::from_secs(30) + play.patience(),
        ..Plan::quiet(play, label)
    }
}

/// A run for each way in which a leader can stand still. An action of both plays is stalled in one of them.
pub fn each_stall() -> Vec<Plan> {
    let mut plans = Vec::new();
    for play in Play::ALL {
        plans.push(two(play, "leaders:handover").with(Handover {
            every: Duration::from_millis(2_500),
        }));
        let stalled: &[(&str, u64)] = match play {
            Play::Members => &[
                ("DetachNetworkInterface", 2),
                ("DeleteNetworkInterface", 2),
                ("AttachNetworkInterface", 2),
                ("CreateNetworkInterface", 2),
            ],
            Play::Shared | Play::Replaced => &[
                ("CreateNetworkInterface", 3),
                ("AssignPrivateIpAddresses", 2),
                ("UnassignPrivateIpAddresses", 1),
            ],
        };
        for &(action, nth) in stalled {
            for waits in [Waits::Token, Waits::Answer, Waits::Nothing] {
                let stall = Stall { action, nth, waits };
                plans.push(two(play, &format!("leaders:{stall}")).with(stall));
            }
        }
    }
    plans
}
