//! The plans of all machines, as values.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::credentials::Credentials;
use super::{control, node};
use crate::binaries::{self, NotFound};
use crate::cgroup::Layout;
use crate::machine::{Bind, Spec};
use crate::options::Options;
use crate::pki::PkiError;
use crate::state::StateDir;
use crate::world::{Fleet, Machine};

/// Why the machines could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Binary(#[from] NotFound),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("no reference network plugins in /usr/lib/cni; run scripts/setup.sh, which installs them")]
    Plugins(#[source] io::Error),
}

/// The inputs of the plans.
pub(super) struct Inputs<'a> {
    pub state: &'a StateDir,
    pub options: &'a Options,
    pub layout: &'a Layout,
    pub fleet: &'a Fleet,
    pub credentials: &'a Credentials,
    /// File names of the image archives in the state folder.
    pub archives: &'a [String],
}

/// One plan for each machine, the control machine first.
pub(super) fn machines(inputs: &Inputs<'_>) -> Result<Vec<Spec>, PlanError> {
    let programs = binaries::kubernetes_dir()?;
    let control = &inputs.fleet.control;
    let mut files = inputs.credentials.control(inputs.fleet)?;
    files.extend(
        node::files(control, inputs.fleet, inputs.options.kube_proxy)
            .into_iter()
            .filter(|(path, _)| path.starts_with("/etc")),
    );
    if let Some(policy) = &inputs.options.audit_policy {
        files.insert(PathBuf::from(control::AUDIT_POLICY), policy.clone());
    }
    let mut specs = vec![Spec {
        files,
        tasks: control::tasks(control, inputs.options),
        ..bare(inputs, control, &programs)
    }];
    let plugins = node::installed_plugins().map_err(PlanError::Plugins)?;
    for machine in &inputs.fleet.nodes {
        let mut files = inputs.credentials.node(&machine.name, machine.address.addr())?;
        files.extend(node::files(machine, inputs.fleet, inputs.options.kube_proxy));
        specs.push(Spec {
            directories: node::directories(),
            files,
            links: node::links(&plugins),
            tasks: node::tasks(machine, inputs.archives),
            ..bare(inputs, machine, &programs)
        });
    }
    Ok(specs)
}

/// The plan of a machine without programs.
fn bare(inputs: &Inputs<'_>, machine: &Machine, programs: &Path) -> Spec {
    let bind = |host: PathBuf, name: &str, writable| Bind {
        host,
        name: name.to_owned(),
        writable,
    };
    Spec {
        name: machine.name.clone(),
        cgroup: format!("{}{}", inputs.state.cgroup_prefix(), machine.name),
        layout: inputs.layout.clone(),
        pid_file: inputs.state.machine_pid_file(&machine.name),
        binds: vec![
            bind(programs.to_path_buf(), "bin", false),
            bind(inputs.state.images(), "images", false),
            bind(inputs.state.machine_logs(&machine.name), "log", true),
        ],
        address: machine.address,
        gateway: machine.gateway,
        directories: Vec::new(),
        files: BTreeMap::new(),
        links: BTreeMap::new(),
        tasks: Vec::new(),
    }
}
