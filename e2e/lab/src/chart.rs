//! The settings that the chart of this tree ships, as Helm renders them. Tests and benchmarks start their control
//! planes with these, so that none of them runs anything that a user cannot install.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::binaries::{self, KUBERNETES_VERSION};

/// The ConfigMaps that carry settings: their templates, names and keys.
const TEMPLATES: [&str; 2] = [
    "templates/controlplane/config.yaml",
    "templates/agent/eni-config.yaml",
];
const CONTROL_PLANE: (&str, &str) = ("terway-controlplane", "ctrl-config.yaml");
const ENI_CONFIG: (&str, &str) = ("eni-config", "eni_conf");

/// The settings of one release of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file that the control plane reads: YAML.
    pub ctrl_config: String,
    /// The key `eni_conf` of the ConfigMap eni-config: a JSON object.
    pub eni_conf: Value,
}

/// The chart could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    #[error(transparent)]
    NoHelm(#[from] binaries::NotFound),
    #[error("cannot run {}", helm.display())]
    Run {
        helm: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("helm refuses the chart with the values {values}: {said}")]
    Refused { values: Value, said: String },
    #[error("helm's output is not YAML")]
    Yaml(#[source] Box<serde_saphyr::Error>),
    #[error("the chart renders no ConfigMap {name} with the key {key}")]
    Missing { name: &'static str, key: &'static str },
    #[error("the key eni_conf of the ConfigMap eni-config is not JSON")]
    EniConf(#[source] serde_json::Error),
}

#[derive(Default, Deserialize)]
struct ConfigMap {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

/// Renders the settings of a release with these values over the chart's own.
///
/// # Errors
/// When Helm is not built, or refuses the values.
pub fn settings(values: &Value) -> Result<Settings, ChartError> {
    let text = render(values, &TEMPLATES)?;
    let mut maps: Vec<ConfigMap> =
        serde_saphyr::from_multiple(&text).map_err(|error| ChartError::Yaml(Box::new(error)))?;
    let mut take = |(name, key): (&'static str, &'static str)| {
        let mut named = maps.iter_mut().filter(|map| map.metadata.name == name);
        let found = named.find_map(|map| map.data.remove(key));
        found.ok_or(ChartError::Missing { name, key })
    };
    let ctrl_config = take(CONTROL_PLANE)?;
    let eni_conf = serde_json::from_str(&take(ENI_CONFIG)?).map_err(ChartError::EniConf)?;
    Ok(Settings {
        ctrl_config,
        eni_conf,
    })
}

/// Renders templates of the chart (`templates/…`) with these values over the chart's own: a stream of YAML documents.
///
/// # Errors
/// When Helm is not built, or refuses the values.
pub fn render(values: &Value, templates: &[&str]) -> Result<String, ChartError> {
    let helm = binaries::kubernetes("helm")?;
    let failed = |source| ChartError::Run {
        helm: helm.clone(),
        source,
    };
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/terway");
    let mut command = Command::new(&helm);
    command.args(["template", "terway"]).arg(chart);
    command.args(["--namespace", "kube-system", "--values", "-"]);
    command.args(["--kube-version", KUBERNETES_VERSION]);
    for template in templates {
        command.args(["--show-only", template]);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // JSON is YAML. The pipe closes when `stdin` is dropped.
        stdin.write_all(values.to_string().as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err(ChartError::Refused {
            values: values.clone(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
