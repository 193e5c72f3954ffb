//! How full an ENI is, and how much the ENIs of a node can hold.
//!
//! The instance type limits the addresses of an ENI, in each family. One address takes one unit of that limit.

use terway_crds::node::{Nic, NicStatus, NodeCap};
use terway_crds::{EniKind, Family, TerwayNode, TerwayNodeSpec, TrafficMode};

use crate::binding;
use crate::vswitch::Candidate;

/// The family in which pools count: each pod has one address of this family, and ENIs are made, filled and given back
/// by the number of these.
pub const COUNTED: Family = Family::SERVED[0];

/// How full an ENI is, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Addresses that the ENI can have.
    pub limit: usize,
    /// Addresses that the ENI has.
    pub used: usize,
    /// Addresses of the ENI that belong to pods.
    pub bound: usize,
}

impl Room {
    /// Addresses that the ENI can get beside those it has.
    pub fn left(self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// The same ENI with `count` addresses more.
    #[must_use]
    pub fn with(self, count: usize) -> Self {
        Self {
            used: self.used.saturating_add(count),
            ..self
        }
    }
}

/// The capacity of a node's ENIs, in one family.
#[derive(Debug, Clone, Copy)]
pub struct Capacity<'a> {
    spec: &'a TerwayNodeSpec,
    family: Family,
}

impl<'a> Capacity<'a> {
    /// The capacity of a node with this spec.
    pub fn of(spec: &'a TerwayNodeSpec, family: Family) -> Self {
        Self { spec, family }
    }

    /// Number of addresses of one ENI.
    pub fn per_eni(self) -> usize {
        self.spec.node_cap.per_adapter(self.family)
    }

    /// Number of ENIs that the instance can have in addition to its primary ENI, which belongs to the node itself.
    pub fn enis(self) -> usize {
        beside_primary(&self.spec.node_cap)
    }

    /// Number of ENIs that pods share, by the flavors.
    pub fn shared_enis(self) -> usize {
        let flavors = self.spec.flavor.iter();
        flavors
            .filter(|flavor| flavor.traffic_mode == TrafficMode::Standard)
            .filter(|flavor| matches!(flavor.kind, EniKind::Secondary | EniKind::Trunk))
            .map(|flavor| size(flavor.count))
            .fold(0, usize::saturating_add)
    }

    /// Number of addresses that pods can have on shared ENIs.
    pub fn addresses(self) -> usize {
        self.shared_enis().saturating_mul(self.per_eni())
    }

    /// How full an ENI is.
    pub fn room(self, nic: &Nic) -> Room {
        Room {
            limit: self.per_eni(),
            used: nic.addresses(self.family).len(),
            bound: nic
                .addresses(self.family)
                .values()
                .filter(|ip| binding::is_bound(ip))
                .count(),
        }
    }

    /// How full a new ENI is before its first address.
    pub fn empty(self) -> Room {
        Room {
            limit: self.per_eni(),
            used: 0,
            bound: 0,
        }
    }
}

/// Number of ENIs of an instance type in addition to the primary ENI.
pub fn beside_primary(cap: &NodeCap) -> usize {
    size(cap.adapters.saturating_sub(1))
}

/// A count of the API as a size; a negative count is zero.
pub fn size(count: i32) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// Whether pods of a node can get addresses: there is a free address, or room for one on an ENI or on a new ENI whose
/// vSwitch has free addresses. `vswitches` are those of the node and of its ENIs.
pub fn is_sufficient(record: &TerwayNode, vswitches: &[Candidate]) -> bool {
    let default = terway_crds::TerwayNodeStatus::default();
    let status = record.status.as_ref().unwrap_or(&default);
    if !binding::free_addresses(status).is_empty() {
        return true;
    }
    let has_some = |id: &String| vswitches.iter().any(|v| v.id == *id && v.available > 0);
    let capacity = Capacity::of(&record.spec, COUNTED);
    let takes_more = |nic: &Nic| {
        let comes = matches!(nic.status, NicStatus::InUse | NicStatus::Attaching);
        comes && binding::is_shared(nic) && capacity.room(nic).left() > 0 && has_some(&nic.vswitch_id)
    };
    let mut nics = status.network_interfaces.values();
    if nics.clone().any(takes_more) {
        return true;
    }
    let taken = nics.by_ref().filter(|nic| !nic.unschedulable).count();
    let options = record.spec.eni.iter().flat_map(|eni| &eni.vswitch_options);
    taken < capacity.shared_enis() && options.into_iter().any(has_some)
}

#[cfg(test)]
mod tests;
