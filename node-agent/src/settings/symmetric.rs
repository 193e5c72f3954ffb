//! The keys `symmetric_routing` and `symmetric_routing_config` of our plugin.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::SettingsError;
use crate::datapath::Symmetric;
use crate::datapath::ownership::{FIRST_ENI_TABLE, RULE_FROM_POD, RULE_TO_POD};

/// The longest name of an interface, and of a comment that nf_tables keeps.
const MAX_INTERFACE: usize = 15;
const MAX_COMMENT: usize = 127;

/// Tables of the kernel itself: default, main and local.
const KERNEL_TABLES: std::ops::RangeInclusive<u32> = 253..=255;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    interface: String,
    mark: u32,
    mask: u32,
    table_id: u32,
    rule_priority: u32,
    comment: String,
    // Accepted because upstream has the key. The agent makes the marks by nf_tables in both cases.
    backend: Backend,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    #[default]
    Iptables,
    Nftables,
}

impl Default for Config {
    fn default() -> Self {
        let Symmetric {
            interface,
            mark,
            mask,
            table,
            priority,
            comment,
        } = Symmetric::default();
        Config {
            interface,
            mark,
            mask,
            table_id: table,
            rule_priority: priority,
            comment,
            backend: Backend::default(),
        }
    }
}

/// Reads the keys. Symmetric routing is on unless `symmetric_routing` is false. Without it the answers of a NodePort
/// with externalTrafficPolicy Local, and of a hostPort, do not reach their clients.
pub fn read(key: &'static str, ours: &Map<String, Value>) -> Result<Option<Symmetric>, SettingsError> {
    let refused = |what: &str, why: String| SettingsError::Value {
        key,
        what: what.to_owned(),
        why,
    };
    match ours.get("symmetric_routing") {
        None | Some(Value::Null | Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(None),
        Some(other) => {
            return Err(refused(
                "symmetric_routing",
                format!("{other} is neither true nor false"),
            ));
        }
    }
    let config: Config = match ours.get("symmetric_routing_config") {
        None | Some(Value::Null) => Config::default(),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|source| SettingsError::Decode { key, source })?
        }
    };
    // The value is parsed only to refuse unknown ones.
    let Config {
        backend: Backend::Iptables | Backend::Nftables,
        ..
    } = config;
    if let Some((what, why)) = objection(&config) {
        return Err(refused(&format!("symmetric_routing_config.{what}"), why));
    }
    Ok(Some(Symmetric {
        interface: config.interface,
        mark: config.mark,
        mask: config.mask,
        table: config.table_id,
        priority: config.rule_priority,
        comment: config.comment,
    }))
}

fn objection(config: &Config) -> Option<(&'static str, String)> {
    let between = RULE_TO_POD + 1..RULE_FROM_POD;
    let (mark, table) = (config.mark, config.table_id);
    if config.interface.is_empty() || config.interface.len() > MAX_INTERFACE {
        return Some((
            "interface",
            format!("{:?} is no interface name", config.interface),
        ));
    }
    if mark == 0 || mark & !config.mask != 0 {
        return Some((
            "mark",
            format!(
                "{mark} must have at least one bit, and none outside the mask {}",
                config.mask
            ),
        ));
    }
    if table == 0 || table >= FIRST_ENI_TABLE || KERNEL_TABLES.contains(&table) {
        return Some((
            "table_id",
            format!("{table} is the kernel's or an ENI's: use one of 1 to 252 or 256 to 999"),
        ));
    }
    if !between.contains(&config.rule_priority) {
        return Some((
            "rule_priority",
            format!(
                "{} must be between {RULE_TO_POD} and {RULE_FROM_POD}",
                config.rule_priority
            ),
        ));
    }
    if config.comment.is_empty() || config.comment.len() > MAX_COMMENT {
        return Some(("comment", format!("it must have 1 to {MAX_COMMENT} bytes")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(ours: Value) -> Result<Option<Symmetric>, String> {
        let Value::Object(ours) = ours else { panic!() };
        read("10-terway.conf", &ours).map_err(|error| terway_process::error_chain(&error))
    }

    #[test]
    fn it_is_on_unless_turned_off() {
        for on in [
            json!({}),
            json!({ "symmetric_routing": true, "symmetric_routing_config": {} }),
        ] {
            assert_eq!(of(on).unwrap(), Some(Symmetric::default()));
        }
        assert_eq!(of(json!({ "symmetric_routing": false })).unwrap(), None);
    }

    #[test]
    fn upstreams_keys_are_read() {
        let config = json!({ "symmetric_routing_config": { "interface": "eth9", "mark": 32, "mask": 48,
            "table_id": 101, "rule_priority": 700, "comment": "mine", "backend": "nftables" } });
        let expected = Symmetric {
            interface: "eth9".into(),
            mark: 32,
            mask: 48,
            table: 101,
            priority: 700,
            comment: "mine".into(),
        };
        assert_eq!(of(config).unwrap(), Some(expected));
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (what, bad) in [
            ("interface", json!("a-name-that-is-too-long")),
            ("mark", json!(0)),
            ("mark", json!(3)),
            ("table_id", json!(254)),
            ("table_id", json!(1003)),
            ("rule_priority", json!(512)),
            ("rule_priority", json!(4000)),
            ("comment", json!("")),
            ("backend", json!("ebpf")),
            ("marc", json!(1)),
        ] {
            let error = of(json!({ "symmetric_routing_config": { what: bad } })).unwrap_err();
            let named = error.contains(what) || error.contains("unknown variant");
            assert!(named && error.contains("10-terway.conf"), "{what}: {error}");
        }
    }
}
