//! What happens in every run: nodes and pods come, change places and go.
//!
//! Each actor has a part in every act. The parts of an act run at the same time. An act ends when every actor has what
//! it waits for. A new kind of actor implements [`Actor`] and joins the cast of a [`Play`].

mod cast;
mod node;
mod pod;
mod pool;
mod runtime;
mod shared;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use cloudsim::model::EniStatus;
use futures::future::try_join_all;

pub use cast::Play;
pub use node::{NodeActor, serves};
pub use pod::{Farewell, PodActor, network};
pub use pool::PoolActor;
pub use shared::{Ending, SharedPods};

use crate::checker::{Violation, at_rest};
use crate::evidence;
use crate::lane::Lane;

/// The acts, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// The first nodes come.
    Join,
    /// The first pods come.
    Come,
    /// Some go, some move, others come; a node joins.
    Change,
    /// A node leaves, and its pods find another.
    Leave,
    /// Every pod goes for good.
    Go,
    /// Every node goes.
    Close,
}

impl Act {
    /// All of them.
    pub const ALL: [Act; 6] = [Act::Join, Act::Come, Act::Change, Act::Leave, Act::Go, Act::Close];
}

/// One part of the scenario.
#[async_trait]
pub trait Actor: Send + Sync {
    /// For messages.
    fn name(&self) -> String;

    /// Plays its part of an act, and waits until its effect is there.
    ///
    /// # Errors
    /// When the effect does not come in time.
    async fn play(&self, act: Act, stage: &Stage) -> Result<()>;
}

/// Where the actors play.
pub struct Stage {
    pub lane: Arc<Lane>,
    /// How long an actor waits for one thing.
    pub patience: Duration,
}

/// Waits until ENIs that somebody else detached from living pods are attached again.
async fn restored(stage: &Stage) -> Result<()> {
    let lane = &stage.lane;
    let claims = lane.view.claims();
    let lives = |eni: &str| {
        let pods = lane.ledger.pods();
        let holder = claims.iter().rev().find(|claim| claim.eni == *eni);
        holder.is_some_and(|claim| {
            pods.iter()
                .any(|pod| pod.uid == claim.pod_uid && pod.gone.is_none())
        })
    };
    for torn in lane
        .ledger
        .removals()
        .iter()
        .filter(|torn| !torn.deleted && lives(&torn.eni))
    {
        let attached = || async {
            let enis = lane.cloud.enis();
            enis.iter()
                .any(|eni| *eni.id == *torn.eni && eni.status == EniStatus::InUse)
        };
        let what = format!("{}, detached by somebody else, is attached again", torn.eni);
        lane.view.until(&what, stage.patience, attached).await?;
    }
    Ok(())
}

/// Plays all acts. Cloud and objects are compared after each act at whose end every pod is bound.
///
/// # Errors
/// When an actor waited for something in vain; the error says for what.
pub async fn play(stage: &Stage, actors: &[Box<dyn Actor>]) -> Result<Vec<Violation>> {
    let mut found = Vec::new();
    for act in Act::ALL {
        let parts = actors.iter().map(|actor| async move {
            let part = actor.play(act, stage).await;
            part.with_context(|| format!("{act:?}: {}", actor.name()))
        });
        try_join_all(parts).await?;
        if matches!(act, Act::Come | Act::Change | Act::Leave) {
            restored(stage).await?;
            let snapshot = evidence::snapshot(&stage.lane, stage.patience).await?;
            found.extend(at_rest(&snapshot));
        }
    }
    Ok(found)
}
