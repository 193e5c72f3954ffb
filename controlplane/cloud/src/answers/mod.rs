//! What the cloud answers, turned into plain values.
//!
//! Reading is lenient where it is safe: unknown fields, new enum values, numbers sent as text and missing
//! details never matter. It is strict where leniency would lie: a list that is not there, or an entry
//! without its id, is an answer that cannot be read, not an empty one.

mod field;

use std::net::Ipv4Addr;

use serde_json::Value;
use terway_core::cloud::{CloudEni, EniKind, EniStatus, InstanceTypeLimits, PrivateIp, VSwitch};

use self::field::{at, is_true, items, number, text, texts};

/// An answer that lacks what makes it one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AnswerError {
    #[error("the answer has no list {0}")]
    NoList(&'static str),
    #[error("an entry of {list} has no {field}")]
    NoField { list: &'static str, field: &'static str },
}

/// One page of a list, and where the next one starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_token: Option<String>,
}

/// An ECS instance, as far as networking needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    /// `Running`, `Stopped`, and others.
    pub status: String,
    pub instance_type: String,
    pub zone_id: String,
    pub vpc_id: String,
    pub vswitch_id: String,
}

/// A security group, as far as validation needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    pub id: String,
    pub vpc_id: String,
    /// `normal` (basic) or `enterprise` (advanced).
    pub kind: String,
}

/// What an assignment of private IPv4 addresses gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedIps {
    pub eni_id: String,
    pub addresses: Vec<Ipv4Addr>,
}

fn page<T>(
    body: &Value,
    list: &'static str,
    item: &'static str,
    read: impl Fn(&Value) -> Result<T, AnswerError>,
) -> Result<Page<T>, AnswerError> {
    let items = items(body, &[list, item]).ok_or(AnswerError::NoList(list))?;
    let items = items.iter().map(read).collect::<Result<_, _>>()?;
    let next_token = text(body, &["NextToken"]).filter(|token| !token.is_empty());
    Ok(Page { items, next_token })
}

fn id(value: &Value, list: &'static str, field: &'static str) -> Result<String, AnswerError> {
    text(value, &[field])
        .filter(|id| !id.is_empty())
        .ok_or(AnswerError::NoField { list, field })
}

/// The answer to CreateNetworkInterface. Without an id it is as good as none: the ENI may exist or not.
pub(crate) fn created_eni(body: &Value) -> Result<CloudEni, AnswerError> {
    eni(body, "CreateNetworkInterface")
}

/// The answer to AssignPrivateIpAddresses. Without addresses it is as good as none: some may have been
/// assigned. An address that cannot be read would be lost to its pool, so it spoils the answer too.
pub(crate) fn assigned_ips(body: &Value) -> Result<AssignedIps, AnswerError> {
    const LIST: &str = "AssignedPrivateIpAddressesSet";
    let set = at(body, &[LIST]).ok_or(AnswerError::NoList(LIST))?;
    let unreadable = AnswerError::NoField {
        list: LIST,
        field: "PrivateIpAddress",
    };
    let listed = items(set, &["PrivateIpSet", "PrivateIpAddress"]).unwrap_or_default();
    let addresses: Option<Vec<Ipv4Addr>> = listed.iter().map(|ip| ip.as_str()?.parse().ok()).collect();
    match addresses {
        Some(addresses) if !addresses.is_empty() => Ok(AssignedIps {
            eni_id: text(set, &["NetworkInterfaceId"]).unwrap_or_default(),
            addresses,
        }),
        Some(_) | None => Err(unreadable),
    }
}

pub(crate) fn enis(body: &Value) -> Result<Page<CloudEni>, AnswerError> {
    const LIST: &str = "NetworkInterfaceSets";
    page(body, LIST, "NetworkInterfaceSet", |value| eni(value, LIST))
}

pub(crate) fn vswitches(body: &Value) -> Result<Page<VSwitch>, AnswerError> {
    const LIST: &str = "VSwitches";
    page(body, LIST, "VSwitch", |value| {
        Ok(VSwitch {
            id: id(value, LIST, "VSwitchId")?,
            zone_id: id(value, LIST, "ZoneId")?,
            vpc_id: text(value, &["VpcId"]).unwrap_or_default(),
            cidr: id(value, LIST, "CidrBlock")?,
            ipv6_cidr: text(value, &["Ipv6CidrBlock"]).filter(|cidr| !cidr.is_empty()),
            available_ips: number(value, &["AvailableIpAddressCount"]).unwrap_or(0),
        })
    })
}

pub(crate) fn instance_types(body: &Value) -> Result<Page<InstanceTypeLimits>, AnswerError> {
    const LIST: &str = "InstanceTypes";
    page(body, LIST, "InstanceType", |value| {
        let count = |field| {
            number(value, &[field])
                .and_then(|count| i32::try_from(count).ok())
                .unwrap_or(0)
        };
        Ok(InstanceTypeLimits {
            instance_type: id(value, LIST, "InstanceTypeId")?,
            eni_quantity: count("EniQuantity"),
            eni_total_quantity: count("EniTotalQuantity"),
            private_ips_per_eni: count("EniPrivateIpAddressQuantity"),
            ipv6_per_eni: count("EniIpv6AddressQuantity"),
            trunk_supported: at(value, &["EniTrunkSupported"]).is_some_and(is_true),
            eri_quantity: count("EriQuantity"),
            network_cards: count("NetworkCardQuantity"),
        })
    })
}

