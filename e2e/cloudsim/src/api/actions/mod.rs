//! The actions: each reads its parameters and lets the model act.

mod addresses;
mod attributes;
mod eni;
mod listing;
mod page;
mod reservations;
mod tags;

use jiff::Timestamp;

use super::answer::Answer;
use super::parameters::Parameters;
use crate::model::error::{self, ApiError};
use crate::model::{Cloud, Completion};

pub(super) use page::{Page, next_token};

/// An action this simulator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    AssignIpv6Addresses,
    AssignPrivateIpAddresses,
    AttachNetworkInterface,
    CreateNetworkInterface,
    CreateVSwitchCidrReservation,
    DeleteNetworkInterface,
    DeleteVSwitchCidrReservation,
    DescribeInstanceTypes,
    DescribeInstances,
    DescribeNetworkInterfaceAttribute,
    DescribeNetworkInterfaces,
    DescribeSecurityGroupAttribute,
    DescribeSecurityGroups,
    DescribeVSwitchAttributes,
    DescribeVSwitches,
    DescribeVpcs,
    DetachNetworkInterface,
    ListTagResources,
    ListVSwitchCidrReservations,
    ModifyNetworkInterfaceAttribute,
    TagResources,
    UnassignIpv6Addresses,
    UnassignPrivateIpAddresses,
    UntagResources,
}

const ECS_VERSION: &str = "2014-05-26";
const VPC_VERSION: &str = "2016-04-28";

const ECS_ACTIONS: [(&str, Action); 20] = [
    ("AssignIpv6Addresses", Action::AssignIpv6Addresses),
    ("AssignPrivateIpAddresses", Action::AssignPrivateIpAddresses),
    ("AttachNetworkInterface", Action::AttachNetworkInterface),
    ("CreateNetworkInterface", Action::CreateNetworkInterface),
    ("DeleteNetworkInterface", Action::DeleteNetworkInterface),
    ("DescribeInstanceTypes", Action::DescribeInstanceTypes),
    ("DescribeInstances", Action::DescribeInstances),
    (
        "DescribeNetworkInterfaceAttribute",
        Action::DescribeNetworkInterfaceAttribute,
    ),
    ("DescribeNetworkInterfaces", Action::DescribeNetworkInterfaces),
    (
        "DescribeSecurityGroupAttribute",
        Action::DescribeSecurityGroupAttribute,
    ),
    ("DescribeSecurityGroups", Action::DescribeSecurityGroups),
    ("DescribeVSwitches", Action::DescribeVSwitches),
    ("DescribeVpcs", Action::DescribeVpcs),
    ("DetachNetworkInterface", Action::DetachNetworkInterface),
    ("ListTagResources", Action::ListTagResources),
    (
        "ModifyNetworkInterfaceAttribute",
        Action::ModifyNetworkInterfaceAttribute,
    ),
    ("TagResources", Action::TagResources),
    ("UnassignIpv6Addresses", Action::UnassignIpv6Addresses),
    ("UnassignPrivateIpAddresses", Action::UnassignPrivateIpAddresses),
    ("UntagResources", Action::UntagResources),
];

const VPC_ACTIONS: [(&str, Action); 6] = [
    (
        "CreateVSwitchCidrReservation",
        Action::CreateVSwitchCidrReservation,
    ),
    (
        "DeleteVSwitchCidrReservation",
        Action::DeleteVSwitchCidrReservation,
    ),
    ("DescribeVSwitchAttributes", Action::DescribeVSwitchAttributes),
    ("DescribeVSwitches", Action::DescribeVSwitches),
    ("DescribeVpcs", Action::DescribeVpcs),
    ("ListVSwitchCidrReservations", Action::ListVSwitchCidrReservations),
];

impl Action {
    /// The action a call names, in the product that its version belongs to.
    pub fn find(name: &str, version: &str) -> Result<Action, ApiError> {
        let actions: &[(&str, Action)] = match version {
            ECS_VERSION => &ECS_ACTIONS,
            VPC_VERSION => &VPC_ACTIONS,
            _ => return Err(error::INVALID_VERSION.because("Specified parameter Version is not valid.")),
        };
        let found = actions.iter().find(|(known, _)| *known == name);
        found.map(|(_, action)| *action).ok_or_else(|| {
            error::ACTION_NOT_FOUND.because("Specified api is not found, please check your url and method.")
        })
    }

