//! Answers in the API's own JSON.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::actions::{Page, next_token};
use super::eni_view::EniView;
use super::views::{group, instance, instance_type, reservation, rule, vpc, vswitch};
use crate::model::describe::EniListing;
use crate::model::{ApiError, BlockUse, CidrReservation, Eni, Held, InstanceState, TagRow, TaggedKind};
use crate::world::{InstanceType, Rule, SecurityGroup, VSwitch, Vpc};

/// The result of an act. It is rendered outside the model's lock.
#[derive(Debug, Clone)]
pub enum Answer {
    /// An answer with nothing but the request id.
    Done,
    Created(Box<Eni>),
    /// An ENI with the members that it carries as a trunk.
    Eni {
        eni: Box<Eni>,
        members: Vec<Arc<str>>,
    },
    AssignedIpv4 {
        eni_id: String,
        held: Held<Ipv4Addr>,
    },
    AssignedIpv6 {
        eni_id: String,
        held: Held<Ipv6Addr>,
    },
    /// The answer of STS: credentials and the assumed identity.
    Sts(Value),
    Enis {
        listing: EniListing,
        number: usize,
        size: usize,
    },
    Types {
        types: Vec<InstanceType>,
        next: Option<u64>,
    },
    Instances(Page<InstanceState>),
    /// vSwitches, each with its number of available addresses.
    VSwitches(Page<(VSwitch, u32)>),
    VSwitch(Box<VSwitch>, u32),
    Groups(Page<SecurityGroup>),
    /// A security group with its rules, each with its direction.
    Group {
        group: Box<SecurityGroup>,
        rules: Vec<(&'static str, Rule)>,
        next: Option<u64>,
    },
    /// VPCs, each with the ids of its vSwitches.
    Vpcs(Page<(Vpc, Vec<String>)>),
    Tags {
        kind: TaggedKind,
        rows: Vec<TagRow>,
        next: Option<u64>,
    },
    /// The id of a new CIDR reservation.
    Reserved(Arc<str>),
    Reservations {
        rows: Vec<(CidrReservation, BlockUse)>,
        next: Option<u64>,
        total: usize,
        limit: usize,
    },
}

impl Answer {
    /// The id of the ENI that the answer is about.
    pub fn eni_id(&self) -> Option<&str> {
        match self {
            Answer::Created(eni) | Answer::Eni { eni, .. } => Some(&eni.id),
            Answer::AssignedIpv4 { eni_id, .. } | Answer::AssignedIpv6 { eni_id, .. } => Some(eni_id),
            _ => None,
        }
    }

    /// The JSON text.
    pub fn render(self, region: &str, request_id: &str) -> serde_json::Result<Vec<u8>> {
        let body = match self {
            Answer::Done => json!({}),
            Answer::Sts(body) => body,
            Answer::Created(eni) => return with_id(request_id, &EniView::created(&eni)),
            Answer::Eni { eni, members } => {
                return with_id(request_id, &EniView::described(&eni).carrying(&members));
            }
            Answer::AssignedIpv4 { eni_id, held } => json!({
                "AssignedPrivateIpAddressesSet": {
                    "NetworkInterfaceId": eni_id,
                    "PrivateIpSet": {"PrivateIpAddress": held.addresses},
                    "Ipv4PrefixSet": {"Ipv4Prefixes": held.prefixes},
                },
            }),
            Answer::AssignedIpv6 { eni_id, held } => json!({
                "NetworkInterfaceId": eni_id,
                "Ipv6Sets": {"Ipv6Address": held.addresses},
                "Ipv6PrefixSets": {"Ipv6Prefix": held.prefixes},
            }),
            Answer::Enis {
                listing,
                number,
                size,
            } => {
                let page = EniPage {
                    network_interface_sets: EniSet { of: &listing.enis },
                    next_token: token(listing.next),
                    total_count: listing.total,
                    page_number: number,
                    page_size: size,
                };
                return with_id(request_id, &page);
            }
            Answer::Types { types, next } => json!({
                "InstanceTypes": {"InstanceType": types.iter().map(instance_type).collect::<Vec<_>>()},
                "NextToken": token(next),
            }),
            Answer::Instances(page) => paged(page, "Instances", "Instance", |state| instance(state, region)),
            Answer::VSwitches(page) => {
                paged(page, "VSwitches", "VSwitch", |(spec, free)| vswitch(spec, *free))
            }
            Answer::VSwitch(spec, free) => vswitch(&spec, free),
            Answer::Group {
                group: of,
                rules,
                next,
            } => {
                let mut body = group(&of);
                body["RegionId"] = json!(region);
                body["InnerAccessPolicy"] = json!(of.inner_access_policy);
                body["Permissions"] = json!({"Permission": rules.iter().map(rule).collect::<Vec<_>>()});
                body["NextToken"] = json!(token(next));
                body
            }
            Answer::Tags { kind, rows, next } => json!({
                "TagResources": {"TagResource": rows.iter().map(|row| json!({
                    "ResourceId": row.resource_id,
                    "ResourceType": kind.name(),
                    "TagKey": row.key,
                    "TagValue": row.value,
                })).collect::<Vec<_>>()},
                "NextToken": token(next),
            }),
            Answer::Reserved(id) => json!({"VSwitchCidrReservationId": *id}),
            Answer::Reservations {
                rows,
                next,
                total,
                limit,
            } => json!({
                "VSwitchCidrReservations": rows.iter().map(reservation).collect::<Vec<_>>(),
                "NextToken": token(next),
                "TotalCount": total,
                "MaxResults": limit,
            }),
            Answer::Groups(page) => paged(page, "SecurityGroups", "SecurityGroup", group),
            Answer::Vpcs(page) => paged(page, "Vpcs", "Vpc", |spec| vpc(spec, region)),
        };
        with_id(request_id, &body)
    }
}

/// A body with the request id and its own fields.
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

fn token(next: Option<u64>) -> String {
    next.map(next_token).unwrap_or_default()
}
