//! The cluster's own vSwitches and security groups, from the ConfigMap eni-config.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a network gets that names no vSwitch or no security group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkDefaults {
    /// vSwitches by zone.
    pub vswitches: BTreeMap<String, Vec<String>>,
    /// Security groups, each once.
    pub security_groups: Vec<String>,
}

/// The value of `eni_conf` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "read vswitches, security_group and security_groups of eni_conf in the ConfigMap eni-config: correct its JSON"
)]
pub struct DefaultsError(#[from] serde_json::Error);

/// The keys of `eni_conf` that matter here; Go reads `null` as absent.
#[derive(Deserialize)]
struct EniConf {
    vswitches: Option<BTreeMap<String, Vec<String>>>,
    security_group: Option<String>,
    security_groups: Option<Vec<String>>,
}

impl NetworkDefaults {
    /// Reads the value of the key `eni_conf`.
    ///
    /// # Errors
    /// When it is not JSON, or a key has another form.
    pub fn parse(eni_conf: &str) -> Result<Self, DefaultsError> {
        let conf: EniConf = serde_json::from_str(eni_conf)?;
        let mut security_groups: Vec<String> = Vec::new();
        for id in conf
            .security_groups
            .into_iter()
            .flatten()
            .chain(conf.security_group)
        {
            if !id.is_empty() && !security_groups.contains(&id) {
                security_groups.push(id);
            }
        }
        Ok(Self {
            vswitches: conf.vswitches.unwrap_or_default(),
            security_groups,
        })
    }

    /// Every vSwitch, zone by zone.
    pub fn all_vswitches(&self) -> Vec<String> {
        self.vswitches.values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_security_groups_are_merged() {
        let conf = r#"{"version":"1","security_group":"sg-b","security_groups":["sg-a","sg-b"],
            "vswitches":{"zone-b":["vsw-3"],"zone-a":["vsw-1","vsw-2"]},"max_pool_size":5}"#;
        let defaults = NetworkDefaults::parse(conf).unwrap();
        assert_eq!(defaults.security_groups, ["sg-a", "sg-b"]);
        assert_eq!(defaults.all_vswitches(), ["vsw-1", "vsw-2", "vsw-3"]);
    }

    #[test]
    fn nulls_and_missing_keys_are_nothing() {
        assert_eq!(
            NetworkDefaults::parse(r#"{"vswitches":null}"#).unwrap(),
            NetworkDefaults::default()
        );
        NetworkDefaults::parse("vswitches: x").unwrap_err();
    }
}
