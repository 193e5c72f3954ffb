//! Pods that come and go without end, of both kinds, wherever there is room.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::pods::{self, Kind};
use crate::stage::Stage;

const APPS: [(&str, Kind); 2] = [("churn-shared", Kind::Shared), ("churn-member", Kind::Member)];
const REPLICAS: std::ops::RangeInclusive<usize> = 3..=7;
/// Time between two acts, so that the API server and the kubelets can do other work too.
const PAUSE: Duration = Duration::from_millis(700);

/// How many pods the churn makes at least.
const ACTS: usize = 20;

/// Plays `disturbance` while pods come and go, and waits until the last ones are Ready.
pub fn during(stage: &Stage, seed: u64, disturbance: impl FnOnce() -> Result<()>) -> Result<()> {
    for (app, kind) in APPS {
        pods::deploy(stage, app, kind, None, *REPLICAS.end())?;
    }
    let (stop, acts) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (disturbed, churned) = std::thread::scope(|scope| {
        let churning = scope.spawn(|| churn(stage, seed, &stop, &acts));
        let disturbed = disturbance().and_then(|()| {
            stage.wait(
                format!("{ACTS} times pods were deleted or Deployments scaled"),
                Duration::from_secs(300),
                || {
                    let enough = acts.load(Ordering::Relaxed) >= ACTS || churning.is_finished();
                    Ok(enough.then_some(()))
                },
            )
        });
        stop.store(true, Ordering::Relaxed);
        (disturbed, churning.join())
    });
    disturbed?;
    churned.map_err(|_| anyhow::anyhow!("the thread that churns panicked"))??;
    for (app, _) in APPS {
        scale(stage, app, *REPLICAS.end())?;
        pods::wait_ready(stage, app, *REPLICAS.end())?;
    }
    Ok(())
}

/// Removes the pods.
pub fn end(stage: &Stage) -> Result<()> {
    for (app, _) in APPS {
        pods::remove(stage, app)?;
    }
    for (app, _) in APPS {
        pods::wait_gone(stage, app)?;
    }
    Ok(())
}

fn churn(stage: &Stage, seed: u64, stop: &AtomicBool, acts: &AtomicUsize) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    while !stop.load(Ordering::Relaxed) {
        let (app, _) = APPS[random.random_range(0..APPS.len())];
        if random.random_range(0..4) == 0 {
            scale(stage, app, random.random_range(REPLICAS))?;
        } else {
            let names = stage.get(&format!("kubectl get pods -l app={app} -o name"))?;
            let names: Vec<&str> = names.lines().collect();
            let victims: Vec<&str> = names.sample(&mut random, 2).copied().collect();
            if !victims.is_empty() {
                // The pod may have gone by itself.
                stage.get(&format!(
                    "kubectl delete --wait=false --ignore-not-found {}",
                    victims.join(" ")
                ))?;
            }
        }
        acts.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn scale(stage: &Stage, app: &str, replicas: usize) -> Result<()> {
    stage.get(&format!("kubectl scale deployment {app} --replicas={replicas}"))?;
    Ok(())
}