    /// Whether RegionId is mandatory.
    fn needs_region(self) -> bool {
        !matches!(
            self,
            Action::DescribeInstanceTypes
                | Action::DescribeVSwitchAttributes
                | Action::DescribeVSwitches
                | Action::DescribeVpcs
        )
    }

    /// Acts on the cloud. `completion` is the time until an asynchronous action completes.
    pub fn act(
        self,
        cloud: &mut Cloud,
        parameters: &Parameters,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Answer, ApiError> {
        check_region(self, cloud, parameters)?;
        match self {
            Action::AssignIpv6Addresses => addresses::assign_ipv6(cloud, parameters, now),
            Action::AssignPrivateIpAddresses => addresses::assign_ipv4(cloud, parameters, now),
            Action::AttachNetworkInterface => eni::attach(cloud, parameters, completion, now),
            Action::CreateNetworkInterface => eni::create(cloud, parameters, now),
            Action::CreateVSwitchCidrReservation => reservations::create(cloud, parameters, completion, now),
            Action::DeleteNetworkInterface => eni::delete(cloud, parameters, completion, now),
            Action::DeleteVSwitchCidrReservation => reservations::delete(cloud, parameters, completion, now),
            Action::DescribeInstanceTypes => listing::instance_types(cloud, parameters),
            Action::DescribeInstances => listing::instances(cloud, parameters),
            Action::DescribeNetworkInterfaceAttribute => attributes::eni(cloud, parameters),
            Action::DescribeNetworkInterfaces => listing::enis(cloud, parameters),
            Action::DescribeSecurityGroupAttribute => attributes::group(cloud, parameters),
            Action::DescribeSecurityGroups => listing::groups(cloud, parameters),
            Action::DescribeVSwitchAttributes => attributes::vswitch(cloud, parameters),
            Action::DescribeVSwitches => listing::vswitches(cloud, parameters),
            Action::DescribeVpcs => listing::vpcs(cloud, parameters),
            Action::DetachNetworkInterface => eni::detach(cloud, parameters, completion, now),
            Action::ListTagResources => tags::list(cloud, parameters),
            Action::ListVSwitchCidrReservations => reservations::list(cloud, parameters),
            Action::ModifyNetworkInterfaceAttribute => eni::modify(cloud, parameters),
            Action::TagResources => tags::tag(cloud, parameters),
            Action::UnassignIpv6Addresses => addresses::unassign::<std::net::Ipv6Addr>(cloud, parameters),
            Action::UnassignPrivateIpAddresses => {
                addresses::unassign::<std::net::Ipv4Addr>(cloud, parameters)
            }
            Action::UntagResources => tags::untag(cloud, parameters),
        }
    }
}

fn check_region(action: Action, cloud: &Cloud, parameters: &Parameters) -> Result<(), ApiError> {
    match parameters.get("RegionId") {
        None if action.needs_region() => Err(error::missing("RegionId")),
        Some(region) if region != cloud.region() => {
            Err(error::REGION_NOT_FOUND.because("The specified RegionId does not exist."))
        }
        _ => Ok(()),
    }
}

/// Refuses parameters that have an effect in the real API and none in this simulator. A caller that relies on such a
/// parameter must not believe that it worked.
fn refuse_unsimulated(parameters: &Parameters, names: &[&str]) -> Result<(), ApiError> {
    let found = names.iter().find(|name| {
        let idle = |value: &str| matches!(value, "" | "0") || value.eq_ignore_ascii_case("false");
        let nested = format!("{name}.");
        parameters
            .iter()
            .any(|(given, value)| (given == **name || given.starts_with(&nested)) && !idle(value))
    });
    match found {
        None => Ok(()),
        Some(name) => {
            Err(error::UNSUPPORTED_PARAMETER.because(format!("The parameter {name} is not supported.")))
        }
    }
}
