//! Makes the steps of a plan. A failed step does not stop the others, and each failure is reported.

use terway_node_core::plan::{Plan, Step};

use super::{error::StepError, namespace::Namespace};

/// The steps that were made, and those that failed.
#[derive(Debug, Default)]
pub struct Applied {
    pub done: Vec<Step>,
    pub failed: Vec<(Step, StepError)>,
}

/// Makes every step. A step that fails does not stop the others: a foreign object in the way of one pod must not cost
/// another pod its network.
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
