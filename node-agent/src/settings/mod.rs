//! The agent's share of the ConfigMap `eni-config`, mounted as a directory of files.

pub mod conflist;
mod symmetric;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use terway_address::served;
use terway_crds::names::object::ENI_CONFIG_KEY;

use crate::datapath::Symmetric;
use conflist::{CONF_KEY, CONFLIST_KEY, Rendered};

/// MTU of pods when nothing else is configured, in bytes.
pub const DEFAULT_MTU: u32 = 1500;

/// Bounds of a usable MTU, in bytes: the least that each IPv4 host accepts (RFC 791), and the largest of an ENI (ECS,
/// "Jumbo frames").
const MTU_RANGE: std::ops::RangeInclusive<u32> = 576..=8500;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file exists and cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the read.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("key {key} of the ConfigMap eni-config is not valid JSON of its kind")]
    Decode {
        /// The ConfigMap's key.
        key: &'static str,
        /// The parser's error, with the place in the text.
        #[source]
        source: serde_json::Error,
    },
    /// A value cannot be used.
    #[error("{what} in key {key} of the ConfigMap eni-config cannot be used: {why}")]
    Value {
        /// The ConfigMap's key.
        key: &'static str,
        /// The key in its JSON.
        what: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// The settings of the pods' network on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// MTU of pod interfaces in bytes.
    pub mtu: u32,
    /// Destinations that pods reach through the host's stack.
    pub host_stack_cidrs: Vec<IpNet>,
    /// Further destinations that pods reach through their first interface.
    pub extra_routes: Vec<IpNet>,
    /// Symmetric routing. `None`: the answer to a connection that entered by the node's own interface leaves by the
    /// pod's ENI.
    pub symmetric: Option<Symmetric>,
    /// Whether a plugin that limits bandwidth runs after this one.
    pub limits_bandwidth: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mtu: DEFAULT_MTU,
            host_stack_cidrs: Vec::new(),
            extra_routes: Vec::new(),
            symmetric: Some(Symmetric::default()),
            limits_bandwidth: false,
        }
    }
}

/// The keys of `eni_conf` that the agent uses. The control plane uses and checks all others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EniConf {
    extra_routes: Option<Vec<Destination>>,
}

#[derive(Deserialize)]
struct Destination {
    dst: String,
}

/// What the agent works with.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// The configuration for the container runtime, and the settings that were read from it.
    pub rendered: Rendered,
    /// What cannot be used in the ConfigMap. The last good settings stand in its place, or else the defaults.
    pub refused: Vec<SettingsError>,
}

/// Reads the directory. A key that is missing has its default.
///
/// `last` is the text of the installed configuration, which has the last good settings. `host_mtu` is the MTU of the
/// node's own interface, which `auto_mtu` takes. `socket` is the path that the agent listens on; the CNI binary learns
/// it from the configuration.
pub fn load(dir: &Path, last: Option<&str>, host_mtu: Option<u32>, socket: &Path) -> Loaded {
    let mut refused = Vec::new();
    let last = last.and_then(|text| conflist::render(Some(text), None, host_mtu, socket).ok());
    let mut rendered = match configured(dir, host_mtu, socket) {
        Ok(rendered) => rendered,
        Err(error) => {
            refused.push(error);
            last.clone().unwrap_or_else(|| conflist::defaults(socket))
        }
    };
    let extra_routes = match extra_routes(dir) {
        Ok(routes) => routes,
        Err(error) => {
            refused.push(error);
            last.map(|last| last.extra_routes).unwrap_or_default()
        }
    };
    rendered.record_extra_routes(extra_routes);
    let settings = Settings {
        mtu: rendered.mtu,
        host_stack_cidrs: rendered.host_stack_cidrs.clone(),
        extra_routes: rendered.extra_routes.clone(),
        symmetric: rendered.symmetric.clone(),
        limits_bandwidth: rendered.limits_bandwidth,
    };
    Loaded {
        settings,
        rendered,
        refused,
    }
}

fn configured(dir: &Path, host_mtu: Option<u32>, socket: &Path) -> Result<Rendered, SettingsError> {
    let (conflist, conf) = (read(dir, CONFLIST_KEY)?, read(dir, CONF_KEY)?);
    conflist::render(conflist.as_deref(), conf.as_deref(), host_mtu, socket)
}

fn extra_routes(dir: &Path) -> Result<Vec<IpNet>, SettingsError> {
    let Some(text) = read(dir, ENI_CONFIG_KEY)? else {
        return Ok(Vec::new());
    };
    let decode = |source| SettingsError::Decode {
        key: ENI_CONFIG_KEY,
        source,
    };
    let eni_conf: EniConf = serde_json::from_str(&text).map_err(decode)?;
    let routes = eni_conf.extra_routes.unwrap_or_default();
    let routes = routes.iter();
    routes
        .map(|route| cidr(ENI_CONFIG_KEY, "extra_routes", &route.dst))
        .collect()
}

fn read(dir: &Path, key: &str) -> Result<Option<String>, SettingsError> {
    let path = dir.join(key);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SettingsError::Read { path, source }),
    }
}

/// Parses a network that pods reach. A family that pods do not get is refused by name, because the datapath would
/// leave its route out.
fn cidr(key: &'static str, what: &str, text: &str) -> Result<IpNet, SettingsError> {
    let refused = |why| SettingsError::Value {
        key,
        what: what.to_owned(),
        why,
    };
    let net: IpNet = text
        .parse()
        .map_err(|_| refused(format!("{text:?} is no IPv4 CIDR such as 10.0.0.0/8")))?;
    served(net.addr()).map_err(|error| refused(error.to_string()))?;
    Ok(net)
}

fn check_mtu(key: &'static str, mtu: u32) -> Result<u32, SettingsError> {
    if MTU_RANGE.contains(&mtu) {
        return Ok(mtu);
    }
    let (least, most) = MTU_RANGE.into_inner();
    Err(SettingsError::Value {
        key,
        what: "mtu".to_owned(),
        why: format!("{mtu} is not between {least} and {most}"),
    })
}
