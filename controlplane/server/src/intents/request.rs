//! Requests to the cloud. They are built from recorded intents alone.

use std::net::IpAddr;

use terway_cloud::{Action, Addresses, AssignIps, AttachEni, Cloud, CloudError, CreateEni, UnassignIps};
use terway_core::intent::{IntentId, Reply};
use terway_core::pool::intent;
use terway_core::room::COUNTED;
use terway_crds::address::parse_any_address;
use terway_crds::names::tag;
use terway_crds::{Family, Operation, OperationKind, RequestParameters, TerwayNode};

use crate::context::Grant;

/// The request of an attempt.
#[derive(Debug)]
pub enum Request {
    Create(CreateEni),
    Attach(AttachEni),
    Assign(AssignIps),
    Unassign(UnassignIps),
}

impl Request {
    /// The CreateNetworkInterface of one attempt. The parameters are those of the record; token and tag come from the
    /// attempt's identity. The present configuration has no influence.
    pub fn create(parameters: &RequestParameters, id: &IntentId, trunk: bool) -> Self {
        let mut tags = parameters.tags.clone();
        tags.insert(tag::INTENT.to_owned(), id.tag_value());
        Self::Create(CreateEni {
            vswitch_id: parameters.vswitch_id.clone(),
            security_group_ids: parameters.security_group_ids.clone(),
            trunk,
            traffic_mode: Some(parameters.traffic_mode.clone()).filter(|mode| !mode.is_empty()),
            resource_group_id: Some(parameters.resource_group_id.clone()).filter(|id| !id.is_empty()),
            description: parameters.description.clone(),
            addresses: Family::ALL
                .into_iter()
                .map(|family| Addresses::count(family, beside_primary(parameters, family)))
                .collect(),
            delete_on_release: Some(parameters.delete_on_release),
            tags,
            client_token: id.client_token(),
        })
    }

    /// The request of a node's operation; `None` for an operation without parameters, or of a newer version.
    pub fn of_operation(record: &TerwayNode, operation: &Operation) -> Option<Self> {
        let eni_id = operation.eni_id.clone();
        let id = intent(record, operation);
        Some(match operation.kind {
            OperationKind::CreateEni | OperationKind::CreateTrunk => {
                let trunk = operation.kind == OperationKind::CreateTrunk;
                Self::create(operation.parameters.as_ref()?, &id, trunk)
            }
            OperationKind::AttachEni | OperationKind::AttachTrunk => Self::Attach(AttachEni {
                eni_id,
                instance_id: record.spec.node_metadata.instance_id.clone(),
                ..AttachEni::default()
            }),
            OperationKind::AssignIps => Self::Assign(AssignIps {
                eni_id,
                addresses: Addresses::count(COUNTED, u32::try_from(operation.count).unwrap_or(0)),
                client_token: id.client_token(),
            }),
            OperationKind::UnassignIps => Self::Unassign(UnassignIps {
                eni_id,
                addresses: Addresses::listed(COUNTED, addresses(operation)),
            }),
            OperationKind::Other(_) => return None,
        })
    }

    /// The action of the request.
    pub fn action(&self) -> Action {
        match self {
            Self::Create(_) => Action::CreateNetworkInterface,
            Self::Attach(_) => Action::AttachNetworkInterface,
            Self::Assign(_) => Action::AssignPrivateIpAddresses,
            Self::Unassign(_) => Action::UnassignPrivateIpAddresses,
        }
    }

    /// Sends the request, with a grant for its action.
    pub(super) async fn send(&self, cloud: &Cloud, grant: Grant) -> Result<Reply, CloudError> {
        let permit = grant.permit;
        match self {
            Self::Create(request) => {
                let eni = cloud.create_network_interface(permit, request).await?;
                Ok(Reply::Created(Box::new(eni)))
            }
            Self::Attach(request) => {
                cloud.attach_network_interface(permit, request).await?;
                Ok(Reply::Accepted)
            }
            Self::Assign(request) => {
                let assigned = cloud.assign_addresses(permit, request).await?;
                Ok(Reply::Assigned(assigned.addresses))
            }
            Self::Unassign(request) => {
                cloud.unassign_addresses(permit, request).await?;
                Ok(Reply::Accepted)
            }
        }
    }
}

/// Number of addresses to request in addition to the primary IPv4 address, which every ENI gets.
fn beside_primary(parameters: &RequestParameters, family: Family) -> u32 {
    let primary = family.choose(1, 0);
    u32::try_from(parameters.address_count(family).saturating_sub(primary)).unwrap_or(0)
}

fn addresses(operation: &Operation) -> impl Iterator<Item = IpAddr> {
    let addresses = operation.addresses.iter();
    addresses.filter_map(|ip| parse_any_address("addresses", ip).ok())
}
