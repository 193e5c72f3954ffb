//! Answers in the API's own JSON.

use serde_json::{Value, json};

use super::actions::{Page, next_token};
use crate::model::describe::EniListing;
use crate::model::{ApiError, Eni, EniStatus, InstanceState};
use crate::world::{InstanceType, SecurityGroup, VSwitch, Vpc};

/// What an act gave; rendered outside the model's lock.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing but the request id.
    Done,
    Created(Box<Eni>),
    Enis { listing: EniListing, number: usize, size: usize },
    Types { types: Vec<InstanceType>, next: Option<String> },
    Instances(Page<InstanceState>),
    /// With the number of available addresses.
    VSwitches(Page<(VSwitch, u32)>),
    Groups(Page<SecurityGroup>),
    Vpcs(Page<Vpc>),
}

impl Answer {
    /// ENI the answer is about.
    pub fn eni_id(&self) -> Option<&str> {
        match self {
            Answer::Created(eni) => Some(&eni.id),
            _ => None,
        }
    }

    /// The JSON text.
    pub fn render(self, region: &str, request_id: &str) -> Vec<u8> {
        let mut body = match self {
            Answer::Done => json!({}),
            Answer::Created(eni) => created(&eni),
            Answer::Enis { listing, number, size } => json!({
                "NetworkInterfaceSets": {
                    "NetworkInterfaceSet": listing.enis.iter().map(described).collect::<Vec<_>>(),
                },
                "NextToken": listing.next.map(next_token).unwrap_or_default(),
                "TotalCount": listing.total,
                "PageNumber": number,
                "PageSize": size,
            }),
            Answer::Types { types, next } => json!({
                "InstanceTypes": {"InstanceType": types.iter().map(instance_type).collect::<Vec<_>>()},
                "NextToken": next.unwrap_or_default(),
            }),
            Answer::Instances(page) => {
                paged(page, "Instances", "Instance", |state| instance(state, region))
            }
            Answer::VSwitches(page) => paged(page, "VSwitches", "VSwitch", |(spec, free)| vswitch(spec, *free)),
            Answer::Groups(page) => paged(page, "SecurityGroups", "SecurityGroup", group),
            Answer::Vpcs(page) => paged(page, "Vpcs", "Vpc", |spec| vpc(spec, region)),
        };
        body["RequestId"] = json!(request_id);
        body.to_string().into_bytes()
    }
}

/// The JSON text of an error.
pub fn render_error(refusal: &ApiError, host: &str, request_id: &str) -> Vec<u8> {
    json!({
        "RequestId": request_id,
        "HostId": host,
        "Code": refusal.code,
        "Message": refusal.message,
        "Recommend": format!("https://api.aliyun.com/troubleshoot?q={}", refusal.code),
    })
    .to_string()
    .into_bytes()
}

fn paged<T>(page: Page<T>, outer: &str, inner: &str, each: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = page.items.iter().map(each).collect();
    json!({
        outer: {inner: items},
        "TotalCount": page.total,
        "PageNumber": page.number,
        "PageSize": page.size,
    })
}

/// What Create and Describe say alike.
fn common(eni: &Eni) -> Value {
    let addresses: Vec<Value> = eni
        .addresses()
        .map(|address| {
            json!({
                "PrivateIpAddress": address.to_string(),
                "Primary": address == eni.primary_ip,
            })
        })
        .collect();
    let tags: Vec<Value> =
        eni.tags.iter().map(|(key, value)| json!({"TagKey": **key, "TagValue": **value})).collect();
    json!({
        "NetworkInterfaceId": *eni.id,
        "NetworkInterfaceName": eni.name,
        "Description": eni.description,
        "Type": eni.kind.name(),
        "Status": eni.status.name(),
        "VpcId": *eni.vpc_id,
        "VSwitchId": *eni.vswitch_id,
        "ZoneId": *eni.zone_id,
        "MacAddress": eni.mac.to_string(),
        "PrivateIpAddress": eni.primary_ip.to_string(),
        "PrivateIpSets": {"PrivateIpSet": addresses},
        "Ipv6Sets": {"Ipv6Set": []},
        "Ipv4PrefixSets": {"Ipv4PrefixSet": []},
        "Ipv6PrefixSets": {"Ipv6PrefixSet": []},
        "SecurityGroupIds": {
            "SecurityGroupId": eni.security_group_ids.iter().map(|id| &**id).collect::<Vec<_>>(),
        },
        "ResourceGroupId": eni.resource_group_id,
        "NetworkInterfaceTrafficMode": eni.traffic_mode,
        "SourceDestCheck": eni.source_dest_check,
        "DeleteOnRelease": eni.delete_on_release,
        "ServiceManaged": false,
        "ServiceID": 0,
        "OwnerId": "1000000000000001",
        "Tags": {"Tag": tags},
    })
}

/// As it was made: a token that is used again gets this, whatever became of the ENI.
fn created(eni: &Eni) -> Value {
    common(eni)
}

fn described(eni: &Eni) -> Value {
    let mut body = common(eni);
    body["CreationTime"] = json!(eni.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    body["InstanceId"] = json!(eni.instance().map(|id| &**id).unwrap_or_default());
    // Where it is attached shows once it is.
    let attachment = match (&eni.attachment, eni.status) {
        (Some(attachment), EniStatus::InUse | EniStatus::Detaching) => json!({
            "InstanceId": *attachment.instance_id,
            "DeviceIndex": attachment.device_index,
            "TrunkNetworkInterfaceId": attachment.trunk_eni_id.as_deref().unwrap_or_default(),
            "NetworkCardIndex": attachment.network_card_index,
            "MemberNetworkInterfaceIds": {"MemberNetworkInterfaceId": []},
        }),
        _ => json!({}),
    };
    body["Attachment"] = attachment;
    body
}

fn instance_type(kind: &InstanceType) -> Value {
    let cards: Vec<Value> = (0..kind.network_cards).map(|index| json!({"NetworkCardIndex": index})).collect();
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

fn instance(state: &InstanceState, region: &str) -> Value {
    let spec = &state.spec;
    let tags: Vec<Value> =
        spec.tags.iter().map(|(key, value)| json!({"TagKey": key, "TagValue": value})).collect();
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

fn vswitch(spec: &VSwitch, available: u32) -> Value {
    json!({
        "VSwitchId": spec.id,
        "VSwitchName": spec.id,
        "VpcId": spec.vpc,
        "ZoneId": spec.zone,
        "CidrBlock": spec.cidr.to_string(),
        "Ipv6CidrBlock": "",
        "AvailableIpAddressCount": available,
        "Status": "Available",
        "IsDefault": false,
        "Description": "",
    })
}

fn group(group: &SecurityGroup) -> Value {
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

fn vpc(spec: &Vpc, region: &str) -> Value {
    json!({
        "VpcId": spec.id,
        "VpcName": spec.id,
        "RegionId": region,
        "CidrBlock": spec.cidr.to_string(),
        "Status": "Available",
        "IsDefault": false,
    })
}
