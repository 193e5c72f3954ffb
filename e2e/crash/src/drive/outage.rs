//! The answer of a call is lost with its process, and the next process begins when the cloud has forgotten the call.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use cloudsim::fault::Point;
use cloudsim::gate::Then;

use super::kill::Standing;
use super::{Plan, Scene, Trouble};
use crate::scenario::Play;

/// Life of a ClientToken in these runs, as the control plane's setting says.
const TOKEN_LIFE: Duration = Duration::from_secs(2);
/// How long no replica runs. A recorded time has whole seconds, so the token is surely too old afterwards.
const AWAY: Duration = Duration::from_millis(3_500);

/// Every replica dies after the n-th call of an action was done and before it was answered. None runs until the cloud
/// has forgotten the call's ClientToken: the same call would be done a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    pub action: &'static str,
    pub nth: u64,
}

#[async_trait]
impl Trouble for Outage {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let gate = Standing::put_up(&scene.lane, self.action, self.nth, Point::After)?;
        gate.reached().await?;
        let down = scene.keeper.down();
        gate.open(Then::Drop);
        tokio::time::sleep(AWAY).await;
        scene.lane.cloud.with_cloud(|cloud| cloud.forget_tokens());
        drop(down);
        scene.did(format!("down after {}#{}", self.action, self.nth));
        Ok(())
    }
}

/// A run for each action whose calls have a ClientToken: for trunks, ENIs of pods, shared ENIs and addresses.
pub fn each_outage() -> Vec<Plan> {
    let outages = [
        (Play::Members, "CreateNetworkInterface", 1),
        (Play::Members, "CreateNetworkInterface", 4),
        (Play::Shared, "CreateNetworkInterface", 2),
        (Play::Shared, "AssignPrivateIpAddresses", 1),
    ];
    let plan = |(play, action, nth): (Play, &'static str, u64)| {
        let mut plan = Plan::quiet(play, &format!("outage:{action}#{nth}")).with(Outage { action, nth });
        plan.patience += AWAY;
        plan.times.token_life = TOKEN_LIFE;
        plan
    };
    outages.into_iter().map(plan).collect()
}
