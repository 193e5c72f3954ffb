//! The pool of a node's shared ENIs: it is there when the node joins, and nothing of it when the node is gone.

use anyhow::Result;
use async_trait::async_trait;

use super::{Act, Actor, Stage, runtime};
use crate::lane::POOL;
use crate::pools;

/// The pool of a node.
pub struct PoolActor {
    pub node: &'static str,
    /// When the node goes.
    pub leaves: Act,
}

#[async_trait]
impl Actor for PoolActor {
    fn name(&self) -> String {
        format!("the pool of {}", self.node)
    }

    async fn play(&self, act: Act, stage: &Stage) -> Result<()> {
        if act == Act::Join {
            settled(stage, self.node, POOL[1]).await?;
        }
        if act == self.leaves {
            let view = &stage.lane.view;
            let gone = || async { view.objects(|objects| !objects.node_records.contains_key(self.node)) };
            view.until("its record is gone", stage.patience, gone).await?;
            runtime::forget(stage, self.node).await?;
        }
        Ok(())
    }
}

/// Waits until nothing of a node's ENIs is under way and at least its minimum, but not more than `most`, is idle.
pub(super) async fn settled(stage: &Stage, node: &str, most: usize) -> Result<()> {
    let view = &stage.lane.view;
    let settled = || async {
        view.objects(|objects| {
            let record = objects.node_records.get(node);
            record.is_some_and(|record| {
                let idle = record.status.as_ref().map_or(0, pools::idle);
                pools::rests(record) && (POOL[0]..=most).contains(&idle)
            })
        })
    };
    let what = format!("{node} has {} to {most} idle addresses, and rests", POOL[0]);
    view.until(&what, stage.patience, settled).await
}