pub(crate) fn instances(body: &Value) -> Result<Page<Instance>, AnswerError> {
    const LIST: &str = "Instances";
    page(body, LIST, "Instance", |value| {
        let get = |path: &[&str]| text(value, path).unwrap_or_default();
        Ok(Instance {
            id: id(value, LIST, "InstanceId")?,
            status: get(&["Status"]),
            instance_type: get(&["InstanceType"]),
            zone_id: get(&["ZoneId"]),
            vpc_id: get(&["VpcAttributes", "VpcId"]),
            vswitch_id: get(&["VpcAttributes", "VSwitchId"]),
        })
    })
}

pub(crate) fn security_groups(body: &Value) -> Result<Page<SecurityGroup>, AnswerError> {
    const LIST: &str = "SecurityGroups";
    page(body, LIST, "SecurityGroup", |value| {
        Ok(SecurityGroup {
            id: id(value, LIST, "SecurityGroupId")?,
            vpc_id: text(value, &["VpcId"]).unwrap_or_default(),
            kind: text(value, &["SecurityGroupType"]).unwrap_or_default(),
        })
    })
}

fn eni(value: &Value, list: &'static str) -> Result<CloudEni, AnswerError> {
    let get = |path: &[&str]| text(value, path).unwrap_or_default();
    let some = |path: &[&str]| text(value, path).filter(|text| !text.is_empty());
    let status = some(&["Status"]).ok_or(AnswerError::NoField {
        list,
        field: "Status",
    })?;
    let primary_ip: Option<Ipv4Addr> = some(&["PrivateIpAddress"]).and_then(|ip| ip.parse().ok());
    let tags = items(value, &["Tags", "Tag"]).unwrap_or_default();
    Ok(CloudEni {
        id: id(value, list, "NetworkInterfaceId")?,
        status: eni_status(&status),
        kind: eni_kind(&get(&["Type"])),
        mac: get(&["MacAddress"]),
        zone_id: get(&["ZoneId"]),
        vpc_id: get(&["VpcId"]),
        vswitch_id: get(&["VSwitchId"]),
        security_group_ids: texts(value, &["SecurityGroupIds", "SecurityGroupId"]),
        resource_group_id: get(&["ResourceGroupId"]),
        instance_id: some(&["Attachment", "InstanceId"]).or_else(|| some(&["InstanceId"])),
        trunk_eni_id: some(&["Attachment", "TrunkNetworkInterfaceId"]),
        device_index: number(value, &["Attachment", "DeviceIndex"])
            .and_then(|index| u16::try_from(index).ok())
            .filter(|vlan| (1..=4094).contains(vlan)),
        network_card_index: number(value, &["Attachment", "NetworkCardIndex"])
            .and_then(|index| i32::try_from(index).ok()),
        primary_ip,
        private_ips: private_ips(value, primary_ip),
        tags: tags.iter().filter_map(tag).collect(),
        creation_time: get(&["CreationTime"]),
    })
}

/// The addresses of an ENI. Its own one is known by the ENI's own field first: the flag beside each
/// address may be missing, and a lone ENI may list none.
fn private_ips(value: &Value, primary: Option<Ipv4Addr>) -> Vec<PrivateIp> {
    let sets = items(value, &["PrivateIpSets", "PrivateIpSet"]).unwrap_or_default();
    let mut ips: Vec<PrivateIp> = sets
        .iter()
        .filter_map(|set| {
            let address = text(set, &["PrivateIpAddress"])?.parse().ok()?;
            let flagged = at(set, &["Primary"]).is_some_and(is_true);
            Some(PrivateIp {
                address,
                primary: primary.map_or(flagged, |primary| primary == address),
            })
        })
        .collect();
    if let Some(address) = primary.filter(|primary| ips.iter().all(|ip| ip.address != *primary)) {
        ips.insert(0, PrivateIp::primary(address));
    }
    ips
}

/// Services spell a tag's parts as `TagKey` or as `Key`.
fn tag(value: &Value) -> Option<(String, String)> {
    let key = text(value, &["TagKey"]).or_else(|| text(value, &["Key"]))?;
    let value = text(value, &["TagValue"])
        .or_else(|| text(value, &["Value"]))
        .unwrap_or_default();
    Some((key, value))
}

fn eni_status(name: &str) -> EniStatus {
    match name {
        "Available" => EniStatus::Available,
        "Attaching" => EniStatus::Attaching,
        "InUse" => EniStatus::InUse,
        "Detaching" => EniStatus::Detaching,
        "Deleting" => EniStatus::Deleting,
        other => EniStatus::Other(other.to_owned()),
    }
}

fn eni_kind(name: &str) -> EniKind {
    match name {
        "Primary" => EniKind::Primary,
        "Secondary" => EniKind::Secondary,
        "Trunk" => EniKind::Trunk,
        "Member" => EniKind::Member,
        other => EniKind::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests;
