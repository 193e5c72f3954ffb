//! The network configuration on standard input: the part of it that this binary needs.
//! The agent reads the other keys (`mtu`, `host_stack_cidrs` and so on) from the ConfigMap that the configuration is
//! rendered from, because it needs them for running pods too.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use terway_cni_protocol::{Attachment, SOCKET_PATH};

use crate::error::CniError;

/// The CNI versions that the binary supports, oldest first.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", LATEST];

/// The newest of them.
pub const LATEST: &str = "1.1.0";

/// The configuration of one plugin call.
#[derive(Clone, Debug, PartialEq)]
pub struct NetConf {
    /// The version of the result to print; one of [`VERSIONS`].
    pub cni_version: String,
    /// The result of the plugin before us in the chain, or of our own ADD in a CHECK.
    pub prev_result: Option<Value>,
    /// Where the agent listens.
    pub socket: PathBuf,
    /// GC: the attachments that exist. `None` when the configuration has no list.
    pub valid_attachments: Option<Vec<Attachment>>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "cniVersion")]
    cni_version: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    plugin: Option<String>,
    #[serde(rename = "prevResult")]
    prev_result: Option<Value>,
    socket: Option<PathBuf>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid_attachments: Option<Vec<RawAttachment>>,
    // Libraries wrote this key before version 1.1.0 of the specification gave it its final name (unverified).
    #[serde(rename = "cni.dev/attachments")]
    attachments: Option<Vec<RawAttachment>>,
}

#[derive(Deserialize)]
struct RawAttachment {
    #[serde(rename = "containerID")]
    container_id: String,
    ifname: String,
}

impl NetConf {
    /// Parses and checks a configuration.
    pub fn parse(text: &[u8]) -> Result<Self, CniError> {
        let raw: Raw = serde_json::from_slice(text).map_err(CniError::Decode)?;
        // The first releases of the specification had no such field. Its absence means 0.1.0, which is too old.
        let cni_version = raw.cni_version.unwrap_or_else(|| "0.1.0".to_owned());
        if !VERSIONS.contains(&cni_version.as_str()) {
            return Err(CniError::Version(cni_version));
        }
        required("name", raw.name.as_deref())?;
        required("type", raw.plugin.as_deref())?;
        let socket = raw.socket.unwrap_or_else(|| SOCKET_PATH.into());
        if !socket.is_absolute() {
            let why = format!("{:?} must be an absolute path", socket.display().to_string());
            return Err(CniError::Configuration { key: "socket", why });
        }
        let valid_attachments = raw.valid_attachments.or(raw.attachments).map(|list| {
            let keep = |item: RawAttachment| Attachment {
                container_id: item.container_id,
                ifname: item.ifname,
            };
            list.into_iter().map(keep).collect()
        });
        Ok(NetConf {
            cni_version,
            prev_result: raw.prev_result,
            socket,
            valid_attachments,
        })
    }

    /// Whether the configured version is this one or newer.
    pub fn at_least(&self, version: &str) -> bool {
        let place = |wanted: &str| VERSIONS.iter().position(|known| *known == wanted);
        place(&self.cni_version) >= place(version)
    }

    /// Refuses a verb that the configured version does not have.
    pub fn require_version(&self, verb: &'static str, since: &'static str) -> Result<(), CniError> {
        if self.at_least(since) {
            return Ok(());
        }
        Err(CniError::VerbTooNew {
            verb,
            version: self.cni_version.clone(),
            since,
        })
    }
}

fn required(key: &'static str, value: Option<&str>) -> Result<(), CniError> {
    match value {
        Some(text) if !text.is_empty() => Ok(()),
        _ => Err(CniError::Configuration {
            key,
            why: "it is required".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered() {
        let conf = |version: &str| {
            NetConf::parse(format!(r#"{{"cniVersion":"{version}","name":"n","type":"terway"}}"#).as_bytes())
                .unwrap()
        };
        assert!(conf("1.1.0").at_least("1.0.0"));
        assert!(conf("0.4.0").at_least("0.4.0"));
        assert!(!conf("0.3.1").at_least("0.4.0"));
    }

    #[test]
    fn a_missing_version_is_an_old_version() {
        let result = NetConf::parse(br#"{"name":"n","type":"terway"}"#);
        assert!(matches!(result, Err(CniError::Version(version)) if version == "0.1.0"));
    }

    #[test]
    fn the_keys_that_upstream_configurations_carry_are_accepted() {
        let text = br#"{"cniVersion":"0.4.0","name":"terway-chainer","type":"terway","eniip_virtual_type":"veth",
            "capabilities":{"bandwidth":true},"runtimeConfig":{"bandwidth":{}},"mtu":1500,"host_stack_cidrs":["10.0.0.0/8"]}"#;
        let conf = NetConf::parse(text).unwrap();
        assert_eq!(conf.socket, PathBuf::from(SOCKET_PATH));
        assert_eq!(conf.valid_attachments, None);
    }

    #[test]
    fn bad_keys_are_named() {
        let parse = |text: &str| NetConf::parse(text.as_bytes());
        let relative = parse(r#"{"cniVersion":"1.0.0","name":"n","type":"terway","socket":"a.sock"}"#);
        assert!(matches!(
            relative,
            Err(CniError::Configuration { key: "socket", .. })
        ));
        let unnamed = parse(r#"{"cniVersion":"1.0.0","type":"terway"}"#);
        assert!(matches!(
            unnamed,
            Err(CniError::Configuration { key: "name", .. })
        ));
        assert!(matches!(parse("[]"), Err(CniError::Decode(_))));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256)) {
            let _ = NetConf::parse(&text);
        }
    }
}
