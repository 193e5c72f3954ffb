//! Answers in the API's own JSON.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::actions::{Page, next_token};
use super::eni_view::EniView;
use crate::model::describe::EniListing;
use crate::model::{ApiError, Eni, InstanceState};
use crate::world::{InstanceType, SecurityGroup, VSwitch, Vpc};

/// What an act gave; rendered outside the model's lock.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Nothing but the request id.
    Done,
    Created(Box<Eni>),
    Enis {
        listing: EniListing,
        number: usize,
        size: usize,
    },
    Types {
        types: Vec<InstanceType>,
        next: Option<String>,
    },
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
    pub fn render(self, region: &str, request_id: &str) -> serde_json::Result<Vec<u8>> {
        let body = match self {
            Answer::Done => json!({}),
            Answer::Created(eni) => return with_id(request_id, &EniView::created(&eni)),
            Answer::Enis {
                listing,
                number,
                size,
            } => {
                let page = EniPage {
                    network_interface_sets: EniSet { of: &listing.enis },
                    next_token: listing.next.map(next_token).unwrap_or_default(),
                    total_count: listing.total,
                    page_number: number,
                    page_size: size,
                };
                return with_id(request_id, &page);
            }
            Answer::Types { types, next } => json!({
                "InstanceTypes": {"InstanceType": types.iter().map(instance_type).collect::<Vec<_>>()},
                "NextToken": next.unwrap_or_default(),
            }),
            Answer::Instances(page) => paged(page, "Instances", "Instance", |state| instance(state, region)),
            Answer::VSwitches(page) => {
                paged(page, "VSwitches", "VSwitch", |(spec, free)| vswitch(spec, *free))
            }
            Answer::Groups(page) => paged(page, "SecurityGroups", "SecurityGroup", group),
            Answer::Vpcs(page) => paged(page, "Vpcs", "Vpc", |spec| vpc(spec, region)),
        };
        with_id(request_id, &body)
    }
}

/// A body with the request id beside its own fields.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WithId<'a, T> {
    request_id: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

fn with_id<T: Serialize>(request_id: &str, body: &T) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&WithId { request_id, body })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EniPage<'a> {
    network_interface_sets: EniSet<'a>,
    next_token: String,
    total_count: usize,
    page_number: usize,
    page_size: usize,
}

#[derive(Serialize)]
struct EniSet<'a> {
    #[serde(rename = "NetworkInterfaceSet", serialize_with = "eni_views")]
    of: &'a [Eni],
}

fn eni_views<S: Serializer>(enis: &&[Eni], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(enis.iter().map(EniView::described))
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

fn instance_type(kind: &InstanceType) -> Value {
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

fn instance(state: &InstanceState, region: &str) -> Value {
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
