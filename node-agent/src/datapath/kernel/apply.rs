//! Makes the steps of a plan, goes on past failures and says what became of each.

use terway_node_core::plan::{Plan, Step};

use super::{error::StepError, namespace::Namespace};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    pub done: Vec<Step>,
    pub failed: Vec<(Step, StepError)>,
}

/// Makes every step. One that fails does not keep the others from being made: a foreign object in the way of one pod
/// must not take the network from another.
pub fn apply(plan: Plan, namespace: &mut Namespace<'_>) -> Applied {
    let mut applied = Applied::default();
    for step in plan.steps {
        match step.make(namespace) {
            Ok(()) => applied.done.push(step),
            Err(error) => applied.failed.push((step, error)),
        }
    }
    applied
}
