//! `lab cloud`: shows the state of the simulated cloud.

use anyhow::Context;
use lab::Cluster;
use serde_json::Value;

/// Prints a table of the ENIs for `enis`, a table of dropped packets for `drops`, or the admin API's answer for a path.
pub fn show(cluster: &Cluster, what: &str) -> anyhow::Result<()> {
    if what.starts_with('/') {
        let answer = cluster.admin().get(what)?;
        match serde_json::from_str::<Value>(&answer) {
            Ok(json) => lab::say!("{}", serde_json::to_string_pretty(&json)?),
            Err(_) => lab::say!("{answer}"),
        }
        return Ok(());
    }
    if what == "drops" {
        return drops(&serde_json::from_str(&cluster.admin().get("/fabric/counters")?)?);
    }
    anyhow::ensure!(
        what == "enis",
        "lab cloud shows `enis`, `drops`, or a path of the simulator's admin API such as /state or /fabric/counters"
    );
    let state: Value = serde_json::from_str(&cluster.admin().get("/state")?)?;
    let enis = state["enis"]
        .as_array()
        .context("the simulator's state has no list of ENIs")?;
    lab::say!(
        "{:<25} {:<10} {:<10} {:<12} {:<10} {:<10} {:>4}  SECURITY-GROUPS",
        "ENI",
        "TYPE",
        "STATUS",
        "IP",
        "VSWITCH",
        "INSTANCE",
        "VLAN"
    );
    for eni in enis {
        lab::say!("{}", row(eni));
    }
    Ok(())
}

/// Prints the number of dropped packets per ENI and reason.
fn drops(counters: &Value) -> anyhow::Result<()> {
    let enis = counters["enis"]
        .as_object()
        .context("the simulator counts no ENIs")?;
    lab::say!("{:<25} {:<14} {:>8}", "ENI", "REASON", "PACKETS");
    for (id, eni) in enis {
        for (reason, count) in eni["dropped"].as_object().into_iter().flatten() {
            lab::say!("{id:<25} {reason:<14} {count:>8}");
        }
    }
    Ok(())
}

fn row(eni: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let attachment = &eni["attachment"];
    let vlan = match eni["type"].as_str() {
        Some("Member") => attachment["deviceIndex"].to_string(),
        _ => String::from("-"),
    };
    let groups: Vec<_> = eni["securityGroupIds"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    format!(
        "{:<25} {:<10} {:<10} {:<12} {:<10} {:<10} {vlan:>4}  {}",
        text(&eni["id"]),
        text(&eni["type"]),
        text(&eni["status"]),
        text(&eni["primaryIp"]),
        text(&eni["vswitchId"]),
        text(&attachment["instanceId"]),
        groups.join(",")
    )
}
