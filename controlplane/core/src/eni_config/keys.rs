//! The keys of `eni_conf`, one by one. A key that is absent or `null` has its default.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use terway_crds::VSwitchSelectionPolicy;
use terway_crds::names::tag;
use terway_crds::node::Tag;

use super::{ConfigProblem, EniConfig, IdleReclaim, MAX_USER_TAGS};
use crate::cloud::MAX_SECURITY_GROUPS;
use crate::go_duration;

/// ENIs with any of these tags belong to somebody else, whatever the configuration says.
const BLOCKED: [(&str, &str); 2] = [
    (tag::CREATOR, "alibabacloud-erdma-controller"),
    ("terway.alibabacloud.com/excluded", "true"),
];

type Keys = Map<String, Value>;

pub(super) fn read(keys: &Keys) -> Result<EniConfig, ConfigProblem> {
    let config = EniConfig {
        vswitches: vswitches(keys)?,
        security_groups: security_groups(keys)?,
        vswitch_policy: policy(keys)?,
        resource_group_id: text(keys, "resource_group_id")?,
        tags: tags(keys)?,
        tag_filter: pairs(keys, "eni_tag_filter")?,
        tag_block_list: block_list(keys)?,
        max_pool_size: count(keys, "max_pool_size", 0)?,
        min_pool_size: count(keys, "min_pool_size", 0)?,
        warm_up_size: count(keys, "ip_warm_up_size", 0)?,
        pool_sync_period: duration(keys, "ip_pool_sync_period", "")?,
        reclaim: reclaim(keys)?,
        trunking: flag(keys, "enable_eni_trunking")?,
        patch_pod_ips: flag(keys, "enable_patch_pod_ips")?.unwrap_or(false),
        not_served: not_served(keys)?,
    };
    if config.min_pool_size > config.max_pool_size {
        return Err(ConfigProblem::MinAboveMax {
            min: config.min_pool_size,
            max: config.max_pool_size,
        });
    }
    Ok(config)
}

fn get<'a>(keys: &'a Keys, key: &str) -> Option<&'a Value> {
    keys.get(key).filter(|value| !value.is_null())
}

fn wrong(key: impl Into<String>, value: &Value, expected: &'static str) -> ConfigProblem {
    ConfigProblem::WrongForm {
        key: key.into(),
        value: value.to_string(),
        expected,
    }
}

fn text(keys: &Keys, key: &str) -> Result<String, ConfigProblem> {
    match get(keys, key) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value) => Err(wrong(key, value, "a text")),
    }
}

fn flag(keys: &Keys, key: &str) -> Result<Option<bool>, ConfigProblem> {
    match get(keys, key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(value) => Err(wrong(key, value, "true or false")),
    }
}

fn count(keys: &Keys, key: &str, default: i32) -> Result<i32, ConfigProblem> {
    let Some(value) = get(keys, key) else {
        return Ok(default);
    };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number
        .filter(|number| *number >= 0)
        .ok_or_else(|| wrong(key, value, "a whole number, 0 or more"))
}

fn duration(keys: &Keys, key: &str, default: &str) -> Result<String, ConfigProblem> {
    let written = text(keys, key)?;
    if written.is_empty() {
        return Ok(default.to_owned());
    }
    match go_duration::parse(&written) {
        Some(_) => Ok(written),
        None => Err(wrong(key, &Value::from(written), "a duration such as 30s or 5m")),
    }
}

fn texts(key: &str, value: &Value) -> Result<Vec<String>, ConfigProblem> {
    let list = value
        .as_array()
        .ok_or_else(|| wrong(key, value, "a list of ids"))?;
    list.iter()
        .map(|entry| match entry {
            Value::String(id) if !id.is_empty() => Ok(id.clone()),
            other => Err(wrong(key, other, "an id")),
        })
        .collect()
}

fn vswitches(keys: &Keys) -> Result<BTreeMap<String, Vec<String>>, ConfigProblem> {
    let Some(value) = get(keys, "vswitches") else {
        return Ok(BTreeMap::new());
    };
    let zones = value
        .as_object()
        .ok_or_else(|| wrong("vswitches", value, "a map of zone to vSwitch ids"))?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut place_of: BTreeMap<String, String> = BTreeMap::new();
    for (zone, ids) in zones {
        let ids = texts(&format!("vswitches[{zone:?}]"), ids)?;
        for id in &ids {
            if let Some(first) = place_of.insert(id.clone(), zone.clone()) {
                return Err(ConfigProblem::VSwitchTwice {
                    vswitch: id.clone(),
                    first,
                    second: zone.clone(),
                });
            }
        }
        found.insert(zone.clone(), ids);
    }
    Ok(found)
}

