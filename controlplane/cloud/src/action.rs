//! The actions of the cloud API this product calls, with what is known about each.

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

/// The service that answers an action; each has an endpoint and a version of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Ecs,
    Vpc,
}

impl Product {
    pub(crate) const ALL: [Product; 2] = [Product::Ecs, Product::Vpc];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Product::Ecs => "ECS",
            Product::Vpc => "VPC",
        }
    }

    /// Version of the RPC interface, sent with every call.
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

    /// The action of this name, without regard to case (configuration keys lose theirs).
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL
            .into_iter()
            .find(|action| action.name().eq_ignore_ascii_case(name))
    }

    /// Whether the call changes something and so needs the lease.
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

    /// Whether pods go without ENIs when the keys may not do this. RAM policies written for upstream do not
    /// allow the question about security groups, which only serves to find a wrong id sooner.
    pub(crate) fn is_needed(self) -> bool {
        self != Action::DescribeSecurityGroups
    }

    /// Calls a minute when the configuration says nothing: upstream's figures, which are the best
    /// public proxy for the account limits nobody documents.
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
