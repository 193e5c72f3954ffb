//! Pods that stay while everything else is disturbed, and the traffic between them: a TCP stream and a ping
//! every 10 ms, across the nodes, from each kind of pod to each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::pods::{self, Kind};
use crate::stage::Stage;
use crate::traffic::Report;

const PORT: u16 = 8080;
const SENDERS: [(&str, Kind); 2] = [("steady-shared", Kind::Shared), ("steady-member", Kind::Member)];
const ANSWERERS: [(&str, Kind); 2] = [("answer-shared", Kind::Shared), ("answer-member", Kind::Member)];

/// The traffic, while it flows.
pub struct Steady {
    began: Instant,
}

impl Steady {
    /// Starts the traffic: two pods on `there` answer two pods on `here`.
    pub fn begin(stage: &Stage, here: &str, there: &str) -> Result<Steady> {
        let mut arguments = Vec::new();
        for (name, kind) in ANSWERERS {
            pods::traffic(stage, name, kind, there, &[format!("--listen=0.0.0.0:{PORT}")])?;
        }
        let names = ANSWERERS.map(|(name, _)| format!("pod/{name}")).join(" ");
        stage.run(&format!(
            "kubectl wait --for=condition=Ready {names} --timeout=180s"
        ))?;
        for (name, _) in ANSWERERS {
            let address = stage.get(&format!("kubectl get pod {name} -o jsonpath='{{.status.podIP}}'"))?;
            arguments.push(format!("--stream={address}:{PORT}"));
            arguments.push(format!("--ping={address}"));
        }
        for (name, kind) in SENDERS {
            pods::traffic(stage, name, kind, here, &arguments)?;
        }
        let steady = Steady {
            began: Instant::now(),
        };
        stage.wait(
            "a TCP stream and a ping every 10 ms flow from each kind of pod to each, across the nodes",
            Duration::from_secs(180),
            || {
                let reports = SENDERS.map(|(name, _)| read(stage, name));
                let flows =
                    |report: &Result<Option<Report>>| matches!(report, Ok(Some(report)) if report.flows());
                Ok(reports.iter().all(flows).then_some(()))
            },
        )?;
        Ok(steady)
    }

    /// Checks that nothing was lost since the beginning, and that everything flows now.
    pub fn check(&self, stage: &Stage, while_what: &str) -> Result<()> {
        let before = reports(stage)?;
        let after = stage.wait("the streams and pings go on", Duration::from_secs(60), || {
            let now = reports(stage)?;
            let stalled = now
                .iter()
                .zip(&before)
                .any(|(now, then)| !now.stalled_since(then).is_empty());
            Ok((!stalled).then_some(now))
        })?;
        let losses: Vec<String> = after.iter().flat_map(Report::losses).collect();
        stage.say(self.in_figures(&after));
        stage.check(
            losses.is_empty(),
            format!(
                "no ping was lost and no stream broke while {while_what} {}",
                losses.join("; ")
            ),
        )
    }

    /// Removes the pods.
    pub fn end(self, stage: &Stage) -> Result<()> {
        let names = ANSWERERS.iter().chain(&SENDERS).map(|(name, _)| *name);
        let names = names.collect::<Vec<_>>().join(" ");
        stage.run(&format!("kubectl delete pod {names} --timeout=120s"))?;
        Ok(())
    }

    fn in_figures(&self, reports: &[Report]) -> String {
        let streams = || reports.iter().flat_map(|report| &report.streams);
        let pings = || reports.iter().flat_map(|report| &report.pings);
        format!(
            "since {:.0} s: {} numbers returned over {} connections (longest gap {} ms), {} pings answered (slowest {} ms), {} lost",
            self.began.elapsed().as_secs_f64(),
            streams().map(|stream| stream.returned).sum::<u64>(),
            streams().map(|stream| stream.connects).sum::<u64>(),
            streams()
                .map(|stream| stream.longest_gap_ms)
                .max()
                .unwrap_or_default(),
            pings().map(|ping| ping.answered).sum::<u64>(),
            pings().map(|ping| ping.slowest_ms).max().unwrap_or_default(),
            pings().map(|ping| ping.lost).sum::<u64>(),
        )
    }
}

fn reports(stage: &Stage) -> Result<Vec<Report>> {
    SENDERS
        .iter()
        .map(|(name, _)| read(stage, name)?.with_context(|| format!("{name} says nothing")))
        .collect()
}

/// The last report of a sender; none before the first.
fn read(stage: &Stage, name: &str) -> Result<Option<Report>> {
    let Some(line) = stage.ask(&format!("kubectl logs {name} --tail=1"))? else {
        return Ok(None);
    };
    if line.is_empty() {
        return Ok(None);
    }
    let report = serde_json::from_str(&line).with_context(|| format!("{name} printed '{line}'"))?;
    Ok(Some(report))
}
