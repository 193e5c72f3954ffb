//! The cost of a piece of work: calls to the cloud, requests to the API server, CPU.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;
use terway_crds::names::GROUP;

use crate::process;

/// The sources of figures.
#[derive(Debug, Clone)]
pub struct Meter {
    pub call_log: PathBuf,
    pub audit_log: PathBuf,
    pub controller: u32,
}

/// The state of the sources at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    calls: u64,
    audit: u64,
    cpu: f64,
}

impl Mark {
    /// Whether the cloud was not called in between.
    pub fn same_calls(&self, other: &Mark) -> bool {
        self.calls == other.calls
    }
}

/// The difference of two moments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cost {
    /// By action.
    pub cloud_calls: BTreeMap<String, u64>,
    /// Calls of those that the cloud refused.
    pub cloud_refusals: u64,
    /// By verb and `/status`; without watches, leases and events.
    pub requests: BTreeMap<String, u64>,
    pub events: u64,
    /// Refused with 409: the request was planned on an old state.
    pub conflicts: u64,
    pub cpu_seconds: f64,
}

impl Meter {
    /// The sources as they stand.
    pub fn mark(&self) -> anyhow::Result<Mark> {
        Ok(Mark {
            calls: length(&self.call_log)?,
            audit: length(&self.audit_log)?,
            cpu: process::cpu_seconds(self.controller)?,
        })
    }

    /// The cost since a mark.
    pub fn since(&self, mark: Mark) -> anyhow::Result<Cost> {
        let mut cost = Cost {
            cpu_seconds: process::cpu_seconds(self.controller)? - mark.cpu,
            ..Cost::default()
        };
        lines_from(&self.call_log, mark.calls, |line| cost.add_call(line))?;
        lines_from(&self.audit_log, mark.audit, |line| cost.add_request(line))?;
        Ok(cost)
    }
}

impl Cost {
    /// Calls to the cloud in all.
    pub fn calls(&self) -> u64 {
        self.cloud_calls.values().sum()
    }

    /// Writes of the status of Node objects: ENIs, addresses and who has them.
    pub fn record_writes(&self) -> u64 {
        let ours = |name: &str| name.ends_with(" terway nodes/status");
        let counts = self.requests.iter().filter(|(name, _)| ours(name));
        counts.map(|(_, count)| count).sum()
    }

    /// Requests to the API server in all, without events.
    pub fn api_requests(&self) -> u64 {
        self.requests.values().sum()
    }

    fn add_call(&mut self, line: &Value) {
        let Some(action) = line["action"].as_str() else {
            return;
        };
        *self.cloud_calls.entry(action.to_owned()).or_default() += 1;
        self.cloud_refusals += u64::from(line["outcome"] != "OK");
    }

    fn add_request(&mut self, line: &Value) {
        let object = &line["objectRef"];
        let (verb, resource) = (line["verb"].as_str(), object["resource"].as_str());
        let (Some(verb), Some(resource)) = (verb, resource) else {
            return;
        };
        if verb == "watch" || resource == "leases" || line["stage"] != "ResponseComplete" {
            return;
        }
        self.conflicts += u64::from(line["responseStatus"]["code"] == 409);
        if resource == "events" {
            self.events += 1;
            return;
        }
        // Both groups have a kind Node.
        let group = match (resource, object["apiGroup"].as_str()) {
            ("nodes", Some(GROUP)) => "terway ",
            _ => "",
        };
        let part = object["subresource"]
            .as_str()
            .map(|part| format!("/{part}"))
            .unwrap_or_default();
        *self
            .requests
            .entry(format!("{verb} {group}{resource}{part}"))
            .or_default() += 1;
    }
}

fn length(path: &Path) -> anyhow::Result<u64> {
    match std::fs::metadata(path) {
        Ok(data) => Ok(data.len()),
        // Nobody has written to it yet.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("looking at {}", path.display())),
    }
}

/// Whole lines after this position, each a JSON object.
fn lines_from(path: &Path, position: u64, mut take: impl FnMut(&Value)) -> anyhow::Result<()> {
    let reading = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(reading)?;
    file.seek(SeekFrom::Start(position)).with_context(reading)?;
    let mut reader = BufReader::new(file);
    let mut line = String::new();
    while reader.read_line(&mut line).with_context(reading)? > 0 {
        // The last line may be incomplete; the next reading takes it.
        if line.ends_with('\n') {
            take(&serde_json::from_str(&line).with_context(reading)?);
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn watches_leases_and_events_are_told_apart() {
        let mut cost = Cost::default();
        let request = |verb: &str, resource: &str, part: &str, code: u16| {
            json!({"verb": verb, "stage": "ResponseComplete", "responseStatus": {"code": code},
                "objectRef": {"resource": resource, "subresource": part}})
        };
        for line in [
            request("watch", "pods", "", 200),
            request("update", "leases", "", 200),
            request("create", "events", "", 201),
            json!({"verb": "create", "stage": "ResponseComplete", "responseStatus": {"code": 201},
                "objectRef": {"resource": "podenis"}}),
            request("patch", "podenis", "status", 409),
            json!({"verb": "update", "stage": "ResponseComplete", "responseStatus": {"code": 200},
                "objectRef": {"resource": "nodes", "subresource": "status", "apiGroup": GROUP}}),
            request("patch", "nodes", "status", 200),
            json!({"verb": "get", "stage": "ResponseComplete", "requestURI": "/version"}),
        ] {
            cost.add_request(&line);
        }
        assert_eq!((cost.api_requests(), cost.events, cost.conflicts), (4, 1, 1));
        assert_eq!(cost.record_writes(), 1);
        assert_eq!(cost.requests["create podenis"], 1);
        assert_eq!(cost.requests["patch podenis/status"], 1);
    }

    #[test]
    fn a_half_written_line_waits_for_its_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "{\"action\":\"A\"}\n{\"action\":\"B\"}\n{\"act").unwrap();
        let mut seen = Vec::new();
        lines_from(&path, 15, |line| seen.push(line["action"].clone())).unwrap();
        assert_eq!(seen, ["B"]);
    }
}
