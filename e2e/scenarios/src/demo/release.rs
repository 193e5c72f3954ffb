//! Act 9: workloads go, and the cloud is back to what it was.

use std::time::Duration;

use anyhow::Result;

use super::Setting;
use crate::cloud::{self, Enis};
use crate::stage::Stage;

pub fn play(stage: &Stage, setting: &Setting, baseline: &Enis) -> Result<()> {
    stage.title("9. Workloads are deleted: every ENI is given back");
    stage.run(&format!(
        "kubectl delete --wait=true -f {} -f {}",
        setting.manifest("web.yaml"),
        setting.manifest("db.yaml")
    ))?;
    stage.wait(
        "the PodENIs of web are gone, those of db are kept",
        Duration::from_secs(60),
        || {
            let names = stage.get("kubectl get podenis -o jsonpath='{.items[*].metadata.name}'")?;
            Ok((names == "db-0 db-1").then_some(()))
        },
    )?;
    stage.run("kubectl get podenis -o wide")?;
    stage.say("db-0 is given up by hand, db-1 when its releaseAfter has passed");
    stage.run("kubectl delete podeni db-0 --timeout=60s")?;
    stage.wait(
        "db-1's PodENI is gone after its TTL",
        Duration::from_secs(120),
        || {
            let names = stage.get("kubectl get podenis -o jsonpath='{.items[*].metadata.name}'")?;
            Ok(names.is_empty().then_some(()))
        },
    )?;
    stage.wait(
        "the cloud is back to what it was before the workloads",
        Duration::from_secs(60),
        || Ok((cloud::enis(stage)? == *baseline).then_some(())),
    )?;
    stage.run("lab cloud enis")?;
    stage.wait("no record is left", Duration::from_secs(30), || {
        let names = stage.get("kubectl get podenis,networkinterfaces -A -o name")?;
        Ok(names.is_empty().then_some(()))
    })
}
