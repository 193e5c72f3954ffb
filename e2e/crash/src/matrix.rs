//! The matrix: two runs count the cloud calls, then one run is played for each call and each moment of death.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use crate::drive::{Kill, Moment, Plan, run};
use crate::lane::Lane;
use crate::scenario::Play;

/// A call of the counted runs: the n-th of its action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub action: String,
    pub nth: u64,
}

/// Plays twice without trouble and numbers the calls that both runs made: not every run looks equally often.
///
/// # Errors
/// When a run without trouble breaks a rule.
pub async fn count(lane: &Arc<Lane>, play: Play) -> Result<Vec<Point>> {
    let first = count_once(lane, play).await?;
    let second = count_once(lane, play).await?;
    Ok(first.into_iter().filter(|point| second.contains(point)).collect())
}

async fn count_once(lane: &Arc<Lane>, play: Play) -> Result<Vec<Point>> {
    let outcome = run(lane, &Plan::quiet(play, "count")).await?;
    if !outcome.violations.is_empty() {
        let said: Vec<String> = outcome.violations.iter().map(ToString::to_string).collect();
        bail!("the run without trouble is broken:\n{}", said.join("\n"));
    }
    let calls = lane.cloud.calls_since(outcome.since);
    Ok(number(calls.iter().map(|call| call.action.as_str())))
}

/// Numbers calls within their action. Runs differ in the order of simultaneous calls, and hardly in the number of calls
/// of an action. The n-th call of an action is therefore found again in another run; the k-th of all calls may be
/// another.
fn number<'a>(actions: impl Iterator<Item = &'a str>) -> Vec<Point> {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut points = Vec::new();
    for action in actions {
        let nth = seen.entry(action).or_default();
        *nth += 1;
        points.push(Point {
            action: action.to_owned(),
            nth: *nth,
        });
    }
    points
}

/// A run for every call and moment.
pub fn plans(play: Play, points: &[Point]) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (at, point) in points.iter().enumerate() {
        for &moment in Moment::of_matrix(&point.action) {
            let kill = Kill {
                action: point.action.clone(),
                nth: point.nth,
                moment,
            };
            let label = format!("kill:{kill}");
            plans.push(Plan {
                call: Some(at + 1),
                ..Plan::quiet(play, &label).with(kill)
            });
        }
    }
    plans
}

/// Some of them, drawn from a seed.
pub fn sample(mut plans: Vec<Plan>, seed: u64, size: usize) -> Vec<Plan> {
    plans.shuffle(&mut StdRng::seed_from_u64(seed));
    plans.truncate(size);
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_numbered_within_their_action_and_each_that_changes_something_is_killed_twice() {
        let points = number(["Create", "Describe", "Create"].into_iter());
        assert_eq!(points[2].nth, 2);
        let labels: Vec<String> = plans(Play::Shared, &points)
            .into_iter()
            .map(|plan| plan.label)
            .collect();
        let expected = [
            "Create#1:before",
            "Create#1:after",
            "Describe#1:after",
            "Create#2:before",
            "Create#2:after",
        ];
        assert_eq!(labels, expected.map(|kill| format!("shared:kill:{kill}")));
    }

    #[test]
    fn the_same_seed_draws_the_same_sample() {
        let points = number(std::iter::repeat_n("Create", 30));
        let draw = |seed| -> Vec<String> {
            let drawn = sample(plans(Play::Members, &points), seed, 5);
            drawn.into_iter().map(|plan| plan.label).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
