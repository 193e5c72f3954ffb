//! Reads the cloud's answers into plain values.
//!
//! Reading is lenient where it is safe: unknown fields, new enum values, numbers as text and missing details do not
//! matter. It is strict where leniency would hide something: an answer without its list, or with an entry without its
//! id, is unreadable and not empty.

mod field;

use std::net::IpAddr;

use serde_json::Value;
use terway_core::cloud::{Cidrs, CloudEni, EniKind, EniStatus, InstanceTypeLimits, PrivateIp, VSwitch};
use terway_crds::Family;
use terway_crds::address::{parse_address, parse_net};

use self::field::{at, is_true, items, number, text, texts};

/// Why an answer is unreadable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AnswerError {
    #[error("the answer has no list {0}")]
    NoList(&'static str),
    #[error("an entry of {list} has no {field}")]
    NoField { list: &'static str, field: &'static str },
}

/// One page of a list, and the token of the next page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_token: Option<String>,
}

/// The properties of an ECS instance that networking needs.
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

/// The properties of a security group that validation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    pub id: String,
    pub vpc_id: String,
    /// `normal` (basic) or `enterprise` (advanced).
    pub kind: String,
}

/// The addresses that an assignment gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedIps {
    pub eni_id: String,
    pub addresses: Vec<IpAddr>,
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

/// Reads the answer to CreateNetworkInterface. An answer without an id is unreadable: the ENI may exist or not.
pub(crate) fn created_eni(body: &Value) -> Result<CloudEni, AnswerError> {
    eni(body, "CreateNetworkInterface")
}

/// The answer to AssignPrivateIpAddresses or AssignIpv6Addresses. An answer without addresses cannot be used:
/// the cloud may have assigned some. The pool would lose an address that cannot be read, so one such address
/// makes the whole answer unreadable. (IPv4 addresses stand in a set of their own, IPv6 addresses do not.)
pub(crate) fn assigned_ips(family: Family, body: &Value) -> Result<AssignedIps, AnswerError> {
    const SET: &str = "AssignedPrivateIpAddressesSet";
    let (list, field) = family.choose(("PrivateIpSet", "PrivateIpAddress"), ("Ipv6Sets", "Ipv6Address"));
    let set = match family {
        Family::V4 => at(body, &[SET]).ok_or(AnswerError::NoList(SET))?,
        Family::V6 => body,
    };
    let unreadable = AnswerError::NoField { list, field };
    let listed = items(set, &[list, field]).unwrap_or_default();
    let addresses: Option<Vec<IpAddr>> = listed
        .iter()
        .map(|ip| parse_address(field, family, ip.as_str()?).ok())
        .collect();
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
            cidrs: cidrs(value, LIST)?,
            available_ips: number(value, &["AvailableIpAddressCount"]).unwrap_or(0),
        })
    })
}

/// Every vSwitch has an IPv4 network. The IPv6 network is optional.
fn cidrs(value: &Value, list: &'static str) -> Result<Cidrs, AnswerError> {
    let read = |field, family| {
        let cidr = text(value, &[field]).filter(|cidr| !cidr.is_empty());
        let net = cidr.map(|cidr| parse_net(field, family, &cidr));
        net.transpose().map_err(|_| AnswerError::NoField { list, field })
    };
    let (field, v4) = ("CidrBlock", read("CidrBlock", Family::V4)?);
    let v4 = v4.ok_or(AnswerError::NoField { list, field })?;
    Ok([v4]
        .into_iter()
        .chain(read("Ipv6CidrBlock", Family::V6)?)
        .collect())
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
    let primary_ip =
        some(&["PrivateIpAddress"]).and_then(|ip| parse_address("PrivateIpAddress", Family::V4, &ip).ok());
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

/// The addresses of an ENI, of both families. The ENI's own field tells the primary address: the flag beside
/// each address may be missing, and an ENI with one address may list none.
fn private_ips(value: &Value, primary: Option<IpAddr>) -> Vec<PrivateIp> {
    let listed = |path: [&str; 2], field: &'static str, family| {
        let sets = items(value, &path).unwrap_or_default().iter();
        sets.filter_map(move |set| Some((set, parse_address(field, family, &text(set, &[field])?).ok()?)))
    };
    let v4 = listed(["PrivateIpSets", "PrivateIpSet"], "PrivateIpAddress", Family::V4);
    let mut ips: Vec<PrivateIp> = v4
        .map(|(set, address)| {
            let flagged = at(set, &["Primary"]).is_some_and(is_true);
            PrivateIp {
                address,
                primary: primary.map_or(flagged, |primary| primary == address),
            }
        })
        .collect();
    let v6 = listed(["Ipv6Sets", "Ipv6Set"], "Ipv6Address", Family::V6);
    ips.extend(v6.map(|(_, address)| PrivateIp::secondary(address)));
    if let Some(address) = primary.filter(|primary| ips.iter().all(|ip| ip.address != *primary)) {
        ips.insert(0, PrivateIp::primary(address));
    }
    ips
}

/// A tag. Services name its parts `TagKey` and `TagValue`, or `Key` and `Value`.
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
