//! The control plane is killed while the cloud holds one of its calls.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use cloudsim::fault::Point;
use cloudsim::gate::{Gate, Then};

use super::{Scene, Trouble};
use crate::checker::is_look;
use crate::lane::Lane;

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The call had arrived, and was never done.
    Before,
    /// It was done, and the reply was lost.
    After,
    /// It was on its way, and was done when the next process had begun.
    Late,
}

impl Moment {
    /// Those of the matrix for an action: a call that only looks does nothing before or after which one could die.
    pub fn of_matrix(action: &str) -> &'static [Moment] {
        match is_look(action) {
            true => &[Moment::After],
            false => &[Moment::Before, Moment::After],
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Moment::Before => "before",
            Moment::After => "after",
            Moment::Late => "late",
        })
    }
}

/// A kill at the n-th call of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kill {
    pub action: String,
    /// From 1.
    pub nth: u64,
    pub moment: Moment,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}:{}", self.action, self.nth, self.moment)
    }
}

/// How long a call may be on its way when its process is dead: shorter than what the control plane
/// assumes a Describe may lag (`cloudConsistency` of the runs), as it must be for a lookup to be right.
const ON_ITS_WAY: Duration = Duration::from_millis(150);

#[async_trait]
impl Trouble for Kill {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let point = match self.moment {
            Moment::Before | Moment::Late => Point::Before,
            Moment::After => Point::After,
        };
        let gate = Standing::put_up(&scene.lane, &self.action, self.nth, point)?;
        gate.reached().await;
        for name in scene.keeper.names() {
            scene.keeper.kill(&name)?;
        }
        let then = if self.moment == Moment::Late {
            tokio::time::sleep(ON_ITS_WAY).await;
            Then::Go
        } else {
            Then::Drop
        };
        gate.open(then);
        scene.did(format!("killed at {self}"));
        Ok(())
    }
}

/// A gate that is opened when it is dropped, so that no call is held for ever.
pub struct Standing<'a> {
    lane: &'a Lane,
    id: u64,
}

impl Standing<'_> {
    /// Puts one up before or after the n-th call of an action from now on.
    pub fn put_up<'a>(lane: &'a Lane, action: &str, nth: u64, at: Point) -> Result<Standing<'a>> {
        let id = lane.cloud.hold(Gate {
            call: None,
            action: Some(action.to_owned()),
            mutating: false,
            nth: Some(nth),
            at,
        })?;
        Ok(Standing { lane, id })
    }

    /// Waits until a call stands before it.
    pub async fn reached(&self) {
        loop {
            let gate = self.lane.cloud.gate(self.id, Duration::from_secs(10)).await;
            if gate.is_none_or(|gate| gate.reached) {
                return;
            }
        }
    }

    /// Opens it.
    pub fn open(self, then: Then) {
        self.lane.cloud.open_gate(self.id, then);
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        // Opened already, most of the time.
        self.lane.cloud.open_gate(self.id, Then::Go);
    }
}
