//! The actions of the cloud API that this product calls, and the properties of each.

use std::fmt;

use terway_crds::Family;

/// One action of the OpenAPI. A rate bucket and a metric label exist per action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    CreateNetworkInterface,
    AttachNetworkInterface,
    DetachNetworkInterface,
    DeleteNetworkInterface,
    AssignPrivateIpAddresses,
    UnassignPrivateIpAddresses,
    AssignIpv6Addresses,
    UnassignIpv6Addresses,
    DescribeNetworkInterfaces,
    DescribeInstanceTypes,
    DescribeInstances,
    DescribeSecurityGroups,
    DescribeVSwitches,
}

/// The service of an action. Each service has its own endpoint and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Ecs,
    Vpc,
}

impl Product {
    pub(crate) const ALL: [Product; 2] = [Product::Ecs, Product::Vpc];

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Product::Ecs => "ECS",
            Product::Vpc => "VPC",
        }
    }

    /// Version of the API, which every call names.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Product::Ecs => "2014-05-26",
            Product::Vpc => "2016-04-28",
        }
    }
}

impl Action {
    /// Every action, in the order of their declaration.
    pub const ALL: [Action; 13] = [
        Action::CreateNetworkInterface,
        Action::AttachNetworkInterface,
        Action::DetachNetworkInterface,
        Action::DeleteNetworkInterface,
        Action::AssignPrivateIpAddresses,
        Action::UnassignPrivateIpAddresses,
        Action::AssignIpv6Addresses,
        Action::UnassignIpv6Addresses,
        Action::DescribeNetworkInterfaces,
        Action::DescribeInstanceTypes,
        Action::DescribeInstances,
        Action::DescribeSecurityGroups,
        Action::DescribeVSwitches,
    ];

    /// The name on the wire, in the `rateLimit` map and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Action::CreateNetworkInterface => "CreateNetworkInterface",
            Action::AttachNetworkInterface => "AttachNetworkInterface",
            Action::DetachNetworkInterface => "DetachNetworkInterface",
            Action::DeleteNetworkInterface => "DeleteNetworkInterface",
            Action::AssignPrivateIpAddresses => "AssignPrivateIpAddresses",
            Action::UnassignPrivateIpAddresses => "UnassignPrivateIpAddresses",
            Action::AssignIpv6Addresses => "AssignIpv6Addresses",
            Action::UnassignIpv6Addresses => "UnassignIpv6Addresses",
            Action::DescribeNetworkInterfaces => "DescribeNetworkInterfaces",
            Action::DescribeInstanceTypes => "DescribeInstanceTypes",
            Action::DescribeInstances => "DescribeInstances",
            Action::DescribeSecurityGroups => "DescribeSecurityGroups",
            Action::DescribeVSwitches => "DescribeVSwitches",
        }
    }

    /// The action that gives an ENI addresses of a family.
    pub fn assign(family: Family) -> Action {
        family.choose(Action::AssignPrivateIpAddresses, Action::AssignIpv6Addresses)
    }

    /// The action that takes addresses of a family from an ENI.
    pub fn unassign(family: Family) -> Action {
        family.choose(Action::UnassignPrivateIpAddresses, Action::UnassignIpv6Addresses)
    }

    /// The action of this name. The case does not matter, because configuration keys lose it.
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL
            .into_iter()
            .find(|action| action.name().eq_ignore_ascii_case(name))
    }

    /// Whether the call changes something and therefore needs the lease.
    pub fn mutates(self) -> bool {
        matches!(
            self,
            Action::CreateNetworkInterface
                | Action::AttachNetworkInterface
                | Action::DetachNetworkInterface
                | Action::DeleteNetworkInterface
                | Action::AssignPrivateIpAddresses
                | Action::UnassignPrivateIpAddresses
                | Action::AssignIpv6Addresses
                | Action::UnassignIpv6Addresses
        )
    }

    /// Whether pods get no ENIs without the permission for this action. RAM policies for upstream do not allow
    /// DescribeSecurityGroups, which only finds a wrong id earlier.
    pub(crate) fn is_needed(self) -> bool {
        self != Action::DescribeSecurityGroups
    }

    /// Calls a minute without a configured value. The numbers are upstream's defaults, because the cloud documents no
    /// limits of an account (unverified).
    pub fn default_per_minute(self) -> u32 {
        match self {
            Action::CreateNetworkInterface
            | Action::AttachNetworkInterface
            | Action::DeleteNetworkInterface
            | Action::DescribeInstances
            | Action::DescribeSecurityGroups => 500,
            Action::DetachNetworkInterface
            | Action::AssignPrivateIpAddresses
            | Action::UnassignPrivateIpAddresses
            | Action::AssignIpv6Addresses
            | Action::UnassignIpv6Addresses
            | Action::DescribeInstanceTypes => 400,
            Action::DescribeNetworkInterfaces => 800,
            Action::DescribeVSwitches => 300,
        }
    }

    pub(crate) fn product(self) -> Product {
        match self {
            Action::DescribeVSwitches => Product::Vpc,
            Action::CreateNetworkInterface
            | Action::AttachNetworkInterface
            | Action::DetachNetworkInterface
            | Action::DeleteNetworkInterface
            | Action::AssignPrivateIpAddresses
            | Action::UnassignPrivateIpAddresses
            | Action::AssignIpv6Addresses
            | Action::UnassignIpv6Addresses
            | Action::DescribeNetworkInterfaces
            | Action::DescribeInstanceTypes
            | Action::DescribeInstances
            | Action::DescribeSecurityGroups => Product::Ecs,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        for action in Action::ALL {
            assert_eq!(Action::from_name(&action.name().to_lowercase()), Some(action));
            assert_eq!(Action::ALL[action.index()], action);
        }
        assert_eq!(Action::from_name("AssignLeniPrivateIpAddress"), None);
    }
}
