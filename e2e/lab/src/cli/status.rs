//! `lab status`: shows the machines, their programs and the nodes.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use lab::machine::tasks::{STATES_FILE, TaskState};
use lab::state::StateDir;
use lab::{Cluster, Options};
use serde_json::Value;

/// Prints the lab's state. The exit code is 0 if a lab is up and its API server is ready.
pub fn show(state: &StateDir) -> anyhow::Result<ExitCode> {
    let Some(running) = state.running()? else {
        match state.supervisor()? {
            Some(pid) => lab::say!("a lab is coming up (process {pid})"),
            None => lab::say!("no lab is up in {}", state.root().display()),
        }
        return Ok(ExitCode::FAILURE);
    };
    lab::say!("state folder  {}", state.root().display());
    lab::say!("kubeconfig    {}", state.kubeconfig().display());
    for machine in &running.machines {
        let pid = state.machine_pid(machine)?;
        lab::say!("\n{machine} (process {pid})");
        for (name, task) in tasks(state, machine) {
            lab::say!("  {name:<26} {}", describe(&task));
        }
    }
    lab::say!("");
    let options = Options {
        state_dir: Some(state.root().to_path_buf()),
        ..Options::default()
    };
    let client = Cluster::attach(&options)?.client()?;
    if !client.ready() {
        lab::say!(
            "the API server on 127.0.0.1:{} is not ready; see `lab logs control`",
            running.port
        );
        return Ok(ExitCode::FAILURE);
    }
    lab::say!("the API server on 127.0.0.1:{} is ready", running.port);
    let nodes: Value = serde_json::from_str(&client.get("/api/v1/nodes", Duration::from_secs(5))?.body)?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        for ready in conditions.filter(|condition| condition["type"] == "Ready") {
            let is = if ready["status"] == "True" {
                "Ready"
            } else {
                "not Ready"
            };
            lab::say!(
                "{name} is {is}: {}",
                ready["message"].as_str().unwrap_or_default()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tasks(state: &StateDir, machine: &str) -> BTreeMap<String, TaskState> {
    // The machine writes its report into its log folder. Without a report there is nothing to show.
    let file = STATES_FILE.trim_start_matches("log/");
    let text = std::fs::read_to_string(state.machine_logs(machine).join(file)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn describe(task: &TaskState) -> String {
    match task {
        TaskState::Waiting => "waits for what it needs".to_owned(),
        TaskState::Running { pid, starts: 1 } => format!("runs (process {pid} there)"),
        TaskState::Running { pid, starts } => format!("runs (process {pid} there), started {starts} times"),
        TaskState::Restarting { last, starts } => format!("ended: {last}; started {starts} times so far"),
        TaskState::Done => "done".to_owned(),
    }
}
