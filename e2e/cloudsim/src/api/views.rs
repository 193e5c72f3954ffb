//! VPCs, vSwitches, groups, types and instances in the API's own JSON.

use serde_json::{Value, json};

use crate::model::{Address, BlockUse, CidrReservation, InstanceState};
use crate::world::{InstanceType, Protocol, Rule, SecurityGroup, VSwitch, Vpc};

pub(super) fn instance_type(kind: &InstanceType) -> Value {
    let cards: Vec<Value> = (0..kind.network_cards)
        .map(|index| json!({"NetworkCardIndex": index}))
        .collect();
    json!({
        "InstanceTypeId": kind.id,
        "InstanceTypeFamily": kind.id.rsplit_once('.').map_or(kind.id.as_str(), |(family, _)| family),
        "CpuCoreCount": kind.cpu,
        "MemorySize": kind.memory_gib,
        "EniQuantity": kind.eni_quantity,
        "EniTotalQuantity": kind.eni_total_quantity,
        "EniPrivateIpAddressQuantity": kind.private_ips_per_eni,
        "EniIpv6AddressQuantity": kind.ipv6_per_eni,
        "EniTrunkSupported": kind.trunk_supported,
        "EriQuantity": kind.eri_quantity,
        "NetworkCardQuantity": kind.network_cards,
        "NetworkCards": {"NetworkCardInfo": cards},
    })
}

pub(super) fn instance(state: &InstanceState, region: &str) -> Value {
    let spec = &state.spec;
    let tags: Vec<Value> = spec
        .tags
        .iter()
        .map(|(key, value)| json!({"TagKey": key, "TagValue": value}))
        .collect();
    let addresses: Vec<String> = spec.address.iter().map(ToString::to_string).collect();
    json!({
        "InstanceId": spec.id,
        "InstanceName": spec.id,
        "HostName": spec.id,
        "InstanceType": spec.instance_type,
        "InstanceNetworkType": "vpc",
        "RegionId": region,
        "ZoneId": state.zone,
        "Status": format!("{:?}", state.status),
        "CreationTime": state.created.strftime("%Y-%m-%dT%H:%MZ").to_string(),
        "VpcAttributes": {
            "VpcId": state.vpc,
            "VSwitchId": spec.v_switch,
            "PrivateIpAddress": {"IpAddress": addresses},
        },
        "SecurityGroupIds": {"SecurityGroupId": spec.security_groups},
        "NetworkInterfaces": {
            "NetworkInterface": [{"NetworkInterfaceId": *state.primary, "Type": "Primary"}],
        },
        "Tags": {"Tag": tags},
    })
}

pub(super) fn vswitch(spec: &VSwitch, available: u32) -> Value {
    json!({
        "VSwitchId": spec.id,
        "VSwitchName": spec.id,
        "VpcId": spec.vpc,
        "ZoneId": spec.zone,
        "CidrBlock": spec.cidr.to_string(),
        "Ipv6CidrBlock": spec.ipv6_cidr.map(|cidr| cidr.to_string()).unwrap_or_default(),
        "EnabledIpv6": spec.ipv6_cidr.is_some(),
        "AvailableIpAddressCount": available,
        "Status": "Available",
        "IsDefault": false,
        "Description": "",
    })
}

pub(super) fn group(group: &SecurityGroup) -> Value {
    let kind = match group.kind {
        crate::world::GroupKind::Basic => "normal",
        crate::world::GroupKind::Enterprise => "enterprise",
    };
    json!({
        "SecurityGroupId": group.id,
        "SecurityGroupName": group.id,
        "SecurityGroupType": kind,
        "VpcId": group.vpc,
        "Description": "",
        "ServiceManaged": false,
        "Tags": {"Tag": []},
    })
}

/// A VPC with the ids of its vSwitches.
pub(super) fn vpc((spec, vswitches): &(Vpc, Vec<String>), region: &str) -> Value {
    json!({
        "VpcId": spec.id,
        "VpcName": spec.id,
        "RegionId": region,
        "CidrBlock": spec.cidr.to_string(),
        "VSwitchIds": {"VSwitchId": vswitches},
        "Status": "Available",
        "IsDefault": false,
    })
}

/// A rule with its direction. The peer is the source of an ingress rule and the destination of an egress rule.
pub(super) fn rule((direction, rule): &(&'static str, Rule)) -> Value {
    let cidr = match (&rule.cidr, &rule.group) {
        (Some(cidr), _) => cidr.to_string(),
        (None, None) => "0.0.0.0/0".to_owned(),
        (None, Some(_)) => String::new(),
    };
    let group = rule.group.clone().unwrap_or_default();
    let none = String::new;
    let ingress = *direction == "ingress";
    let (source, destination) = if ingress {
        ((cidr, group), (none(), none()))
    } else {
        ((none(), none()), (cidr, group))
    };
    json!({
        "Direction": direction,
        "IpProtocol": match rule.protocol {
            Protocol::All => "ALL",
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Icmp => "ICMP",
        },
        "PortRange": match rule.protocol {
            Protocol::All | Protocol::Icmp => "-1/-1".to_owned(),
            Protocol::Tcp | Protocol::Udp => format!("{}/{}", rule.ports.first.max(1), rule.ports.last),
        },
        "Policy": rule.policy,
        "Priority": rule.priority.to_string(),
        "NicType": "intranet",
        "SourceCidrIp": source.0,
        "SourceGroupId": source.1,
        "DestCidrIp": destination.0,
        "DestGroupId": destination.1,
        "Description": "",
    })
}

/// A CIDR reservation and its use.
pub(super) fn reservation((of, used): &(CidrReservation, BlockUse)) -> Value {
    let version = match of.cidr {
        ipnet::IpNet::V4(_) => std::net::Ipv4Addr::FAMILY,
        ipnet::IpNet::V6(_) => std::net::Ipv6Addr::FAMILY,
    };
    json!({
        "VSwitchCidrReservationId": *of.id,
        "VSwitchCidrReservationCidr": of.cidr.to_string(),
        "VSwitchCidrReservationName": of.name,
        "VSwitchCidrReservationDescription": of.description,
        "VSwitchId": of.vswitch_id,
        "VpcId": of.vpc_id,
        "IpVersion": version,
        "Type": "prefix",
        "Status": of.status.name(),
        "CreationTime": of.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "AssignedCidrCount": used.given,
        "AvailableCidrCount": used.available,
        "Tags": [],
    })
}
