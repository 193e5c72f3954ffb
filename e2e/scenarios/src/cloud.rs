//! The content of the simulated cloud, read through `lab cloud` to compare before and after.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::stage::Stage;

/// The ENIs of the cloud: id to (type, status).
pub type Enis = BTreeMap<String, (String, String)>;

/// Every ENI of the cloud.
pub fn enis(stage: &Stage) -> Result<Enis> {
    let state = state(stage)?;
    let enis = state["enis"]
        .as_array()
        .context("the cloud's state has no list of ENIs")?;
    Ok(enis
        .iter()
        .map(|eni| (text(eni, "id"), (text(eni, "type"), text(eni, "status"))))
        .collect())
}

/// Packets the VPC dropped for `reason`, over all ENIs.
pub fn drops(stage: &Stage, reason: &str) -> Result<u64> {
    let counters: Value = serde_json::from_str(&stage.get("lab cloud /fabric/counters")?)?;
    Ok(counters["dropped"][reason].as_u64().unwrap_or(0))
}

/// Everything that the cloud holds.
pub fn state(stage: &Stage) -> Result<Value> {
    Ok(serde_json::from_str(&stage.get("lab cloud /state")?)?)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
