//! The control plane is killed while the cloud holds one of its calls.

use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use cloudsim::fault::Point;
use cloudsim::gate::{Gate, Then};

use super::{Scene, Trouble};
use crate::checker::is_look;
use crate::lane::Lane;

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The call has arrived and is never done.
    Before,
    /// The call is done and its reply is lost.
    After,
    /// The call is still on its way. The cloud does it after the next process has begun.
    Late,
}

impl Moment {
    /// The moments that the matrix plays for an action. A call that only looks changes nothing, and one moment is
    /// enough.
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

/// How long a call may be on its way after its process has died. This is shorter than `cloudConsistency` of the runs:
/// a look-up of the next process can only be right after the call is done.
const ON_ITS_WAY: Duration = Duration::from_millis(150);

#[async_trait]
impl Trouble for Kill {
    async fn make(&self, scene: &Scene) -> Result<()> {
        let point = match self.moment {
            Moment::Before | Moment::Late => Point::Before,
            Moment::After => Point::After,
        };
        let gate = Standing::put_up(&scene.lane, &self.action, self.nth, point)?;
        gate.reached().await?;
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
    /// Puts up a gate before or after the n-th call of an action, counted from now.
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

    /// Waits until a call stands at the gate.
    ///
    /// # Errors
    /// When somebody else has opened the gate.
    pub async fn reached(&self) -> Result<()> {
        loop {
            match self.lane.cloud.gate(self.id, Duration::from_secs(10)).await {
                Some(gate) if gate.reached => return Ok(()),
                Some(_) => {}
                None => bail!("gate {} was opened before a call stood at it", self.id),
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
        // Most of the time the gate is open already.
        self.lane.cloud.open_gate(self.id, Then::Go);
    }
}
