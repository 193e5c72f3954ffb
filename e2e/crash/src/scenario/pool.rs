//! The pool of a node: it is filled when the node joins, and gone when the node is.

use anyhow::Result;
use async_trait::async_trait;

use super::{Act, Actor, Stage, runtime};
use crate::pools;
use crate::settings::POOL;

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
            comes_to_rest(stage, self.node, POOL[1]).await?;
        }
        if act == self.leaves {
            let view = &stage.lane.view;
            let gone = || async { view.objects(|objects| !objects.terway_nodes.contains_key(self.node)) };
            view.until("its record is gone", stage.patience, gone).await?;
            runtime::forget(stage, self.node).await?;
        }
        Ok(())
    }
}

/// Waits until nothing is under way on a node and its idle addresses are between the minimum and `most`.
pub(super) async fn comes_to_rest(stage: &Stage, node: &str, most: usize) -> Result<()> {
    let view = &stage.lane.view;
    let comes_to_rest = || async {
        view.objects(|objects| {
            let record = objects.terway_nodes.get(node);
            record.is_some_and(|record| {
                let idle = record.status.as_ref().map_or(0, pools::idle);
                pools::rests(record) && (POOL[0]..=most).contains(&idle)
            })
        })
    };
    let what = format!("{node} has {} to {most} idle addresses, and rests", POOL[0]);
    view.until(&what, stage.patience, comes_to_rest).await
}