fn security_groups(keys: &Keys) -> Result<Vec<String>, ConfigProblem> {
    let mut all = match get(keys, "security_groups") {
        Some(value) => texts("security_groups", value)?,
        None => Vec::new(),
    };
    all.push(text(keys, "security_group")?);
    let mut groups: Vec<String> = Vec::new();
    for id in all {
        if !id.is_empty() && !groups.contains(&id) {
            groups.push(id);
        }
    }
    match groups.len() {
        0 => Err(ConfigProblem::NoSecurityGroup),
        count if count > MAX_SECURITY_GROUPS => Err(ConfigProblem::TooManySecurityGroups {
            count,
            groups: groups.join(", "),
        }),
        _ => Ok(groups),
    }
}

fn policy(keys: &Keys) -> Result<VSwitchSelectionPolicy, ConfigProblem> {
    let written = text(keys, "vswitch_selection_policy")?;
    if written.is_empty() {
        return Ok(VSwitchSelectionPolicy::Random);
    }
    match VSwitchSelectionPolicy::from(written.as_str()) {
        VSwitchSelectionPolicy::Other(_) => Err(wrong(
            "vswitch_selection_policy",
            &Value::from(written),
            "ordered, random or most",
        )),
        known => Ok(known),
    }
}

fn pairs(keys: &Keys, key: &str) -> Result<BTreeMap<String, String>, ConfigProblem> {
    let Some(value) = get(keys, key) else {
        return Ok(BTreeMap::new());
    };
    let expected = "a map of texts";
    let map = value.as_object().ok_or_else(|| wrong(key, value, expected))?;
    map.iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            other => Err(wrong(format!("{key}[{name:?}]"), other, "a text")),
        })
        .collect()
}

fn tags(keys: &Keys) -> Result<BTreeMap<String, String>, ConfigProblem> {
    let tags = pairs(keys, "eni_tags")?;
    if tags.len() > MAX_USER_TAGS {
        return Err(ConfigProblem::TooManyTags { count: tags.len() });
    }
    // Many installations set the cluster's tag to the cluster's id. We write the same value, so this is no conflict.
    match tags
        .iter()
        .find(|(key, _)| [tag::CREATOR, tag::INTENT].contains(&key.as_str()))
    {
        Some((key, value)) => Err(ConfigProblem::OwnTag {
            key: key.clone(),
            value: value.clone(),
        }),
        None => Ok(tags),
    }
}

fn block_list(keys: &Keys) -> Result<Vec<Tag>, ConfigProblem> {
    let key = "eni_tag_block_list";
    let mut list: Vec<Tag> = BLOCKED
        .iter()
        .map(|(key, value)| Tag {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        })
        .collect();
    let expected = "a list of {\"key\": …, \"value\": …}";
    let Some(value) = get(keys, key) else {
        return Ok(list);
    };
    for entry in value.as_array().ok_or_else(|| wrong(key, value, expected))? {
        let field = |name: &str| {
            entry
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let (Some(key_of_tag), Some(value_of_tag)) = (field("key"), field("value")) else {
            return Err(wrong(key, entry, expected));
        };
        let tag = Tag {
            key: key_of_tag.to_owned(),
            value: value_of_tag.to_owned(),
        };
        if !list.contains(&tag) {
            list.push(tag);
        }
    }
    Ok(list)
}

fn reclaim(keys: &Keys) -> Result<Option<IdleReclaim>, ConfigProblem> {
    let after = duration(keys, "idle_ip_reclaim_after", "")?;
    let reclaim = IdleReclaim {
        after,
        interval: duration(keys, "idle_ip_reclaim_interval", "10m")?,
        batch_size: count(keys, "idle_ip_reclaim_batch_size", 5)?,
        jitter_factor: fraction(keys, "idle_ip_reclaim_jitter_factor", "0.1")?,
    };
    Ok(Some(reclaim).filter(|reclaim| !reclaim.after.is_empty()))
}

fn fraction(keys: &Keys, key: &str, default: &str) -> Result<String, ConfigProblem> {
    let Some(value) = get(keys, key) else {
        return Ok(default.to_owned());
    };
    let written = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let number: Option<f64> = written.parse().ok();
    match number.filter(|number| (0.0..=1.0).contains(number)) {
        Some(_) => Ok(written),
        None => Err(wrong(key, value, "a number from 0 to 1")),
    }
}

fn not_served(keys: &Keys) -> Result<Vec<&'static str>, ConfigProblem> {
    let mut notes = Vec::new();
    let stack = text(keys, "ip_stack")?;
    if !matches!(stack.as_str(), "" | "ipv4") {
        return Err(wrong(
            "ip_stack",
            &Value::from(stack),
            "ipv4, the only family that pods get",
        ));
    }
    if flag(keys, "enable_erdma")?.unwrap_or(false) {
        notes.push("enable_erdma: no ENI for RDMA is made");
    }
    if flag(keys, "enable_ip_prefix")?.unwrap_or(false) {
        notes.push("enable_ip_prefix: addresses are taken one by one");
    }
    count(keys, "ipv4_prefix_count", 0)?;
    count(keys, "ipv6_prefix_count", 0)?;
    Ok(notes)
}

#[cfg(test)]
mod tests;
